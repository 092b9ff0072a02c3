"""Losses that compare how the examples of a batch lie to one another; see the package.

`embedding` and `teacher_embedding` are `[batch, n]` and `[batch, m]`: a vector for each example, of
which only the relations within a network are compared, so that n and m may differ. Values are those
of one example with all others; their mean over the batch is the value of the paper.
"""

import jax
import jax.numpy as jnp
import optax

from distill.losses.features import root, unit

SMALL = 1e-7  # added to a probability before the logarithm


def rkd_distance(embedding: jax.Array, teacher_embedding: jax.Array) -> jax.Array:
    """Relational distillation by distances: Huber's loss of distances over their mean.

    Park et al. (2019), arXiv:1904.05068: the distance of two examples, over the mean of
    those of all pairs. Blind to rotation, shift and scale of either embedding.

    Returns:
      `[batch]`; a mean over all pairs, of which the published code counts each example with itself.

    >>> corners = jnp.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    >>> print(f"{abs(rkd_distance(corners, 5 - 3 * corners)).max():.4f}")
    0.0000
    """
    ours, theirs = (_over_mean(_distances(x)) for x in (embedding, teacher_embedding))
    return optax.losses.huber_loss(ours, theirs).mean(-1)


def rkd_angle(embedding: jax.Array, teacher_embedding: jax.Array) -> jax.Array:
    """Relational distillation by angles: Huber's loss of the cosines of all triples.

    Park et al. (2019), arXiv:1904.05068: for examples i, j and k the cosine of the
    angle at j. Takes memory of `batch³`.

    Returns:
      `[batch]`, by the example at the angle; a mean over all triples.

    >>> corners = jnp.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    >>> print(f"{abs(rkd_angle(corners, 5 - 3 * corners)).max():.4f}")
    0.0000
    """
    ours, theirs = (_cosines(x) for x in (embedding, teacher_embedding))
    return optax.losses.huber_loss(ours, theirs).mean((1, 2))


def pkt(
    embedding: jax.Array, teacher_embedding: jax.Array, *, paper: jax.Array | bool = False
) -> jax.Array:
    """Probabilistic knowledge transfer: divergence of who is near to whom, by the cosine.

    Passalis and Tefas (2018), arXiv:1803.10837: `(1 + cosine) / 2` of two examples,
    over the sum of those of a row. As in the published code a row has the example itself in it, and
    the mean is taken over all `b²` entries; with `paper` a row is of the others, and its terms are
    summed. (1e-7 is added to probabilities, as in the code, which adds it to norms too.) Blind to
    rotation of either embedding, and to the scale of each of its vectors.

    Returns:
      `[batch]`.

    >>> x = jnp.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> print(f"{abs(pkt(x, 3 * x[:, ::-1])).max():.4f}")
    0.0000
    """
    others = jnp.where(paper, ~jnp.eye(len(embedding), dtype=bool), True)
    ours, theirs = (_conditional(x, others) for x in (embedding, teacher_embedding))
    terms = theirs * jnp.log((theirs + SMALL) / (ours + SMALL))
    return jnp.where(paper, terms.sum(-1), terms.mean(-1))


def correlation_congruence(
    embedding: jax.Array,
    teacher_embedding: jax.Array,
    *,
    gamma: jax.Array | float = 0.4,
) -> jax.Array:
    """Correlation congruence: squared difference of the examples' kernel matrices, over `b²`.

    Peng et al. (2019), arXiv:1904.01802: a Gaussian kernel of vectors of norm 1, by
    its Taylor series to the second order. (The code that its author gave to RepDistiller is another
    loss: what the differences of neighbours in the batch have in common. Weights are of either.)

    Returns:
      `[batch]`.

    >>> x = jnp.array([[1.0, 0.0], [0.0, 1.0]])
    >>> print(correlation_congruence(x, jnp.ones((2, 2)), gamma=0.5).round(4))
    [0.1523 0.1523]
    """

    def kernel(x):
        cosine = unit(x) @ unit(x).T
        scale = 2 * gamma
        return jnp.exp(-scale) * (1 + scale * cosine + jnp.square(scale * cosine) / 2)

    return jnp.square(kernel(embedding) - kernel(teacher_embedding)).mean(-1)


def _distances(x: jax.Array) -> jax.Array:
    """Returns the Euclidean distances `[batch, batch]`; those of zero have no gradient."""
    return root(_squares(x))


@jax.custom_jvp
def _squares(x: jax.Array) -> jax.Array:
    """Returns the squared distances of all pairs, `[batch, batch]`, to the last digits.

    Not by `i·i + j·j - 2 i·j`, of which nothing is left where examples lie close to one another.
    """
    return jnp.square(x[:, None] - x[None]).sum(-1)


@_squares.defjvp
def _squares_jvp(primals, tangents):
    """`2 (i - j)·(di - dj)`, by products of matrices: the derivative needs not as many digits."""
    (x,), (tangent,) = primals, tangents
    x = x - x.mean(0, keepdims=True)  # which changes no distance, and leaves less to cancel
    products = jnp.matmul(x, tangent.T, precision="highest")
    own = jnp.diagonal(products)
    return _squares(primals[0]), 2 * (own[:, None] + own[None] - products - products.T)


def _over_mean(distances: jax.Array) -> jax.Array:
    """Divides by the mean of the distances of different examples."""
    pairs = len(distances) * (len(distances) - 1)
    mean = distances.sum() / max(pairs, 1)
    return distances / jnp.where(mean > 0, mean, 1.0)


def _cosines(x: jax.Array) -> jax.Array:
    """Returns for each j the cosines of the directions to i and k, `[batch, batch, batch]`.

    By the law of cosines, `2 (i - j)·(k - j) = |i - j|² + |k - j|² - |i - k|²`, which takes b³
    operations where the directions themselves take b³ for each of their numbers. Of a pair that is
    r times closer than the third, a cosine is known to r times the last digit.
    """
    squares = _squares(x)
    apart = squares > 0
    inverse = jnp.where(apart, jax.lax.rsqrt(jnp.where(apart, squares, 1.0)), 0.0)
    between = (squares[:, :, None] + squares[:, None, :] - squares[None]) / 2
    return between * inverse[:, :, None] * inverse[:, None, :]


def _conditional(x: jax.Array, others: jax.Array) -> jax.Array:
    alike = jnp.where(others, (1 + unit(x) @ unit(x).T) / 2, 0.0)
    return alike / jnp.maximum(alike.sum(-1, keepdims=True), SMALL)
