"""Bundles with one fault each, for the tests of every reader: `mobile/golden/bundles.json`.

An entry has the text of its `model.json`, the bytes of its `model.tflite` as base64, the kind of
its fault (null where it has none), and what readers say of it: `message`, the words of the readers
in Python and JavaScript (of a syntax error the beginning, what follows is the JSON parser's own),
and two strings that the message of every reader contains: what was expected and what was found,
compared without spaces and quotation marks.
"""

import base64
import hashlib
import json
import pathlib
import tempfile
from typing import Any

from distill.errors import InputError
from distill.export import bundle, flatbuffer, manifest, sound
from distill.export.structure import UnsoundError
from experiments import golden_models

MODELS = {dtype: flatbuffer.pack(golden_models.classifier(dtype)) for dtype in ("float32", "int8")}
MODEL = MODELS["float32"]


def valid(dtype: str = "float32") -> dict[str, Any]:
    """Returns the description of a bundle of three classes that no reader may refuse."""
    integer = dtype != "float32"
    output = [-128, 0, 127] if integer else [0.0, 0.25, 0.75]
    model = MODELS[dtype]
    return {
        "format": "distill-bundle/1",
        "name": f"valid {dtype}",
        "model": {
            "file": "model.tflite",
            "sha256": hashlib.sha256(model).hexdigest(),
            "bytes": len(model),
        },
        "input": {
            "shape": [1, 2, 2, 1],
            "dtype": dtype,
            "layout": "NHWC",
            "color": "gray",
            "scale": [1 / 255],
            "offset": [0.0],
            "quantization": {"scale": golden_models.BYTE_SCALE, "zero_point": -128}
            if integer
            else None,
            "crop": "center_square",
            "resize": "area",
            "polarity": "auto",
        },
        "output": {
            "shape": [1, 3],
            "dtype": dtype,
            "kind": "probabilities",
            "quantization": {"scale": 1 / 256, "zero_point": -128} if integer else None,
        },
        "labels": ["cat", "dog", "owl"],
        "defaults": {"top_k": 2, "filter": {"stages": 3, "factor": 0.4}},
        "golden": {
            "input": base64.b64encode(bytes(4 if integer else 16)).decode(),
            "output": output,
            "tolerance": 0 if integer else 1e-4,
        },
        "provenance": {
            "exporter": "distill 0.1.0",
            "config_hash": "0123456789ab",
            "commit": "0000000",
            "dataset": "mnist",
            "model": "simplenet_v1",
            "num_params": 3,
            "accuracy": 0.5,
            "accuracy_flax": 0.5,
        },
    }


