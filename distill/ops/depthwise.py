"""Depthwise convolution as shifted multiply-adds.

Each channel has filters of its own, so there is no matrix product to make of it, and a band of
zeros around a diagonal would be nothing but zeros. What is left is one multiply-add of the image
for each tap, in the layout `[W, C, H, N]` of `distill.ops.banded`: the loops run along the batch,
and XLA fuses the taps into one. The gradients are the same multiply-adds, and sums for the kernel.
Inside a scanned training step, XLA's own grouped convolution takes tens of times as long and more.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from distill.ops.layout import pad_axis


def depthwise_conv(
    x: jax.Array,
    kernel: jax.Array,
    strides: tuple[int, int],
    padding: Sequence[tuple[int, int]],
) -> jax.Array:
    """Convolves each channel of images with filters of its own.

    Args:
      x: `[batch, height, width, channels]`.
      kernel: `[kh, kw, 1, channels * multiplier]`; the filters of a channel are neighbours.
      strides: along the height and the width.
      padding: `((top, bottom), (left, right))` rows and columns of zeros, negative to crop.

    Returns:
      `[batch, out_height, out_width, channels * multiplier]`, stored with the batch last.
    """
    kh, kw, _, c_out = kernel.shape
    n, height, width, channels = x.shape
    out_h = (height + sum(padding[0]) - kh) // strides[0] + 1
    out_w = (width + sum(padding[1]) - kw) // strides[1] + 1
    x = pad_axis(pad_axis(jnp.transpose(x, (2, 3, 1, 0)), 0, padding[1]), 2, padding[0])
    x = x[:, :, None]  # [width, channels, 1, height, n]
    taps = kernel.reshape(kh, kw, 1, channels, -1, 1, 1)
    y = jnp.zeros((out_w, channels, c_out // channels, out_h, n), x.dtype)
    for i in range(kh):
        rows = lax.slice_in_dim(x, i, i + (out_h - 1) * strides[0] + 1, strides[0], axis=3)
        for j in range(kw):
            y += (
                lax.slice_in_dim(rows, j, j + (out_w - 1) * strides[1] + 1, strides[1]) * taps[i, j]
            )
    return jnp.transpose(y.reshape(out_w, c_out, out_h, n), (3, 2, 0, 1))
