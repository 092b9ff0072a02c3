"""Tables of what the teachers say of the training set, and of what a teacher sees on the way."""

import contextlib
import math
import os
import pathlib
from typing import Any

import numpy as np

from distill import losses, processes
from distill.data import Split, fingerprint
from distill.models import taps
from distill.training.engine import Execution
from distill.training.predict import feature_table, teacher_table
from distill.training.step import Task
from distill.training.trained import Trained

Display = Any  # of report.progress, which lies downstream and is handed in


def shape(task: Task, split: Split, teacher: Trained) -> tuple[int, int, int, int]:
    """Returns `(variants, n, members, classes)`, the shape of a table."""
    variants = task.augmentation.num_variants or 0
    return variants, len(split), len(teacher.members), teacher.about["num_classes"]


def feature_shapes(task: Task, split: Split, teacher: Trained) -> dict[str, tuple[int, ...]]:
    """Returns for each tap of the teacher that the loss compares the shape of its table."""
    variants, known = task.augmentation.num_variants or 0, _taps(teacher)
    names = sorted({theirs for pairs in task.taps.values() for _, theirs in pairs})
    return {name: (variants, len(split), *known[name]) for name in names}


def tabulates_features(task: Task, split: Split, teacher: Trained, epochs: int, limit: int) -> bool:
    """Whether a table of the features that the loss compares is less work, and fits.

    Args:
      task: with the teacher in its steps.
      split: images to train on.
      teacher: a single one.
      epochs: of the training; more variants than that are more work than its steps.
      limit: bytes that a table may have.
    """
    variants = task.augmentation.num_variants
    if not task.taps or variants is None or variants > max(1, epochs):
        return False
    if losses.reads_classifier(task.loss):  # which only a teacher in the step has
        return False
    sizes = feature_shapes(task, split, teacher).values()
    return 4 * sum(math.prod(shape) for shape in sizes) <= limit


def features(task: Task, split: Split, teacher: Trained, display: Display) -> dict[str, np.ndarray]:
    """Computes a table of features for each tap of the teacher, `[variants, n, ...]` float32."""
    wanted = feature_shapes(task, split, teacher)
    size = 4 * sum(math.prod(shape) for shape in wanted.values()) / 2**20
    display.say(f"the teacher's {', '.join(wanted)} of all images are tabulated, {size:,.0f} MiB")
    with display.work("features", (task.augmentation.num_variants or 0) * len(split)) as bar:
        return feature_table(
            teacher.model, teacher.members[0], split.images, task.augmentation, tuple(wanted),
            mean=task.mean, std=task.std, on_batch=bar.advance,
        )  # fmt: skip


def _taps(teacher: Trained) -> dict[str, tuple[int, ...]]:
    return taps.shapes(teacher.model, tuple(teacher.about["input_shape"]))


def path(task: Task, split: Split, teacher: Trained) -> pathlib.Path:
    """Returns where a table lies, if it does."""
    variants, seen = task.augmentation.num_variants or 0, fingerprint(split.images)
    return teacher.directory.parent / f"teacher_logits-{seen}-{variants}.npy"


def table(
    task: Task, split: Split, teacher: Trained, plan: Execution, display: Display
) -> np.ndarray:
    """Computes a table of logits, or reads it from beside the weights of the teachers.

    Args:
      task: whose augmentation has the variants.
      split: images to train on.
      teacher: one model, or the members of an ensemble.
      plan: on what devices it is computed.
      display: says how far it is.

    Returns:
      `[variants, n, members, classes]` float32.
    """
    wanted, where = shape(task, split, teacher), path(task, split, teacher)
    found = np.zeros(0)
    with contextlib.suppress(OSError, ValueError):
        found = np.load(where)
    if processes.of_all((found.shape, found.dtype) == (wanted, np.float32)):
        return found
    with display.work("soft targets", wanted[0] * len(split) * len(teacher.members)) as bar:
        found = teacher_table(
            teacher.model,
            [plan.place_students(member) for member in teacher.members],
            split.images,
            task.augmentation,
            mean=task.mean,
            std=task.std,
            mesh=plan.batch_mesh,
            on_batch=bar.advance,
        )
    if processes.is_first():
        part = where.with_suffix(f".{os.getpid()}")
        with part.open("wb") as file:
            np.save(file, found)
        part.replace(where)
    return found
