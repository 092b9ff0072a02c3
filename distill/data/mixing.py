"""Mixtures of the images of a batch, each with another of them.

Of a pixel, an image keeps the share that a mask says, and its partner has the rest. In mixup the
mask is the same everywhere (Zhang et al. 2018, arXiv:1710.09412); in CutMix it is 0 within a
rectangle and 1 around it (Yun et al. 2019, arXiv:1905.04899). A batch has one mask, as in the
authors' code.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp


class Mixture(NamedTuple):
    """How a batch is mixed.

    Attributes:
      partner: `[batch]` int32, the example of the batch that each one is mixed with.
      mask: `[height, width, 1]` float32, the share of each pixel that is the image's own.
    """

    partner: jax.Array
    mask: jax.Array

    @property
    def share(self) -> jax.Array:
        """The share of the image, and of its label, that is its own; a scalar."""
        return self.mask.mean()

    def apply(self, images: jax.Array) -> jax.Array:
        """Mixes images `[batch, height, width, channels]` float32."""
        mask = jnp.expand_dims(self.mask, 0)
        return mask * images + (1 - mask) * images[self.partner]


def draw(
    key: jax.Array, batch: int, size: Sequence[int], *, mixup: float = 0.0, cutmix: float = 0.0
) -> Mixture:
    """Draws a mixture.

    Args:
      key: of this step and student.
      batch: number of images.
      size: their height and width.
      mixup, cutmix: alpha of the Beta distribution, symmetric, that the share is drawn from; 0:
        without that kind. If both are given, one of them is taken, either as often.
    """
    partner_key, share_key, place_key, kind_key = jax.random.split(key, 4)
    masks = []
    if mixup:
        masks.append(jnp.full((*size, 1), jax.random.beta(share_key, mixup, mixup)))
    if cutmix:
        masks.append(_around(place_key, size, jax.random.beta(share_key, cutmix, cutmix)))
    mask = masks[0]
    if len(masks) == 2:
        mask = jnp.where(jax.random.bernoulli(kind_key), masks[0], masks[1])
    return Mixture(jax.random.permutation(partner_key, batch), mask)


def _around(key: jax.Array, size: Sequence[int], share: jax.Array) -> jax.Array:
    """Returns 1 around a rectangle of `1 - share` of an image, what lies beyond its edges cut off.

    Its sides have the proportions of the image, and each of its pixels is its centre as likely.
    """

    def inside(key: jax.Array, side: int) -> jax.Array:
        half = (side * jnp.sqrt(1 - share)).astype(jnp.int32) // 2
        offset = jnp.arange(side) - jax.random.randint(key, (), 0, side)
        return (-half <= offset) & (offset < half)

    rows, columns = (inside(k, n) for k, n in zip(jax.random.split(key), size, strict=True))
    within = jnp.expand_dims(rows, (1, 2)) & jnp.expand_dims(columns, (0, 2))
    return 1.0 - within.astype(jnp.float32)
