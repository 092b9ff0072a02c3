"""The teacher of Rusu (2018), table 2.1, there called the large model (LM)."""

from collections.abc import Sequence

import jax
from flax import linen as nn

from distill.models.channels import Channels, chain
from distill.models.layers import Structure
from distill.models.taps import PENULTIMATE, tap


class Teacher(Structure):
    """Two 5×5 convolutions with max-pooling, a dense layer with dropout, and the logits.

    Attributes:
      filters: number of filters of each convolution.
      hidden: width of the dense layer.
      num_classes: width of the output.
      dropout: probability of dropping a hidden unit in training.
    """

    filters: Sequence[int] = (32, 64)
    hidden: int = 1024
    num_classes: int = 10
    dropout: float = 0.5

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Maps images `[batch, height, width, channels]` to logits `[batch, num_classes]`."""
        for i, filters in enumerate(self.filters):
            x = tap(self, f"stage{i}", self.conv_relu_pool(x, filters, 5, name=f"conv{i}"))
        x = nn.relu(self.linear(self.hidden, name="hidden")(x.reshape(x.shape[0], -1)))
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        x = tap(self, PENULTIMATE, x)
        return self.linear(self.num_classes, name="logits")(x)

    def channels(self) -> Channels:
        """Returns which channels can be removed."""
        convs = [f"conv{i}" for i in range(len(self.filters))]
        widths = [(("filters", i), f) for i, f in enumerate(self.filters)]
        return Channels(
            {"filters": list(self.filters), "hidden": self.hidden},
            chain(
                [*convs, "hidden", "logits"], [*widths, (("hidden",), self.hidden)], flat=["hidden"]
            ),
        )
