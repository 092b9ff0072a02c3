"""The two stages of FitNets: first the hints alone, then all other terms without them.

Romero et al. (2015), arXiv:1412.6550. The terms of a loss that compare features make up the first
stage, a share of the run, and the other terms the second. The schedule of the learning rate runs
through once in each; Adam's averages go on.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from distill import losses
from distill.errors import InputError

SHARE = "hint_stage"  # the hyperparameter: share of the run that is the first stage


def check(name: str, loss: Mapping[str, Any]) -> None:
    """Raises `InputError` if the loss `name` has no terms for both stages.

    Args:
      name: as of `losses.name_of`.
      loss: the section `config.loss`, with a first stage.
    """
    kinds = {losses.needs_features(method) for method in losses.methods(name)}
    if not loss.get("terms") or len(kinds) < 2:
        raise InputError(
            f"loss.{SHARE} is {loss[SHARE]}, and {name} has no terms for both stages: give some "
            "that compare features and some that do not, as in "
            "loss.terms={'fitnets': {}, 'kl': {}}, or leave it out"
        )
    if loss[SHARE] == 1:
        raise InputError(f"loss.{SHARE} is 1, which leaves nothing of the run for the other terms")


def current(
    name: str, hyper: Mapping[str, jax.Array], step: jax.Array, total_steps: int
) -> Mapping[str, jax.Array]:
    """Returns the hyperparameters with the weights of the stage that a step is in.

    >>> hyper = {SHARE: 0.5, "fitnets.weight": 2.0, "kl.weight": 3.0}
    >>> found = current("fitnets+kl", hyper, jnp.int32(4), 10)
    >>> print(found["fitnets.weight"], found["kl.weight"])
    2.0 0.0
    """
    if SHARE not in hyper:
        return hyper
    first = step < hyper[SHARE] * total_steps
    weights = {
        f"{method}.weight": jnp.where(
            first == losses.needs_features(method), hyper[f"{method}.weight"], 0.0
        )
        for method in losses.methods(name)
    }
    return {**hyper, **weights}


def warped(step: jax.Array, hyper: Mapping[str, jax.Array], total_steps: int) -> jax.Array:
    """Returns where on its schedule a step is, which runs through in each of the two stages.

    >>> print(warped(jnp.array([0, 10, 20, 60, 100]), {SHARE: 0.2}, 100))
    [  0.  50.   0.  50. 100.]
    """
    if SHARE not in hyper:
        return step
    end = hyper[SHARE] * total_steps
    first, second = step / end, (step - end) / (total_steps - end)
    return jnp.where(step < end, first, second) * total_steps
