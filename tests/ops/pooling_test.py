"""Max-pooling against `flax.linen.max_pool`."""

import jax
import numpy as np
import pytest
from flax import linen as nn

from distill import ops


@pytest.mark.parametrize(("height", "width", "size"), [(8, 6, 2), (7, 9, 2), (9, 11, 3)])
@pytest.mark.parametrize(
    ("native", "examples", "channels"), [(False, 3, 4), (True, 17, 3), (True, 2, 20)]
)
def test_max_pool_equals_linen(height, width, size, native, examples, channels):
    shape = (examples, height, width, channels)
    x = np.random.default_rng(0).standard_normal(shape, np.float32)

    def reference(x):
        return nn.max_pool(x, (size, size), (size, size))

    def pool(x):
        return ops.max_pool(x, size, native=native)

    np.testing.assert_array_equal(pool(x), reference(x))
    np.testing.assert_array_equal(jax.grad(_energy(pool))(x), jax.grad(_energy(reference))(x))


def _energy(pool):
    return lambda x: (pool(x) ** 2).sum()


@pytest.mark.parametrize("native", [False, True])
def test_tied_maxima_share_the_gradient(native):
    x = np.array([[1.0, 3.0], [3.0, 2.0]], np.float32).reshape(1, 2, 2, 1)
    x = np.tile(x, (16, 1, 1, 1))
    gradient = jax.grad(lambda x: ops.max_pool(x, native=native).sum())(x)
    np.testing.assert_array_equal(gradient[0].reshape(2, 2), [[0.0, 0.5], [0.5, 0.0]])
    np.testing.assert_array_equal(gradient[1], gradient[0])


@pytest.mark.parametrize(("n", "primitive"), [(1, "reduce_window_max"), (2, "reduce_max")])
def test_a_single_image_is_pooled_as_converters_know_it(n, primitive):
    x = np.random.default_rng(0).standard_normal((n, 4, 6, 3), np.float32)
    np.testing.assert_array_equal(ops.max_pool(x), nn.max_pool(x, (2, 2), (2, 2)))
    assert primitive in {
        equation.primitive.name for equation in jax.make_jaxpr(ops.max_pool)(x).eqns
    }
