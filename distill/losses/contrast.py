"""Contrast with examples of other batches, whose vectors are remembered; see the package."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from distill.losses.features import unit
from distill.losses.parts import EMBEDDED

NEGATIVES = 16384  # of each example, in the paper and its code
MOMENTUM = 0.5  # share of what was remembered of an example that stays

Kept = dict[str, Any]
"""What is remembered: `student` and `teacher`, `[examples, 128]`, and `normaliser`, `[2]`."""


class Memory(NamedTuple):
    """How much is remembered.

    Attributes:
      examples: of the training set.
      negatives: that each example is contrasted with.
    """

    examples: int
    negatives: int

    @property
    def num_bytes(self) -> int:
        """Of what is kept for a student."""
        return 4 * 2 * self.examples * EMBEDDED

    def init(self, key: jax.Array) -> Kept:
        """Returns a fresh memory: random vectors, as the published code has, and no normaliser."""
        bound = 1 / math.sqrt(EMBEDDED / 3)
        shape = (2, self.examples, EMBEDDED)
        student, teacher = jax.random.uniform(key, shape, minval=-bound, maxval=bound)
        return {"student": student, "teacher": teacher, "normaliser": jnp.zeros(2)}

    def candidates(self, key: jax.Array, index: jax.Array) -> jax.Array:
        """Draws what each example of a batch is contrasted with: others, each equally likely.

        Args:
          key: of the step.
          index: `[batch]` int32.

        Returns:
          `[batch, 1 + negatives]` int32; the example itself comes first.
        """
        shape = (len(index), self.negatives)
        # One draw of 32 bits each, as even as `examples / 2³²`; `randint` takes two.
        others = jax.random.bits(key, shape) % jnp.uint32(self.examples - 1)
        others = others.astype(jnp.int32)
        others += others >= index[:, None]  # steps over the example
        return jnp.concatenate([index[:, None], others], axis=1)


def crd_memory(
    embedded: jax.Array,
    teacher_embedded: jax.Array,
    memory: Kept,
    candidates: jax.Array,
    *,
    contrast_temperature: jax.Array | float = 0.07,
    normalised: jax.Array | bool = True,
) -> jax.Array:
    """Contrastive representation distillation with a memory of the vectors of all examples.

    Tian et al. (2020), arXiv:1910.10699, section 3: with `h = e / (e + N / M)`, where
    `e = exp(cosine / tau) / Z`, it is `-log h` of the example and `-log(1 - h)` summed over N
    negatives; M is the number of examples. Both ways are added: the student's vector among what is
    remembered of the teacher's, and the teacher's among the student's. Z is 1 in the paper. In the
    published code it is, for each way, M times the mean of `exp` over the first batch, and stays;
    the 1e-7 that the code adds to denominators are left out.

    Args:
      embedded, teacher_embedded: `[batch, 128]` of norm 1, by linear maps that are learned.
      memory: from `Memory.init` or `remember`.
      candidates: `[batch, 1 + N]`, rows of the memory, that of the example first.
      contrast_temperature: tau.
      normalised: whether Z is that of the code, or 1.

    Returns:
      `[batch]`.

    >>> kept = {"student": jnp.eye(2), "teacher": jnp.eye(2), "normaliser": jnp.ones(2)}
    >>> x = jnp.eye(2)[:1]  # e is exp(1) for itself and 1 for the other: h = e / (e + 1 / 2)
    >>> print(crd_memory(x, x, kept, jnp.array([[0, 1]]), contrast_temperature=1.0).round(4))
    [2.5349]
    """
    ways = _ways(embedded, teacher_embedded, memory, candidates, contrast_temperature)
    scale = jnp.where(normalised, _normaliser(ways, memory), 1.0)
    noise = ways.drawn.sum(1) / len(memory["student"])
    total = jnp.zeros(len(embedded))
    for all_of_them, own, z in zip(ways.exponentials, ways.own, scale, strict=True):
        scaled = z * noise  # h is e / (e + scaled)
        others = jnp.log1p(all_of_them / scaled[:, None])
        total += jnp.log1p(scaled / own) + (ways.drawn * others).sum(1)
    return total


def remember(
    memory: Kept,
    embedded: jax.Array,
    teacher_embedded: jax.Array,
    index: jax.Array,
    candidates: jax.Array,
    *,
    contrast_temperature: jax.Array | float,
) -> Kept:
    """Returns a memory with a batch in it: half of what was there, half new, at norm 1.

    Args:
      memory: before the batch.
      embedded, teacher_embedded, candidates, contrast_temperature: as for `crd_memory`.
      index: `[batch]`, the rows of the batch.

    >>> kept = {"student": jnp.eye(2), "teacher": jnp.eye(2), "normaliser": jnp.ones(2)}
    >>> x, first = jnp.array([[0.0, 1.0]]), jnp.array([0])
    >>> new = remember(kept, x, x, first, jnp.array([[0, 1]]), contrast_temperature=1.0)
    >>> print(new["student"].round(4))
    [[0.7071 0.7071]
     [0.     1.    ]]
    """

    def first() -> jax.Array:
        ways = _ways(embedded, teacher_embedded, memory, candidates, contrast_temperature)
        return _normaliser(ways, memory)

    kept = memory["normaliser"]
    new: Kept = {"normaliser": jax.lax.cond((kept > 0).all(), lambda: kept, first)}
    for name, x in (("student", embedded), ("teacher", teacher_embedded)):
        mixed = MOMENTUM * memory[name][index] + (1 - MOMENTUM) * x
        new[name] = memory[name].at[index].set(unit(mixed))
    return jax.lax.stop_gradient(new)


class _Ways(NamedTuple):
    """Both ways, of the student's vectors among the teacher's and of the teacher's among these.

    Attributes:
      exponentials: `exp(cosine / tau)` of the batch and all that is remembered, `[batch, examples]`
        each way.
      own: those of the examples themselves, `[batch]`.
      drawn: how often each is among the negatives, `[batch, examples]`.
    """

    exponentials: list[jax.Array]
    own: list[jax.Array]
    drawn: jax.Array


def _ways(embedded, teacher_embedded, memory, candidates, temperature) -> _Ways:
    """Returns what the loss is made of.

    All products of the batch with the memory are less work than gathering a vector for each
    candidate, and counting the candidates is less than gathering products, whose gradient would be
    scattered again.
    """
    pairs = (embedded, memory["teacher"]), (teacher_embedded, memory["student"])
    exponentials = [jnp.exp(x @ kept.T / temperature) for x, kept in pairs]
    own = [jnp.take_along_axis(way, candidates[:, :1], axis=1)[:, 0] for way in exponentials]
    rows = jnp.arange(len(embedded))[:, None]
    drawn = jnp.zeros(exponentials[0].shape).at[rows, candidates[:, 1:]].add(1.0)
    return _Ways(exponentials, own, drawn)


def _normaliser(ways: _Ways, memory: Kept) -> jax.Array:
    """Returns Z of both ways, `[2]`: what the memory has, or that of the first batch."""
    number = ways.drawn.sum() + len(ways.drawn)
    sums = jnp.stack(
        [
            own.sum() + (ways.drawn * way).sum()
            for way, own in zip(ways.exponentials, ways.own, strict=True)
        ]
    )
    kept = memory["normaliser"]
    fresh = sums / number * len(memory["student"])
    return jax.lax.stop_gradient(jnp.where(kept > 0, kept, fresh))
