"""Losses that compare what two networks see of an image on the way; see the package.

`features` and `teacher_features` are as many arrays each, those of a pair at the same place, most
of them `[batch, height, width, channels]`. Where a method needs the same height and width, the
larger image is averaged over windows until it has the size of the other.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from distill import ops
from distill.errors import InputError

Features = Sequence[jax.Array]
TINY = 1e-24  # square of a norm up to which a vector has no direction


def attention(
    features: Features, teacher_features: Features, *, paper: jax.Array | bool = False
) -> jax.Array:
    """Attention transfer: mean squared difference of the maps of where a network looks.

    Zagoruyko and Komodakis (2017), arXiv:1612.03928, section 3.1: the map is the mean of the
    squares over the channels, as a vector of norm 1; summed over the pairs. That is the published
    code, and what others compare with, for which the weight is 1000 / 2. With `paper` it is eq. 2,
    the norm of the difference instead of the mean of its squares.

    Returns:
      `[batch]`.

    >>> x = jnp.ones((1, 2, 2, 3))
    >>> print(f"{attention([x], [x.at[:, 0].set(0.0)])[0]:.4f}")
    0.1464
    """
    total = jnp.zeros(features[0].shape[0])
    for pair in zip(features, teacher_features, strict=True):
        ours, theirs = (_unit(jnp.square(x).mean(-1)) for x in same_size("attention", *pair))
        squares = jnp.square(ours - theirs)
        total += jnp.where(paper, root(squares.sum(-1)), squares.mean(-1))
    return total


def fsp(
    features: Features, teacher_features: Features, *, paper: jax.Array | bool = False
) -> jax.Array:
    """Flow of the solution procedure: mean squared difference of what leads from stage to stage.

    Yim et al. (2017), CVPR: the matrix between two stages holds for each channel of the
    one and of the other the mean over the image of their product; summed over stages that follow
    one another. Maxima bring the larger image to the size of the smaller, as in the paper; of the
    codes that others compare with, RepDistiller's has averages there. The mean of the squares is
    theirs; with `paper` it is their sum.

    Args:
      features: of at least two stages.
      teacher_features: of as many, with the same numbers of channels.

    Returns:
      `[batch]`.

    Raises:
      InputError: if there are fewer than two stages, or the channels differ.

    >>> x = jnp.ones((1, 2, 2, 1))
    >>> print(fsp([x, 3 * x], [x, x]))
    [4.]
    """
    if len(features) < 2:
        raise InputError("fsp compares what is between two stages; give loss.taps two pairs")
    for ours, theirs in zip(features, teacher_features, strict=True):
        if ours.shape[-1] != theirs.shape[-1] or ours.ndim != 4:
            raise InputError(
                f"fsp needs stages of as many channels; {ours.shape[1:]} meets {theirs.shape[1:]}"
            )
    total = jnp.zeros(features[0].shape[0])
    for i in range(len(features) - 1):
        matrices = [_flow(*of[i : i + 2]) for of in (features, teacher_features)]
        squares = jnp.square(matrices[0] - matrices[1])
        total += jnp.where(paper, squares.sum((1, 2)), squares.mean((1, 2)))
    return total


def nst(features: Features, teacher_features: Features) -> jax.Array:
    """Neuron selectivity transfer: the maximum mean discrepancy of the channels as samples.

    Huang and Wang (2017), arXiv:1707.01219, with the polynomial kernel of degree 2 without a
    constant: each channel is a vector of norm 1 over the image; summed over the pairs. The numbers
    of channels may differ.

    Returns:
      `[batch]`.

    >>> x = jnp.eye(4).reshape(1, 2, 2, 4)
    >>> print(nst([x], [x[..., :2]]))
    [0.25]
    """
    total = jnp.zeros(features[0].shape[0])
    for pair in zip(features, teacher_features, strict=True):
        ours, theirs = (_channels(x) for x in same_size("nst", *pair))
        total += _kernel(ours, ours) + _kernel(theirs, theirs) - 2 * _kernel(ours, theirs)
    return total


def similarity(features: Features, teacher_features: Features) -> jax.Array:
    """Similarity-preserving: squared difference of how alike the examples of a batch are.

    Tung and Mori (2019), arXiv:1907.09682: the matrix holds the products of the
    features of two examples, each row as a vector of norm 1; its squared difference over `b²`,
    summed over the pairs. Features of any shapes.

    Returns:
      `[batch]`; the mean over the batch is the paper's value.

    >>> print(similarity([jnp.eye(2)], [jnp.ones((2, 2))]).round(4))
    [0.2929 0.2929]
    """
    batch = features[0].shape[0]
    total = jnp.zeros(batch)
    for pair in zip(features, teacher_features, strict=True):
        flat = (x.reshape(batch, -1) for x in pair)
        ours, theirs = (_unit(x @ x.T) for x in flat)
        total += jnp.square(ours - theirs).mean(-1)
    return total


def same_size(method: str, ours: jax.Array, theirs: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Brings two images to the size of the smaller by averages over windows.

    Args:
      method: for the message.
      ours, theirs: `[batch, height, width, channels]`.

    Raises:
      InputError: if they are no images, or the larger is not a multiple of the smaller.
    """
    smaller = [min(sizes) for sizes in zip(ours.shape[1:3], theirs.shape[1:3], strict=False)]
    images = ours.ndim == theirs.ndim == 4
    if not images or any(x.shape[i + 1] % smaller[i] for x in (ours, theirs) for i in (0, 1)):
        raise InputError(
            f"{method} needs images, of which one fills the other evenly; "
            f"{ours.shape[1:]} meets {theirs.shape[1:]}"
        )
    height, width = smaller

    def averaged(x):
        if x.shape[1:3] == (height, width):
            return x
        n, h, w, channels = x.shape
        return x.reshape(n, height, h // height, width, w // width, channels).mean((2, 4))

    return averaged(ours), averaged(theirs)


def _unit(x: jax.Array) -> jax.Array:
    """Returns what is behind the first axis as vectors of norm 1, `[batch, n]`."""
    return unit(x.reshape(x.shape[0], -1))


def unit(x: jax.Array) -> jax.Array:
    """Returns vectors of norm 1 along the last axis; 0 where there is no direction."""
    squares = jnp.square(x).sum(-1, keepdims=True)
    there = squares > TINY
    return jnp.where(there, x * jax.lax.rsqrt(jnp.where(there, squares, 1.0)), 0.0)


def root(squares: jax.Array) -> jax.Array:
    """Returns square roots, of which that of 0 has no gradient."""
    return jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1.0)), 0.0)


def _channels(x: jax.Array) -> jax.Array:
    """Returns each channel as a vector of norm 1 over the image, `[batch, channels, n]`."""
    return unit(x.reshape(x.shape[0], -1, x.shape[-1]).swapaxes(1, 2))


def _kernel(a: jax.Array, b: jax.Array) -> jax.Array:
    """Returns the mean over all pairs of channels of the square of their product, `[batch]`."""
    return jnp.square(jnp.einsum("bin,bjn->bij", a, b)).mean((1, 2))


def _flow(first: jax.Array, second: jax.Array) -> jax.Array:
    """Returns the mean over the image of the products of channels, `[batch, c, d]`."""
    height, width = (min(s) for s in zip(first.shape[1:3], second.shape[1:3], strict=True))

    def greatest(x):
        _, h, w, _ = x.shape
        if h % height or w * height != h * width:
            raise InputError(
                f"fsp needs stages of which one fills the other evenly; {first.shape[1:]} meets "
                f"{second.shape[1:]}"
            )
        return ops.max_pool(x, h // height)

    products = jnp.einsum("bhwc,bhwd->bcd", greatest(first), greatest(second))
    return products / (height * width)
