"""The trainings of `experiments.xy`: many networks at once, pruned by masks."""

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.core import FrozenDict

from distill import config, losses
from distill.compress import activation
from distill.constraints import flat, nested
from distill.data import AUGMENTATIONS
from distill.training import engine
from distill.training import state as states_lib
from distill.training.state import TrainState
from distill.training.step import Task, TrainData

TEST_SAMPLES = 100_000
BATCH = 2000  # in which activations are counted
UNIT_AXES = {"hidden/kernel": 1, "hidden/bias": 0, "output/kernel": 0}
MASKED = FrozenDict({"mask": tuple(UNIT_AXES)})
KERNELS = ("hidden/kernel", "output/kernel")


class Adder(nn.Module):
    """A hidden layer of relu units and one output.

    Attributes:
      hidden: number of units.
      normal: whether weights and biases begin standard normal, or as Flax does.
    """

    hidden: int
    normal: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Maps `[batch, 1, 1, 2]` to `[batch, 1]`."""
        del train
        one = nn.initializers.normal(1.0)
        init: dict[str, Any] = {"kernel_init": one, "bias_init": one} if self.normal else {}
        x = nn.relu(nn.Dense(self.hidden, name="hidden", **init)(x.reshape(x.shape[0], -1)))
        return nn.Dense(1, name="output", **init)(x)


def sum_error(logits: jax.Array, pixels: jax.Array) -> jax.Array:
    """Squared error of the output from the sum of the inputs, `[batch]`."""
    return jnp.square(logits[:, 0] - pixels.sum((1, 2, 3)))


losses.LOSSES["sum_error"] = sum_error


def samples(number: int, seed: int) -> np.ndarray:
    """Returns inputs `[number, 1, 1, 2]`, as the pixels between 0 and 255 that a step expects."""
    return 255 * np.random.default_rng(seed).uniform(-1, 1, (number, 1, 1, 2)).astype(np.float32)


def cycles(
    seeds: Sequence[int],
    init: str,
    variant: dict[str, Any],
    sizes: dict[str, int],
    say: Callable[[str], None],
) -> list[dict[str, Any]]:
    """Trains and prunes until no network loses a unit.

    Args:
      seeds: one for each network.
      init: `lecun` or `normal`.
      variant: fields of the recipe, `l1` among them, and `distort` and `outliers`.
      sizes: `hidden`, `samples`, `batch_size`, `epochs` and `most_cycles`.
      say: told how each cycle ended.

    Returns:
      For each cycle and network that still lost units before: `seed`, `cycle` from 1, `units` left
      and `loss`, on other samples, after the training of the cycle.
    """
    options = dict(variant)
    distort, outliers = options.pop("distort", False), options.pop("outliers", False)
    given = tuple(seeds), init, tuple(options.items()), tuple(sizes.items())
    world, states = _begun(*given)
    test = jnp.asarray(samples(TEST_SAMPLES, seed=2) / 255)
    rngs = [np.random.default_rng(seed) for seed in seeds]
    alive = np.ones((len(seeds), sizes["hidden"]), bool)
    going, rows = np.ones(len(seeds), bool), []
    for cycle in range(1, sizes["most_cycles"] + 1):
        began = time.monotonic()
        if cycle > 1:
            states = world.train(states, alive.shape[1])
        module = world.sized(alive.shape[1])
        loss = np.asarray(_errors(module, states.params, states.held["mask"], test))
        params = {path: np.array(leaf) for path, leaf in flat(states.params).items()}
        if distort:
            _distort(params, alive, rngs)
        counts = _counts(params, np.asarray(world.data.images))
        kept, _ = activation.keep(counts, alive, outliers=outliers)
        lost = kept.sum(-1) < alive.sum(-1)
        rows += [
            {"seed": seed, "cycle": cycle, "units": int(kept[i].sum()), "loss": float(loss[i])}
            for i, seed in enumerate(seeds) if going[i]
        ]  # fmt: skip
        say(
            f"{init} {variant}: cycle {cycle}, {np.median(kept.sum(-1)):g} units, loss "
            f"{np.median(loss):.2g}, {time.monotonic() - began:.1f} s"
        )
        going &= lost
        if not going.any():
            break
        params, alive = _compact(params, kept)
        states = _again(states, params, alive, world)
    return rows


@dataclasses.dataclass(frozen=True, eq=False)
class _World:
    """What the networks of a variant have in common."""

    module: Adder
    make_optimizer: Callable
    hyper: dict[str, jax.Array]
    plan: engine.Execution
    data: TrainData
    l1: float
    epochs: int
    batch_size: int

    def sized(self, hidden: int) -> Adder:
        """Returns the module for networks of so many units."""
        return dataclasses.replace(self.module, hidden=hidden)

    def train(self, states: TrainState, hidden: int) -> TrainState:
        """Trains networks of so many units for the epochs of a cycle; donates the states."""
        task = Task(
            self.sized(hidden), "sum_error", AUGMENTATIONS["none"], self.make_optimizer,
            constraints=MASKED, l1=self.l1,
        )  # fmt: skip
        for epoch in range(self.epochs):
            order = engine.epoch_order(
                states.key, jnp.int32(epoch), num_examples=len(self.data.images),
                batch_size=self.batch_size,
            )  # fmt: skip
            order = self.plan.place_order(np.asarray(order))
            states, _ = engine.run_chunk(
                task, self.plan, states, self.hyper, self.data, order, np.int32(order.shape[1])
            )
        return states


@functools.lru_cache(maxsize=2)  # variants differ in what follows the first training, but for l1
def _begun(
    seeds: tuple[int, ...],
    init: str,
    options: tuple[tuple[str, Any], ...],
    sizes: tuple[tuple[str, int], ...],
) -> tuple[_World, TrainState]:
    """Returns networks after their first training."""
    recipe, size = config.training("adder", schedule="constant", **dict(options)), dict(sizes)
    plan = engine.execution(len(seeds))
    images = samples(size["samples"], seed=1)
    world = _World(
        module=Adder(size["hidden"], init == "normal"),
        make_optimizer=states_lib.optimizer(recipe, total_steps=1),
        hyper={"learning_rate": jnp.full(len(seeds), recipe.learning_rate)},
        plan=plan,
        data=plan.place(TrainData(images, np.full(len(images), -1, np.int32))),
        l1=recipe.l1,
        epochs=size["epochs"],
        batch_size=size["batch_size"],
    )
    states = states_lib.create(
        world.module, world.make_optimizer, world.hyper, (1, 1, 2), seeds, MASKED
    )
    return world, world.train(states, size["hidden"])


def _distort(
    params: dict[str, np.ndarray], alive: np.ndarray, rngs: Sequence[np.random.Generator]
) -> None:
    """Adds noise to the kernels of each network, with the variance of the units alive."""
    for path in KERNELS:
        for i, rng in enumerate(rngs):
            index = tuple([slice(None)] * UNIT_AXES[path] + [alive[i]])
            params[path][i][index] = activation.distorted(params[path][i][index], rng)


def _compact(
    params: dict[str, np.ndarray], kept: np.ndarray
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Moves the units alive to the front, and cuts off what no network needs."""
    order = np.argsort(~kept, axis=-1, kind="stable")[:, : kept.sum(-1).max()]
    moved = dict(params)
    for path, axis in UNIT_AXES.items():
        shape = [len(order)] + [1] * (params[path].ndim - 1)
        shape[1 + axis] = order.shape[1]
        moved[path] = np.take_along_axis(params[path], order.reshape(shape), 1 + axis)
    return moved, np.take_along_axis(kept, order, -1)


