"""Activation pruning: literal counts, dead units, masks."""

import dataclasses

import jax
import numpy as np
import pytest

from distill.compress import network as networks
from distill.compress.activation import activation, distorted, keep
from distill.errors import InputError


def lively(found):
    """The network with positive weights, so that every unit is active."""
    positive = {path: np.abs(values) for path, values in found.params.items()}
    return dataclasses.replace(found, params=positive)


def dead(found, path, units):
    """Lets biases keep units from ever being active."""
    bias = found.params[path].copy()
    bias[units] = -1e6
    return dataclasses.replace(found, params={**found.params, path: bias})


def outputs(found, images):
    return jax.jit(found.module.apply)(found.variables, images.astype(np.float32) / 255)


def test_dead_units_are_removed_without_changing_the_output(rng, network, context):
    found = dead(dead(lively(network("teacher")), "conv1/bias", [1, 3]), "hidden/bias", [0])
    images = rng.integers(0, 255, (6, 8, 8, 1)).astype(np.uint8)
    pruned = activation(found, context(found, images))
    assert (pruned.args["filters"], pruned.args["hidden"]) == ([4, 3], 6)
    np.testing.assert_allclose(outputs(pruned, images), outputs(found, images), rtol=1e-4)
    assert activation(pruned, context(pruned, images)).args == pruned.args  # nothing is left to do


def test_dead_channels_of_transposed_convolutions_are_removed_too(rng, network, context):
    found = lively(network("autoencoder"))
    found = dead(found, "decoder0_norm/bias", [2])
    images = rng.integers(0, 255, (3, 8, 8, 1)).astype(np.uint8)
    pruned = activation(found, context(found, images), layers="decoder*")
    assert pruned.args["decoder"] == [4, 1]
    np.testing.assert_allclose(outputs(pruned, images), outputs(found, images), atol=1e-4)


def test_a_layer_without_activity_keeps_its_most_active_unit(network, context):
    found = dead(lively(network("teacher")), "hidden/bias", slice(None))
    images, said = np.zeros((2, 8, 8, 1), np.uint8), []
    pruned = activation(found, context(found, images, say=said.append), layers="hidden")
    assert pruned.args["hidden"] == 1
    assert said == ["hidden would be empty; its most active unit of 7 is kept"]


def test_the_counts_decide():
    counts = np.array([5, 0, 1, 9])
    assert keep(counts)[0].tolist() == [True, False, True, True]
    assert keep(counts, threshold=1)[0].tolist() == [True, False, False, True]
    kept, emptied = keep(counts, threshold=9)
    assert kept.tolist() == [False, False, False, True] and emptied


def test_outliers_are_far_below_the_mean():
    """Nine of 10 and one of 0: mean 9, std 3, and 0 is below 3. Not so if one is 4 and active."""
    counts = np.array([10] * 9 + [0])
    assert keep(counts, outliers=True)[0].tolist() == [True] * 9 + [False]
    assert keep(np.array([0, 10]), outliers=True)[0].all()  # 5 - 2 · 5 is below 0


def test_what_is_masked_counts_for_nothing():
    """Two networks at once; the masked units of the second would spoil its mean."""
    counts = np.array([[10] * 9 + [0], [10, 10, 10, 0, 0, 0, 0, 0, 0, 0]])
    alive = np.array([[True] * 10, [True] * 3 + [False] * 7])
    kept, emptied = keep(counts, alive, outliers=True)
    assert kept.tolist() == [[True] * 9 + [False], [True] * 3 + [False] * 7]
    assert not emptied.any()
    kept, emptied = keep(counts, alive, threshold=10)
    assert kept.sum(-1).tolist() == [1, 1] and emptied.all()


def test_masks_and_slices_leave_the_same_network(rng, network, context):
    found = dead(lively(network("teacher")), "conv1/bias", [1, 3])
    images = rng.integers(0, 255, (6, 8, 8, 1)).astype(np.uint8)
    kept = np.array([True, False, True, False, True])
    masks = networks.masks(found, {"conv1": kept})
    masked = dataclasses.replace(
        found, params={p: v * masks.get(p, True) for p, v in found.params.items()}
    )
    pruned = activation(found, context(found, images), layers="conv1")
    assert pruned.args["filters"] == [4, 3]
    np.testing.assert_allclose(outputs(pruned, images), outputs(masked, images), rtol=1e-4)


def test_noise_has_the_size_of_the_thesis(rng, network, context):
    """A kernel of 0.5 and -0.5 has the variance 1/4, so the noise is between -3/4 and 3/4."""
    kernel = np.array([0.5, -0.5] * 2000, np.float32).reshape(40, 100)
    noise = distorted(kernel, rng) - kernel
    assert 0.74 < noise.max() <= 0.75 and -0.75 <= noise.min() < -0.74
    assert distorted(kernel, rng).dtype == np.float32
    found = network("teacher")
    images = rng.integers(0, 255, (2, 8, 8, 1)).astype(np.uint8)
    changed = activation(found, context(found, images), distort=True)
    assert not np.array_equal(changed.params["logits/kernel"], found.params["logits/kernel"])
    again = activation(found, context(found, images), distort=True)
    np.testing.assert_array_equal(changed.params["logits/kernel"], again.params["logits/kernel"])


def test_a_negative_threshold_is_refused(network, context):
    found = network("teacher")
    with pytest.raises(InputError, match="threshold is -1; it must be 0 or more"):
        activation(found, context(found, np.zeros((1, 8, 8, 1))), threshold=-1)
