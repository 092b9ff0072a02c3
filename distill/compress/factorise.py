"""Layers replaced by two of a lower rank (Çallı 2017, section 2.6)."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from distill import models
from distill.compress.context import Context
from distill.compress.network import Arrays, Network
from distill.cost import LayerCost
from distill.cost import layers as count
from distill.errors import InputError, unknown
from distill.models.layers import FACTORISATIONS
from distill.patterns import matching


def svd(
    network: Network,
    context: Context,
    *,
    layers: str = "*",
    kind: str = "channels",
    rank: int = 0,
    energy: float = 0.0,
    only_cheaper: bool = True,
) -> Network:
    """Returns a network in which layers are two factors: the best approximation of their rank.

    A dense kernel is a matrix; a convolution's becomes one, see `matrix`. What comes of it is a
    `distill.models.layers.Factorised` with the singular values divided evenly between the factors,
    so that their gradients are of one size. At full rank it computes what the layer does.

    Args:
      network: trained.
      context: is told what became of each layer.
      layers: as in `patterns.matching`. `*` means all that can be factorised.
      kind: `channels` or `spatial`, for convolutions.
      rank: of every layer; 0: not given.
      energy: share of the squared singular values to keep, in (0, 1]; the rank is the least that
        does. 0: not given. Without either, it is the largest rank that saves MACs.
      only_cheaper: whether to leave layers as they are that would have no fewer MACs.

    Raises:
      InputError: if a layer cannot be factorised, or not at that rank.
    """
    check(kind=kind, rank=rank, energy=energy)
    counted = {layer.name: layer for layer in count(network.module, network.input_shape)}
    chosen = named(network, layers=layers, kind=kind, rank=rank)
    found = network
    for name, unit in _macs_of_rank_one(network, chosen, kind, counted).items():
        u, values, v = _decomposed(network.params[f"{name}/kernel"], kind)
        kept = np.cumsum(values**2) / max(float(np.sum(values**2)), np.finfo(float).tiny)
        macs, full = counted[name].macs, len(values)
        cheapest = math.ceil(macs / unit) - 1
        wanted = rank or (_rank_for(kept, energy) if energy else min(cheapest, full))
        if not wanted or (only_cheaper and wanted * unit >= macs):
            context.say(f"{name} stays; rank {max(wanted, 1)} would not save MACs ({macs:,})")
            continue
        context.say(
            f"{name} at rank {wanted} of {full} keeps {100 * kept[wanted - 1]:.1f} % of its "
            f"energy; {macs:,} MACs become {wanted * unit:,}"
        )
        root = np.sqrt(values[:wanted])
        found = _replaced(found, name, u[:, :wanted] * root, v[:wanted] * root[:, None], kind)
    return found


def check(*, kind: str = "channels", rank: int = 0, energy: float = 0.0, **_: Any) -> None:
    """Raises `InputError` for an option that cannot be used."""
    if kind not in FACTORISATIONS:
        raise unknown("kind", kind, FACTORISATIONS)
    if rank and energy:
        raise InputError(f"rank={rank} and energy={energy:g} are given; give one of them")
    if rank < 0:
        raise InputError(f"rank is {rank}; it must be 1 or more, or 0 to choose by MACs")
    if not 0 <= energy <= 1:
        raise InputError(f"energy is {energy:g}; it must be above 0 and at most 1")


def named(
    network: Network, *, layers: str = "*", kind: str = "channels", rank: int = 0, **_: Any
) -> list[str]:
    """Returns the layers that a step names, or raises `InputError`."""
    counted = {layer.name: layer for layer in count(network.module, network.input_shape)}
    chosen = _choose(network, layers, counted)
    for name in chosen:
        full = min(matrix(network.params[f"{name}/kernel"], kind).shape)
        if rank > full:
            raise InputError(f"rank={rank} is more than the {full} of {name}; name other layers")
    return chosen


def matrix(kernel: np.ndarray, kind: str) -> np.ndarray:
    """Returns the matrix that is factorised, `[what the first factor reads, what is returned]`.

    Args:
      kernel: `[inputs, outputs]`, or `[height, width, inputs, outputs]` of a convolution.
      kind: `channels` has taps and inputs as rows and outputs as columns (Çallı 2017, 2.6),
        `spatial` has the taps of a column with the outputs (Jaderberg et al. 2014, arXiv:1405.3866,
        scheme 2).
    """
    if kernel.ndim == 4 and kind == "spatial":
        height, width, inputs, outputs = kernel.shape
        return kernel.transpose(1, 2, 0, 3).reshape(width * inputs, height * outputs)
    return kernel.reshape(-1, kernel.shape[-1])


def _decomposed(kernel: np.ndarray, kind: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.linalg.svd(matrix(kernel.astype(np.float64), kind), full_matrices=False)


def _rank_for(kept: np.ndarray, energy: float) -> int:
    """Returns the least rank that keeps a share; rounding must not ask for one more."""
    return min(int(np.searchsorted(kept, energy * (1 - 1e-12))) + 1, len(kept))


def _choose(network: Network, patterns: str, counted: Mapping[str, LayerCost]) -> list[str]:
    """Returns the layers that the patterns name.

    Raises:
      InputError: for the first that cannot be factorised.
    """
    factors = network.args.get("factors", {})
    names = [n for n in network.kernels if n.rpartition("/")[0] not in factors]
    wrong = {name: f"a {counted[name].kind}" for name in names if not _possible(counted[name])}
    wrong |= dict.fromkeys(factors, "factorised already")
    wrong |= {name: "constrained already" for name in names if _constrained(network, name)}
    if patterns == "*":
        if not (left := [name for name in names if name not in wrong]):
            reasons = " or ".join(sorted({wrong[name] for name in (*names, *factors)}))
            raise InputError(
                f"layers='*' matches nothing: each layer of {network.name} is {reasons}; "
                "put this step earlier"
            )
        return left
    chosen = matching(patterns, [*names, *factors])
    for name in chosen:
        if name in wrong:
            raise InputError(
                f"layers={patterns!r} names {name}, which is {wrong[name]} and cannot be "
                f"factorised; leave it out, as with ',!{name}'"
            )
    return chosen


def _possible(layer: LayerCost) -> bool:
    return layer.kind == "dense" or layer.kind.startswith("conv ")


def _constrained(network: Network, name: str) -> bool:
    paths = (name, f"{name}/kernel", f"{name}/bias")
    return any(path in named for named in network.constraints.values() for path in paths)


def _macs_of_rank_one(
    network: Network, names: list[str], kind: str, counted: Mapping[str, LayerCost]
) -> dict[str, int]:
    """Returns the MACs of each layer's two factors; those of a higher rank are as many times."""
    factors = {name: _entry(counted[name].kind, kind, 1) for name in names}
    args = {**network.args, "factors": {**network.args.get("factors", {}), **factors}}
    module = models.build(network.name, args, num_classes=network.num_classes)
    macs = {layer.name: layer.macs for layer in count(module, network.input_shape)}
    return {name: macs[f"{name}/first"] + macs[f"{name}/second"] for name in names}


