"""The MNIST classifier of Çallı (2017), table 2.2, in plain and in 1-D form, and with blocks."""

import functools
from collections.abc import Callable, Sequence

import jax
from flax import linen as nn

from distill.errors import InputError, unknown
from distill.models.blocks import Decomposed, Inception, Residual, Separable, Stack
from distill.models.channels import Channels, chain
from distill.models.layers import Structure, require_length
from distill.models.taps import PENULTIMATE, tap


class _Activated(Stack, kw_only=True):
    """A `Stack`, then relu."""

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Maps `[batch, height, width, channels]` to `[batch, height, width, features[-1]]`."""
        return nn.relu(self.stack(x, train))


def _bottleneck(*, features: int, **shared) -> nn.Module:
    narrow = max(1, features // 4)
    return _Activated(features=(narrow, narrow, features), kernels=(1, 5, 1), **shared)


def _inception(*, features: int, **shared) -> nn.Module:
    """Makes the block that GoogLeNet calls 3a, which has 256 filters, as far as it divides."""
    a, b, c, d, b_in, c_in = (max(1, n * features // 256) for n in (64, 128, 32, 32, 96, 16))
    return Inception(features=(a, b, c, d), inner=(b_in, c_in), **shared)


def _residual(*, features: int, **shared) -> nn.Module:
    """Makes a block whose two 3×3 convolutions see as much as one of 5×5."""
    return Residual(features=(max(1, features // 2), features), kernels=(3, 3), **shared)


# Each ends with relu.
BLOCKS: dict[str, Callable[..., nn.Module]] = {
    "separable": functools.partial(Separable, kernel_size=5),
    "bottleneck": _bottleneck,
    "inception": _inception,
    "residual": _residual,
}


class CalliClassifier(Structure):
    """Convolutions 5×5, 5×5 (each with max-pooling) and 7×7 over all that is left, and the logits.

    Attributes:
      features: filters of the convolutions `conv0`, `conv1` and `conv2`.
      inner: if given, each convolution is `Decomposed` into a row and a column with so many
        channels between them (section 2.3.1), and stays whole where that is 0. It saves MACs below
        4.8, 106 and 298 of them; the thesis does not say how many it took.
      block: if given, an entry of `BLOCKS` that stands for `conv1`, which has nine tenths of the
        MACs. The convolution before it sees a single channel, and the one after it all positions,
        so these stay as they are.
      num_classes: width of the output.
    """

    features: Sequence[int] = (32, 64, 128)
    inner: Sequence[int] = ()
    block: str = ""
    num_classes: int = 10

    def __post_init__(self):
        require_length("features", self.features, 3)
        if self.inner:
            require_length("inner", self.inner, 3)
        if self.block and self.block not in BLOCKS:
            raise unknown("block", self.block, BLOCKS)
        if self.block and self._inner(1):
            raise InputError(f"conv1 is a {self.block} block, and inner[1] is not 0; give one")
        super().__post_init__()

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Maps images `[batch, height, width, channels]` to logits `[batch, num_classes]`."""
        shapes = ((5, "SAME"), (5, "SAME"), (7, "VALID"))
        for i, (features, (size, padding)) in enumerate(zip(self.features, shapes, strict=True)):
            if self.block and i == 1:
                block = BLOCKS[self.block](features=features, name="conv1", **self.shared)
                x = block(x, train=train)
            elif self._inner(i):
                x = Decomposed(
                    features=features, inner=self._inner(i), kernel_size=size, padding=padding,
                    name=f"conv{i}", **self.shared,
                )(x, train=train)  # fmt: skip
                x = nn.relu(x)
            else:
                x = nn.relu(self.conv2d(features, size, name=f"conv{i}", padding=padding)(x))
            if padding == "SAME":
                x = tap(self, f"stage{i}", self.max_pool(x))
        x = tap(self, PENULTIMATE, x.reshape(x.shape[0], -1))
        return self.linear(self.num_classes, name="logits")(x)

    def channels(self) -> Channels:
        """Returns which channels can be removed; with a block, those behind it."""
        names, widths = [], []
        for i in range(2 if self.block else 0, 3):
            inner = self._inner(i)
            names += [f"conv{i}/row", f"conv{i}/column"] if inner else [f"conv{i}"]
            widths += [(("inner", i), inner)] if inner else []
            widths += [(("features", i), self.features[i])]
        return Channels(
            {"features": list(self.features), "inner": list(self.inner)},
            chain([*names, "logits"], widths),
        )

    def _inner(self, i: int) -> int:
        return self.inner[i] if self.inner else 0