# directory: (kind, path of the value to replace, value, expected, found)
FAULTS: dict[str, tuple[str, str, Any, str, str]] = {
    "format_unknown_major": ("format", "format", "distill-bundle/2", "distill-bundle/1", "/2"),
    "format_other": ("format", "format", "other/1", "distill-bundle/1", "other/1"),
    "format_no_string": ("type", "format", 1, "", "1"),
    "model_wrong_hash": (
        "hash",
        "model.sha256",
        "0" * 64,
        "0" * 64,
        hashlib.sha256(MODEL).hexdigest(),
    ),
    "model_hash_no_hex": ("value", "model.sha256", "no hash", "64", "no hash"),
    "model_wrong_bytes": ("bytes", "model.bytes", 97, "97", str(len(MODEL))),
    "model_outside": ("value", "model.file", "../model.tflite", "name", "../model.tflite"),
    "model_absent": ("missing_file", "model.file", "other.tflite", "other.tflite", ""),
    "input_rank": ("shape", "input.shape", [1, 2, 2], "[1,", "[1, 2, 2]"),
    "input_batch": ("shape", "input.shape", [2, 2, 2, 1], "[1,", "[2, 2, 2, 1]"),
    "input_values": ("shape", "input.shape", [1, 4096, 4096, 1], "4194304", "[1, 4096, 4096, 1]"),
    "input_zero": ("shape", "input.shape", [1, 0, 2, 1], "1", "[1, 0, 2, 1]"),
    "input_channels": ("shape", "input.shape", [1, 2, 2, 3], "1", "3"),
    "input_fraction": ("type", "input.shape", [1, 2.5, 2, 1], "", "2.5"),
    "input_dtype": ("value", "input.dtype", "float64", "float32", "float64"),
    "input_layout": ("value", "input.layout", "NCHW", "NHWC", "NCHW"),
    "input_color": ("value", "input.color", "cmyk", "gray", "cmyk"),
    "input_crop": ("value", "input.crop", "none", "center_square", "none"),
    "input_resize": ("value", "input.resize", "bilinear", "area", "bilinear"),
    "input_polarity": ("value", "input.polarity", "reverse", "as_is", "reverse"),
    "input_normalize": ("value", "input.normalize", "digits", "none", "digits"),
    "input_normalize_shape": ("shape", "input.normalize", "mnist", "28", "2"),
    "output_temperature": ("value", "output.temperature", 0, "0", "0"),
    "input_scale_count": ("shape", "input.scale", [0.1, 0.1, 0.1], "1", "3"),
    "input_scale_string": ("type", "input.scale", ["0.1"], "number", "0.1"),
    "input_offset_count": ("shape", "input.offset", [0.0, 0.0], "1", "2"),
    "float_quantized": (
        "quantization",
        "input.quantization",
        {"scale": 0.1, "zero_point": 0},
        "null",
        "",
    ),
    "int8_not_quantized": ("quantization", "output.quantization", None, "", "null"),
    "int8_scale_zero": ("quantization", "input.quantization.scale", 0, "0", "0"),
    "int8_zero_point": ("quantization", "input.quantization.zero_point", 200, "127", "200"),
    "output_rank": ("shape", "output.shape", [3], "", "[3]"),
    "output_kind": ("value", "output.kind", "scores", "logits", "scores"),
    "labels_too_few": ("labels", "labels", ["cat", "dog"], "3", "2"),
    "labels_too_many": ("labels", "labels", ["cat", "dog", "owl", "elk"], "3", "4"),
    "labels_number": ("type", "labels", ["cat", 2, "owl"], "", "2"),
    "defaults_top_k": ("value", "defaults.top_k", 0, "", "0"),
    "defaults_stages": ("value", "defaults.filter.stages", 17, "16", "17"),
    "defaults_factor": ("value", "defaults.filter.factor", 1.5, "1", "1.5"),
    "labels_empty": ("value", "labels", ["cat", "", "owl"], "text", ""),
    "golden_base64": ("golden", "golden.input", "no base64!", "base64", ""),
    "golden_input_length": ("golden", "golden.input", "AAAA", "16", "3"),
    "golden_output_length": ("golden", "golden.output", [0.5, 0.5], "3", "2"),
    "golden_tolerance": ("golden", "golden.tolerance", -1, "0", "-1"),
    "name_escape_code": ("value", "name", "\x1b[31mred", "text", ""),
    "name_line_separator": ("value", "name", "a\u2028b", "text", ""),
    "name_long": ("value", "name", "é" * 1001, "1000", ""),
    "label_lone_surrogate": ("value", "labels", ["cat", "\ud800", "owl"], "text", ""),
    "label_turned_around": ("value", "labels", ["cat", "a\u202eb", "owl"], "text", ""),
    "name_empty": ("value", "name", "", "text", ""),
    "provenance_commit": ("value", "provenance.commit", "", "text", ""),
    "provenance_params": ("value", "provenance.num_params", 0, "", "0"),
    "provenance_percent": ("value", "provenance.accuracy", 98.2, "0", "98.2"),
    "int8_golden_range": ("golden", "golden.output", [0, 0, 200], "127", "200"),
}
REMOVED = object()
MISSING = (
    *("format", "model", "input.scale", "output.dtype", "labels", "defaults.filter", "golden"),
    "provenance.accuracy",
)


def changed(path: str, value: Any = REMOVED, dtype: str = "float32") -> dict[str, Any]:
    """Returns the description of a bundle in which a value is another one, or missing."""
    spec = valid(dtype)
    *parents, last = path.split(".")
    at = spec
    for name in parents:
        at = at[name]
    if value is REMOVED:
        del at[last]
    else:
        at[last] = value
    return spec


