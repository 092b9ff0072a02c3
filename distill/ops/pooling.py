"""Max-pooling whose gradient is cheap on a CPU."""

import functools

import jax
import jax.numpy as jnp
from flax import linen as nn

from distill.ops import direct
from distill.ops.split import each_its_part


def max_pool(x: jax.Array, size: int = 2, *, native: bool = False) -> jax.Array:
    """Non-overlapping `size`×`size` max-pooling; an odd edge is dropped, as with VALID padding.

    A reshape and a maximum, or a kernel in C++: the gradient of XLA's `reduce_window` is some
    twenty times slower on a CPU. They differ where values tie: these split the gradient among them.

    A single image is pooled by `reduce_window` after all. That is what is exported, and converters
    know it; the other they leave as transposes and reductions, which take longer than the rest of a
    small network.

    Args:
      x: `[batch, height, width, channels]`.
      size: side of the window and stride.
      native: whether by the kernel in C++, as the convolutions around it.

    Returns:
      `[batch, height // size, width // size, channels]`.
    """
    if len(x) == 1:
        return nn.max_pool(x, (size, size), (size, size))
    if native and x.dtype == jnp.float32:
        layout = direct.layout(x.shape, (size, size, x.shape[3], x.shape[3]))
        if layout is not None:
            return each_its_part(lambda x: _direct(layout, size, x))(x)
    return _reshaped(x, size)


def _reshaped(x: jax.Array, size: int) -> jax.Array:
    """Pools with the batch last, as in `banded`: XLA then moves nothing between them."""
    n, h, w, c = x.shape
    h, w = h // size, w // size
    x = jnp.transpose(x[:, : h * size, : w * size], (2, 3, 1, 0))
    x = x.reshape(w, size, c, h, size, n).max((1, 4))
    return jnp.transpose(x, (3, 2, 0, 1))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _direct(layout: int, size: int, x: jax.Array) -> jax.Array:
    order, (n, h, w, c) = direct.ORDERS[layout], x.shape
    shape = (n, h // size, w // size, c)
    return direct.call("distill_max_pool", [x], shape, [order] * 2, layout=layout, size=size)


def _direct_forward(layout: int, size: int, x: jax.Array):
    y = _direct(layout, size, x)
    return y, (x, y)


def _direct_backward(layout: int, size: int, kept, ct: jax.Array):
    x, y = kept
    orders = [direct.ORDERS[layout]] * 4
    return (
        direct.call(
            "distill_max_pool_image", [x, y, ct], x.shape, orders, layout=layout, size=size
        ),
    )


_direct.defvjp(_direct_forward, _direct_backward)
