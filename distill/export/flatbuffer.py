"""What is inside a `.tflite` file, read and rewritten through TensorFlow Lite's own schema."""

import collections
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

ALIGNMENT = 16  # of constants; the schema demands it, and its Python code forgets it
IDENTIFIER = b"TFL3"
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


def _operator_names(parsed: Any) -> list[str]:
    names = []
    for code in parsed.operatorCodes:
        name = _OPERATORS[max(code.builtinCode, code.deprecatedBuiltinCode)]
        names.append(f"CUSTOM:{(code.customCode or b'').decode()}" if name == "CUSTOM" else name)
    return names


def pack(parsed: Any) -> bytes:
    """Returns the bytes of a file of which `parse` gives the contents.

    What is the same is written once: shapes, scales, zero points. In a small network they are more
    bytes than the weights.
    """
    parsed.buffers = [_AlignedBuffer(buffer.data) for buffer in parsed.buffers]
    builder = _SharingBuilder(1024)
    builder.Finish(parsed.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def _size(buffer: schema.BufferT) -> int:
    return 0 if buffer.data is None else np.size(buffer.data)


class _SharingBuilder(flatbuffers.Builder):
    """Writes each vector of numbers once, and refers to it from wherever it occurs again."""

    def __init__(self, size: int):
        super().__init__(size)
        self._written: dict[tuple[str, bytes], int] = {}

    def CreateNumpyVector(self, x: np.ndarray) -> int:  # noqa: N802
        contents = x.dtype.str, x.tobytes()
        if contents not in self._written:
            self._written[contents] = super().CreateNumpyVector(x)
        return self._written[contents]


class _AlignedBuffer(schema.BufferT):
    """A constant whose first byte lies at a multiple of `ALIGNMENT`, so that kernels can map it."""

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802
        if not _size(self):
            return schema.BufferT().Pack(builder)
        data = np.ascontiguousarray(self.data).tobytes()
        builder.StartVector(1, len(data), ALIGNMENT)
        builder.head = builder.head - len(data)
        builder.Bytes[builder.head : builder.head + len(data)] = data
        vector = builder.EndVector()
        schema.BufferStart(builder)
        schema.BufferAddData(builder, vector)
        return schema.BufferEnd(builder)
