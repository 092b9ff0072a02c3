"""Training a head alone: what reaches it is computed once, where nothing before it moves."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from distill.data import AUGMENTATIONS, Augmentation, Split
from distill.models import taps
from distill.models.layers import HEAD
from distill.models.taps import PENULTIMATE
from distill.progress import Display
from distill.training import freezing
from distill.training.predict import feature_table
from distill.training.step import Task


def tabulates(
    task: Task, input_shape: tuple[int, ...], images: int, epochs: int, limit: int
) -> bool:
    """Whether a table of what reaches the head is less work than the whole network, and fits.

    Args:
      task: of the training.
      input_shape: `(height, width, channels)`.
      images: to train on.
      epochs: of the training; more outcomes of the augmentation than that are more work.
      limit: bytes that the table may have.
    """
    variants = task.augmentation.num_variants
    if not task.frozen or task.taps or task.constraints or variants is None:
        return False
    moving = set(freezing.layers(task.model, input_shape)) - task.frozen
    if moving != {HEAD} or getattr(
        task.model, "dropout", False
    ):  # which drops what reaches the head
        return False
    width = math.prod(taps.shapes(task.model, input_shape)[PENULTIMATE])
    return variants <= max(1, epochs) and 4 * variants * images * width <= limit


def inputs(
    task: Task,
    variables: Mapping[str, Any],
    split: Split,
    display: Display,
    augmentation: Augmentation = AUGMENTATIONS["none"],
) -> np.ndarray:
    """Computes what reaches the head, in every outcome of an augmentation.

    Args:
      task: with the model.
      variables: of the model.
      split: images.
      display: shows how far it is.
      augmentation: that has a number of outcomes.

    Returns:
      `[variants, n, width]` float32.
    """
    outcomes = (augmentation.num_variants or 0) * len(split)
    with display.work("what reaches the head", outcomes) as bar:
        return feature_table(
            task.model, dict(variables), split.images, augmentation, (PENULTIMATE,),
            mean=task.mean, std=task.std, on_batch=bar.advance,
        )[PENULTIMATE]  # fmt: skip
