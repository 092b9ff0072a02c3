"""Losses of logits that treat the class of the label, or correlations, apart; see the package."""

import jax
import jax.numpy as jnp

from distill.losses.distributions import among, binary, divergence, is_label

LEAST_PRODUCT = 1e-8  # of the two norms in a correlation


def dkd(
    logits: jax.Array,
    log_soft_targets: jax.Array,
    labels: jax.Array,
    *,
    temperature: jax.Array | float,
    tckd_weight: jax.Array | float = 1.0,
    nckd_weight: jax.Array | float = 8.0,
) -> jax.Array:
    """Decoupled knowledge distillation: `kl` in two parts with weights of their own, times T².

    Zhao et al. (2022), arXiv:2203.08679, eq. 7. TCKD is the divergence of "the label or not", NCKD
    that among the other classes, without the label. With weights 1 and `1 - p`, p what the soft
    targets give the label, it is `kl`. (The factor T² is the published code's; the paper has T = 1
    in its formulae.)

    Args:
      logits: `[batch, num_classes]`, of at least two classes.
      log_soft_targets: `[batch, num_classes]`.
      labels: `[batch]`; the value of a hidden label, -1, has no meaning.
      temperature: T.
      tckd_weight: alpha of the paper.
      nckd_weight: beta of the paper, which is 8 for most of its pairs on CIFAR-100.

    Returns:
      `[batch]`.

    >>> logits, targets = jnp.zeros((1, 3)), jnp.log(jnp.array([[0.5, 0.3, 0.2]]))
    >>> print(f"{dkd(logits, targets, jnp.array([0]), temperature=1.0, nckd_weight=0.5)[0]:.4f}")
    0.0690
    """
    student, teacher = jax.nn.log_softmax(logits / temperature), log_soft_targets
    label = is_label(logits, labels)
    tckd = divergence(binary(teacher, label), binary(student, label))
    nckd = divergence(among(teacher, ~label), among(student, ~label), ~label)
    return (tckd_weight * tckd + nckd_weight * nckd) * jnp.square(temperature)


def nkd(
    logits: jax.Array,
    teacher_logits: jax.Array,
    log_soft_targets: jax.Array,
    labels: jax.Array,
    *,
    temperature: jax.Array | float,
    gamma: jax.Array | float = 1.5,
) -> jax.Array:
    """Normalised knowledge distillation: cross-entropies of the label and among the other classes.

    Yang et al. (2023), arXiv:2303.13005, without the first term of theirs, which is the
    cross-entropy with the labels: `- t log s - gamma T² sum_i N(t_T)_i log N(s_T)_i`. Here t and s
    are what teacher and student give the label, not softened, and N normalises over the other
    classes. Being cross-entropies, they are not zero where student and teacher agree.

    Args:
      logits: `[batch, num_classes]`.
      teacher_logits: likewise, the logarithms of the teachers' mean probabilities.
      log_soft_targets: the same softened.
      labels: `[batch]`; the value of a hidden label, -1, has no meaning.
      temperature: T, lambda of the paper; 1 in most of it.
      gamma: weight of the second term.

    Returns:
      `[batch]`.

    >>> targets = jnp.log(jnp.array([[0.5, 0.25, 0.25]]))
    >>> loss = nkd(jnp.zeros((1, 3)), targets, targets, jnp.array([0]), temperature=1.0, gamma=1.0)
    >>> print(f"{loss[0]:.4f}")  # log(3) / 2 + log(2)
    1.2425
    """
    label = is_label(logits, labels)
    given = jnp.where(label, jax.nn.softmax(teacher_logits) * jax.nn.log_softmax(logits), 0)
    student = among(jax.nn.log_softmax(logits / temperature), ~label)
    teacher = among(log_soft_targets, ~label)
    others = jnp.where(label, 0, jnp.exp(teacher) * student)
    return -given.sum(-1) - gamma * jnp.square(temperature) * others.sum(-1)


