"""Winograd's minimal filtering along the width of a convolution with many channels.

`F(m, k)` gives `m` neighbouring outputs of a `k`-tap filter from `m + k - 1` products instead of
`m·k` (Lavin and Gray 2015, arXiv:1509.09308). Here `m = k - 1`, so that a window of inputs is two
neighbouring blocks of `m` columns: 8 products for 4 outputs of a 5×5 kernel's row instead of 20.
Along the height the kernel is taken as it is.

The floor of a 5×5 convolution 32→64 on 14×14 images, batch 100, for each of output, input gradient
and kernel gradient: 1.00 G multiplications directly, 1.2 G as pairs of columns in
`distill.ops.banded`, 0.46 G here (for 14 columns, 16 are computed). The transformed input is 9.2 M
numbers and the products are 3.6 M, 51 MB written and read once. With 190 GFLOP/s on two cores, the
arithmetic is 4.8 ms and at 15 GB/s the traffic is 6.8 ms. Measured: 10.4 ms for the output and
30 ms for all three, against 19 and 49 ms for the banded matrix and 20 ms for the output with
`lax.conv_general_dilated`. In two dimensions there are fewer multiplications still, but the
reduction axis shrinks from 160 to 32 and the rounding errors multiply; it is slower and five times
less accurate.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from distill.ops.layout import pad_axis

# Where the polynomials are evaluated, besides infinity, by the width of the kernel. Small powers of
# two keep the rounding error within a few units of float32.
_POINTS = {3: (0.0, 1.0, -1.0), 5: (0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0)}

WIDTHS = tuple(_POINTS)  # of the kernels that `winograd_conv` takes


def winograd_conv(x: jax.Array, kernel: jax.Array, padding: Sequence[tuple[int, int]]) -> jax.Array:
    """Convolves images with a kernel of width 3 or 5, with stride 1.

    Args:
      x: `[batch, height, width, c_in]`.
      kernel: `[kh, kw, c_in, c_out]`, `kw` one of `WIDTHS`.
      padding: `((top, bottom), (left, right))` rows and columns of zeros, negative to crop.

    Returns:
      `[batch, out_height, out_width, c_out]`, stored as `[out_width, c_out, out_height, batch]`.
    """
    kh, kw, c_in, c_out = kernel.shape
    n, height, width, _ = x.shape
    out_h, out_w = height + sum(padding[0]) - kh + 1, width + sum(padding[1]) - kw + 1
    m = kw - 1
    tiles = -(-out_w // m)
    output, filter_, data = (a.astype(x.dtype) for a in _transforms(kw))

    x = pad_axis(jnp.transpose(x, (2, 3, 1, 0)), axis=2, amounts=padding[0])
    x = pad_axis(x, axis=0, amounts=(padding[1][0], (tiles + 1) * m - width - padding[1][0]))
    blocks = x.reshape(tiles + 1, m, -1)
    windows = jnp.concatenate([blocks[:-1], blocks[1:]], axis=1)
    v = _each(data, tiles) @ windows
    v = v.reshape(tiles, 2 * m, c_in, -1, n)
    v = jnp.stack([lax.slice_in_dim(v, i, i + out_h, axis=3) for i in range(kh)], axis=3)
    u = jnp.einsum("pk,hkio->poih", filter_, kernel).reshape(2 * m, c_out, c_in * kh)
    products = _each(u, tiles) @ v.reshape(tiles, 2 * m, c_in * kh, -1)
    y = _each(output, tiles) @ products.reshape(tiles, 2 * m, -1)
    y = y.reshape(tiles * m, c_out, out_h, n)[:out_w]
    return jnp.transpose(y, (3, 2, 0, 1))


def _each(matrix: jax.Array | np.ndarray, tiles: int) -> jax.Array:
    """Repeats a matrix for each tile, so that the tiles come first in a product with it."""
    return jnp.broadcast_to(matrix, (tiles, *matrix.shape))


def _transforms(k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The matrices of `F(k - 1, k)`: `y = output @ ((filter @ g) * (data @ d))`.

    A product of polynomials is the interpolation of the products of their values; correlation is
    its transpose with respect to one factor. Each row of `filter` is scaled to the norm of the row
    of `data` that it meets.

    Returns:
      `output [m, 2 m]`, `filter [2 m, k]` and `data [2 m, 2 m]` with `m = k - 1`, float64.
    """
    points = np.array(_POINTS[k])

    def evaluate(coefficients: int) -> np.ndarray:
        at_infinity = np.eye(coefficients)[-1:]  # the leading coefficient
        return np.vstack([points[:, None] ** np.arange(coefficients), at_infinity])

    data = np.linalg.inv(evaluate(2 * k - 2)).T
    filter_ = evaluate(k)
    scale = np.sqrt(np.linalg.norm(data, axis=1) / np.linalg.norm(filter_, axis=1))[:, None]
    return evaluate(k - 1).T, filter_ * scale, data / scale
