"""The models by name, and how one is built from a configuration."""

import functools
import os
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.core import FrozenDict
from flax.errors import FlaxError
from ml_collections import ConfigDict

from distill import ops
from distill.errors import InputError, one_line, unknown
from distill.models import arguments
from distill.models.autoencoder import Autoencoder
from distill.models.calli import CalliClassifier
from distill.models.densenet import DenseNet, bottlenecked
from distill.models.efficientnet import lite
from distill.models.layers import check_factors
from distill.models.mobilenet import MobileNetV1, MobileNetV2
from distill.models.resnet import ResNet
from distill.models.simplenet import DOWNSAMPLING, SimpLeNet
from distill.models.teacher import Teacher
from distill.models.tiny import Tiny
from distill.models.vgg import VGG
from distill.models.wide_resnet import WideResNet

_IMAGENET: dict[str, Any] = {
    "blocks": (3, 4, 6, 3), "stem": 64, "projection": True, "imagenet": True,
}  # fmt: skip
# Of 32×32 images, four times as wide as the paper's, as distillation is compared with.
_WIDE: dict[str, Any] = {"features": (64, 128, 256), "stem": 32, "projection": True}
# VGG of 32×32 images, likewise.
_COMPARED: dict[str, Any] = {
    "pools": (2, 4, 6, 8), "hidden": (), "average": True, "biased": True,
}  # fmt: skip

MODELS: dict[str, Callable[..., nn.Module]] = {
    "teacher": Teacher,
    "simplenet_v1": functools.partial(SimpLeNet, filters=(3, 6)),
    "simplenet_v2": functools.partial(SimpLeNet, filters=(3,)),
    "simplenet_v3": functools.partial(SimpLeNet, filters=(2,)),
    "simplenet_v4": functools.partial(SimpLeNet, filters=(3,), downsample="strided_conv"),
    "simplenet_v5": functools.partial(SimpLeNet, filters=(2,), downsample="strided_conv"),
    "tiny": Tiny,
    "calli": CalliClassifier,
    "calli_1d": functools.partial(CalliClassifier, inner=(4, 32, 64)),
    "vgg16": VGG,
    "vgg13": functools.partial(
        VGG, features=(64, 64, 128, 128, 256, 256, 512, 512, 512, 512), **_COMPARED
    ),
    "vgg8": functools.partial(
        VGG, features=(64, 128, 256, 512, 512), **_COMPARED | {"pools": (1, 2, 3, 4)}
    ),
    "resnet8": functools.partial(ResNet, blocks=(1, 1, 1)),
    "resnet20": ResNet,
    "resnet32": functools.partial(ResNet, blocks=(5, 5, 5)),
    "resnet56": functools.partial(ResNet, blocks=(9, 9, 9)),
    "resnet110": functools.partial(ResNet, blocks=(18, 18, 18)),
    "resnet8x4": functools.partial(ResNet, blocks=(1, 1, 1), **_WIDE),
    "resnet32x4": functools.partial(ResNet, blocks=(5, 5, 5), **_WIDE),
    "resnet34": functools.partial(ResNet, features=(64, 128, 256, 512), **_IMAGENET),
    "resnet50": functools.partial(
        ResNet, features=(256, 512, 1024, 2048), bottleneck=True, **_IMAGENET
    ),
    "wrn_16_2": WideResNet,
    "wrn_40_2": functools.partial(WideResNet, blocks=(6, 6, 6)),
    "wrn_40_1": functools.partial(
        WideResNet, blocks=(6, 6, 6), features=(16, 32, 64), projection=False
    ),
    "densenet40": DenseNet,
    "densenet_bc100": functools.partial(DenseNet, **bottlenecked((16,) * 3, growth=12)),
    "densenet121": functools.partial(
        DenseNet, imagenet=True, **bottlenecked((6, 12, 24, 16), growth=32)
    ),
    "mobilenet_v1": MobileNetV1,
    "mobilenet_v1_cifar": functools.partial(MobileNetV1, stem_strides=1),
    "mobilenet_v2": MobileNetV2,
    "mobilenet_v2_cifar": functools.partial(
        MobileNetV2, stem_strides=1, strides=(1, 1, 2, 2, 1, 2, 1)
    ),
    "efficientnet_lite0": functools.partial(MobileNetV2, **lite(width=1.0, depth=1.0)),
    "efficientnet_lite1": functools.partial(MobileNetV2, **lite(width=1.0, depth=1.1)),
    "efficientnet_lite2": functools.partial(MobileNetV2, **lite(width=1.1, depth=1.2)),
    "autoencoder": Autoencoder,
}


