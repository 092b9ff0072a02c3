"""Convolution by the kernels in C++, with its two gradients.

The three are one family: each is linear in both of its arguments, and its gradients are the other
two. So derivatives of any order come of the same kernels.

Arguments and results are NHWC and HWIO. How they lie in memory is a matter of each call: channels
last, or examples last where there are few channels. XLA lets what comes before and after compute in
that order.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from distill import provenance
from distill.ops import native

CHANNELS_LAST, BATCH_LAST, DEPTHWISE, DEPTHWISE_BATCH_LAST = range(4)

# The order of an image's dimensions in memory, from the one that changes least.
_CHANNELS, _BATCH = (0, 1, 2, 3), (1, 2, 3, 0)  # what is last
ORDERS = {
    CHANNELS_LAST: _CHANNELS, BATCH_LAST: _BATCH, DEPTHWISE: _CHANNELS,
    DEPTHWISE_BATCH_LAST: _BATCH,
}  # fmt: skip
FEW = 16  # channels, with fewer of which examples are better last; measured with 8 lanes
_EACH_CHANNEL = (DEPTHWISE, DEPTHWISE_BATCH_LAST)
_KERNEL_ORDER = (0, 1, 2, 3)


class Geometry(NamedTuple):
    """What a convolution and its gradients have in common, besides their arrays.

    Attributes:
      layout: `CHANNELS_LAST`, `BATCH_LAST` or `DEPTHWISE`.
      strides, before: along the height and the width; `before` are zeros above and to the left.
      image, kernel, out: `[height, width]` of each.
    """

    layout: int
    strides: tuple[int, int]
    before: tuple[int, int]
    image: tuple[int, int]
    kernel: tuple[int, int]
    out: tuple[int, int]

    def call(self, target: str, a: jax.Array, b: jax.Array, shape: tuple[int, ...], orders):
        """Calls one of the kernels on two arrays, whose orders and the result's are given."""
        return call(
            target, (a, b), shape, orders, layout=self.layout, stride_h=self.strides[0],
            stride_w=self.strides[1], top=self.before[0], left=self.before[1],
        )  # fmt: skip


def call(
    target: str,
    arrays: Sequence[jax.Array],
    shape: tuple[int, ...],
    orders: Sequence[tuple[int, ...]],
    **attributes: int,
) -> jax.Array:
    """Calls a kernel in C++.

    Args:
      target: its name.
      arrays: float32.
      shape: of the result.
      orders: of the dimensions in memory, from the one that changes least; of each array and of the
        result.
      attributes: what else the kernel takes, except for the number of threads.
    """
    function = jax.ffi.ffi_call(
        target,
        jax.ShapeDtypeStruct(shape, jnp.float32),
        input_layouts=orders[:-1],
        output_layouts=orders[-1],
        vmap_method="sequential",
    )
    numbers = {"threads": threads(), **attributes}
    return function(*arrays, **{name: np.int64(number) for name, number in numbers.items()})


def layout(image: tuple[int, ...], kernel: tuple[int, ...]) -> int | None:
    """Returns how images `[N, H, W, C]` had better lie in memory, or None if no kernel takes them.

    With the channels last, a vector holds output channels, and few of them leave much of it empty
    and give little to do with what is loaded. With the examples last there have to be as many as a
    vector holds.
    """
    library = native.library()
    lanes = library.distill_lanes() if library else 0
    (examples, _, _, c_in), (_, _, per_group, c_out) = image, kernel
    if not lanes:
        return None
    batch_last = examples >= lanes and c_out < FEW
    if per_group == c_in:
        fills = 3 * c_out >= 2 * lanes
        if batch_last and (c_in < 2 * FEW or not fills):
            return BATCH_LAST
        return CHANNELS_LAST if fills else None
    if c_in != c_out:
        return None
    if batch_last:
        return DEPTHWISE_BATCH_LAST
    return DEPTHWISE if c_out >= lanes else None


def threads() -> int:
    """Returns how many threads a device has, where the cores are divided among devices."""
    return max(1, provenance.cores() // jax.local_device_count())


def direct_conv(
    x: jax.Array,
    kernel: jax.Array,
    strides: tuple[int, int],
    padding: Sequence[tuple[int, int]],
    layout: int,
) -> jax.Array:
    """Convolves images with a kernel.

    Args:
      x: `[batch, height, width, c_in]` float32.
      kernel: `[kh, kw, c_in, c_out]` float32, or `[kh, kw, 1, c_in]` if depthwise.
      strides: along the height and the width.
      padding: `((top, bottom), (left, right))` rows and columns of zeros, negative to crop.
      layout: `CHANNELS_LAST`, `BATCH_LAST` or `DEPTHWISE`.

    Returns:
      `[batch, out_height, out_width, c_out]` float32.
    """
    (_, height, width, _), (kh, kw, *_), (sh, sw) = x.shape, kernel.shape, strides
    out = (height + sum(padding[0]) - kh) // sh + 1, (width + sum(padding[1]) - kw) // sw + 1
    before = (padding[0][0], padding[1][0])
    return _conv(Geometry(layout, strides, before, (height, width), (kh, kw), out), x, kernel)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _conv(of: Geometry, x: jax.Array, kernel: jax.Array) -> jax.Array:
    order, shape = ORDERS[of.layout], (len(x), *of.out, kernel.shape[3])
    return of.call("distill_conv", x, kernel, shape, (order, _KERNEL_ORDER, order))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _image_gradient(of: Geometry, ct: jax.Array, kernel: jax.Array) -> jax.Array:
    order, channels = ORDERS[of.layout], kernel.shape[3 if of.layout in _EACH_CHANNEL else 2]
    shape = (len(ct), *of.image, channels)
    return of.call("distill_conv_image", ct, kernel, shape, (order, _KERNEL_ORDER, order))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _kernel_gradient(of: Geometry, x: jax.Array, ct: jax.Array) -> jax.Array:
    order, channels = ORDERS[of.layout], 1 if of.layout in _EACH_CHANNEL else x.shape[3]
    shape = (*of.kernel, channels, ct.shape[3])
    return of.call("distill_conv_kernel", x, ct, shape, (order, order, _KERNEL_ORDER))


def _forward(function):
    """The forward half of a bilinear function: its arguments are all that its gradients need."""
    return lambda of, a, b: (function(of, a, b), (a, b))


_conv.defvjp(
    _forward(_conv),
    lambda of, kept, ct: (_image_gradient(of, ct, kept[1]), _kernel_gradient(of, kept[0], ct)),
)
_image_gradient.defvjp(
    _forward(_image_gradient),
    lambda of, kept, ct: (_conv(of, ct, kept[1]), _kernel_gradient(of, ct, kept[0])),
)
_kernel_gradient.defvjp(
    _forward(_kernel_gradient),
    lambda of, kept, ct: (_image_gradient(of, kept[1], ct), _conv(of, kept[0], ct)),
)
