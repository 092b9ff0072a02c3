"""What `model.json` has to say, checked field by field; one line for each thing that is wrong."""

import base64
import json
import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from distill.errors import InputError

NAME, MAJOR = "distill-bundle", 1
FORMAT = f"{NAME}/{MAJOR}"
RANGES = {"int8": (-128, 127), "uint8": (0, 255)}  # of the quantised types
ITEM_BYTES = {"float32": 4, "int8": 1, "uint8": 1}
CHANNELS = {"gray": 1, "rgb": 3}
KINDS = ("probabilities", "logits")
POLARITIES = ("as_is", "invert", "auto")
CROPS = ("center_square", "center")  # the first of square tensors, the second of all others
NORMALIZATIONS = ("none", "mnist")
DIGIT = [1, 28, 28, 1]  # the shape of what is normalised as MNIST
MAX_NUMBER = 1e30  # nothing here comes near it; more would overflow in float32
MAX_VALUES = 2**22  # of an input or output tensor
MAX_BYTES = 2**25  # of a `model.json`; a golden input of `MAX_VALUES` has two thirds of it
MAX_TEXT = 1000  # characters
TEXT = "a text of 1 to 1000 characters that can be shown"
# Control characters and escape codes, what breaks lines or turns text around, lone surrogates.
_NOT_SHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class _Field(NamedTuple):
    """A test of a value, and in words what passes it."""

    test: Callable[[Any], bool]
    accepted: str


def parse(data: bytes, name: str) -> dict[str, Any]:
    """Reads the contents of a `model.json` and checks them.

    Args:
      data: the contents.
      name: of the file, for messages.

    Raises:
      InputError: for the first thing that is wrong.
    """
    if len(data) > MAX_BYTES:
        raise InputError(f"{name} has {len(data)} bytes; expected at most {MAX_BYTES}")
    try:
        manifest = json.loads(data.decode("utf-8"), parse_constant=_refuse)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise InputError(f"{name} is no JSON: {str(error).splitlines()[0]}") from error
    try:
        check(manifest)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    return manifest


def check(manifest: Any) -> None:
    """Checks the contents of a `model.json`.

    Raises:
      InputError: for the first thing that is wrong.
    """
    if not isinstance(manifest, dict):
        raise InputError(f"it holds {shown(manifest)} where an object is expected")
    _check_format(manifest.get("format"))
    for section, fields in _SECTIONS.items():
        _check_fields(manifest if not section else manifest.get(section), fields, section)
    _check_fields(manifest["defaults"]["filter"], _FILTER, "defaults.filter")
    _check_tensor(manifest["input"], "input")
    _check_tensor(manifest["output"], "output")
    _check_input(manifest["input"])
    for name in ("input", "output"):
        shape = manifest[name]["shape"]
        if math.prod(shape) > MAX_VALUES:
            raise InputError(f"{name}.shape is {shape}; expected at most {MAX_VALUES} values")
    images, scores = manifest["input"]["shape"], manifest["output"]["shape"]
    if images[0] != scores[0]:
        raise InputError(f"input.shape is {images}, of another batch than output.shape, {scores}")
    _check_optional(manifest["output"], _TEMPERATURE, "output")
    labels, outputs = len(manifest["labels"]), manifest["output"]["shape"][1]
    if labels != outputs:
        raise InputError(f"there are {labels} labels for {outputs} outputs")
    _check_golden(manifest["golden"], manifest["input"], manifest["output"])


def _check_format(found: Any) -> None:
    match = (
        re.fullmatch(rf"{NAME}/(\d{{1,9}})", found, re.ASCII) if isinstance(found, str) else None
    )
    if not match:
        raise InputError(f"format is {shown(found)}; expected {FORMAT!r}")
    if int(match[1]) != MAJOR:
        raise InputError(
            f"format is {found!r}, and this reader knows {FORMAT!r}; export the model again, or "
            "update the reader"
        )


def _check_fields(section: Any, fields: dict[str, _Field], name: str) -> None:
    if not isinstance(section, dict):
        raise InputError(f"{name} is {shown(section)}; expected an object")
    for key, field in fields.items():
        path = f"{name}.{key}" if name else key
        if key not in section:
            raise InputError(f"{path} is missing; expected {field.accepted}")
        if not field.test(section[key]):
            raise InputError(f"{path} is {shown(section[key])}; expected {field.accepted}")


def _check_optional(section: dict[str, Any], fields: dict[str, _Field], name: str) -> None:
    _check_fields(section, {key: fields[key] for key in fields if key in section}, name)


def _check_tensor(tensor: dict[str, Any], name: str) -> None:
    """The quantisation of an input or output has to suit its type."""
    dtype, quantization = tensor["dtype"], tensor["quantization"]
    if dtype not in RANGES:
        if quantization is not None:
            raise InputError(f"{name}.quantization is given for {dtype}; expected null")
        return
    low, high = RANGES[dtype]
    fields = {
        "scale": _Field(_is_positive, "a number above 0"),
        "zero_point": _Field(_whole(low, high), f"a whole number from {low} to {high}"),
    }
    _check_fields(quantization, fields, f"{name}.quantization")


def _check_input(tensor: dict[str, Any]) -> None:
    channels, color = tensor["shape"][3], tensor["color"]
    if channels != CHANNELS[color]:
        raise InputError(
            f"input.shape has {channels} channels; the color {color} has {CHANNELS[color]}"
        )
    for key in ("scale", "offset"):
        if len(tensor[key]) != channels:
            raise InputError(f"input.{key} has {len(tensor[key])} numbers for {channels} channels")
    _check_optional(tensor, _NORMALIZE, "input")
    if tensor.get("normalize") == "mnist" and tensor["shape"][1:] != DIGIT[1:]:
        raise InputError(
            f"input.normalize is 'mnist' for the shape {shown(tensor['shape'])}; expected {DIGIT}"
        )
    if tensor["polarity"] == "auto" and color != "gray":
        raise InputError(f"input.polarity is 'auto' for {color}; expected 'as_is' or 'invert'")


