"""Loss functions: named arrays in, `[batch]` out; the caller reduces once.

Shapes are `[batch, num_classes]` float32 for `logits` (the student's), `teacher_logits` and
`log_soft_targets`, and `[batch]` int32 for `labels`. `teacher_logits` are normalised: they are the
logarithms of the teachers' mean probabilities, so a constant in them has no meaning. Logarithms of
probabilities are used throughout, since they stay exact where probabilities underflow. `pixels`,
`[batch, height, width, channels]` float32, are what the student saw, augmented, before they were
normalised; a loss that reads them compares outputs of their shape with them and has no classes.

A loss names what it needs in its signature, and gets that by name: arrays from the list above, and
as keyword-only hyperparameters whatever `config.loss` holds under the same name. A new loss is
therefore one function and one entry in `LOSSES`.
"""

import inspect
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import optax

from distill.errors import InputError

ARRAYS = ("logits", "labels", "teacher_logits", "log_soft_targets", "pixels")
FROM_TEACHER = ("teacher_logits", "log_soft_targets")


def log_soft_targets(teacher_logits: jax.Array, *, temperature: jax.Array | float) -> jax.Array:
    """Softens the logits of one or several teachers; an ensemble is averaged in probability space.

    Args:
      teacher_logits: `[members, batch, num_classes]`.
      temperature: softmax temperature T > 0.

    Returns:
      `log(mean over members of softmax(teacher_logits / T))`, `[batch, num_classes]`.
    """
    log_probs = jax.nn.log_softmax(teacher_logits / temperature)
    return jax.nn.logsumexp(log_probs, axis=0) - jnp.log(teacher_logits.shape[0])


def soft_squared_error(
    logits: jax.Array,
    log_soft_targets: jax.Array,
    *,
    temperature: jax.Array | float,
    gradient_correction: jax.Array | bool = False,
) -> jax.Array:
    """Squared error between the softened probabilities of student and teacher.

    `sum_c (softmax(logits / T)_c - soft_targets_c)^2`, the cost of Rusu (2018), section 2.3.3.

    Its gradient shrinks with 1/T² at high temperatures, one factor for the student's softmax and
    one for the distance of the probabilities. `gradient_correction` multiplies by T², as Hinton et
    al. (2015, arXiv:1503.02531, section 2) do for their loss; the thesis does not.

    Returns:
      `[batch]`.

    >>> logits = jnp.log(jnp.array([[0.5, 0.5]]))
    >>> error = soft_squared_error(logits, jnp.log(jnp.array([[0.9, 0.1]])), temperature=1.0)
    >>> print(f"{error[0]:.4f}")
    0.3200
    """
    probs = jax.nn.softmax(logits / temperature)
    error = jnp.square(probs - jnp.exp(log_soft_targets)).sum(-1)
    return error * jnp.where(gradient_correction, jnp.square(temperature), 1.0)


def kl(
    logits: jax.Array, log_soft_targets: jax.Array, *, temperature: jax.Array | float
) -> jax.Array:
    """Kullback-Leibler divergence of the softened student from the soft targets, times T².

    Hinton, Vinyals and Dean (2015), arXiv:1503.02531, section 2; their cross-entropy less the
    entropy of the targets, so that it is zero where student and teacher agree.

    Returns:
      `[batch]`.

    >>> logits = jnp.array([[1.0, 2.0, 3.0]])
    >>> print(f"{kl(logits, jax.nn.log_softmax(logits / 4), temperature=4.0)[0]:.4f}")
    0.0000
    """
    log_probs = jax.nn.log_softmax(logits / temperature)
    return _divergence(log_soft_targets, log_probs) * jnp.square(temperature)


