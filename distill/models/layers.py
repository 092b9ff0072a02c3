"""How the networks make their layers, so that each can be factorised or folded by configuration."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.core import FrozenDict

from distill import ops
from distill.errors import InputError, unknown

FACTORISATIONS = ("channels", "spatial")
HEAD = "logits"  # the last layer of every classifier
EPSILON = 1e-5  # added to the variance by batch normalisation

Factors = Mapping[str, tuple[str, int]]
"""Path of a layer, such as `stage0_block1/conv0`, to an entry of `FACTORISATIONS` and a rank."""


class Factorised(nn.Module):
    """A dense layer or convolution as two, with nothing between them.

    A matrix `[N, M]` becomes `[N, L]` and `[L, M]` (Çallı 2017, 2.6). Of a convolution, `channels`
    factorises the matrix of all taps and input channels to output channels: the kernel, `rank`
    filters of it, then 1×1. `spatial` factorises rows from columns: 1×N, then N×1.

    Attributes:
      features: width of the output.
      rank: width between the two, L.
      kind: an entry of `FACTORISATIONS`.
      kernel_size, strides, padding: of the convolution; a `kernel_size` of None is a dense layer.
      use_bias: whether the second adds one.
      symmetric: as of `Structure`.
      conv: as of `Structure`.
    """

    features: int
    rank: int
    kind: str = "channels"
    kernel_size: tuple[int, int] | None = None
    strides: tuple[int, int] = (1, 1)
    padding: str = "SAME"
    use_bias: bool = True
    symmetric: bool = False
    conv: Callable = jax.lax.conv_general_dilated

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps `[..., channels]` to `[..., features]`."""
        if self.kernel_size is None:
            x = nn.Dense(self.rank, use_bias=False, name="first")(x)
            return nn.Dense(self.features, use_bias=self.use_bias, name="second")(x)
        (kh, kw), (sh, sw) = self.kernel_size, self.strides
        shapes = {
            "channels": (((kh, kw), (sh, sw)), ((1, 1), (1, 1))),
            "spatial": (((1, kw), (1, sw)), ((kh, 1), (sh, 1))),
        }
        first, second = shapes[self.kind]
        pads: list[Any] = [self.padding] * 2
        if self.symmetric and self.padding == "SAME":
            pads = [alike(size) for size, _ in (first, second)]
        shared: dict[str, Any] = {"conv_general_dilated": self.conv}
        x = nn.Conv(self.rank, *first, use_bias=False, padding=pads[0], name="first", **shared)(x)
        return nn.Conv(
            self.features, *second, use_bias=self.use_bias, padding=pads[1], name="second",
            **shared,
        )(x)  # fmt: skip


