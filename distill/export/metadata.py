"""What the TensorFlow Lite Task Library and MediaPipe read in a `.tflite` file by itself.

A buffer of the model, named `TFLITE_METADATA`, holds a FlatBuffer that says how pixels become the
input and what the output means; the names of the classes are a file in a ZIP archive behind the
model. The fields are numbered as in TensorFlow's `metadata_schema.fbs`, of which this writes few.
"""

import io
import zipfile
from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from distill.export import flatbuffer

NAME = b"TFLITE_METADATA"
LABELS = "labels.txt"
_IDENTIFIER = b"M001"
_MIN_PARSER = "1.0.0"  # that knows normalisation and labels
_LABELS_OF_AXIS = 2  # AssociatedFileType
_IMAGE, _NORMALIZATION = 2, 1  # members of unions
_COLORS = {"rgb": 1, "gray": 2}
_EPOCH = (1980, 1, 1, 0, 0, 0)  # so that equal models are equal bytes


def attach(model: bytes, name: str, image: dict[str, Any], labels: Sequence[str]) -> bytes:
    """Returns a model with its metadata.

    Readers compute (pixel - mean) / std of pixels from 0 to 255, and resize without a crop that
    keeps the aspect; images have to be light or dark as those that the model was trained on.
    MediaPipe takes float32 inputs, normalised by one mean and one deviation for all channels.

    Args:
      model: the contents of a file with one graph, one input and one output.
      name: of the model.
      image: the section `input` of its manifest.
      labels: names of the classes; one that has a line break stands on a line, with a space.
    """
    parsed = flatbuffer.parse(model)
    (graph,) = parsed.subgraphs
    scores = graph.tensors[graph.outputs[0]].name.decode()
    entry = schema.MetadataT()
    entry.name, entry.buffer = NAME, len(parsed.buffers)
    parsed.metadata = [entry]
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(_described(name, image, scores), np.uint8)
    parsed.buffers.append(buffer)
    file = io.BytesIO(flatbuffer.pack(parsed))
    with zipfile.ZipFile(file, "a", zipfile.ZIP_STORED) as archive:
        lines = "".join(f"{' '.join(label.split())}\n" for label in labels)
        archive.writestr(zipfile.ZipInfo(LABELS, _EPOCH), lines)
    return file.getvalue()


def _described(name: str, image: dict[str, Any], scores: str) -> bytes:
    """Returns the FlatBuffer `ModelMetadata`."""
    builder = flatbuffers.Builder(512)
    scale, offset = np.array(image["scale"]), np.array(image["offset"])
    normalization = _table(
        builder, {0: _floats(builder, 0.0 - offset / scale), 1: _floats(builder, 1 / scale)}
    )
    unit = _table(builder, {1: normalization}, {0: _NORMALIZATION})
    properties = _table(builder, {}, {0: _COLORS[image["color"]]})
    content = _table(builder, {1: properties}, {0: _IMAGE})
    seen = _table(
        builder,
        {0: builder.CreateString("image"), 3: content, 4: _vector(builder, [unit])},
    )
    file = _table(builder, {0: builder.CreateString(LABELS)}, {2: _LABELS_OF_AXIS})
    said = _table(builder, {0: builder.CreateString(scores), 6: _vector(builder, [file])})
    graph = _table(builder, {2: _vector(builder, [seen]), 3: _vector(builder, [said])})
    root = _table(
        builder,
        {
            0: builder.CreateString(name), 3: _vector(builder, [graph]),
            7: builder.CreateString(_MIN_PARSER),
        },
    )  # fmt: skip
    builder.Finish(root, _IDENTIFIER)
    return bytes(builder.Output())


def _table(
    builder: flatbuffers.Builder, offsets: dict[int, int], numbers: dict[int, int] | None = None
) -> int:
    """Writes a table of what is written already, and of bytes, by the numbers of its fields."""
    numbers = numbers or {}
    builder.StartObject(1 + max({*offsets, *numbers}))
    for field, offset in offsets.items():
        builder.PrependUOffsetTRelativeSlot(field, offset, 0)
    for field, number in numbers.items():
        builder.PrependUint8Slot(field, number, 0)
    return builder.EndObject()


def _vector(builder: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def _floats(builder: flatbuffers.Builder, values: np.ndarray) -> int:
    return builder.CreateNumpyVector(values.astype(np.float32))
