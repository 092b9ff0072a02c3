"""Many students at once, many steps per compiled call. One student is a sweep of one.

`(states, hyper, data, order) -> (states, metrics)`: every leaf of `states`, `hyper`, `order` and
`metrics` has a leading axis `[students]`. How that axis is executed changes no result beyond
rounding.
"""

import functools
import os
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from distill.ops.split import BATCH
from distill.training import parallel
from distill.training.state import Hyper, TrainState
from distill.training.step import Task, TrainData, train_step

STUDENTS = "students"  # the mesh axis
FREE_SHARE = 0.8  # of the memory that a device has free


class Execution(NamedTuple):
    """How the students of a compiled call are executed.

    Attributes:
      students: `map`, one after the other, or `vmap`, together; on each device.
      mesh: of the devices that the students are divided among, on the axis `STUDENTS`, or each
        batch, on the axis `BATCH`; None for one device.
    """

    students: str = "map"
    mesh: jax.sharding.Mesh | None = None

    @property
    def batch_mesh(self) -> jax.sharding.Mesh | None:
        """The mesh, if each batch is split over it."""
        return self.mesh if self.mesh and BATCH in self.mesh.axis_names else None

    def place(self, tree: Any) -> Any:
        """Copies what all students share to every device, once and not with each call."""
        if self.mesh is None:
            return jax.tree.map(jnp.asarray, tree)
        return parallel.replicate(self.mesh, tree)

    def place_students(self, tree: Any) -> Any:
        """Copies what each student has for itself to every device that works on it."""
        mesh = self.batch_mesh
        return tree if mesh is None else parallel.replicate(mesh, tree)

    def columns(self, batch: int) -> slice:
        """Returns which examples of a batch this process has to have."""
        return parallel.columns(self.batch_mesh, batch)

    def place_examples(self, examples: np.ndarray, batch: int) -> jax.Array:
        """Copies to every device the examples `[students, steps, columns, ...]` of all processes.

        Returns:
          `[students * steps * batch, ...]`.
        """
        mesh = self.batch_mesh
        if mesh is None or jax.process_count() == 1:
            return self.place(examples.reshape(-1, *examples.shape[3:]))
        found = parallel.gather(mesh, examples, batch, axis=2)
        return found.reshape(-1, *examples.shape[3:])

    def place_order(self, order: np.ndarray) -> jax.Array:
        """Gives every device its part of the examples `[students, steps, batch]`."""
        mesh = self.batch_mesh
        return jnp.asarray(order) if mesh is None else parallel.split(mesh, order, axis=2)