def _check_golden(golden: dict[str, Any], tensor: dict[str, Any], output: dict[str, Any]) -> None:
    found = _decoded_size(golden["input"])
    expected = math.prod(tensor["shape"]) * ITEM_BYTES[tensor["dtype"]]
    if found != expected:
        what = "no base64" if found is None else f"{found} bytes"
        raise InputError(f"golden.input is {what}; the input tensor has {expected} bytes")
    values, size = golden["output"], math.prod(output["shape"])
    if len(values) != size:
        raise InputError(f"golden.output has {len(values)} values; the output tensor has {size}")
    if output["dtype"] in RANGES:
        low, high = RANGES[output["dtype"]]
        wrong = [value for value in values if not _whole(low, high)(value)]
        if wrong:
            raise InputError(
                f"golden.output has {shown(wrong[0])}; expected whole numbers from {low} to {high}"
            )


def _decoded_size(text: str) -> int | None:
    """Returns how many bytes a base64 text stands for, or None if it is none."""
    try:
        return len(base64.b64decode(text, validate=True))
    except ValueError:
        return None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number in JSON")


def shown(value: Any) -> str:
    """Returns a JSON value as text, with its end cut off if it is long."""
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= 60 else text[:57] + "..."


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and -MAX_NUMBER <= value <= MAX_NUMBER


def _is_positive(value: Any) -> bool:
    return _is_number(value) and value > 0


def _whole(low: int, high: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and low <= value <= high


def _list_of(test: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: type(value) is list and bool(value) and all(map(test, value))


def is_text(value: Any) -> bool:
    """Whether a value is a `TEXT`, which names and labels have to be: a terminal shows them."""
    return isinstance(value, str) and 0 < len(value) <= MAX_TEXT and not _NOT_SHOWN.search(value)


def _matches(pattern: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and bool(re.fullmatch(pattern, value, re.ASCII))


def _one_of(names: Any) -> _Field:
    names = tuple(names)
    known = " or ".join(json.dumps(name) for name in names)
    return _Field(lambda value: isinstance(value, str) and value in names, known)


def _is_shape(rank: int) -> Callable[[Any], bool]:
    def test(value):
        return _list_of(_whole(1, 65535))(value) and len(value) == rank

    return test


_TEXT = _Field(is_text, TEXT)
_OBJECT = _Field(lambda value: isinstance(value, dict), "an object")
_NUMBERS = _Field(_list_of(_is_number), "a list of numbers, one for each channel")
_SIZE = _Field(_whole(1, 2**31 - 1), "a whole number above 0")
_RATE = _Field(lambda value: _is_number(value) and 0 <= value <= 1, "a number from 0 to 1")
_QUANTIZATION = _Field(lambda value: value is None or isinstance(value, dict), "an object or null")

_TOP = {
    "name": _TEXT,
    "labels": _Field(_list_of(is_text), "a list of texts that can be shown, one for each output"),
}
_MODEL = {
    "file": _Field(_matches(r"[A-Za-z0-9_][A-Za-z0-9_.-]*"), "a file name without folders"),
    "sha256": _Field(_matches(r"[0-9a-f]{64}"), "64 hexadecimal digits in lower case"),
    "bytes": _SIZE,
}
_INPUT = {
    "shape": _Field(_is_shape(4), "[1, height, width, channels]; more than 1 for a batch"),
    "dtype": _one_of(ITEM_BYTES),
    "layout": _one_of(["NHWC"]),
    "color": _one_of(CHANNELS),
    "scale": _NUMBERS,
    "offset": _NUMBERS,
    "quantization": _QUANTIZATION,
    "crop": _one_of(CROPS),
    "resize": _one_of(["area"]),
    "polarity": _one_of(POLARITIES),
}
_NORMALIZE = {"normalize": _one_of(NORMALIZATIONS)}
_OUTPUT = {
    "shape": _Field(_is_shape(2), "[1, classes]; more than 1 for a batch"),
    "dtype": _one_of(ITEM_BYTES),
    "kind": _one_of(KINDS),
    "quantization": _QUANTIZATION,
}
_TEMPERATURE = {"temperature": _Field(_is_positive, "a number above 0")}
_DEFAULTS = {"top_k": _SIZE, "filter": _OBJECT}
_FILTER = {
    "stages": _Field(_whole(0, 16), "a whole number from 0 to 16"),
    "factor": _Field(
        lambda value: _is_number(value) and 0 < value <= 1, "a number above 0, at most 1"
    ),
}
_GOLDEN = {
    "input": _Field(lambda value: isinstance(value, str), "a text in base64"),
    "output": _Field(_list_of(_is_number), "a list of numbers"),
    "tolerance": _Field(lambda value: _is_number(value) and value >= 0, "a number, 0 or more"),
}
_PROVENANCE = {
    **{key: _TEXT for key in ("exporter", "config_hash", "commit", "dataset", "model")},
    "num_params": _SIZE,
    "accuracy": _RATE,
    "accuracy_flax": _RATE,
}
_SECTIONS = {
    "": _TOP, "model": _MODEL, "input": _INPUT, "output": _OUTPUT, "defaults": _DEFAULTS,
    "golden": _GOLDEN, "provenance": _PROVENANCE,
}  # fmt: skip
