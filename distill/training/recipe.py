"""The description of a training as JSON values, and what is built from it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from ml_collections import ConfigDict

from distill import losses, models
from distill.data import AUGMENTATIONS
from distill.errors import InputError
from distill.training import bilevel
from distill.training import state as states_lib
from distill.training.state import TrainState
from distill.training.step import Task


def loss_section(loss: ConfigDict) -> dict[str, Any]:
    """Returns of `config.loss` what the loss takes: its name, its numbers, alpha if it is mixed.

    Where the temperature is learned, the rate of that is one of the numbers; nowhere else.

    Raises:
      InputError: if the loss takes a number that the configuration does not have, or is to learn a
        temperature that it does not take.
    """
    wanted = losses.hyperparameters(loss.name)
    wanted += ("alpha",) if losses.needs_teacher(loss.name) else ()
    if loss.learn_temperature:
        if "temperature" not in wanted:
            taking = [n for n in losses.LOSSES if "temperature" in losses.hyperparameters(n)]
            raise InputError(
                f"loss {loss.name} has no temperature to learn; use {' or '.join(taking)}, or "
                "--config.loss.learn_temperature=False"
            )
        wanted += (bilevel.RATE,)
    for name in wanted:
        if name not in loss:
            raise InputError(f"loss {loss.name} needs --config.loss.{name}, which is not set")
    return {"name": loss.name, **{name: loss[name] for name in wanted}}


def describe(
    recipe: ConfigDict,
    loss: dict[str, Any],
    seeds: Sequence[int],
    dataset: ConfigDict,
    data: dict[str, Any],
    teacher: dict[str, Any] | None,
) -> dict[str, Any]:
    """Returns everything that decides the outcome of a training, as JSON values.

    Args:
      recipe: a section made by `config.training`.
      loss: `name`, and the hyperparameters that the loss takes.
      seeds: one per student.
      dataset: the section `config.dataset`.
      data: `name`, `fingerprint`, `input_shape` and `num_classes` of the images to train on.
      teacher: the description of the teachers, if the loss needs them.
    """
    # Of the weights to start from, what they are decides, and not where they are kept.
    made_of = {k: v for k, v in recipe.to_dict().items() if k != "init"}
    normalization = {"mean": list(dataset.mean), "std": list(dataset.std)}
    return {
        "recipe": made_of, "loss": loss, "seeds": list(seeds), **data, **normalization,
        "teacher": teacher,
    }  # fmt: skip


class Length(NamedTuple):
    """How long a training is."""

    steps_per_epoch: int
    total_steps: int

    @property
    def epochs(self) -> int:
        """Number of epochs, the last of which may be cut short."""
        return -(-self.total_steps // self.steps_per_epoch)


def length(recipe: Any, num_examples: int) -> Length:
    """Converts the duration of a recipe to steps.

    Raises:
      InputError: if a batch is larger than the set.
    """
    steps_per_epoch = num_examples // recipe.batch_size
    if steps_per_epoch == 0:
        raise InputError(
            f"batch_size of {recipe.model} is {recipe.batch_size}; "
            f"there are {num_examples} examples to train on"
        )
    return Length(steps_per_epoch, recipe.steps or recipe.epochs * steps_per_epoch)


def task(
    about: dict[str, Any],
    duration: Length,
    teacher: nn.Module | None = None,
    kernels: str = "auto",
) -> Task:
    """Returns the static half of the training steps.

    Args:
      about: from `describe`.
      duration: from `length`; what is only applied to images has any.
      teacher: the module of the teachers, if the loss needs them.
      kernels: what a CPU convolves with, see `ops.conv_for`.
    """
    recipe = ConfigDict(about["recipe"])
    augmentation = AUGMENTATIONS[recipe.augmentation]
    # Either the teachers see the training set once, in every variant of the augmentation, or they
    # see every batch of every epoch: whichever is fewer images.
    variants = augmentation.num_variants
    inline = variants is None or variants > max(1, duration.epochs)
    return Task(
        model=models.build(
            recipe.model, recipe.args, num_classes=about["num_classes"], kernels=kernels
        ),
        loss=about["loss"]["name"],
        augmentation=augmentation,
        make_optimizer=states_lib.optimizer(recipe, duration.total_steps),
        teacher=teacher if inline else None,
        mean=tuple(about["mean"]),
        std=tuple(about["std"]),
        constraints=models.frozen(about.get("constraints", {})),
        l1=recipe.l1,
    )


def create(about: dict[str, Any], task: Task) -> TrainState:
    """Returns fresh states, one per seed, whose constraints do nothing; see `state.create`."""
    return states_lib.create(*_arguments(about, task))


def shapes(about: dict[str, Any], task: Task) -> TrainState:
    """Returns the shapes and dtypes of what `create` returns."""
    return states_lib.shapes(*_arguments(about, task))


def _arguments(about: dict[str, Any], task: Task) -> tuple:
    return (
        task.model,
        task.make_optimizer,
        hyper(about),
        tuple(about["input_shape"]),
        about["seeds"],
        task.constraints,
    )


def together(abouts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Describes several trainings as one whose numbers are lists, one entry per student.

    Args:
      abouts: from `describe`; they differ in nothing but what `apart` leaves out.
    """
    first = abouts[0]
    loss = {name: _listed([about["loss"][name] for about in abouts]) for name in first["loss"]}
    rate = _listed([about["recipe"]["learning_rate"] for about in abouts])
    seeds = [seed for about in abouts for seed in about["seeds"]]
    recipe = {**first["recipe"], "learning_rate": rate}
    return {**first, "recipe": recipe, "loss": loss, "seeds": seeds}


def apart(about: dict[str, Any]) -> dict[str, Any]:
    """Leaves out of a description the seeds and numbers in which students of a program differ."""
    recipe = {k: v for k, v in about["recipe"].items() if k != "learning_rate"}
    rest = {k: v for k, v in about.items() if k != "seeds"}
    return {**rest, "recipe": recipe, "loss": [about["loss"]["name"], *sorted(about["loss"])]}


def hyper(about: dict[str, Any]) -> dict[str, jax.Array]:
    """Returns the hyperparameters by name, each `[students]`; a number holds for all of them."""
    numbers = {"learning_rate": about["recipe"]["learning_rate"], **about["loss"]}
    del numbers["name"]
    students = len(about["seeds"])
    arrays = {name: np.asarray(value) for name, value in numbers.items()}
    return {
        name: jnp.broadcast_to(
            jnp.asarray(value, bool if value.dtype == bool else jnp.float32), students
        )
        for name, value in arrays.items()
    }


def _listed(values: list[Any]) -> Any:
    """Returns the value that all share, or the list of them."""
    return values[0] if all(value == values[0] for value in values) else values