def execution(num_students: int, students: str = "auto", data_parallel: int = 1) -> Execution:
    """Chooses how students are executed where this process runs.

    On a CPU one after the other, since a batched convolution is slower there than the loop; on an
    accelerator together. Over as few devices as keep none of them waiting for two students. Where
    each batch is split, one after the other, since each of them has all devices.

    Args:
      num_students: in a call.
      students: `map` or `vmap` to overrule the choice.
      data_parallel: devices to split each batch over; 0 for all of them, 1 to split none.

    Raises:
      InputError: if there are not so many devices.
    """
    if data_parallel != 1 and parallel.num_devices(data_parallel) > 1:
        return Execution("map" if students == "auto" else students, parallel.mesh(data_parallel))
    if students == "auto":
        students = "map" if jax.default_backend() == "cpu" else "vmap"
    each = -(-num_students // jax.local_device_count())
    devices = -(-num_students // each)
    if devices == 1:
        return Execution(students)
    return Execution(
        students,
        jax.make_mesh(
            (devices,),
            (STUDENTS,),
            # Explicit axes, the default, refuse convolutions under vmap.
            axis_types=(jax.sharding.AxisType.Auto,),
            devices=jax.local_devices()[:devices],
        ),
    )


def over_students(students: str) -> Callable[[Callable, Any], Any]:
    """Returns how a function of one student is applied to all of them: `map` or `vmap`."""
    if students == "vmap":
        return lambda one, trees: jax.vmap(one)(trees)
    return _one_by_one


def _one_by_one(one: Callable, trees: Any) -> Any:
    if jax.tree.leaves(trees)[0].shape[0] > 1:
        return jax.lax.map(one, trees)
    single = one(jax.tree.map(lambda leaf: leaf[0], trees))  # no loop around a single student
    return jax.tree.map(lambda leaf: leaf[None], single)


def num_bytes(tree: Any) -> int:
    """Returns the size of arrays, or of their `jax.eval_shape`, in bytes."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def students_that_fit(
    task: Task,
    states: TrainState,
    hyper: Hyper,
    data: TrainData,
    order: jax.ShapeDtypeStruct,
    *,
    students: str,
    memory: int,
) -> int:
    """Estimates how many students one device can train at once, before any memory is spent.

    A student needs its state three times (what goes in, what comes out, the checkpoint's copy) and
    its order. Vectorised it also needs what its step computes, which the compiler knows.

    Rounded down to a power of two: the free memory is a little different each time, and a batch
    goes on where it was killed only if the same students make it up again.

    Args:
      task: what is trained, and how.
      states, hyper, order: of one student, shapes suffice.
      data: shared by the students, shapes suffice.
      students: as in `Execution`.
      memory: bytes that may be used on each device.

    Returns:
      A power of two, at least 1: what does not fit even so, only the attempt can tell.
    """
    count = jax.ShapeDtypeStruct((), jnp.int32)
    shapes = (states, dict(hyper), data, order, count)
    plan = Execution(students)
    step_bytes = 0
    if students == "vmap":
        analysis = run_chunk.lower(task, plan, *shapes).compile().memory_analysis()
        step_bytes = analysis.temp_size_in_bytes if analysis else 0
    each = 3 * num_bytes(states) + num_bytes((hyper, order)) + step_bytes
    fit = max(1, (memory - num_bytes(data)) // each)
    return 1 << (fit.bit_length() - 1)


def free_memory() -> int:
    """Returns how many bytes each device may use: most of what it has free."""
    device = jax.local_devices()[0]
    stats = device.memory_stats() if device.platform != "cpu" else None
    if stats:
        free = stats["bytes_limit"] - stats["bytes_in_use"]
    else:
        free = _free_host_memory() // jax.local_device_count()
    return int(FREE_SHARE * free)


def _free_host_memory() -> int:
    info = pathlib.Path("/proc/meminfo")
    for line in info.read_text().splitlines() if info.exists() else []:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


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


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=2)
def run_chunk(
    task: Task,
    plan: Execution,
    states: TrainState,
    hyper: Hyper,
    data: TrainData,
    order: jax.Array,
    count: jax.Array,
) -> tuple[TrainState, dict[str, jax.Array]]:
    """Makes `count` updates of every student in one compiled call.

    Args:
      task: what is trained, and how.
      plan: how the students are executed.
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

    def one(student, data, count):
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

    def some(students, data, count):
        return over_students(plan.students)(lambda student: one(student, data, count), students)

    if plan.batch_mesh is not None:
        with parallel.splitting(plan.batch_mesh):
            return parallel.everywhere(plan.mesh, some((states, dict(hyper), order), data, count))
    if plan.mesh is not None:
        each, shared = PartitionSpec(STUDENTS), PartitionSpec()
        some = _filled(
            jax.shard_map(
                some, mesh=plan.mesh, in_specs=(each, shared, shared), out_specs=each,
                check_vma=False,
            ),
            plan.mesh.size,
        )  # fmt: skip
    return some((states, dict(hyper), order), data, count)


def _filled(some: Callable, devices: int) -> Callable:
    """Lets the last device train its last student again, where it has fewer than the others."""

    def all_students(students, *shared):
        number = jax.tree.leaves(students)[0].shape[0]
        again = -number % devices

        def filled(leaf):
            return jnp.concatenate([leaf, *[leaf[-1:]] * again])

        trained = some(jax.tree.map(filled, students), *shared)
        return jax.tree.map(lambda leaf: leaf[:number], trained)

    return all_students