def check(name: str, args: Mapping[str, Any]) -> None:
    """Raises `InputError` if there is no model `name`, or it cannot be built with `args`."""
    _build(name, args, num_classes=1)


def classifies(name: str) -> bool:
    """Whether the model `name` has an output for each class, and does not reconstruct images."""
    return "num_classes" in arguments.fields(MODELS[name])


def build(
    name: str, args: Mapping[str, Any], *, num_classes: int, kernels: str = "auto"
) -> nn.Module:
    """Builds a model whose convolutions suit the device that JAX runs on.

    Args:
      name: an entry of `MODELS`.
      args: further arguments of that module.
      num_classes: width of its output.
      kernels: what a CPU convolves with, see `ops.conv_for`.

    Raises:
      InputError: as `check`.
    """
    conv = ops.conv_for(jax.default_backend(), kernels)
    return _build(name, args, num_classes=num_classes, conv=conv)


def check_images(
    name: str, args: Mapping[str, Any], *, input_shape: tuple[int, ...], num_classes: int
) -> None:
    """Checks that a model takes images of a shape, and gives what is to be learned from them.

    Args:
      name, args, num_classes: as in `build`.
      input_shape: `(height, width, channels)`.

    Raises:
      InputError: if it does not, and as `check`.
    """
    model = build(name, args, num_classes=num_classes)
    shown = dict(args.to_dict() if isinstance(args, ConfigDict) else args)
    about = f"{name} with {shown} does not fit images of {tuple(input_shape)}"
    try:
        found, size = _traced(model, tuple(input_shape))
    except InputError:
        raise
    except (
        TypeError, ValueError, ArithmeticError, LookupError, AssertionError, FlaxError,
    ) as error:  # fmt: skip
        raise InputError(f"{about}: {one_line(error)}; change the arguments or the data") from error
    if size > _memory():
        raise InputError(
            f"{about}: its weights alone are {size / 2**30:,.1f} GiB, and this machine has "
            f"{_memory() / 2**30:,.1f}; make it smaller"
        )
    wanted = (num_classes,) if classifies(name) else tuple(input_shape)
    if found != wanted:
        raise InputError(f"{about}: its output is {found} and has to be {wanted}")


@functools.cache  # the points of a sweep have few models, and deep ones take seconds
def _traced(model: nn.Module, input_shape: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
    """Returns the shape of the output for one image and the bytes of weights; computes nothing."""
    image = jax.ShapeDtypeStruct((1, *input_shape), jnp.float32)
    output, variables = jax.eval_shape(model.init_with_output, jax.random.key(0), image)
    return output.shape[1:], sum(4 * leaf.size for leaf in jax.tree.leaves(variables))


def _memory() -> int:
    """Returns the memory of this machine in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _build(name: str, args: Mapping[str, Any], **others: Any) -> nn.Module:
    if name not in MODELS:
        raise unknown("model", name, MODELS)
    args = args.to_dict() if isinstance(args, ConfigDict) else args
    fields = arguments.fields(MODELS[name])
    classified = fields.pop("num_classes", None)  # which the data say, and no argument
    for arg in args:
        if arg not in fields:
            raise unknown(f"argument of {name}", str(arg), fields)
    arguments.check(name, fields, args)
    if args.get("downsample", DOWNSAMPLING[0]) not in DOWNSAMPLING:
        raise unknown("downsample", args["downsample"], DOWNSAMPLING)
    if classified is None:
        del others["num_classes"]
    try:
        check_factors(args.get("factors", {}))
        return MODELS[name](**{k: frozen(v) for k, v in args.items()}, **others)
    except (TypeError, AttributeError) as error:
        raise InputError(f"{name} cannot be built with {dict(args)}: {error}") from error


def frozen(value: Any) -> Any:
    """Makes hashable what JSON and configurations hold, as a module is a static argument."""
    if isinstance(value, list | tuple):
        return tuple(frozen(v) for v in value)
    if isinstance(value, Mapping):
        return FrozenDict({k: frozen(v) for k, v in value.items()})
    return value
