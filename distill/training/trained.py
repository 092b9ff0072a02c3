"""Trained models, back from their checkpoints."""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from distill import losses
from distill.data import Split
from distill.errors import InputError
from distill.training import description, recipe
from distill.training import predict as predicting
from distill.training.checkpoints import Checkpointer
from distill.training.description import Description
from distill.training.state import TrainState
from distill.training.step import Task


@dataclasses.dataclass(frozen=True)
class Trained:
    """Trained models of one shape: one, or the members of an ensemble.

    Attributes:
      model: the module.
      members: its variables, once per member.
      about: what a checkpoint says of its training; see `Description`.
      directory: of the checkpoints.
      histories: for each member, the records of its epochs.
      held: what the constraints on the weights hold, with a leading axis `[members]`; see
        `distill.constraints`. The variables obey them already.
    """

    model: nn.Module
    members: list[dict[str, Any]]
    about: Description
    directory: pathlib.Path
    histories: list[list[dict[str, Any]]] = dataclasses.field(default_factory=list)
    held: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def history(self) -> list[dict[str, Any]]:
        """The records of the epochs of a single model."""
        (history,) = self.histories
        return history

    def stacked(self) -> dict[str, Any]:
        """Returns the variables of all members, with a leading axis `[members]`."""
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *self.members)

    def apart(self) -> list["Trained"]:
        """Returns each member as a model of its own."""
        histories = self.histories or [[]] * len(self.members)
        return [
            dataclasses.replace(self, members=[member], histories=[history])
            for member, history in zip(self.members, histories, strict=True)
        ]

    def logits(self, images: np.ndarray, mesh: jax.sharding.Mesh | None = None) -> np.ndarray:
        """Returns `[n, num_classes]` float32; an ensemble's are those of its mean probability.

        Args:
          images: `[n, height, width, channels]` uint8.
          mesh: of devices to split the batches over; the members are on all of them.

        Raises:
          InputError: if they are not of the shape that the model was trained on.
        """
        expected = self.about.input_shape
        if images.shape[1:] != expected:
            raise InputError(
                f"{self.about.model} was trained on images of {expected}; "
                f"these are {images.shape[1:]}"
            )
        logits = np.stack(
            [
                predicting.predict(
                    self.model,
                    variables,
                    images,
                    mean=self.about.mean,
                    std=self.about.std,
                    mesh=mesh,
                )
                for variables in self.members
            ]
        )
        return logits[0] if len(logits) == 1 else predicting.ensemble_logits(logits)


def quality_of(about: Description) -> str:
    """Returns how a model is judged that is described so: `accuracy` or `reconstruction_error`."""
    pixels = losses.compares_with_pixels(about.loss["name"])
    return "reconstruction_error" if pixels else "accuracy"


def quality(model: Trained, split: Split, mesh: jax.sharding.Mesh | None = None) -> float:
    """Returns the accuracy on all examples of a split, or the mean error of reconstructing them.

    Args:
      model: one model, or an ensemble of classifiers.
      split: with labels.
      mesh: as for `Trained.logits`.
    """
    return quality_of_outputs(quality_of(model.about), model.logits(split.images, mesh), split)


def quality_of_outputs(name: str, outputs: np.ndarray, split: Split) -> float:
    """Returns the quality `name`, from `quality_of`, of outputs `[n, ...]` for a split."""
    if name == "accuracy":
        return float((outputs.argmax(-1) == split.labels).mean())
    pixels = np.asarray(split.images, np.float32) / 255
    return float(np.mean(losses.reconstruction(jnp.asarray(outputs), jnp.asarray(pixels))))


def load(directory: pathlib.Path, warn: Callable[[str], None]) -> Trained:
    """Loads what was trained into `directory`.

    Args:
      directory: of the checkpoints.
      warn: told in one line of each checkpoint that is skipped.

    Raises:
      InputError: if there is nothing, or its training has not come to its end.
    """
    if not directory.is_dir():
        raise InputError(f"no checkpoint in {directory}; run the stage that trains it first")
    with Checkpointer(directory, warn, alone=True) as checkpointer:
        meta = checkpointer.meta()
        if meta is None or not meta["complete"]:
            raise InputError(f"the training in {directory} is not finished; start it again")
        try:
            about = description.from_json(meta["of"])
        except ValueError as error:
            raise InputError(f"{directory} is of another program ({error}); train again") from error
        task = recipe.task(about, recipe.Length(1, 1))
        restored = checkpointer.restore(recipe.shapes(about, task))
    if restored is None or not restored[1]["complete"]:
        raise InputError(f"no finished checkpoint in {directory} is whole; train again")
    states, meta = restored
    histories = [list(records) for records in zip(*meta["history"], strict=True)]
    held = {k: {p: np.asarray(a) for p, a in v.items()} for k, v in states.held.items()}
    return Trained(task.model, members(states, task), about, directory, histories, held)


def described(directory: pathlib.Path) -> Description | None:
    """Returns what the newest checkpoint of a directory is of; None if that cannot be read."""
    if not directory.is_dir():
        return None
    with Checkpointer(directory, lambda line: None, alone=True) as checkpointer:
        meta = checkpointer.meta()
    try:
        return description.from_json(meta["of"]) if meta else None
    except ValueError:
        return None


def checksum(directory: pathlib.Path) -> str:
    """Returns the checksum of the newest checkpoint of a directory, without reading its arrays.

    Raises:
      InputError: if there is none.
    """
    with Checkpointer(directory, lambda line: None, alone=True) as checkpointer:
        meta = checkpointer.meta()
    if meta is None:
        raise InputError(f"no checkpoint in {directory} can be read")
    return meta["checksum"]


def members(states: TrainState, task: Task) -> list[dict[str, Any]]:
    """Returns the variables of each student, with the weights that its constraints leave."""
    each = [jax.tree.map(lambda leaf, i=i: leaf[i], states) for i in range(len(states.step))]
    return [state.variables(task.constraints) for state in each]
