"""Tiny networks: their counts by hand, and what their arguments promise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distill import models
from distill.compress import fold
from distill.compress import network as networks
from distill.cost import cost
from distill.errors import InputError

ARGS = {
    "widths": (2, 3, 4), "depths": (1, 2, 3), "kernels": (5, 3, 3),
    "separable": (False, True, False),
}  # fmt: skip
SHAPE = (28, 28, 1)


def build(**changes):
    return models.build("tiny", {**ARGS, **changes}, num_classes=10)


def folded_weights(**changes):
    return cost(build(folded=True, **changes), SHAPE).num_params


def test_counts_are_those_of_the_definition():
    stage0 = 25 * 2 + 2
    stage1 = (9 * 2 + 2) + (2 * 3 + 3) + (9 * 3 + 3) + (3 * 3 + 3)
    stage2 = (9 * 3 * 4 + 4) + 2 * (9 * 4 * 4 + 4)
    assert folded_weights() == stage0 + stage1 + stage2 + 4 * 10 + 10
    assert folded_weights(head="dense") == stage0 + stage1 + stage2 + 7 * 7 * 4 * 10 + 10
    shared = (9 * 2 + 2) + (2 * 3 + 3) + (9 * 3 * 3 + 3) + (9 * 3 * 4 + 4) + (9 * 4 * 4 + 4)
    assert folded_weights(shared_weights=True) == stage0 + shared + 4 * 10 + 10
    assert folded_weights(widths=(2, 0, 4)) == stage0 + (9 * 2 * 4 + 4) + 2 * 148 + 50


@pytest.mark.parametrize(
    "changes", [{}, {"downsample": "strided_conv"}, {"shared_weights": True, "skip": True}]
)
def test_normalisation_folds_away(changes, rng):
    model = build(**changes)
    images = jnp.asarray(rng.random((2, 8, 8, 1)), jnp.float32)
    variables = jax.jit(model.init)(jax.random.key(0), images)
    variables = jax.tree.map(lambda leaf: leaf + 0.1 * rng.random(leaf.shape), variables)
    network = networks.of("tiny", {**ARGS, **changes}, 10, (8, 8, 1), variables)
    folded = fold.folded(network)
    assert not folded.stats and not [path for path in folded.params if "norm" in path]
    np.testing.assert_allclose(
        jax.jit(folded.module.apply)(folded.variables, images),
        jax.jit(model.apply)(variables, images),
        rtol=1e-3, atol=1e-4,
    )  # fmt: skip


def layers(**changes):
    image = jax.ShapeDtypeStruct((1, *SHAPE), jnp.float32)
    return set(jax.eval_shape(build(**changes).init, jax.random.key(0), image)["params"])


def test_weights_that_are_shared_are_one_layer_that_is_applied_as_often():
    shared, apart = layers(shared_weights=True), layers()
    assert {"stage1_again", "stage2_again"} < shared and "stage2_conv1" not in shared
    assert {"stage2_conv1", "stage2_conv2"} < apart
    plain = {"separable": (False, False, False)}
    macs = {cost(build(shared_weights=is_so, **plain), SHAPE).macs for is_so in (True, False)}
    assert len(macs) == 1


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"depths": (1, 2)}, "depths has 2 entries; it must have 3"),
        ({"widths": (0, 0, 0)}, "one of them must be 1 or more"),
        ({"head": "men"}, "mean"),
        ({"depths": (1, 0, 1)}, "depths"),
    ],
)
def test_arguments_that_do_not_fit_are_named(changes, message):
    with pytest.raises(InputError, match=message):
        build(**changes)
