"""What is inside a `.tflite` file, read and rewritten through TensorFlow Lite's own schema."""

import collections
import copy
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

ALIGNMENT = 16  # of constants; the schema demands it, and its Python code forgets it
IDENTIFIER = b"TFL3"
_TABLE = 8  # bytes of the table that says where a constant is
FOUR_BITS = {"CONV_2D": 7, "DEPTHWISE_CONV_2D": 7, "FULLY_CONNECTED": 10}  # since which version
_OPERATORS = {v: k for k, v in vars(schema.BuiltinOperator).items() if not k.startswith("_")}
_TYPES = {v: k for k, v in vars(schema.TensorType).items() if not k.startswith("_")}


def parse(model: bytes) -> Any:
    """Returns the contents of a file as objects: a `ModelT` of the schema."""
    return schema.ModelT.InitFromPackedBuf(model)


def operators(model: bytes) -> dict[str, int]:
    """Returns how often each operator occurs, by name; custom ones as `CUSTOM:name`."""
    parsed = parse(model)
    names = _operator_names(parsed)
    graph = [names[op.opcodeIndex] for part in parsed.subgraphs for op in part.operators or []]
    return dict(collections.Counter(graph))


def prefixes(model: bytes) -> list[tuple[str, bytes]]:
    """Cuts a file behind each of its operators.

    Operators before the first that reads the input, which only unpack constants, count to it.

    Returns:
      For each operator its name, and the file whose output is that operator's.
    """
    parsed = parse(model)
    (graph,) = parsed.subgraphs
    names, whole, found = _operator_names(parsed), graph.operators, []
    first = next(i for i, operator in enumerate(whole) if graph.inputs[0] in operator.inputs)
    for end in range(first + 1, len(whole) + 1):
        graph.operators, graph.outputs = whole[:end], whole[end - 1].outputs[:1]
        for signature in parsed.signatureDefs or []:
            signature.outputs[0].tensorIndex = int(graph.outputs[0])
        found.append((names[whole[end - 1].opcodeIndex], pack(parsed)))
    return found


def tensor_types(model: bytes) -> dict[str, int]:
    """Returns how many tensors there are of each type: `FLOAT32`, `INT8`, ..."""
    parsed = parse(model)
    types = [_TYPES[tensor.type] for part in parsed.subgraphs for tensor in part.tensors]
    return dict(collections.Counter(types))


def strip(model: bytes, output: str) -> bytes:
    """Removes from a file what nothing reads when it runs: names of tensors and metadata.

    Args:
      model: the contents of a file with one graph, one input and one output.
      output: name of the output; the input becomes `image`.
    """
    parsed = parse(model)
    (graph,) = parsed.subgraphs
    parsed.description = None
    parsed.metadata = parsed.metadataBuffer = None
    constants = {tensor.buffer for tensor in graph.tensors}
    kept = [i for i in sorted(constants) if _size(parsed.buffers[i])]
    renumbered = {old: new for new, old in enumerate(kept, 1)}
    # The first buffer stands for "no constant", here of all activations.
    parsed.buffers = [schema.BufferT(), *(parsed.buffers[i] for i in kept)]
    for tensor in graph.tensors:
        tensor.name = None
        tensor.buffer = renumbered.get(tensor.buffer, 0)
        tensor.shapeSignature = None  # says which dimensions vary; here none does
        if tensor.quantization is not None and tensor.quantization.scale is None:
            tensor.quantization = None
    graph.name = None
    (image,), (scores,) = graph.inputs, graph.outputs
    graph.tensors[image].name, graph.tensors[scores].name = "image", output
    for signature in parsed.signatureDefs or []:
        signature.inputs[0].name, signature.outputs[0].name = "image", output
    return pack(parsed)


