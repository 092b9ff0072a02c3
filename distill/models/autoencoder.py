"""The MNIST autoencoder of Çallı (2017), section 2.2.3."""

from collections.abc import Sequence

import jax
from flax import linen as nn

from distill.models.channels import Channels, chain
from distill.models.layers import Structure


class Autoencoder(Structure):
    """3×3 convolutions of stride 2, then as many transposed ones; batch norm and relu after each.

    Attributes:
      encoder: filters of the convolutions `encoder0`, …
      decoder: filters of the transposed convolutions `decoder0`, …; the last are the image.
    """

    encoder: Sequence[int] = (32, 64)
    decoder: Sequence[int] = (32, 1)

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Maps images `[batch, height, width, channels]` to their reconstructions."""
        for i, features in enumerate(self.encoder):
            x = nn.relu(self.conv_norm(x, features, 3, 2, name=f"encoder{i}", train=train))
        for i, features in enumerate(self.decoder):
            x = nn.relu(self.upsample_norm(x, features, name=f"decoder{i}", train=train))
        return x

    def channels(self) -> Channels:
        """Returns which channels can be removed: all but those of the image."""
        sides = {"encoder": list(self.encoder), "decoder": list(self.decoder)}
        names = [f"{side}{i}" for side, features in sides.items() for i in range(len(features))]
        widths = [
            ((side, i), f) for side, features in sides.items() for i, f in enumerate(features)
        ]
        return Channels(sides, chain(names, widths[:-1]))
