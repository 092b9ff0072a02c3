"""Small `.tflite` files for the bundles in `mobile/golden`: sound ones, and hostile ones.

The hostile ones are what somebody might write who knows the schema: each has a single fault, that
an interpreter would follow out of a tensor or into gigabytes, and the hash of its bundle fits.
"""

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from distill.export import flatbuffer

BYTE_SCALE = float(np.float32(1 / 255))
CODES, TYPES = schema.BuiltinOperator, schema.TensorType
NUMPY = {TYPES.FLOAT32: np.float32, TYPES.INT8: np.int8, TYPES.INT32: np.int32}


class Graph:
    """A file that grows by one operator after the other, each reading what the last has written."""

    def __init__(self, shape: Sequence[int], dtype: int, quantization: tuple | None = None) -> None:
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.operatorCodes, self.model.buffers = [], [schema.BufferT()]
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.model.subgraphs = [self.graph]
        self.last = self.tensor(shape, dtype, quantization)
        self.graph.inputs = [self.last]

    def tensor(self, shape: Sequence[int], dtype: int, quantization: tuple | None = None) -> int:
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.hasRank = list(shape), dtype, True
        if quantization:
            scale, zero_point = quantization
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = [scale], [zero_point]
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def constant(
        self, values: Any, dtype: int = TYPES.INT32, quantization: tuple | None = None
    ) -> int:
        array = np.asarray(values, NUMPY[dtype])
        index = self.tensor(array.shape, dtype, quantization)
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(array.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        self.graph.tensors[index].buffer = len(self.model.buffers) - 1
        return index

    def add(
        self, name: str, shape: Sequence[int], options: Any, *constants: int,
        first: bool = False, quantization: tuple | None = None, **fields: Any,
    ) -> None:  # fmt: skip
        """Adds an operator; with `first` the constants are read before what was written last."""
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(CODES, name)
        code.version = 1
        self.model.operatorCodes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.model.operatorCodes) - 1
        operator.inputs = [*constants, self.last] if first else [self.last, *constants]
        if options is not None:
            operator.builtinOptions = options()
            for field, value in fields.items():
                setattr(operator.builtinOptions, field, value)
            operator.builtinOptionsType = getattr(
                schema.BuiltinOptions, options.__name__.removesuffix("T")
            )
        dtype = self.graph.tensors[self.last].type
        self.last = self.tensor(shape, dtype, quantization)
        operator.outputs = [self.last]
        self.graph.operators.append(operator)

    def finished(self) -> schema.ModelT:
        self.graph.outputs = [self.last]
        return self.model


def classifier(dtype: str) -> schema.ModelT:
    """Three classes of four pixels: flattened, a dense layer, softmax."""
    if dtype == "float32":
        number, scales = TYPES.FLOAT32, (None,) * 4
        weights, biases = np.arange(12).reshape(3, 4) / 4, np.array([0.0, 0.5, -0.5])
    else:
        number, scales = TYPES.INT8, ((BYTE_SCALE, -128), (0.5, 0), (0.25, 0), (1 / 256, -128))
        weights, biases = np.arange(12).reshape(3, 4), np.array([0, 1, -1])
    image, kernel, dense, scores = scales
    graph = Graph((1, 2, 2, 1), number, image)
    graph.add(
        "RESHAPE", (1, 4), schema.ReshapeOptionsT, graph.constant([1, -1]), quantization=image
    )
    kernel_index = graph.constant(weights, number, kernel)
    if dtype == "float32":
        bias = graph.constant(biases, TYPES.FLOAT32)
    else:
        bias = graph.constant(biases, TYPES.INT32, (BYTE_SCALE * 0.5, 0))
    graph.add(
        "FULLY_CONNECTED", (1, 3), schema.FullyConnectedOptionsT, kernel_index, bias,
        quantization=dense,
    )  # fmt: skip
    graph.add("SOFTMAX", (1, 3), schema.SoftmaxOptionsT, beta=1.0, quantization=scores)
    return graph.finished()


