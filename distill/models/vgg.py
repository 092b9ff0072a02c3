"""VGG for small images (Simonyan and Zisserman 2015, as in Li et al. 2017, section 4.1)."""

from collections.abc import Sequence

import jax
from flax import linen as nn

from distill.models.channels import Channels, chain
from distill.models.layers import Structure
from distill.models.taps import PENULTIMATE, tap


class VGG(Structure):
    """3×3 convolutions with max-pooling, and dense layers, all with batch normalisation.

    VGG16 for 32×32 images, as Li et al. (arXiv:1608.08710) prune it: 13 convolutions and one hidden
    layer of 512 units, 1.5e7 parameters and 3.13e8 MACs. Biases that batch normalisation would
    cancel are left out. Distillation is compared with VGG-8 and VGG-13 that have them, and no
    hidden layer (Tian et al. 2020, arXiv:1910.10699, whose code has them).

    Attributes:
      features: filters of each convolution `conv0`, `conv1`, …
      pools: after how many convolutions the image is halved, once for each time.
      hidden: units of each hidden layer `hidden0`, …
      average: whether the dense layers see the mean of each channel, and not all of the image.
      biased: whether convolutions have the biases that batch normalisation cancels.
      num_classes: width of the output.
    """

    features: Sequence[int] = (64,) * 2 + (128,) * 2 + (256,) * 3 + (512,) * 6
    pools: Sequence[int] = (2, 4, 7, 10, 13)
    hidden: Sequence[int] = (512,)
    average: bool = False
    biased: bool = False
    num_classes: int = 10

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Maps images `[batch, height, width, channels]` to logits `[batch, num_classes]`."""
        for i, features in enumerate(self.features):
            name = f"conv{i}"
            x = self.conv_norm(x, features, 3, name=name, train=train, use_bias=self.biased)
            x = nn.relu(x)
            if i + 1 in self.pools:
                x = tap(self, f"stage{self.pools.index(i + 1)}", self.max_pool(x))
        if self.average:
            if len(self.features) not in self.pools:
                x = tap(self, f"stage{len(self.pools)}", x)
            x = x.mean((1, 2))
        x = x.reshape(x.shape[0], -1)
        for i, features in enumerate(self.hidden):
            x = nn.relu(self.linear_norm(x, features, name=f"hidden{i}", train=train))
        return self.linear(self.num_classes, name="logits")(tap(self, PENULTIMATE, x))

    def channels(self) -> Channels:
        """Returns which channels can be removed."""
        convs = [f"conv{i}" for i in range(len(self.features))]
        hidden = [f"hidden{i}" for i in range(len(self.hidden))]
        flat = [] if self.average else [*hidden, "logits"]
        widths = [(("features", i), f) for i, f in enumerate(self.features)]
        widths += [(("hidden", i), f) for i, f in enumerate(self.hidden)]
        return Channels(
            {"features": list(self.features), "hidden": list(self.hidden)},
            chain([*convs, *hidden, "logits"], widths, flat=flat),
        )
