"""Pruning by magnitude: the smallest weights become zero and stay so."""

import dataclasses
import re
from typing import Any

import numpy as np

from distill.compress.context import Context, require_share
from distill.compress.network import Arrays, Network, weights
from distill.errors import InputError, unknown
from distill.patterns import matching

SCOPES = ("global", "layer")
UNSTRUCTURED = "unstructured"


def magnitude(
    network: Network,
    context: Context,
    *,
    amount: float = 0.5,
    scope: str = "global",
    pattern: str = UNSTRUCTURED,
    layers: str = "*",
) -> Network:
    """Zeroes the weights of smallest magnitude in kernels (Han et al. 2015, arXiv:1506.02626).

    What is pruned already stays so, and counts. A layer that would lose everything keeps its
    largest weight.

    Args:
      network: trained.
      context: is told which layers keep their last weight.
      amount: the share of the weights that is zero afterwards. A pattern N:M says its own, and this
        is not looked at.
      scope: `global` ranks the weights of all layers together, `layer` takes the amount of each.
      pattern: `unstructured`, or N:M such as `2:4`: of every M consecutive weights that an output
        reads, the N largest stay. Those of a convolution are in the order of taps, then channels.
      layers: names of layers, as in `patterns.matching`.

    Returns:
      The network with masks.

    Raises:
      InputError: if an option cannot be used, or M does not divide what an output reads.
    """
    unstructured = pattern == UNSTRUCTURED
    check(scope=scope, pattern=pattern, amount=amount if unstructured else None)
    kernels = network.kernels
    paths = {f"{layer}/kernel": layer for layer in matching(layers, kernels)}
    values, old = weights(network), network.held.get("mask", {})
    # What is pruned already goes first, before what only happens to be zero.
    scores = {
        path: np.where(old.get(path, True), np.abs(values[path]), np.float32(-1)) for path in paths
    }
    if unstructured:
        parts = [[path] for path in paths] if scope == "layer" else [list(paths)]
        kept = {path: mask for part in parts for path, mask in _largest(scores, part, amount)}
    else:
        n, m = _numbers(pattern)
        kept = {path: _n_of_m(scores[path], n, m, layer) for path, layer in paths.items()}
    masks: Arrays = {}
    for path, mask in kept.items():
        masks[path] = mask & (scores[path] >= 0)
        if not masks[path].any():
            masks[path].flat[scores[path].argmax()] = True
            context.say(f"{paths[path]} would lose all of its weights; it keeps the largest")
    return masked(network, masks)


def check(
    *,
    amount: float | None = None,
    scope: str = "global",
    pattern: str = UNSTRUCTURED,
    **_: Any,
) -> None:
    """Raises `InputError` for an option that cannot be used; an amount of None is not given."""
    if scope not in SCOPES:
        raise unknown("scope", scope, SCOPES)
    if pattern != UNSTRUCTURED:
        _numbers(pattern)
        if amount is not None:
            raise InputError(f"amount is {amount}, but pattern={pattern} says it; leave it out")
    elif amount is not None:
        require_share("amount", amount)


def masked(network: Network, masks: Arrays) -> Network:
    """Returns the network with weights that are zero and stay so.

    Args:
      network: perhaps with masks and shared values already.
      masks: by the path of parameters, True where kept; they replace those that are there.
    """
    held: dict[str, Any] = dict(network.held)
    held["mask"] = {**held.get("mask", {}), **masks}
    if "share" in held:  # what is zero does not take part in the mean of a cluster
        clusters = {
            path: np.where(masks.get(path, True), of_each, 0).astype(np.uint8)
            for path, of_each in held["share"].items()
        }
        held["share"] = clusters
    constraints = {**network.constraints, "mask": sorted(held["mask"])}
    zeroed = {path: np.where(mask, network.params[path], 0) for path, mask in masks.items()}
    return dataclasses.replace(
        network, params={**network.params, **zeroed}, constraints=constraints, held=held
    )


def _largest(scores: Arrays, paths: list[str], amount: float) -> list[tuple[str, np.ndarray]]:
    """Keeps all but an amount of the weights of some arrays together; of equal ones, the last."""
    together = np.concatenate([scores[path].ravel() for path in paths])
    keep = np.ones(together.size, bool)
    keep[np.argsort(together, kind="stable")[: round(amount * together.size)]] = False
    ends = np.cumsum([scores[path].size for path in paths])
    parts = np.split(keep, ends[:-1])
    return [
        (path, part.reshape(scores[path].shape)) for path, part in zip(paths, parts, strict=True)
    ]


def _n_of_m(scores: np.ndarray, n: int, m: int, layer: str) -> np.ndarray:
    """Keeps the n largest of every m weights of each output; of equal ones, the first."""
    inputs = scores.size // scores.shape[-1]
    if inputs % m:
        raise InputError(
            f"each output of {layer} reads {inputs} weights, which {m} does not divide; leave it "
            f"out with layers=!{layer}"
        )
    order = np.argsort(-scores.reshape(-1, m, scores.shape[-1]), axis=1, kind="stable")
    keep = np.zeros(order.shape, bool)
    np.put_along_axis(keep, order[:, :n], True, axis=1)
    return keep.reshape(scores.shape)


def _numbers(pattern: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+):(\d+)", pattern)
    n, m = map(int, found.groups()) if found else (0, 0)
    if not 0 < n < m:
        raise InputError(
            f"pattern is {pattern!r}; it must be unstructured, or N:M with N below M, such as 2:4"
        )
    return n, m
