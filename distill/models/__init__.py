"""The models by name, and how one is built from a configuration."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
from flax import linen as nn

from distill import ops
from distill.errors import InputError, unknown
from distill.models.simplenet import DOWNSAMPLING, SimpLeNet
from distill.models.teacher import Teacher

MODELS: dict[str, Callable[..., nn.Module]] = {
    "teacher": Teacher,
    "simplenet_v1": functools.partial(SimpLeNet, filters=(3, 6)),
    "simplenet_v2": functools.partial(SimpLeNet, filters=(3,)),
    "simplenet_v3": functools.partial(SimpLeNet, filters=(2,)),
    "simplenet_v4": functools.partial(SimpLeNet, filters=(3,), downsample="strided_conv"),
    "simplenet_v5": functools.partial(SimpLeNet, filters=(2,), downsample="strided_conv"),
}


def check(name: str, args: Mapping[str, Any]) -> None:
    """Raises `InputError` if there is no model `name`, or it takes no such arguments."""
    if name not in MODELS:
        raise unknown("model", name, MODELS)
    builder = MODELS[name]
    module: Any = builder.func if isinstance(builder, functools.partial) else builder
    fields = {f.name for f in dataclasses.fields(module)} - {"parent", "name", "conv"}
    for arg in args:
        if arg not in fields:
            raise unknown(f"argument of {name}", arg, fields)
    if args.get("downsample", DOWNSAMPLING[0]) not in DOWNSAMPLING:
        raise unknown("downsample", args["downsample"], DOWNSAMPLING)


def build(name: str, args: Mapping[str, Any], *, num_classes: int) -> nn.Module:
    """Builds a model whose convolutions suit the device that JAX runs on.

    Args:
      name: an entry of `MODELS`.
      args: further arguments of that module.
      num_classes: width of its output.

    Raises:
      InputError: as `check`.
    """
    check(name, args)
    conv = ops.conv_for(jax.default_backend())
    # JSON and configurations give lists, but a module is a static argument and must hash.
    args = {k: tuple(v) if isinstance(v, list) else v for k, v in args.items()}
    try:
        return MODELS[name](**args, num_classes=num_classes, conv=conv)
    except TypeError as error:
        raise InputError(f"{name} cannot be built with {dict(args)}: {error}") from error
