"""The models by name, and how one is built from a configuration."""

import dataclasses
import functools
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
from distill.models.autoencoder import Autoencoder
from distill.models.calli import CalliClassifier
from distill.models.densenet import DenseNet, bottlenecked
from distill.models.layers import check_factors
from distill.models.mobilenet import MobileNetV1, MobileNetV2
from distill.models.resnet import ResNet
from distill.models.simplenet import DOWNSAMPLING, SimpLeNet
from distill.models.teacher import Teacher
from distill.models.vgg import VGG

_IMAGENET: dict[str, Any] = {
    "blocks": (3, 4, 6, 3), "stem": 64, "projection": True, "imagenet": True,
}  # fmt: skip

MODELS: dict[str, Callable[..., nn.Module]] = {
    "teacher": Teacher,
    "simplenet_v1": functools.partial(SimpLeNet, filters=(3, 6)),
    "simplenet_v2": functools.partial(SimpLeNet, filters=(3,)),
    "simplenet_v3": functools.partial(SimpLeNet, filters=(2,)),
    "simplenet_v4": functools.partial(SimpLeNet, filters=(3,), downsample="strided_conv"),
    "simplenet_v5": functools.partial(SimpLeNet, filters=(2,), downsample="strided_conv"),
    "calli": CalliClassifier,
    "calli_1d": functools.partial(CalliClassifier, inner=(4, 32, 64)),
    "vgg16": VGG,
    "resnet20": ResNet,
    "resnet56": functools.partial(ResNet, blocks=(9, 9, 9)),
    "resnet110": functools.partial(ResNet, blocks=(18, 18, 18)),
    "resnet34": functools.partial(ResNet, features=(64, 128, 256, 512), **_IMAGENET),
    "resnet50": functools.partial(
        ResNet, features=(256, 512, 1024, 2048), bottleneck=True, **_IMAGENET
    ),
    "densenet40": DenseNet,
    "densenet_bc100": functools.partial(DenseNet, **bottlenecked(depth=100, growth=12)),
    "mobilenet_v1": MobileNetV1,
    "mobilenet_v1_cifar": functools.partial(MobileNetV1, stem_strides=1),
    "mobilenet_v2": MobileNetV2,
    "mobilenet_v2_cifar": functools.partial(
        MobileNetV2, stem_strides=1, strides=(1, 1, 2, 2, 1, 2, 1)
    ),
    "autoencoder": Autoencoder,
}


def check(name: str, args: Mapping[str, Any]) -> None:
    """Raises `InputError` if there is no model `name`, or it cannot be built with `args`."""
    _build(name, args, num_classes=1)


def classifies(name: str) -> bool:
    """Whether the model `name` has an output for each class, and does not reconstruct images."""
    return "num_classes" in _fields(name)


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
        found = _output_shape(model, tuple(input_shape))
    except InputError:
        raise
    except (TypeError, ValueError, ZeroDivisionError, FlaxError) as error:
        raise InputError(f"{about}: {one_line(error)}; change the arguments or the data") from error
    wanted = (num_classes,) if classifies(name) else tuple(input_shape)
    if found != wanted:
        raise InputError(f"{about}: its output is {found} and has to be {wanted}")


@functools.cache  # the points of a sweep have few models, and deep ones take seconds
def _output_shape(model: nn.Module, input_shape: tuple[int, ...]) -> tuple[int, ...]:
    """Returns the shape of the output for one image, without computing anything."""
    image = jax.ShapeDtypeStruct((1, *input_shape), jnp.float32)
    return jax.eval_shape(model.init_with_output, jax.random.key(0), image)[0].shape[1:]


def _build(name: str, args: Mapping[str, Any], **others: Any) -> nn.Module:
    if name not in MODELS:
        raise unknown("model", name, MODELS)
    args = args.to_dict() if isinstance(args, ConfigDict) else args
    fields = _fields(name)
    for arg in args:
        if arg not in fields:
            raise unknown(f"argument of {name}", arg, fields)
    if args.get("downsample", DOWNSAMPLING[0]) not in DOWNSAMPLING:
        raise unknown("downsample", args["downsample"], DOWNSAMPLING)
    if "num_classes" not in fields:
        del others["num_classes"]
    try:
        check_factors(args.get("factors", {}))
        return MODELS[name](**{k: frozen(v) for k, v in args.items()}, **others)
    except (TypeError, AttributeError) as error:
        raise InputError(f"{name} cannot be built with {dict(args)}: {error}") from error


def _fields(name: str) -> set[str]:
    """Returns the names of the arguments that a model takes from a configuration."""
    builder = MODELS[name]
    module: Any = builder.func if isinstance(builder, functools.partial) else builder
    return {f.name for f in dataclasses.fields(module)} - {"parent", "name", "conv"}


def frozen(value: Any) -> Any:
    """Makes hashable what JSON and configurations hold, as a module is a static argument."""
    if isinstance(value, list | tuple):
        return tuple(frozen(v) for v in value)
    if isinstance(value, Mapping):
        return FrozenDict({k: frozen(v) for k, v in value.items()})
    return value