def rld(
    logits: jax.Array,
    log_soft_targets: jax.Array,
    labels: jax.Array,
    *,
    temperature: jax.Array | float,
    scd_weight: jax.Array | float = 1.0,
    mcd_weight: jax.Array | float = 8.0,
) -> jax.Array:
    """Refined logit distillation: nothing is learned of what the teacher gets wrong, times T².

    Sun et al. (2024), arXiv:2408.07703. Sample confidence (SCD): the teacher's greatest
    probability, whatever its class is, is the target of what the student gives the label. Masked
    correlation (MCD): the divergence among those classes that the teacher holds less likely than
    the label. Where there are none, that part is zero. (The published code has a temperature for
    each part, by default 1 for SCD and 4 for MCD; here both have T.)

    Args:
      logits: `[batch, num_classes]`.
      log_soft_targets: `[batch, num_classes]`.
      labels: `[batch]`; the value of a hidden label, -1, has no meaning.
      temperature: T.
      scd_weight, mcd_weight: of the two parts; alpha and beta of the paper.

    Returns:
      `[batch]`.

    >>> targets = jnp.log(jnp.array([[0.6, 0.3, 0.1]]))
    >>> print(f"{rld(jnp.zeros((1, 3)), targets, jnp.array([1]), temperature=1.0)[0]:.4f}")
    0.1483
    """
    student, teacher = jax.nn.log_softmax(logits / temperature), log_soft_targets
    label = is_label(logits, labels)
    greatest = is_label(logits, teacher.argmax(-1))
    scd = divergence(binary(teacher, greatest), binary(student, label))
    given = jnp.take_along_axis(teacher, jnp.maximum(labels, 0)[:, None], axis=-1)
    less = teacher < given
    mcd = divergence(among(teacher, less), among(student, less), less)
    return (scd_weight * scd + mcd_weight * mcd) * jnp.square(temperature)


def dist(
    logits: jax.Array,
    log_soft_targets: jax.Array,
    *,
    temperature: jax.Array | float,
    inter_weight: jax.Array | float = 1.0,
    intra_weight: jax.Array | float = 1.0,
) -> jax.Array:
    """Distances of correlation between the probabilities of student and teacher, times T².

    DIST, Huang et al. (2022), arXiv:2205.10536: one less Pearson's correlation, over
    the classes of each example (inter) and over the examples of the batch for each class (intra).
    Blind to shift and scale of the probabilities. (The factor T² is the published code's, which
    adds 1e-8 to the product of the norms; here that is the least that is divided by.)

    Args:
      logits: `[batch, num_classes]`.
      log_soft_targets: `[batch, num_classes]`.
      temperature: T.
      inter_weight, intra_weight: beta and gamma of the paper.

    Returns:
      `[batch]`; intra is of the batch, and the same for all of it.

    >>> targets = jnp.log(jnp.array([[0.6, 0.3, 0.1], [0.2, 0.2, 0.6]]))
    >>> print(f"{abs(dist(2 * targets, jax.nn.log_softmax(targets), temperature=2.0)).max():.4f}")
    0.0000
    """
    student, teacher = jax.nn.softmax(logits / temperature), jnp.exp(log_soft_targets)
    inter = 1 - _correlation(student, teacher, axis=-1)
    intra = 1 - _correlation(student, teacher, axis=0).mean()
    return (inter_weight * inter + intra_weight * intra) * jnp.square(temperature)


def _correlation(a: jax.Array, b: jax.Array, axis: int) -> jax.Array:
    """Returns Pearson's correlation along an axis; 0 where one of the two does not vary."""
    a, b = (x - x.mean(axis, keepdims=True) for x in (a, b))
    squares = jnp.square(a).sum(axis) * jnp.square(b).sum(axis)
    return (a * b).sum(axis) / jnp.sqrt(jnp.maximum(squares, LEAST_PRODUCT**2))