def everything() -> schema.ModelT:
    """Three classes of four pixels, by one operator of each kind that a bundle may have."""
    flat = TYPES.FLOAT32
    graph = Graph((1, 2, 2, 1), flat)
    add, constant = graph.add, graph.constant

    def numbers(*shape: int) -> int:
        return constant(np.arange(math.prod(shape)).reshape(shape) / 8, flat)

    add("PAD", (1, 6, 5, 1), schema.PadOptionsT, constant([[0, 0], [1, 3], [2, 1], [0, 0]]))
    add(
        "CONV_2D",
        (1, 3, 3, 2),
        schema.Conv2DOptionsT,
        numbers(2, 3, 3, 1),
        numbers(2),
        padding=0,
        strideW=2,
        strideH=2,
        dilationWFactor=1,
        dilationHFactor=1,
    )
    add(
        "DEPTHWISE_CONV_2D",
        (1, 2, 2, 4),
        schema.DepthwiseConv2DOptionsT,
        numbers(1, 2, 2, 4),
        numbers(4),
        padding=1,
        strideW=1,
        strideH=1,
        depthMultiplier=2,
        dilationWFactor=1,
        dilationHFactor=1,
    )
    add("LEAKY_RELU", (1, 2, 2, 4), schema.LeakyReluOptionsT, alpha=0.25)
    add("RESIZE_BILINEAR", (1, 4, 5, 4), schema.ResizeBilinearOptionsT, constant([4, 5]))
    add(
        "MAX_POOL_2D",
        (1, 3, 2, 4),
        schema.Pool2DOptionsT,
        padding=1,
        strideW=2,
        strideH=1,
        filterWidth=2,
        filterHeight=2,
    )
    add("TRANSPOSE", (1, 4, 3, 2), schema.TransposeOptionsT, constant([0, 3, 1, 2]))
    add("ADD", (1, 4, 3, 2), schema.AddOptionsT, numbers(3, 1))
    add(
        "SLICE", (1, 3, 3, 2), schema.SliceOptionsT, constant([0, 1, 0, 0]), constant([1, 3, -1, 2])
    )
    add(
        "STRIDED_SLICE",
        (3, 2, 2),
        schema.StridedSliceOptionsT,
        constant([0, 0, -3, 0]),
        constant([1, 9, 3, 2]),
        constant([1, 1, 2, 1]),
        beginMask=2,
        endMask=8,
        shrinkAxisMask=1,
    )
    add("CONCATENATION", (3, 2, 5), schema.ConcatenationOptionsT, numbers(3, 2, 3), axis=-1)
    add("MEAN", (3, 1, 5), schema.ReducerOptionsT, constant([-2]), keepDims=True)
    add("SQUEEZE", (3, 5), schema.SqueezeOptionsT, squeezeDims=[1])
    add("RESHAPE", (1, 3, 5, 1), schema.ReshapeOptionsT, newShape=[1, 3, -1, 1])
    add(
        "TRANSPOSE_CONV",
        (1, 6, 9, 2),
        schema.TransposeConvOptionsT,
        constant([1, 6, 9, 2]),
        numbers(2, 3, 3, 1),
        first=True,
        padding=0,
        strideW=2,
        strideH=2,
    )
    add(
        "FULLY_CONNECTED",
        (1, 6, 9, 4),
        schema.FullyConnectedOptionsT,
        numbers(4, 2),
        keepNumDims=True,
    )
    add("SUM", (1, 4), schema.ReducerOptionsT, constant([1, 2]))
    add("FULLY_CONNECTED", (1, 3), schema.FullyConnectedOptionsT, numbers(3, 4))
    add("LOGISTIC", (1, 3), None)
    return graph.finished()  # fmt: skip


Change = Callable[[schema.ModelT], None]


def hostile() -> dict[str, bytes]:
    """Returns files by the name of their fault."""
    found = {}
    for name, (make, change) in CHANGES.items():
        model = make()
        change(model)
        found[name] = flatbuffer.pack(model)
    whole = flatbuffer.pack(classifier("float32"))
    for name, patch in PATCHES.items():
        found[name] = patch(bytearray(whole))
    return found


def _float() -> schema.ModelT:
    return classifier("float32")


def _int8() -> schema.ModelT:
    return classifier("int8")


