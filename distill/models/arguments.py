"""What the arguments of a model may be, by their annotations and, where needed, their names.

The ranges are wide: they end what no machine has, such as a network of a million blocks, before
anything is built. Whether the arguments fit one another and the images is tried by building.
"""

import dataclasses
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flax import linen as nn

from distill import values
from distill.values import Kind

_WIDTHS = values.whole(0, 2**20)
_NAMED: dict[str, Kind] = {
    "dropout": values.number("a number between 0 and 1, without 1", lambda v: 0 <= v < 1),
    "width": values.between(0.01, 100),
    "kernel_size": values.whole(1, 1024),
    "stem_strides": values.whole(1, 1024),
}
_ENTRIES: dict[str, Kind] = {
    "filters": values.whole(1, 2**20), "features": values.whole(1, 2**20),
    "blocks": values.whole(0, 1000), "strides": values.whole(1, 1024),
    "kernels": values.whole(1, 1024), "depths": values.whole(1, 1000),
}  # fmt: skip
_KINDS: dict[Any, Kind] = {
    int: _WIDTHS,
    float: values.number("a number", lambda v: True),
    bool: values.FLAG,
    str: values.TEXT,
}


def fields(builder: Callable[..., nn.Module]) -> dict[str, Any]:
    """Returns the arguments that a model takes from a configuration, with their annotations.

    Args:
      builder: a module, or a `functools.partial` of one.
    """
    module: Any = getattr(builder, "func", builder)
    hints = typing.get_type_hints(module)
    names = {field.name for field in dataclasses.fields(module)}
    return {name: hints[name] for name in names - {"parent", "name", "conv"}}


def check(model: str, annotations: Mapping[str, Any], args: Mapping[str, Any]) -> None:
    """Checks types and ranges.

    Args:
      model: its name, for the message.
      annotations: from `fields`.
      args: of these.

    Raises:
      InputError: for the first argument that cannot be used.
    """
    for name, value in args.items():
        kind = _NAMED.get(name) or _kind(annotations[name], _ENTRIES.get(name, _WIDTHS))
        if kind is not None:
            values.require(f"{name} of {model}", value, kind)
        values.require_plain(f"{name} of {model}", value)


def _kind(annotation: Any, entries: Kind) -> Kind | None:
    """Returns what an annotation accepts; None where it is none of those that are known here."""
    if typing.get_origin(annotation) is Mapping:
        return Kind("a dictionary", lambda value: isinstance(value, Mapping))
    if typing.get_origin(annotation) is not Sequence:
        return _KINDS.get(annotation)
    (inner,) = typing.get_args(annotation)
    if typing.get_origin(inner) is Sequence:
        rows = values.each(entries, "")
        return values.each(rows, f"like ((8, 16), (8,)), each {entries.accepted}")
    kind = entries if inner is int else _KINDS.get(inner)
    return kind and values.each(kind, f"like (8, 16) or (8,), each {kind.accepted}")