def entries() -> list[dict[str, Any]]:
    """Returns the bundles, each with its two files and what readers make of them."""
    whole = json.dumps(valid())
    other = b"PK\x03\x04" + bytes(92)
    found = [
        entry("valid_float32", (None, "", ""), whole),
        entry("valid_int8", (None, "", ""), json.dumps(valid("int8")), MODELS["int8"]),
    ]
    for name, (kind, path, value, *words) in FAULTS.items():
        dtype = "int8" if name.startswith("int8") else "float32"
        text = json.dumps(changed(path, value, dtype))
        found.append(entry(name, (kind, *words), text, MODELS[dtype]))
    for path in MISSING:
        name = "missing_" + path.replace(".", "_")
        found.append(entry(name, ("missing_field", path, ""), json.dumps(changed(path))))
    rgb = {"shape": [1, 2, 2, 3], "color": "rgb", "scale": [1.0] * 3, "offset": [0.0] * 3}
    automatic = json.dumps(changed("input", valid()["input"] | rgb))
    return [
        *found,
        entry("input_rgb_auto", ("value", "invert", "auto"), automatic),
        entry("json_absent", ("missing_file", "model.json", ""), None),
        entry("json_cut", ("syntax", "JSON", ""), whole[: len(whole) // 2]),
        entry("json_list", ("type", "object", ""), "[]"),
        entry("model_deleted", ("missing_file", "model.tflite", ""), whole, None),
        entry("model_truncated", ("bytes", str(len(MODEL)), "64"), whole, MODEL[:64]),
        with_model("model_other_content", ("content", "", ""), other),
        with_model("valid_int4", (None, "", ""), flatbuffer.four_bits(MODELS["int8"]), "int8"),
        with_model("valid_operators", (None, "", ""), flatbuffer.pack(golden_models.everything())),
        *(hostile(name, model) for name, model in golden_models.hostile().items()),
    ]


def with_model(name: str, fault: tuple, model: bytes, dtype: str = "float32") -> dict[str, Any]:
    """Returns a bundle of another model, whose description fits but for what is in the file."""
    spec = valid(dtype)
    spec["model"] = bundle.describe_model(model)
    return entry(name, fault, json.dumps(spec), model)


def hostile(name: str, model: bytes) -> dict[str, Any]:
    """Returns a bundle of a hostile file; every reader says of it what this one does."""
    dtype = "int8" if name.startswith("int8") else "float32"
    spec = valid(dtype)
    try:
        sound.check(model, spec["input"], spec["output"])
    except UnsoundError as error:
        return with_model(f"hostile_{name}", ("content", error.expected, error.found), model, dtype)
    raise AssertionError(f"{name} is sound")


def entry(name: str, fault: tuple, text: str | None, model: bytes | None = MODEL) -> dict[str, Any]:
    """Returns a bundle; of a file that is absent the content is null."""
    files = {"model.json": None if text is None else text.encode(), "model.tflite": model}
    return {
        "name": name,
        **dict(zip(("kind", "expected", "found"), fault, strict=True)),
        "message": message(files),
        "model.json": text,
        "model.tflite": None if model is None else base64.b64encode(model).decode(),
    }


def message(files: dict[str, bytes | None]) -> str | None:
    """Returns what the reader in Python says of a bundle, without its directory, or None."""
    with tempfile.TemporaryDirectory() as directory:
        for name, content in files.items():
            if content is not None:
                (pathlib.Path(directory) / name).write_bytes(content)
        try:
            bundle.read(directory)
        except InputError as error:
            words = str(error).replace(f"{directory}/", "")
            before, no_json, _ = words.partition(" is no JSON: ")
            return before + no_json
    return None


VALUES = (
    *(None, True, 0, -1, 2**31, 0.5, -0.25, 1e-4, 1.5e-5, 1e-7, -2e-10, 1e22, 1.5e300),
    *("", 'a "b" \\ /', "\n\t\u0001\u007f", "Straße 東京 😀", "\ud800", "é" * 10, "é" * 9 + "1234"),
    *([], [1, [2, "x"]], {}, {"scale": 0.5, "zero_point": [None]}, list(range(99)), "x" * 99),
)
"""Of every kind in JSON; no whole number is written with a point, which JavaScript cannot tell."""


def shown() -> list[dict[str, Any]]:
    """Returns values, and the text that stands for each in messages."""
    return [{"value": value, "text": manifest.shown(value)} for value in VALUES]
