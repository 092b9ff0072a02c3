"""Analytic counts of what a model costs: parameters, multiply-accumulates (MACs), activations.

Conventions, as the papers count:

* A MAC is one multiplication with its addition. (Many papers call it a FLOP.)
* Taps of a convolution that fall on the padding count. XLA's own cost analysis leaves them out.
* Only convolutions and dense layers have MACs. Batch normalisation is folded into them before a
  model is shipped; biases, activations, pooling and additions are not counted.
* Parameters are trainable weights; the running statistics of batch normalisation are none.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn


class Cost(NamedTuple):
    """`num_params` counts trainable weights, `macs` one example's multiply-accumulates."""

    num_params: int
    macs: int


class LayerCost(NamedTuple):
    """What one layer costs for one example.

    Attributes:
      name: path of the layer in the model, as in its parameters: `stage0_block1/conv0`.
      kind: what it is, with the side of its kernel: `conv 3×3`, `depthwise conv 3×3`, `dense`.
      output: shape of what it returns, without the batch.
      num_params: trainable weights.
      nonzeros: how many of them are not zero; None where only shapes are known.
      macs: multiply-accumulates.
      activation_bytes: size of what it returns.
    """

    name: str
    kind: str
    output: tuple[int, ...]
    num_params: int
    nonzeros: int | None
    macs: int
    activation_bytes: int


def cost(model: nn.Module, input_shape: tuple[int, ...]) -> Cost:
    """Returns the totals of `layers`."""
    counted = layers(model, input_shape)
    return Cost(sum(layer.num_params for layer in counted), sum(layer.macs for layer in counted))


def layers(
    model: nn.Module, input_shape: tuple[int, ...], params: Mapping[str, Any] | None = None
) -> list[LayerCost]:
    """Counts from shapes alone, in the order in which the layers run; nothing is computed.

    A layer that is called several times has its parameters once and its MACs several times.

    Args:
      model: a Linen module that maps `[batch, *input_shape]` float32.
      input_shape: `(height, width, channels)`.
      params: trained weights of the model, to count those that are not zero.

    Raises:
      ValueError: if weights belong to a layer that cannot be counted, or `params` to another model.
    """
    calls: dict[tuple[str, ...], list[tuple[nn.Module, tuple[int, ...], jax.Array]]] = {}

    def record(call, args, kwargs, context):
        output = call(*args, **kwargs)
        if context.method_name == "__call__" and isinstance(context.module, _KINDS):
            called = calls.setdefault(context.module.path, [])
            called.append((context.module, args[0].shape, output))
        return output

    with nn.intercept_methods(record):
        image = jax.ShapeDtypeStruct((1, *input_shape), jnp.float32)
        variables = jax.eval_shape(model.init, jax.random.key(0), image)
    shapes = _by_layer(variables.get("params", {}))
    if missed := shapes.keys() - calls.keys():
        name = "/".join(min(missed))
        raise ValueError(f"the cost of {name or type(model).__name__} is not known")
    values = None if params is None else _by_layer(params)
    if values is not None and jax.tree.map(jnp.shape, values) != jax.tree.map(jnp.shape, shapes):
        raise ValueError("the weights are not those of the model")
    return [
        LayerCost(
            name="/".join(path),
            kind=_kind(called[0][0]),
            output=called[-1][2].shape[1:],
            num_params=sum(math.prod(leaf.shape) for leaf in shapes.get(path, {}).values()),
            nonzeros=None if values is None else _nonzeros(values.get(path, {})),
            macs=sum(_macs(layer, inputs, output.shape) for layer, inputs, output in called),
            activation_bytes=sum(output.size * output.dtype.itemsize for *_, output in called),
        )
        for path, called in calls.items()
    ]


_KINDS = (nn.Conv, nn.ConvTranspose, nn.Dense, nn.BatchNorm)


def _by_layer(params: Mapping[str, Any]) -> dict[tuple[str, ...], dict[str, Any]]:
    """Groups nested parameters by the path of the layer that owns them."""
    grouped: dict[tuple[str, ...], dict[str, Any]] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        *layer, name = (key.key for key in path)
        grouped.setdefault(tuple(layer), {})[name] = leaf
    return grouped


def _nonzeros(weights: Mapping[str, Any]) -> int:
    return sum(int(np.count_nonzero(leaf)) for leaf in weights.values())


def _kind(layer: nn.Module) -> str:
    if isinstance(layer, nn.Dense):
        return "dense"
    if isinstance(layer, nn.BatchNorm):
        return "batch norm"
    assert isinstance(layer, nn.Conv | nn.ConvTranspose)
    kernel = "×".join(map(str, _kernel_size(layer)))
    if isinstance(layer, nn.ConvTranspose):
        return f"transposed conv {kernel}"
    groups = layer.feature_group_count
    if groups == 1:
        return f"conv {kernel}"
    # A depthwise kernel sees one channel, and that is how its weights are stored.
    one_channel = layer.variables["params"]["kernel"].shape[-2] == 1
    return f"{'depthwise' if one_channel else 'grouped'} conv {kernel}"


def _macs(layer: nn.Module, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> int:
    if isinstance(layer, nn.Dense):
        return math.prod(outputs) * inputs[-1]
    if isinstance(layer, nn.Conv):
        taps = math.prod(_kernel_size(layer))
        return math.prod(outputs) * taps * inputs[-1] // layer.feature_group_count
    if isinstance(layer, nn.ConvTranspose):  # each input meets each tap once
        return math.prod(inputs) * math.prod(_kernel_size(layer)) * outputs[-1]
    return 0


def _kernel_size(layer: nn.Conv | nn.ConvTranspose) -> tuple[int, ...]:
    size = layer.kernel_size
    return (size,) if isinstance(size, int) else tuple(size)
