import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distill.data import AUGMENTATIONS
from distill.training import predict as predict_lib

NORMALIZATION = {"mean": (0.5, 0.25), "std": (0.5, 2.0)}


class Tiny(nn.Module):
    @nn.compact
    def __call__(self, x, *, train=False):
        return nn.Dense(3)(nn.relu(nn.Dense(8)(x.reshape(len(x), -1))))


MODEL = Tiny()


def _images(rng, n):
    return rng.integers(256, size=(n, 3, 3, 2), dtype=np.uint8)


def _variables(seed=0):
    return jax.jit(MODEL.init)(jax.random.key(seed), jnp.zeros((1, 3, 3, 2)))


def _apply(variables, pixels):
    """What `predict` should say, with normalisation in NumPy and in one batch."""
    return MODEL.apply(variables, ((pixels - [0.5, 0.25]) / [0.5, 2.0]).astype(np.float32))


@pytest.mark.parametrize("n", [1, 499, 500, 501, 1001])
def test_padding_changes_nothing(n, rng):
    images, variables, done = _images(rng, n), _variables(), []
    logits = predict_lib.predict(MODEL, variables, images, **NORMALIZATION, on_batch=done.append)
    np.testing.assert_allclose(logits, _apply(variables, images / 255), rtol=1e-4, atol=1e-5)
    assert sum(done) == n and logits.dtype == np.float32


def test_the_padded_batch_needs_no_program_of_its_own(rng):
    predict_lib._logits.clear_cache()
    predict_lib.predict(MODEL, _variables(), _images(rng, 1234), **NORMALIZATION)
    assert predict_lib._logits._cache_size() == 1


def test_teacher_table_is_each_member_on_each_variant(rng):
    images, members = _images(rng, 5), [_variables(seed) for seed in range(2)]
    shift, done = AUGMENTATIONS["shift"], []
    table = predict_lib.teacher_table(
        MODEL, members, images, shift, **NORMALIZATION, on_batch=done.append
    )
    assert table.shape == (9, 5, 2, 3) and sum(done) == 9 * 5 * 2
    for variant in range(9):
        pixels = shift.apply(jnp.asarray(images / 255, jnp.float32), jnp.full(5, variant))
        for i, member in enumerate(members):
            expected = _apply(member, np.asarray(pixels))
            np.testing.assert_allclose(table[variant, :, i], expected, rtol=1e-4, atol=1e-5)


def test_ensemble_logits_are_the_log_of_the_mean_probability():
    probs = np.array([[[0.9, 0.1]], [[0.5, 0.5]]], np.float32)
    actual = predict_lib.ensemble_logits(np.log(probs))
    np.testing.assert_allclose(np.exp(actual), [[0.7, 0.3]], rtol=1e-5)


def test_one_member_keeps_its_predictions(rng):
    logits = rng.normal(size=(1, 50, 3)).astype(np.float32)
    actual = predict_lib.ensemble_logits(logits)
    np.testing.assert_allclose(actual, jax.nn.log_softmax(logits[0]), atol=1e-6)
