"""Constraints in literal numbers, and what of the gradient passes through them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from distill import constraints

KERNEL = jnp.array([[1.0, -4.0], [2.0, 3.0], [6.0, 0.5]])
CLUSTERS = jnp.array([[1, 0], [1, 2], [2, 2]], jnp.uint8)
MASK = jnp.array([[True, False], [True, True], [False, True]])


def _params():
    return {"a": {"kernel": KERNEL, "bias": jnp.array([1.0, 2.0])}, "b": {"c": {"kernel": KERNEL}}}


def test_flat_paths_and_back():
    flat = constraints.flat(_params())
    assert list(flat) == ["a/bias", "a/kernel", "b/c/kernel"]
    assert jax.tree.all(jax.tree.map(np.array_equal, constraints.nested(flat), _params()))


def test_a_masked_weight_is_zero_and_gets_no_gradient():
    description, held = {"mask": ["a/kernel"]}, {"mask": {"a/kernel": MASK}}

    def total(params):
        return constraints.effective(description, held, params)["a"]["kernel"].sum()

    found = constraints.effective(description, held, _params())
    np.testing.assert_array_equal(found["a"]["kernel"], [[1, 0], [2, 3], [0, 0.5]])
    np.testing.assert_array_equal(found["b"]["c"]["kernel"], KERNEL)
    np.testing.assert_array_equal(jax.grad(total)(_params())["a"]["kernel"], MASK)


def test_weights_that_share_a_value_get_the_mean_of_theirs_and_of_their_gradients():
    shared = constraints.share(KERNEL, CLUSTERS, 3)
    middle = (3.0 + 6.0 + 0.5) / 3
    np.testing.assert_allclose(shared, [[1.5, 0], [1.5, middle], [middle, middle]], rtol=1e-6)
    upstream = jnp.array([[1.0, 10.0], [3.0, 2.0], [4.0, 6.0]])
    gradient = jax.grad(lambda k: (constraints.share(k, CLUSTERS, 3) * upstream).sum())(KERNEL)
    np.testing.assert_allclose(gradient, [[2, 0], [2, 4], [4, 4]], rtol=1e-6)


def test_a_cluster_without_members_does_no_harm():
    shared = constraints.share(KERNEL, jnp.full(KERNEL.shape, 5, jnp.uint8), 8)
    np.testing.assert_allclose(shared, jnp.full(KERNEL.shape, 8.5 / 6), rtol=1e-6)


def test_weights_are_rounded_per_output_channel_and_their_gradient_passes():
    kernel = jnp.array([[127.0, 0.3, 0.0], [-0.6, -12.7, 0.0], [1.4, 0.26, 0.0]])
    np.testing.assert_allclose(
        constraints.round_weights(kernel), [[127, 0.3, 0], [-1, -12.7, 0], [1, 0.3, 0]], rtol=1e-6
    )
    np.testing.assert_allclose(constraints.weight_scale(kernel), [[1, 0.1, 1]], rtol=1e-6)
    gradient = jax.grad(lambda k: (constraints.round_weights(k) * 3).sum())(kernel)
    np.testing.assert_array_equal(gradient, np.full(kernel.shape, 3))


def test_activations_are_rounded_in_their_range_and_cut_off_outside():
    x = jnp.array([-70.0, -63.5, -0.3, 0.0, 0.2, 1.0, 64.0, 65.0])
    found, pass_through = jax.value_and_grad(
        lambda x: constraints.round_activations(x, -64.0, 63.5).sum()
    )(x)
    rounded = constraints.round_activations(x, jnp.array(-64.0), jnp.array(63.5))
    np.testing.assert_array_equal(rounded, [-64, -63.5, -0.5, 0, 0, 1, 63.5, 63.5])
    assert found == rounded.sum()
    np.testing.assert_array_equal(pass_through, [0, 1, 1, 1, 1, 1, 0, 0])


@pytest.mark.parametrize(
    ("least", "greatest", "scale", "zero_point"),
    [
        (0.0, 2.55, 0.01, -128),  # behind a relu
        (1.0, 2.55, 0.01, -128),  # zero is always in the range
        (-2.55, -1.0, 0.01, 127),
        (-0.4, 1.6, 2 / 255, -77),
        (0.0, 0.0, 1.0, -128),  # nothing was seen
    ],
)
def test_scale_and_zero_point(least, greatest, scale, zero_point):
    found = constraints.activation_scale(jnp.array(least), jnp.array(greatest))
    np.testing.assert_allclose(found, (scale, zero_point), rtol=1e-6)


def test_they_apply_in_order():
    """What is masked is zero before its cluster takes the mean, and that is what is rounded."""
    description = {"mask": ["a/kernel"], "share": {"a/kernel": 3}, "quantize": ["a", "a:output"]}
    held = {
        "mask": {"a/kernel": MASK},
        "share": {"a/kernel": CLUSTERS},
        "quantize": {"a": jnp.array([0.0, 1.0]), "a:output": jnp.array([0.0, 1.0])},
    }
    found = constraints.effective(description, held, _params())["a"]["kernel"]
    shared = constraints.share(KERNEL * MASK, CLUSTERS, 3)
    np.testing.assert_allclose(shared, [[1.5, 0], [1.5, 3.5 / 3], [3.5 / 3] * 2], rtol=1e-6)
    np.testing.assert_array_equal(found, constraints.round_weights(shared))
    assert constraints.effective(description, {}, _params())["a"]["kernel"] is not None


def test_held_like_constrains_nothing():
    description = {
        "mask": ["a/kernel"], "share": {"b/c/kernel": 5}, "quantize": ["a", "a:output"],
    }  # fmt: skip
    held = constraints.held_like(description, _params())
    found = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype.name), held)
    assert found == {
        "mask": {"a/kernel": ((3, 2), "bool")},
        "share": {"b/c/kernel": ((3, 2), "uint8")},
        "quantize": {"a": ((2,), "float32"), "a:output": ((2,), "float32")},
    }
    assert held["mask"]["a/kernel"].all()
    assert constraints.held_like({}, _params()) == {}
    with pytest.raises(KeyError):
        constraints.held_like({"mask": ["a/scale"]}, _params())


def test_quantised_layers_see_rounded_inputs_and_others_do_not():
    model = nn.Sequential([nn.Dense(1, use_bias=False), nn.Dense(1, use_bias=False)])
    variables = {"params": {f"layers_{i}": {"kernel": jnp.ones((1, 1))} for i in (0, 1)}}
    x = jnp.array([[0.3], [300.0]])

    def applied(ranges):
        held = {"quantize": {path: jnp.array(both) for path, both in ranges.items()}}
        with nn.intercept_methods(constraints.interceptor(held)):
            return model.apply(variables, x).ravel().tolist()

    assert applied({}) == [jnp.float32(0.3), 300]
    assert applied({"layers_0": (0.0, 255.0)}) == [0, 255]
    assert applied({"layers_1": (0.0, 127.5)}) == [0.5, 127.5]
    assert applied({"layers_1:output": (0.0, 510.0)}) == [0, 300]
