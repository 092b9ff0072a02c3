"""Saving and restoring training states with Orbax, so that a kill at any moment loses nothing.

A checkpoint holds two items: `state`, the arrays, and `meta`, JSON with what the arrays are of and
a checksum. Orbax writes into a temporary directory and renames it, so a half-written checkpoint has
another name; what was damaged later is found by the checksum. Both are skipped with a warning.
"""

import dataclasses
import hashlib
import logging
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from distill import paths
from distill.errors import InputError, one_line
from distill.numerics import KEYS
from distill.training.state import TrainState

KEEP = 2  # the newest, and the one before it should the newest be damaged


class Checkpointer:
    """The checkpoints of one training in one directory, the newest `KEEP` of them.

    Use it as a context manager.
    """

    def __init__(
        self, directory: pathlib.Path, warn: Callable[[str], None], *, alone: bool = False
    ):
        """Opens the directory, creating it if needed.

        Where several processes train together, all of them open it and take the same steps, and
        the first of them writes: the states are on every device.

        Args:
          directory: of this training alone.
          warn: told in one line of each checkpoint that is skipped.
          alone: whether to wait for no other process, to read what is there.

        Raises:
          InputError: if it cannot be written.
        """
        self._directory = paths.trained(directory, "the directory of checkpoints").absolute()
        self._warn = warn
        logging.getLogger("absl").setLevel(logging.ERROR)  # Orbax reports each step it takes
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._manager = ocp.CheckpointManager(
                self._directory,
                options=ocp.CheckpointManagerOptions(
                    max_to_keep=KEEP,
                    enable_async_checkpointing=False,
                    multiprocessing_options=_taking_part(alone),
                    create=not alone,
                ),
            )
        except OSError as error:
            raise InputError(f"{directory} cannot be written: {error}") from error
        for path in self._directory.iterdir():
            if path.is_dir() and not path.name.isdigit():
                warn(f"skipping the half-written checkpoint {path}")

    def __enter__(self) -> "Checkpointer":
        return self

    def __exit__(self, *exception: Any) -> None:
        self._manager.close()

    def save(self, step: int, states: TrainState, meta: dict[str, Any]) -> None:
        """Saves the states after `step` updates, with `meta` beside them; returns when it is done.

        Checkpoints of this step or a later one can only be damaged ones that were skipped. They
        are removed, since Orbax would not save anything before them.
        """
        arrays = _to_numpy(states)
        for skipped in self._manager.all_steps():
            if skipped >= step:
                self._manager.delete(skipped)
        self._manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(arrays),
                meta=ocp.args.JsonSave({**meta, "checksum": checksum(arrays)}),
            ),
        )

    def newest(self) -> int | None:
        """Returns the step of the newest checkpoint, or None if there is none."""
        return max(self._manager.all_steps(), default=None)

    def meta(self) -> dict[str, Any] | None:
        """Returns the `meta` of the newest readable checkpoint, or None if there is none."""
        for step in sorted(self._manager.all_steps(), reverse=True):
            try:
                return self._manager.restore(
                    step, args=ocp.args.Composite(meta=ocp.args.JsonRestore())
                ).meta
            except Exception:  # noqa: BLE001 - any damage; `restore` is the one that warns
                continue
        return None

    def restore(self, template: TrainState) -> tuple[TrainState, dict[str, Any]] | None:
        """Returns the newest checkpoint that is whole, with its `meta`, or None.

        Args:
          template: states of the same structure, shapes and dtypes, or their `jax.eval_shape`.

        Raises:
          InputError: if the checkpoints are whole but of other shapes.
        """
        template = jax.eval_shape(_with_key_data, template)
        for step in sorted(self._manager.all_steps(), reverse=True):
            path = self._directory / str(step)
            try:
                # Restored without a template: Orbax would cast a wrong dtype silently.
                restored = self._manager.restore(
                    step,
                    args=ocp.args.Composite(
                        state=ocp.args.StandardRestore(), meta=ocp.args.JsonRestore()
                    ),
                )
                arrays, meta = restored.state, restored.meta
                if checksum(arrays) != meta["checksum"]:
                    raise ValueError("its checksum does not match")
            except Exception as error:  # noqa: BLE001 - damage shows in every type of error
                self._warn(f"skipping the damaged checkpoint {path}: {one_line(error)}")
                continue
            return _from_numpy(arrays, template, path), meta
        return None


def _taking_part(alone: bool) -> ocp.options.MultiprocessingOptions:
    """Says which processes Orbax waits for: this one alone, or all."""
    if not alone:
        return ocp.options.MultiprocessingOptions()
    this = jax.process_index()
    return ocp.options.MultiprocessingOptions(
        primary_host=this, active_processes={this}, barrier_sync_key_prefix=f"process{this}"
    )


def _with_key_data(states: TrainState) -> TrainState:
    """Replaces the random keys by the integers that they are made of."""
    return dataclasses.replace(states, key=jax.random.key_data(states.key))


def _by_path(states: TrainState) -> dict[str, Any]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(states)
    return {jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def _to_numpy(states: TrainState) -> dict[str, np.ndarray]:
    return {name: np.asarray(leaf) for name, leaf in _by_path(_with_key_data(states)).items()}


def _from_numpy(arrays, template, path):
    expected = _by_path(template)
    for name in sorted(arrays.keys() | expected.keys()):
        found, wanted = arrays.get(name), expected.get(name)
        if (
            found is None
            or wanted is None
            or (found.shape, found.dtype)
            != (
                wanted.shape,
                wanted.dtype,
            )
        ):
            raise InputError(
                f"checkpoint {path} does not fit the model: {name} is {_describe(found)} in it "
                f"and {_describe(wanted)} in the model"
            )
    leaves = [jax.numpy.asarray(arrays[name]) for name in expected]
    states = jax.tree.unflatten(jax.tree.structure(template), leaves)
    return dataclasses.replace(states, key=jax.random.wrap_key_data(states.key, impl=KEYS))


def _describe(array: np.ndarray | jax.ShapeDtypeStruct | None) -> str:
    return "absent" if array is None else f"{array.dtype}{list(array.shape)}"


def checksum(arrays: dict[str, np.ndarray]) -> str:
    """Returns a hash of arrays: their names, dtypes, shapes and contents."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}{array.dtype}{array.shape}".encode())
        digest.update(array.data)
    return digest.hexdigest()
