"""Applying a trained model to a whole set: every example counts exactly once."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from distill.data import Augmentation, streaming
from distill.models import taps
from distill.training import parallel
from distill.training.step import normalize

EVAL_BATCH = 100  # what a wide layer makes of it still fits the cache of a CPU


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3, 4))
def _logits(model, mean, std, augment, mesh, variables, images, variant):
    with parallel.splitting(mesh):
        pixels = images.astype(jnp.float32) / 255
        if augment is not None:
            pixels = augment(pixels, jnp.full(images.shape[0], variant))
        return parallel.everywhere(mesh, model.apply(variables, normalize(pixels, mean, std)))


def predict(
    model: nn.Module,
    variables: dict,
    images: np.ndarray,
    *,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    augment: Callable | None = None,
    variant: int = 0,
    mesh: jax.sharding.Mesh | None = None,
    on_batch: Callable[[int], None] = lambda done: None,
) -> np.ndarray:
    """Returns the logits `[n, num_classes]` float32 of a set of images.

    The last batch is padded to the size of the others, so that there is one program, and what the
    padding gives is cut off.

    Args:
      model: maps normalised images to logits.
      variables: of the model.
      images: `[n, height, width, channels]` uint8.
      mean, std: normalisation of pixels between 0 and 1.
      augment: if given, applied with `variant` before the model.
      variant: which of the augmentation's outcomes.
      mesh: of devices to split the batches over; the variables are on all of them.
      on_batch: told how many examples each batch had, for a progress display.
    """
    devices = 1 if mesh is None else mesh.size
    batch = min(EVAL_BATCH, -(-len(images) // devices)) * devices
    parts = []
    for part in streaming.ahead(images, _batches(len(images), batch)):
        padded = np.concatenate([part, np.zeros((batch - len(part), *part.shape[1:]), part.dtype)])
        placed = padded if mesh is None else parallel.split(mesh, padded, axis=0)
        logits = _logits(model, mean, std, augment, mesh, variables, placed, np.int32(variant))
        parts.append(np.asarray(logits)[: len(part)])
        on_batch(len(part))
    return np.concatenate(parts)


def _batches(n: int, batch: int) -> list[slice]:
    """Returns which images each batch has."""
    return [slice(start, min(start + batch, n)) for start in range(0, n, batch)]


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3, 4))
def _features(model, mean, std, augment, names, variables, images, variant):
    pixels = augment(images.astype(jnp.float32) / 255, jnp.full(images.shape[0], variant))
    _, found = model.apply(variables, normalize(pixels, mean, std), mutable=[taps.TAPS])
    return {name: taps.tapped(found)[name] for name in names}


def feature_table(
    model: nn.Module,
    variables: dict,
    images: np.ndarray,
    augmentation: Augmentation,
    names: tuple[str, ...],
    *,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    on_batch: Callable[[int], None],
) -> dict[str, np.ndarray]:
    """Computes what a teacher sees on the way in every outcome of an augmentation.

    Args:
      names: of the taps.

    Returns:
      For each tap `[variants, n, ...]` float32.
    """
    n, batch = len(images), min(EVAL_BATCH, len(images))
    table: dict[str, np.ndarray] = {}
    for variant in range(augmentation.num_variants or 0):
        batches = _batches(n, batch)
        for at, part in zip(batches, streaming.ahead(images, batches), strict=True):
            missing = batch - len(part)
            padded = np.concatenate([part, np.zeros((missing, *part.shape[1:]), part.dtype)])
            found = _features(
                model, mean, std, augmentation.apply, names, variables, padded, np.int32(variant)
            )
            for name, values in found.items():
                shape = (augmentation.num_variants, n, *values.shape[1:])
                whole = table.setdefault(name, np.zeros(shape, np.float32))
                whole[variant, at] = np.asarray(values)[: len(part)]
            on_batch(len(part))
    return table


def ensemble_logits(logits: np.ndarray) -> np.ndarray:
    """Averages members in probability space: `[members, n, classes]` to log-probabilities."""
    log_probs = jax.nn.log_softmax(logits)
    return np.asarray(jax.nn.logsumexp(log_probs, axis=0) - np.log(len(logits)))


def teacher_table(
    model: nn.Module,
    members: list[dict],
    images: np.ndarray,
    augmentation: Augmentation,
    *,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    mesh: jax.sharding.Mesh | None = None,
    on_batch: Callable[[int], None],
) -> np.ndarray:
    """Computes what the teachers say of every outcome of an augmentation.

    Returns:
      `[variants, n, members, num_classes]` float32.
    """
    table = [
        np.stack(
            [
                predict(
                    model,
                    variables,
                    images,
                    mean=mean,
                    std=std,
                    augment=augmentation.apply,
                    variant=variant,
                    mesh=mesh,
                    on_batch=on_batch,
                )
                for variables in members
            ],
            axis=1,
        )
        for variant in range(augmentation.num_variants or 0)
    ]
    return np.stack(table)
