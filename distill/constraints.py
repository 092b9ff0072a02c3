"""What weights obey while they are trained: some are zero, some share a value, some are rounded.

A constraint is a pure function from the weights that the optimiser moves to the *effective* ones
that the network is applied with. Gradients pass through it, so that a masked weight gets none, and
weights that share a value get the mean of theirs (Han et al. 2016, arXiv:1510.00149, section 3,
accumulate the sum; Adam does not see the factor). What it needs beside the weights are arrays that
no step changes; they are called `held`, and live in the training state.

Which weights are constrained is said in JSON, `{"mask": [...], "share": {...}, "quantize": [...],
"four_bits": [...]}`:

* `mask`: paths of arrays (`conv0/kernel`), each with a boolean mask of its shape, True where kept;
* `share`: paths of arrays, each with the number of its clusters (at most 256), and as held array
  the cluster of each weight, uint8. Cluster 0 is zero and stays so;
* `quantize`: paths of layers that are trained for int8, each with the range `[least, greatest]` of
  what it reads, float32. An entry `logits:output` holds the range of what a layer returns;
* `four_bits`: those of these layers whose kernels are rounded to four bits instead of eight.

They apply in this order.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

Description = Mapping[str, Any]
Held = Mapping[str, Mapping[str, Any]]

OUTPUT = ":output"
MAX_CLUSTERS = 256


def flat(params: Any) -> dict[str, Any]:
    """Returns nested parameters by their path, `{"conv0/kernel": ...}`."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {"/".join(key.key for key in path): leaf for path, leaf in leaves}


def nested(flat_params: Mapping[str, Any]) -> dict[str, Any]:
    """Undoes `flat`."""
    tree: dict[str, Any] = {}
    for path, leaf in flat_params.items():
        *parents, name = path.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[name] = leaf
    return tree


def held_like(description: Description, params: Any) -> dict[str, dict[str, jax.Array]]:
    """Returns arrays of the shapes and dtypes that `held` has, which constrain nothing yet.

    Raises:
      KeyError: if an array that is named is not among the parameters.
    """
    weights = flat(params)
    masks = {path: jnp.ones(weights[path].shape, bool) for path in description.get("mask", ())}
    shared = {
        path: jnp.zeros(weights[path].shape, jnp.uint8) for path in description.get("share", {})
    }
    ranges = {layer: jnp.zeros(2, jnp.float32) for layer in description.get("quantize", ())}
    held = {"mask": masks, "share": shared, "quantize": ranges}
    return {kind: arrays for kind, arrays in held.items() if arrays}


def effective(description: Description, held: Held, params: Any) -> Any:
    """Returns the weights that the network is applied with.

    Args:
      description: as above.
      held: of one student.
      params: of one student.
    """
    if not held:
        return params
    weights = flat(params)
    for path, mask in held.get("mask", {}).items():
        weights[path] = weights[path] * mask
    for path, clusters in held.get("share", {}).items():
        weights[path] = share(weights[path], clusters, description["share"][path])
    for path in held.get("quantize", {}):
        if not path.endswith(OUTPUT):
            bits = 4 if path in description.get("four_bits", ()) else 8
            weights[f"{path}/kernel"] = round_weights(weights[f"{path}/kernel"], bits)
    return nested(weights)


def share(weights: jax.Array, clusters: jax.Array, num_clusters: int) -> jax.Array:
    """Gives every weight the mean of its cluster; those of cluster 0 are zero.

    Args:
      weights: of any shape.
      clusters: of the same shape, integers below `num_clusters`.
      num_clusters: including cluster 0.
    """
    members, values = clusters.reshape(-1).astype(jnp.int32), weights.reshape(-1)
    # Sums of a million float32 are off by parts in a thousand; those of distances from one of the
    # values, which are all zero once the values are shared, are not.
    greatest = jnp.full(num_clusters, -jnp.inf).at[members].max(values)
    greatest = jax.lax.stop_gradient(greatest)
    sums = jnp.zeros(num_clusters).at[members].add(values - greatest[members])
    counts = jnp.zeros(num_clusters).at[members].add(1.0)
    means = (greatest + sums / jnp.maximum(counts, 1)).at[0].set(0.0)
    return means[members].reshape(weights.shape)


def round_weights(kernel: jax.Array, bits: int = 8) -> jax.Array:
    """Rounds as TensorFlow Lite does: symmetric, with a scale for each output channel.

    The gradient passes as if nothing was rounded (Jacob et al. 2018, arXiv:1712.05877, section 3).

    Args:
      kernel: `[..., outputs]`.
      bits: of a number, its sign among them.
    """
    scale = weight_scale(kernel, bits)
    rounded = jnp.round(kernel / scale) * scale
    return kernel + jax.lax.stop_gradient(rounded - kernel)


def weight_scale(kernel: jax.Array, bits: int = 8) -> jax.Array:
    """Returns the size of a step for each output channel, `[..., 1, outputs]`.

    Of eight bits there are steps from -127 to 127, of four from -7 to 7.
    """
    largest = jnp.max(jnp.abs(kernel), axis=tuple(range(kernel.ndim - 1)), keepdims=True)
    scale = largest / (2 ** (bits - 1) - 1)
    return jnp.where(scale > 0, scale, 1.0)


def round_activations(x: jax.Array, least: jax.Array, greatest: jax.Array) -> jax.Array:
    """Rounds to int8 as TensorFlow Lite does: one scale and zero point, of a range with zero in it.

    What lies outside of the range is cut off and gets no gradient; inside, it passes as it is.
    """
    scale, zero_point = activation_scale(least, greatest)
    cut = jnp.clip(x, (-128 - zero_point) * scale, (127 - zero_point) * scale)
    rounded = jnp.round(cut / scale) * scale
    return cut + jax.lax.stop_gradient(rounded - cut)


def activation_scale(least: jax.Array, greatest: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns the size of a step and the integer that stands for zero, of -128 to 127."""
    least, greatest = jnp.minimum(least, 0.0), jnp.maximum(greatest, 0.0)
    scale = jnp.where(greatest > least, (greatest - least) / 255, 1.0)
    return scale, jnp.round(-128 - least / scale)


def interceptor(held: Held) -> Callable[..., Any]:
    """Returns what `flax.linen.intercept_methods` takes, to round what quantised layers see."""
    ranges = held.get("quantize", {})

    def intercept(call: Callable, args: tuple, kwargs: dict, context: Any) -> Any:
        layer = context.module
        if context.method_name != "__call__" or not isinstance(layer, LAYERS):
            return call(*args, **kwargs)
        path = "/".join(layer.path)
        if path in ranges:
            args = (round_activations(args[0], *ranges[path]), *args[1:])
        output = call(*args, **kwargs)
        if path + OUTPUT in ranges:
            output = round_activations(output, *ranges[path + OUTPUT])
        return output

    return intercept


LAYERS = (nn.Conv, nn.ConvTranspose, nn.Dense)
