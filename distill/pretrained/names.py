"""What other implementations of a network call its layers: one table for each family.

A table maps the path of a layer here, such as `stage0_block0/project`, to its name there. It may
name layers that a network of the family lacks.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from flax import linen as nn

from distill.errors import InputError


class Table(NamedTuple):
    """The names of a family in one implementation.

    Attributes:
      layers: from our path of each layer to its name there.
      epsilon: what its batch normalisation adds to the variance.
      flat: of each dense layer behind an image, how many channels that has: PyTorch flattens
        channels first.
    """

    layers: dict[str, str]
    epsilon: float = 1e-5
    flat: Mapping[str, int] = MappingProxyType({})


def efficientnet(model: Any) -> Table:
    """Returns the names of the PyTorch package `efficientnet_lite_pytorch`.

    Args:
      model: a `MobileNetV2` with the arguments of an EfficientNet-Lite.
    """
    layers = {"stem": "_conv_stem", "stem_norm": "_bn0", "head": "_conv_head", "head_norm": "_bn1"}
    for i, block in enumerate(_blocks(model)):
        for j, layer in enumerate(("expand", "depthwise", "project")):
            layers[f"{block}/{layer}"] = f"_blocks.{i}._{layer}_conv"
            layers[f"{block}/{layer}_norm"] = f"_blocks.{i}._bn{j}"
    return Table({**layers, "logits": "_fc"}, epsilon=1e-3)


def resnet(model: Any) -> Table:
    """Returns the names of torchvision's ResNets.

    Args:
      model: a `ResNet`.
    """
    layers = {"stem": "conv1", "stem_norm": "bn1", "logits": "fc"}
    for s, count in enumerate(model.blocks):
        for b in range(count):
            ours, theirs = f"stage{s}_block{b}", f"layer{s + 1}.{b}"
            for j in range(3 if model.bottleneck else 2):
                layers[f"{ours}/conv{j}"] = f"{theirs}.conv{j + 1}"
                layers[f"{ours}/conv{j}_norm"] = f"{theirs}.bn{j + 1}"
            layers[f"{ours}/shortcut"] = f"{theirs}.downsample.0"
            layers[f"{ours}/shortcut_norm"] = f"{theirs}.downsample.1"
    return _alike(model, Table(layers))


def mobilenet_v2(model: Any) -> Table:
    """Returns the names of torchvision's MobileNetV2.

    Args:
      model: a `MobileNetV2`.
    """
    layers, blocks = {"logits": "classifier.1"}, _blocks(model)
    for ours, i in (("stem", 0), ("head", len(blocks) + 1)):
        layers |= {ours: f"features.{i}.0", f"{ours}_norm": f"features.{i}.1"}
    for i, block in enumerate(blocks):
        expands = model.expanded[i] if model.expanded else i >= model.blocks[0]
        theirs = f"features.{i + 1}.conv"
        inside = ["expand", "depthwise"] if expands else ["depthwise"]
        for j, layer in enumerate(inside):
            layers[f"{block}/{layer}"] = f"{theirs}.{j}.0"
            layers[f"{block}/{layer}_norm"] = f"{theirs}.{j}.1"
        layers[f"{block}/project"] = f"{theirs}.{len(inside)}"
        layers[f"{block}/project_norm"] = f"{theirs}.{len(inside) + 1}"
    return _alike(model, Table(layers))


def densenet(model: Any) -> Table:
    """Returns the names of torchvision's DenseNets.

    Args:
      model: a `DenseNet` with bottlenecks and the stem for ImageNet.
    """
    layers = {
        "stem": "features.conv0", "stem_norm": "features.norm0", "norm": "features.norm5",
        "logits": "classifier",
    }  # fmt: skip
    inside = {"norm": "norm1", "bottleneck": "conv1", "bottleneck_norm": "norm2", "conv": "conv2"}
    for i, growth in enumerate(model.growth):
        layers[f"transition{i}_input_norm"] = f"features.transition{i + 1}.norm"
        layers[f"transition{i}"] = f"features.transition{i + 1}.conv"
        for j in range(len(growth)):
            block = f"features.denseblock{i + 1}.denselayer{j + 1}"
            layers |= {f"block{i}_layer{j}/{o}": f"{block}.{t}" for o, t in inside.items()}
    return _alike(model, Table(layers))


def vgg(model: Any) -> Table:
    """Returns the names of torchvision's VGGs, those without batch normalisation.

    Args:
      model: a `VGG`, folded.

    Raises:
      InputError: if it has batch normalisation.
    """
    if not model.folded:
        raise InputError(
            "its batch normalisation is none of torchvision's; for VGG16 as that has it, set "
            "args.folded=True and args.hidden=(4096, 4096)"
        )
    layers, place = {}, 0
    for i in range(len(model.features)):
        layers[f"conv{i}"] = f"features.{place}"
        place += 3 if i + 1 in model.pools else 2  # behind it are a relu, and perhaps a pool
    dense = [*(f"hidden{i}" for i in range(len(model.hidden))), "logits"]
    layers |= {name: f"classifier.{3 * i}" for i, name in enumerate(dense)}
    return Table(layers, flat={dense[0]: model.features[-1]})


def keras_mobilenet_v1(model: Any) -> Table:
    """Returns the names of `keras.applications.MobileNet`.

    Args:
      model: a `MobileNetV1`.

    Raises:
      InputError: if its activations are not those of Keras.
    """
    if not model.relu6:
        raise InputError("Keras has relu6 where the paper has relu; set args.relu6=True")
    layers = {"stem": "conv1", "stem_norm": "conv1_bn", "logits": "conv_preds"}
    for i in range(len(model.features)):
        for ours, theirs in (("depthwise", "dw"), ("pointwise", "pw")):
            layers[f"block{i}/{ours}"] = f"conv_{theirs}_{i + 1}"
            layers[f"block{i}/{ours}_norm"] = f"conv_{theirs}_{i + 1}_bn"
    return _padded(model, Table(layers, epsilon=1e-3))


def keras_mobilenet_v2(model: Any) -> Table:
    """Returns the names of `keras.applications.MobileNetV2`.

    Args:
      model: a `MobileNetV2`.
    """
    layers = {"stem": "Conv1", "stem_norm": "bn_Conv1", "logits": "predictions"}
    layers |= {"head": "Conv_1", "head_norm": "Conv_1_bn"}
    for i, block in enumerate(_blocks(model)):
        theirs = f"block_{i}" if i else "expanded_conv"
        for layer in ("expand", "depthwise", "project"):
            layers[f"{block}/{layer}"] = f"{theirs}_{layer}"
            layers[f"{block}/{layer}_norm"] = f"{theirs}_{layer}_BN"
    return _padded(model, Table(layers, epsilon=1e-3))


FAMILIES: dict[str, Callable[[Any], Table]] = {
    **{f"efficientnet_lite{i}": efficientnet for i in range(3)},
    "densenet121": densenet,
    "mobilenet_v2": mobilenet_v2,
    "resnet34": resnet,
    "resnet50": resnet,
    "vgg16": vgg,
}


KERAS: dict[str, Callable[[Any], Table]] = {
    "mobilenet_v1": keras_mobilenet_v1,
    "mobilenet_v2": keras_mobilenet_v2,
}


def table(name: str, model: nn.Module, *, keras: bool = False) -> Table:
    """Returns the names of a model's layers.

    Args:
      name: of the model, an entry of `models.MODELS`.
      model: as it was built.
      keras: whether Keras's names are asked for, and not PyTorch's.

    Raises:
      InputError: if they are not known.
    """
    families, program = (KERAS, "Keras gives") if keras else (FAMILIES, "other programs give")
    if name not in families:
        raise InputError(
            f"the names that {program} the layers of {name} are not known here; those of "
            f"{', '.join(sorted(families))} are"
        )
    return families[name](model)


def _blocks(model: Any) -> list[str]:
    """Returns the blocks of a `MobileNetV2`."""
    return [f"stage{s}_block{b}" for s, count in enumerate(model.blocks) for b in range(count)]


def _padded(model: Any, table: Table) -> Table:
    """Returns the table of a network whose strided layers pad as Keras's do.

    Raises:
      InputError: if they do not.
    """
    if model.symmetric:
        raise InputError("Keras pads as TensorFlow does; leave out args.symmetric")
    return table


def _alike(model: Any, table: Table) -> Table:
    """Returns the table of a network whose strided layers pad as torchvision's do.

    Raises:
      InputError: if they do not, as then the same weights compute something else.
    """
    if not model.symmetric:
        raise InputError("torchvision pads both sides alike; set args.symmetric=True")
    return table