def _entry(layer: str, kind: str, rank: int) -> list:
    return ["channels" if layer == "dense" else kind, rank]


def _replaced(
    network: Network, name: str, first: np.ndarray, second: np.ndarray, kind: str
) -> Network:
    """Returns the network with a layer as the product of two matrices, as `matrix` has it."""
    params = dict(network.params)
    kernel = params.pop(f"{name}/kernel")
    if kernel.ndim == 4:
        height, width, inputs, outputs = kernel.shape
        if kind == "spatial":
            first = first.reshape(1, width, inputs, -1)
            second = second.reshape(-1, height, outputs).transpose(1, 0, 2)[:, None]
        else:
            first = first.reshape(height, width, inputs, -1)
            second = second[None, None]
    factors: Arrays = {"first/kernel": first, "second/kernel": second}
    if f"{name}/bias" in params:
        factors["second/bias"] = params.pop(f"{name}/bias")
    params |= {f"{name}/{path}": leaf.astype(np.float32) for path, leaf in factors.items()}
    entry = _entry("dense" if kernel.ndim == 2 else "conv", kind, first.shape[-1])
    args = {
        **network.args, "factors": {**network.args.get("factors", {}), name: entry},
    }  # fmt: skip
    return dataclasses.replace(network, args=args, params=params)
