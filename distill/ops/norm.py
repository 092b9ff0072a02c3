"""Batch normalisation whose sums over the pixels are a kernel in C++.

XLA fuses what is done to each pixel, and does that well; sums of each channel over all of them,
inside a loop, it leaves to one thread.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from distill.ops import direct
from distill.ops.split import is_split


def batch_statistics(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns mean and variance of each channel, `[channels]`, over the batch and its pixels.

    Args:
      x: `[batch, ..., channels]` float32.
    """
    channels, pixels, layout = x.shape[-1], _pixels(x), _layout(x)
    if layout is not None:
        sums = _sums(layout, pixels, pixels, jnp.zeros(channels))
        mean, square = sums / (x.size / channels)
    else:
        mean, square = pixels.mean((0, 1, 2)), jnp.square(pixels).mean((0, 1, 2))
    return mean, jnp.maximum(0.0, square - jnp.square(mean))


def normalise(
    x: jax.Array,
    mean: jax.Array,
    variance: jax.Array,
    scale: jax.Array,
    bias: jax.Array,
    epsilon: float,
) -> jax.Array:
    """Normalises each channel by a mean and a variance.

    Ioffe and Szegedy (2015), arXiv:1502.03167; as `flax.linen.BatchNorm` computes it.

    Args:
      x: `[batch, ..., channels]` float32.
      mean, variance: `[channels]`, of the batch or of many.
      scale, bias: `[channels]`, of the normalised values.
      epsilon: added to the variance.

    Returns:
      An array of the shape of `x`.
    """
    factor = lax.rsqrt(variance + epsilon) * scale
    affine, layout = _affine, _layout(x)
    if layout is not None:
        affine = functools.partial(_affine_by_kernel, layout)
    return affine(_pixels(x), mean, factor, bias).reshape(x.shape)


def _pixels(x: jax.Array) -> jax.Array:
    """Gives an array the dimensions of images; XLA would turn those of images round and back."""
    return x if x.ndim == 4 else x.reshape(len(x), -1, 1, x.shape[-1])


def _layout(x: jax.Array) -> int | None:
    """Returns how the kernel wants an array; it takes none that devices share."""
    if x.dtype != jnp.float32 or is_split():
        return None
    channels = x.shape[-1]
    return direct.layout((len(x), 1, 1, channels), (1, 1, channels, channels))


def _wide(channels: jax.Array) -> jax.Array:
    return channels.reshape(1, 1, 1, -1)


def _affine(x: jax.Array, mean: jax.Array, factor: jax.Array, bias: jax.Array) -> jax.Array:
    return (x - _wide(mean)) * _wide(factor) + _wide(bias)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _affine_by_kernel(layout, x, mean, factor, bias):
    return _affine(x, mean, factor, bias)


def _affine_backward(layout: int, kept, ct: jax.Array):
    x, mean, factor = kept
    total, product = _sums(layout, ct, x, mean)
    return ct * _wide(factor), -total * factor, product, total


_affine_by_kernel.defvjp(
    lambda layout, x, mean, factor, bias: (_affine(x, mean, factor, bias), (x, mean, factor)),
    _affine_backward,
)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _sums(layout: int, a: jax.Array, b: jax.Array, shift: jax.Array) -> jax.Array:
    """Returns the sums of `a` and of `a * (b - shift)` for each channel, `[2, channels]`."""
    order = direct.ORDERS[layout]
    return direct.call(
        "distill_channel_sums", (a, b, shift), (2, a.shape[-1]), (order, order, (0,), (0, 1)),
        layout=layout,
    )  # fmt: skip


def _sums_forward(layout, a, b, shift):
    sums = _sums(layout, a, b, shift)
    return sums, (a, b, shift, sums[0])


def _sums_backward(layout, kept, ct: jax.Array):
    a, b, shift, total = kept
    return _wide(ct[0]) + _wide(ct[1]) * (b - _wide(shift)), _wide(ct[1]) * a, -ct[1] * total


_sums.defvjp(_sums_forward, _sums_backward)
