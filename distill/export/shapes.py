"""The operators of a bundle: what each may read, and the shape that it writes.

TensorFlow Lite's operators compute these shapes anew. Where a file says the same of all of them,
its sizes are known before it is run, and no index that it holds leads out of a tensor.
"""

import math
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

from distill.export.structure import UnsoundError

SAME, VALID = 0, 1  # paddings
# Of what an operator makes of the scales of its inputs, relative to its output's; beyond, kernels
# end the process.
MIN_RATIO, MAX_RATIO = 2.0**-48, 2.0**16
MAX_STEP = 2**15  # of strides, dilations, filters and paddings
FLOATS, QUANTIZED = ("float32",), ("int8", "uint8")
VALUES = (*FLOATS, *QUANTIZED)
BIASES = {"float32": "float32", "int8": "int32", "uint8": "int32"}


class Rule(NamedTuple):
    """What an operator may be.

    Attributes:
      name: in TensorFlow Lite's schema.
      kind: which of the functions below checks it.
      inputs: how many it reads: at least, at most.
      options: their type in the schema, 0 for none.
    """

    name: str
    kind: str
    inputs: tuple[int, int]
    options: int


# TensorFlow Lite's schema lets a convolution have no bias, and its depthwise kernel then crashes.
OPERATORS = {
    0: Rule("ADD", "broadcast", (2, 2), 11),
    1: Rule("AVERAGE_POOL_2D", "pool", (1, 1), 5),
    2: Rule("CONCATENATION", "concatenation", (1, 2**10), 10),
    3: Rule("CONV_2D", "conv", (3, 3), 1),
    4: Rule("DEPTHWISE_CONV_2D", "depthwise", (3, 3), 2),
    6: Rule("DEQUANTIZE", "dequantize", (1, 1), 38),
    9: Rule("FULLY_CONNECTED", "dense", (2, 3), 8),
    14: Rule("LOGISTIC", "same", (1, 1), 0),
    17: Rule("MAX_POOL_2D", "pool", (1, 1), 5),
    18: Rule("MUL", "broadcast", (2, 2), 21),
    19: Rule("RELU", "same", (1, 1), 0),
    21: Rule("RELU6", "same", (1, 1), 0),
    22: Rule("RESHAPE", "reshape", (1, 2), 17),
    23: Rule("RESIZE_BILINEAR", "resize", (2, 2), 15),
    25: Rule("SOFTMAX", "softmax", (1, 1), 9),
    28: Rule("TANH", "same", (1, 1), 0),
    34: Rule("PAD", "pad", (2, 2), 22),
    39: Rule("TRANSPOSE", "transpose", (2, 2), 26),
    40: Rule("MEAN", "reduce", (2, 2), 27),
    41: Rule("SUB", "broadcast", (2, 2), 28),
    42: Rule("DIV", "broadcast", (2, 2), 29),
    43: Rule("SQUEEZE", "squeeze", (1, 1), 30),
    45: Rule("STRIDED_SLICE", "strided_slice", (4, 4), 32),
    55: Rule("MAXIMUM", "broadcast", (2, 2), 39),
    57: Rule("MINIMUM", "broadcast", (2, 2), 39),
    60: Rule("PADV2", "pad", (3, 3), 43),
    65: Rule("SLICE", "slice", (3, 3), 48),
    67: Rule("TRANSPOSE_CONV", "transpose_conv", (3, 4), 49),
    74: Rule("SUM", "reduce", (2, 2), 27),
    76: Rule("RSQRT", "same", (1, 1), 0),
    82: Rule("REDUCE_MAX", "reduce", (2, 2), 27),
    97: Rule("RESIZE_NEAREST_NEIGHBOR", "resize", (2, 2), 74),
    98: Rule("LEAKY_RELU", "leaky", (1, 1), 75),
    99: Rule("SQUARED_DIFFERENCE", "broadcast", (2, 2), 76),
    114: Rule("QUANTIZE", "quantize", (1, 1), 89),
    117: Rule("HARD_SWISH", "same", (1, 1), 91),
}
PRODUCTS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MUL", "TRANSPOSE_CONV")
NEEDS_OPTIONS = ("pool", "concatenation", "conv", "depthwise", "softmax", "strided_slice",
                 "transpose_conv")  # fmt: skip