def _set(path: str, value: Any) -> Change:
    """Returns a change of one field, as `tensors.3.shape` of the graph or `model.version`."""

    def change(model: schema.ModelT) -> None:
        *parents, last = path.split(".")
        at: Any = model if parents and parents[0] == "model" else model.subgraphs[0]
        for name in parents[1:] if parents and parents[0] == "model" else parents:
            at = at[int(name)] if name.isdigit() else getattr(at, name)
        setattr(at, last, value)

    return change


def _data(tensor: int, values: Any) -> Change:
    """Returns a change of the numbers of a constant, whose shape stays."""

    def change(model: schema.ModelT) -> None:
        buffer = model.buffers[model.subgraphs[0].tensors[tensor].buffer]
        buffer.data = np.frombuffer(np.asarray(values, np.int32).tobytes(), np.uint8)

    return change


def _int4() -> schema.ModelT:
    return flatbuffer.parse(flatbuffer.four_bits(flatbuffer.pack(_int8())))


def _four_bits_variable(model: schema.ModelT) -> None:
    flat = model.subgraphs[0].tensors[2]
    flat.type, flat.quantization.zeroPoint = TYPES.INT4, [0]


def _four_bits_of_floats(model: schema.ModelT) -> None:
    kernel = model.subgraphs[0].tensors[3]
    kernel.type, kernel.quantization = TYPES.INT4, _int4().subgraphs[0].tensors[3].quantization
    model.buffers[kernel.buffer].data = np.zeros(6, np.uint8)


def _two_graphs(model: schema.ModelT) -> None:
    model.subgraphs.append(copy.deepcopy(model.subgraphs[0]))


def _custom(model: schema.ModelT) -> None:
    model.operatorCodes[2].builtinCode = model.operatorCodes[2].deprecatedBuiltinCode = CODES.CUSTOM


def _sparse(model: schema.ModelT) -> None:
    model.subgraphs[0].tensors[3].sparsity = schema.SparsityParametersT()


def _depthwise_without_bias(model: schema.ModelT) -> None:
    del model.subgraphs[0].operators[2].inputs[2:]


def _no_data(model: schema.ModelT) -> None:
    model.buffers[2].data = None


