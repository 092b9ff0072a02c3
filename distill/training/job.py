"""A training as a run hands it on, and what the steps of it read."""

import dataclasses
import functools
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from distill.data import Split
from distill.progress import Display
from distill.training import bilevel, engine, head, soft_targets
from distill.training import recipe as recipes
from distill.training.description import Description
from distill.training.engine import Execution
from distill.training.recipe import Length
from distill.training.start import Start
from distill.training.step import Task, TrainData, classifier
from distill.training.trained import Trained

CHUNK_STEPS = 100  # updates per compiled call: long enough to hide the call, short for progress


@dataclasses.dataclass(frozen=True, eq=False)
class Job:
    """A training: what it is, on which images, and where and how it is executed.

    Attributes:
      directory: for the checkpoints of this training alone.
      about: what decides its outcome.
      split: images to train on.
      teacher: whose outputs the loss compares with.
      start: weights to start from instead of fresh ones.
      validation: images on which the temperature is learned, where it is.
      monitor: name and images of the split whose quality is logged after every epoch, if any.
      plan: how the students are executed.
      resident: whether the images live on the device; otherwise they are sent in pieces.
      table_mb: MiB that tables of the teacher's features may have on the device; where they have
        more, the teacher runs inside the step.
      checkpoint_every_s: least time between checkpoints, in seconds.
      stop_on_divergence: otherwise a student whose loss is not finite is marked by `diverged_at`
        in its records, and the others go on without it.
      display: says how far it is.
    """

    directory: pathlib.Path
    about: Description
    split: Split
    teacher: Trained | None
    start: Start | None
    validation: Split | None
    monitor: tuple[str, Split] | None
    plan: Execution
    resident: bool
    table_mb: int
    checkpoint_every_s: float
    stop_on_divergence: bool
    display: Display

    @functools.cached_property
    def duration(self) -> Length:
        """How long it is."""
        return recipes.length(self.about.section, len(self.split))

    @property
    def batch_size(self) -> int:
        """Examples of a step."""
        return self.about.recipe["batch_size"]

    @property
    def table_bytes(self) -> int:
        """Bytes that a table may have."""
        return self.table_mb * 2**20

    @property
    def stream(self) -> Split | None:
        """The images, if they are sent to the device in pieces."""
        return None if self.resident else self.split


def task(job: Job) -> Task:
    """Returns what is trained; its steps have no teacher where tables have what it knows."""
    teacher = job.teacher
    made = recipes.task(job.about, job.duration, teacher.model if teacher else None)
    if teacher is not None and _tabulates(job, made, teacher):
        return dataclasses.replace(made, teacher=None)
    return made


def _tabulates(job: Job, steps: Task, teacher: Trained) -> bool:
    if not steps.taps:  # a training of weights that are given may find what one before it has left
        return job.start is not None and soft_targets.is_there(steps, job.split, teacher)
    return (
        job.resident
        and job.plan.batch_mesh is None
        and soft_targets.tabulates_features(
            steps, job.split, teacher, job.duration.epochs, job.table_bytes
        )
    )


def only_head_moves(job: Job, task: Task) -> bool:
    """Whether what reaches the head is computed once, since nothing before it moves."""
    about = job.about
    return (
        job.resident
        and job.plan.batch_mesh is None
        and (about.init is not None or len(about.seeds) == 1)  # below their heads they are alike
        and head.tabulates(
            task, about.input_shape, len(job.split), job.duration.epochs, job.table_bytes
        )
    )


def place(job: Job, task: Task) -> TrainData:
    """Places the training set, and what the teachers say of it, where the steps read them."""
    table = variables = features = last = None
    if job.teacher is not None and task.teacher is not None:
        variables = job.plan.place(job.teacher.stacked())
    elif job.teacher is not None:
        table = soft_targets.table(task, job.split, job.teacher, job.plan, job.display)
        if task.taps:
            features = soft_targets.features(task, job.split, job.teacher, job.display)
            last = classifier(job.teacher.members[0])
    data = TrainData(
        teacher_logits=table, teacher_features=features, teacher_classifier=last,
        teacher_variables=variables,
    )  # fmt: skip
    if job.resident:
        data = dataclasses.replace(data, images=job.split.images, labels=job.split.labels)
        data = job.plan.place(data)
    return dataclasses.replace(data, **job.plan.place(_validation(job)))


def students_that_fit(job: Job, memory: int) -> int:
    """Estimates how many students like the one of a job train at once on a device.

    Args:
      job: of one student.
      memory: bytes that may be used.
    """
    steps_task = task(job)
    states = recipes.shapes(job.about, steps_task)
    steps = job.duration.steps_per_epoch
    order = jax.ShapeDtypeStruct((1, steps, job.batch_size), jnp.int32)
    table = variables = features = last = None
    if job.teacher is not None and steps_task.teacher is not None:
        variables = jax.eval_shape(job.teacher.stacked)
    elif job.teacher is not None:
        shape = soft_targets.shape(steps_task, job.split, job.teacher)
        table = jax.ShapeDtypeStruct(shape, jnp.float32)
        wanted = (
            soft_targets.feature_shapes(steps_task, job.split, job.teacher)
            if steps_task.taps
            else {}
        )
        features = {k: jax.ShapeDtypeStruct(v, jnp.float32) for k, v in wanted.items()} or None
        last = jax.tree.map(jax.typeof, classifier(job.teacher.members[0])) if features else None
    examples = len(job.split) if job.resident else CHUNK_STEPS * job.batch_size
    data = TrainData(
        images=jax.ShapeDtypeStruct((examples, *job.split.images.shape[1:]), jnp.uint8),
        labels=jax.ShapeDtypeStruct((examples,), jnp.int32),
        teacher_logits=table,
        teacher_features=features,
        teacher_classifier=last,
        teacher_variables=variables,
        **_validation(job),
    )
    return engine.students_that_fit(
        steps_task, states, recipes.hyper(job.about), data, order,
        students=job.plan.students, memory=memory,
    )  # fmt: skip


def _validation(job: Job) -> dict[str, Any]:
    """Returns of `TrainData` what the temperature is learned on; nothing where it is not."""
    if job.validation is None or bilevel.RATE not in job.about.loss:
        return {}
    return {
        "validation_images": np.asarray(job.validation.images),
        "validation_labels": job.validation.labels,
    }  # fmt: skip