def check(rule: Rule, read: Sequence[Any], output: Any, options: Any, what: str) -> int:
    """Checks an operator.

    Args:
      rule: of the operator.
      read: the tensors that it reads; None where one is left out.
      output: the tensor that it writes.
      options: its options, or None.
      what: names it in messages.

    Returns:
      How many operations it takes: multiply-accumulates, or values.

    Raises:
      UnsoundError: for the first thing that is wrong.
    """
    at = _Operator(read, output, options or {}, what)
    low, high = rule.inputs
    at.need(low <= len(read) <= high, f"{low} to {high} inputs", len(read))
    at.need(all(t is not None for t in read[:low]), "an input", "none")
    at.need(options is not None or rule.kind not in NEEDS_OPTIONS, "options", "none")
    at.need(0 <= at.options.get("fused", 0) <= 3, "a known activation", at.options.get("fused"))
    at.need(_scales_fit(rule.name, read, output), "scales that fit the output's", "another")
    return KINDS[rule.kind](at)


def _scales_fit(name: str, read: Sequence[Any], output: Any) -> bool:
    """Whether the scales of quantised inputs and of the output can be of one computation."""
    widths = [max(t.scale) for t in read if t is not None and t.dtype in QUANTIZED]
    if output.dtype not in QUANTIZED or not widths:
        return True
    if name in PRODUCTS:
        width = math.prod(widths[:2])
    elif name == "SQUARED_DIFFERENCE":
        width = max(widths) ** 2
    elif name == "DIV":
        width = widths[0] / widths[-1]
    else:
        width = max(widths)
    return MIN_RATIO * output.scale[0] < width < MAX_RATIO * output.scale[0]


