"""Weights that Keras has written, with PyTorch's names of arrays and their layouts."""

import io
import pathlib
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from distill.errors import InputError

SUFFIXES = (".h5", ".keras")
_INSIDE = "model.weights.h5"  # of a `.keras` file
_NORM = ("weight", "bias", "running_mean", "running_var")  # in Keras's order
_OLD = {  # what variables are called in files of Keras 2
    "kernel": "weight", "depthwise_kernel": "weight", "gamma": "weight", "beta": "bias",
    "bias": "bias", "moving_mean": "running_mean", "moving_variance": "running_var",
}  # fmt: skip


def read(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Reads the arrays of a file of Keras, `LAYER.weight`, `LAYER.bias`, …

    Args:
      path: of `.weights.h5` or `.keras` of Keras 3, or of `.h5` as Keras's own networks are
        distributed.

    Raises:
      InputError: if two layers have one name, or a layer is of a kind that is not known.
      Exception: of any kind, if the file is damaged.
    """
    import h5py  # which TensorFlow brings along

    source: Any = path
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            source = io.BytesIO(archive.read(_INSIDE))
    found: dict[str, np.ndarray] = {}
    with h5py.File(source, "r") as file:
        layers = _old_layers(file) if "layer_names" in file.attrs else _layers(file["layers"])
        for name, array in layers:
            if name in found:
                raise InputError(f"{path} has {name} twice")
            found[name] = array
    return found


def _layers(group: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the arrays of a file of Keras 3, whose groups are called by the kinds of layers."""
    for kind, layer in group.items():
        variables = layer.get("vars", ())
        if not len(variables):
            continue
        name = layer.attrs.get("name", variables.attrs.get("name", kind))
        arrays = [np.asarray(variables[str(i)]) for i in range(len(variables))]
        if kind.startswith("batch_normalization"):
            yield from ((f"{name}.{leaf}", a) for leaf, a in zip(_NORM, arrays, strict=True))
        elif kind.startswith(("conv2d", "depthwise_conv2d", "dense")):
            depthwise = kind.startswith("depthwise")
            yield f"{name}.weight", _layout(arrays[0], depthwise)
            yield from ((f"{name}.bias", a) for a in arrays[1:])
        else:
            raise InputError(f"layer {name} is a {kind}; its weights are not known here")


def _old_layers(file: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the arrays of a file of Keras 2, which names layers and variables."""
    for layer in map(_text, file.attrs["layer_names"]):
        for given in map(_text, file[layer].attrs["weight_names"]):
            kind = given.rpartition("/")[2].partition(":")[0]
            if kind not in _OLD:
                raise InputError(f"layer {layer} has {kind}; only {', '.join(_OLD)} are known here")
            array = np.asarray(file[layer][given])
            yield f"{layer}.{_OLD[kind]}", _layout(array, kind == "depthwise_kernel")


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _layout(array: np.ndarray, depthwise: bool) -> np.ndarray:
    """Makes `[height, width, in, out]` PyTorch's `[out, in, height, width]`; and matrices."""
    if array.ndim == 4:
        array = array.transpose(2, 3, 0, 1) if depthwise else array.transpose(3, 2, 0, 1)
    return array.T if array.ndim == 2 else array
