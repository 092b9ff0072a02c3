"""A folded network computes what the unfolded one does, and what its masks hold stays zero."""

import dataclasses

import jax
import numpy as np
import pytest

from distill import models
from distill.compress import fold, methods
from distill.compress import network as networks
from distill.errors import InputError
from distill.models.calli import BLOCKS

FAMILIES = (
    "vgg16", "resnet20", "resnet34", "resnet50", "densenet_bc100", "mobilenet_v1", "mobilenet_v2",
    "autoencoder", "vgg8", "wrn_16_2",
)  # fmt: skip


def _applied(network, images):
    return jax.jit(network.module.apply)(network.variables, images)


def _check(network, rng):
    """Folds, and compares shapes and results."""
    images = rng.normal(size=(4, *network.input_shape)).astype(np.float32)
    folded = fold.fold(network, None)
    wanted = jax.eval_shape(folded.module.init, jax.random.key(0), images)
    shapes = jax.tree.map(np.shape, folded.variables)
    assert shapes["params"] == jax.tree.map(np.shape, wanted["params"])
    assert shapes["batch_stats"] == jax.tree.map(np.shape, wanted.get("batch_stats", {}))
    np.testing.assert_allclose(
        _applied(folded, images), _applied(network, images), rtol=1e-3, atol=1e-4
    )
    return folded


@pytest.mark.parametrize("name", FAMILIES)
def test_folded_equals_unfolded(name, network, rng):
    folded = _check(network(name), rng)
    # What comes before a relu, and not behind a convolution, stays.
    assert bool(folded.stats) == name.startswith(("densenet", "wrn"))


@pytest.mark.parametrize("block", BLOCKS)
def test_blocks_are_folded(block, network, rng):
    folded = _check(network("calli", features=(4, 8, 6), block=block), rng)
    assert not folded.stats


@pytest.mark.parametrize("kind", ["channels", "spatial"])
def test_the_second_factor_takes_the_norm(kind, network, rng):
    factors = {"stage1_block0/conv0": (kind, 2), "stem": (kind, 3)}
    folded = _check(network("resnet20", factors=factors), rng)
    assert "stem/second/bias" in folded.params and "stem/first/bias" not in folded.params


@pytest.mark.parametrize("name", ["teacher", "simplenet_v4", "calli_1d", "densenet40"])
def test_without_norms_behind_layers_nothing_changes(name, network):
    found = network(name)
    assert fold.fold(found, None) is found


def test_literal_numbers(network):
    found = network("vgg16")
    channels = np.ones(4, np.float32)
    params = {
        **found.params,
        "conv0_norm/scale": 3 * channels,
        "conv0_norm/bias": 5 * channels,
    }
    stats = {**found.stats, "conv0_norm/mean": 2 * channels, "conv0_norm/var": 4 * channels - 1e-5}
    folded = fold.fold(dataclasses.replace(found, params=params, stats=stats), None)
    np.testing.assert_allclose(folded.params["conv0/kernel"], 1.5 * found.params["conv0/kernel"])
    np.testing.assert_allclose(folded.params["conv0/bias"], [5 - 1.5 * 2] * 4)
    assert folded.args["folded"] is True and folded.params["conv0/kernel"].dtype == np.float32


def test_masks_go_along(network, rng):
    found = network("vgg16")
    keep = np.array([True, False, True, True])
    masks = networks.masks(found, {"conv0": keep})
    found = dataclasses.replace(
        found,
        params={path: leaf * masks.get(path, True) for path, leaf in found.params.items()},
        constraints={"mask": list(masks)},
        held={"mask": masks},
    )
    folded = _check(found, rng)
    assert folded.constraints["mask"] == list(folded.held["mask"])
    assert not [path for path in folded.held["mask"] if path not in folded.params]
    np.testing.assert_array_equal(folded.held["mask"]["conv0/bias"], keep)
    np.testing.assert_array_equal(folded.held["mask"]["conv0/kernel"][0, 0, 0], keep)
    np.testing.assert_array_equal(folded.params["conv0/bias"] != 0, keep)


def test_a_mask_of_shifts_alone_is_dropped(network):
    """The folded bias holds the running mean too, which no mask makes zero."""
    found = network("vgg16")
    masks = {"conv0_norm/bias": np.array([True, False, True, True])}
    found = dataclasses.replace(found, constraints={"mask": list(masks)}, held={"mask": masks})
    folded = fold.fold(found, None)
    assert folded.constraints == {} and folded.held == {}


@pytest.mark.parametrize(
    ("constraints", "message"),
    [
        ({"share": {"conv0/kernel": 4}}, "conv0 share values, .* fold before they are clustered"),
        ({"quantize": ["conv0"]}, "conv0 cannot be folded into weights that are trained for int8"),
    ],
)
def test_weights_that_must_not_change_are_not_folded(constraints, message, network):
    found = dataclasses.replace(network("vgg16"), constraints=constraints)
    with pytest.raises(InputError, match=message):
        fold.fold(found, None)


def test_it_is_a_method_without_options():
    assert methods.known("fold") == {}
    methods.check({"method": "fold"})


def test_every_model_with_norms_takes_folded():
    for name in models.MODELS:
        models.check(name, {"folded": True})
