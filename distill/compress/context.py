"""What the methods of compression share."""

import dataclasses
from collections.abc import Callable

import numpy as np

from distill.compress.network import Network
from distill.errors import InputError


@dataclasses.dataclass(frozen=True)
class Context:
    """What a method may look at beside the network.

    Attributes:
      images: of `dataset.train`, `[n, height, width, channels]` uint8, also those whose label is
        hidden, and also where the network learns from a transfer set: they are what it is for.
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


def require_share(name: str, value: float) -> None:
    """Raises `InputError` unless a share is in [0, 1)."""
    if not 0 <= value < 1:
        raise InputError(f"{name} is {value}; it must be at least 0 and below 1")
