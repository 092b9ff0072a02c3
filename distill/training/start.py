"""What a training starts from: weights of another program, or of another run."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from distill import paths, pretrained
from distill.errors import InputError
from distill.training import averaging, trained
from distill.training.state import TrainState

STEPS = "steps"
PLACES = (f"checkpoints/student/{STEPS}", STEPS, "")  # in a directory that is given


class Start(NamedTuple):
    """What a training starts from, every leaf with a leading axis `[students]`.

    Attributes:
      variables: of the model; a layer that they lack stays as it was initialised.
      held: by the constraints in the description of the training; see `distill.constraints`.
    """

    variables: Mapping[str, Any]
    held: Mapping[str, Any] = MappingProxyType({})

    def put_into(self, states: TrainState) -> TrainState:
        """Replaces what fresh states have.

        Raises:
          ValueError: if its arrays are of other names, shapes or dtypes.
        """
        new = {
            "params": {**states.params, **self.variables["params"]},
            "batch_stats": self.variables.get("batch_stats", {}),
            "held": dict(self.held),
        }
        new = jax.tree.map(jnp.asarray, new)
        old = {name: getattr(states, name) for name in new}
        if jax.tree.map(jax.typeof, new) != jax.tree.map(jax.typeof, old):
            raise ValueError("the arrays to start from are not those of the model")
        if states.average:
            average = averaging.init(new["params"], new["batch_stats"])
            new["average"] = jax.tree.map(jnp.copy, average)  # as no array can be donated twice
        return dataclasses.replace(states, **new)


def check(key: str, given: str) -> None:
    """Checks that what a training starts from is there.

    Args:
      key: whose value the path is.
      given: as for `digest`; empty: nothing.

    Raises:
      InputError: if it is not.
    """
    path = _found(given, key) if given else None
    if path and not (path.is_file() or path.is_dir()):
        raise InputError(f"{key} is {given}, which is no file and no directory")


def digest(given: str) -> str:
    """Returns a hash of the weights that a path names, wherever they are kept.

    Args:
      given: a file as in `pretrained.files`, the directory of a run, or one with its checkpoints.

    Raises:
      InputError: if there are none.
    """
    path = _found(given)
    return _digest(path, path.stat().st_mtime_ns if path.exists() else 0)


@functools.cache  # every student of a sweep is described by it
def _digest(path: pathlib.Path, changed: int) -> str:
    del changed
    return trained.checksum(path) if path.is_dir() else pretrained.digest(path)


def variables(
    given: str,
    name: str,
    model: nn.Module,
    input_shape: tuple[int, ...],
    warn: Callable[[str], None],
) -> dict[str, Any]:
    """Reads weights to start from.

    Args:
      given: as for `digest`.
      name: of the model, an entry of `models.MODELS`.
      model: as it was built.
      input_shape: `(height, width, channels)`.
      warn: told in one line of each checkpoint that is skipped.

    Returns:
      `params`, without the head where that is of other classes, and `batch_stats`.

    Raises:
      InputError: if they cannot be read, or are not those of the model.
    """
    path = _found(given)
    if not path.is_dir():
        return pretrained.load(path, name, model, input_shape)
    other = trained.load(path, warn)
    if len(other.members) > 1:
        raise InputError(f"{path} has {len(other.members)} models; a training starts from one")
    try:
        return pretrained.select(other.members[0], pretrained.shapes(model, input_shape))
    except InputError as error:
        of = other.about.model
        raise InputError(f"{name} cannot start from {path}, a {of}: {error}") from error


def _found(given: str, key: str = "init") -> pathlib.Path:
    """Returns the file, or the directory of checkpoints, that a path names."""
    path = paths.local(given, key)
    if not path.is_dir():
        return path
    for place in PLACES:
        candidate = path / place
        if candidate.is_dir() and any(p.name.isdigit() for p in candidate.iterdir()):
            return candidate
    raise InputError(f"{path} has no trained network; give the directory of a run, or of a teacher")
