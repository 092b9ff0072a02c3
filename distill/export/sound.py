"""Whether a `.tflite` file is sound, decided before an interpreter sees it.

An interpreter trusts what it is given more than a reader of other people's bundles may: sizes that
do not fit one another, indices that lead nowhere and operators that ask for gigabytes have ended
processes. So the file has to be a single graph of known operators in order of execution, whose
constants have the bytes that their shapes need, and whose every shape is the one that its operator
makes of what it reads; see `shapes`. The readers in Kotlin and JavaScript check the same, in the
same order and with the same words.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from distill.export import shapes, structure
from distill.export.structure import UnsoundError

VERSION = 3
MAX_RANK = 6
MAX_ELEMENTS = 2**28  # of a tensor, and of all together that are no constants
MAX_OPERATORS = 2**12
MAX_WORK = 2**35  # multiply-accumulates for an image; a VGG16 of 224x224 pixels has half of it
TYPES = {0: "float32", 1: "float16", 2: "int32", 3: "uint8", 9: "int8", 17: "int4"}
ITEM_BYTES = {"float32": 4, "float16": 2, "int32": 4, "uint8": 1, "int8": 1, "int4": 0.5}
RANGES = {  # of a zero point
    "int8": (-128, 127), "uint8": (0, 255), "int32": (0, 0), "int4": (0, 0),
}  # fmt: skip


class Tensor(NamedTuple):
    """A tensor of a file.

    Attributes:
      shape: of fixed sizes.
      dtype: its type.
      constant: the bytes of its values, or None where an operator writes it.
      scale, zero_point: of its quantisation; none, one, or one for each channel.
    """

    shape: tuple[int, ...]
    dtype: str
    constant: memoryview | None
    scale: tuple[float, ...]
    zero_point: tuple[int, ...]

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


def check(data: bytes, image: Mapping[str, Any], scores: Mapping[str, Any]) -> None:
    """Checks a file, and that its input and output are those of a manifest.

    Args:
      data: the contents of the file.
      image, scores: the sections `input` and `output` of a manifest.

    Raises:
      UnsoundError: for the first thing that is wrong.
    """
    model = structure.read(data)
    _need(model["version"] == VERSION, "version", VERSION, model["version"])
    graphs = model["graphs"]
    _need(len(graphs) == 1, "subgraphs", 1, len(graphs))
    graph = graphs[0]
    tensors = [
        _tensor(data, model["buffers"], each, f"tensor {i}")
        for i, each in enumerate(graph["tensors"])
    ]
    for name, described in (("inputs", image), ("outputs", scores)):
        _need(len(graph[name]) == 1, name, 1, len(graph[name]))
        index = graph[name][0]
        _need(0 <= index < len(tensors), name, f"a tensor of {len(tensors)}", index)
        _check_described(tensors[index], described, name)
    _check_operators(model, graph, tensors, image["shape"][0])
    for i, signature in enumerate(model["signatures"]):
        what = f"signature {i}"
        _need(signature["graph"] == 0, what, "graph 0", signature["graph"])
        for name in ("inputs", "outputs"):
            named = [entry["tensor"] for entry in signature[name]]
            _need(named == list(graph[name]), f"{what}, {name}", list(graph[name]), named)


def _tensor(data: bytes, buffers: Sequence[Any], described: dict[str, Any], what: str) -> Tensor:
    _need(described["type"] in TYPES, what, "a known type", described["type"])
    shape, dtype = tuple(described["shape"]), TYPES[described["type"]]
    _need(len(shape) <= MAX_RANK, what, f"at most {MAX_RANK} dimensions", len(shape))
    _need(all(size > 0 for size in shape), what, "sizes above 0", list(shape))
    elements = math.prod(shape)
    _need(elements <= MAX_ELEMENTS, what, f"at most {MAX_ELEMENTS} values", list(shape))
    signature = tuple(described["signature"])
    _need(signature in ((), shape), what, "sizes that are fixed", list(signature))
    buffer = described["buffer"]
    _need(buffer < len(buffers), what, f"a buffer of {len(buffers)}", buffer)
    constant = None
    place = buffers[buffer]["data"]
    if place is not None and place[1] > 0:
        start, length = place
        size = math.ceil(elements * ITEM_BYTES[dtype])
        _need(length == size, what, f"{size} bytes", length)
        apart = math.ceil(ITEM_BYTES[dtype])
        _need(start % apart == 0, what, f"values at a multiple of {apart}", start)
        constant = memoryview(data)[start : start + length]
    scale, zero_point = _quantization(described["quantization"], shape, dtype, what)
    if dtype == "int4":
        _need(constant is not None, what, "a constant", "none")
    if dtype in ("int8", "uint8", "int4"):
        _need(bool(scale), what, "a scale", "none")
        _need(len(scale) == 1 or constant is not None, what, "one scale", len(scale))
    return Tensor(shape, dtype, constant, scale, zero_point)


def _quantization(
    described: dict[str, Any] | None, shape: tuple[int, ...], dtype: str, what: str
) -> tuple[tuple[float, ...], tuple[int, ...]]:
    if described is None or not described["scale"]:
        return (), ()
    scale, zero_point = tuple(described["scale"]), tuple(described["zero"])
    _need(dtype in RANGES, what, f"no scale for {dtype}", len(scale))
    _need(len(zero_point) == len(scale), what, f"{len(scale)} zero points", len(zero_point))
    _need(all(0 < s < math.inf for s in scale), what, "scales above 0", "another")
    low, high = RANGES[dtype]
    _need(
        all(low <= z <= high for z in zero_point),
        what,
        f"zero points from {low} to {high}",
        "another",
    )
    if len(scale) > 1:
        axis = described["axis"]
        _need(0 <= axis < len(shape), what, f"a dimension of {len(shape)}", axis)
        _need(len(scale) == shape[axis], what, f"{shape[axis]} scales", len(scale))
    return scale, zero_point


def _check_described(tensor: Tensor, described: Mapping[str, Any], what: str) -> None:
    """Checks an input or output against a manifest."""
    _need(tensor.constant is None, what, "no constant", "one")
    shape = list(tensor.shape)
    _need(shape == list(described["shape"]), f"{what}, shape", list(described["shape"]), shape)
    _need(tensor.dtype == described["dtype"], f"{what}, type", described["dtype"], tensor.dtype)
    quantization = described["quantization"]
    if quantization is not None:
        same = (tensor.scale, tensor.zero_point) == (
            (quantization["scale"],), (quantization["zero_point"],),
        )  # fmt: skip
        _need(same, f"{what}, scale", "that of model.json", "another")


def _check_operators(
    model: dict[str, Any], graph: dict[str, Any], tensors: list[Tensor], images: int
) -> None:
    """Checks each operator, that what it reads is there, and what all of them cost."""
    operators = graph["operators"]
    _need(0 < len(operators) <= MAX_OPERATORS, "operators", f"1 to {MAX_OPERATORS}", len(operators))
    there = [tensor.constant is not None for tensor in tensors]
    there[graph["inputs"][0]] = True
    taken = False
    work = elements = 0
    for i, operator in enumerate(operators):
        what = f"operator {i}"
        codes = model["codes"]
        _need(operator["code"] < len(codes), what, f"a code of {len(codes)}", operator["code"])
        code = codes[operator["code"]]
        number = max(code["old"], code["builtin"])
        _need(number in shapes.OPERATORS, what, "a known operator", number)
        _need(code["version"] > 0, what, "a version above 0", code["version"])
        rule = shapes.OPERATORS[number]
        what = f"{what} {rule.name}"
        _need(not any(operator["mutating"]), what, "no variables", "one")
        _need(not operator["intermediates"], what, "no intermediates", "some")
        options = operator["options"]
        _need(
            options is None or operator["options_type"] == rule.options,
            what, "its own options", operator["options_type"],
        )  # fmt: skip
        read = []
        for index in operator["inputs"]:
            _need(-1 <= index < len(tensors), what, f"an input of {len(tensors)}", index)
            _need(index == -1 or there[index], what, "an input that is there", index)
            read.append(None if index == -1 else tensors[index])
            taken = taken or index == graph["inputs"][0]
        written = operator["outputs"]
        _need(len(written) == 1, what, "1 output", len(written))
        _need(0 <= written[0] < len(tensors), what, f"an output of {len(tensors)}", written[0])
        _need(not there[written[0]], what, "an output that is not there", written[0])
        there[written[0]] = True
        output = tensors[written[0]]
        work += shapes.check(rule, read, output, options, what)
        elements += output.elements
        _need(elements <= MAX_ELEMENTS, what, f"at most {MAX_ELEMENTS} values in all", elements)
        _need(
            work <= MAX_WORK * images, what, f"at most {MAX_WORK * images} operations in all", work
        )
    _need(taken, "inputs", "a tensor that is read", graph["inputs"][0])
    output = graph["outputs"][0]
    _need(there[output], "outputs", "a tensor that is written", output)


def _need(holds: bool, what: str, expected: object, found: object) -> None:
    if not holds:
        raise UnsoundError(what, expected, found)
