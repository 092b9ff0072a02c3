"""What the losses of probabilities have in common; see the package."""

import jax
import jax.numpy as jnp


def is_label(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Returns where the class is the label's, `[batch, num_classes]` bool."""
    return jnp.arange(logits.shape[-1])[None] == labels[:, None]


def binary(log_probs: jax.Array, mask: jax.Array) -> jax.Array:
    """Returns the logarithms of the probability within a mask and outside of it, `[batch, 2]`."""
    parts = [jax.nn.logsumexp(log_probs, axis=-1, where=where) for where in (mask, ~mask)]
    return jnp.stack(parts, axis=-1)


def among(log_probs: jax.Array, mask: jax.Array) -> jax.Array:
    """Normalises log-probabilities over the classes of a mask; those outside of it are zero."""
    masked = jnp.where(mask, log_probs, -jnp.inf)
    greatest = jax.lax.stop_gradient(jnp.where(mask.any(-1), masked.max(-1), 0.0))[:, None]
    shifted = jnp.where(mask, log_probs - greatest, 0.0)
    total = jnp.where(mask, jnp.exp(shifted), 0.0).sum(-1, keepdims=True)
    return jnp.where(mask, shifted - jnp.log(jnp.where(total > 0, total, 1.0)), 0.0)


def divergence(
    log_targets: jax.Array, log_probs: jax.Array, mask: jax.Array | None = None
) -> jax.Array:
    """Returns `sum p log(p/q)` of distributions that may be nearly equal, never less than 0.

    `sum (p log(p/q) + q - p)` is the same, and each of its terms is 0 or more, so that rounding
    does not grow with T². Where p and q are close the first three terms of a series stand for it.

    Args:
      log_targets, log_probs: `log p` and `log q`, `[..., num_classes]`.
      mask: the classes that p and q are of, likewise; all if None.

    Returns:
      `[...]`.
    """
    targets, difference = jnp.exp(log_targets), log_targets - log_probs
    exact = targets * difference + jnp.exp(log_probs) - targets
    near = jnp.abs(difference) < 0.03
    d = jnp.where(near, difference, 0.0)
    series = targets * jnp.square(d) * (1 / 2 - d / 6 + jnp.square(d) / 24)
    terms = jnp.where(near, series, exact)
    return (terms if mask is None else jnp.where(mask, terms, 0.0)).sum(-1)
