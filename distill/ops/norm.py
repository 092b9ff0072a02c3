"""Batch normalisation whose sums over the pixels are a kernel in C++.

XLA fuses what is done to each pixel, and does that well; sums of each channel over all of them,
inside a loop, it leaves to one thread.
"""

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
    channels, pixels = x.shape[-1], _pixels(x)
    if _takes(x):
        mean, square = _sums(pixels, pixels, jnp.zeros(channels)) / (x.size / channels)
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
    affine = _affine_by_kernel if _takes(x) else _affine
    return affine(_pixels(x), mean, factor, bias).reshape(x.shape)


def _pixels(x: jax.Array) -> jax.Array:
    return x.reshape(len(x), -1, 1, x.shape[-1])


def _takes(x: jax.Array) -> bool:
    """Whether the kernel takes an array: none of few channels, none that devices share."""
    image, kernel = (len(x), 1, 1, x.shape[-1]), (1, 1, x.shape[-1], x.shape[-1])
    whole = x.dtype == jnp.float32 and not is_split()
    return whole and direct.layout(image, kernel) == direct.CHANNELS_LAST


def _wide(channels: jax.Array) -> jax.Array:
    return channels.reshape(1, 1, 1, -1)


def _affine(x: jax.Array, mean: jax.Array, factor: jax.Array, bias: jax.Array) -> jax.Array:
    return (x - _wide(mean)) * _wide(factor) + _wide(bias)


_affine_by_kernel = jax.custom_vjp(_affine)


def _affine_backward(kept, ct: jax.Array):
    x, mean, factor = kept
    total, product = _sums(ct, x, mean)
    return ct * _wide(factor), -total * factor, product, total


_affine_by_kernel.defvjp(
    lambda x, mean, factor, bias: (_affine(x, mean, factor, bias), (x, mean, factor)),
    _affine_backward,
)


@jax.custom_vjp
def _sums(a: jax.Array, b: jax.Array, shift: jax.Array) -> jax.Array:
    """Returns the sums of `a` and of `a * (b - shift)` for each channel, `[2, channels]`."""
    order, channels = (0, 1, 2, 3), a.shape[-1]
    return direct.call(
        "distill_channel_sums", (a, b, shift), (2, channels), (order, order, (0,), (0, 1))
    )


def _sums_forward(a, b, shift):
    sums = _sums(a, b, shift)
    return sums, (a, b, shift, sums[0])


def _sums_backward(kept, ct: jax.Array):
    a, b, shift, total = kept
    return _wide(ct[0]) + _wide(ct[1]) * (b - _wide(shift)), _wide(ct[1]) * a, -ct[1] * total


_sums.defvjp(_sums_forward, _sums_backward)
