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

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from distill.compress import factorise, fold, quantize
from distill.compress.network import Network
from distill.errors import InputError, unknown


@dataclasses.dataclass(frozen=True)
class Context:
    """What a method may look at beside the network.

    Attributes:
      images: for training, `[n, height, width, channels]` uint8.
      labels: `[n]` int32, -1 where hidden.
      mean, std: of pixels between 0 and 1, as the network expects them to be normalised.
      loss: the entry of `losses.LOSSES` without a teacher that gradients are taken of.
      begin: the network that the step began with.
      seed: of what is random; another one in each round.
      say: told in one line what the user should know.
    """

    images: np.ndarray
    labels: np.ndarray
    mean: tuple[float, ...]
    std: tuple[float, ...]
    loss: str
    begin: Network
    seed: int
    say: Callable[[str], None]


Method = Callable[..., Network]

COMPRESSORS: dict[str, Method] = {
    "fold": fold.fold,
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


def require_share(name: str, value: float) -> None:
    """Raises `InputError` unless a share is in [0, 1)."""
    if not 0 <= value < 1:
        raise InputError(f"{name} is {value}; it must be at least 0 and below 1")
