"""Each batch of one training split over several devices, in one process or several.

The states are on every device, the examples of a batch are divided. The compiler does the rest: it
sums gradients and means over the devices, and nothing else travels between them but images that are
mixed with others.
"""

import contextlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from ml_collections import ConfigDict

from distill.errors import InputError
from distill.ops.split import BATCH


def num_devices(data_parallel: int) -> int:
    """Returns over how many devices `config.engine.data_parallel` splits a batch.

    Raises:
      InputError: if there are not so many, or it leaves out some of another process.
    """
    available = jax.device_count()
    count = data_parallel or available
    if count > available:
        raise InputError(
            f"engine.data_parallel is {data_parallel} and there are {available} devices; "
            "0 takes all there are (JAX_NUM_CPU_DEVICES=N makes N of a CPU)"
        )
    if count < available and jax.process_count() > 1:
        raise InputError(
            f"engine.data_parallel is {data_parallel}; {jax.process_count()} processes share all "
            f"their {available} devices, so give --config.engine.data_parallel=0"
        )
    return count


def check(data_parallel: int, sections: Mapping[str, ConfigDict]) -> None:
    """Checks that the devices divide the batches.

    Args:
      data_parallel: `config.engine.data_parallel`.
      sections: of the trainings whose batches are to be split, by their names.

    Raises:
      InputError: if they do not, or as `num_devices`.
    """
    devices = num_devices(data_parallel)
    for name, section in sections.items():
        batch = section.batch_size
        if batch % devices:
            below = batch // devices * devices
            sizes = [str(size) for size in (below, below + devices) if size]
            raise InputError(
                f"{name}.batch_size is {batch}, which {devices} devices do not divide; "
                f"make it {' or '.join(sizes)}"
            )


def mesh(data_parallel: int) -> Mesh:
    """Returns the devices that a batch is split over, as a mesh of the one axis `BATCH`."""
    devices = jax.devices()[: num_devices(data_parallel)]
    return jax.make_mesh((len(devices),), (BATCH,), axis_types=(AxisType.Auto,), devices=devices)


def replicate(mesh: Mesh, tree: Any) -> Any:
    """Copies arrays, the same in every process, to all devices."""

    def place(leaf: Any) -> jax.Array:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            data = place(jax.random.key_data(leaf))
            return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
        return _place(NamedSharding(mesh, PartitionSpec()), leaf)

    return jax.tree.map(place, tree)


def columns(mesh: Mesh | None, batch: int) -> slice:
    """Returns which examples of a batch the devices of this process take."""
    if mesh is None or jax.process_count() == 1:
        return slice(0, batch)
    spec = NamedSharding(mesh, PartitionSpec(BATCH))
    parts = [index[0] for index in spec.addressable_devices_indices_map((batch,)).values() if index]
    return slice(min(p.start or 0 for p in parts), max(p.stop or batch for p in parts))


def gather(mesh: Mesh, array: np.ndarray, batch: int, axis: int) -> jax.Array:
    """Copies to all devices what each process has for its `columns` of the batch."""
    spec = [BATCH if i == axis else None for i in range(array.ndim)]
    whole = (*array.shape[:axis], batch, *array.shape[axis + 1 :])
    placed = jax.make_array_from_process_local_data(
        NamedSharding(mesh, PartitionSpec(*spec)), array, whole
    )
    return jax.jit(lambda x: x, out_shardings=NamedSharding(mesh, PartitionSpec()))(placed)


def split(mesh: Mesh, array: np.ndarray, axis: int) -> jax.Array:
    """Divides an array, the same in every process, among the devices along one axis, from 0."""
    spec = [BATCH if i == axis else None for i in range(array.ndim)]
    return _place(NamedSharding(mesh, PartitionSpec(*spec)), array)


def _place(sharding: NamedSharding, array: Any) -> jax.Array:
    array = np.asarray(array)
    # Naming the global shape says that the array is all of it, and not this process's part.
    return jax.make_array_from_process_local_data(sharding, array, array.shape)


@contextlib.contextmanager
def splitting(mesh: Mesh | None):
    """Within a compiled function: tells the operations that the batch is split over a mesh."""
    if mesh is None:
        yield
    else:
        with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
            yield


def everywhere(mesh: Mesh | None, tree: Any) -> Any:
    """Within a compiled function: asks for results that every device has the whole of."""
    if mesh is None:
        return tree
    return jax.lax.with_sharding_constraint(tree, NamedSharding(mesh, PartitionSpec()))
