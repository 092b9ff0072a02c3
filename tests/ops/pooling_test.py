"""Max-pooling against `flax.linen.max_pool`."""

import jax
import jax.numpy as jnp
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


# Last bits differ by what the tests' own options leave out, see `tests/conftest.py`.
AS_USERS_COMPILE = {"xla_backend_optimization_level": 3, "xla_cpu_use_fusion_emitters": True}


@pytest.mark.parametrize("native", [False, True])
def test_the_gradient_survives_what_is_computed_twice(native, rng):
    """XLA computes the normalised values again for the gradient, with another last bit."""
    x = rng.standard_normal((50, 4, 4, 64), np.float32)
    dense = rng.standard_normal((2 * 2 * 64, 512), np.float32) / 20

    def gradient(pool):
        def loss(x):
            mean, square = x.mean((0, 1, 2)), (x**2).mean((0, 1, 2))
            x = nn.relu((x - mean) * jax.lax.rsqrt(square - mean**2 + 1e-5) + 0.1)
            return jnp.tanh(pool(x).reshape(50, -1) @ dense).sum()

        with jax.numpy_rank_promotion("allow"):
            return jax.jit(jax.grad(loss), compiler_options=AS_USERS_COMPILE)(x)

    expected = gradient(lambda x: nn.max_pool(x, (2, 2), (2, 2)))
    actual = gradient(lambda x: ops.max_pool(x, native=native))
    assert np.linalg.norm(actual - expected) < 1e-5 * np.linalg.norm(expected)


@pytest.mark.parametrize("native", [False, True])
def test_tied_maxima_share_the_gradient(native):
    x = np.array([[1.0, 3.0], [3.0, 2.0]], np.float32).reshape(1, 2, 2, 1)
    x = np.tile(x, (16, 1, 1, 1))
    gradient = jax.grad(lambda x: ops.max_pool(x, native=native).sum())(x)
    np.testing.assert_array_equal(gradient[0].reshape(2, 2), [[0.0, 0.5], [0.5, 0.0]])
    np.testing.assert_array_equal(gradient[1], gradient[0])


@pytest.mark.parametrize("n", [1, 2])
def test_a_single_image_is_pooled_as_converters_know_it(n):
    x = np.random.default_rng(0).standard_normal((n, 4, 6, 3), np.float32)
    np.testing.assert_array_equal(ops.max_pool(x), nn.max_pool(x, (2, 2), (2, 2)))
    primitives = {equation.primitive.name for equation in jax.make_jaxpr(ops.max_pool)(x).eqns}
    assert ("reduce_window_max" in primitives) == (n == 1)
