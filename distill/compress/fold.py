"""Batch normalisation folded into the layers before it."""

import dataclasses
from typing import Any

import numpy as np

from distill.compress.context import Context
from distill.compress.network import Arrays, Network, resolve
from distill.errors import InputError
from distill.models.layers import EPSILON

_NORM = "_norm/scale"


def fold(network: Network, context: Context) -> Network:
    """The method of this name: `folded`, which needs no context."""
    del context
    return folded(network)


def folded(network: Network) -> Network:
    """Returns a network without the normalisation that follows a layer directly; it computes alike.

    With running statistics a normalisation is a scale and a shift of each channel, which the
    layer's kernel and a bias can do (Jacob et al. 2018, arXiv:1712.05877, section 3.2). Of a
    factorised layer the second takes them. A normalisation that follows no layer directly, as most
    of DenseNet's, stays. A network with none to fold is returned as it is.

    Masks go along: those of kernels stay, a channel whose scale was masked has its kernel masked,
    and its bias too where the shift was masked as well.

    Args:
      network: trained.

    Raises:
      InputError: if weights that would change share values, or are trained for int8 already.
    """
    norms = [path.removesuffix("/scale") for path in network.params if path.endswith(_NORM)]
    pairs = {norm: resolve(network, norm.removesuffix("_norm"), "second") for norm in norms}
    pairs = {norm: layer for norm, layer in pairs.items() if f"{layer}/kernel" in network.params}
    if not pairs:
        return network
    params, stats = dict(network.params), dict(network.stats)
    masks = dict(network.held.get("mask", {}))
    for norm, layer in pairs.items():
        _require_free(network, [f"{norm}/scale", f"{norm}/bias", f"{layer}/kernel"], layer)
        scale_kept, bias_kept = (masks.pop(f"{norm}/{name}", None) for name in ("scale", "bias"))
        kept = np.array(True) if scale_kept is None else np.asarray(scale_kept)
        factor = params.pop(f"{norm}/scale") * kept / np.sqrt(stats.pop(f"{norm}/var") + EPSILON)
        shift = params.pop(f"{norm}/bias") * (True if bias_kept is None else bias_kept)
        kernel, bias = f"{layer}/kernel", f"{layer}/bias"
        params[kernel] = params[kernel] * factor
        params[bias] = shift + (params.get(bias, 0) - stats.pop(f"{norm}/mean")) * factor
        if scale_kept is not None:
            shape = params[kernel].shape
            masks[kernel] = masks.get(kernel, True) & np.broadcast_to(kept, shape)
        if scale_kept is not None and bias_kept is not None:
            masks[bias] = kept | np.asarray(bias_kept)
    args = {**network.args, "folded": True}
    return dataclasses.replace(
        network, args=args, params=_single(params), stats=stats, **_constrained(network, masks)
    )


def _require_free(network: Network, paths: list[str], layer: str) -> None:
    if any(path in network.constraints.get("share", {}) for path in paths):
        raise InputError(
            f"the weights of {layer} share values, which folding its normalisation would change; "
            "fold before they are clustered"
        )
    if network.constraints.get("quantize"):
        raise InputError(
            f"the normalisation of {layer} cannot be folded into weights that are trained for "
            "int8; fold before that"
        )


def _single(params: Arrays) -> Arrays:
    return {path: np.asarray(leaf, np.float32) for path, leaf in params.items()}


def _constrained(network: Network, masks: Arrays) -> dict[str, Any]:
    """Returns constraints and held arrays with other masks."""
    constraints, held = dict(network.constraints), dict(network.held)
    for kinds in (constraints, held):
        kinds.pop("mask", None)
    if masks:
        constraints["mask"], held["mask"] = list(masks), masks
    return {"constraints": constraints, "held": held}
