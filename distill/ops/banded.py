"""Convolution as a matrix multiplication, with the batch along the rows of memory.

On a CPU the arithmetic of a small convolution is cheap and the shuffling around it is not. Two
choices keep the shuffling low:

* Activations are kept as `[W, C, H, N]`, the batch last. A window shifted by a row is then a
  contiguous block of `H·N` numbers per column and channel, one shifted by a column is contiguous
  altogether, and every element-wise loop runs along the batch. Arguments and results are NHWC all
  the same: a transpose at either end of a function is a choice of layout to XLA, and where two
  functions meet nothing is moved. (A reshape after the transpose would spoil that.)
* A group of `tile` neighbouring output columns is computed together, by a kernel spread into a
  banded (Toeplitz) matrix `[tile·c_out, span·c_in·kh]`, `span = (tile - 1)·stride + kw`. The input
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
      `[batch, out_height, out_width, c_out]`, stored as `[out_width, c_out, out_height, batch]`.
    """
    kh, kw, c_in, c_out = kernel.shape
    n, height, width, _ = x.shape
    out_h = (height + sum(padding[0]) - kh) // strides[0] + 1
    out_w = (width + sum(padding[1]) - kw) // strides[1] + 1
    groups = out_w // tile
    x = pad_axis(jnp.transpose(x, (2, 3, 1, 0)), axis=2, amounts=padding[0])
    x = _row_windows(x, kh, strides[0], out_h)  # [width, c_in, kh, out_h, n]
    if groups == 1:  # the matrix has no columns for padding
        span, left = width, padding[1][0]
    else:
        span, left = (tile - 1) * strides[1] + kw, 0
        x = _column_windows(pad_axis(x, 0, padding[1]), span, tile * strides[1], groups)
    band = _band(kernel, strides[1], tile, span, left)
    y = jnp.broadcast_to(band, (groups, *band.shape)) @ x.reshape(groups, span * c_in * kh, -1)
    return jnp.transpose(y.reshape(out_w, c_out, out_h, n), (3, 2, 0, 1))


def _band(kernel: jax.Array, stride: int, tile: int, span: int, left: int) -> jax.Array:
    """Spreads a kernel into the matrix from `[span, c_in, kh]` inputs to `[tile, c_out]` outputs.

    Column `s` of the input and column `t` of the output meet in column `s + left - t·stride` of the
    kernel.
    """
    kh, kw, c_in, c_out = kernel.shape
    k, s, t = np.ogrid[:kw, :span, :tile]
    meets = (s + left - t * stride == k).astype(kernel.dtype)
    band = jnp.einsum("hkio,kst->tosih", kernel, meets)
    return band.reshape(tile * c_out, span * c_in * kh)


def _column_windows(x: jax.Array, size: int, stride: int, count: int) -> jax.Array:
    """Gathers windows of columns, `[w, ...]` to `[count, size, ...]`."""
    if size == stride:  # disjoint windows: nothing is replicated, and neither is the gradient
        return x[: count * size].reshape(count, size, *x.shape[1:])
    starts = range(0, count * stride, stride)
    return jnp.stack([lax.slice_in_dim(x, i, i + size) for i in starts])


def _row_windows(x: jax.Array, size: int, stride: int, count: int) -> jax.Array:
    """Gathers windows of rows, `[w, c, h, n]` to `[w, c, size, count, n]`."""
    w, c, _, n = x.shape
    if size == stride:
        return jnp.swapaxes(x[:, :, : count * size].reshape(w, c, count, size, n), 2, 3)
    last = (count - 1) * stride + 1
    rows = [lax.slice_in_dim(x, i, i + last, stride, axis=2) for i in range(size)]
    return jnp.stack(rows, axis=2)
