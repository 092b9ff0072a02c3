"""The temperature of CTKD: one that makes the task harder, more and more of it.

Li et al. (2023), arXiv:2211.16231, with the global temperature: `T = 1 + 20 sigmoid(t)`. It
descends by the student's own optimiser, along the gradient of the same objective times `-lambda`:
where the student makes the objective less, T makes it more. `lambda` rises from 0 to 1 along half a
cosine, and then stays.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from distill import losses
from distill.errors import InputError

SHARE = "temperature_curriculum"  # the hyperparameter: share of the run in which lambda rises
LEAST, RANGE = 1.0, 20.0  # of the temperature


def check(name: str, loss: Mapping[str, Any]) -> None:
    """Raises `InputError` if the loss `name` has no temperature that a curriculum could move.

    Args:
      name: as of `losses.name_of`.
      loss: the section `config.loss`, with a curriculum.
    """
    if "temperature" not in losses.hyperparameters(name) or loss["learn_temperature"]:
        raise InputError(
            f"loss.{SHARE} is {loss[SHARE]}, and {name} has no temperature that it could move; use "
            "kl without loss.learn_temperature, or leave it out"
        )
    if not LEAST < loss["temperature"] < LEAST + RANGE:
        raise InputError(
            f"loss.temperature is {loss['temperature']}; with loss.{SHARE} it begins between "
            f"{LEAST:g} and {LEAST + RANGE:g}, in the paper at 15.6"
        )


def init(hyper: Mapping[str, jax.Array]) -> dict[str, Any]:
    """Returns the part that is trained beside the student, from `temperature` on; or nothing."""
    if SHARE not in hyper:
        return {}
    share = (hyper["temperature"] - LEAST) / RANGE
    return {SHARE: {"logit": jnp.log(share) - jnp.log1p(-share)}}


def temperature(parts: Mapping[str, Any]) -> jax.Array:
    """Returns the temperature that has been reached."""
    return LEAST + RANGE * jax.nn.sigmoid(parts[SHARE]["logit"])


def strength(hyper: Mapping[str, jax.Array], progress: jax.Array) -> jax.Array:
    """Returns lambda.

    Args:
      hyper: of one student.
      progress: share of the run that is over.

    >>> print(strength({SHARE: jnp.float32(0.5)}, jnp.array([0.0, 0.25, 0.5, 1.0])).round(2))
    [0.  0.5 1.  1. ]
    """
    return (1 - jnp.cos(jnp.pi * jnp.minimum(1.0, progress / hyper[SHARE]))) / 2


def current(
    parts: Mapping[str, Any], hyper: Mapping[str, jax.Array], step: jax.Array, total_steps: int
) -> Mapping[str, jax.Array]:
    """Returns the hyperparameters with the temperature, whose gradient is reversed, if it moves."""
    if SHARE not in parts:
        return hyper
    factor = strength(hyper, step / total_steps)

    def reverse(x):
        return jax.lax.stop_gradient((1 + factor) * x) - factor * x

    return {**hyper, "temperature": temperature({SHARE: jax.tree.map(reverse, parts[SHARE])})}
