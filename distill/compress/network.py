"""A trained network as a configuration and plain arrays, and the removal of its channels."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from flax import linen as nn

from distill import models
from distill.constraints import effective, flat, nested
from distill.errors import InputError
from distill.models.channels import Channels, Group, Part

Arrays = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Network:
    """What a method of compression gets and returns; none of it is ever changed in place.

    Attributes:
      name: an entry of `distill.models.MODELS`.
      args: further arguments of that model, as JSON values.
      num_classes: width of its output.
      input_shape: `(height, width, channels)`.
      params: trainable weights by path, `{"conv0/kernel": ...}`.
      stats: running statistics of batch normalisation by path.
      constraints: what the weights obey while they are fine-tuned; see `distill.constraints`.
      held: the arrays of the constraints, by kind and path.
    """

    name: str
    args: Mapping[str, Any]
    num_classes: int
    input_shape: tuple[int, ...]
    params: Arrays
    stats: Arrays = dataclasses.field(default_factory=dict)
    constraints: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    held: Mapping[str, Arrays] = dataclasses.field(default_factory=dict)

    @property
    def module(self) -> nn.Module:
        """The model."""
        return models.build(self.name, self.args, num_classes=self.num_classes)

    @property
    def variables(self) -> dict[str, Any]:
        """The variables as Linen's `apply` takes them."""
        return {"params": nested(self.params), "batch_stats": nested(self.stats)}

    @property
    def kernels(self) -> Arrays:
        """Kernels of dense layers and convolutions, by the path of the layer."""
        return {
            path.removesuffix("/kernel"): leaf
            for path, leaf in self.params.items()
            if path.endswith("/kernel") or path == "kernel"
        }

    def channels(self) -> Channels:
        """Returns which channels can be removed.

        Raises:
          InputError: if the model does not say it.
        """
        module: Any = self.module
        if not hasattr(module, "channels"):
            raise InputError(f"{self.name} does not say which of its channels can be removed")
        return module.channels()


def of(name: str, args: Any, num_classes: int, input_shape: Any, variables: Any) -> Network:
    """Returns the network of a model's variables."""
    arrays = {
        kind: {path: np.asarray(leaf) for path, leaf in flat(variables.get(kind, {})).items()}
        for kind in ("params", "batch_stats")
    }
    return Network(
        name, args, num_classes, tuple(input_shape), arrays["params"], arrays["batch_stats"]
    )


def weights(network: Network) -> Arrays:
    """Returns the parameters as masks and shared values make them; what changes them starts here.

    Nothing is rounded to int8 here. Of a network that was trained for int8, and read back, the
    parameters are rounded already.
    """
    kinds = ("mask", "share")
    held: Any = {kind: arrays for kind, arrays in network.held.items() if kind in kinds}
    found = flat(effective(network.constraints, held, nested(network.params)))
    return {path: np.asarray(leaf) for path, leaf in found.items()}


def remove(network: Network, kept: Mapping[str, np.ndarray]) -> Network:
    """Returns the network without the channels that are not kept; the arrays get smaller.

    Args:
      network: trained.
      kept: for each group to change, by its name, a boolean for each of its channels.

    Raises:
      InputError: if nothing of a group would be kept.
    """
    widths, groups = network.channels()
    by_name = {group.name: group for group in groups}
    axes: dict[tuple[str, int], np.ndarray] = {}  # path and axis of an array: what is kept of it
    for name, keep in kept.items():
        group, keep = by_name[name], np.asarray(keep, bool)
        if not keep.any():
            raise InputError(f"nothing of {name} would be left; keep at least one of {group.size}")
        for width in group.widths:
            _count(widths, width, int(keep.sum()) - group.size)
        for path, axis, keep_entries in _places(network, group, keep):
            shape = {**network.params, **network.stats}[path].shape
            every = axes.setdefault((path, axis), np.ones(shape[axis], bool))
            every &= keep_entries
    sliced = dataclasses.replace(
        network,
        args={**network.args, **widths},
        params=_sliced(network.params, axes),
        stats=_sliced(network.stats, axes),
        held={kind: _sliced(arrays, axes) for kind, arrays in network.held.items()},
    )
    return sliced


def masks(network: Network, kept: Mapping[str, np.ndarray]) -> Arrays:
    """Returns what makes the same channels zero without removing them, for `constraints`.

    A channel whose weights, bias and normalisation are zero passes nothing on (that of a layer
    whose readers normalise it first does; there its readers' weights are zero).

    Returns:
      Masks by the path of parameters, True where kept.
    """
    by_name = {group.name: group for group in network.channels().groups}
    found: Arrays = {}
    for name, keep in kept.items():
        for path, axis, entries in _places(network, by_name[name], np.asarray(keep, bool)):
            if path in network.params:
                shape = network.params[path].shape
                spread = np.reshape(entries, [-1 if i == axis else 1 for i in range(len(shape))])
                found[path] = found.get(path, np.ones(shape, bool)) & spread
    return found


def _places(
    network: Network, group: Group, keep: np.ndarray
) -> Iterable[tuple[str, int, np.ndarray]]:
    """Yields the arrays in which a group occurs: path, axis, and what of that axis is kept."""

    def entries(length: int, part: Part) -> np.ndarray:
        """Keeps all of an axis but the channels, which are repeated where it was flattened."""
        per_position = part.of or length
        once = np.ones(per_position, bool)
        once[part.start : part.start + group.size] = keep
        return np.tile(once, length // per_position)

    for part in group.readers:
        path = f"{resolve(network, part.layer, 'first')}/kernel"
        axis = network.params[path].ndim - 2
        yield path, axis, entries(network.params[path].shape[axis], part)
    for part in (*group.writers, *group.along):
        for layer in (resolve(network, part.layer, "second"), f"{part.layer}_norm"):
            for name in ("kernel", "bias", "scale", "mean", "var"):
                arrays = network.stats if name in ("mean", "var") else network.params
                if (path := f"{layer}/{name}") in arrays:
                    axis = arrays[path].ndim - 1
                    yield path, axis, entries(arrays[path].shape[axis], part._replace(of=None))


def resolve(network: Network, layer: str, end: str) -> str:
    """Returns the layer, or that end (`first`, `second`) of it if it is factorised."""
    return f"{layer}/{end}" if f"{layer}/{end}/kernel" in network.params else layer


def _count(widths: Any, path: tuple[str | int, ...], change: int) -> None:
    *parents, last = path
    for key in parents:
        widths = widths[key]
    widths[last] += change


def _sliced(arrays: Arrays, axes: Mapping[tuple[str, int], np.ndarray]) -> Arrays:
    sliced = dict(arrays)
    for (path, axis), keep in axes.items():
        if path in sliced:
            sliced[path] = np.compress(keep, sliced[path], axis)
    return sliced
