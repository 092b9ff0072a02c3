"""Augmentation as pure functions on a batch: choices are drawn, then applied.

Teacher and student see the same pixels, so the choices are drawn once per step. An augmentation
that has few distinct outcomes says how many (`num_variants`): a teacher's outputs for all of them
can then be computed once instead of in every epoch.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from distill.data import photos

MAX_SHIFT = 1  # pixels, on MNIST-like images
MAX_ROTATION = 10.0  # degrees, on MNIST-like images
CROP_PADDING = 4  # pixels, on CIFAR-like images


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
    """Moves each image by its whole-pixel offset in `[-padding, padding]`; black enters."""
    _, h, w, c = images.shape
    padded = jnp.pad(images, ((0, 0), (padding, padding), (padding, padding), (0, 0)))

    def window(image, y, x):
        return jax.lax.dynamic_slice(image, (y, x, 0), (h, w, c))

    return jax.vmap(window)(padded, padding - dy, padding - dx)


def shift(images: jax.Array, variant: jax.Array) -> jax.Array:
    """Moves each image by up to `MAX_SHIFT` pixels each way; variant 4 of 9 is the identity."""
    side = 2 * MAX_SHIFT + 1
    return _translate(images, variant // side - MAX_SHIFT, variant % side - MAX_SHIFT, MAX_SHIFT)


def rotate(images: jax.Array, degrees: jax.Array) -> jax.Array:
    """Turns each image counter-clockwise about its centre, bilinearly; black enters.

    Args:
      images: `[batch, height, width, channels]`.
      degrees: `[batch]`.
    """
    _, h, w, _ = images.shape
    y, x = jnp.meshgrid(jnp.arange(h) - (h - 1) / 2, jnp.arange(w) - (w - 1) / 2, indexing="ij")

    def turn(image, angle):
        cos, sin = jnp.cos(angle), jnp.sin(angle)
        source = [cos * y + sin * x + (h - 1) / 2, cos * x - sin * y + (w - 1) / 2]

        def channel(plane):
            return jax.scipy.ndimage.map_coordinates(plane, source, order=1, mode="constant")

        return jax.vmap(channel, in_axes=-1, out_axes=-1)(image)

    return jax.vmap(turn)(images, jnp.deg2rad(degrees))


def flip(images: jax.Array, variant: jax.Array) -> jax.Array:
    """Mirrors each image whose variant is 1, left to right; variant 0 is the identity."""
    return jnp.where((variant == 1)[:, None, None, None], images[:, :, ::-1], images)


def _draw_shift_rotate(key, batch):
    shift_key, angle_key = jax.random.split(key)
    degrees = jax.random.uniform(angle_key, (batch,), minval=-MAX_ROTATION, maxval=MAX_ROTATION)
    return SHIFT.draw(shift_key, batch), degrees


def _shift_rotate(images, choices):
    variant, degrees = choices
    return shift(rotate(images, degrees), variant)


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


NUM_SHIFTS = (2 * MAX_SHIFT + 1) ** 2

NONE = Augmentation(
    draw=lambda key, batch: jnp.zeros((batch,), jnp.int32),
    apply=lambda images, variant: images,
    num_variants=1,
)
SHIFT = Augmentation(
    draw=lambda key, batch: jax.random.randint(key, (batch,), 0, NUM_SHIFTS),
    apply=shift,
    num_variants=NUM_SHIFTS,
)

AUGMENTATIONS: dict[str, Augmentation] = {
    "none": NONE,
    "shift": SHIFT,
    "flip": Augmentation(lambda key, batch: jax.random.randint(key, (batch,), 0, 2), flip, 2),
    "shift_rotate": Augmentation(_draw_shift_rotate, _shift_rotate, None),
    "crop_flip": Augmentation(_draw_crop_flip, crop_flip, None),
    "resized_crop": Augmentation(photos.draw_crop, photos.resized_crop, None),
    "photo": Augmentation(photos.draw_photo, photos.photo, None),
}
