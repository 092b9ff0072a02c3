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
    names = []
    for code in parsed.operatorCodes:
        number = max(code.builtinCode, code.deprecatedBuiltinCode)
        name = _OPERATORS[number]
        names.append(f"CUSTOM:{(code.customCode or b'').decode()}" if name == "CUSTOM" else name)
    graph = [names[op.opcodeIndex] for part in parsed.subgraphs for op in part.operators or []]
    return dict(collections.Counter(graph))


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
    parsed.buffers = [schema.BufferT(), *(_AlignedBuffer(parsed.buffers[i].data) for i in kept)]
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
    builder = flatbuffers.Builder(len(model))
    builder.Finish(parsed.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def _size(buffer: schema.BufferT) -> int:
    return 0 if buffer.data is None else np.size(buffer.data)


class _AlignedBuffer(schema.BufferT):
    """A constant whose first byte lies at a multiple of `ALIGNMENT`, so that kernels can map it."""

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802
        data = np.ascontiguousarray(self.data).tobytes()
        builder.StartVector(1, len(data), ALIGNMENT)
        builder.head = builder.head - len(data)
        builder.Bytes[builder.head : builder.head + len(data)] = data
        vector = builder.EndVector()
        schema.BufferStart(builder)
        schema.BufferAddData(builder, vector)
        return schema.BufferEnd(builder)
