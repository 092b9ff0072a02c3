"""Wide residual networks (Zagoruyko and Komodakis 2016, arXiv:1605.07146)."""

from collections.abc import Sequence
from typing import Any

import jax
from flax import linen as nn

from distill.models.channels import Channels, Group, Part
from distill.models.layers import Structure, require_length
from distill.models.taps import PENULTIMATE, tap

Width = tuple[str | int, ...]  # where an argument of the model is


class PreActivation(Structure, kw_only=True):
    """Norm and relu before each of two 3×3 convolutions, whose output is added to the input.

    He et al. (2016), arXiv:1603.05027. A projected input passes its norm and relu too, and then a
    1×1 convolution called `shortcut`.

    Attributes:
      features: filters of the second convolution, `conv1`.
      inner: of the first, `conv0`.
      projection: whether the input is projected; without, it has the shape of the output.
      strides: of `conv0` and the shortcut.
    """

    features: int
    inner: int
    projection: bool = False
    strides: int = 1

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Maps `[batch, height, width, channels]` to `[batch, height', width', features]`."""
        y = nn.relu(self.norm("norm", train)(x))
        if self.projection:
            x = self.conv2d(self.features, 1, self.strides, name="shortcut", use_bias=False)(y)
        y = nn.relu(self.conv_norm(y, self.inner, 3, self.strides, name="conv0", train=train))
        return x + self.conv2d(self.features, 3, name="conv1", use_bias=False)(y)


class WideResNet(Structure):
    """Stages of `PreActivation` blocks for 32×32 images; each stage but the first halves them.

    `folded` concerns the norm between the two convolutions of a block; the others follow none. The
    taps are what the blocks of a stage have added up.

    Attributes:
      blocks: number of blocks of each stage, `(depth - 4) / 6`.
      features: output channels of each stage.
      inner: for each block `stage0_block0`, … the filters of its first convolution; empty: the
        stage's features.
      stem: filters of the first convolution, `stem`.
      projection: whether the first block projects too, as the first of the other stages do; not
        where the stem is as wide as the first stage.
      num_classes: width of the output.
    """

    blocks: Sequence[int] = (2, 2, 2)
    features: Sequence[int] = (32, 64, 128)
    inner: Sequence[int] = ()
    stem: int = 16
    projection: bool = True
    num_classes: int = 10

    def __post_init__(self):
        require_length("features", self.features, len(self.blocks))
        if self.inner:
            require_length("inner", self.inner, sum(self.blocks))
        super().__post_init__()

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Maps images `[batch, height, width, channels]` to logits `[batch, num_classes]`."""
        x = self.conv2d(self.stem, 3, name="stem", use_bias=False)(x)
        inner = iter(self._inner())
        for stage, (blocks, features) in enumerate(zip(self.blocks, self.features, strict=True)):
            for block in range(blocks):
                x = PreActivation(
                    features=features,
                    inner=next(inner),
                    projection=not block and (self.projection or stage > 0),
                    strides=2 if stage and not block else 1,
                    name=f"stage{stage}_block{block}",
                    **self.shared,
                )(x, train=train)
            x = tap(self, f"stage{stage}", x)
        x = nn.relu(self.norm("norm", train)(x))
        return self.linear(self.num_classes, name="logits")(tap(self, PENULTIMATE, x.mean((1, 2))))

    def _inner(self) -> list[int]:
        stages = zip(self.features, self.blocks, strict=True)
        return list(self.inner) or [f for f, blocks in stages for _ in range(blocks)]

    def channels(self) -> Channels:
        """Returns which channels can be removed.

        Those between the convolutions of a block are free. What the blocks of a stage add up is one
        group, which the stem's channels belong to if the first block does not project them.
        """
        names = [[f"stage{s}_block{b}" for b in range(n)] for s, n in enumerate(self.blocks)]
        inner = self._inner()
        groups = [
            Group(
                f"{name}/conv0", inner[i], (("inner", i),),
                (Part(f"{name}/conv0"),), (Part(f"{name}/conv1"),),
            )
            for i, name in enumerate(name for stage in names for name in stage)
        ]  # fmt: skip
        stages = [[f"{block}/conv1" for block in blocks] for blocks in names]
        if self.projection:
            groups.append(_added("stem", self.stem, [("stem",)], ["stem"], [], names[0][0]))
        for stage, (blocks, writers) in enumerate(zip(names, stages, strict=True)):
            projects = self.projection or stage > 0
            widths: list[Width] = [("features", stage), *([] if projects else [("stem",)])]
            writers.append(f"{blocks[0]}/shortcut" if projects else "stem")
            readers = blocks[1:] if projects else blocks
            following = names[stage + 1][0] if stage + 1 < len(names) else None
            size = self.features[stage]
            groups.append(_added(f"stage{stage}", size, widths, writers, readers, following))
        widths_of: dict[str, Any] = {
            "features": list(self.features), "inner": inner, "stem": self.stem,
        }  # fmt: skip
        return Channels(widths_of, groups)


def _added(
    name: str,
    size: int,
    widths: list[Width],
    writers: list[str],
    readers: list[str],
    projecting: str | None,
) -> Group:
    """Returns the group of what blocks add up.

    Args:
      name, size: of the group.
      widths: the arguments that count its channels.
      writers: layers.
      readers: blocks that pass it on.
      projecting: the block that projects it; None behind the last, where the head reads it.
    """
    layers, norms = [f"{block}/conv0" for block in readers], [f"{block}/norm" for block in readers]
    if projecting is None:
        layers, norms = [*layers, "logits"], [*norms, "norm"]
    else:
        layers += [f"{projecting}/conv0", f"{projecting}/shortcut"]
        norms.append(f"{projecting}/norm")
    parts = (tuple(map(Part, names)) for names in (writers, layers, norms))
    return Group(name, size, tuple(widths), *parts)
