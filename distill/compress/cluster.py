"""Weight clustering: the weights of a layer share a few values, so that each is an index."""

import dataclasses
from typing import Any

import numpy as np

from distill.compress.context import Context
from distill.compress.network import Arrays, Network, weights
from distill.constraints import MAX_CLUSTERS
from distill.errors import InputError
from distill.patterns import matching

MAX_ROUNDS = 300


def cluster(
    network: Network, context: Context, *, num_clusters: int = 16, layers: str = "*"
) -> Network:
    """Gives the weights of each kernel a few values to share (Han et al. 2016, arXiv:1510.00149).

    The values are found by k-means over the weights that are not zero, which begins with values at
    equal distances between the least and the greatest (their section 3.2: large weights are few and
    matter). Zeros stay zero: they are cluster 0.

    Args:
      network: trained.
      context: not looked at.
      num_clusters: values for each layer, without zero; fewer where the weights are of fewer.
      layers: names of layers, as in `patterns.matching`.

    Returns:
      The network with shared values. Fine-tuning moves them by the gradients of all their weights.

    Raises:
      InputError: if there are fewer weights than values, or the values are too many to index.
    """
    del context
    check(num_clusters=num_clusters)
    params, counts, clusters = dict(network.params), {}, {}
    found = weights(network)
    for layer in matching(layers, network.kernels):
        path = f"{layer}/kernel"
        nonzero = found[path][found[path] != 0]
        if nonzero.size < num_clusters:
            raise InputError(
                f"num_clusters is {num_clusters}, but {layer} has only {nonzero.size} weights that "
                f"are not zero; leave it out with layers=!{layer}"
            )
        codebook = k_means(nonzero, num_clusters)
        indices = np.where(found[path] != 0, 1 + nearest(found[path], codebook), 0)
        params[path] = np.concatenate([[np.float32(0)], codebook])[indices]
        clusters[path], counts[path] = indices.astype(np.uint8), len(codebook) + 1
    return _sharing(dataclasses.replace(network, params=params), counts, clusters)


def check(*, num_clusters: int = 1, **_: Any) -> None:
    """Raises `InputError` for an option that cannot be used."""
    if not 1 <= num_clusters < MAX_CLUSTERS:
        raise InputError(
            f"num_clusters is {num_clusters}; it must be between 1 and {MAX_CLUSTERS - 1}"
        )


def k_means(values: np.ndarray, num_clusters: int) -> np.ndarray:
    """Returns the values that represent many, in rising order.

    In one dimension a cluster is a stretch of the sorted values, so that a round costs a search of
    the boundaries and not a distance for each pair.

    Args:
      values: `[n]` floats.
      num_clusters: how many to begin with, between the least and the greatest.

    Returns:
      As many float32, or all of `values` if fewer of them differ.
    """
    ordered = np.sort(values.astype(np.float64))
    sums = np.concatenate([[0], np.cumsum(ordered)])
    centres = np.linspace(ordered[0], ordered[-1], num_clusters)
    for _ in range(MAX_ROUNDS):
        inner = np.searchsorted(ordered, _between(centres), side="left")
        ends = np.concatenate([[0], inner, [len(ordered)]])
        sizes = np.diff(ends)
        moved = np.where(sizes > 0, np.diff(sums[ends]) / np.maximum(sizes, 1), centres)
        if (sizes == 0).any():
            # As in the gap that pruning leaves: it goes to the value that is farthest from its own.
            distances = np.abs(ordered - np.repeat(moved, sizes))
            if distances.max() > 0:
                moved[sizes.argmin()] = ordered[distances.argmax()]
                moved.sort()
        if np.array_equal(moved, centres):
            break
        centres = moved
    codebook = centres.astype(np.float32)
    return codebook[np.unique(nearest(values, codebook))]


def nearest(values: np.ndarray, codebook: np.ndarray) -> np.ndarray:
    """Returns for each value the index of the nearest in a rising codebook; between two, the upper.

    Args:
      values: of any shape.
      codebook: `[n]`.
    """
    return np.searchsorted(_between(codebook.astype(np.float64)), values, side="right")


def _between(centres: np.ndarray) -> np.ndarray:
    return (centres[1:] + centres[:-1]) / 2


def _sharing(network: Network, counts: dict[str, int], clusters: Arrays) -> Network:
    shared = {**network.constraints.get("share", {}), **counts}
    held = {**network.held, "share": {**network.held.get("share", {}), **clusters}}
    return dataclasses.replace(
        network, constraints={**network.constraints, "share": shared}, held=held
    )
