"""Clustering: the codebook, that the network is its decoded weights, and how it is trained."""

import jax
import numpy as np
import pytest

from distill import constraints
from distill.compress import network as networks
from distill.compress.cluster import cluster, k_means, nearest
from distill.compress.magnitude import magnitude
from distill.compress.methods import COMPRESSORS
from distill.compress.network import Network
from distill.errors import InputError


def _network(kernel, **more):
    return Network("teacher", {}, 2, (2, 2, 1), {"a/kernel": np.array(kernel, np.float32)}, **more)


def test_it_is_among_the_methods():
    assert COMPRESSORS["cluster"] is cluster


def test_values_are_the_means_of_stretches():
    values = np.array([10, 1, 2, 11, 12, 1, -4], np.float32)
    np.testing.assert_allclose(k_means(values, 3), [-4, 4 / 3, 11], rtol=1e-7)
    np.testing.assert_allclose(k_means(values, 1), [33 / 7], rtol=1e-7)


def test_values_that_nothing_is_near_are_left_out():
    np.testing.assert_array_equal(k_means(np.array([1, 1, 1, 9], np.float32), 4), [1, 9])
    np.testing.assert_array_equal(k_means(np.full(5, 0.3, np.float32), 3), [np.float32(0.3)])


def test_the_nearest_value_is_found():
    np.testing.assert_array_equal(
        nearest(np.array([[-9, 0.4], [0.5, 7]]), np.array([0, 1, 4], np.float32)), [[0, 0], [1, 2]]
    )


def test_rounds_lower_the_error_to_a_place_where_it_stays(rng):
    values = rng.normal(size=5000).astype(np.float32)
    codebook = k_means(values, 8)
    members = nearest(values, codebook)
    means = [values[members == i].mean() for i in range(8)]
    np.testing.assert_allclose(codebook, means, atol=1e-5)
    linear = np.linspace(values.min(), values.max(), 8)
    error, before = (((values - c[nearest(values, c)]) ** 2).mean() for c in (codebook, linear))
    # 0.0345 is the least that eight values can have for a normal distribution (Max 1960).
    assert error < before / 2 and error < 0.045


def test_each_layer_has_its_values_and_zeros_stay(context):
    network = _network([[1, 2, 0, -5], [10, 12, -6, 0]])
    clustered = cluster(network, context(network), num_clusters=3)
    np.testing.assert_array_equal(
        clustered.params["a/kernel"], [[1.5, 1.5, 0, -5.5], [11, 11, -5.5, 0]]
    )
    assert clustered.constraints == {"share": {"a/kernel": 4}}
    found = clustered.held["share"]["a/kernel"]
    assert found.dtype == np.uint8 and found.tolist() == [[2, 2, 0, 1], [3, 3, 1, 0]]


def test_the_network_is_its_decoded_weights(rng, context):
    network = _network(rng.normal(size=(50, 40)))
    pruned = magnitude(network, context(network), amount=0.7)
    clustered = cluster(pruned, context(pruned), num_clusters=16)
    assert clustered.constraints == {"mask": ["a/kernel"], "share": {"a/kernel": 17}}
    kernel, indices = clustered.params["a/kernel"], clustered.held["share"]["a/kernel"]
    assert len(np.unique(kernel)) == 17 and np.count_nonzero(kernel) == 600
    codebook = np.array([kernel[indices == i][0] for i in range(17)])
    np.testing.assert_array_equal(codebook[indices], kernel)
    # Not only to rounding: what is shared already has no mean to be rounded.
    np.testing.assert_array_equal(networks.weights(clustered)["a/kernel"], kernel)
    again = cluster(clustered, context(clustered), num_clusters=16)
    np.testing.assert_allclose(again.params["a/kernel"], kernel, rtol=1e-6)


def test_sums_of_many_equal_values_are_exact():
    clusters = np.ones(500_000, np.uint8)
    weights = np.full(clusters.shape, 0.1234567, np.float32)
    shared = jax.jit(constraints.share, static_argnums=2)(weights, clusters, 2)
    np.testing.assert_array_equal(shared, weights)


def test_gradients_of_all_weights_of_a_value_are_accumulated(context):
    network = _network([[1, 2, 0, -5]])
    clustered = cluster(network, context(network), num_clusters=2)
    held, about = clustered.held, clustered.constraints
    slopes = np.array([[3, 5, 7, 11]], np.float32)

    @jax.grad
    def gradient(params):
        return (constraints.effective(about, held, params)["a"]["kernel"] * slopes).sum()

    moved = gradient(constraints.nested(clustered.params))["a"]["kernel"]
    np.testing.assert_array_equal(moved, [[4, 4, 0, 11]])


def test_other_layers_keep_theirs(context):
    params = {name: np.array([[1.0, 2.0, 4.0]], np.float32) for name in ("a/kernel", "b/kernel")}
    network = Network("teacher", {}, 2, (2, 2, 1), params)
    first = cluster(network, context(network), num_clusters=1, layers="a")
    both = cluster(first, context(first), num_clusters=3, layers="b")
    assert both.constraints == {"share": {"a/kernel": 2, "b/kernel": 4}}
    assert both.held["share"]["b/kernel"].tolist() == [[1, 2, 3]]
    np.testing.assert_array_equal(both.params["b/kernel"], params["b/kernel"])


@pytest.mark.parametrize(
    "options, message",
    [
        ({"num_clusters": 0}, "num_clusters is 0; it must be between 1 and 255"),
        ({"num_clusters": 256}, "num_clusters is 256; it must be between 1 and 255"),
        ({"num_clusters": 4}, "num_clusters is 4, but a has only 3 weights that are not zero; "),
        ({"layers": "b"}, "layers='b' matches nothing; there are a"),
    ],
)
def test_what_cannot_be_used_is_refused(context, options, message):
    network = _network([[1, 2, 0, -5]])
    with pytest.raises(InputError, match=message):
        cluster(network, context(network), **options)
