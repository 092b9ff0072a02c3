"""The table of what the teachers say of the training set: computed once, beside their weights."""

import contextlib
import os
import pathlib
from typing import Any

import numpy as np

from distill import processes
from distill.data import Split, fingerprint
from distill.training.engine import Execution
from distill.training.predict import teacher_table
from distill.training.step import Task
from distill.training.trained import Trained

Display = Any  # of report.progress, which lies downstream and is handed in


def shape(task: Task, split: Split, teacher: Trained) -> tuple[int, int, int, int]:
    """Returns `(variants, n, members, classes)`, the shape of a table."""
    variants = task.augmentation.num_variants or 0
    return variants, len(split), len(teacher.members), teacher.about["num_classes"]


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
