"""Augmentation of photos: a part of each, enlarged, with other colours.

Pure functions on a batch of pixels between 0 and 1, so that the device does them, inside the step,
while the next images are decoded.
"""

import math

import jax
import jax.numpy as jnp

from distill.pixels import LUMA

AREA = (0.08, 1.0)  # of the part in the whole (Szegedy et al. 2015, arXiv:1409.4842, section 6)
ASPECT = (3 / 4, 4 / 3)  # of its width to its height, where the whole is a square
STRENGTH = 0.4  # of the colours, as in the training of ResNets by Facebook (2016)


def draw_crop(key: jax.Array, batch: int) -> tuple[jax.Array, jax.Array]:
    """Draws a part for each image, and whether it is mirrored; see `resized_crop`."""
    area_key, aspect_key, place_key, flip_key = jax.random.split(key, 4)
    area = jax.random.uniform(area_key, (batch,), minval=AREA[0], maxval=AREA[1])
    low, high = (math.log(aspect) for aspect in ASPECT)
    aspect = jnp.exp(jax.random.uniform(aspect_key, (batch,), minval=low, maxval=high))
    size = jnp.stack([jnp.sqrt(area / aspect), jnp.sqrt(area * aspect)], axis=1)
    size = jnp.minimum(size, 1.0)
    corner = jax.random.uniform(place_key, (batch, 2)) * (1 - size)
    return jnp.concatenate([corner, size], axis=1), jax.random.bernoulli(flip_key, shape=(batch,))


def resized_crop(images: jax.Array, choices: tuple[jax.Array, jax.Array]) -> jax.Array:
    """Enlarges a part of each image to the size of the whole, bilinearly, and mirrors some.

    Args:
      images: `[batch, height, width, channels]`.
      choices: parts `[batch, 4]` as top, left, height and width, in shares of the whole; and
        whether to mirror left to right, `[batch]` bool.
    """
    part, mirrored = choices
    _, h, w, c = images.shape

    def one(image, part):
        scale = 1 / part[2:]
        shift = -part[:2] * scale * jnp.array([h, w], jnp.float32)
        return jax.image.scale_and_translate(
            image, (h, w, c), (0, 1), scale, shift, method="linear", antialias=False
        )

    found = jax.vmap(one)(images, part)
    return jnp.where(mirrored[:, None, None, None], found[:, :, ::-1], found)


def draw_colors(key: jax.Array, batch: int) -> jax.Array:
    """Draws factors for `colors`, `[batch, 3]`."""
    return jax.random.uniform(key, (batch, 3), minval=1 - STRENGTH, maxval=1 + STRENGTH)


def colors(images: jax.Array, factors: jax.Array) -> jax.Array:
    """Changes brightness, then contrast, then saturation, each as torchvision's `ColorJitter` does.

    Args:
      images: `[batch, height, width, 3]` between 0 and 1; with one channel, saturation is nothing.
      factors: `[batch, 3]` of brightness, contrast and saturation; 1 leaves an image as it is.
    """
    brightness, contrast, saturation = (f[:, None, None, None] for f in factors.T)
    images = jnp.clip(images * brightness, 0, 1)
    mean = _gray(images).mean((1, 2, 3), keepdims=True)
    images = jnp.clip(mean + (images - mean) * contrast, 0, 1)
    gray = _gray(images)
    return jnp.clip(gray + (images - gray) * saturation, 0, 1)


def _gray(images: jax.Array) -> jax.Array:
    if images.shape[-1] == 1:
        return images
    return (images * jnp.array(LUMA).reshape(1, 1, 1, 3)).sum(-1, keepdims=True)


def draw_photo(key: jax.Array, batch: int) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
    """Draws what `photo` takes."""
    crop_key, color_key = jax.random.split(key)
    return draw_crop(crop_key, batch), draw_colors(color_key, batch)


def photo(images: jax.Array, choices: tuple[tuple[jax.Array, jax.Array], jax.Array]) -> jax.Array:
    """`resized_crop`, then `colors`."""
    crop, factors = choices
    return colors(resized_crop(images, crop), factors)
