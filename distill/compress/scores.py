"""How much each channel of a group matters; the lowest are removed first.

A score is a function `(network, context, groups) -> {name of the group: [channels]}`. Those from
data look at what the *readers* of a group read, behind activation and pooling, so they hold for
every model; running averages normalise. Where a group has several readers, `taylor` and
`activations` sum over them, and the others are means.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from distill import data, losses
from distill.compress.context import Context
from distill.compress.network import Network, resolve
from distill.errors import InputError
from distill.models.channels import Group, Part
from distill.training.step import normalize

Scores = dict[str, np.ndarray]
Readers = tuple[tuple[str, int, tuple[Part, ...]], ...]  # name and size of a group, what reads it

BATCH = 100  # as in evaluation


def l1(network: Network, context: Context, groups: Sequence[Group]) -> Scores:
    """Sum of the absolute weights of the kernels that write a channel (Li et al. 2017)."""
    del context
    return {g.name: np.sum(_written(network, g, np.abs), 0) for g in groups}


def l2(network: Network, context: Context, groups: Sequence[Group]) -> Scores:
    """Euclidean norm of the kernels that write a channel (He et al. 2018, arXiv:1808.06866)."""
    del context
    return {g.name: np.sqrt(np.sum(_written(network, g, np.square), 0)) for g in groups}


def bn_scale(network: Network, context: Context, groups: Sequence[Group]) -> Scores:
    """Absolute scale of the batch normalisation behind a channel (Liu et al. 2017, 1708.06519).

    Raises:
      InputError: if a layer that writes a group has none.
    """
    del context
    scores = {}
    for group in groups:
        scales = []
        for part in group.writers:
            path = f"{part.layer}_norm/scale"
            if path not in network.params:
                raise InputError(
                    f"score 'bn_scale' needs batch normalisation, and {part.layer} of "
                    f"{network.name} has none; use another score, or leave it out of layers"
                )
            scales.append(np.abs(network.params[path])[part.start : part.start + group.size])
        scores[group.name] = np.sum(scales, 0)
    return scores


def random(network: Network, context: Context, groups: Sequence[Group]) -> Scores:
    """Uniform numbers, the control for every other score."""
    del network
    rng = np.random.default_rng(context.seed)
    return {group.name: rng.uniform(size=group.size) for group in groups}


def mean(network: Network, context: Context, groups: Sequence[Group]) -> Scores:
    """Mean of the feature map (Molchanov et al. 2017, 1611.06440, section 2.2)."""
    return _of_examples("mean", network, context, groups)


def apoz(network: Network, context: Context, groups: Sequence[Group]) -> Scores:
    """Share of activations that are not zero: 1 − APoZ (Hu et al. 2016, arXiv:1607.03250)."""
    return _of_examples("share", network, context, groups)


def activations(
    network: Network, context: Context, groups: Sequence[Group], batch: int = BATCH
) -> Scores:
    """How many activations are not zero over all images and positions (Çallı 2017, 2.2.2).

    Behind a relu those are the positive ones. A channel that counts none is nothing to its readers.
    """
    return _totals("count", network, context, groups, batch)


def rank(network: Network, context: Context, groups: Sequence[Group]) -> Scores:
    """Mean rank of the feature map as a matrix (HRank, Lin et al. 2020, arXiv:2002.10179).

    That of a neuron is 1 where it is active, else 0; so is that of a map which a dense layer reads
    flattened and which is not square.
    """
    return _of_examples("rank", network, context, groups)


def taylor(network: Network, context: Context, groups: Sequence[Group]) -> Scores:
    """First-order effect on the loss of making a channel zero (Molchanov et al. 2017, 1611.06440).

    The mean over examples of `|sum of a · dL/da|` over the positions of the map `a`.
    """
    count = len(context.images)
    totals = _totals("taylor", network, context, groups)
    return {name: total / count for name, total in totals.items()}


def looked_at(score: str, context: Context) -> Context:
    """Returns a context with the images that a score can use: for `taylor` those with labels.

    Where a label is hidden the cross-entropy is zero, and so would be all effects on it.

    Raises:
      InputError: if it needs labels, and there are none.
    """
    if score != "taylor" or losses.compares_with_pixels(context.loss):
        return context
    known = data.labelled(data.Split(context.images, context.labels))
    if not len(known):
        raise InputError(
            "score 'taylor' needs labels, and no training image has one; use another score"
        )
    return dataclasses.replace(context, images=known.images, labels=known.labels)


Score = Callable[[Network, Context, Sequence[Group]], Scores]

SCORES: dict[str, Score] = {
    "l1": l1,
    "l2": l2,
    "bn_scale": bn_scale,
    "random": random,
    "mean": mean,
    "apoz": apoz,
    "activations": activations,
    "rank": rank,
    "taylor": taylor,
}


def _written(
    network: Network, group: Group, of: Callable[[np.ndarray], np.ndarray]
) -> list[np.ndarray]:
    """Sums a function of the weights for each channel of a group, once for each writer."""
    sums = []
    for part in group.writers:
        kernel = network.params[f"{resolve(network, part.layer, 'second')}/kernel"]
        kernel = kernel[..., part.start : part.start + group.size]
        sums.append(of(kernel).reshape(-1, group.size).sum(0))
    return sums


def _of_examples(kind: str, network: Network, context: Context, groups: Sequence[Group]) -> Scores:
    """Averages over examples and readers."""
    totals = _totals(kind, network, context, groups)
    return {g.name: totals[g.name] / len(context.images) / len(g.readers) for g in groups}


def _totals(
    kind: str, network: Network, context: Context, groups: Sequence[Group], batch: int = BATCH
) -> Scores:
    """Sums over all images and readers, in float64; the last batch is padded."""
    readers: Readers = tuple(
        (
            group.name,
            group.size,
            tuple(p._replace(layer=resolve(network, p.layer, "first")) for p in group.readers),
        )
        for group in groups
    )
    size = min(batch, len(context.images))
    totals = {group.name: np.zeros(group.size) for group in groups}
    variables = jax.tree.map(jnp.asarray, network.variables)
    loss = context.loss if kind == "taylor" else ""
    for start in range(0, len(context.images), size):
        images = context.images[start : start + size]
        labels = context.labels[start : start + size]
        missing = size - len(images)
        images = np.concatenate([images, np.zeros((missing, *images.shape[1:]), images.dtype)])
        valid = np.arange(size) < size - missing
        batch = _batch(
            network.module, context.mean, context.std, kind, loss, readers, variables, images,
            np.pad(labels, (0, missing)), valid,
        )  # fmt: skip
        for name, sums in jax.device_get(batch).items():
            totals[name] += sums
    return totals


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3, 4, 5))
def _batch(module, mean, std, kind, loss, readers, variables, images, labels, valid):
    """Returns for each group what `_totals` sums, over one batch."""
    pixels = images.astype(jnp.float32) / 255
    inputs = normalize(pixels, mean, std)
    collected = {name: [] for name, *_ in readers}

    def look(name, part, size, x):
        folded = x.reshape(x.shape[0], -1, part.of or x.shape[-1])
        channels = folded[..., part.start : part.start + size]
        side = x.shape[1:-1] if x.ndim == 4 else (math.isqrt(channels.shape[1]),) * 2
        collected[name].append(_PER_EXAMPLE[kind](channels, side))
        return x

    def effect(gates):
        def gate(name, part, size, x):
            folded = x.reshape(x.shape[0], -1, part.of or x.shape[-1])
            here = slice(part.start, part.start + size)
            return folded.at[..., here].multiply(gates[name][:, None]).reshape(x.shape)

        with nn.intercept_methods(_interceptor(readers, gate)):
            outputs = module.apply(variables, inputs)
        terms = losses.weighted_terms(loss, outputs, labels, None, {}, pixels)
        return sum(term.sum() for term in terms.values())

    if kind == "taylor":
        ones = {name: jnp.ones((len(valid), size)) for name, size, _ in readers}
        per_example = {name: jnp.abs(g) for name, g in jax.grad(effect)(ones).items()}
    else:
        with nn.intercept_methods(_interceptor(readers, look)):
            module.apply(variables, inputs)
        per_example = {name: sum(values) for name, values in collected.items()}
    return {name: valid.astype(jnp.float32) @ values for name, values in per_example.items()}


def _interceptor(readers: Readers, change: Callable[..., jax.Array]) -> Callable[..., Any]:
    """Returns what `intercept_methods` takes: it replaces what the readers of groups read."""
    parts: dict[str, list[tuple[str, Part, int]]] = {}
    for name, size, of_group in readers:
        for part in of_group:
            parts.setdefault(part.layer, []).append((name, part, size))

    def intercept(call: Callable, args: tuple, kwargs: dict, context: Any) -> Any:
        layer = "/".join(context.module.path)
        if context.method_name != "__call__" or layer not in parts:
            return call(*args, **kwargs)
        x, *others = args
        for name, part, size in parts[layer]:
            x = change(name, part, size, x)
        return call(x, *others, **kwargs)

    return intercept


def _rank(x: jax.Array, sides: tuple[int, int]) -> jax.Array:
    """Counts the pivots of an elimination that are more than rounding; a batched SVD is slow."""
    height, width = sides if math.prod(sides) == x.shape[1] else (1, x.shape[1])
    maps = x.swapaxes(1, 2).reshape(-1, height, width)
    least = jnp.abs(maps).max((1, 2)) * max(height, width) * jnp.finfo(maps.dtype).eps

    def eliminate(_, carry):
        rest, rank = carry
        at = jnp.abs(rest).reshape(len(rest), -1).argmax(-1)
        row, column = at // width, at % width
        rows = jnp.take_along_axis(rest, row[:, None, None], 1)
        columns = jnp.take_along_axis(rest, column[:, None, None], 2)
        pivot = jnp.take_along_axis(rows, column[:, None, None], 2)
        more = jnp.abs(pivot[:, 0, 0]) > least
        factors = columns / jnp.where(pivot == 0, 1.0, pivot)
        used = jnp.arange(height)[None] == row[:, None]
        return jnp.where(used[..., None], 0.0, rest - factors * rows), rank + more

    begin = maps, jnp.zeros(len(maps))
    _, rank = jax.lax.fori_loop(0, min(height, width), eliminate, begin)
    return rank.reshape(x.shape[0], x.shape[2])


# Of `[batch, positions, channels]` and the sides of the map, `[batch, channels]`.
_PER_EXAMPLE: dict[str, Callable[[jax.Array, tuple[int, int]], jax.Array]] = {
    "mean": lambda x, sides: x.mean(1),
    "share": lambda x, sides: (x != 0).mean(1),
    "count": lambda x, sides: (x != 0).sum(1).astype(jnp.float32),
    "rank": _rank,
}