def four_bits(model: bytes) -> bytes:
    """Returns an int8 file whose kernels are rounded to four bits, two numbers to a byte.

    Those of `FOUR_BITS`, with the scale of each channel that makes its largest weight 7 or -7.
    Rounding to int8 before costs nothing of a network that was trained for four bits, and at most a
    thirty-sixth of a step of another. Biases keep 32 bits, in the scale of the products.

    Args:
      model: the contents of a file, of format `int8`.
    """
    parsed = parse(model)
    (graph,) = parsed.subgraphs
    names = _operator_names(parsed)
    finer: dict[int, np.ndarray] = {}  # by how much the scales of a kernel's channels grow
    packed: dict[tuple[int, ...], int] = {}  # what a constant has become, which several may share
    biases: set[int] = set()
    for operator in graph.operators:
        name = names[operator.opcodeIndex]
        if name not in FOUR_BITS:
            continue
        index, bias = operator.inputs[1], operator.inputs[2] if len(operator.inputs) > 2 else -1
        kernel = graph.tensors[index]
        constant = kernel.buffer
        if index not in finer:
            finer[index], data = _rounded(kernel, parsed.buffers[constant])
            kernel.type = schema.TensorType.INT4
            kernel.quantization.scale = (kernel.quantization.scale * finer[index]).astype(
                np.float32
            )
            kernel.buffer = _replaced(parsed, packed, (constant,), data)
        if bias >= 0 and bias not in biases:
            biases.add(bias)
            added = graph.tensors[bias]
            sums = np.round(_values(parsed.buffers[added.buffer], np.int32) / finer[index])
            data = sums.astype(np.int32).view(np.uint8)
            added.quantization.scale = (added.quantization.scale * finer[index]).astype(np.float32)
            added.buffer = _replaced(parsed, packed, (added.buffer, kernel.buffer), data)
        code = parsed.operatorCodes[operator.opcodeIndex]
        code.version = max(code.version, FOUR_BITS[name])
    return pack(parsed)


def _rounded(kernel: schema.TensorT, buffer: schema.BufferT) -> tuple[np.ndarray, np.ndarray]:
    """Returns by how much the scales of a kernel grow, `[channels]` or `[1]`, and its bytes."""
    values = _values(buffer, np.int8).reshape(kernel.shape).astype(np.float64)
    axis, channels = kernel.quantization.quantizedDimension, len(kernel.quantization.scale)
    others = tuple(i for i in range(values.ndim) if channels == 1 or i != axis)
    largest = np.abs(values).max(others, keepdims=True)
    finer = np.where(largest > 0, largest / 7, 1.0)
    rounded = np.round(values / finer).astype(np.int8).reshape(-1)
    pairs = np.append(rounded, np.zeros(len(rounded) % 2, np.int8)).reshape(-1, 2)
    low, high = (pairs[:, i].astype(np.uint8) & 15 for i in range(2))
    return finer.reshape(-1), low | (high << 4)


def _replaced(parsed: Any, packed: dict, of: tuple[int, ...], data: np.ndarray) -> int:
    """Returns the number of a buffer with new data, the same for all that were the same."""
    if of not in packed:
        packed[of] = len(parsed.buffers)
        buffer = schema.BufferT()
        buffer.data = data
        parsed.buffers.append(buffer)
    return packed[of]


def _values(buffer: schema.BufferT, dtype: type) -> np.ndarray:
    return np.frombuffer(np.ascontiguousarray(buffer.data).tobytes(), dtype)


def _operator_names(parsed: Any) -> list[str]:
    names = []
    for code in parsed.operatorCodes:
        name = _OPERATORS[max(code.builtinCode, code.deprecatedBuiltinCode)]
        names.append(f"CUSTOM:{(code.customCode or b'').decode()}" if name == "CUSTOM" else name)
    return names


