"""The bias of a convolution, whose gradient is a kernel in C++.

XLA adds the bias in passing. For its gradient, a sum of each channel over all examples and pixels,
XLA would first move the examples to the front where they are last.
"""

import functools

import jax
import jax.numpy as jnp

from distill.ops import direct
from distill.ops.split import is_split


def add_bias(x: jax.Array, bias: jax.Array) -> jax.Array:
    """Adds a number to each channel.

    Args:
      x: `[batch, height, width, channels]`, as `conv_native` has made it.
      bias: `[channels]`.
    """
    channels = x.shape[-1]
    layout = direct.layout(x.shape, (1, 1, channels, channels))
    if x.dtype != jnp.float32 or layout is None or is_split():
        return _sum(x, bias)
    return _add(layout, x, bias)


def _sum(x: jax.Array, bias: jax.Array) -> jax.Array:
    return x + bias.reshape(1, 1, 1, -1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _gradient(layout: int, ct: jax.Array) -> jax.Array:
    orders = direct.ORDERS[layout], (0,)
    return direct.call("distill_bias_gradient", (ct,), (ct.shape[-1],), orders, layout=layout)


_gradient.defvjp(
    lambda layout, ct: (_gradient(layout, ct), ct.shape),
    lambda layout, shape, ct: (jnp.broadcast_to(ct.reshape(1, 1, 1, -1), shape),),
)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _add(layout: int, x: jax.Array, bias: jax.Array) -> jax.Array:
    return _sum(x, bias)


_add.defvjp(
    lambda layout, x, bias: (_sum(x, bias), None),
    lambda layout, _, ct: (ct, _gradient(layout, ct)),
)
