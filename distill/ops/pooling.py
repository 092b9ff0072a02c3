"""Max-pooling whose gradient is cheap on a CPU."""

import functools
import itertools

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


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _reshaped(x: jax.Array, size: int) -> jax.Array:
    """Pools with the batch last, as in `banded`: XLA then moves nothing between them."""
    return jnp.transpose(_windows(x, size).max((1, 4)), (3, 2, 0, 1))


def _reshaped_forward(x: jax.Array, size: int):
    return _reshaped(x, size), x


def _reshaped_backward(size: int, x: jax.Array, ct: jax.Array):
    """Shares the gradient among those values that no other of their window exceeds.

    They are compared with one another. The gradient of `jnp.max` looks for what equals the maximum,
    and misses it wherever XLA computes `x` once for the maximum and again for the comparison, with
    another last bit.
    """
    windows, (n, h, w, c) = _windows(x, size), x.shape
    greatest = jnp.ones(windows.shape, bool)
    for shift in itertools.product(range(size), repeat=2):
        if any(shift):
            greatest &= windows >= jnp.roll(windows, shift, (1, 4))
    share = jnp.transpose(ct, (2, 3, 1, 0))[:, None, :, :, None] / greatest.sum(
        (1, 4), dtype=ct.dtype, keepdims=True
    )
    image = jnp.where(greatest, share, 0).reshape(w // size * size, c, h // size * size, n)
    edges = ((0, 0), (0, h % size), (0, w % size), (0, 0))
    return (jnp.pad(jnp.transpose(image, (3, 2, 0, 1)), edges),)


_reshaped.defvjp(_reshaped_forward, _reshaped_backward)


def _windows(x: jax.Array, size: int) -> jax.Array:
    """Returns `[width // size, size, channels, height // size, size, batch]`."""
    n, h, w, c = x.shape
    h, w = h // size, w // size
    x = jnp.transpose(x[:, : h * size, : w * size], (2, 3, 1, 0))
    return x.reshape(w, size, c, h, size, n)


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
