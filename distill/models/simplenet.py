"""SimpLeNet: the student networks of Rusu (2018), section 2.4.3, as one module."""

from collections.abc import Sequence

import jax
from flax import linen as nn

from distill.models.channels import Channels, Group, Part
from distill.models.layers import Structure
from distill.models.taps import PENULTIMATE, tap

DOWNSAMPLING = ("max_pool", "strided_conv")


class SimpLeNet(Structure, kw_only=True):
    """A stack of `conv k×k → relu → downsample by 2` stages and one dense layer.

    Attributes:
      filters: number of filters of each stage.
      num_classes: width of the output.
      downsample: `max_pool` (2×2), or `strided_conv`: a 2×2 convolution of stride 2 with as many
        filters as the stage, which learns its pooling.
      downsample_activation: whether a relu follows the strided convolution. The thesis names none.
      kernel_size: side of the square kernels.

    Raises:
      ValueError: if `downsample` is unknown.
    """

    filters: Sequence[int]
    num_classes: int = 10
    downsample: str = "max_pool"
    downsample_activation: bool = False
    kernel_size: int = 5

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Maps images `[batch, height, width, channels]` to logits `[batch, num_classes]`."""
        del train  # nothing here behaves differently in training
        if self.downsample not in DOWNSAMPLING:
            raise ValueError(
                f"downsample is {self.downsample!r}; it can be {' or '.join(DOWNSAMPLING)}"
            )
        for i, filters in enumerate(self.filters):
            if self.downsample == "max_pool":
                x = self.conv_relu_pool(x, filters, self.kernel_size, name=f"conv{i}")
            else:
                x = nn.relu(self.conv2d(filters, self.kernel_size, name=f"conv{i}")(x))
                x = self.conv2d(filters, 2, 2, name=f"pool{i}")(x)
                if self.downsample_activation:
                    x = nn.relu(x)
            x = tap(self, f"stage{i}", x)
        x = tap(self, PENULTIMATE, x.reshape(x.shape[0], -1))
        return self.linear(self.num_classes, name="logits")(x)

    def channels(self) -> Channels:
        """Returns which channels can be removed.

        A strided convolution has as many filters as its stage, and loses those of the same number.
        """
        groups = []
        for i, filters in enumerate(self.filters):
            last = i + 1 == len(self.filters)
            after = Part("logits", of=filters) if last else Part(f"conv{i + 1}")
            writers, readers = [Part(f"conv{i}")], [after]
            if self.downsample == "strided_conv":
                writers, readers = [*writers, Part(f"pool{i}")], [Part(f"pool{i}"), *readers]
            groups.append(
                Group(f"conv{i}", filters, (("filters", i),), tuple(writers), tuple(readers))
            )
        return Channels({"filters": list(self.filters)}, groups)
