"""Convolution as one matrix multiplication, with the batch along the rows of memory.

On a CPU the arithmetic of a small convolution is cheap and the shuffling around it is not. Two
choices keep the shuffling low:

* Activations are kept as `[C, W, H, N]`, the batch last. A window shifted by one row is then a
  contiguous block of `H·N` numbers per channel and column, and every element-wise loop runs along
  the batch.
* A group of `tile` neighbouring output columns is computed together, by a kernel spread into a
  banded (Toeplitz) matrix `[c_out·tile, c_in·span·kh]`, `span = (tile - 1)·stride + kw`. The input
  is replicated `kh·span / (tile·stride²)` times, against `kh·kw / stride²` times for im2col, which
  is `tile = 1`; the price is `span / kw` times the multiplications, the rest being with zeros.

Both are plain array operations, so that the gradients are matrix multiplications too. That matters
inside `lax.scan` or `lax.map`, where XLA runs the gradients of its own convolution on a CPU as
scalar loops (https://github.com/jax-ml/jax/issues/12868).
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from distill.ops.layout import pad_axis


def banded_conv(
    x: jax.Array,
    kernel: jax.Array,
    strides: tuple[int, int],
    padding: Sequence[tuple[int, int]],
    tile: int,
) -> jax.Array:
    """Convolves images with a kernel, `tile` output columns at a time.

    Args:
      x: `[batch, height, width, c_in]`.
      kernel: `[kh, kw, c_in, c_out]`.
      strides: along the height and the width.
      padding: `((top, bottom), (left, right))` rows and columns of zeros, negative to crop.
      tile: number of output columns computed together; it divides the output's width.

    Returns:
      `[batch, out_height, out_width, c_out]`, stored as `[c_out, out_width, out_height, batch]`.
    """
    kh, kw, c_in, c_out = kernel.shape
    n, height, width, _ = x.shape
    out_h = (height + sum(padding[0]) - kh) // strides[0] + 1
    out_w = (width + sum(padding[1]) - kw) // strides[1] + 1
    x = pad_axis(jnp.transpose(x, (3, 2, 1, 0)), axis=2, amounts=padding[0])
    if tile == out_w:  # one group of columns: the matrix has no rows for padded columns
        span, left = width, padding[1][0]
        x = x[:, :, None]
    else:
        span, left = (tile - 1) * strides[1] + kw, 0
        x = pad_axis(x, axis=1, amounts=padding[1])
        x = _windows(x, 1, span, tile * strides[1], out_w // tile, to=1)
    x = _windows(x, 3, kh, strides[0], out_h, to=2)  # [c_in, span, kh, out_w / tile, out_h, n]
    band = _band(kernel, strides[1], tile, span, left)
    y = band @ x.reshape(c_in * span * kh, -1)
    y = y.reshape(c_out, tile, out_w // tile, out_h, n)
    y = jnp.swapaxes(y, 1, 2).reshape(c_out, out_w, out_h, n)
    return jnp.transpose(y, (3, 2, 1, 0))  # last, so that XLA can make it a change of layout


def _band(kernel: jax.Array, stride: int, tile: int, span: int, left: int) -> jax.Array:
    """Spreads a kernel into the matrix from `[c_in, span, kh]` inputs to `[c_out, tile]` outputs.

    Column `s` of the input and column `t` of the output meet in column `s + left - t·stride` of the
    kernel.
    """
    kh, kw, c_in, c_out = kernel.shape
    k, s, t = np.ogrid[:kw, :span, :tile]
    meets = (s + left - t * stride == k).astype(kernel.dtype)
    band = jnp.einsum("hkio,kst->otish", kernel, meets)
    return band.reshape(c_out * tile, c_in * span * kh)


def _windows(x: jax.Array, axis: int, size: int, step: int, count: int, to: int) -> jax.Array:
    """Gathers `count` windows of `size`, `step` apart, of one axis; the size goes to axis `to`."""
    if size == step:  # disjoint windows: nothing is replicated, and neither is the gradient
        x = lax.slice_in_dim(x, 0, count * size, axis=axis)
        x = x.reshape(*x.shape[:axis], count, size, *x.shape[axis + 1 :])
        return jnp.moveaxis(x, axis + 1, to)
    last = (count - 1) * step + 1
    return jnp.stack([lax.slice_in_dim(x, i, i + last, step, axis) for i in range(size)], to)
