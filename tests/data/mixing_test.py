import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distill.data import mixing

SIZE = (8, 6)


def _draw(seed, **alphas):
    draw = functools.partial(mixing.draw, batch=5, size=SIZE, **alphas)
    return jax.jit(draw)(jax.random.key(seed))


def _masks(seed, count=64, **alphas):
    keys = jax.random.split(jax.random.key(seed), count)
    return jax.jit(jax.vmap(lambda key: mixing.draw(key, 2, SIZE, **alphas).mask))(keys)


@pytest.mark.parametrize("alphas", [{"mixup": 0.4}, {"cutmix": 1.0}])
def test_a_mixture_is_the_images_by_their_shares(alphas, rng):
    images = rng.random((5, *SIZE, 2), np.float32)
    mixture = _draw(3, **alphas)
    assert sorted(mixture.partner.tolist()) == list(range(5))
    mask = np.asarray(mixture.mask)
    assert 0 < float(mixture.share) < 1 and mixture.share == pytest.approx(mask.mean(), rel=1e-6)
    mixed = np.asarray(mixture.apply(jnp.asarray(images)))
    for i, j in enumerate(mixture.partner):
        np.testing.assert_allclose(mixed[i], mask * images[i] + (1 - mask) * images[j], atol=1e-6)


def test_mixup_has_one_share_and_cutmix_a_rectangle():
    assert len(np.unique(_draw(0, mixup=0.4).mask)) == 1
    for mask in np.asarray(_masks(0, cutmix=1.0)):
        cut = 1 - mask[..., 0]
        assert set(np.unique(cut)) <= {0.0, 1.0}
        rows, columns = cut.max(1), cut.max(0)
        np.testing.assert_array_equal(cut, np.outer(rows, columns))
        assert rows.sum() <= SIZE[0] and np.abs(np.diff(rows)).sum() <= 2


def test_shares_are_drawn_from_a_beta_distribution():
    """Mean and variance of Beta(a, a) are 1/2 and 1 / (8 a + 4)."""
    keys = jax.random.split(jax.random.key(0), 4000)
    shares = jax.jit(jax.vmap(lambda key: mixing.draw(key, 2, (1, 1), mixup=0.5).share))(keys)
    assert float(shares.mean()) == pytest.approx(1 / 2, abs=0.03)
    assert float(shares.var()) == pytest.approx(1 / 8, abs=0.01)


def test_of_both_kinds_each_is_taken_at_times():
    masks = _masks(1, mixup=1.0, cutmix=1.0)
    cut = [set(np.unique(mask)) <= {0.0, 1.0} for mask in np.asarray(masks)]
    assert 16 < sum(cut) < 48
