"""Efficient structures, to be used in any network (Çallı 2017, sections 2.3 to 2.5).

For each, the MACs of one output position, with stride 1: N is the side of the kernel, K the
channels of the input and L those of the output. Each convolution has batch normalisation behind it,
except in `Decomposed`, which has biases, as the thesis and its source have it.
"""

from collections.abc import Sequence

import jax
from flax import linen as nn

from distill.errors import InputError
from distill.models.layers import Structure


class Decomposed(Structure, kw_only=True):
    """1×N, relu, N×1: DecomposeMe (Alvarez and Petersson 2016, arXiv:1606.05426; Çallı 2.3.1).

    N·P·(K + L) MACs against N²·K·L, fewer where P < N·K·L / (K + L). What follows is the caller's,
    as with a convolution.

    Attributes:
      features: L.
      inner: P, the channels between the two.
      kernel_size: N.
      padding: `SAME` or `VALID`.
    """

    features: int
    inner: int
    kernel_size: int = 3
    padding: str = "SAME"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Maps `[batch, height, width, channels]` to `[batch, height', width', features]`."""
        del train
        n = self.kernel_size
        x = nn.relu(self.conv2d(self.inner, (1, n), name="row", padding=self.padding)(x))
        return self.conv2d(self.features, (n, 1), name="column", padding=self.padding)(x)


class Separable(Structure, kw_only=True):
    """Depthwise, then pointwise convolution, relu after each (Howard et al. 2017; Çallı 2.4.1).

    I·K·(N² + L) MACs. (The thesis prints I·(K·N² + L), which has the pointwise convolution see I
    channels; by its own example it sees I·K. The two agree for K = 1.)

    Attributes:
      features: L.
      kernel_size: N.
      multiplier: I, filters for each channel of the input.
      strides: of the depthwise convolution.
      relu6: whether both activations end at 6.
    """

    features: int
    kernel_size: int = 3
    multiplier: int = 1
    strides: int = 1
    relu6: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Maps `[batch, height, width, channels]` to `[batch, height', width', features]`."""
        channels = x.shape[-1]
        relu = nn.relu6 if self.relu6 else nn.relu
        x = self.conv_norm(
            x, channels * self.multiplier, self.kernel_size, self.strides,
            name="depthwise", train=train, groups=channels,
        )  # fmt: skip
        x = self.conv_norm(relu(x), self.features, 1, name="pointwise", train=train)
        return relu(x)


class Inception(Structure, kw_only=True):
    """Four branches side by side, joined by their channels (Szegedy et al. 2014; Çallı 2.3.2).

    K·(A + B' + C' + D) + 9·B'·B + 25·C'·C MACs.

    Attributes:
      features: A of the 1×1, B of the 3×3, C of the 5×5 branch, and D of the pooled one.
      inner: B' and C', to which 1×1 convolutions reduce what the 3×3 and the 5×5 see.
    """

    features: tuple[int, int, int, int]
    inner: tuple[int, int]

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Maps `[batch, height, width, channels]` to `[batch, height, width, sum(features)]`."""

        def layer(x, features, size, name):
            return nn.relu(self.conv_norm(x, features, size, name=name, train=train))

        one, three, five, pooled = self.features
        branches = [
            layer(x, one, 1, "conv1"),
            layer(layer(x, self.inner[0], 1, "reduce3"), three, 3, "conv3"),
            layer(layer(x, self.inner[1], 1, "reduce5"), five, 5, "conv5"),
            layer(nn.max_pool(x, (3, 3), padding="SAME"), pooled, 1, "pooled"),
        ]
        return jax.numpy.concatenate(branches, axis=-1)


class Stack(Structure, kw_only=True):
    """Convolutions one after the other, relu between them and not behind the last.

    With `kernels` (1, N, 1) it is the bottleneck (He et al. 2016; Çallı 2.3.3): widths (P, Q, L)
    have K·P + N²·P·Q + Q·L MACs.

    Attributes:
      features: filters of each convolution.
      kernels: the sides of their kernels.
      strides: of the convolution number `stride_at`.
      stride_at: as said.
    """

    features: Sequence[int]
    kernels: Sequence[int] = (1, 3, 1)
    strides: int = 1
    stride_at: int = 0

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Maps `[batch, height, width, channels]` to `[batch, height', width', features[-1]]`."""
        return self.stack(x, train)

    def stack(self, x: jax.Array, train: bool) -> jax.Array:
        for i, (features, size) in enumerate(zip(self.features, self.kernels, strict=True)):
            strides = self.strides if i == self.stride_at else 1
            x = nn.relu(x) if i else x
            x = self.conv_norm(x, features, size, strides, name=f"conv{i}", train=train)
        return x


class Residual(Stack, kw_only=True):
    """A `Stack` whose input is added to its output, then relu (He et al. 2016; Çallı 2.5.1).

    An input of another shape passes through a 1×1 convolution called `shortcut` (option B of the
    paper) of K·L MACs, or has its columns and rows skipped and zeros appended to its channels (A),
    at no cost.

    Attributes:
      projection: whether it is B.
    """

    projection: bool = True

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Maps `[batch, height, width, channels]` to `[batch, height', width', features[-1]]`."""
        y = self.stack(x, train)
        if x.shape != y.shape and self.projection:
            x = self.conv_norm(x, y.shape[-1], 1, self.strides, name="shortcut", train=train)
        elif x.shape != y.shape:
            x = append_channels(x[:, :: self.strides, :: self.strides], y.shape[-1])
        return nn.relu(x + y)


def append_channels(x: jax.Array, channels: int) -> jax.Array:
    """Appends zeros, so that `[..., c]` becomes `[..., channels]`."""
    missing = channels - x.shape[-1]
    if missing < 0:
        raise InputError(
            f"a shortcut of {x.shape[-1]} channels meets {channels}; with zeros as padding, "
            "features must not decrease from stage to stage"
        )
    return jax.numpy.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, missing)])


class InvertedResidual(Structure, kw_only=True):
    """Expand, depthwise, project; relu6 after the first two (Sandler et al. 2018, table 1).

    K·E + N²·E + E·L MACs, E the expanded width.

    Attributes:
      features: L.
      expanded: E; 0: nothing is expanded, as in the paper's first block.
      kernel_size: N.
      strides: of the depthwise convolution.
      residual: whether the input is added to the output.
    """

    features: int
    expanded: int
    kernel_size: int = 3
    strides: int = 1
    residual: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Maps `[batch, height, width, channels]` to `[batch, height', width', features]`."""
        y = x
        if self.expanded:
            y = nn.relu6(self.conv_norm(y, self.expanded, 1, name="expand", train=train))
        channels = y.shape[-1]
        y = self.conv_norm(
            y, channels, self.kernel_size, self.strides,
            name="depthwise", train=train, groups=channels,
        )  # fmt: skip
        y = self.conv_norm(nn.relu6(y), self.features, 1, name="project", train=train)
        return x + y if self.residual else y
