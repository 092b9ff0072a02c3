"""The methods of compression by name.

A method is a function `(network, context, *, options) -> network`. Its keyword-only parameters are
what a step of `config.compress` may say, with their defaults; where they mean the same, they have
the same names in all methods:

* `score`: by what weights or channels are ranked; the lowest go first;
* `amount`: the share of them that goes, of the network that the step began with;
* `scope`: `global` ranks those of all layers together, `layer` takes the amount of each;
* `pattern`: which of them go together;
* `layers`: names of layers or groups, as in `network.matching`.

A method that is new is one function and one entry in `COMPRESSORS`.
"""

import inspect
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
from distill.errors import unknown

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


def check(step: Mapping[str, Any]) -> None:
    """Checks the names in what a step says of its method.

    Raises:
      InputError: if the method or one of its options is unknown.
    """
    options = {key: value for key, value in step.items() if key != "method"}
    if step.get("method") not in COMPRESSORS:
        raise unknown("method", str(step.get("method")), COMPRESSORS)
    for name in options:
        if name not in known(step["method"]):
            raise unknown(f"option of {step['method']}", name, known(step["method"]))


def known(method: str) -> dict[str, Any]:
    """Returns the options of a method with their defaults."""
    parameters = inspect.signature(COMPRESSORS[method]).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
