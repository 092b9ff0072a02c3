"""A training from its description to the checkpoints in a directory."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from distill import config as configs
from distill import files, ops, processes, stopping
from distill.data import Split
from distill.errors import InputError
from distill.progress import Display
from distill.training import bilevel, curriculum, engine, head, soft_targets
from distill.training import fit as fitting
from distill.training import recipe as recipes
from distill.training.checkpoints import Checkpointer
from distill.training.engine import Execution
from distill.training.start import Start
from distill.training.state import TrainState
from distill.training.step import Task, TrainData, classifier, head_logits
from distill.training.trained import Trained, members, quality, quality_of, quality_of_outputs


def train(
    directory: pathlib.Path,
    about: dict[str, Any],
    split: Split,
    *,
    plan: Execution,
    resident: bool,
    teacher: Trained | None,
    validation: Split | None,
    monitor: tuple[str, Split] | None,
    display: Display,
    log: Callable[[dict[str, Any]], None],
    checkpoint_every_s: float,
    stop_on_divergence: bool = True,
    start: Start | None = None,
    table_mb: int = 0,
) -> None:
    """Trains what `about` describes, into the checkpoints of `directory`; does nothing if done.

    Args:
      directory: for the checkpoints of this training alone.
      about: from `describe`.
      split: images to train on.
      plan: how the students are executed.
      resident: whether they live on the device; otherwise they are sent in pieces.
      teacher: whose outputs the loss compares with.
      validation: images on which the temperature is learned, where it is.
      monitor: name and images of the split whose accuracy is logged after every epoch, if any.
      display: says how far it is.
      log: told the record of each epoch and student.
      checkpoint_every_s: least time between checkpoints, in seconds.
      stop_on_divergence: otherwise the other students go on; see `fit.fit`.
      start: weights to start from instead of fresh ones.
      table_mb: MiB that tables of the teacher's features may have on the device; where they have
        more, the teacher runs inside the step.

    Raises:
      InputError: if the checkpoints are of another training, or the loss is not finite.
      Interrupted, KeyboardInterrupt: if the process was asked to stop; what was trained is saved.
    """
    processes.require_same("configuration or data", configs.digest(about))
    recipe, seeds = ConfigDict(about["recipe"]), about["seeds"]
    duration = recipes.length(recipe, len(split))
    task = _task(about, duration, split, teacher, plan, resident, table_mb)
    if (
        start is not None
        and teacher is not None
        and not task.taps
        and soft_targets.is_there(task, split, teacher)
    ):
        task = dataclasses.replace(task, teacher=None)  # the training before it has left a table
    measured = quality_of(about)
    shape, limit = tuple(about["input_shape"]), table_mb * 2**20
    head_alone = (
        resident
        and plan.batch_mesh is None
        and ("init" in about or len(seeds) == 1)  # below their heads, the students are the same
        and head.tabulates(task, shape, len(split), duration.epochs, limit)
    )
    monitored: list[jax.Array] = []  # what reaches the head, of what is monitored

    def evaluate(states: TrainState) -> list[dict[str, float]]:
        records: list[dict[str, float]] = [{} for _ in seeds]
        temperatures = _temperatures(states)
        if temperatures is not None:
            for record, temperature in zip(records, temperatures, strict=True):
                record["temperature"] = float(temperature)
        if monitor is not None:
            name, split = monitor
            current = Trained(task.model, members(states, task), about, directory)
            for record, member in zip(records, current.apart(), strict=True):
                if monitored:
                    outputs = np.asarray(head_logits(member.members[0]["params"], *monitored))
                    value = quality_of_outputs(measured, outputs, split)
                else:
                    value = quality(member, split, plan.batch_mesh)
                record[f"{name}_{measured}"] = value
        return records

    shown = [("loss", "loss", "{:.5f}"), ("train", "train_accuracy", "{:.2%}")]
    if not about["loss"].keys().isdisjoint((bilevel.RATE, curriculum.SHARE)):
        shown.append(("T", "temperature", "{:.3g}"))
    if monitor is not None:
        form = "{:.2%}" if measured == "accuracy" else "{:.5f}"
        shown.append((monitor[0], f"{monitor[0]}_{measured}", form))

    def write(records: list[dict[str, Any]]) -> None:
        for seed, record in zip(seeds, records, strict=True):
            log({"model": recipe.model, "seed": seed, **record})

    def on_epoch(records: list[dict[str, Any]]) -> None:
        write(records)
        line = f"{recipe.model} epoch {records[0]['epoch']}/{duration.epochs}: "
        line += ", ".join(
            f"{label} {_range([record[key] for record in records], form)}"
            for label, key, form in shown
            if key in records[0]
        )
        speed = sum(record["examples_per_second"] for record in records)
        display.say(f"{line}, {speed:,.0f} examples/s")

    with Checkpointer(directory, display.warn) as checkpointer:
        restored = checkpointer.restore(recipes.shapes(about, task))
        history: list[list[dict[str, Any]]] = []
        begun: dict[str, Any] = {}
        at_step = None if restored is None else int(restored[0].step[0])
        processes.require_same("checkpoint", str(at_step))
        if restored is None:
            states = recipes.create(about, task)
            states = states if start is None else start.put_into(states)
        else:
            states, found = restored
            if found["of"] != about:
                raise InputError(f"{directory} is of another configuration; choose another workdir")
            history, begun = found["history"], found.get("begun", {})
            if (kernels := found.get("kernels", "xla")) != ops.kernels_of(
                getattr(task.model, "conv", None)
            ):
                model = recipes.task(about, duration, kernels=kernels).model
                task = dataclasses.replace(task, model=model)
            for records in history:
                write(records)
            if found["complete"]:
                display.say(f"{recipe.model}: already trained")
                return
            at = f"from step {at_step:,}" if begun else f"after epoch {len(history)}"
            display.say(f"{recipe.model}: going on {at}")
        if not duration.total_steps:
            history = [[{} for _ in seeds]]
            checkpointer.save(0, states, fitting.saved(task, about, history, complete=True))
            return
        data = _data(task, split, resident, teacher, plan, display)
        data = dataclasses.replace(data, **plan.place(_validation(about, validation)))
        if head_alone:
            display.say(f"{recipe.model}: only its head moves; what reaches it is computed once")
            (variables, *_) = members(states, task)
            table = head.inputs(task, variables, split, display, task.augmentation)
            data = dataclasses.replace(data, head_inputs=plan.place(table))
            if monitor is not None:
                reached = head.inputs(task, variables, monitor[1], display)
                monitored.append(jnp.asarray(reached[0]))
        total = duration.total_steps * recipe.batch_size
        with display.work(recipe.model, total) as progress, stopping.saving_first():
            fitting.fit(
                task,
                plan,
                states,
                history,
                begun,
                recipes.hyper(about),
                data,
                None if resident else split,
                num_examples=len(split),
                duration=duration,
                batch_size=recipe.batch_size,
                evaluate=evaluate,
                checkpointer=checkpointer,
                checkpoint_every_s=checkpoint_every_s,
                meta=about,
                stop_on_divergence=stop_on_divergence,
                progress=progress,
                on_epoch=on_epoch,
            )


def students_that_fit(
    about: dict[str, Any],
    split: Split,
    teacher: Trained | None,
    validation: Split | None,
    *,
    resident: bool,
    students: str,
    memory: int,
    table_mb: int = 0,
) -> int:
    """Estimates how many students like one that is described train at once on a device.

    Args:
      about: of one student.
      split: images to train on.
      teacher, validation: as in `train`.
      resident: as in `train`.
      students: as in `engine.Execution`.
      memory: bytes that may be used.
      table_mb: as in `train`.
    """
    recipe = ConfigDict(about["recipe"])
    duration = recipes.length(recipe, len(split))
    task = _task(about, duration, split, teacher, Execution(students), resident, table_mb)
    states = recipes.shapes(about, task)
    order = jax.ShapeDtypeStruct((1, duration.steps_per_epoch, recipe.batch_size), jnp.int32)
    table = variables = features = last = None
    if teacher is not None and task.teacher is not None:
        variables = jax.eval_shape(teacher.stacked)
    elif teacher is not None:
        table = jax.ShapeDtypeStruct(soft_targets.shape(task, split, teacher), jnp.float32)
        wanted = soft_targets.feature_shapes(task, split, teacher) if task.taps else {}
        features = {k: jax.ShapeDtypeStruct(v, jnp.float32) for k, v in wanted.items()} or None
        last = jax.tree.map(jax.typeof, classifier(teacher.members[0])) if features else None
    examples = len(split) if resident else fitting.CHUNK_STEPS * recipe.batch_size
    data = TrainData(
        images=jax.ShapeDtypeStruct((examples, *split.images.shape[1:]), jnp.uint8),
        labels=jax.ShapeDtypeStruct((examples,), jnp.int32),
        teacher_logits=table,
        teacher_features=features,
        teacher_classifier=last,
        teacher_variables=variables,
        **_validation(about, validation),
    )
    return engine.students_that_fit(
        task, states, recipes.hyper(about), data, order, students=students, memory=memory
    )


def _task(
    about: dict[str, Any],
    duration: recipes.Length,
    split: Split,
    teacher: Trained | None,
    plan: Execution,
    resident: bool,
    table_mb: int,
) -> Task:
    """Returns what is trained; its steps have no teacher where tables have what it knows."""
    task = recipes.task(about, duration, teacher.model if teacher else None)
    if teacher is None or not task.taps or not resident or plan.batch_mesh is not None:
        return task
    limit = table_mb * 2**20
    if soft_targets.tabulates_features(task, split, teacher, duration.epochs, limit):
        return dataclasses.replace(task, teacher=None)
    return task


@contextlib.contextmanager
def alone(directory: pathlib.Path, display: Display) -> Iterator[None]:
    """Lets one process at a time train into `directory`; the others wait and then find it done."""
    with contextlib.ExitStack() as stack:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            stack.enter_context(
                files.locked(
                    directory / "lock",
                    lambda: display.say(f"waiting for another process that trains in {directory}"),
                )
            )
        except OSError as error:
            if not is_finished(directory / "steps"):  # which nobody changes any more
                raise InputError(f"{directory} cannot be written: {error.strerror}") from error
        yield


def is_finished(directory: pathlib.Path) -> bool:
    """Returns whether the newest checkpoint of a directory is of a training at its end."""
    if not directory.is_dir():
        return False
    with Checkpointer(directory, lambda line: None, alone=True) as checkpointer:
        found = checkpointer.meta()
    return found is not None and bool(found.get("complete"))


def _data(
    task: Task,
    split: Split,
    resident: bool,
    teacher: Trained | None,
    plan: Execution,
    display: Display,
) -> TrainData:
    """Places the training set, and what the teachers say of it, where the steps read them."""
    table = variables = features = last = None
    if teacher is not None and task.teacher is not None:
        variables = plan.place(teacher.stacked())
    elif teacher is not None:
        table = soft_targets.table(task, split, teacher, plan, display)
        if task.taps:
            features = soft_targets.features(task, split, teacher, display)
            last = classifier(teacher.members[0])
    data = TrainData(
        teacher_logits=table, teacher_features=features, teacher_classifier=last,
        teacher_variables=variables,
    )  # fmt: skip
    if resident:
        data = dataclasses.replace(data, images=split.images, labels=split.labels)
        data = plan.place(data)
    return data


def _validation(about: dict[str, Any], validation: Split | None) -> dict[str, Any]:
    """Returns of `TrainData` what the temperature is learned on; nothing where it is not."""
    if validation is None or bilevel.RATE not in about["loss"]:
        return {}
    return {"validation_images": validation.images, "validation_labels": validation.labels}


def _temperatures(states: TrainState) -> np.ndarray | None:
    """Returns the temperature that each student has reached, `[students]`, if it moves."""
    if states.learned:
        return np.exp(states.learned["log_temperature"])
    if curriculum.SHARE in states.parts:
        return np.asarray(curriculum.temperature(states.parts))
    return None


def _range(values: list[float], form: str) -> str:
    """Formats the value of a student, or the least and the greatest of several."""
    ends = [form.format(value) for value in (min(values), max(values))]
    return ends[0] if len(values) == 1 else " to ".join(ends)
