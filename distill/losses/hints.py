"""Losses of features that pass through something learned; see the package and `parts`."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from distill.losses.features import same_size

Features = Sequence[jax.Array]


def fitnets(
    projected: Features, teacher_features: Features, *, paper: jax.Array | bool = False
) -> jax.Array:
    """Hints: mean squared difference of the student's features, projected, from the teacher's.

    Romero et al. (2015), arXiv:1412.6550, eq. 3, trained together with the other terms; summed over
    the pairs. The mean is what others compare with; with `paper` it is half the sum of the squares.
    The regressor is linear, where others have batch normalisation and a relu behind it.

    Args:
      projected: the student's features with the teacher's channels, by a learned linear map.
      teacher_features: the larger image is averaged to the size of the smaller.

    Returns:
      `[batch]`.

    >>> print(fitnets([jnp.ones((1, 2, 2, 3))], [jnp.zeros((1, 4, 4, 3))]))
    [1.]
    """
    total = jnp.zeros(projected[0].shape[0])
    for ours, theirs in zip(projected, teacher_features, strict=True):
        if theirs.ndim == 4:
            ours, theirs = same_size("fitnets", ours, theirs)
        total += _mean_or_sum(jnp.square(ours - theirs), paper, 1 / 2)
    return total


def _mean_or_sum(values: jax.Array, paper: jax.Array | bool, factor: float) -> jax.Array:
    """Returns the mean of an example, or the sum times a factor, `[batch]`."""
    values = values.reshape(len(values), -1)
    return jnp.where(paper, factor * values.sum(-1), values.mean(-1))


def vid(
    predicted: Features,
    variances: Sequence[jax.Array],
    teacher_features: Features,
    *,
    paper: jax.Array | bool = False,
) -> jax.Array:
    """Variational information distillation: how unlikely a prediction holds the teacher's features.

    Ahn et al. (2019), arXiv:1904.05835: the negative logarithm of a Gaussian density
    without its constant, its mean predicted from the student's features and its variance learned
    for each channel; the mean over an example, as others have it, summed over the pairs. With
    `paper` it is the sum over an example. It can be below zero.

    Args:
      predicted: of the teacher's features.
      variances: `[channels]` of each, more than 0.
      teacher_features: the larger image is averaged to the size of the smaller.

    Returns:
      `[batch]`.

    >>> zero, variance = jnp.zeros((1, 2, 2, 3)), jnp.full(3, 2.0)
    >>> print(f"{vid([zero], [variance], [zero + 2.0])[0]:.4f}")  # 2² / (2 · 2) + log(2) / 2
    1.3466
    """
    total = jnp.zeros(predicted[0].shape[0])
    for mean, variance, theirs in zip(predicted, variances, teacher_features, strict=True):
        if theirs.ndim == 4:
            mean, theirs = same_size("vid", mean, theirs)
        variance = variance.reshape((1,) * (theirs.ndim - 1) + (-1,))
        value = (jnp.square(mean - theirs) / variance + jnp.log(variance)) / 2
        total += _mean_or_sum(value, paper, 1.0)
    return total


def srrl(
    projected_embedding: jax.Array,
    teacher_embedding: jax.Array,
    teacher_classifier: tuple[jax.Array, jax.Array],
    *,
    regression_weight: jax.Array | float = 1.0,
) -> jax.Array:
    """Softmax regression: the teacher's classifier finds the same in the student's features.

    Yang et al. (2021), ICLR, "Knowledge distillation via softmax regression representation
    learning": mean squared differences of the penultimate vectors, the student's
    projected, and of what the teacher's last layer makes of both. (The projector is linear; that of
    the published code has batch normalisation and a relu behind it.)

    Args:
      projected_embedding, teacher_embedding: `[batch, n]`.
      teacher_classifier: kernel `[n, num_classes]` and bias `[num_classes]`.
      regression_weight: of the second difference.

    Returns:
      `[batch]`.

    >>> classifier = (jnp.eye(2), jnp.zeros(2))
    >>> print(srrl(jnp.zeros((1, 2)), jnp.array([[3.0, 1.0]]), classifier))
    [10.]
    """
    kernel, bias = teacher_classifier
    ours, theirs = (x @ kernel + bias[None] for x in (projected_embedding, teacher_embedding))
    features = jnp.square(projected_embedding - teacher_embedding).mean(-1)
    return features + regression_weight * jnp.square(ours - theirs).mean(-1)


def simkd(projected_embedding: jax.Array, teacher_embedding: jax.Array) -> jax.Array:
    """The reused teacher's classifier: the student's features come close to what that reads.

    Chen et al. (2022), arXiv:2203.14001, eq. 3: mean squared difference of the penultimate vectors,
    the student's projected. The student then has no last layer of its own: behind the projector it
    has the teacher's. The paper's projector is three convolutions; here it is linear, so that both
    together are one linear layer, which is the student's last one, of the size that it always was.
    (The published code compares the images of features, before the mean over their pixels.)

    Args:
      projected_embedding, teacher_embedding: `[batch, n]`.

    Returns:
      `[batch]`.

    >>> print(simkd(jnp.zeros((1, 2)), jnp.array([[3.0, 1.0]])))
    [5.]
    """
    return jnp.square(projected_embedding - teacher_embedding).mean(-1)


def crd(
    embedded: jax.Array,
    teacher_embedded: jax.Array,
    *,
    contrast_temperature: jax.Array | float = 0.07,
) -> jax.Array:
    """Contrastive representation distillation: each example is to be found among those of a batch.

    Tian et al. (2020), arXiv:1910.10699, section 3.1, with the other examples of the batch as
    negatives, and the cross-entropy of a softmax over them (van den Oord et al. 2018,
    arXiv:1807.03748) where the paper has a critic of pairs and a memory; the mean of both ways,
    from the student to the teachers' vectors and back.

    Args:
      embedded, teacher_embedded: `[batch, n]` of norm 1, by linear maps that are learned.
      contrast_temperature: that the cosines are divided by, tau of the paper.

    Returns:
      `[batch]`; about the logarithm of the batch for vectors that have nothing in common.

    >>> x = jnp.eye(2)
    >>> print(f"{crd(x, x, contrast_temperature=1.0)[0]:.4f}")  # log(1 + exp(-1))
    0.3133
    """
    cosines = embedded @ teacher_embedded.T / contrast_temperature
    both = jnp.diagonal(jax.nn.log_softmax(cosines, axis=1) + jax.nn.log_softmax(cosines, axis=0))
    return -both / 2
