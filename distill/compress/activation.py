"""Removing what is not active on the training data (Çallı 2017, 2.2.2 and 2.2.3)."""

import dataclasses
from typing import Any

import numpy as np

from distill.compress import network as networks
from distill.compress.context import Context
from distill.compress.filters import removable
from distill.compress.network import Network
from distill.compress.scores import activations
from distill.errors import InputError


def activation(
    network: Network,
    context: Context,
    *,
    threshold: int = 0,
    distort: bool = False,
    outliers: bool = False,
    layers: str = "*",
) -> Network:
    """Removes the neurons and channels that were active too rarely, counting all training images.

    One cycle of the thesis; training follows, and cycles go on until nothing is removed. (Hu et al.
    2016, arXiv:1607.03250, trim by the share of zeros instead.)

    Args:
      network: trained.
      context: with all images to count on.
      threshold: greatest count that is removed.
      distort: adds noise to all kernels before counting, see `distorted`. It stays in the weights
        that are returned, and training goes on from there.
      outliers: removes what counts less than `mean - 2 · std` of its group, instead of `threshold`.
      layers: names of groups.

    Raises:
      InputError: if the threshold is negative, a pattern matches nothing or nothing reads a group.
    """
    check(threshold=threshold)
    groups = removable(network, layers)
    if distort:
        rng = np.random.default_rng(context.seed)
        kernels = {p: v for p, v in network.params.items() if p.split("/")[-1] == "kernel"}
        noisy = {path: distorted(kernel, rng) for path, kernel in kernels.items()}
        network = dataclasses.replace(network, params={**network.params, **noisy})
    kept = {}
    for name, counts in activations(network, context, groups).items():
        kept[name], emptied = keep(counts, threshold=threshold, outliers=outliers)
        if emptied:
            context.say(f"{name} would be empty; its most active unit of {counts.size} is kept")
    return networks.remove(network, kept)


def check(*, threshold: int = 0, **_: Any) -> None:
    """Raises `InputError` for an option that cannot be used."""
    if threshold < 0:
        raise InputError(f"threshold is {threshold}; it must be 0 or more")


def distorted(kernel: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Adds `rand · (1 - var)`, rand uniform in [-1, 1], var that of the kernel (Çallı 2017, 2.2.2).

    Args:
      kernel: of one network, of any shape.
      rng: of the noise.
    """
    noise = rng.uniform(-1, 1, kernel.shape) * (1 - kernel.var())
    return (kernel + noise).astype(kernel.dtype)


def keep(
    counts: np.ndarray,
    alive: np.ndarray | None = None,
    *,
    threshold: int = 0,
    outliers: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Decides what stays, of one network or of several that are trained with masks.

    Args:
      counts: of activations, `[..., units]`; any axes before that are of networks.
      alive: booleans of the same shape, False for units that are masked already.
      threshold: greatest count that is removed.
      outliers: removes what is below `mean - 2 · std` of the units alive, instead.

    Returns:
      Booleans `[..., units]`, True where kept, and `[...]`, whether nothing would be left, so that
      the most active unit stays.
    """
    counts = np.asarray(counts, float)
    alive = np.ones(counts.shape, bool) if alive is None else np.asarray(alive, bool)
    if outliers:
        size = alive.sum(-1, keepdims=True)
        mean = (counts * alive).sum(-1, keepdims=True) / size
        variance = (np.square(counts - mean) * alive).sum(-1, keepdims=True) / size
        kept = alive & (counts >= mean - 2 * np.sqrt(variance))
    else:
        kept = alive & (counts > threshold)
    emptied = ~kept.any(-1)
    best = np.arange(counts.shape[-1]) == np.where(alive, counts, -1).argmax(-1)[..., None]
    return kept | (emptied[..., None] & best), emptied