def _divergence(log_targets: jax.Array, log_probs: jax.Array) -> jax.Array:
    """Returns `sum p log(p/q)` of distributions that may be nearly equal, never less than 0.

    `sum (p log(p/q) + q - p)` is the same, and each of its terms is 0 or more, so that rounding
    does not grow with T². Where p and q are close the first three terms of a series stand for it.
    """
    targets, difference = jnp.exp(log_targets), log_targets - log_probs
    exact = targets * difference + jnp.exp(log_probs) - targets
    near = jnp.abs(difference) < 0.03
    d = jnp.where(near, difference, 0.0)
    series = targets * jnp.square(d) * (1 / 2 - d / 6 + jnp.square(d) / 24)
    return jnp.where(near, series, exact).sum(-1)


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Cross-entropy with the ground truth; zero for a hidden label, which is -1.

    Returns:
      `[batch]`.

    >>> loss = cross_entropy(jnp.log(jnp.array([[0.25, 0.75]] * 2)), jnp.array([1, -1]))
    >>> print(f"{loss[0]:.4f} {loss[1]:.4f}")
    0.2877 0.0000
    """
    return optax.losses.softmax_cross_entropy_with_integer_labels(
        logits, jnp.maximum(labels, 0), where=labels[:, None] >= 0
    )


def logit_mse(logits: jax.Array, teacher_logits: jax.Array) -> jax.Array:
    """Mean squared difference of the logits, each centred on its own mean over the classes.

    Ba and Caruana (2014), arXiv:1312.6184; centred, since a softmax does not see a constant. The
    limit of `kl` for a high temperature, up to a factor.

    Returns:
      `[batch]`.

    >>> print(logit_mse(jnp.array([[1.0, 3.0]]), jnp.array([[0.0, 0.0]])))
    [1.]
    """
    difference = logits - teacher_logits
    return jnp.square(difference - difference.mean(-1, keepdims=True)).mean(-1)


def reconstruction(logits: jax.Array, pixels: jax.Array) -> jax.Array:
    """Mean squared difference of an output from the image, for an autoencoder.

    Args:
      logits: its output, of the shape of `pixels`.
      pixels: the image, between 0 and 1.

    Returns:
      `[batch]`.

    Raises:
      InputError: if the shapes differ.

    >>> print(reconstruction(jnp.array([[[[0.5], [1.0]]]]), jnp.array([[[[0.5], [0.0]]]])))
    [0.5]
    """
    if logits.shape != pixels.shape:
        raise InputError(
            f"the loss reconstruction needs outputs of the images' shape {pixels.shape[1:]}; those "
            f"of the model are {logits.shape[1:]}"
        )
    return jnp.square(logits - pixels).mean(tuple(range(1, pixels.ndim)))


LOSSES: dict[str, Callable[..., jax.Array]] = {
    "soft_squared_error": soft_squared_error,
    "kl": kl,
    "cross_entropy": cross_entropy,
    "logit_mse": logit_mse,
    "reconstruction": reconstruction,
}


def hyperparameters(name: str) -> tuple[str, ...]:
    """Returns the names of the hyperparameters that the loss `name` takes."""
    return tuple(p for p in inspect.signature(LOSSES[name]).parameters if p not in ARRAYS)


def needs_teacher(name: str) -> bool:
    """Whether the loss `name` compares with a teacher."""
    return any(p in FROM_TEACHER for p in inspect.signature(LOSSES[name]).parameters)


def compares_with_pixels(name: str) -> bool:
    """Whether the loss `name` is of a model that reconstructs images instead of classifying."""
    return "pixels" in inspect.signature(LOSSES[name]).parameters


def weighted_terms(
    name: str,
    logits: jax.Array,
    labels: jax.Array,
    teacher_logits: jax.Array | None,
    hyper: Mapping[str, jax.Array],
    pixels: jax.Array | None = None,
) -> dict[str, jax.Array]:
    """Evaluates `config.loss`: the loss `name`, mixed with cross-entropy if it needs a teacher.

    Args:
      name: an entry of `LOSSES`.
      logits: the student's, `[batch, num_classes]`.
      labels: ground truth `[batch]`; -1 where hidden.
      teacher_logits: `[members, batch, num_classes]`, or None for a loss without a teacher.
      hyper: the numbers of `config.loss` by name. `alpha` is the weight of the soft term, a mean
        over the batch, and `1 - alpha` that of the cross-entropy, a mean over the visible labels.
      pixels: between 0 and 1, `[batch, height, width, channels]`, for a loss that reads them.

    Returns:
      The named terms, weighted, each `[batch]`; the objective is their sum.
    """
    arrays = {"logits": logits, "labels": labels}
    if pixels is not None:
        arrays["pixels"] = pixels
    if teacher_logits is not None:
        arrays["teacher_logits"] = log_soft_targets(teacher_logits, temperature=1.0)
        temperature = hyper.get("temperature", 1.0)
        arrays["log_soft_targets"] = log_soft_targets(teacher_logits, temperature=temperature)
    parameters = inspect.signature(LOSSES[name]).parameters
    named = {p: arrays[p] if p in ARRAYS else hyper[p] for p in parameters}
    value = LOSSES[name](**named)
    if not needs_teacher(name):
        return {name: value}
    alpha = hyper["alpha"]
    visible = (labels >= 0).mean()
    hard = jnp.where(visible > 0, 1 / visible, 0) * cross_entropy(logits, labels)
    return {name: alpha * value, "hard_loss": (1 - alpha) * hard}
