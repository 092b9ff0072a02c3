"""Losses of probabilities, of logits and of pixels; see the package for what they are given."""

import jax
import jax.numpy as jnp
import optax

from distill.errors import InputError
from distill.losses.distributions import divergence, is_label

LEAST_DEVIATION = 1e-7  # by which logits that are all the same are divided


def standardise(logits: jax.Array) -> jax.Array:
    """Shifts and scales logits to mean 0 and standard deviation 1 over the classes.

    Sun et al. (2024), arXiv:2403.01427, section 4: a student then learns what relations of the
    logits its teacher has, and not their scale. The deviation is the paper's, divided by the number
    of classes; the published code divides by one less.

    Args:
      logits: `[..., num_classes]`.

    >>> print(standardise(jnp.array([[1.0, 3.0]])))
    [[-1.  1.]]
    """
    centred = logits - logits.mean(-1, keepdims=True)
    variance = jnp.square(centred).mean(-1, keepdims=True)
    return centred / jnp.sqrt(jnp.maximum(variance, LEAST_DEVIATION**2))


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
    return divergence(log_soft_targets, log_probs) * jnp.square(temperature)


def mutual(
    logits: jax.Array, peer_logits: jax.Array, *, temperature: jax.Array | float = 1.0
) -> jax.Array:
    """Deep mutual learning: the mean over the peers of the divergence from their predictions.

    Zhang et al. (2018), arXiv:1706.00384, section 2, times T²; the paper has T = 1.

    Args:
      logits: `[batch, num_classes]`.
      peer_logits: `[peers, batch, num_classes]`, of the students beside this one; no gradient
        reaches them.
      temperature: T.

    Returns:
      `[batch]`.

    >>> peers = jnp.log(jnp.array([[[0.75, 0.25]], [[0.5, 0.5]]]))
    >>> print(mutual(jnp.zeros((1, 2)), peers).round(4))  # (0.75 log 1.5 + 0.25 log 0.5 + 0) / 2
    [0.0654]
    """
    log_peers = jax.nn.log_softmax(jax.lax.stop_gradient(peer_logits) / temperature)
    log_own = jax.nn.log_softmax(logits / temperature)[None]
    return temperature**2 * divergence(log_peers, log_own).mean(0)


def reverse_kl(
    logits: jax.Array, log_soft_targets: jax.Array, *, temperature: jax.Array | float
) -> jax.Array:
    """Kullback-Leibler divergence of the soft targets from the softened student, times T².

    `kl` with the two exchanged: it punishes what the student holds likely and its teacher does not
    (Gu et al. 2024, arXiv:2306.08543, section 2).

    Returns:
      `[batch]`.

    >>> targets = jnp.log(jnp.array([[0.25, 0.75]]))
    >>> print(f"{reverse_kl(jnp.zeros((1, 2)), targets, temperature=1.0)[0]:.4f}")
    0.1438
    """
    log_probs = jax.nn.log_softmax(logits / temperature)
    return divergence(log_probs, log_soft_targets) * jnp.square(temperature)


def jensen_shannon(
    logits: jax.Array, log_soft_targets: jax.Array, *, temperature: jax.Array | float
) -> jax.Array:
    """Jensen-Shannon divergence of the softened student and the soft targets, times T².

    Lin (1991), IEEE Trans. Inf. Theory 37(1); symmetric, and before the factor at most log 2.

    Returns:
      `[batch]`.

    >>> logits = jnp.array([[-50.0, 50.0]])
    >>> opposite = jax.nn.log_softmax(-logits)
    >>> print(f"{jensen_shannon(logits, opposite, temperature=1.0)[0]:.4f}")
    0.6931
    """
    log_probs = jax.nn.log_softmax(logits / temperature)
    log_mean = jnp.logaddexp(log_probs, log_soft_targets) - jnp.log(2.0)
    both = divergence(log_probs, log_mean) + divergence(log_soft_targets, log_mean)
    return both / 2 * jnp.square(temperature)


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


def smoothed_cross_entropy(
    logits: jax.Array, labels: jax.Array, *, label_smoothing: jax.Array | float
) -> jax.Array:
    """Cross-entropy with labels of which a share is spread over all classes.

    Szegedy et al. (2016), arXiv:1512.00567, section 7: the targets are `1 - e + e / K` for the
    class and `e / K` for each other. Zero for a hidden label, which is -1.

    Returns:
      `[batch]`.

    >>> logits = jnp.log(jnp.array([[0.25, 0.75]]))
    >>> loss = smoothed_cross_entropy(logits, jnp.array([1]), label_smoothing=0.2)
    >>> print(f"{loss[0]:.4f}")
    0.3975
    """
    even = jnp.where(labels >= 0, -jax.nn.log_softmax(logits).mean(-1), 0.0)
    return (1 - label_smoothing) * cross_entropy(logits, labels) + label_smoothing * even


def teacher_free(
    logits: jax.Array,
    labels: jax.Array,
    *,
    temperature: jax.Array | float,
    correct: jax.Array | float = 0.99,
) -> jax.Array:
    """Kullback-Leibler divergence of the softened student from a teacher that is made by hand.

    Tf-KD with regularisation, Yuan et al. (2020), arXiv:1909.11723: the teacher gives
    the label `correct` and each other class an equal part of the rest, softened by T. It is
    `D(p_T, q_T)` without a factor T², as in the paper. (Its published code softens the teacher's
    probabilities as if they were logits, leaves the student's as they are, and takes the mean over
    the classes times a number, up to 100.) The paper's other form, a teacher of the student's own
    architecture, is `kl`.

    Returns:
      `[batch]`.

    >>> targets = jnp.log(jnp.array([[0.9, 0.1]]))
    >>> print(f"{teacher_free(targets, jnp.array([0]), temperature=3.0, correct=0.9)[0]:.4f}")
    0.0000
    """
    others = logits.shape[-1] - 1
    teacher = jnp.where(is_label(logits, labels), correct, (1 - correct) / others)
    targets = jax.nn.log_softmax(jnp.log(teacher) / temperature)
    log_probs = jax.nn.log_softmax(logits / temperature)
    return jnp.where(labels >= 0, divergence(targets, log_probs), 0.0)


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
