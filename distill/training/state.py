"""What a training run carries from step to step, and its optimiser."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax import struct
from ml_collections import ConfigDict

from distill import constraints, losses
from distill.numerics import KEYS
from distill.training import averaging, bilevel, curriculum, freezing, hint_stage

Hyper = Mapping[str, jax.Array]
"""The numbers in which students may differ, by name, each `[students]` (or a scalar for one)."""


@struct.dataclass
class TrainState:
    """Everything that one student needs to go on: plain arrays, no functions.

    Students that train together are one `TrainState` whose every leaf has a leading axis.

    Attributes:
      step: number of updates made, int32 scalar.
      params: trainable weights.
      batch_stats: running statistics of batch normalisation; empty without it.
      opt_state: state of the optimiser.
      key: `threefry` key from which all randomness of the run follows, with the step.
      learned: the temperature of a student that learns it, see `bilevel`; empty for others.
      held: arrays of the constraints that the weights obey, see `distill.constraints`; no step
        changes them.
      parts: parameters that the loss trains beside the student, see `losses.parts`; empty if none.
      average: of the weights and statistics, see `averaging`; empty if none is kept.
      memory: what the loss keeps of every example, see `losses.contrast`; empty if nothing.
      peers: a state of the students that learn beside this one, every leaf with a leading axis
        `[peers]`, see `mutual`; they have no key, as they draw what the student draws. Or empty.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: Any
    key: jax.Array
    learned: Any = dataclasses.field(default_factory=dict)
    held: Any = dataclasses.field(default_factory=dict)
    parts: Any = dataclasses.field(default_factory=dict)
    average: Any = dataclasses.field(default_factory=dict)
    memory: Any = dataclasses.field(default_factory=dict)
    peers: Any = dataclasses.field(default_factory=dict)

    @property
    def trained(self) -> Any:
        """What the optimiser moves: the weights, and with them the parts of the loss if any."""
        return {"model": self.params, "parts": self.parts} if self.parts else self.params

    def apart(self, trained: Any) -> tuple[Any, Any]:
        """Returns the weights and the parts that are in a tree like `trained`."""
        return (trained["model"], trained["parts"]) if self.parts else (trained, self.parts)

    def effective(self, description: constraints.Description) -> Any:
        """Returns the weights of one student as its constraints leave them."""
        return constraints.effective(description, self.held, self.params)

    def variables(
        self, description: constraints.Description, *, raw: bool = False
    ) -> dict[str, Any]:
        """Returns the effective weights of one student, as Linen's `apply` takes them.

        Args:
          description: of the constraints that they obey.
          raw: those that the optimiser moves, also where an average of them is kept.
        """
        found = averaging.init(self.params, self.batch_stats)
        if self.average and not raw:
            found = self.average
        return {**found, "params": constraints.effective(description, self.held, found["params"])}


def schedule(
    name: str, total_steps: int, decay_at: Sequence[float] = (), warmup_steps: int = 0
) -> Callable[[jax.Array], jax.Array]:
    """Returns the learning rate over the steps as a share of its peak.

    Args:
      name: `constant`, `cosine` (to zero) or `one_cycle` (cosine up during the first 30 % and down
        to 1/10000 of the start, Smith and Topin 2017, arXiv:1708.07120), or `step` (a tenth behind
        each share of the run).
      total_steps: length of the run.
      decay_at: shares of the run, of `step`.
      warmup_steps: while it rises linearly to what it is without (Goyal et al. 2017,
        arXiv:1706.02677, section 2.2).
    """
    if warmup_steps:
        full = schedule(name, total_steps, decay_at)
        return lambda step: jnp.minimum(1.0, (step + 1) / warmup_steps) * full(step)
    if name == "step":
        falls = {round(total_steps * share): 0.1 for share in decay_at}
        return optax.piecewise_constant_schedule(1.0, falls)
    if name == "constant":
        return optax.constant_schedule(1.0)
    if name == "cosine":
        return optax.cosine_decay_schedule(1.0, max(total_steps, 1))
    return optax.cosine_onecycle_schedule(max(total_steps, 4), 1.0)


