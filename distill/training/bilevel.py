"""The temperature learned by supervision, from a validation gradient through one training step.

Each student follows its own `log T` by Adam, beside its weights: what the step that it has just
made would have been at another T, and whether that would have lowered the cross-entropy of images
that it is not trained on. Luketina et al. (2016), arXiv:1511.06727, unroll one step likewise; the
mixed derivative is the finite difference of Liu, Simonyan and Yang (2019), arXiv:1806.09055, eq. 8,
which needs no second derivative of the network.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

RATE = "temperature_learning_rate"  # the hyperparameter that only students who learn T have
RADIUS = 0.01  # how far the weights are moved for the finite difference, in Euclidean norm

Tree = Any
Learned = dict[str, Any]


def init(hyper: Mapping[str, jax.Array]) -> Learned:
    """Returns what a student carries to learn T, from `temperature` on; empty if it does not."""
    if RATE not in hyper:
        return {}
    log_temperature = jnp.log(hyper["temperature"])
    opt_state = _optimizer(hyper).init(log_temperature)
    return {"log_temperature": log_temperature, "opt_state": opt_state}


def current(learned: Learned, hyper: Mapping[str, jax.Array]) -> Mapping[str, jax.Array]:
    """Returns the hyperparameters with the temperature that has been reached."""
    return {**hyper, "temperature": jnp.exp(learned["log_temperature"])} if learned else hyper


def update(learned: Learned, hyper: Mapping[str, jax.Array], gradient: jax.Array) -> Learned:
    """Follows the gradient in `log T`."""
    updates, opt_state = _optimizer(hyper).update(gradient, learned["opt_state"])
    return {"log_temperature": learned["log_temperature"] + updates, "opt_state": opt_state}


def hypergradient(
    training_loss: Callable[[Tree, jax.Array], jax.Array],
    step: Callable[[Tree], Tree],
    params: Tree,
    gradients: Tree,
    validation_gradients: Tree,
    value: jax.Array,
) -> jax.Array:
    """Differentiates the validation loss after a training step with respect to a hyperparameter.

    With `L` the training loss, `theta' = theta + step(dL/dtheta)`, `v` the validation gradient at
    `theta'` and `d = (dstep/dgradients)^T v`, it is `d . d²L/(dtheta dvalue)`, taken as the
    difference of `dL/dvalue` at `theta + r d` and `theta - r d`, over `2 r`.

    Args:
      training_loss: scalar, of the parameters and the hyperparameter.
      step: from the gradients to what is added to the parameters.
      params: before the step.
      gradients: of the training loss there.
      validation_gradients: of the validation loss, after the step.
      value: of the hyperparameter, a scalar.

    Returns:
      A scalar.
    """
    _, pull_back = jax.vjp(step, gradients)
    (direction,) = pull_back(validation_gradients)
    # Adam has no derivative where a gradient has always been zero; nothing depends on it there.
    direction = jax.tree.map(lambda d: jnp.where(jnp.isfinite(d), d, 0), direction)
    r = RADIUS / jnp.maximum(optax.tree.norm(direction), jnp.finfo(jnp.float32).tiny)

    def slope(sign):
        moved = jax.tree.map(lambda p, d: p + sign * r * d, params, direction)
        return jax.grad(training_loss, argnums=1)(moved, value)

    return (slope(1) - slope(-1)) / (2 * r)


def _optimizer(hyper: Mapping[str, jax.Array]) -> optax.GradientTransformation:
    return optax.adam(hyper[RATE])
