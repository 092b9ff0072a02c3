"""Analytic counts of a model's parameters and multiply-accumulate operations (MACs)."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn


class Cost(NamedTuple):
    """`num_params` counts trainable weights, `macs` one example's multiply-accumulates."""

    num_params: int
    macs: int


def cost(model: nn.Module, input_shape: tuple[int, ...]) -> Cost:
    """Counts from shapes alone; nothing is computed.

    Convolutions and dense layers are counted, as papers do: taps that fall on the padding count,
    biases, activations and pooling do not. (XLA's own cost analysis leaves out padded taps.)

    Args:
      model: a Linen module that maps `[batch, *input_shape]` to logits.
      input_shape: `(height, width, channels)`.
    """
    macs = 0

    def count(call, args, kwargs, context):
        nonlocal macs
        output = call(*args, **kwargs)
        if context.method_name == "__call__":
            macs += _layer_macs(context.module, args[0].shape, output.shape)
        return output

    with nn.intercept_methods(count):
        image = jax.ShapeDtypeStruct((1, *input_shape), jnp.float32)
        variables = jax.eval_shape(model.init, jax.random.key(0), image)
    num_params = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables["params"]))
    return Cost(num_params, macs)


def _layer_macs(layer: nn.Module, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> int:
    if isinstance(layer, nn.Dense):
        return math.prod(outputs) * inputs[-1]
    if isinstance(layer, nn.Conv):
        size = layer.kernel_size
        taps = size if isinstance(size, int) else math.prod(size)
        return math.prod(outputs) * taps * inputs[-1] // layer.feature_group_count
    return 0