def optimizer(
    recipe: ConfigDict,
    total_steps: int,
    frozen: frozenset[str] = frozenset(),
    rates: Mapping[str, float] = MappingProxyType({}),
    epochs: float = 0.0,
) -> Callable[[Hyper], optax.GradientTransformation]:
    """Returns the optimiser as a function of the hyperparameters, in which students may differ.

    Args:
      recipe: a section made by `config.training`; its `optimizer` is `adam`, or `sgd` with
        `momentum`, with Nesterov's if `nesterov` (Sutskever et al. 2013). `weight_decay` is
        Loshchilov and Hutter's (2019, arXiv:1711.05101), on kernels; `coupled_decay` is that of
        PyTorch's SGD, on all weights, which passes through the momentum.
      total_steps: length of the run.
      frozen: layers that it leaves as they are, and does not look at.
      rates: shares of the learning rate by layer; empty: all have the whole of it.
      epochs: length of the run in what `decay_at` and `warmup_epochs` count; 0: the recipe's own.
    """
    # Of what is not trained, but only compressed, there are none.
    epochs = epochs or max(1, recipe.epochs)
    falls = [epoch / epochs for epoch in recipe.get("decay_at", ())]
    rising = recipe.get("warmup_steps", 0)
    if share := recipe.get("warmup_epochs", 0.0):
        rising = round(total_steps * share / epochs)
    return _optimizer(
        adam=recipe.optimizer == "adam",
        momentum=recipe.momentum,
        nesterov=recipe.get("nesterov", False),
        weight_decay=recipe.weight_decay,
        coupled_decay=recipe.get("coupled_decay", 0.0),
        clip_norm=recipe.clip_norm,
        schedule_of=(recipe.schedule, total_steps, tuple(falls), rising),
        frozen=frozen,
        rates=tuple(rates.items()),
    )


@functools.cache  # one for the same numbers, so that tasks that are alike are equal: one program
def _optimizer(
    *,
    adam: bool,
    momentum: float,
    nesterov: bool,
    weight_decay: float,
    coupled_decay: float,
    clip_norm: float,
    schedule_of: tuple[str, int, tuple[float, ...], int],
    frozen: frozenset[str],
    rates: tuple[tuple[str, float], ...],
) -> Callable[[Hyper], optax.GradientTransformation]:
    """See `optimizer`; `schedule_of` are the arguments of `schedule`."""
    total_steps, shape = schedule_of[1], schedule(*schedule_of)

    def make(hyper: Hyper) -> optax.GradientTransformation:
        moving = optax.chain(
            optax.clip_by_global_norm(clip_norm) if clip_norm else optax.identity(),
            *([optax.add_decayed_weights(coupled_decay)] if coupled_decay else []),
            optax.scale_by_adam() if adam else optax.trace(momentum, nesterov),
            optax.add_decayed_weights(weight_decay, _is_kernel) if weight_decay
            else optax.identity(),
            optax.scale_by_learning_rate(
                lambda step: hyper["learning_rate"]
                * shape(hint_stage.warped(step, hyper, total_steps))
            ),
            *([freezing.scaled(dict(rates))] if rates else []),
        )  # fmt: skip
        return freezing.leaving(frozen, moving) if frozen else moving

    return make


