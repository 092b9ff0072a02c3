"""Merging of neurons that compute nearly the same, without data."""

import dataclasses
from typing import Any

import numpy as np

from distill.compress.context import Context, require_share
from distill.compress.network import Arrays, Network, remove, resolve
from distill.errors import InputError
from distill.models.channels import Group
from distill.patterns import matching


def merge(network: Network, context: Context, *, amount: float = 0.1, layers: str = "*") -> Network:
    """Merges similar neurons of dense layers (Srinivas and Babu 2015, arXiv:1507.06149).

    Of two neurons with nearly the same weights one goes, and what reads it reads the other more
    strongly. Behind a relu the weights may also differ by a positive factor: a neuron of weights
    s·w returns s times what that of weights w returns. So neurons merge in the order of what the
    next layer loses at most: the squared distance of the weights of the one from the best multiple
    of the other's, times the squared weights that read it (their equation 4, with the factor).

    Args:
      network: trained; nothing but relu and dropout stands between the dense layers.
      context: says how many neurons there were when the step began.
      amount: the share of those that is gone afterwards. At least one neuron stays.
      layers: names of groups of neurons, as in `patterns.matching`, among those that a dense layer
        writes and only dense layers read.

    Returns:
      The network without the merged neurons.

    Raises:
      InputError: if an option cannot be used, or batch normalisation or a constraint is in the way.
    """
    check(amount=amount)
    began = {group.name: group.size for group in context.begin.channels().groups}
    params, kept = dict(network.params), {}
    for group in named(network, layers=layers):
        left = max(1, began[group.name] - round(amount * began[group.name]))
        kept[group.name] = _merge(params, network, group, left)
    return remove(dataclasses.replace(network, params=params), kept)


def check(*, amount: float = 0.0, **_: Any) -> None:
    """Raises `InputError` for an option that cannot be used."""
    require_share("amount", amount)


def named(network: Network, *, layers: str = "*", **_: Any) -> list[Group]:
    """Returns the groups of neurons that a step names, or raises `InputError`."""
    groups = {group.name: group for group in network.channels().groups if _dense(network, group)}
    if not groups:
        raise InputError(f"{network.name} has no dense layer that feeds dense layers only")
    found = [groups[name] for name in matching(layers, groups)]
    for group in found:
        _check(network, group)
    return found


def order(incoming: np.ndarray, outgoing: np.ndarray, left: int) -> tuple[np.ndarray, np.ndarray]:
    """Merges neurons until so many are left.

    Args:
      incoming: the weights of each neuron with its bias, `[neurons, inputs]`.
      outgoing: the weights that read it, `[neurons, outputs]`.
      left: number of neurons.

    Returns:
      Which of them are kept, `[neurons]` booleans, and the new weights that read them, of the shape
      of `outgoing`.
    """
    gram = incoming.astype(np.float64) @ incoming.astype(np.float64).T
    squares = np.diag(gram).copy()
    # factors[i, j]: of neuron i in place of j. Where none helps it is 0, and j is just left out.
    factors = np.maximum(gram, 0) / np.where(squares > 0, squares, 1)[:, None]
    distances = np.maximum(squares - factors * gram, 0)
    np.fill_diagonal(distances, np.inf)
    outgoing = outgoing.astype(np.float64)
    strengths = (outgoing**2).sum(1)
    kept = np.ones(len(squares), bool)
    nearest = distances.argmin(0)
    distance = distances.min(0)
    for _ in range(len(squares) - left):
        saliency = np.where(kept, strengths * distance, np.inf)
        j = int(saliency.argmin())
        i = int(nearest[j])
        outgoing[i] += factors[i, j] * outgoing[j]
        strengths[i] = (outgoing[i] ** 2).sum()
        kept[j] = False
        distances[j] = np.inf
        lost = kept & (nearest == j)  # those whose nearest has gone look for another
        nearest[lost] = distances[:, lost].argmin(0)
        distance[lost] = distances[:, lost].min(0)
    return kept, outgoing


def _merge(params: Arrays, network: Network, group: Group, left: int) -> np.ndarray:
    """Changes the arrays that read a group, and returns which of its neurons are kept."""
    writer, readers = _paths(network, group)
    kernel = params[f"{writer}/kernel"]
    bias = params.get(f"{writer}/bias", np.zeros(group.size, np.float32))
    incoming = np.concatenate([kernel, bias[None]]).T
    outgoing = np.concatenate([params[path] for path in readers], axis=1)
    kept, changed = order(incoming, outgoing, min(left, group.size))
    ends = np.cumsum([params[path].shape[1] for path in readers])
    for path, part in zip(readers, np.split(changed, ends[:-1], axis=1), strict=True):
        params[path] = part.astype(np.float32)
    return kept


def _dense(network: Network, group: Group) -> bool:
    """Returns whether one dense layer writes a group and dense layers read it, nothing else."""
    if len(group.writers) != 1 or group.along:
        return False
    writer, readers = _paths(network, group)
    shapes = [network.params[path].shape for path in (f"{writer}/kernel", *readers)]
    return all(len(shape) == 2 for shape in shapes) and all(s[0] == group.size for s in shapes[1:])


def _paths(network: Network, group: Group) -> tuple[str, list[str]]:
    """Returns the layer that writes a group, and the kernels that read it."""
    readers = [f"{resolve(network, part.layer, 'first')}/kernel" for part in group.readers]
    return resolve(network, group.writers[0].layer, "second"), readers


def _check(network: Network, group: Group) -> None:
    layer = group.writers[0].layer
    if f"{layer}_norm/scale" in network.params:
        raise InputError(
            f"{layer} has batch normalisation between its neurons and their relu; fold it first"
        )
    writer, readers = _paths(network, group)
    for kind in ("mask", "share"):
        for path in (f"{writer}/kernel", *readers):
            if path in network.held.get(kind, {}):
                raise InputError(
                    f"merging neurons of {layer} would undo the {kind} of {path}; merge first"
                )
