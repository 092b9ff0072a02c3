"""Weights that were trained elsewhere, as the variables of the networks here."""

import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import traverse_util

from distill import paths
from distill.errors import InputError
from distill.models.layers import EPSILON, HEAD
from distill.pretrained import files, keras, names

SHOWN = 3  # names of each kind in a message
_IGNORED = "num_batches_tracked"  # PyTorch's, of batch normalisation; nothing is computed from it

_TORCH = {  # our leaf of a layer: what PyTorch calls it
    "kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean",
    "var": "running_var",
}  # fmt: skip


def digest(path: str | pathlib.Path) -> str:
    """Returns the SHA-256 of a file of weights, in hexadecimal.

    Raises:
      InputError: if there is no such file.
    """
    return files.digest(paths.local(path, "init"))


def load(
    path: str | pathlib.Path, name: str, model: nn.Module, input_shape: tuple[int, ...]
) -> dict[str, Any]:
    """Reads the variables of a network from a file of another program.

    Names are PyTorch's, or Keras's where that has written the file. All of the file is used, and
    all of the network comes from it, but for the head where that is of other classes.

    Args:
      path: see `files.read`.
      name: of the model, an entry of `models.MODELS`.
      model: as it was built.
      input_shape: `(height, width, channels)`.

    Returns:
      `params`, without the head where that is of another number of classes, and `batch_stats`;
      float32 NumPy arrays.

    Raises:
      InputError: as `files.read`; and naming what is missing, left over or of another shape.
    """
    try:
        file = paths.local(path, "init")
        table = names.table(name, model, keras=file.suffix in keras.SUFFIXES)
        return convert(files.read(file), table, shapes(model, input_shape))
    except InputError as error:
        raise InputError(f"{name} cannot start from {path}: {error}") from error


def shapes(model: nn.Module, input_shape: tuple[int, ...]) -> dict[str, Any]:
    """Returns the shapes of a network's variables; computes nothing."""
    image = jax.ShapeDtypeStruct((1, *input_shape), jnp.float32)
    return jax.eval_shape(model.init, jax.random.key(0), image)


def convert(
    arrays: Mapping[str, np.ndarray], table: names.Table, wanted: Mapping[str, Any]
) -> dict[str, Any]:
    """Renames and transposes PyTorch's arrays.

    Args:
      arrays: by their names there.
      table: from `names.table`.
      wanted: from `shapes`.

    Returns:
      As `load`.

    Raises:
      InputError: naming what is missing, left over, of another shape, or not finite.
    """
    head = table.layers.get(HEAD, HEAD)
    left = {name: a for name, a in arrays.items() if name.rpartition(".")[2] != _IGNORED}
    if _of_others(left.get(f"{head}.weight", np.zeros(0)).shape[:1], wanted):
        left = {name: a for name, a in left.items() if name.rpartition(".")[0] != head}
        wanted = _headless(wanted)
    found, missing, misshapen, broken = {}, [], [], []
    for key, leaf in traverse_util.flatten_dict(dict(wanted), sep="/").items():
        layer, _, kind = key.partition("/")[2].rpartition("/")
        theirs = f"{table.layers.get(layer, layer)}.{_TORCH[kind]}"
        if theirs not in left:
            missing.append(theirs)
            continue
        array = _layout(kind, left.pop(theirs), table.flat.get(layer, 0)).astype(np.float32)
        if array.shape == (1, 1, *leaf.shape):  # a dense layer, written as a convolution of 1×1
            array = array[0, 0]
        if array.shape != leaf.shape:
            misshapen.append(f"{theirs} {array.shape} for {leaf.shape}")
        if not np.isfinite(array).all():
            broken.append(theirs)
        # Batch normalisation divides by the root of variance + epsilon; only the sum matters.
        found[key] = array + np.float32(table.epsilon - EPSILON) if kind == "var" else array
    faults = {
        "missing": missing, "left over": sorted(left), "of another shape": misshapen,
        "not finite": broken,
    }  # fmt: skip
    _require_none(faults)
    return traverse_util.unflatten_dict(found, sep="/")


def select(variables: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the variables of a network here for another of the same shapes.

    Args:
      variables: `params` and `batch_stats`.
      wanted: from `shapes`.

    Returns:
      As `load`.

    Raises:
      InputError: naming what is missing, left over or of another shape.
    """
    kernel = variables["params"].get(HEAD, {}).get("kernel", np.zeros(0))
    if _of_others(kernel.shape[-1:], wanted):
        variables, wanted = _headless(variables), _headless(wanted)
    have, want = (traverse_util.flatten_dict(dict(tree), sep="/") for tree in (variables, wanted))
    _require_none({
        "missing": [key for key in want if key not in have],
        "left over": sorted(key for key in have if key not in want),
        "of another shape": [
            f"{key} {have[key].shape} for {leaf.shape}"
            for key, leaf in want.items()
            if key in have and have[key].shape != leaf.shape
        ],
    })  # fmt: skip
    return traverse_util.unflatten_dict({key: np.asarray(have[key]) for key in want}, sep="/")


def _of_others(classes: tuple[int, ...], wanted: Mapping[str, Any]) -> bool:
    """Whether weights are of another number of classes than the head of a network."""
    kernel = wanted["params"].get(HEAD, {}).get("kernel")
    return kernel is not None and classes != (0,) and classes != kernel.shape[-1:]


def _headless(variables: Mapping[str, Any]) -> dict[str, Any]:
    rest = {name: layer for name, layer in variables["params"].items() if name != HEAD}
    return {**variables, "params": rest}


def _require_none(faults: Mapping[str, list[str]]) -> None:
    said = [f"{what}: {_some(which)}" for what, which in faults.items() if which]
    if said:
        raise InputError("; ".join(said))


def _layout(kind: str, array: np.ndarray, channels: int) -> np.ndarray:
    """Makes filters `[out, in, height, width]` ours, `[height, width, in, out]`; and matrices.

    Args:
      kind: of the array.
      array: PyTorch's.
      channels: of the image that a matrix sees flattened; 0: it sees none.
    """
    if kind != "kernel":
        return array
    if channels and array.ndim == 2 and array.shape[1] % channels == 0:
        image = array.reshape(len(array), channels, -1)
        return image.transpose(2, 1, 0).reshape(-1, len(array))
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T


def _some(values: list[str]) -> str:
    more = f" and {len(values) - SHOWN} more" if len(values) > SHOWN else ""
    return ", ".join(values[:SHOWN]) + more
