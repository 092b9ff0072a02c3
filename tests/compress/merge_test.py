"""Merging of neurons: duplicates are free, and the least that is lost goes first."""

import dataclasses

import jax
import numpy as np
import pytest

from distill.compress.cluster import cluster
from distill.compress.magnitude import magnitude
from distill.compress.merge import merge, order
from distill.compress.methods import COMPRESSORS
from distill.errors import InputError


def _with_duplicates(network, factors):
    """Makes the neurons behind the first ones multiples of them."""
    params = dict(network.params)
    count = 8 - len(factors)
    for path in ("hidden/kernel", "hidden/bias"):
        params[path] = params[path].copy()
        for i, factor in enumerate(factors):
            params[path][..., count + i] = factor * params[path][..., i]
    return dataclasses.replace(network, params=params)


def _apply(network):
    images = np.random.default_rng(1).normal(size=(5, *network.input_shape)).astype(np.float32)
    return jax.jit(network.module.apply)(network.variables, images)


def test_it_is_among_the_methods():
    assert COMPRESSORS["merge"] is merge


def test_multiples_of_neurons_are_merged_exactly(network, context):
    found = _with_duplicates(network("teacher", hidden=8), (1, 0.5, 3))
    merged = merge(found, context(found), amount=3 / 8)
    assert merged.args["hidden"] == 5 and merged.params["hidden/kernel"].shape == (20, 5)
    assert merged.params["logits/kernel"].shape == (5, 3)
    np.testing.assert_allclose(_apply(merged), _apply(found), rtol=1e-4, atol=1e-4)
    further = merge(merged, context(found), amount=4 / 8)
    assert further.args["hidden"] == 4
    assert np.abs(np.asarray(_apply(further) - _apply(found))).max() > 0.01


def test_a_literal_example():
    incoming = np.array([[1.0, 0], [2, 0.1], [0, 3], [-1, 0]])
    outgoing = np.array([[1.0, 1], [1, 2], [1, 0], [4, 0]])
    # Neuron 0 is half of 1: what is lost is |w0 - s·w1|² |a0|² with s = 2 / 4.01.
    kept, changed = order(incoming, outgoing, 3)
    assert kept.tolist() == [False, True, True, True]
    s = 2 / 4.01
    np.testing.assert_allclose(changed[1], [1 + s, 2 + s], rtol=1e-12)
    # Then 2 for 1: |w2 - s·w1|² |a2|² = 9 - 0.09 / 4.01, beside at least 16 for the opposite of 0.
    kept, changed = order(incoming, outgoing, 2)
    assert kept.tolist() == [False, True, False, True]
    np.testing.assert_allclose(changed[1], [1 + s + 0.3 / 4.01, 2 + s], rtol=1e-12)
    kept, _ = order(incoming, outgoing, 1)
    assert kept.sum() == 1


def test_a_neuron_that_nothing_reads_goes_first_and_opposites_are_not_merged():
    incoming = np.array([[1.0, 2], [-1, -2], [5, 5]])
    kept, changed = order(incoming, np.array([[1.0], [1], [0]]), 2)
    assert kept.tolist() == [True, True, False] and changed[:2].tolist() == [[1], [1]]


def test_each_step_takes_the_least_of_all_pairs(rng):
    """What is updated in place is what computing everything anew gives."""
    incoming, outgoing = rng.normal(size=(12, 3)), rng.normal(size=(12, 2))
    kept, changed, expected = np.ones(12, bool), outgoing, np.ones(12, bool)
    for left in range(11, 3, -1):
        best = (np.inf, 0, 0, 0.0)
        for i in np.flatnonzero(expected):
            for j in np.flatnonzero(expected):
                s = max(incoming[i] @ incoming[j], 0) / (incoming[i] @ incoming[i])
                lost = ((incoming[j] - s * incoming[i]) ** 2).sum() * (changed[j] ** 2).sum()
                best = min(best, (lost, i, j, s)) if i != j else best
        _, i, j, s = best
        changed = changed.copy()
        changed[i] += s * changed[j]
        expected[j] = False
        kept, found = order(incoming, outgoing, left)
        assert kept.tolist() == expected.tolist()
        np.testing.assert_allclose(found[kept], changed[kept], rtol=1e-9)


def test_the_amount_is_of_what_the_step_began_with(network, context):
    found = network("teacher", hidden=8)
    half = merge(found, context(found), amount=0.5)
    assert merge(half, context(found), amount=0.5).args["hidden"] == 4
    assert merge(half, context(found), amount=0.99).args["hidden"] == 1
    assert merge(half, context(half), amount=0.5).args["hidden"] == 2


def test_factorised_layers_merge_at_their_ends(network, context):
    found = network(
        "teacher", hidden=8, factors={"hidden": ("channels", 3), "logits": ("channels", 2)}
    )
    second, first = "hidden/second/kernel", "logits/first/kernel"
    found.params[second][:, 7] = 2 * found.params[second][:, 0]
    found.params["hidden/second/bias"][7] = 2 * found.params["hidden/second/bias"][0]
    merged = merge(found, context(found), amount=1 / 8)
    assert merged.params[second].shape == (3, 7) and merged.params[first].shape == (7, 2)
    np.testing.assert_allclose(_apply(merged), _apply(found), rtol=1e-4, atol=1e-4)


def test_batch_normalisation_is_in_the_way(network, context):
    found = network("vgg16", hidden=(4, 3))
    with pytest.raises(InputError, match="hidden0 has batch normalisation between its neurons"):
        merge(found, context(found))
    folded = network("vgg16", hidden=(4, 3), folded=True)
    assert merge(folded, context(folded), amount=0.5).args["hidden"] == [2, 1]


def test_constraints_are_in_the_way(network, context):
    found = network("teacher", hidden=8)
    for method, kind in ((magnitude, "mask"), (cluster, "share")):
        constrained = method(found, context(found), layers="logits")
        with pytest.raises(InputError, match=f"would undo the {kind} of logits/kernel; merge"):
            merge(constrained, context(found))


def test_other_bad_input_is_refused(network, context):
    found = network("teacher", hidden=8)
    with pytest.raises(InputError, match="amount is 1; it must be at least 0 and below 1"):
        merge(found, context(found), amount=1)
    with pytest.raises(InputError, match="layers='conv0' matches nothing; there are hidden"):
        merge(found, context(found), layers="conv0")
    student = network("simplenet_v1")
    with pytest.raises(InputError, match="simplenet_v1 has no dense layer that feeds dense"):
        merge(student, context(student))
