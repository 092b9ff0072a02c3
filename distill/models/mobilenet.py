"""MobileNets (Howard et al. 2017, arXiv:1704.04861; Sandler et al. 2018, arXiv:1801.04381)."""

from collections.abc import Sequence

import jax
from flax import linen as nn

from distill.models.blocks import InvertedResidual, Separable
from distill.models.channels import Channels, Group, Part
from distill.models.layers import Structure, require_length
from distill.models.taps import PENULTIMATE, tap


def scaled(channels: int, width: float) -> int:
    """Returns channels times the width multiplier: a multiple of 8, not over 10 % less."""
    if width == 1:
        return channels
    rounded = max(8, int(channels * width + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels * width else rounded + 8


class MobileNetV1(Structure):
    """A convolution and depthwise-separable blocks (table 1 of the paper).

    Attributes:
      features: channels of each block `block0`, …
      strides: of each block.
      stem: filters of the first convolution, `stem`.
      stem_strides: 2 for ImageNet, 1 for images of 32×32.
      width: multiplier of all these.
      relu6: whether activations end at 6, as in TensorFlow's and Keras's; the paper has relu.
      num_classes: width of the output.
    """

    features: Sequence[int] = (64,) + (128,) * 2 + (256,) * 2 + (512,) * 6 + (1024,) * 2
    strides: Sequence[int] = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
    stem: int = 32
    stem_strides: int = 2
    width: float = 1.0
    relu6: bool = False
    num_classes: int = 1000

    def __post_init__(self):
        require_length("strides", self.strides, len(self.features))
        super().__post_init__()

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Maps images `[batch, height, width, channels]` to logits `[batch, num_classes]`."""
        stem = scaled(self.stem, self.width)
        x = self.conv_norm(x, stem, 3, self.stem_strides, name="stem", train=train)
        x, stage = (nn.relu6 if self.relu6 else nn.relu)(x), 0
        for i, (features, strides) in enumerate(zip(self.features, self.strides, strict=True)):
            features = scaled(features, self.width)
            if strides > 1 and i:  # each stage ends where the image gets smaller
                x, stage = tap(self, f"stage{stage}", x), stage + 1
            x = Separable(
                features=features, strides=strides, relu6=self.relu6, name=f"block{i}",
                **self.shared,
            )(x, train=train)  # fmt: skip
        x = tap(self, f"stage{stage}", x)
        return self.linear(self.num_classes, name="logits")(tap(self, PENULTIMATE, x.mean((1, 2))))

    def channels(self) -> Channels:
        """Returns which channels can be removed."""
        features = [scaled(f, self.width) for f in self.features]
        stem = scaled(self.stem, self.width)
        writers = ["stem", *(f"block{i}/pointwise" for i in range(len(features)))]
        widths = [("stem",), *(("features", i) for i in range(len(features)))]
        groups = []
        for i, (writer, width, size) in enumerate(
            zip(writers, widths, [stem, *features], strict=True)
        ):
            last = i == len(features)
            reader = "logits" if last else f"block{i}/pointwise"
            along = () if last else (Part(f"block{i}/depthwise"),)
            groups.append(Group(writer, size, (width,), (Part(writer),), (Part(reader),), along))
        return Channels({"features": features, "stem": stem, "width": 1.0}, groups)


class MobileNetV2(Structure):
    """Stages of inverted residual blocks with linear bottlenecks (table 2 of the paper).

    The output channels of a stage are one number, since its blocks add to them; all but the first
    block of a stage are residual.

    Attributes:
      blocks: number of blocks of each stage.
      features: output channels of each stage.
      expanded: for each block `stage0_block0`, … its width inside, 0 where nothing is expanded.
        Empty: six times its input, and 0 in the first stage.
      strides: of the first block of each stage.
      kernels: sides of the depthwise kernels of each stage. Empty: 3.
      stem: filters of the first convolution, `stem`.
      stem_strides: 2 for ImageNet, 1 for images of 32×32.
      head: filters of the last convolution, `head`; a `width` below 1 leaves them as they are.
      width: multiplier of features and stem.
      num_classes: width of the output.
    """

    blocks: Sequence[int] = (1, 2, 3, 4, 3, 3, 1)
    features: Sequence[int] = (16, 24, 32, 64, 96, 160, 320)
    expanded: Sequence[int] = ()
    strides: Sequence[int] = (1, 2, 2, 2, 1, 2, 1)
    kernels: Sequence[int] = ()
    stem: int = 32
    stem_strides: int = 2
    head: int = 1280
    width: float = 1.0
    num_classes: int = 1000

    def __post_init__(self):
        require_length("features", self.features, len(self.blocks))
        require_length("strides", self.strides, len(self.blocks))
        if self.kernels:
            require_length("kernels", self.kernels, len(self.blocks))
        if self.expanded:
            require_length("expanded", self.expanded, sum(self.blocks))
        super().__post_init__()

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Maps images `[batch, height, width, channels]` to logits `[batch, num_classes]`."""
        stem = scaled(self.stem, self.width)
        x = nn.relu6(self.conv_norm(x, stem, 3, self.stem_strides, name="stem", train=train))
        expanded = iter(self.expanded)
        for stage, (blocks, features) in enumerate(zip(self.blocks, self.features, strict=True)):
            for block in range(blocks):
                x = InvertedResidual(
                    features=scaled(features, self.width),
                    expanded=next(expanded, 6 * x.shape[-1] if stage else 0),
                    kernel_size=self.kernels[stage] if self.kernels else 3,
                    strides=1 if block else self.strides[stage],
                    residual=block > 0,
                    name=f"stage{stage}_block{block}",
                    **self.shared,
                )(x, train=train)
            x = tap(self, f"stage{stage}", x)
        head = scaled(self.head, max(1.0, self.width))
        x = nn.relu6(self.conv_norm(x, head, 1, name="head", train=train))
        return self.linear(self.num_classes, name="logits")(tap(self, PENULTIMATE, x.mean((1, 2))))

    def channels(self) -> Channels:
        """Returns which channels can be removed; what the blocks of a stage add up is one group."""
        features = [scaled(f, self.width) for f in self.features]
        stem, head = scaled(self.stem, self.width), scaled(self.head, max(1.0, self.width))
        names = [[f"stage{s}_block{b}" for b in range(n)] for s, n in enumerate(self.blocks)]
        flat = [name for stage in names for name in stage]
        inputs = [stem, *(f for f, n in zip(features, self.blocks, strict=True) for _ in range(n))]
        usual = [0 if name in names[0] else 6 * x for name, x in zip(flat, inputs, strict=False)]
        expanded = dict(zip(flat, self.expanded or usual, strict=True))

        def group(name, size, width, writers, blocks, others=()):
            """A group that blocks read by their first layer, and other layers."""
            readers = [f"{b}/{'expand' if expanded[b] else 'project'}" for b in blocks]
            along = [f"{b}/depthwise" for b in blocks if not expanded[b]]
            parts = (tuple(map(Part, layers)) for layers in (writers, [*readers, *others], along))
            return Group(name, size, (width,), *parts)

        groups = [group("stem", stem, ("stem",), ["stem"], names[0][:1])]
        for s, (size, stage) in enumerate(zip(features, names, strict=True)):
            after, others = (names[s + 1][:1], ()) if s + 1 < len(names) else ([], ("head",))
            projects = [f"{name}/project" for name in stage]
            groups.append(
                group(f"stage{s}", size, ("features", s), projects, [*stage[1:], *after], others)
            )
        groups += [
            Group(
                f"{name}/expand", size, (("expanded", i),), (Part(f"{name}/expand"),),
                (Part(f"{name}/project"),), (Part(f"{name}/depthwise"),),
            )
            for i, (name, size) in enumerate(expanded.items()) if size
        ]  # fmt: skip
        groups.append(group("head", head, ("head",), ["head"], [], ("logits",)))
        widths = {
            "features": features, "expanded": list(expanded.values()), "stem": stem, "head": head,
            "width": 1.0,
        }  # fmt: skip
        return Channels(widths, groups)
