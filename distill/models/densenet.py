"""Densely connected networks (Huang et al. 2017, arXiv:1608.06993)."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from distill.models.channels import Channels, Group, Part
from distill.models.layers import Structure, require_length
from distill.models.taps import PENULTIMATE, tap


class DenseLayer(Structure, kw_only=True):
    """Norm, relu, convolution, whose output is appended to the input.

    Attributes:
      growth: filters of the 3×3 convolution `conv`.
      inner: filters of a 1×1 convolution `bottleneck` before it; 0: none.
    """

    growth: int
    inner: int = 0

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Maps `[batch, height, width, channels]` to as many with `growth` more channels."""
        y = nn.relu(self.norm("norm", train)(x))
        if self.inner:
            y = nn.relu(self.conv_norm(y, self.inner, 1, name="bottleneck", train=train))
        y = self.conv2d(self.growth, 3, name="conv", use_bias=False)(y)
        return jnp.concatenate([x, y], axis=-1)


_STEM: tuple[str | int, ...] = ("stem",)  # where the argument is


class DenseNet(Structure):
    """Blocks of dense layers with transitions between them that halve the image.

    `folded` concerns the bottlenecks, and a stem for ImageNet: no other normalisation follows a
    convolution directly.

    Attributes:
      stem: filters of the first convolution, `stem`.
      growth: filters of each layer `block0_layer0`, … of each block.
      inner: those of its bottleneck; empty: there are none.
      transitions: filters of the 1×1 convolution `transition0`, … between blocks.
      imagenet: whether a 7×7 convolution of stride 2 and max-pooling come first, or a 3×3.
      num_classes: width of the output.
    """

    stem: int = 16
    growth: Sequence[Sequence[int]] = ((12,) * 12,) * 3
    inner: Sequence[Sequence[int]] = ()
    transitions: Sequence[int] = (160, 304)
    imagenet: bool = False
    num_classes: int = 10

    def __post_init__(self):
        require_length("transitions", self.transitions, len(self.growth) - 1)
        if self.inner:
            require_length("inner", self.inner, len(self.growth))
            for i, (inner, growth) in enumerate(zip(self.inner, self.growth, strict=True)):
                require_length(f"inner[{i}]", inner, len(growth))
        super().__post_init__()

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Maps images `[batch, height, width, channels]` to logits `[batch, num_classes]`."""
        if self.imagenet:
            x = nn.relu(self.conv_norm(x, self.stem, 7, 2, name="stem", train=train))
            x = self.pool_overlapping(x)
        else:
            x = self.conv2d(self.stem, 3, name="stem", use_bias=False)(x)
        for i, growth in enumerate(self.growth):
            inner = self.inner[i] if self.inner else (0,) * len(growth)
            for j, widths in enumerate(zip(growth, inner, strict=True)):
                name = f"block{i}_layer{j}"
                x = DenseLayer(growth=widths[0], inner=widths[1], name=name, **self.shared)(
                    x, train=train
                )
            x = tap(self, f"stage{i}", x)
            if i < len(self.transitions):
                name = f"transition{i}"
                x = nn.relu(self.norm(f"{name}_input_norm", train)(x))
                x = self.conv2d(self.transitions[i], 1, name=name, use_bias=False)(x)
                x = nn.avg_pool(x, (2, 2), (2, 2))
        x = nn.relu(self.norm("norm", train)(x))
        return self.linear(self.num_classes, name="logits")(tap(self, PENULTIMATE, x.mean((1, 2))))

    def channels(self) -> Channels:
        """Returns which channels can be removed; what reads a block reads all of its layers."""
        groups, size = [], self.stem
        entry, width = "stem", _STEM
        for i, growth in enumerate(self.growth):
            names = [f"block{i}_layer{j}" for j in range(len(growth))]
            inner = self.inner[i] if self.inner else ()
            first = "bottleneck" if inner else "conv"
            last = i == len(self.transitions)
            # Who reads: the layers, each what stands before it, and what follows the block.
            readers = [f"{name}/{first}" for name in names]
            readers.append("logits" if last else f"transition{i}")
            norms = [f"{name}/norm" for name in names]
            norms.append("norm" if last else f"transition{i}_input_norm")
            written = [(entry, width, size)]
            written += [
                (f"{name}/conv", ("growth", i, j), growth[j]) for j, name in enumerate(names)
            ]
            start = 0
            for k, (layer, width, size) in enumerate(written):
                groups.append(
                    Group(
                        layer, size, (width,), (Part(layer),),
                        tuple(Part(name, start) for name in readers[k:]),
                        tuple(Part(name, start) for name in norms[k:]),
                    )
                )  # fmt: skip
                start += size
            groups += [
                Group(
                    f"{name}/bottleneck", inner[j], (("inner", i, j),),
                    (Part(f"{name}/bottleneck"),), (Part(f"{name}/conv"),),
                )
                for j, name in enumerate(names if inner else ())
            ]  # fmt: skip
            if not last:
                entry, width, size = f"transition{i}", ("transitions", i), self.transitions[i]
        widths = {
            "stem": self.stem, "growth": [list(g) for g in self.growth],
            "inner": [list(w) for w in self.inner], "transitions": list(self.transitions),
        }  # fmt: skip
        return Channels(widths, groups)


def bottlenecked(layers: Sequence[int], growth: int, compression: float = 0.5) -> dict[str, Any]:
    """Returns the widths of DenseNet-BC (section 3): bottlenecks of 4·growth, a stem of 2·growth.

    Args:
      layers: of each block.
      growth: k.
      compression: share of the channels that a transition keeps.
    """
    stem = channels = 2 * growth
    transitions = []
    for count in layers[:-1]:
        channels = int((channels + count * growth) * compression)
        transitions.append(channels)
    return {
        "stem": stem,
        "growth": tuple((growth,) * count for count in layers),
        "inner": tuple((4 * growth,) * count for count in layers),
        "transitions": tuple(transitions),
    }
