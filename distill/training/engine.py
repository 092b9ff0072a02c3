"""Many students at once, many steps per compiled call. One student is a sweep of one.

`(states, hyper, data, order) -> (states, metrics)`: every leaf of `states`, `hyper`, `order` and
`metrics` has a leading axis `[students]`. How that axis is executed changes no result beyond
rounding.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from distill.training.state import Hyper, TrainState
from distill.training.step import Task, TrainData, train_step


def over_students(platform: str) -> Callable[[Callable, Any], Any]:
    """Returns how a function of one student is applied to all of them.

    On a CPU one after the other, since a batched convolution is slower there than the loop; on an
    accelerator together.
    """
    if platform != "cpu":
        return lambda one, trees: jax.vmap(one)(trees)
    return _one_by_one


def _one_by_one(one: Callable, trees: Any) -> Any:
    if jax.tree.leaves(trees)[0].shape[0] > 1:
        return jax.lax.map(one, trees)
    single = one(jax.tree.map(lambda leaf: leaf[0], trees))  # no loop around a single student
    return jax.tree.map(lambda leaf: leaf[None], single)


@functools.partial(jax.jit, static_argnames=("num_examples", "batch_size"))
def epoch_order(
    keys: jax.Array, epoch: jax.Array, *, num_examples: int, batch_size: int
) -> jax.Array:
    """Shuffles the examples for an epoch: the same for a student's key wherever it is called.

    Args:
      keys: `[students]`, as in `TrainState.key`.
      epoch: int32 scalar.
      num_examples: size of the training set.
      batch_size: examples of a batch; what does not fill the last batch is left for another epoch.

    Returns:
      `[students, num_examples // batch_size, batch_size]` int32.
    """
    steps = num_examples // batch_size

    def one(key):
        # Folding in from the far end keeps clear of the keys of the steps.
        order = jax.random.permutation(jax.random.fold_in(key, -1 - epoch), num_examples)
        return order[: steps * batch_size].reshape(steps, batch_size)

    return jax.vmap(one)(keys)


@functools.partial(jax.jit, static_argnums=0, donate_argnums=1)
def run_chunk(
    task: Task,
    states: TrainState,
    hyper: Hyper,
    data: TrainData,
    order: jax.Array,
    count: jax.Array,
) -> tuple[TrainState, dict[str, jax.Array]]:
    """Makes `count` updates of every student in one compiled call.

    Args:
      task: what is trained, and how.
      states: leading axis `[students]`; donated.
      hyper: each `[students]`.
      data: shared by the students.
      order: `[students, steps, batch]` int32, the examples of each step.
      count: int32 scalar, how many of the steps to make. It is an argument, so that the shorter
        last chunk of an epoch needs no program of its own.

    Returns:
      The states, and for each student: the sums over the steps of what `train_step` measures, and
      `bad_step`, the first step whose loss was not finite, or -1.
    """

    def one(student):
        state, hyper, order = student
        measured = jax.eval_shape(
            lambda s, i: train_step(task, s, hyper, data, i)[1], state, order[0]
        )
        sums = jax.tree.map(lambda m: jnp.zeros(m.shape, m.dtype), measured)

        def body(i, carry):
            state, sums, bad_step = carry
            new_state, metrics = train_step(task, state, hyper, data, order[i])
            first_bad = (bad_step < 0) & ~jnp.isfinite(metrics["loss"])
            bad_step = jnp.where(first_bad, state.step, bad_step)
            return new_state, jax.tree.map(jnp.add, sums, metrics), bad_step

        state, sums, bad_step = jax.lax.fori_loop(0, count, body, (state, sums, jnp.int32(-1)))
        return state, {**sums, "bad_step": bad_step}

    return over_students(jax.default_backend())(one, (states, dict(hyper), order))
