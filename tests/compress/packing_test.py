"""The packed form: what is decoded is what was encoded, and literal sizes."""

import dataclasses

import numpy as np
import pytest

from distill import constraints
from distill.compress import huffman, packing
from distill.compress.cluster import cluster
from distill.compress.magnitude import magnitude
from distill.compress.network import Network


def _network(kernel, **more):
    params = {"a/kernel": np.array(kernel, np.float32), "a/bias": np.zeros(4, np.float32)}
    return Network("teacher", {}, 2, (2, 2, 1), params, **more)


@pytest.mark.parametrize("clusters", [None, 1, 6, 255])
@pytest.mark.parametrize("amount", [0, 0.5, 0.99])
def test_every_coding_gives_the_weights_back(rng, context, unpack, amount, clusters):
    network = _network(rng.normal(size=(3, 3, 17, 40)))
    network.stats["a_norm/mean"] = rng.normal(size=40).astype(np.float32)
    if amount:
        network = magnitude(network, context(network), amount=amount)
    if clusters and (amount < 0.9 or clusters < 9):
        network = cluster(network, context(network), num_clusters=clusters)
    wanted = {**network.params, **network.stats}
    found = unpack(packing.pack(network))
    assert found.keys() == wanted.keys()
    for path in wanted:
        np.testing.assert_array_equal(found[path], wanted[path])
        assert found[path].dtype == np.float32
    candidates = packing._candidates(network)["a/kernel"]
    for packed in candidates:
        unpacked = unpack({"": packed})[""]
        np.testing.assert_array_equal(unpacked, wanted["a/kernel"], err_msg=packed.coding)
    few = len(np.unique(wanted["a/kernel"])) <= 256
    assert len(candidates) == (4 if few else 2)


def test_shared_values_that_were_rounded_to_int8_are_stored_so(rng, context, unpack):
    """The scales of the channels tear the values of a cluster apart."""
    network = _network(rng.normal(size=(50, 4)) * [1, 2, 3, 4])
    clustered = cluster(network, context(network), num_clusters=8)
    kernel = np.asarray(constraints.round_weights(clustered.params["a/kernel"]))
    params = {**clustered.params, "a/kernel": kernel}
    rounded = dataclasses.replace(clustered, params=params)
    found = unpack(packing.pack(rounded))["a/kernel"]
    np.testing.assert_array_equal(found, kernel)
    assert len(np.unique(found)) > 8


def test_literal_sizes():
    kernel = np.zeros((8, 8))
    kernel[0], kernel[4, :4] = 2, -3
    sizes = packing.sizes(_network(kernel))
    others = 1 + 16  # the bias
    book = 1 + 3 * 4
    assert sizes == {
        "dense_bytes": 1 + 256 + others,
        "indices_bytes": 1 + book + 64 * 2 // 8 + others,
        # 52 zeros in one bit, 12 others in two; the lengths of three codes
        "huffman_bytes": 1 + book + 3 + (52 + 24) // 8 + 1 + others,
        "packed_bytes": 1 + book + 3 + (52 + 24) // 8 + 1 + others,
        "codings": {"a": "huffman"},
    }


def test_few_weights_far_apart_are_stored_by_their_distance(unpack):
    kernel = np.zeros(2000)
    kernel[[3, 40, 1200]] = 5
    packed = packing.pack(_network(kernel.reshape(1, -1)))["a/kernel"]
    assert packed.coding == "sparse"
    # To 40 it is 36 zeros, and to 1200 1159: of 32 at a time, with a zero between them.
    count = int.from_bytes(packed.data[:4], "little")
    assert count == 3 + 1 + 36
    np.testing.assert_array_equal(unpack({"a": packed})["a"].ravel(), kernel)


def test_a_kernel_of_zeros_and_one_of_one_value(unpack):
    for value in (0, 7):
        network = _network(np.full((4, 4), value))
        found = unpack(packing.pack(network))["a/kernel"]
        np.testing.assert_array_equal(found, network.params["a/kernel"])
        assert packing.sizes(network)["packed_bytes"] == 1 + 1 + 4 + 1 + 16


def test_pruning_and_clustering_each_make_it_smaller(rng, context):
    network = _network(rng.normal(size=(100, 50)))
    pruned = magnitude(network, context(network), amount=0.9)
    both = cluster(pruned, context(pruned), num_clusters=16)
    clustered = cluster(network, context(network), num_clusters=16)
    n, p, c, b = (packing.sizes(found) for found in (network, pruned, clustered, both))
    assert n["packed_bytes"] == n["dense_bytes"] == 4 * 5000 + 16 + 2
    assert n["codings"] == {"a": "float32"} and p["codings"] == {"a": "sparse"}
    assert p["packed_bytes"] < n["packed_bytes"] / 7
    assert c["packed_bytes"] < c["indices_bytes"] < n["packed_bytes"] / 7
    assert b["packed_bytes"] < p["packed_bytes"] / 2 and b["codings"] == {"a": "sparse"}
    counts = np.unique_counts(clustered.params["a/kernel"]).counts
    bits = (huffman.code_lengths(counts) * counts).sum()
    assert c["huffman_bytes"] == 1 + (1 + 16 * 4) + 16 + -(-bits // 8) + 17
