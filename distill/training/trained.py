"""A training from its recipe to a directory, and a trained model back from one."""

import contextlib
import dataclasses
import fcntl
import functools
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from ml_collections import ConfigDict

from distill import losses, models
from distill.data import AUGMENTATIONS, Split, fingerprint
from distill.errors import InputError
from distill.training import fit as fitting
from distill.training import predict as predicting
from distill.training import state as states_lib
from distill.training.checkpoints import Checkpointer
from distill.training.state import TrainState
from distill.training.step import Task, TrainData

Display = Any  # of report.progress, which lies downstream and is handed in


@dataclasses.dataclass(frozen=True)
class Trained:
    """Trained models of one shape: one, or the members of an ensemble.

    Attributes:
      model: the module.
      members: its variables, once per member.
      about: what a checkpoint says of its training; see `describe`.
      directory: of the checkpoints.
    """

    model: nn.Module
    members: list[dict[str, Any]]
    about: dict[str, Any]
    directory: pathlib.Path

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Returns `[n, num_classes]` float32; an ensemble's are those of its mean probability.

        Args:
          images: `[n, height, width, channels]` uint8.

        Raises:
          InputError: if they are not of the shape that the model was trained on.
        """
        expected = tuple(self.about["input_shape"])
        if images.shape[1:] != expected:
            raise InputError(
                f"{self.about['recipe']['model']} was trained on images of {expected}; "
                f"these are {images.shape[1:]}"
            )
        mean, std = tuple(self.about["mean"]), tuple(self.about["std"])
        logits = np.stack(
            [
                predicting.predict(self.model, variables, images, mean=mean, std=std)
                for variables in self.members
            ]
        )
        return logits[0] if len(logits) == 1 else predicting.ensemble_logits(logits)


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
    recipe = {**recipe.to_dict(), "args": dict(recipe.args)}
    normalization = {"mean": list(dataset.mean), "std": list(dataset.std)}
    return {
        "recipe": recipe, "loss": loss, "seeds": list(seeds), **data, **normalization,
        "teacher": teacher,
    }  # fmt: skip


def train(
    directory: pathlib.Path,
    about: dict[str, Any],
    split: Split,
    *,
    resident: bool,
    teacher: Trained | None,
    monitor: tuple[str, Split],
    display: Display,
    log: Callable[[dict[str, Any]], None],
    checkpoint_every_s: float,
) -> None:
    """Trains what `about` describes, into the checkpoints of `directory`; does nothing if done.

    Args:
      directory: for the checkpoints of this training alone.
      about: from `describe`.
      split: images to train on.
      resident: whether they live on the device; otherwise they are sent in pieces.
      teacher: whose outputs the loss compares with.
      monitor: name and images of the split whose accuracy is logged after every epoch.
      display: says how far it is.
      log: told the record of each epoch and student.
      checkpoint_every_s: least time between checkpoints, in seconds.

    Raises:
      InputError: if the checkpoints are of another training, or the loss is not finite.
    """
    recipe, seeds = ConfigDict(about["recipe"]), about["seeds"]
    duration = fitting.length(recipe, len(split))
    task = _task(about, duration.total_steps, teacher)
    hyper = _hyper(about)
    monitor_name, monitored = monitor

    def evaluate(states: TrainState) -> list[dict[str, float]]:
        current = Trained(task.model, _members(states), about, directory)
        return [
            {f"{monitor_name}_accuracy": float((logits.argmax(-1) == monitored.labels).mean())}
            for logits in (
                dataclasses.replace(current, members=[m]).logits(monitored.images)
                for m in current.members
            )
        ]

    with Checkpointer(directory, display.warn) as checkpointer:
        found = checkpointer.meta()
        done = found is not None and found["complete"] and found["of"] == about
        if done:
            display.say(f"{recipe.model}: already trained")

        def on_epoch(records: list[dict[str, Any]]) -> None:
            for seed, record in zip(seeds, records, strict=True):
                log({"model": recipe.model, "seed": seed, **record})
                if done:
                    continue
                display.say(
                    f"{recipe.model} epoch {record['epoch']}/{duration.epochs}: "
                    f"loss {record['loss']:.5f}, train {record['train_accuracy']:.2%}, "
                    f"{monitor_name} {record[f'{monitor_name}_accuracy']:.2%}, "
                    f"{record['examples_per_second']:,.0f} examples/s"
                )

        data = TrainData() if done else _data(task, split, resident, teacher, display)
        total = duration.total_steps * recipe.batch_size
        with display.work(recipe.model, total) as progress:
            fitting.fit(
                task,
                functools.partial(_create, task, about),
                hyper,
                data,
                None if resident else split,
                num_examples=len(split),
                duration=duration,
                batch_size=recipe.batch_size,
                evaluate=evaluate,
                checkpointer=checkpointer,
                checkpoint_every_s=checkpoint_every_s,
                meta=about,
                progress=progress,
                on_epoch=on_epoch,
            )


def load(directory: pathlib.Path, display: Display) -> Trained:
    """Loads what was trained into `directory`.

    Raises:
      InputError: if there is nothing, or its training has not come to its end.
    """
    if not directory.is_dir():
        raise InputError(f"no checkpoint in {directory}; run the stage that trains it first")
    with Checkpointer(directory, display.warn) as checkpointer:
        found = checkpointer.meta()
        if found is None or not found["complete"]:
            raise InputError(f"the training in {directory} is not finished; start it again")
        about = found["of"]
        task = _task(about, total_steps=1, teacher=None)
        restored = checkpointer.restore(jax.eval_shape(functools.partial(_create, task, about)))
    if restored is None or not restored[1]["complete"]:
        raise InputError(f"no finished checkpoint in {directory} is whole; train again")
    return Trained(task.model, _members(restored[0]), about, directory)


@contextlib.contextmanager
def alone(directory: pathlib.Path, display: Display) -> Iterator[None]:
    """Lets one process at a time train into `directory`; the others wait and then find it done."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = (directory / "lock").open("w")
    except OSError as error:
        raise InputError(f"{directory} cannot be written: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            display.say(f"waiting for another process that trains in {directory}")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _create(task: Task, about: dict[str, Any]) -> TrainState:
    return states_lib.create(
        task.model, task.make_optimizer, _hyper(about), tuple(about["input_shape"]), about["seeds"]
    )


def _task(about: dict[str, Any], total_steps: int, teacher: Trained | None) -> Task:
    recipe = ConfigDict(about["recipe"])
    augmentation = AUGMENTATIONS[recipe.augmentation]
    inline = teacher and not _tabulated(augmentation.num_variants, recipe)
    return Task(
        model=models.build(recipe.model, recipe.args, num_classes=about["num_classes"]),
        loss=about["loss"]["name"],
        augmentation=augmentation,
        make_optimizer=states_lib.optimizer(recipe, total_steps),
        teacher=teacher.model if teacher and inline else None,
        mean=tuple(about["mean"]),
        std=tuple(about["std"]),
    )


def _tabulated(num_variants: int | None, recipe: ConfigDict) -> bool:
    """Whether the teachers' outputs are computed once, rather than in each of the epochs."""
    return num_variants is not None and num_variants <= max(1, recipe.epochs)


def _data(
    task: Task, split: Split, resident: bool, teacher: Trained | None, display: Display
) -> TrainData:
    """Places the training set, and what the teachers say of it, where the steps read them."""
    table = variables = None
    if teacher is not None and task.teacher is not None:
        variables = jax.tree.map(lambda *leaves: jnp.stack(leaves), *teacher.members)
    elif teacher is not None:
        table = _soft_target_table(task, split, teacher, display)
    data = TrainData(teacher_logits=table, teacher_variables=variables)
    if resident:
        data = dataclasses.replace(data, images=split.images, labels=split.labels)
        data = jax.tree.map(jnp.asarray, data)
    return data


def _soft_target_table(task: Task, split: Split, teacher: Trained, display: Display) -> np.ndarray:
    """Computes what the teachers say of the training set, or reads it from beside their weights."""
    variants = task.augmentation.num_variants or 0
    shape = (variants, len(split), len(teacher.members), teacher.about["num_classes"])
    seen = fingerprint(split.images)
    path = teacher.directory.parent / f"teacher_logits-{seen}-{variants}.npy"
    with contextlib.suppress(OSError, ValueError):
        table = np.load(path)
        if (table.shape, table.dtype) == (shape, np.float32):
            return table
    with display.work("soft targets", len(split) * variants * len(teacher.members)) as bar:
        table = predicting.teacher_table(
            teacher.model,
            teacher.members,
            split.images,
            task.augmentation,
            mean=task.mean,
            std=task.std,
            on_batch=bar.advance,
        )
    part = path.with_suffix(f".{os.getpid()}")
    with part.open("wb") as file:
        np.save(file, table)
    part.replace(path)
    return table


def _hyper(about: dict[str, Any]) -> dict[str, jax.Array]:
    numbers = {"learning_rate": about["recipe"]["learning_rate"], **about["loss"]}
    del numbers["name"]
    students = len(about["seeds"])
    return {
        name: jnp.full(students, value, bool if isinstance(value, bool) else jnp.float32)
        for name, value in numbers.items()
    }


def _members(states: TrainState) -> list[dict[str, Any]]:
    return [
        jax.tree.map(lambda leaf, i=i: leaf[i], states.variables) for i in range(len(states.step))
    ]


def loss_section(loss: ConfigDict) -> dict[str, Any]:
    """Returns of `config.loss` what the loss takes: its name, its numbers, alpha if it is mixed.

    Raises:
      InputError: if the loss takes a number that the configuration does not have.
    """
    wanted = losses.hyperparameters(loss.name)
    wanted += ("alpha",) if losses.needs_teacher(loss.name) else ()
    for name in wanted:
        if name not in loss:
            raise InputError(f"loss {loss.name} needs --config.loss.{name}, which is not set")
    return {"name": loss.name, **{name: loss[name] for name in wanted}}
