"""Which layers a training leaves as they are, and how fast the others move."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import jax
import optax
from flax import linen as nn

from distill import cost
from distill.errors import InputError
from distill.models.layers import HEAD
from distill.patterns import matching

NORM = "_norm"  # what the name of a layer's batch normalisation ends with

Transformation: TypeAlias = optax.GradientTransformation


def layers(model: nn.Module, input_shape: tuple[int, ...]) -> list[str]:
    """Returns the layers of a model by their paths, in the order in which they run."""
    return [layer.name for layer in cost.layers(model, input_shape)]


def frozen(patterns: str, names: Sequence[str]) -> frozenset[str]:
    """Returns the layers that do not move.

    Args:
      patterns: as in `patterns.matching`, of layers or of blocks with all that is in them; empty:
        none. The batch normalisation of a layer goes with it.
      names: from `layers`.

    Raises:
      InputError: if a pattern fits none, or nothing is left to train.
    """
    if not patterns:
        return frozenset()
    found = frozenset(matching(patterns, names, "freeze", lambda name: list(_aliases(name))))
    if len(found) == len(names):
        raise InputError(f"freeze={patterns!r} leaves nothing to train; !{HEAD} leaves the head")
    return found


def _aliases(name: str) -> Iterator[str]:
    """Yields what a layer goes by: its path, that of its convolution, and those of its blocks."""
    yield name
    yield name.removesuffix(NORM)
    parts = name.split("/")
    for length in range(1, len(parts)):
        yield "/".join(parts[:length])


def rates(decay: float, names: Sequence[str]) -> dict[str, float]:
    """Returns for each layer its share of the learning rate: less for each block below the head.

    Howard and Ruder (2018), arXiv:1801.06146, section 3.2, who take 1/2.6.

    Args:
      decay: what the rate is multiplied by from a block to the one below.
      names: from `layers`.
    """
    block_of = {name: name.partition("/")[0].removesuffix(NORM) for name in names}
    blocks = list(dict.fromkeys(block_of.values()))[::-1]
    return {name: decay ** blocks.index(block) for name, block in block_of.items()}


def leaving(layers: frozenset[str], inner: Transformation) -> Transformation:
    """Returns an optimiser that moves nothing in some layers, and keeps no state for them."""
    return optax.multi_transform(
        {"trained": inner, "frozen": optax.set_to_zero()},
        lambda tree: _by_layer(lambda name, _: "frozen" if name in layers else "trained", tree),
    )


def scaled(rates: Mapping[str, float]) -> Transformation:
    """Returns what multiplies the updates of each layer by its rate."""
    return optax.stateless(
        lambda updates, _: _by_layer(lambda name, leaf: rates.get(name, 1.0) * leaf, updates)
    )


def _by_layer(function: Callable[[str, Any], Any], tree: Any) -> Any:
    """Maps the leaves of `TrainState.trained`, each with the path of its layer.

    Where a loss trains parts of its own, these go by no layer.
    """

    def one(path: tuple[Any, ...], leaf: Any) -> Any:
        names = [key.key for key in path]
        if isinstance(tree, dict) and tree.keys() == {"model", "parts"}:
            names = names[1:] if names[0] == "model" else []
        return function("/".join(names[:-1]), leaf)

    return jax.tree_util.tree_map_with_path(one, tree)


def interceptor(layers: frozenset[str]) -> Callable[..., Any]:
    """Returns what `flax.linen.intercept_methods` takes, so that frozen statistics are used.

    Batch normalisation of a frozen layer computes what it will when the network is applied, and
    its statistics stay.
    """

    def intercept(call: Callable, args: tuple, kwargs: dict, context: Any) -> Any:
        if isinstance(context.module, nn.BatchNorm) and "/".join(context.module.path) in layers:
            kwargs = {**kwargs, "use_running_average": True}
        return call(*args, **kwargs)

    return intercept
