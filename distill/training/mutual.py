"""Deep mutual learning: students that learn beside one another, each from the others' predictions.

Zhang et al. (2018), arXiv:1706.00384. To the engine they are one student, whose state has those of
its peers: so they see the same batches in the same augmentation, and sweeps, checkpoints and
devices know nothing of them. All are updated at once, from what they predicted before; the paper
updates one after the other, each from predictions that the updates before it have changed. The
first is the student, and the others are thrown away with the training.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from distill import losses
from distill.errors import InputError
from distill.training.state import TrainState


def check(config: ConfigDict, loss: dict[str, Any]) -> None:
    """Raises `InputError` if nobody can learn from one another as the configuration says.

    Args:
      config: the whole of it.
      loss: from `recipe.loss_section`.
    """
    name = loss["name"]
    if not losses.needs_peers(name):
        return
    if losses.methods(name) == ["mutual"]:
        raise InputError(
            "students that learn from nothing but one another learn nothing: give labels or a "
            "teacher too, as in loss.terms={'cross_entropy': {}, 'mutual': {}}"
        )
    students = losses.structure(loss, "peers")
    if students < 2:
        raise InputError(
            f"loss.terms.mutual.peers is {students}; it takes 2 students or more to teach one "
            "another"
        )
    for key in ("init", "freeze"):
        if config.student[key]:
            raise InputError(
                f"student.{key} is {config.student[key]!r}, and the peers of mutual learning start "
                "fresh: leave one of them out"
            )


def together(state: TrainState) -> list[TrainState]:
    """Returns the student and its peers, each as a student alone."""
    count = jax.tree.leaves(state.peers)[0].shape[0]
    peers = [jax.tree.map(lambda leaf, i=i: leaf[i], state.peers) for i in range(count)]
    return [dataclasses.replace(state, peers={}), *peers]


def apart(networks: Sequence[TrainState]) -> TrainState:
    """Returns the first of some students with the others as its peers."""
    student, *peers = networks
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *peers)
    return dataclasses.replace(student, peers=stacked)


def batches(batch: Any, count: int) -> list[Any]:
    """Returns a `step.Batch` for each of some students, that differ in what their dropout draws."""
    step_key, dropout_key = batch.keys
    keys = [dropout_key, *(jax.random.fold_in(dropout_key, i) for i in range(1, count))]
    return [batch._replace(keys=(step_key, key)) for key in keys]


def others(predictions: Sequence[jax.Array], number: int) -> jax.Array:
    """Returns the logits of all students but one, `[peers, batch, num_classes]`."""
    return jnp.stack([logits for i, logits in enumerate(predictions) if i != number])