def pack(parsed: Any) -> bytes:
    """Returns the bytes of a file of which `parse` gives the contents.

    What is the same is written once: shapes, scales, zero points, options. Within a table the
    larger fields come first, as the compiler of FlatBuffers has it. In a small network all this is
    more bytes than the weights.
    """
    builder = _SharingBuilder(1024)
    placed = copy.copy(parsed)
    placed.buffers = _placed(builder, parsed.buffers)
    builder.Finish(placed.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def _placed(builder: flatbuffers.Builder, buffers: list[schema.BufferT]) -> list["_Placed"]:
    """Writes constants so that kernels can map them, and little is lost between them.

    The first byte of each lies at a multiple of `ALIGNMENT`. Next comes the one that leaves the
    smallest gap, and gaps are filled with the tables that say where constants are.
    """
    waiting: dict[int, list[int]] = {}  # by the bytes that they have over a multiple
    for i, buffer in enumerate(buffers):
        if _size(buffer):
            waiting.setdefault(np.asarray(buffer.data).nbytes % ALIGNMENT, []).append(i)
    tables: dict[int, int] = {}
    untold: list[tuple[int, int]] = []  # what has no table yet, and where it is

    def gap(over: int) -> int:
        return -(builder.Offset() + over) % ALIGNMENT

    while waiting:
        room = _TABLE if untold else ALIGNMENT
        over = min(waiting, key=lambda over: (gap(over) % room, over))
        if untold and gap(over) >= _TABLE:
            told, vector = untold.pop()
            tables[told] = _table(builder, vector)
        i = waiting[over].pop()
        if not waiting[over]:
            del waiting[over]
        data = np.ascontiguousarray(buffers[i].data).tobytes()
        builder.StartVector(1, len(data), ALIGNMENT)
        builder.head = builder.head - len(data)
        builder.Bytes[builder.head : builder.head + len(data)] = data
        untold.append((i, builder.EndVector()))
    for i, vector in untold:
        tables[i] = _table(builder, vector)
    nothing = schema.BufferT().Pack(builder)
    return [_Placed(tables.get(i, nothing)) for i in range(len(buffers))]


def _table(builder: flatbuffers.Builder, vector: int) -> int:
    schema.BufferStart(builder)
    schema.BufferAddData(builder, vector)
    return schema.BufferEnd(builder)


def _size(buffer: schema.BufferT) -> int:
    return 0 if buffer.data is None else np.size(buffer.data)


class _Placed(schema.BufferT):
    """A constant that is written already."""

    def __init__(self, offset: int):
        super().__init__()
        self._offset = offset

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802
        return self._offset


class _SharingBuilder(flatbuffers.Builder):
    """Writes each vector of numbers and each table once, and refers to it wherever it is again."""

    def __init__(self, size: int):
        super().__init__(size)
        self._vectors: dict[tuple[str, bytes], int] = {}
        self._tables: dict[tuple[Any, ...], int] = {}
        self._fields: list[tuple[Any, ...]] = []  # of the table that is begun

    def CreateNumpyVector(self, x: np.ndarray) -> int:  # noqa: N802
        contents = x.dtype.str, x.tobytes()
        if contents not in self._vectors:
            self._vectors[contents] = super().CreateNumpyVector(x)
        return self._vectors[contents]

    def StartObject(self, numfields: int) -> None:  # noqa: N802
        super().StartObject(numfields)
        self._fields = []

    def PrependSlot(self, flags: Any, o: int, x: Any, d: Any) -> None:  # noqa: N802
        if x != d:
            self._fields.append((flags, o, x))

    def PrependUOffsetTRelativeSlot(self, o: int, x: int, d: int) -> None:  # noqa: N802
        if x != d:
            self._fields.append((None, o, x))

    def EndObject(self) -> int:  # noqa: N802
        fields = tuple(sorted(self._fields, key=lambda field: (-_width(field[0]), field[1])))
        if fields in self._tables:
            self.nested, self.current_vtable = False, None
            return self._tables[fields]
        for flags, slot, value in reversed(fields):
            if flags is None:
                self.PrependUOffsetTRelative(value)
            else:
                self.Prepend(flags, value)
            self.Slot(slot)
        self._tables[fields] = super().EndObject()
        return self._tables[fields]


def _width(flags: Any) -> int:
    """Returns the bytes of a field: of a scalar, or of an offset, whose flags are None."""
    return 4 if flags is None else flags.bytewidth
