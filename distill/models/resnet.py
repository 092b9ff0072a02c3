"""Residual networks (He et al. 2016, arXiv:1512.03385)."""

from collections.abc import Sequence

import jax
from flax import linen as nn

from distill.models.blocks import Residual
from distill.models.layers import Structure, require_length


class ResNet(Structure):
    """Stages of residual blocks; each stage but the first halves the image.

    The output channels of a stage are one number, since its blocks add to them. What is free within
    a block is in `inner`. Without projections, the first channels of a stage are those of the stage
    before.

    The papers' networks for 32×32 images (section 4.2) pass shortcuts without parameters; those for
    ImageNet project them where shapes differ (option B).

    Attributes:
      blocks: number of blocks of each stage.
      features: output channels of each stage.
      inner: for each block `stage0_block0`, … its inner widths: one for two 3×3 convolutions, two
        for a bottleneck (1×1, 3×3, 1×1). Empty: the stage's features, or a quarter of them.
      stem: filters of the first convolution, `stem`.
      bottleneck: kind of the blocks.
      stride_at: the convolution of a bottleneck that halves the image: 1, the 3×3, as is usual
        since (4.1e9 MACs for ResNet-50), or 0, the first 1×1, as in the paper (3.8e9).
      projection: whether shortcuts between stages are convolutions.
      imagenet: whether a 7×7 convolution of stride 2 and max-pooling come first, or a 3×3.
      num_classes: width of the output.
    """

    blocks: Sequence[int] = (3, 3, 3)
    features: Sequence[int] = (16, 32, 64)
    inner: Sequence[Sequence[int]] = ()
    stem: int = 16
    bottleneck: bool = False
    stride_at: int = 1
    projection: bool = False
    imagenet: bool = False
    num_classes: int = 10

    def __post_init__(self):
        require_length("features", self.features, len(self.blocks))
        if self.inner:
            require_length("inner", self.inner, sum(self.blocks))
            for i, widths in enumerate(self.inner):
                require_length(f"inner[{i}]", widths, 2 if self.bottleneck else 1)
        super().__post_init__()

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Maps images `[batch, height, width, channels]` to logits `[batch, num_classes]`."""
        size, strides = (7, 2) if self.imagenet else (3, 1)
        x = nn.relu(self.conv_norm(x, self.stem, size, strides, name="stem", train=train))
        if self.imagenet:
            x = nn.max_pool(x, (3, 3), (2, 2), padding="SAME")
        inner = iter(self.inner or self._usual_inner())
        for stage, (blocks, features) in enumerate(zip(self.blocks, self.features, strict=True)):
            for block in range(blocks):
                x = Residual(
                    features=(*next(inner), features),
                    kernels=(1, 3, 1) if self.bottleneck else (3, 3),
                    strides=2 if stage and not block else 1,
                    stride_at=self.stride_at if self.bottleneck else 0,
                    projection=self.projection,
                    name=f"stage{stage}_block{block}",
                    **self.shared,
                )(x, train=train)
        return self.linear(self.num_classes, name="logits")(x.mean((1, 2)))

    def _usual_inner(self) -> list[tuple[int, ...]]:
        widths = [(f // 4, f // 4) if self.bottleneck else (f,) for f in self.features]
        return [w for w, blocks in zip(widths, self.blocks, strict=True) for _ in range(blocks)]