def create(
    model: nn.Module,
    make_optimizer: Callable[[Hyper], optax.GradientTransformation],
    hyper: Hyper,
    input_shape: tuple[int, ...],
    seeds: Sequence[int],
    description: constraints.Description | None = None,
    tapped: Mapping[str, losses.Tapped] = MappingProxyType({}),
    averaged: bool = False,
    memory: losses.Memory | None = None,
    peers: int = 0,
    streams: Sequence[int] = (),
) -> TrainState:
    """Initialises one student per seed.

    Args:
      model: maps `[batch, *input_shape]` float32 to logits.
      make_optimizer: from `optimizer`.
      hyper: each `[students]`.
      input_shape: `(height, width, channels)`.
      seeds: one per student; a student's random bits depend on its own alone.
      description: of the constraints that the weights obey; what they hold constrains nothing yet.
      tapped: shapes of the features of which the loss learns something, see `losses.init_parts`.
      averaged: whether an average of the weights is kept.
      memory: what the loss keeps of every example, if anything.
      peers: number of students that learn beside each.
      streams: a number for each seed, on which the random bits depend too unless it is 0.

    Returns:
      The states, every leaf with a leading axis `[students]`.
    """
    # Random numbers of many shapes are slow to optimise and quick to compute: for DenseNet-40, 35 s
    # of compiling became 5 s, with the same bits.
    options = {"xla_backend_optimization_level": 1} if jax.default_backend() == "cpu" else None
    make = _maker(model, make_optimizer, input_shape, description, tapped, averaged, memory, peers)
    return jax.jit(make, compiler_options=options)(*_numbers(seeds, streams), dict(hyper))


def shapes(
    model: nn.Module,
    make_optimizer: Callable[[Hyper], optax.GradientTransformation],
    hyper: Hyper,
    input_shape: tuple[int, ...],
    seeds: Sequence[int],
    description: constraints.Description | None = None,
    tapped: Mapping[str, losses.Tapped] = MappingProxyType({}),
    averaged: bool = False,
    memory: losses.Memory | None = None,
    peers: int = 0,
    streams: Sequence[int] = (),
) -> TrainState:
    """Returns the shapes and dtypes of what `create` returns, without computing anything."""
    make = _maker(model, make_optimizer, input_shape, description, tapped, averaged, memory, peers)
    return jax.eval_shape(make, *_numbers(seeds, streams), dict(hyper))


def _numbers(seeds: Sequence[int], streams: Sequence[int]) -> tuple[jax.Array, jax.Array]:
    return jnp.asarray(seeds, jnp.int32), jnp.asarray(streams or [0] * len(seeds), jnp.int32)


def _maker(
    model, make_optimizer, input_shape, description, tapped, averaged, memory, peers
) -> Callable[..., TrainState]:
    image = jnp.zeros((1, *input_shape))

    def network(init_key, key, hyper):
        variables = model.init(init_key, image)
        params, batch_stats = variables["params"], variables.get("batch_stats", {})
        state = TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            batch_stats=batch_stats,
            opt_state=(),
            key=key,
            learned=bilevel.init(hyper),
            held=constraints.held_like(description or {}, params),
            parts=_parts(jax.random.fold_in(init_key, 1), tapped, hyper),
            average=averaging.init(params, batch_stats) if averaged else {},
            memory=memory.init(jax.random.fold_in(init_key, 2)) if memory else {},
        )
        return dataclasses.replace(state, opt_state=make_optimizer(hyper).init(state.trained))

    def one(seed, stream, hyper):
        key = jax.random.key(seed, impl=KEYS)
        key = jnp.where(stream > 0, jax.random.fold_in(key, stream), key)
        init_key, key = jax.random.split(key)
        state = network(init_key, key, hyper)
        if not peers:
            return state
        keys = jax.vmap(lambda i: jax.random.fold_in(init_key, i))(3 + jnp.arange(peers))
        beside = jax.vmap(lambda init_key: network(init_key, (), hyper))(keys)
        return dataclasses.replace(state, peers=beside)

    return jax.vmap(one)


def _parts(key, tapped, hyper) -> dict[str, Any]:
    return (losses.init_parts(key, tapped) if tapped else {}) | curriculum.init(hyper)


def _is_kernel(params: Any) -> Any:
    return jax.tree.map(lambda p: p.ndim > 1, params)
