"""Training for int8: what every layer sees and multiplies by is rounded nearly as in the file."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from distill import constraints
from distill.compress.context import Context
from distill.compress.fold import fold
from distill.compress.network import Network
from distill.errors import InputError
from distill.training.predict import EVAL_BATCH
from distill.training.step import normalize


def quantize(
    network: Network, context: Context, *, calibration: int = 500, bits: int = 8
) -> Network:
    """Returns the network under constraints that make training feel the rounding of an int8 file.

    Normalisation is folded first, as a converter does. Then every convolution and dense layer has
    its kernel rounded with a scale for each output channel, and its input with one scale and zero
    point, from the range that the input has over training images; so has the output of the last
    layer (Jacob et al. 2018, arXiv:1712.05877, section 3). The file has more tensors than that:
    what goes into an addition is rounded there once more. And a transposed convolution is four
    convolutions there, each with scales of its own, which are no coarser than the one here.

    The ranges stay as they are while the network is trained. The converter estimates its own on
    what that leaves, so the scales of activations in the file are not quite these; those of weights
    are.

    Args:
      network: trained.
      context: the images.
      calibration: how many of them are looked at, evenly spaced, as the export takes them.
      bits: of the kernels: 8, or 4 as in an int4 file; activations keep 8.

    Raises:
      InputError: if there are none, or `fold` refuses.
    """
    check(calibration=calibration, bits=bits)
    network = fold(network, context)
    step = max(1, len(context.images) // calibration)
    images = np.asarray(context.images[::step][:calibration])
    found = ranges(network, images, context.mean, context.std)
    rounded = {"quantize": list(found)}
    if bits == 4:
        rounded["four_bits"] = [path for path in found if not path.endswith(constraints.OUTPUT)]
    return dataclasses.replace(
        network,
        constraints={**network.constraints, **rounded},
        held={**network.held, "quantize": found},
    )


def check(*, calibration: int = 1, bits: int = 8, **_: Any) -> None:
    """Raises `InputError` for an option that cannot be used."""
    if calibration < 1:
        raise InputError(f"calibration is {calibration}; it must be 1 image or more")
    if bits not in (4, 8):
        raise InputError(f"bits is {bits}; files have kernels of 8 or 4")


def ranges(
    network: Network, images: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...]
) -> dict[str, np.ndarray]:
    """Returns the least and the greatest number that each layer reads, and the last one returns.

    Args:
      network: trained.
      images: `[n, height, width, channels]` uint8.
      mean, std: as in `Context`.

    Returns:
      `[2]` float32 by the path of the layer, and of `PATH:output` for the one that runs last.
    """
    held: Any = {kind: arrays for kind, arrays in network.held.items() if kind != "quantize"}
    params = constraints.effective(network.constraints, held, network.variables["params"])
    variables = {**network.variables, "params": params}
    measure = jax.jit(functools.partial(_extremes, network.module, mean, std))
    found: dict[str, np.ndarray] = {}
    for start in range(0, len(images), EVAL_BATCH):
        seen = measure(variables, images[start : start + EVAL_BATCH])
        for path, (least, greatest) in jax.tree.map(np.asarray, seen).items():
            before = found.get(path, (np.inf, -np.inf))
            both = min(before[0], least), max(before[1], greatest)
            found[path] = np.array(both, np.float32)
    return found


def _extremes(
    model: nn.Module,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    variables: dict[str, Any],
    images: jax.Array,
) -> dict[str, tuple[jax.Array, jax.Array]]:
    """Returns the least and the greatest number that layers read, for one batch."""
    inputs: dict[str, list[jax.Array]] = {}
    output: dict[str, list[jax.Array]] = {}

    def record(call, args, kwargs, context):
        result = call(*args, **kwargs)
        layer = context.module
        if context.method_name == "__call__" and isinstance(layer, constraints.LAYERS):
            path = "/".join(layer.path)
            inputs.setdefault(path, []).append(args[0])
            output.clear()  # only the last one counts
            output[path + constraints.OUTPUT] = [result]
        return result

    with nn.intercept_methods(record):
        model.apply(variables, normalize(images.astype(jnp.float32) / 255, mean, std))
    return {
        path: (
            jnp.min(jnp.stack([jnp.min(array) for array in arrays])),
            jnp.max(jnp.stack([jnp.max(array) for array in arrays])),
        )
        for path, arrays in {**inputs, **output}.items()
    }
