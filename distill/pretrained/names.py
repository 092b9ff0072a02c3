"""What other implementations of a network call its layers: one table for each family.

A table maps the path of a layer here, such as `stage0_block0/project`, to its name there. It may
name layers that a network of the family lacks.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from flax import linen as nn

from distill.errors import InputError


class Table(NamedTuple):
    """The names of a family in one implementation.

    Attributes:
      layers: from our path of each layer to its name there.
      epsilon: what its batch normalisation adds to the variance.
    """

    layers: dict[str, str]
    epsilon: float


def efficientnet(model: Any) -> Table:
    """Returns the names of the PyTorch package `efficientnet_lite_pytorch`.

    Args:
      model: a `MobileNetV2` with the arguments of an EfficientNet-Lite.
    """
    layers = {"stem": "_conv_stem", "stem_norm": "_bn0", "head": "_conv_head", "head_norm": "_bn1"}
    blocks = [f"stage{s}_block{b}" for s, count in enumerate(model.blocks) for b in range(count)]
    for i, block in enumerate(blocks):
        for j, layer in enumerate(("expand", "depthwise", "project")):
            layers[f"{block}/{layer}"] = f"_blocks.{i}._{layer}_conv"
            layers[f"{block}/{layer}_norm"] = f"_blocks.{i}._bn{j}"
    return Table({**layers, "logits": "_fc"}, epsilon=1e-3)


FAMILIES: dict[str, Callable[[Any], Table]] = {
    f"efficientnet_lite{i}": efficientnet for i in range(3)
}


def table(name: str, model: nn.Module) -> Table:
    """Returns the names of a model's layers.

    Args:
      name: of the model, an entry of `models.MODELS`.
      model: as it was built.

    Raises:
      InputError: if they are not known.
    """
    if name not in FAMILIES:
        raise InputError(
            f"the names that other programs give the layers of {name} are not known here; those of "
            f"{', '.join(sorted(FAMILIES))} are"
        )
    return FAMILIES[name](model)
