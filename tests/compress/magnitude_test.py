"""Pruning by magnitude: which weights go, and that they stay zero."""

import numpy as np
import pytest

from distill import constraints
from distill.compress import network as networks
from distill.compress.magnitude import magnitude
from distill.compress.methods import COMPRESSORS
from distill.compress.network import Network
from distill.errors import InputError


def _network(**kernels):
    params = {f"{name}/kernel": np.array(k, np.float32) for name, k in kernels.items()}
    biases = {f"{name}/bias": np.ones(len(k[0]), np.float32) for name, k in kernels.items()}
    return Network("teacher", {}, 2, (2, 2, 1), {**params, **biases})


@pytest.fixture
def small():
    return _network(a=[[5, -1], [2, -8]], b=[[0.5, 0.1], [-3, 0.25]])


def _kernels(network):
    return {layer: kernel.tolist() for layer, kernel in network.kernels.items()}


def test_it_is_among_the_methods():
    assert COMPRESSORS["magnitude"] is magnitude


def test_all_layers_are_ranked_together(small, context):
    pruned = magnitude(small, context(small), amount=0.5)
    assert _kernels(pruned) == {"a": [[5, 0], [2, -8]], "b": [[0, 0], [-3, 0]]}
    assert pruned.constraints == {"mask": ["a/kernel", "b/kernel"]}
    assert pruned.held["mask"]["a/kernel"].tolist() == [[True, False], [True, True]]
    assert pruned.held["mask"]["b/kernel"].tolist() == [[False, False], [True, False]]
    np.testing.assert_array_equal(pruned.params["a/bias"], [1, 1])


def test_half_goes_unless_said_otherwise(small, context):
    assert _kernels(magnitude(small, context(small))) == _kernels(
        magnitude(small, context(small), amount=0.5)
    )


def test_each_layer_on_its_own(small, context):
    pruned = magnitude(small, context(small), amount=0.5, scope="layer")
    assert _kernels(pruned) == {"a": [[5, 0], [0, -8]], "b": [[0.5, 0], [-3, 0]]}


def test_only_the_layers_that_are_named(small, context):
    pruned = magnitude(small, context(small), amount=0.75, layers="b")
    assert _kernels(pruned) == {"a": [[5, -1], [2, -8]], "b": [[0, 0], [-3, 0]]}
    assert pruned.constraints == {"mask": ["b/kernel"]}


def test_the_amount_is_of_all_weights_and_what_is_pruned_stays_so(small, context):
    pruned = magnitude(small, context(small), amount=0.25, layers="b", scope="layer")
    assert _kernels(pruned)["b"] == [[0.5, 0], [-3, 0.25]]
    # The optimiser may move what is masked; it does not come back.
    moved = {**pruned.params, "b/kernel": np.array([[0.5, 9], [-3, 0.25]], np.float32)}
    again = Network(*list(vars(pruned).values())[:4], moved, {}, pruned.constraints, pruned.held)
    further = magnitude(again, context(again), amount=0.5, layers="b")
    assert _kernels(further)["b"] == [[0.5, 0], [-3, 0]]
    less = magnitude(again, context(again), amount=0, layers="b")
    assert _kernels(less)["b"] == [[0.5, 0], [-3, 0.25]]


def test_masks_of_other_layers_stay(small, context):
    first = magnitude(small, context(small), layers="a")
    both = magnitude(first, context(first), layers="b")
    assert both.constraints == {"mask": ["a/kernel", "b/kernel"]}
    assert both.held["mask"]["a/kernel"] is first.held["mask"]["a/kernel"]


def test_two_of_four_along_what_an_output_reads(context):
    kernel = np.array([[1, 8], [2, 7], [3, -6], [-4, 5], [9, 0], [0, 0], [1, 0], [2, 1]])
    dense = _network(a=kernel)
    pruned = magnitude(dense, context(dense), pattern="2:4")
    assert _kernels(pruned)["a"] == [
        [0, 8], [0, 7], [3, 0], [-4, 0], [9, 0], [0, 0], [0, 0], [2, 1]
    ]  # fmt: skip
    # A convolution of 2×2 taps and two inputs is read in the same order.
    conv = _network(a=kernel)
    conv.params["a/kernel"] = conv.params["a/kernel"].reshape(2, 2, 2, 2)
    pruned_conv = magnitude(conv, context(conv), pattern="2:4").params["a/kernel"]
    np.testing.assert_array_equal(pruned_conv.reshape(8, 2), pruned.params["a/kernel"])
    assert (pruned.held["mask"]["a/kernel"].reshape(2, 4, 2).sum(1) == 2).all()


def test_a_layer_keeps_its_largest_weight(context):
    network, said = _network(a=[[0.1, -0.3], [0.2, 0.1]], b=[[5, 6], [7, 8]]), []
    pruned = magnitude(network, context(network, say=said.append), amount=0.5)
    assert _kernels(pruned) == {"a": [[0, np.float32(-0.3)], [0, 0]], "b": [[5, 6], [7, 8]]}
    assert said == ["a would lose all of its weights; it keeps the largest"]


def test_what_shares_a_value_and_is_pruned_does_not_count_for_it(context):
    network = _network(a=[[2, 2], [2, 9]])
    shared = {"a/kernel": np.array([[1, 1], [1, 2]], np.uint8)}
    network = Network(
        "teacher", {}, 2, (2, 2, 1), network.params,
        constraints={"share": {"a/kernel": 3}}, held={"share": shared},
    )  # fmt: skip
    pruned = magnitude(network, context(network), amount=0.5)
    assert pruned.held["share"]["a/kernel"].tolist() == [[0, 0], [1, 2]]
    assert networks.weights(pruned)["a/kernel"].tolist() == [[0, 0], [2, 9]]


def test_training_leaves_what_is_pruned_at_zero(small, context):
    pruned = magnitude(small, context(small), amount=0.5)
    moved = {path: leaf + 1 for path, leaf in pruned.params.items()}
    found = constraints.flat(
        constraints.effective(pruned.constraints, pruned.held, constraints.nested(moved))
    )
    np.testing.assert_array_equal(found["b/kernel"], [[0, 0], [-2, 0]])


@pytest.mark.parametrize(
    "options, message",
    [
        ({"amount": 1.0}, "amount is 1.0; it must be at least 0 and below 1"),
        ({"amount": -0.1}, "amount is -0.1; it must be at least 0 and below 1"),
        ({"scope": "globl"}, "unknown scope 'globl'; did you mean 'global'"),
        ({"pattern": "2-4"}, "pattern is '2-4'; it must be unstructured, or N:M with N below M"),
        ({"pattern": "4:2"}, "pattern is '4:2'"),
        ({"pattern": "2:4"}, "each output of a reads 2 weights, which 4 does not divide; leave"),
        ({"layers": "c*"}, r"layers='c\*' matches nothing; there are a, b"),
    ],
)
def test_what_cannot_be_used_is_refused(small, context, options, message):
    with pytest.raises(InputError, match=message):
        magnitude(small, context(small), **options)
