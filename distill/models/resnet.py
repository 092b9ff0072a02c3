"""Residual networks (He et al. 2016, arXiv:1512.03385)."""

from collections.abc import Sequence

import jax
from flax import linen as nn

from distill.models.blocks import Residual
from distill.models.channels import Channels, Group, Part
from distill.models.layers import Structure, require_length
from distill.models.taps import PENULTIMATE, tap


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
            x = self.pool_overlapping(x)
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
            x = tap(self, f"stage{stage}", x)
        return self.linear(self.num_classes, name="logits")(tap(self, PENULTIMATE, x.mean((1, 2))))

    def _usual_inner(self) -> list[tuple[int, ...]]:
        widths = [(f // 4, f // 4) if self.bottleneck else (f,) for f in self.features]
        return [w for w, blocks in zip(widths, self.blocks, strict=True) for _ in range(blocks)]

    def channels(self) -> Channels:
        """Returns which channels can be removed.

        Those between the convolutions of a block are free. What the blocks of a stage add up is one
        group; where shortcuts are without parameters, its channels are the first of the next stage.
        """
        inner = self.inner or self._usual_inner()
        names = [f"stage{s}_block{b}" for s, n in enumerate(self.blocks) for b in range(n)]
        groups = [
            Group(
                f"{name}/conv{j}",
                width,
                (("inner", i, j),),
                (Part(f"{name}/conv{j}"),),
                (Part(f"{name}/conv{j + 1}"),),
            )
            for i, (name, widths) in enumerate(zip(names, inner, strict=True))
            for j, width in enumerate(widths)
        ]
        widths = {
            "features": list(self.features), "inner": [list(w) for w in inner], "stem": self.stem,
        }  # fmt: skip
        return Channels(widths, [*self._added_up(), *groups])

    def _added_up(self) -> list[Group]:
        """Returns the groups of the channels between blocks; level 0 is behind the stem."""
        sizes, top = (self.stem, *self.features), len(self.blocks)
        groups = []
        for level, size in enumerate(sizes):
            begin = sizes[level - 1] if self._passes(level) else 0
            end = next((m for m in range(level + 1, top + 1) if not self._passes(m)), top + 1)
            levels = range(level, end)  # that have these channels
            if size > begin:
                groups.append(
                    Group(
                        f"stage{level - 1}" if level else "stem",
                        size - begin,
                        tuple(("features", m - 1) if m else ("stem",) for m in levels),
                        tuple(Part(name, begin) for m in levels for name in self._writers(m)),
                        tuple(Part(name, begin) for m in levels for name in self._readers(m)),
                    )
                )
        return groups

    def _passes(self, level: int) -> bool:
        """Whether the channels of the level before are the first ones of this level."""
        same = level == 1 and self.features[0] == self.stem
        return level > 0 and (same or not self.projection)

    def _writers(self, level: int) -> list[str]:
        if not level:
            return ["stem"]
        stage, last = f"stage{level - 1}", 2 if self.bottleneck else 1
        shortcut = [] if self._passes(level) else [f"{stage}_block0/shortcut"]
        return [f"{stage}_block{b}/conv{last}" for b in range(self.blocks[level - 1])] + shortcut

    def _readers(self, level: int) -> list[str]:
        blocks = range(1, self.blocks[level - 1]) if level else ()
        within = [f"stage{level - 1}_block{b}/conv0" for b in blocks]
        if level == len(self.blocks):
            return [*within, "logits"]
        shortcut = [] if self._passes(level + 1) else [f"stage{level}_block0/shortcut"]
        return [*within, f"stage{level}_block0/conv0", *shortcut]
