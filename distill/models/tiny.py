"""Small networks whose whole shape is arguments, for `distill.search` to look among."""

from collections.abc import Callable, Sequence

import jax
from flax import linen as nn

from distill.errors import InputError, unknown
from distill.models.blocks import Separable
from distill.models.layers import Structure, require_length
from distill.models.taps import PENULTIMATE, tap

HEADS = ("mean", "dense")


class Tiny(Structure, kw_only=True):
    """Stages of `convolution → batch normalisation → relu`, each of half the size, and a head.

    Batch normalisation goes into the convolutions when a network is compressed or exported; see
    `distill.compress.fold`.

    Attributes:
      widths: channels of each stage; a stage of 0 is left out.
      depths: convolutions of each stage.
      kernels: side of their kernels, for each stage.
      separable: whether they are depthwise-separable (Howard et al. 2017), for each stage; the
        first of all, which sees the image, is not.
      shared_weights: whether the convolutions of a stage behind its first are one, applied again
        and again (Liang and Hu 2015, recurrent convolutions); plain, with a bias and without
        normalisation, whose statistics would differ from one time to the next.
      skip: whether those behind the first add their input to what they return (He et al. 2015).
      downsample: what halves the image before each stage but the first: `max_pool`, or
        `strided_conv`, the stage's own first convolution.
      head: what the last layer sees: the `mean` of each channel, or all of it (`dense`).
      num_classes: width of the output.
    """

    widths: Sequence[int] = (8, 16)
    depths: Sequence[int] = (1, 1)
    kernels: Sequence[int] = (3, 3)
    separable: Sequence[bool] = (False, False)
    shared_weights: bool = False
    skip: bool = False
    downsample: str = "max_pool"
    head: str = "mean"
    num_classes: int = 10

    def __post_init__(self):
        for name in ("depths", "kernels", "separable"):
            require_length(name, getattr(self, name), len(self.widths))
        if not any(self.widths):
            raise InputError(f"widths is {tuple(self.widths)}; one of them must be 1 or more")
        if self.head not in HEADS:
            raise unknown("head", self.head, HEADS)
        super().__post_init__()

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Maps images `[batch, height, width, channels]` to logits `[batch, num_classes]`."""
        strided = self.downsample == "strided_conv"
        for stage, i in enumerate(i for i, width in enumerate(self.widths) if width):
            if stage and not strided:
                x = self.max_pool(x)
            strides = 2 if stage and strided else 1
            plain = not self.separable[i] or stage == 0
            x = self._layer(x, i, plain, strides, name=f"stage{i}_conv0", train=train)
            again = self._again(i)
            for number in range(1, self.depths[i]):
                name = f"stage{i}_conv{number}"
                plain = not self.separable[i]
                y = again(x) if again else self._layer(x, i, plain, 1, name=name, train=train)
                x = x + y if self.skip else y
            x = tap(self, f"stage{stage}", x)
        x = x.mean((1, 2)) if self.head == "mean" else x.reshape(x.shape[0], -1)
        return self.linear(self.num_classes, name="logits")(tap(self, PENULTIMATE, x))

    def _layer(
        self, x: jax.Array, i: int, plain: bool, strides: int, *, name: str, train: bool
    ) -> jax.Array:
        """Applies a convolution of stage `i` with its normalisation and relu."""
        features, size = self.widths[i], self.kernels[i]
        if plain:
            return nn.relu(self.conv_norm(x, features, size, strides, name=name, train=train))
        block = Separable(
            features=features, kernel_size=size, strides=strides, name=name, **self.shared
        )
        return block(x, train=train)

    def _again(self, i: int) -> Callable[[jax.Array], jax.Array] | None:
        """Returns the layer that a stage repeats, if it has one."""
        if not self.shared_weights or self.depths[i] < 2:
            return None
        layer = self.conv2d(self.widths[i], self.kernels[i], name=f"stage{i}_again")
        return lambda x: nn.relu(layer(x))
