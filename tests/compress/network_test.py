"""Channels that are removed are gone from every array, and only they."""

import jax
import numpy as np
import pytest
from flax import linen as nn

from distill.compress import network as networks
from distill.errors import InputError

NAMES = (
    "simplenet_v1", "simplenet_v4", "teacher", "calli", "calli_1d", "vgg16", "resnet20", "resnet34",
    "resnet50", "densenet40", "densenet_bc100", "densenet121", "mobilenet_v1",
    "mobilenet_v2", "efficientnet_lite0", "autoencoder", "vgg8", "wrn_16_2", "wrn_40_1",
)  # fmt: skip


def gated(found, kept, images):
    """Applies a network whose readers see zeros instead of the channels that are not kept."""
    gates = {}
    for group in found.channels().groups:
        for part in group.readers if group.name in kept else ():
            layer = networks.resolve(found, part.layer, "first")
            gates.setdefault(layer, []).append((part, np.asarray(kept[group.name])))

    def intercept(call, args, kwargs, context):
        layer = "/".join(context.module.path)
        if context.method_name != "__call__" or layer not in gates:
            return call(*args, **kwargs)
        (x,) = args
        for part, keep in gates[layer]:
            once = np.ones(part.of or x.shape[-1], np.float32)
            once[part.start : part.start + keep.size] = keep
            gate = np.tile(once, x.shape[-1] // once.size)
            x = x * gate.reshape((1,) * (x.ndim - 1) + (-1,))
        return call(x, **kwargs)

    def apply(variables):
        with nn.intercept_methods(intercept):
            return found.module.apply(variables, images)

    return jax.jit(apply)(found.variables)


def some(found, rng):
    """Keeps about half of each group, at least one."""
    kept = {}
    for group in found.channels().groups:
        keep = rng.uniform(size=group.size) < 0.6
        keep[rng.integers(group.size)] = True
        kept[group.name] = keep
    return kept


@pytest.mark.parametrize("name", NAMES)
def test_the_sliced_network_is_the_masked_one(name, rng, key, network):
    found = network(name)
    images = rng.normal(size=(2, *found.input_shape)).astype(np.float32)
    kept = some(found, rng)
    sliced = networks.remove(found, kept)
    np.testing.assert_allclose(
        jax.jit(sliced.module.apply)(sliced.variables, images), gated(found, kept, images),
        rtol=1e-3, atol=1e-4,
    )  # fmt: skip
    wanted = jax.eval_shape(sliced.module.init, key, images)
    assert jax.tree.map(np.shape, sliced.variables["params"]) == jax.tree.map(
        np.shape, wanted["params"]
    )
    everything = {g.name: np.ones(g.size, bool) for g in found.channels().groups}
    same = networks.remove(found, everything)
    assert all(np.array_equal(same.params[p], found.params[p]) for p in found.params)


def test_channels_of_factorised_layers_are_removed_from_their_ends(network):
    found = network("teacher", factors={"hidden": ("channels", 3)})
    keep = np.array([True, False, True, True, False, True, True])
    sliced = networks.remove(found, {"hidden": keep, "conv1": np.arange(5) < 2})
    assert sliced.args["hidden"] == 5 and sliced.args["filters"] == [4, 2]
    assert sliced.params["hidden/first/kernel"].shape == (2 * 2 * 2, 3)
    np.testing.assert_array_equal(
        sliced.params["hidden/second/kernel"], found.params["hidden/second/kernel"][:, keep]
    )


def test_an_emptied_group_is_refused(network):
    found = network("teacher")
    with pytest.raises(InputError, match="nothing of conv0 would be left; keep at least one of 4"):
        networks.remove(found, {"conv0": np.zeros(4, bool)})


def test_behind_a_block_channels_can_be_removed(network):
    found = network("calli", features=(4, 8, 6), block="inception")
    assert [group.name for group in found.channels().groups] == ["conv2"]
    sliced = networks.remove(found, {"conv2": np.arange(6) < 2})
    assert sliced.args["features"] == [4, 8, 2] and sliced.params["logits/kernel"].shape == (2, 3)
    half = network("calli", inner=(0, 3, 0)).channels()
    assert [group.name for group in half.groups] == ["conv0", "conv1/row", "conv1/column", "conv2"]
