"""Batches that are split over devices."""

from collections.abc import Callable

import jax
from jax.sharding import AxisType, PartitionSpec

BATCH = "batch"  # the axis of a mesh of devices that each batch is split over


def is_split() -> bool:
    """Whether batches are split over devices where this is traced."""
    mesh = jax.sharding.get_abstract_mesh()
    return (BATCH, AxisType.Auto) in zip(mesh.axis_names, mesh.axis_types, strict=True)


def each_its_part(f: Callable[..., jax.Array]) -> Callable:
    """Lets every device apply `f` to its part of the batch, where the batch is split.

    The partitioner splits most operations by itself. What merges the batch with another axis, as
    the formulations of a convolution do that keep the batch last, it would compute whole on every
    device instead, after fetching all of the batch. A gradient of the weights is summed over the
    devices.

    Args:
      f: of `x [batch, ...]` and weights, if any, to `[batch, ...]`; independent for each example.
    """
    if not is_split():
        return f
    batch, whole = PartitionSpec(BATCH), PartitionSpec()

    def all_parts(x, *weights):
        specs = (batch, *(whole for _ in weights))
        # Nothing is tracked of what differs among the devices: calls of kernels would lose it.
        return jax.shard_map(f, in_specs=specs, out_specs=batch, check_vma=False)(x, *weights)

    return all_parts
