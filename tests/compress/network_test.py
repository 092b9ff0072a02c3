"""Channels that are removed are gone from every array, and only they."""

import jax
import numpy as np
import pytest
from flax import linen as nn

from distill import models
from distill.compress import network as networks
from distill.errors import InputError

SMALL = {
    "simplenet_v1": ({"filters": (4, 5)}, (12, 12, 1)),
    "simplenet_v4": ({"filters": (4,)}, (8, 8, 1)),
    "teacher": ({"filters": (4, 5), "hidden": 7}, (8, 8, 1)),
    "calli": ({"features": (4, 5, 6)}, (28, 28, 1)),
    "calli_1d": ({"features": (4, 5, 6), "inner": (3, 4, 5)}, (28, 28, 1)),
    "vgg16": ({"features": (4, 6, 5), "pools": (1, 3), "hidden": (7,)}, (8, 8, 3)),
    "resnet20": ({"blocks": (1, 2, 1), "features": (4, 6, 9), "stem": 4}, (8, 8, 3)),
    "resnet34": ({"blocks": (2, 1), "features": (4, 8), "stem": 4}, (32, 32, 3)),
    "resnet50": ({"blocks": (1, 2), "features": (8, 12), "stem": 4}, (32, 32, 3)),
    "densenet40": (
        {"stem": 4, "growth": ((3, 2), (2, 3)), "transitions": (6,)}, (8, 8, 3)
    ),
    "densenet_bc100": (
        {"stem": 4, "growth": ((3, 2), (2,)), "inner": ((5, 4), (3,)), "transitions": (6,)},
        (8, 8, 3),
    ),
    "mobilenet_v1": ({"features": (16, 24), "strides": (1, 2), "stem": 8, "width": 0.5}, (8, 8, 3)),
    "mobilenet_v2": (
        {"blocks": (1, 2, 1), "features": (4, 6, 5), "strides": (1, 2, 1), "stem": 4, "head": 9},
        (8, 8, 3),
    ),
}  # fmt: skip


def network(name, rng, key, **more):
    args, shape = SMALL[name]
    module = models.build(name, {**args, **more}, num_classes=3)
    shapes = jax.eval_shape(module.init, key, np.zeros((1, *shape), np.float32))
    variables = jax.tree.map(
        lambda v: rng.uniform(0.1, 1, v.shape).astype(np.float32) - (v.ndim > 1) * 0.5, shapes
    )
    return networks.of(name, {**args, **more}, 3, shape, variables)


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


@pytest.mark.parametrize("name", SMALL)
def test_the_sliced_network_is_the_masked_one(name, rng, key):
    found = network(name, rng, key)
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


def test_channels_of_factorised_layers_are_removed_from_their_ends(rng, key):
    found = network("teacher", rng, key, factors={"hidden": ("channels", 3)})
    keep = np.array([True, False, True, True, False, True, True])
    sliced = networks.remove(found, {"hidden": keep, "conv1": np.arange(5) < 2})
    assert sliced.args["hidden"] == 5 and sliced.args["filters"] == [4, 2]
    assert sliced.params["hidden/first/kernel"].shape == (2 * 2 * 2, 3)
    np.testing.assert_array_equal(
        sliced.params["hidden/second/kernel"], found.params["hidden/second/kernel"][:, keep]
    )


def test_an_emptied_group_is_refused(rng, key):
    found = network("teacher", rng, key)
    with pytest.raises(InputError, match="nothing of conv0 would be left; keep at least one of 4"):
        networks.remove(found, {"conv0": np.zeros(4, bool)})


def test_patterns_choose_layers_in_order():
    names = ["conv0", "conv1", "hidden", "logits"]
    assert networks.matching("logits,conv*", names) == ["conv0", "conv1", "logits"]
    assert networks.matching("!logits", names) == ["conv0", "conv1", "hidden"]
    assert networks.matching("*,!conv1", names) == ["conv0", "hidden", "logits"]
    with pytest.raises(InputError, match=r"layers='dense\*' matches nothing; there are conv0, "):
        networks.matching("dense*", names)
    with pytest.raises(InputError, match="leaves nothing"):
        networks.matching("*,!*", names)
