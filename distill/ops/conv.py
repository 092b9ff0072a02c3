"""The convolution to inject into `nn.Conv(conv_general_dilated=...)`, by device and by shape."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import lax

from distill.ops import direct, native
from distill.ops.banded import banded_conv
from distill.ops.depthwise import depthwise_conv
from distill.ops.shifted import shifted_conv
from distill.ops.split import each_its_part
from distill.ops.winograd import WIDTHS, winograd_conv

# Time of replicating one number of the input, in multiplications of the matrix product. Measured on
# two cores with AVX-512.
_COPY_COST = 128

KERNELS = ("auto", "native", "xla")

Padding = Sequence[tuple[int, int]]

_NHWC = lax.ConvDimensionNumbers((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))


def conv_for(platform: str, kernels: str = "auto") -> Callable:
    """The convolution to train with on `jax.default_backend()`: `cpu`, `gpu` or `tpu`.

    Args:
      platform: as said.
      kernels: an entry of `KERNELS`; what a CPU computes with. `auto` is `native` where it can be
        had.
    """
    if platform != "cpu":
        return lax.conv_general_dilated
    if kernels == "auto":
        kernels = "native" if native.library() else "xla"
    return conv_native if kernels == "native" else conv_cpu


def prepare(platform: str) -> None:
    """Begins to make what `conv_for` is going to want; it takes seconds, once per machine."""
    if platform == "cpu":
        native.prepare()


def kernels_of(conv: Callable | None) -> str:
    """Returns which of `KERNELS` the convolution of a model is, or `xla` if it has none."""
    return "native" if conv is conv_native else "xla"


def _for_nhwc(one: Callable) -> Callable:
    """Makes a formulation of NHWC convolutions a drop-in for `jax.lax.conv_general_dilated`.

    Anything but an undilated 2-D convolution with NHWC images and an HWIO kernel in float32 goes to
    `jax.lax.conv_general_dilated`, arguments unchanged.

    Args:
      one: of images `[batch, height, width, c_in]`, a kernel `[kh, kw, c_in // groups, c_out]`,
        strides and padding.
    """

    def conv(
        lhs: jax.Array,
        rhs: jax.Array,
        window_strides: Sequence[int],
        padding: str | Sequence[tuple[int, int]],
        lhs_dilation: Sequence[int] | None = None,
        rhs_dilation: Sequence[int] | None = None,
        dimension_numbers: lax.ConvGeneralDilatedDimensionNumbers = None,
        feature_group_count: int = 1,
        batch_group_count: int = 1,
        precision: lax.PrecisionLike = None,
        preferred_element_type: jax.typing.DTypeLike | None = None,
    ) -> jax.Array:
        numbers = lax.conv_dimension_numbers(lhs.shape, rhs.shape, dimension_numbers)
        ones = (*(lhs_dilation or ()), *(rhs_dilation or ()), batch_group_count)
        known = numbers == _NHWC and all(i == 1 for i in ones) and lhs.dtype == jnp.float32
        if not known or preferred_element_type is not None:
            return lax.conv_general_dilated(
                lhs,
                rhs,
                window_strides,
                padding,
                lhs_dilation,
                rhs_dilation,
                dimension_numbers,
                feature_group_count,
                batch_group_count,
                precision,
                preferred_element_type,
            )
        strides = (window_strides[0], window_strides[1])
        if isinstance(padding, str):
            padding = lax.padtype_to_pads(lhs.shape[1:3], rhs.shape[:2], strides, padding)
        padded = [n + sum(pad) for n, pad in zip(lhs.shape[1:3], padding, strict=True)]
        if min(lhs.shape) == 0 or padded[0] < rhs.shape[0] or padded[1] < rhs.shape[1]:
            raise ValueError(
                f"a kernel of {rhs.shape[0]}x{rhs.shape[1]} finds no place in {tuple(lhs.shape)}"
            )

        def grouped(lhs: jax.Array, rhs: jax.Array) -> jax.Array:
            if feature_group_count == 1 or rhs.shape[2] == 1:
                return one(lhs, rhs, strides, padding)
            images = jnp.split(lhs, feature_group_count, axis=3)
            filters = jnp.split(rhs, feature_group_count, axis=3)
            groups = [one(x, k, strides, padding) for x, k in zip(images, filters, strict=True)]
            return jnp.concatenate(groups, axis=3)

        return each_its_part(grouped)(lhs, rhs)

    return conv


def _xla(x: jax.Array, kernel: jax.Array, strides: tuple[int, int], padding: Padding) -> jax.Array:
    if x.shape[3] > 1 and kernel.shape[2] == 1:
        return depthwise_conv(x, kernel, strides, padding)
    if _many_channels(kernel) and strides == (1, 1):
        return winograd_conv(x, kernel, padding)
    if strides == (1, 1) and _few_outputs(kernel) or _overlapping(kernel, strides):
        return shifted_conv(x, kernel, strides, padding)
    return banded_conv(x, kernel, strides, padding, _tile(x, kernel, strides, padding))


def _native(
    x: jax.Array, kernel: jax.Array, strides: tuple[int, int], padding: Padding
) -> jax.Array:
    layout = direct.layout(x.shape, kernel.shape)
    if layout is None:
        return _xla(x, kernel, strides, padding)
    return direct.direct_conv(x, kernel, strides, padding, layout)


conv_cpu = _for_nhwc(_xla)
"""For training on a CPU, fast inside `lax.scan` and `lax.map`.

Winograd's filtering where there are many channels, a sum of shifted pieces where there are few
outputs or windows overlap in strides, shifted multiply-adds where each channel is by itself, a
banded matrix elsewhere; groups one after the other.
"""

conv_native = _for_nhwc(_native)
"""For training on a CPU, by the kernels in C++.

What those do not take (few examples of few channels, several filters for each channel) is computed
as by `conv_cpu`.
"""


def _many_channels(kernel: jax.Array) -> bool:
    """Whether saving multiplications pays for transforming the data."""
    _, kw, c_in, c_out = kernel.shape
    return kw in WIDTHS and min(c_in, c_out) >= 16


def _few_outputs(kernel: jax.Array) -> bool:
    """Whether moving pieces of the outputs is cheaper than moving the inputs."""
    kh, kw, c_in, c_out = kernel.shape
    return c_in >= 4 and max(kh, kw) * c_out <= 4 * c_in  # by measurement


def _overlapping(kernel: jax.Array, strides: tuple[int, int]) -> bool:
    """Whether windows that are strides apart have pixels in common."""
    kh, kw, *_ = kernel.shape
    return strides != (1, 1) and kh > strides[0] and kw > strides[1]


def _tile(lhs: jax.Array, rhs: jax.Array, strides: tuple[int, int], padding: Sequence) -> int:
    """Chooses how many output columns to compute together, by arithmetic and by copying.

    For few channels, that is the whole row. For many, the zeros in the band become expensive, and
    a pair or four of columns is about the optimum for a 5×5 kernel.
    """
    _, kw, _, c_out = rhs.shape
    width, stride = lhs.shape[2], strides[1]
    out_w = (width + sum(padding[1]) - kw) // stride + 1

    def cost(tile: int) -> float:
        """Per output position, input channel and row of the kernel."""
        span = width if tile == out_w else (tile - 1) * stride + kw
        return span * (_COPY_COST / tile + c_out)

    return min((tile for tile in range(1, out_w + 1) if out_w % tile == 0), key=cost)