def _again(
    states: TrainState, params: dict[str, np.ndarray], alive: np.ndarray, world: _World
) -> TrainState:
    """Returns states for another cycle, with these weights and masks and arrays of its own."""
    masks = {}
    for path, axis in UNIT_AXES.items():
        shape = [len(alive)] + [1] * (params[path].ndim - 1)
        shape[1 + axis] = alive.shape[1]
        masks[path] = jnp.broadcast_to(alive.reshape(shape), params[path].shape)
    fresh = nested({path: jnp.asarray(leaf) for path, leaf in params.items()})
    return TrainState(
        step=jnp.zeros_like(states.step),
        params=fresh,
        batch_stats={},
        opt_state=jax.vmap(lambda p, h: world.make_optimizer(h).init(p))(fresh, world.hyper),
        key=jax.vmap(lambda key: jax.random.fold_in(key, 0))(states.key),
        held={"mask": masks},
    )


@functools.partial(jax.jit, static_argnums=0)
def _errors(module: nn.Module, params: Any, masks: Any, test: jax.Array) -> jax.Array:
    """Returns the mean squared error of each network, `[networks]`."""

    def one(stacked):
        params, masks = stacked
        weights = {path: leaf * masks.get(path, 1) for path, leaf in flat(params).items()}
        batches = test.reshape(-1, BATCH, *test.shape[1:])
        return jax.lax.map(
            lambda x: sum_error(module.apply({"params": nested(weights)}, x), x).mean(), batches
        ).mean()

    return jax.lax.map(one, (params, masks))


def _counts(params: dict[str, np.ndarray], images: np.ndarray) -> np.ndarray:
    """Counts for each network how many samples activate each unit, `[networks, hidden]`."""
    inputs = jnp.asarray(images.reshape(-1, min(BATCH, len(images)), 2) / 255)
    kernels, biases = params["hidden/kernel"], params["hidden/bias"]
    return np.asarray(_active(inputs, jnp.asarray(kernels), jnp.asarray(biases)))


@jax.jit
def _active(inputs: jax.Array, kernels: jax.Array, biases: jax.Array) -> jax.Array:
    def one(weights):
        kernel, bias = weights

        def add(total, x):
            return total + (x @ kernel + bias[None] > 0).sum(0), None

        return jax.lax.scan(add, jnp.zeros(bias.shape, jnp.int32), inputs)[0]

    return jax.lax.map(one, (kernels, biases))
