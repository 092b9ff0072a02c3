"""Removing the channels that matter least (Li et al. 2017, arXiv:1608.08710)."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from distill.compress import network as networks
from distill.compress.context import Context, require_share
from distill.compress.network import Network
from distill.compress.scores import SCORES, Scores, looked_at
from distill.errors import InputError, unknown
from distill.models.channels import Group
from distill.patterns import matching

SCOPES = ("layer", "global")


def filters(
    network: Network,
    context: Context,
    *,
    score: str = "l1",
    amount: float | Mapping[str, float] = 0.1,
    scope: str = "layer",
    layers: str = "*",
    images: int = 1000,
) -> Network:
    """Removes the channels of lowest score; what reads and writes them gets smaller.

    A group that would be emptied keeps its best channel.

    Args:
      network: trained.
      context: what the score may look at.
      score: an entry of `scores.SCORES`.
      amount: share of the channels that the step began with; `{patterns: share}` for shares that
        differ, of which the last that fits a group counts.
      scope: `layer` takes the amount of each group. `global` takes it of all of them together, the
        scores of each group divided by their Euclidean norm (Molchanov et al. 2017, section 2.3).
      layers: names of groups.
      images: how many of the training images are looked at, drawn at random; `taylor` needs those
        with labels.

    Raises:
      InputError: if a name is unknown, a share is not in [0, 1), or nothing reads a group.
    """
    check(score=score, amount=amount, scope=scope, images=images)
    groups = named(network, layers=layers, amount=amount)
    before = {group.name: group.size for group in context.begin.channels().groups}
    if isinstance(amount, Mapping):
        shares = _shares(amount, groups)
    else:
        shares = {group.name: amount for group in groups}
    found = SCORES[score](network, some_of(looked_at(score, context), images), groups)
    gone = {group.name: before[group.name] - group.size for group in groups}
    if scope == "global":
        wanted = round(shares[groups[0].name] * sum(before[group.name] for group in groups))
        kept = _best_of_all(found, wanted - sum(gone.values()), context.say)
    else:
        kept = {
            name: best(name, values, round(shares[name] * before[name]) - gone[name], context.say)
            for name, values in found.items()
        }
    return networks.remove(network, kept)


def check(
    *,
    score: str = "l1",
    amount: float | Mapping[str, float] = 0.0,
    scope: str = "layer",
    images: int = 1,
    **_: Any,
) -> None:
    """Raises `InputError` for an option that cannot be used."""
    if score not in SCORES:
        raise unknown("score", score, SCORES)
    if scope not in SCOPES:
        raise unknown("scope", scope, SCOPES)
    if isinstance(amount, Mapping) and scope == "global":
        raise InputError("amount has a share for each layer; scope='global' takes one number")
    for patterns, share in amount.items() if isinstance(amount, Mapping) else [("", amount)]:
        require_share(f"amount of {patterns}" if patterns else "amount", share)
    if images < 1:
        raise InputError(f"images is {images}; it must be 1 or more")


def removable(network: Network, layers: str) -> list[Group]:
    """Returns the groups of channels that patterns name.

    Raises:
      InputError: if a pattern matches nothing, or no layer reads a group.
    """
    groups = {group.name: group for group in network.channels().groups}
    chosen = [groups[name] for name in matching(layers, groups)]
    for group in chosen:
        if not group.readers:
            raise InputError(
                f"no layer of {network.name} reads {group.name}, so its channels cannot be "
                f"removed; leave it out, as in layers='*,!{group.name}'"
            )
    return chosen


def named(
    network: Network, *, layers: str = "*", amount: float | Mapping[str, float] = 0.0, **_: Any
) -> list[Group]:
    """Returns the groups of channels that a step names, or raises `InputError`."""
    groups = removable(network, layers)
    if isinstance(amount, Mapping):
        _shares(amount, groups)
    return groups


def some_of(context: Context, images: int) -> Context:
    """Returns a context with that many of its images, drawn at random."""
    # Another stream than that of the labels to be hidden, or all that are drawn would be visible.
    generator = np.random.default_rng([context.seed, 1])
    order = np.sort(generator.permutation(len(context.images))[:images])
    return dataclasses.replace(context, images=context.images[order], labels=context.labels[order])


def _shares(amount: Mapping[str, float], groups: Sequence[Group]) -> dict[str, float]:
    """Returns the share of each group; nothing of those that no pattern fits."""
    shares = {group.name: 0.0 for group in groups}
    for patterns, share in amount.items():
        for name in matching(patterns, list(shares), "amount"):
            shares[name] = share
    return shares


def best(name: str, scores: np.ndarray, count: int, say: Callable[[str], None]) -> np.ndarray:
    """Keeps all but the `count` lowest, and at least the highest."""
    if count >= scores.size:
        say(f"{name} would be empty; its best channel of {scores.size} is kept")
        count = scores.size - 1
    keep = np.ones(scores.size, bool)
    keep[np.argsort(scores, kind="stable")[: max(0, count)]] = False
    return keep


def _best_of_all(scores: Scores, count: int, say: Callable[[str], None]) -> dict[str, np.ndarray]:
    """Keeps all but the `count` lowest of the normalised scores, and the highest of each group."""
    names = list(scores)
    owners = np.concatenate([np.full(scores[name].size, i) for i, name in enumerate(names)])
    ranked = np.concatenate([normalized(scores[name]) for name in names])
    last = [np.flatnonzero(owners == i)[scores[name].argmax()] for i, name in enumerate(names)]
    order = np.argsort(ranked, kind="stable")
    for name, index in zip(names, last, strict=True):
        if index in order[: max(0, count)]:
            say(f"{name} would be empty; its best channel of {scores[name].size} is kept")
    order = order[~np.isin(order, last)]
    keep = np.ones(ranked.size, bool)
    keep[order[: max(0, count)]] = False
    return {name: keep[owners == i] for i, name in enumerate(names)}


def normalized(scores: np.ndarray) -> np.ndarray:
    """Divides by the Euclidean norm, so that the scores of layers can be compared."""
    norm = np.linalg.norm(scores)
    return scores / norm if norm else scores