def alike(size: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """Returns the zeros around an image that PyTorch's networks have: as many on both sides.

    With strides, SAME has those that TensorFlow's have: one more at the end than at the beginning
    where the number is odd.

    Args:
      size: height and width of the kernel, odd.
    """
    return tuple((side // 2, side // 2) for side in size)


class Upsampling(nn.ConvTranspose):
    """A transposed convolution, 3×3 with stride 2: `nn.ConvTranspose` as an ordinary convolution.

    An output row looks at two rows of the input, through taps 0 and 2 if it is even and through tap
    1 if it is odd. So there are 2×2 kinds of output positions, each a 2×2 convolution, and
    one convolution with four times the filters computes all of them. (XLA's own gradients are slow
    on a CPU, and TensorFlow Lite's converter gets the operation wrong without a word.)

    Attributes:
      conv: as of `Structure`.
    """

    conv: Callable = jax.lax.conv_general_dilated

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps `[batch, height, width, channels]` to `[batch, 2 height, 2 width, features]`."""
        n, h, w, c_in = x.shape
        kernel = self.param("kernel", self.kernel_init, (3, 3, c_in, self.features))
        kernel = jnp.pad(kernel, ((1, 0), (1, 0), (0, 0), (0, 0)))
        # Position 2·i + p sees row i - 1 + a through tap 2·a - p, here with a zero before tap 0.
        taps = kernel.reshape(2, 2, 2, 2, c_in, self.features)[:, ::-1, :, ::-1]
        taps = taps.transpose(0, 2, 4, 1, 3, 5).reshape(2, 2, c_in, -1)
        y = self.conv(x, taps, (1, 1), ((1, 0), (1, 0)), dimension_numbers=("NHWC", "HWIO", "NHWC"))
        if self.use_bias:  # here, as the exported convolution then does it in passing
            bias = self.param("bias", self.bias_init, (self.features,))
            y = y + jnp.concatenate([bias] * 4).reshape(1, 1, 1, -1)
        y = y.reshape(n, h, w, 2, 2, self.features).transpose(0, 1, 3, 2, 4, 5)
        return y.reshape(n, 2 * h, 2 * w, self.features)


class Conv(nn.Conv):
    """`nn.Conv` in two dimensions and with a bias, on a CPU for which there are kernels in C++.

    Attributes:
      pool: side of the windows that max-pooling takes the maxima of, before the bias is added.
    """

    kernel_size: tuple[int, int]
    conv_general_dilated: Callable = ops.conv_native
    pool: int = 1

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps `[batch, height, width, channels]` to `[batch, height, width, features]`."""
        shape = (*self.kernel_size, x.shape[-1] // self.feature_group_count, self.features)
        kernel = self.param("kernel", self.kernel_init, shape)
        bias = self.param("bias", self.bias_init, (self.features,))
        y = self.conv_general_dilated(
            x, kernel, self.strides, self.padding, dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=self.feature_group_count,
        )  # fmt: skip
        if self.pool > 1:
            y = ops.max_pool(y, self.pool, native=True)
        return ops.add_bias(y, bias)


class BatchNorm(nn.BatchNorm):
    """`nn.BatchNorm` in training, on a CPU for which there are kernels in C++."""

    @nn.compact
    def __call__(  # type: ignore[override]  # there are no masks
        self, x: jax.Array, use_running_average: bool | None = None
    ) -> jax.Array:
        """Maps `[batch, ..., channels]` to the same; a frozen layer uses its running average.

        In a narrower type the sums are of float32.
        """
        dtype, x = x.dtype, x.astype(jnp.float32)
        features = (x.shape[-1],)
        mean = self.variable("batch_stats", "mean", jnp.zeros, features)
        variance = self.variable("batch_stats", "var", jnp.ones, features)
        scale = self.param("scale", self.scale_init, features)
        bias = self.param("bias", self.bias_init, features)
        used = mean.value, variance.value
        if not nn.merge_param("use_running_average", self.use_running_average, use_running_average):
            used = ops.batch_statistics(x)
            if not self.is_initializing():
                for kept, new in zip((mean, variance), used, strict=True):
                    kept.value = self.momentum * kept.value + (1 - self.momentum) * new
        affine = scale.astype(jnp.float32), bias.astype(jnp.float32)
        return ops.normalise(x, *used, *affine, self.epsilon).astype(dtype)


class Structure(nn.Module):
    """What networks and their blocks have in common: how their layers are made.

    Batch normalisation of a layer `conv0` is called `conv0_norm`.

    Attributes:
      factors: which layers are `Factorised`.
      folded: the batch normalisation that follows a layer is gone, and that layer has a bias.
      symmetric: what has strides pads as PyTorch does, and not as TensorFlow; see `alike`.
      conv: drop-in for `jax.lax.conv_general_dilated`, for a formulation that suits the device.
    """

    factors: Factors = FrozenDict()
    folded: bool = False
    symmetric: bool = False
    conv: Callable = jax.lax.conv_general_dilated

    @property
    def shared(self) -> dict[str, Any]:
        """The common attributes, to hand on to a block."""
        names = ("factors", "folded", "symmetric", "conv")
        return {name: getattr(self, name) for name in names}

    def conv2d(
        self,
        features: int,
        kernel_size: int | tuple[int, int],
        strides: int = 1,
        *,
        name: str,
        padding: str = "SAME",
        groups: int = 1,
        use_bias: bool = True,
    ) -> nn.Module:
        """Makes a convolution.

        Args:
          features: number of filters.
          kernel_size: side of the kernel, or height and width.
          strides: along both.
          name: of the layer.
          padding: `SAME` or `VALID`.
          groups: into which input and output channels are divided.
          use_bias: whether it adds one.

        Raises:
          InputError: if a grouped convolution is to be factorised.
        """
        size = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
        options: dict[str, Any] = {"use_bias": use_bias, "name": name}
        symmetric = self.symmetric and strides > 1 and padding == "SAME"
        if factors := self._factors(name):
            if groups > 1:
                raise InputError(f"factors name {name}, a grouped convolution; leave it out")
            kind, rank = factors
            return Factorised(
                features, rank, kind, size, (strides, strides), padding, symmetric=symmetric,
                conv=self.conv, **options,
            )  # fmt: skip
        layer: type[nn.Conv] = Conv if use_bias and self.conv is ops.conv_native else nn.Conv
        return layer(
            features, size, (strides, strides), feature_group_count=groups,
            padding=alike(size) if symmetric else padding, conv_general_dilated=self.conv,
            **options,
        )  # fmt: skip

    def linear(self, features: int, *, name: str, use_bias: bool = True) -> nn.Module:
        """Makes a dense layer."""
        if factors := self._factors(name):
            return Factorised(features, factors[1], use_bias=use_bias, name=name)
        return nn.Dense(features, use_bias=use_bias, name=name)

    def pool_overlapping(self, x: jax.Array) -> jax.Array:
        """Halves height and width by maxima of 3×3 of what relu has left, `[b, h, w, channels]`.

        Zeros around it are no maxima, and become an operator that int8 files have too.
        """
        if not self.symmetric:
            return nn.max_pool(x, (3, 3), (2, 2), "SAME")
        return nn.max_pool(jnp.pad(x, ((0, 0), *alike((3, 3)), (0, 0))), (3, 3), (2, 2))

    def max_pool(self, x: jax.Array) -> jax.Array:
        """Halves height and width by maxima, computed as the convolutions are."""
        return ops.max_pool(x, native=self.conv is ops.conv_native)

    def conv_relu_pool(
        self, x: jax.Array, features: int, kernel_size: int, *, name: str
    ) -> jax.Array:
        """Applies a convolution, relu, and max-pooling that halves height and width.

        In training on a CPU the maxima are taken first: they are the same, and a quarter as many
        numbers get a bias, and are cut off at zero. A single image has them last, as converters
        know it.
        """
        if self._factors(name) or self.conv is not ops.conv_native or len(x) == 1:
            return self.max_pool(nn.relu(self.conv2d(features, kernel_size, name=name)(x)))
        size = (kernel_size, kernel_size)
        return nn.relu(Conv(features, size, (1, 1), pool=2, name=name)(x))

    def norm(self, name: str, train: bool) -> Callable[[jax.Array], jax.Array]:
        """Makes batch normalisation, with PyTorch's constants, which the papers' code has."""
        kind = BatchNorm if train and self.conv is ops.conv_native else nn.BatchNorm
        norm = kind(momentum=0.9, epsilon=EPSILON, name=name)
        # As an argument of the call, so that a training may freeze it.
        return lambda x: norm(x, use_running_average=not train)

    def conv_norm(
        self,
        x: jax.Array,
        features: int,
        kernel_size: int | tuple[int, int],
        strides: int = 1,
        *,
        name: str,
        train: bool,
        groups: int = 1,
        use_bias: bool = False,
    ) -> jax.Array:
        """Applies a convolution and its batch normalisation; arguments as of `conv2d`."""
        layer = self.conv2d(
            features, kernel_size, strides, name=name, groups=groups,
            use_bias=use_bias or self.folded,
        )  # fmt: skip
        return self._normed(layer(x), name, train)

    def upsample_norm(self, x: jax.Array, features: int, *, name: str, train: bool) -> jax.Array:
        """Applies a 3×3 transposed convolution of stride 2 and its batch normalisation."""
        layer = Upsampling(
            features, (3, 3), (2, 2), use_bias=self.folded, conv=self.conv, name=name
        )
        return self._normed(layer(x), name, train)

    def linear_norm(self, x: jax.Array, features: int, *, name: str, train: bool) -> jax.Array:
        """Applies a dense layer and its batch normalisation."""
        return self._normed(self.linear(features, name=name, use_bias=self.folded)(x), name, train)

    def _normed(self, x: jax.Array, name: str, train: bool) -> jax.Array:
        return x if self.folded else self.norm(f"{name}_norm", train)(x)

    def _factors(self, name: str) -> tuple[str, int] | None:
        return self.factors.get("/".join((*self.path, name)))


def check_factors(factors: Mapping[str, Sequence[Any]]) -> None:
    """Raises `InputError` unless each entry is a known factorisation with a positive rank."""
    for layer, entry in factors.items():
        if not (isinstance(entry, Sequence) and len(entry) == 2):
            raise InputError(f"factors.{layer} is {entry!r}; it must be like ('channels', 8)")
        kind, rank = entry
        if kind not in FACTORISATIONS:
            raise unknown("factorisation", str(kind), FACTORISATIONS)
        if not isinstance(rank, int) or rank < 1:
            raise InputError(f"factors.{layer} has rank {rank!r}; it must be 1 or more")


def require_length(name: str, values: Sequence[Any], length: int) -> None:
    """Raises `InputError` unless there are as many widths as there are layers for them."""
    if len(values) != length:
        raise InputError(f"{name} has {len(values)} entries; it must have {length}")
