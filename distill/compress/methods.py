"""The methods of compression by name.

A method is a function `(network, context, *, options) -> network`. Its keyword-only parameters are
what a step of `config.compress` may say, with their defaults; where they mean the same, they have
the same names in all methods:

* `score`: by what weights or channels are ranked; the lowest go first;
* `amount`: the share of them that goes, of the network that the step began with;
* `scope`: `global` ranks those of all layers together, `layer` takes the amount of each;
* `pattern`: which of them go together;
* `layers`: names of layers or groups, as in `patterns.matching`.

A method that is new is one function and one entry in `COMPRESSORS`. What its options accept beyond
their types is said by a function beside it, with an entry in `CHECKS`, and what they name in a
network is found by one with an entry in `NAMED`. Both are called by the method too, so that nothing
else has to look at values, and before anything is trained.
"""

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from distill.compress import (
    activation,
    cluster,
    factorise,
    filters,
    fold,
    magnitude,
    merge,
    quantize,
)
from distill.compress.network import Network
from distill.errors import InputError, unknown
from distill.patterns import matching

Method = Callable[..., Network]

COMPRESSORS: dict[str, Method] = {
    "activation": activation.activation,
    "cluster": cluster.cluster,
    "filters": filters.filters,
    "fold": fold.fold,
    "magnitude": magnitude.magnitude,
    "merge": merge.merge,
    "quantize": quantize.quantize,
    "svd": factorise.svd,
}
CHECKS: dict[str, Callable[..., None]] = {  # of options that are given; the others are ignored
    "activation": activation.check,
    "cluster": cluster.check,
    "filters": filters.check,
    "magnitude": magnitude.check,
    "merge": merge.check,
    "quantize": quantize.check,
    "svd": factorise.check,
}
NAMED: dict[str, Callable[..., Any]] = {  # finds in a network what options name, or refuses
    "activation": lambda network, *, layers="*", **_: filters.removable(network, layers),
    "cluster": lambda network, *, layers="*", **_: matching(layers, network.kernels),
    "filters": filters.named,
    "magnitude": lambda network, *, layers="*", **_: matching(layers, network.kernels),
    "merge": merge.named,
    "svd": factorise.named,
}
CONSTRAINING = ("cluster", "magnitude", "quantize")  # their weights have constraints from then on

_WORDS = {
    int: "a whole number", float: "a number", bool: "True or False", str: "a string",
    Mapping: "a mapping to numbers",
}  # fmt: skip


def check(step: Mapping[str, Any]) -> None:
    """Checks what a step says of its method, as far as that needs no network.

    Raises:
      InputError: if the method or one of its options is unknown, or a value cannot be used.
    """
    method = step.get("method")
    options = {key: value for key, value in step.items() if key != "method"}
    if not isinstance(method, str) or method not in COMPRESSORS:
        raise unknown("method", str(method), COMPRESSORS)
    accepted = typing.get_type_hints(COMPRESSORS[method])
    for name, value in options.items():
        if name not in known(method):
            raise unknown(f"option of {method}", name, known(method))
        if not fits(value, accepted.get(name, object)):
            kinds = typing.get_args(accepted[name]) or (accepted[name],)
            words = " or ".join(_WORDS[typing.get_origin(kind) or kind] for kind in kinds)
            raise InputError(f"{name} is {value!r}; it must be {words}")
    if method in CHECKS:
        CHECKS[method](**options)


def fits(value: Any, kind: Any) -> bool:
    """Returns whether a JSON value is of a type, as parameters are annotated with it."""
    if isinstance(kind, types.UnionType):
        return any(fits(value, each) for each in typing.get_args(kind))
    if typing.get_origin(kind) is Mapping:
        inner = typing.get_args(kind)[1]
        return isinstance(value, Mapping) and all(fits(each, inner) for each in value.values())
    if kind in (int, float) and isinstance(value, bool):
        return False
    return isinstance(value, int | float if kind is float else kind)


def known(method: str) -> dict[str, Any]:
    """Returns the options of a method with their defaults."""
    parameters = inspect.signature(COMPRESSORS[method]).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
