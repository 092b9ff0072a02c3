"""Batch normalisation with sums in C++ against Flax's own, with gradients of two orders."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from distill import ops
from distill.models import layers
from distill.ops import direct, native

needs_kernels = pytest.mark.skipif(native.library() is None, reason="no C++ compiler")
SHAPES = [
    (4, 5, 6, 16),
    (3, 7, 5, 24),
    (2, 3, 3, 1031),
    (50, 40),
    (9, 4, 4, 3),
    (1, 1, 1, 32),
    (33, 4, 5, 3),
]


def both(shape, rng):
    """Flax's module and ours, variables, images that are far from centred, and a cotangent."""
    options = {"use_running_average": False, "momentum": 0.9, "epsilon": 1e-5}
    x = jnp.asarray(rng.normal(2.0, 3.0, shape), jnp.float32)
    params = {
        "scale": jnp.asarray(rng.normal(size=shape[-1]), jnp.float32),
        "bias": jnp.asarray(rng.normal(size=shape[-1]), jnp.float32),
    }
    stats = {"mean": jnp.full(shape[-1], 0.5), "var": jnp.full(shape[-1], 2.0)}
    ct = jnp.asarray(rng.normal(size=shape), jnp.float32)
    return nn.BatchNorm(**options), layers.BatchNorm(**options), params, stats, x, ct


@needs_kernels
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_outputs_statistics_and_gradients_are_those_of_flax(shape, rng):
    theirs, ours, params, stats, x, ct = both(shape, rng)

    def results(module):
        def f(params, x):
            variables = {"params": params, "batch_stats": stats}
            y, new = module.apply(variables, x, mutable=["batch_stats"])
            return (y * ct).sum(), (y, new)

        return jax.jit(jax.value_and_grad(f, (0, 1), has_aux=True))(params, x)

    number = x.size // shape[-1]
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-4 * number**0.5),
        results(ours), results(theirs),
    )  # fmt: skip


@needs_kernels
def test_a_frozen_layer_uses_its_running_average(rng):
    *_, params, stats, x, _ = both((4, 5, 6, 16), rng)
    found, wanted = (
        module.apply({"params": params, "batch_stats": stats}, x, use_running_average=True)
        for module in (
            layers.BatchNorm(momentum=0.9, epsilon=1e-5), nn.BatchNorm(momentum=0.9, epsilon=1e-5)
        )
    )  # fmt: skip
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


@needs_kernels
def test_fresh_variables_are_those_of_flax():
    theirs, ours, *_, x, _ = both((4, 3, 3, 16), np.random.default_rng(0))
    key = jax.random.key(0)
    jax.tree.map(np.testing.assert_array_equal, ours.init(key, x), theirs.init(key, x))


@needs_kernels
@pytest.mark.parametrize("shape", [(4, 3, 3, 16), (16, 3, 3, 2)], ids=str)
def test_derivatives_of_the_second_order(shape, rng):
    """Those that a temperature is learned by: of a gradient's product with something."""
    theirs, ours, params, stats, x, ct = both(shape, rng)

    def second(module):
        def f(x):
            y, _ = module.apply(
                {"params": params, "batch_stats": stats}, x, mutable=["batch_stats"]
            )
            return (jnp.sin(y) * ct).sum()

        return jax.jit(jax.grad(lambda x: (jax.grad(f)(x) * jnp.cos(x)).sum()))(x)

    np.testing.assert_allclose(second(ours), second(theirs), rtol=1e-3, atol=1e-4)


@needs_kernels
@pytest.mark.parametrize("channels", [24, 3])
def test_the_sums_do_not_depend_on_the_number_of_threads(channels, rng, monkeypatch):
    x = jnp.asarray(rng.normal(size=(40, 30, 30, channels)), jnp.float32)
    found = []
    for threads in (1, 2, 5):
        monkeypatch.setattr(direct, "threads", lambda threads=threads: threads)
        found.append(jax.jit(ops.batch_statistics)(x))
        jax.clear_caches()
    for other in found[1:]:
        jax.tree.map(np.testing.assert_array_equal, other, found[0])
    np.testing.assert_allclose(found[0][0], np.asarray(x, np.float64).mean((0, 1, 2)), atol=1e-7)
