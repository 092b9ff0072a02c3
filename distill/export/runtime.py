"""Running a bundle with LiteRT, as a phone does."""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from distill.errors import InputError, one_line
from distill.export import reference
from distill.export.bundle import Bundle
from distill.export.manifest import RANGES

CHUNK = 256  # images whose tensors are held at once; those of a whole test set may not fit


class Model:
    """A bundle in an interpreter."""

    def __init__(self, bundle: Bundle, threads: int = 1, delegate: bool = True):
        """Opens the file.

        Args:
          bundle: what to run; of its manifest, what describes the tensors.
          threads: how many to compute with.
          delegate: whether XNNPACK may compute what it can, as usual, or LiteRT's own kernels all.

        Raises:
          InputError: if the file cannot be run, or its tensors are not those of the manifest.
        """
        manifest = bundle.manifest
        name = f"{manifest['model']['file']} of {manifest['name']}"
        self._interpreter = _interpreter(bundle.model, threads, delegate)
        self._input = _only(self._interpreter.get_input_details(), manifest["input"], name)
        self._output = _only(self._interpreter.get_output_details(), manifest["output"], name)
        self._manifest = manifest

    def __call__(self, tensor: np.ndarray) -> np.ndarray:
        """Runs the model on an input tensor and returns its output tensor, both as they are.

        Raises:
          InputError: if the tensor is of another shape, or LiteRT fails.
        """
        shape = tuple(self._manifest["input"]["shape"])
        if tensor.shape != shape:
            raise InputError(
                f"{self._manifest['name']} takes {shape} at once; this is {tensor.shape}: a file "
                "for another number of images is exported by --config.export.batch_size"
            )
        try:
            self._interpreter.set_tensor(self._input, tensor)
            self._interpreter.invoke()
            return self._interpreter.get_tensor(self._output)
        except (ValueError, RuntimeError) as error:
            name = self._manifest["name"]
            raise InputError(f"LiteRT cannot run {name}: {one_line(error)}") from error

    def batches(self, tensors: np.ndarray) -> Iterator[np.ndarray]:
        """Yields input tensors for images `[n, h, w, c]`; the last image fills the last of them."""
        size = self._manifest["input"]["shape"][0]
        for start in range(0, len(tensors), size):
            part = tensors[start : start + size]
            yield np.pad(part, [(0, size - len(part)), *[(0, 0)] * 3], "edge")

    def run(self, tensors: np.ndarray) -> np.ndarray:
        """Returns the scores `[n, classes]` float32 of `[n, h, w, c]` of the input's dtype."""
        found = np.concatenate([self(tensor) for tensor in self.batches(tensors)])[: len(tensors)]
        return real(self._manifest["output"], found)

    def scores(self, images: np.ndarray) -> np.ndarray:
        """Returns the scores `[n, classes]` float32 of images `[n, h, w, c]` uint8."""
        starts = range(0, len(images), CHUNK)
        parts = (np.asarray(images[start : start + CHUNK]) for start in starts)
        spec = self._manifest["input"]
        return np.concatenate([self.run(input_tensors(spec, part)) for part in parts])

    def check_golden(self, bundle: Bundle) -> None:
        """Runs the self-test.

        Raises:
          InputError: if the output is further from the golden one than its tolerance.
        """
        expected = bundle.golden_output.astype(np.float64)
        found = self(bundle.golden_input).astype(np.float64)
        error = np.max(np.abs(found - expected))
        tolerance = bundle.manifest["golden"]["tolerance"]
        if not error <= tolerance:
            raise InputError(
                f"{bundle.manifest['name']} fails its self-test: the output differs by {error:g} "
                f"from the golden one, the tolerance is {tolerance:g}"
            )


def input_tensors(tensor: dict[str, Any], images: np.ndarray) -> np.ndarray:
    """Returns what the model is fed for images of its own size.

    Args:
      tensor: the section `input` of a manifest.
      images: `[n, h, w, c]` uint8.
    """
    pixels = images * np.array(tensor["scale"]) + np.array(tensor["offset"])
    if tensor["dtype"] not in RANGES:
        return pixels.astype(tensor["dtype"])
    return reference.quantize(pixels, tensor["quantization"], tensor["dtype"])


def real(tensor: dict[str, Any], values: np.ndarray) -> np.ndarray:
    """Returns the real numbers that an output tensor stands for, float32.

    Args:
      tensor: the section `output` of a manifest.
      values: in the dtype of the tensor.
    """
    quantization = tensor["quantization"]
    if quantization is None:
        return values.astype(np.float32)
    return reference.dequantize(values, quantization)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hides what the C++ of the converter and the interpreter writes on standard error."""
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


def forms(model: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns what a manifest says of the input and the output of a file, as found in the file."""
    interpreter = _interpreter(model)
    (image,), (scores,) = interpreter.get_input_details(), interpreter.get_output_details()
    return _form(image), _form(scores)


def runner(model: bytes, tensor: np.ndarray, threads: int = 1) -> Callable[[], None]:
    """Returns a function that runs a file on an input tensor, and does nothing else."""
    interpreter = _interpreter(model, threads)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], tensor)
    return interpreter.invoke


def load() -> Any:
    """Imports the runtime, which is needed only where a model is run."""
    from ai_edge_litert import interpreter

    return interpreter


def _interpreter(model: bytes, threads: int = 1, delegate: bool = True) -> Any:
    litert = load()
    kinds = litert.OpResolverType
    kernels = kinds.AUTO if delegate else kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    try:
        with quiet():
            interpreter = litert.Interpreter(
                model_content=model, num_threads=threads, experimental_op_resolver_type=kernels
            )
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError, MemoryError) as error:
        raise InputError(f"LiteRT cannot run the file: {one_line(error)}") from error
    return interpreter


def _form(details: dict[str, Any]) -> dict[str, Any]:
    """Returns shape, dtype and quantisation of an interpreter's tensor, as in a manifest."""
    scale, zero_point = details["quantization"]
    quantized = details["dtype"] != np.float32
    return {
        "shape": [int(size) for size in details["shape"]],
        "dtype": np.dtype(details["dtype"]).name,
        "quantization": {"scale": float(scale), "zero_point": zero_point} if quantized else None,
    }


def _only(found: list[dict[str, Any]], described: dict[str, Any], name: str) -> int:
    """Returns the index of the one tensor, if it is the one that the manifest describes."""
    if len(found) != 1:
        raise InputError(f"{name} has {len(found)} inputs or outputs where one is expected")
    for key, value in _form(found[0]).items():
        if described[key] != value:
            raise InputError(f"{name} has a tensor of {key} {value}; expected {described[key]}")
    return found[0]["index"]