CHANGES: dict[str, tuple[Callable[[], schema.ModelT], Change]] = {
    "version": (_float, _set("model.version", 2)),
    "two_graphs": (_float, _two_graphs),
    "no_output": (_float, _set("outputs", [])),
    "input_index": (_float, _set("inputs", [99])),
    "input_constant": (_float, _set("inputs", [3])),
    "input_shape": (_float, _set("tensors.0.shape", [1, 4, 1, 1])),
    "input_type": (_float, _set("tensors.0.type", TYPES.INT32)),
    "int8_input_scale": (_int8, _set("tensors.0.quantization.scale", [0.5])),
    "type_unknown": (_float, _set("tensors.1.type", TYPES.STRING)),
    "size_zero": (_float, _set("tensors.2.shape", [0, 4])),
    "size_negative": (_float, _set("tensors.2.shape", [-1, 4])),
    "size_huge": (_float, _set("tensors.2.shape", [2**30, 4])),
    "many_dimensions": (_float, _set("tensors.2.shape", [1] * 7)),
    "size_free": (_float, _set("tensors.0.shapeSignature", [-1, 2, 2, 1])),
    "variable": (_float, _set("tensors.2.isVariable", True)),
    "sparse": (_float, _sparse),
    "buffer_index": (_float, _set("tensors.3.buffer", 77)),
    "constant_short": (_float, _set("tensors.3.shape", [3, 5])),
    "constant_missing": (_float, _no_data),
    "int8_no_scale": (_int8, _set("tensors.3.quantization", None)),
    "int8_scale_zero_model": (_int8, _set("tensors.3.quantization.scale", [0.0])),
    "int8_scale_nan": (_int8, _set("tensors.3.quantization.scale", [math.nan])),
    "int8_zero_points": (_int8, _set("tensors.3.quantization.zeroPoint", [])),
    "int8_zero_point_model": (_int8, _set("tensors.3.quantization.zeroPoint", [2**40])),
    "int8_scale_wide": (_int8, _set("tensors.3.quantization.scale", [1e9])),
    "int8_scale_narrow": (_int8, _set("tensors.5.quantization.scale", [1e30])),
    "int8_four_bits_short": (_int4, _set("tensors.3.shape", [3, 5])),
    "int8_four_bits_zero_point": (_int4, _set("tensors.3.quantization.zeroPoint", [1])),
    "int8_four_bits_no_scale": (_int4, _set("tensors.3.quantization", None)),
    "int8_four_bits_variable": (_int8, _four_bits_variable),
    "four_bits_of_floats": (_float, _four_bits_of_floats),
    "operator_custom": (_float, _custom),
    "operator_code": (_float, _set("operators.1.opcodeIndex", 9)),
    "operator_input": (_float, _set("operators.1.inputs", [99, 3, 4])),
    "operator_input_negative": (_float, _set("operators.1.inputs", [-2, 3, 4])),
    "operator_no_weights": (_float, _set("operators.1.inputs", [1, -1, 4])),
    "operator_cycle": (_float, _set("operators.0.inputs", [6, 1])),
    "operator_output": (_float, _set("operators.2.outputs", [99])),
    "operator_overwrites": (_float, _set("operators.1.outputs", [3])),
    "operator_two_outputs": (_float, _set("operators.2.outputs", [5, 6])),
    "operator_other_options": (_float, _set("operators.2.builtinOptionsType", 11)),
    "operators_none": (_float, _set("operators", [])),
    "dense_shape": (_float, _set("tensors.5.shape", [1, 4])),
    "dense_bias": (_float, _set("operators.1.inputs", [2, 3, 3])),
    "softmax_type": (_float, _set("tensors.6.type", TYPES.INT32)),
    "reshape_constant": (_float, _data(1, [2**20, 2**20])),
    "reshape_negative": (_float, _data(1, [-4, -1])),
    "reshape_no_shape": (_float, _set("operators.0.inputs", [0, -1])),
    "pad_negative": (everything, _data(1, [[0, 0], [-1, 5], [2, 1], [0, 0]])),
    "pad_huge": (everything, _data(1, [[0, 0], [2**30, 3], [2, 1], [0, 0]])),
    "conv_stride": (everything, _set("operators.1.builtinOptions.strideW", 0)),
    "conv_dilation": (everything, _set("operators.1.builtinOptions.dilationHFactor", 2**30)),
    "conv_padding": (everything, _set("operators.1.builtinOptions.padding", 7)),
    "conv_shape": (everything, _set("tensors.5.shape", [1, 3, 3, 2**20])),
    "depthwise_multiplier": (everything, _set("operators.2.builtinOptions.depthMultiplier", 3)),
    "depthwise_no_bias": (everything, _depthwise_without_bias),
    "resize_huge": (everything, _data(10, [2**20, 2**20])),
    "pool_filter": (everything, _set("operators.5.builtinOptions.filterWidth", 9)),
    "transpose_twice": (everything, _data(13, [0, 3, 3, 2])),
    "slice_outside": (everything, _data(17, [0, 3, 0, 0])),
    "strided_slice_backwards": (everything, _data(22, [1, 1, -2, 1])),
    "concatenation_axis": (everything, _set("operators.10.builtinOptions.axis", 9)),
    "mean_axis": (everything, _data(26, [7])),
    "transpose_conv_shape": (everything, _data(30, [1, 2**14, 2**14, 2])),
}  # fmt: skip


def _patched(at: int, value: int) -> Callable[[bytearray], bytes]:
    def patch(data: bytearray) -> bytes:
        data[at : at + 4] = value.to_bytes(4, "little")
        return bytes(data)

    return patch


PATCHES: dict[str, Callable[[bytearray], bytes]] = {
    "root_outside": _patched(0, 2**31),
    "root_last": lambda data: _patched(0, len(data) - 4)(data),
    "root_odd": _patched(0, 29),
    "root_none": _patched(0, 0),
    "cut": lambda data: bytes(data[: len(data) // 2 & ~3]),
    "header_only": lambda data: bytes(data[:8]),
}