class _Operator(NamedTuple):
    read: Sequence[Any]
    output: Any
    options: dict[str, Any]
    what: str

    def need(self, holds: bool, expected: object, found: object) -> None:
        if not holds:
            raise UnsoundError(self.what, expected, found)

    def types(self, index: int = 0) -> None:
        """An input of values, and an output of the same type."""
        dtype = self.read[index].dtype
        self.need(dtype in VALUES, "numbers of a known type", dtype)
        self.need(self.output.dtype == dtype, f"an output of {dtype}", self.output.dtype)

    def writes(self, shape: Sequence[int]) -> int:
        """The output has this shape."""
        self.need(tuple(shape) == self.output.shape, list(shape), list(self.output.shape))
        return math.prod(shape)

    def rank(self, index: int, rank: int) -> tuple[int, ...]:
        """An input has so many dimensions."""
        shape = self.read[index].shape
        self.need(len(shape) == rank, f"{rank} dimensions", list(shape))
        return shape

    def step(self, *names: str) -> list[int]:
        """Options that are lengths."""
        values = [self.options[name] for name in names]
        for name, value in zip(names, values, strict=True):
            self.need(1 <= value <= MAX_STEP, f"{name} from 1 to {MAX_STEP}", value)
        return values

    def integers(self, index: int, count: int | None = None) -> tuple[int, ...]:
        """The values of an input that has to be a constant of whole numbers."""
        tensor = self.read[index]
        self.need(tensor is not None, "an input", "none")
        self.need(tensor.dtype == "int32", "int32", tensor.dtype)
        self.need(tensor.constant is not None, "a constant", "none")
        numbers = struct.unpack(f"<{tensor.elements}i", tensor.constant)
        self.need(count in (None, len(numbers)), f"{count} numbers", len(numbers))
        return numbers

    def weights(self, image: int, index: int, *narrower: str) -> None:
        """Weights of the image's type; for floats int8 too, and for int8 what is `narrower`."""
        of, dtype = self.read[image].dtype, self.read[index].dtype
        fits = dtype == of or (of == "float32" and dtype == "int8")
        fits = fits or (of == "int8" and dtype in narrower)
        self.need(fits, f"weights for {of}", dtype)

    def bias(self, image: int, index: int, channels: int) -> None:
        """An input that may be left out: a number for each channel."""
        if len(self.read) <= index or self.read[index] is None:
            return
        bias, dtype = self.read[index], BIASES[self.read[image].dtype]
        self.need(bias.shape == (channels,), [channels], list(bias.shape))
        self.need(bias.dtype == dtype, f"a bias of {dtype}", bias.dtype)

    def window(self, size: int, window: int, stride: int, dilation: int = 1) -> int:
        """Returns how often a window fits along a side."""
        padding = self.options["padding"]
        self.need(padding in (SAME, VALID), "a known padding", padding)
        covered = (window - 1) * dilation + 1
        count = -(-size // stride) if padding == SAME else (size - covered) // stride + 1
        self.need(count > 0, f"a window of at most {size}", covered)
        return count


def _same(at: _Operator) -> int:
    at.types()
    return at.writes(at.read[0].shape)


def _softmax(at: _Operator) -> int:
    at.need(0 < at.options["beta"] <= MAX_STEP, "a beta above 0", "another")
    at.need(len(at.read[0].shape) > 0, "1 dimension or more", 0)
    return _same(at)


def _leaky(at: _Operator) -> int:
    at.need(abs(at.options.get("alpha", 0.0)) <= MAX_STEP, "a finite alpha", "another")
    return _same(at)


def _quantize(at: _Operator) -> int:
    dtype, output = at.read[0].dtype, at.output.dtype
    at.need(dtype in VALUES, "numbers of a known type", dtype)
    at.need(output in QUANTIZED, "an output of integers", output)
    return at.writes(at.read[0].shape)


def _dequantize(at: _Operator) -> int:
    dtype, output = at.read[0].dtype, at.output.dtype
    at.need(dtype in ("float16", *QUANTIZED), "float16 or integers", dtype)
    at.need(output == "float32", "an output of float32", output)
    return at.writes(at.read[0].shape)


def _broadcast(at: _Operator) -> int:
    at.types(0)
    at.types(1)
    a, b = at.read[0].shape, at.read[1].shape
    rank = max(len(a), len(b))
    at.need(rank <= 4, "at most 4 dimensions", rank)
    pairs = list(zip((1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b, strict=True))
    fits = all(x == y or 1 in (x, y) for x, y in pairs)
    at.need(fits, f"sizes that fit {list(a)}", list(b))
    return at.writes([max(pair) for pair in pairs])


def _concatenation(at: _Operator) -> int:
    first = list(at.read[0].shape)
    axis = _axis(at, at.options["axis"], len(first))
    total = 0
    for index, tensor in enumerate(at.read):
        at.need(tensor is not None, "an input", "none")
        at.types(index)
        shape = list(tensor.shape)
        others = len(shape) == len(first) and shape[:axis] == first[:axis]
        at.need(others and shape[axis + 1 :] == first[axis + 1 :], f"sizes that fit {first}", shape)
        total += shape[axis]
    return at.writes([*first[:axis], total, *first[axis + 1 :]])


def _conv(at: _Operator) -> int:
    at.types()
    at.weights(0, 1, "int4")
    (images, rows, columns, channels), (filters, height, width, depth) = (
        at.rank(0, 4),
        at.rank(1, 4),
    )
    stride_h, stride_w, down, across = at.step("stride_h", "stride_w", "dilation_h", "dilation_w")
    at.need(channels % depth == 0, f"a filter for {channels} channels", depth)
    groups = channels // depth
    at.need(filters % groups == 0, f"filters for {groups} groups", filters)
    at.bias(0, 2, filters)
    high, wide = (
        at.window(rows, height, stride_h, down), at.window(columns, width, stride_w, across)
    )  # fmt: skip
    return at.writes((images, high, wide, filters)) * height * width * depth


def _depthwise(at: _Operator) -> int:
    at.types()
    at.weights(0, 1, "int4")
    (images, rows, columns, channels), (one, height, width, filters) = at.rank(0, 4), at.rank(1, 4)
    stride_h, stride_w, down, across = at.step("stride_h", "stride_w", "dilation_h", "dilation_w")
    (multiplier,) = at.step("multiplier")
    at.need(
        (one, filters) == (1, channels * multiplier), [1, channels * multiplier], [one, filters]
    )
    at.bias(0, 2, filters)
    high, wide = (
        at.window(rows, height, stride_h, down), at.window(columns, width, stride_w, across)
    )  # fmt: skip
    return at.writes((images, high, wide, filters)) * height * width


def _pool(at: _Operator) -> int:
    at.types()
    images, rows, columns, channels = at.rank(0, 4)
    stride_h, stride_w, height, width = at.step("stride_h", "stride_w", "filter_h", "filter_w")
    shape = (
        images, at.window(rows, height, stride_h), at.window(columns, width, stride_w), channels
    )  # fmt: skip
    return at.writes(shape) * height * width


def _dense(at: _Operator) -> int:
    at.types()
    at.weights(0, 1, "int4")
    units, columns = at.rank(1, 2)
    layout = at.options.get("format", 0)
    at.need(layout == 0, "weights as usual", layout)
    at.bias(0, 2, units)
    shape, elements = at.read[0].shape, at.read[0].elements
    at.need(elements % columns == 0, f"rows of {columns}", list(shape))
    if at.options.get("keep", 0):
        at.need(shape[-1:] == (columns,), f"rows of {columns}", list(shape))
        written = (*shape[:-1], units)
    else:
        written = (elements // columns, units)
    return at.writes(written) * columns


def _reshape(at: _Operator) -> int:
    at.types()
    elements = at.read[0].elements
    wanted = list(at.integers(1) if len(at.read) > 1 else at.options.get("shape", ()))
    known = math.prod(size for size in wanted if size != -1)
    at.need(known > 0 and wanted.count(-1) <= 1, "sizes above 0, but for one", wanted)
    if -1 in wanted:
        wanted[wanted.index(-1)] = elements // known
    at.need(math.prod(wanted) == elements, f"sizes of {elements} values", wanted)
    return at.writes(wanted)


def _squeeze(at: _Operator) -> int:
    at.types()
    shape = at.read[0].shape
    listed = at.options.get("dims", ())
    axes = {_axis(at, axis, len(shape)) for axis in listed}
    for axis in axes:
        at.need(shape[axis] == 1, "dimensions of size 1", list(shape))
    return at.writes([s for i, s in enumerate(shape) if i not in axes and (listed or s != 1)])


def _reduce(at: _Operator) -> int:
    at.types()
    shape = at.read[0].shape
    axes = {_axis(at, axis, len(shape)) for axis in at.integers(1)}
    kept = at.options.get("keep", 0)
    written = [1 if i in axes else s for i, s in enumerate(shape) if kept or i not in axes]
    at.writes(written)
    return at.read[0].elements


def _pad(at: _Operator) -> int:
    at.types()
    shape = at.read[0].shape
    at.need(len(shape) <= 5, "at most 5 dimensions", len(shape))
    pads = at.integers(1, 2 * len(shape))
    at.need(at.read[1].shape == (len(shape), 2), [len(shape), 2], list(at.read[1].shape))
    at.need(all(0 <= p <= MAX_STEP for p in pads), f"paddings from 0 to {MAX_STEP}", list(pads))
    if len(at.read) > 2:
        at.types(2)
        at.need(at.read[2].elements == 1, "1 value to pad with", at.read[2].elements)
    return at.writes([s + pads[2 * i] + pads[2 * i + 1] for i, s in enumerate(shape)])


def _slice(at: _Operator) -> int:
    at.types()
    shape = at.read[0].shape
    at.need(len(shape) <= 5, "at most 5 dimensions", len(shape))
    begin, size = at.integers(1, len(shape)), at.integers(2, len(shape))
    written = []
    for whole, first, count in zip(shape, begin, size, strict=True):
        count = whole - first if count == -1 else count
        at.need(first >= 0 and 0 < count <= whole - first, f"a part of {whole}", [first, count])
        written.append(count)
    return at.writes(written)


def _strided_slice(at: _Operator) -> int:
    at.types()
    shape, options = at.read[0].shape, at.options
    at.need(len(shape) <= 5, "at most 5 dimensions", len(shape))
    begin, end, stride = (at.integers(index, len(shape)) for index in (1, 2, 3))
    for name in ("ellipsis", "new", "offset"):
        at.need(options[name] == 0, f"no {name}", options[name])
    written = []
    for i, whole in enumerate(shape):
        at.need(1 <= stride[i] <= MAX_STEP, f"strides from 1 to {MAX_STEP}", stride[i])
        first = 0 if options["begin"] >> i & 1 else begin[i] + whole * (begin[i] < 0)
        last = whole if options["end"] >> i & 1 else end[i] + whole * (end[i] < 0)
        if options["shrink"] >> i & 1:
            at.need(0 <= first < whole and stride[i] == 1, f"one of {whole}", first)
            continue
        at.need(0 <= first < min(last, whole), f"a part of {whole}", [first, last])
        written.append(-(-(min(last, whole) - first) // stride[i]))
    return at.writes(written)


def _transpose(at: _Operator) -> int:
    at.types()
    shape = at.read[0].shape
    order = at.integers(1, len(shape))
    at.need(sorted(order) == list(range(len(shape))), f"an order of {len(shape)}", list(order))
    return at.writes([shape[axis] for axis in order])


def _resize(at: _Operator) -> int:
    at.types()
    images, _, _, channels = at.rank(0, 4)
    rows, columns = at.integers(1, 2)
    at.need(
        0 < rows <= MAX_STEP and 0 < columns <= MAX_STEP, f"sizes to {MAX_STEP}", [rows, columns]
    )
    return at.writes((images, rows, columns, channels))


def _transpose_conv(at: _Operator) -> int:
    at.types(2)
    at.weights(2, 1)
    shape = at.integers(0, 4)
    (filters, height, width, depth), image = at.rank(1, 4), at.rank(2, 4)
    stride_h, stride_w = at.step("stride_h", "stride_w")
    at.bias(2, 3, filters)
    sides = all(0 < size <= MAX_STEP for size in shape[1:3])
    at.need(sides, f"sizes to {MAX_STEP}", list(shape))
    fits = (
        shape[0], at.window(shape[1], height, stride_h), at.window(shape[2], width, stride_w), depth
    )  # fmt: skip
    at.need(fits == image, list(fits), list(image))
    at.need(shape[3] == filters, filters, shape[3])
    at.writes(shape)
    return at.read[2].elements * height * width * filters


def _axis(at: _Operator, axis: int, rank: int) -> int:
    at.need(-rank <= axis < rank, f"a dimension of {rank}", axis)
    return axis % rank


KINDS = {
    "same": _same, "softmax": _softmax, "leaky": _leaky, "quantize": _quantize,
    "dequantize": _dequantize, "broadcast": _broadcast, "concatenation": _concatenation,
    "conv": _conv, "depthwise": _depthwise, "pool": _pool, "dense": _dense, "reshape": _reshape,
    "squeeze": _squeeze, "reduce": _reduce, "pad": _pad, "slice": _slice,
    "strided_slice": _strided_slice, "transpose": _transpose, "resize": _resize,
    "transpose_conv": _transpose_conv,
}  # fmt: skip
