"""Which features of a student are compared with which of its teacher."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.core import FrozenDict

from distill import losses
from distill.errors import InputError, one_line, unknown
from distill.models import taps
from distill.models.taps import PENULTIMATE, Pairs

BATCH = 4  # of the shapes that a loss is tried with


def pairs(
    loss: Mapping[str, Any], student: nn.Module, teacher: nn.Module, input_shape: tuple[int, ...]
) -> FrozenDict[str, Pairs]:
    """Returns the taps that each part of a loss compares, as they are given or the defaults.

    By default stages are paired by `taps.stages_in_common`, and vectors are the penultimate ones.

    Args:
      loss: from `recipe.loss_section`.
      student, teacher: the modules.
      input_shape: `(height, width, channels)`.

    Returns:
      By the names of the parts that compare features; empty if none does.

    Raises:
      InputError: if there is no such tap, or the loss cannot compare what they have.
    """
    asking = [name for name in losses.methods(loss["name"]) if losses.needs_features(name)]
    if not asking:
        return FrozenDict()
    ours, theirs = (taps.shapes(model, tuple(input_shape)) for model in (student, teacher))
    found = {}
    for name in asking:
        given = loss.get(f"{name}.taps", loss.get("taps"))
        found[name] = tuple((a, b) for a, b in given) if given else _default(name, ours, theirs)
        for pair in found[name]:
            for role, tap, known in zip(("student", "teacher"), pair, (ours, theirs), strict=True):
                if tap not in known:
                    raise unknown(f"tap of the {role}", tap, known)
        if losses.needs_embedding(name) and len(found[name]) > 1:
            raise InputError(
                f"loss {name} compares one pair of taps, and {len(found[name])} are given"
            )
        if losses.reuses_classifier(name) and found[name] != ((PENULTIMATE, PENULTIMATE),):
            raise InputError(f"loss {name} compares the penultimate vectors; leave out loss.taps")
        _try(name, loss, found[name], ours, theirs)
    return FrozenDict(found)


def shapes(
    chosen: Pairs,
    ours: Mapping[str, tuple[int, ...]],
    theirs: Mapping[str, tuple[int, ...]],
    batch: int = 1,
) -> losses.Tapped:
    """Returns the shapes of pairs of features, those of the student and those of the teacher."""
    student, teacher = (
        tuple(jax.ShapeDtypeStruct((batch, *of[pair[i]]), jnp.float32) for pair in chosen)
        for i, of in enumerate((ours, theirs))
    )
    return student, teacher


def _default(
    name: str, ours: Mapping[str, tuple[int, ...]], theirs: Mapping[str, tuple[int, ...]]
) -> Pairs:
    if losses.needs_embedding(name):
        return ((PENULTIMATE, PENULTIMATE),)
    found = taps.stages_in_common(ours, theirs)
    if not found:
        raise InputError(f"loss {name} compares stages, and a model has none; give loss.taps")
    return found


def _try(
    name: str,
    loss: Mapping[str, Any],
    chosen: Pairs,
    ours: Mapping[str, tuple[int, ...]],
    theirs: Mapping[str, tuple[int, ...]],
) -> None:
    """Raises `InputError` if a loss cannot compare the features, by the shapes alone."""
    tapped = {name: shapes(chosen, ours, theirs, BATCH)}
    logits = jax.ShapeDtypeStruct((BATCH, 2), jnp.float32)
    labels = jax.ShapeDtypeStruct((BATCH,), jnp.int32)
    members = jax.ShapeDtypeStruct((1, BATCH, 2), jnp.float32)
    classifier = tuple(
        jax.ShapeDtypeStruct(shape, jnp.float32)
        for shape in ((*theirs.get(PENULTIMATE, (1,)), 2), (2,))
    )
    hyper = {"alpha": 1.0} | {k: v for k, v in loss.items() if isinstance(v, int | float)}
    memory, key = losses.Memory(BATCH, 1), jax.random.key(0)

    def value(logits, labels, teacher_logits, tapped, classifier):
        parts = losses.init_parts(key, tapped)
        kept = {"memory": memory.init(key), "candidates": memory.candidates(key, labels)}
        return losses.weighted_terms(
            name,
            logits,
            labels,
            teacher_logits,
            hyper,
            None,
            tapped,
            parts,
            classifier,
            others=kept,
        )

    try:
        jax.eval_shape(value, logits, labels, members, tapped, classifier)
    except InputError:
        raise
    except (TypeError, ValueError, IndexError) as error:
        meeting = ", ".join(f"{a} {ours[a]} with {b} {theirs[b]}" for a, b in chosen)
        raise InputError(f"loss {name} cannot compare {meeting}: {one_line(error)}") from error
