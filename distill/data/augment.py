"""Augmentation as pure functions on a batch: choices are drawn, then applied.

Teacher and student see the same pixels, so the choices are drawn once per step. An augmentation
that has few distinct outcomes says how many (`num_variants`): a teacher's outputs for all of them
can then be computed once instead of in every epoch.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from distill.data import photos
from distill.numerics import KEYS

MAX_SHIFT = 1  # pixels, on MNIST-like images
MAX_ROTATION = 10.0  # degrees, on MNIST-like images
MAX_SCALING = 0.1  # up and down, on MNIST-like images
MAX_OFFSET = 2.0  # pixels, with fractions, on MNIST-like images
NUM_FIXED = 32  # maps of `affine_fixed`, those of `shift` among them
CROP_PADDING = 4  # pixels, on CIFAR-like images
HAND = {  # how far each of `hand` goes, to both sides
    "degrees": 15.0,
    "scale": 0.15,  # of rows and of columns, each by itself; of the logarithm
    "shear": 0.25,  # columns a row
    "shift": 1.5,  # pixels
    "stroke": 0.6,  # 1 is a pixel more, or less, at each side of a stroke
    "gamma": 0.4,  # of the logarithm
}


class Augmentation(NamedTuple):
    """One way to augment images.

    Attributes:
      draw: `(key, batch) -> choices`, a pytree of arrays `[batch, ...]`.
      apply: `(images, choices) -> images`, both `[batch, height, width, channels]` float32.
      num_variants: if finite, choices are int32 in `[0, num_variants)`; otherwise None.
    """

    draw: Callable[[jax.Array, int], Any]
    apply: Callable[[jax.Array, Any], jax.Array]
    num_variants: int | None


def _translate(images: jax.Array, dy: jax.Array, dx: jax.Array, padding: int) -> jax.Array:
    """Moves each image by its whole-pixel offset in `[-padding, padding]`; black enters.

    Chosen from all that are possible, first of the rows and then of the columns, which goes by
    vectors of images where a slice of each by itself does not.
    """
    for axis, offset in ((1, dy), (2, dx)):
        borders = [(padding, padding) if i == axis else (0, 0) for i in range(4)]
        padded, size = jnp.pad(images, borders), images.shape[axis]
        for moved in range(-padding, padding + 1):
            first = padding - moved
            piece = jax.lax.slice_in_dim(padded, first, first + size, axis=axis)
            images = jnp.where((offset == moved)[:, None, None, None], piece, images)
    return images


def shift(images: jax.Array, variant: jax.Array) -> jax.Array:
    """Moves each image by up to `MAX_SHIFT` pixels each way; variant 4 of 9 is the identity."""
    dy, dx = _offsets(variant).T
    return _translate(images, dy, dx, MAX_SHIFT)


def _offsets(variant: jax.Array) -> jax.Array:
    """Returns by how many pixels `[batch, 2]` each variant of `shift` moves down and right."""
    return jnp.stack(jnp.divmod(variant, 2 * MAX_SHIFT + 1), -1) - MAX_SHIFT


def rotate(images: jax.Array, degrees: jax.Array) -> jax.Array:
    """Turns each image counter-clockwise about its centre, bilinearly; black enters.

    Args:
      images: `[batch, height, width, channels]`.
      degrees: `[batch]`.
    """
    return _warp(images, _turn(degrees), jnp.zeros((len(degrees), 2)))


def _turn(degrees):
    """Returns the matrices `[batch, 2, 2]` for `_warp` that turn counter-clockwise."""
    cos, sin = jnp.cos(jnp.deg2rad(degrees)), jnp.sin(jnp.deg2rad(degrees))
    return _matrix(cos, sin, -sin, cos)


def _matrix(*entries):
    """Returns matrices `[batch, 2, 2]` from their four entries `[batch]`, row by row."""
    return jnp.stack(entries, -1).reshape(-1, 2, 2)


def _warp(images: jax.Array, matrix: jax.Array, offset: jax.Array) -> jax.Array:
    """Takes each pixel from another place, bilinearly; black enters.

    Args:
      images: `[batch, height, width, channels]`.
      matrix: `[batch, 2, 2]`, from a place to where its pixel comes from, (y, x) about the centre.
      offset: `[batch, 2]`, in pixels, added to that.
    """
    _, h, w, _ = images.shape
    y = jnp.arange(h).reshape(1, -1, 1) - (h - 1) / 2
    x = jnp.arange(w).reshape(1, 1, -1) - (w - 1) / 2
    # Written out, as XLA does not fuse a product of matrices with what reads the pixels.
    m, shift = matrix[..., None, None], offset[..., None, None]
    rows = m[:, 0, 0] * y + m[:, 0, 1] * x + shift[:, 0] + (h - 1) / 2
    columns = m[:, 1, 0] * y + m[:, 1, 1] * x + shift[:, 1] + (w - 1) / 2
    return _sample(images, rows, columns)


def affine(images: jax.Array, choices: tuple[jax.Array, ...]) -> jax.Array:
    """Turns, scales and moves each image about its centre, bilinearly; black enters.

    Args:
      images: `[batch, height, width, channels]`.
      choices: degrees counter-clockwise `[batch]`, the scale `[batch]`, pixels down and to the
        right `[batch, 2]`.
    """
    degrees, scale, offset = choices
    matrix = _turn(degrees) / scale[:, None, None]
    return _warp(images, matrix, -jnp.einsum("bij,bj->bi", matrix, offset))


def _sample(images: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:
    """Reads images between their pixels, bilinearly, at `[batch, height, width]` rows and columns.

    Outside it is black, as everything is that lies a pixel and more away.
    """
    n, h, w, c = images.shape
    flat = jnp.pad(images, ((0, 0), (1, 2), (1, 2), (0, 0))).reshape(n, -1, c)
    y, x = jnp.clip(y, -1, h) + 1, jnp.clip(x, -1, w) + 1
    top, left = jnp.floor(y), jnp.floor(x)
    fy, fx = (y - top).reshape(n, -1, 1), (x - left).reshape(n, -1, 1)
    index = (top * (w + 3) + left).astype(jnp.int32).reshape(n, -1, 1)

    def corner(down: int, right: int) -> jax.Array:
        at = index + (down * (w + 3) + right)
        return jnp.take_along_axis(flat, at, axis=1, mode="promise_in_bounds")

    upper = corner(0, 0) * (1 - fx) + corner(0, 1) * fx
    lower = corner(1, 0) * (1 - fx) + corner(1, 1) * fx
    return (upper * (1 - fy) + lower * fy).reshape(n, *y.shape[1:], c)


def flip(images: jax.Array, variant: jax.Array) -> jax.Array:
    """Mirrors each image whose variant is 1, left to right; variant 0 is the identity."""
    return jnp.where((variant == 1)[:, None, None, None], images[:, :, ::-1], images)


def _one_of(key, batch, count):
    """Draws numbers below `count`, int32 `[batch]`, from half of the bits that `randint` takes."""
    return jnp.floor(count * jax.random.uniform(key, (batch,))).astype(jnp.int32)


def _draw_shift_rotate(key, batch):
    shift_key, angle_key = jax.random.split(key)
    degrees = jax.random.uniform(angle_key, (batch,), minval=-MAX_ROTATION, maxval=MAX_ROTATION)
    return SHIFT.draw(shift_key, batch), degrees


def _shift_rotate(images, choices):
    variant, degrees = choices
    return shift(rotate(images, degrees), variant)


def _draw_affine(key, batch):
    degrees, scale, down, right = jax.random.uniform(key, (4, batch), minval=-1, maxval=1)
    offset = MAX_OFFSET * jnp.stack([down, right], -1)
    return MAX_ROTATION * degrees, 1 + MAX_SCALING * scale, offset


def _draw_affine_or_shift(key, batch):
    """Draws as `affine` does, but has half of the images moved as by `shift`.

    Interpolation blurs, and the images that are to be told apart in the end are not blurred: the
    student v1 is better for having seen such ones too (docs/small_recipes.md).
    """
    keys = jax.random.split(key)
    degrees, scale, offset = _draw_affine(keys[0], batch)
    drawn = _one_of(keys[1], batch, 2 * NUM_SHIFTS)
    whole, pixels = drawn < NUM_SHIFTS, _offsets(drawn % NUM_SHIFTS)
    return (
        jnp.where(whole, 0, degrees),
        jnp.where(whole, 1, scale),
        jnp.where(whole[:, None], pixels, offset),
    )


def _draw_affine_fixed(key, batch):
    keys = jax.random.split(key)
    half, others = _one_of(keys[0], batch, 2 * NUM_SHIFTS), NUM_FIXED - NUM_SHIFTS
    return jnp.where(half < NUM_SHIFTS, half, NUM_SHIFTS + _one_of(keys[1], batch, others))


def affine_fixed(images: jax.Array, variant: jax.Array) -> jax.Array:
    """Moves each image by one of `NUM_FIXED` maps: those of `shift`, and some as `affine` draws.

    Half of the images are moved by the first, as `affine_or_shift` does. What a teacher says of so
    many outcomes can be tabulated.
    """
    still = jnp.zeros(NUM_SHIFTS), jnp.ones(NUM_SHIFTS), _offsets(jnp.arange(NUM_SHIFTS))
    moving = _draw_affine(jax.random.key(0, impl=KEYS), NUM_FIXED - NUM_SHIFTS)
    drawn = jax.tree.map(lambda *parts: jnp.concatenate(parts), still, moving)
    return affine(images, jax.tree.map(lambda choice: choice[variant], drawn))


def _draw_crop_flip(key, batch):
    crop_key, flip_key = jax.random.split(key)
    offset = jax.random.randint(crop_key, (batch, 2), -CROP_PADDING, CROP_PADDING + 1)
    return offset, jax.random.bernoulli(flip_key, shape=(batch,))


def crop_flip(images: jax.Array, choices: tuple[jax.Array, jax.Array]) -> jax.Array:
    """Random crop after padding by `CROP_PADDING`, and horizontal flip (He et al. 2015, 4.2).

    Args:
      images: `[batch, height, width, channels]`.
      choices: offsets `[batch, 2]` int32 (dy, dx), and whether to flip `[batch]` bool.
    """
    offset, mirrored = choices
    images = _translate(images, offset[:, 0], offset[:, 1], CROP_PADDING)
    return jnp.where(mirrored[:, None, None, None], images[:, :, ::-1], images)


def _draw_hand(key, batch):
    keys = jax.random.split(key, len(HAND))
    sizes = {"scale": 2, "shift": 2}
    return {
        name: jax.random.uniform(
            k, (batch, sizes[name]) if name in sizes else (batch,), minval=-most, maxval=most
        )
        for k, (name, most) in zip(keys, HAND.items(), strict=True)
    }


def hand(images: jax.Array, choices: Mapping[str, jax.Array]) -> jax.Array:
    """Varies digits as hands and pens do: an affine map, the width of strokes, their softness.

    Simard, Steinkraus and Platt (2003) is the usual source for affine distortions of MNIST.

    Args:
      images: `[batch, height, width, channels]` from 0 to 1, light on dark.
      choices: by the names of `HAND`: `degrees`, `shear`, `stroke` and `gamma` `[batch]`, `scale`
        and `shift` `[batch, 2]` (y, x). Zeros leave images as they are.
    """
    sy, sx = jnp.exp(-choices["scale"]).T
    lean = _matrix(sy, jnp.zeros_like(sy), choices["shear"], sx)
    images = _warp(images, _turn(choices["degrees"]) @ lean, choices["shift"])
    stroke, gamma = (choices[name].reshape(-1, 1, 1, 1) for name in ("stroke", "gamma"))
    images += jnp.maximum(stroke, 0) * (_around(images, jax.lax.max) - images)
    images += jnp.maximum(-stroke, 0) * (_around(images, jax.lax.min) - images)
    return jnp.clip(images, 0, 1) ** jnp.exp(gamma)


def _around(images, function):
    """Returns the largest or smallest of each pixel and the four beside it; black lies outside."""
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    down = function(padded[:, 2:, 1:-1], padded[:, :-2, 1:-1])
    across = function(padded[:, 1:-1, 2:], padded[:, 1:-1, :-2])
    return function(images, function(down, across))


NUM_SHIFTS = (2 * MAX_SHIFT + 1) ** 2

NONE = Augmentation(
    draw=lambda key, batch: jnp.zeros((batch,), jnp.int32),
    apply=lambda images, variant: images,
    num_variants=1,
)
SHIFT = Augmentation(
    draw=lambda key, batch: _one_of(key, batch, NUM_SHIFTS),
    apply=shift,
    num_variants=NUM_SHIFTS,
)

AUGMENTATIONS: dict[str, Augmentation] = {
    "none": NONE,
    "shift": SHIFT,
    "flip": Augmentation(lambda key, batch: _one_of(key, batch, 2), flip, 2),
    "shift_rotate": Augmentation(_draw_shift_rotate, _shift_rotate, None),
    "affine": Augmentation(_draw_affine, affine, None),
    "affine_or_shift": Augmentation(_draw_affine_or_shift, affine, None),
    "affine_fixed": Augmentation(_draw_affine_fixed, affine_fixed, NUM_FIXED),
    "hand": Augmentation(_draw_hand, hand, None),
    "crop_flip": Augmentation(_draw_crop_flip, crop_flip, None),
    "resized_crop": Augmentation(photos.draw_crop, photos.resized_crop, None),
    "photo": Augmentation(photos.draw_photo, photos.photo, None),
}
