"""Intermediate outputs by name, for losses that compare features.

A model names them while it is applied: `x = tap(self, "stage0", x)`. They leave it only where the
collection `TAPS` is mutable; everywhere else nothing is added to what is computed. All classifiers
have `penultimate`, the vector before the last dense layer, and `stage0`, `stage1`, …: what is left
of the image behind each part of the network, `[batch, height, width, channels]`.
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

TAPS = "intermediates"  # Flax leaves this collection out of the variables of `init`
PENULTIMATE = "penultimate"

Pairs = tuple[tuple[str, str], ...]
"""Names of taps, the student's first."""


def tap(module: nn.Module, name: str, x: jax.Array) -> jax.Array:
    """Names an output of a part of a network, and returns it."""
    module.sow(TAPS, name, x)
    return x


def tapped(collections: Mapping[str, Any]) -> dict[str, jax.Array]:
    """Returns the outputs by name, of the collections that `apply` returns with `TAPS` mutable."""
    return {name: values[0] for name, values in collections.get(TAPS, {}).items()}


@functools.cache
def shapes(model: nn.Module, input_shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Returns the taps of a model with their shapes for one image, without the batch.

    Args:
      model: a module that maps `[batch, *input_shape]` to logits.
      input_shape: `(height, width, channels)`.
    """
    image = jax.ShapeDtypeStruct((1, *input_shape), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), image)
    found = jax.eval_shape(lambda v, x: model.apply(v, x, mutable=[TAPS])[1], variables, image)
    named = sorted(tapped(found).items(), key=lambda item: (len(item[0]), item[0]))
    return {name: x.shape[1:] for name, x in named}


def stages_in_common(
    student: Mapping[str, tuple[int, ...]], teacher: Mapping[str, tuple[int, ...]]
) -> Pairs:
    """Pairs the stages of two networks: for each size of the image that both have, the last of it.

    Where they have none in common, the last stage of each.

    Args:
      student, teacher: from `shapes`.

    >>> student = {"stage0": (14, 14, 3), "stage1": (7, 7, 6), "penultimate": (294,)}
    >>> stages_in_common(student, {"stage0": (7, 7, 32), "stage1": (7, 7, 64)})
    (('stage1', 'stage1'),)
    """
    of_student, of_teacher = (
        {shape[:2]: name for name, shape in taps.items() if len(shape) == 3}
        for taps in (student, teacher)
    )
    shared = [(name, of_teacher[size]) for size, name in of_student.items() if size in of_teacher]
    if not shared and of_student and of_teacher:
        shared = [(list(of_student.values())[-1], list(of_teacher.values())[-1])]
    return tuple(shared)
