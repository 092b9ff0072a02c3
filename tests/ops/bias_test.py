"""A bias with its gradient in C++ against Flax's convolution, with gradients of two orders."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from distill import ops
from distill.models import layers
from distill.ops import native

pytestmark = pytest.mark.skipif(native.library() is None, reason="no C++ compiler")
# Channels last, examples last, and of neither: of few examples and channels.
SHAPES = [(3, 5, 7, 24), (2, 3, 3, 1031), (33, 6, 5, 3), (100, 28, 28, 1), (2, 3, 2, 3)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_sum_and_its_gradients(shape, rng):
    x, bias, ct = (
        jnp.asarray(rng.normal(1.0, 2.0, size), jnp.float32) for size in (shape, shape[-1:], shape)
    )
    y, gradients = jax.jit(lambda *a: (lambda y, f: (y, f(ct)))(*jax.vjp(ops.add_bias, *a)))(
        x, bias
    )
    np.testing.assert_array_equal(y, x + bias.reshape(1, 1, 1, -1))
    np.testing.assert_array_equal(gradients[0], ct)
    wanted = np.asarray(ct, np.float64).sum((0, 1, 2))
    np.testing.assert_allclose(gradients[1], wanted, rtol=1e-5, atol=1e-5 * ct.size**0.5)


@pytest.mark.parametrize(("features", "examples"), [(3, 20), (16, 2)])
def test_a_convolution_is_that_of_flax_to_the_second_order(features, examples, rng):
    x = jnp.asarray(rng.normal(size=(examples, 6, 6, 2)), jnp.float32)
    options = {"strides": (2, 2), "padding": "SAME"}
    ours = layers.Conv(features, (3, 3), **options)
    theirs = nn.Conv(features, (3, 3), **options)
    variables = ours.init(jax.random.key(0), x)
    jax.tree.map(np.testing.assert_array_equal, variables, theirs.init(jax.random.key(0), x))

    def results(module):
        def loss(variables):
            return (jnp.tanh(module.apply(variables, x)) ** 2).sum()

        def size_of_gradient(variables):
            return sum(jnp.sum(g**2) for g in jax.tree.leaves(jax.grad(loss)(variables)))

        return jax.jit(lambda v: (module.apply(v, x), jax.grad(size_of_gradient)(v)))(variables)

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3),
        results(ours), results(theirs),
    )  # fmt: skip


def test_a_narrower_type_is_left_to_xla():
    x, bias = jnp.ones((20, 2, 2, 3), jnp.bfloat16), jnp.ones(3, jnp.bfloat16)
    found = jax.grad(lambda bias: ops.add_bias(x, bias).sum().astype(jnp.float32))(bias)
    assert found.dtype == jnp.bfloat16 and found.tolist() == [80, 80, 80]


def test_the_sums_do_not_depend_on_the_number_of_threads(rng, monkeypatch):
    ct = jnp.asarray(rng.normal(size=(40, 30, 30, 3)), jnp.float32)
    found = []
    for threads in (1, 2, 5):
        monkeypatch.setattr("distill.ops.direct.threads", lambda n=threads: n)
        found.append(jax.grad(lambda bias: (ops.add_bias(ct, bias) * ct).sum())(jnp.zeros(3)))
    assert len({array.tobytes() for array in map(np.asarray, found)}) == 1
