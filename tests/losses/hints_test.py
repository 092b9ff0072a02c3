"""The methods that train something beside the student."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distill import losses
from distill.losses import parts

RNG = np.random.default_rng(4)
OURS, THEIRS = (
    [RNG.normal(size=(4, 4, 4, n)).astype(np.float32), RNG.normal(size=(4, m)).astype(np.float32)]
    for n, m in ((3, 5), (6, 8))
)


def test_fitnets_is_the_mean_square_after_a_linear_map():
    tapped = (OURS, THEIRS)
    own = losses.init_parts(jax.random.key(0), {"fitnets": tapped})
    value = losses.weighted_terms(
        "fitnets", jnp.zeros((4, 2)), jnp.zeros(4, jnp.int32), jnp.zeros((1, 4, 2)),
        {"fitnets.weight": jnp.array(2.0)}, tapped={"fitnets": tapped}, parts=own,
    )["fitnets"]  # fmt: skip
    expected = 0
    for i, (a, b) in enumerate(zip(OURS, THEIRS, strict=True)):
        layer = own["fitnets"]["projection"][f"project{i}"]
        assert layer["kernel"].shape == (a.shape[-1], b.shape[-1])
        error = a @ np.asarray(layer["kernel"]) + np.asarray(layer["bias"]) - b
        expected += (error**2).mean(tuple(range(1, b.ndim)))
    np.testing.assert_allclose(value, 2 * expected, rtol=1e-5)


def test_vid_is_a_gaussian_likelihood_and_least_at_the_true_variance():
    mean, target = OURS[0], np.asarray(OURS[0] + 0.5 * RNG.normal(size=OURS[0].shape), np.float32)

    def value(scale):
        return losses.vid([mean], [jnp.full(3, scale)], [target])

    expected = ((mean - target) ** 2 / 2.0 + np.log(2.0)).mean((1, 2, 3)) / 2
    np.testing.assert_allclose(value(2.0), expected, rtol=1e-5)
    true = float(((mean - target) ** 2).mean())
    assert value(true).mean() < min(value(true * 1.3).mean(), value(true / 1.3).mean())


def test_vid_begins_with_the_published_variance():
    found = jax.jit(parts.Prediction().init)(jax.random.key(0), OURS, THEIRS)
    made = parts.Prediction().apply(found, OURS, THEIRS)
    for variance, theirs in zip(made["variances"], THEIRS, strict=True):
        np.testing.assert_allclose(variance, np.full(theirs.shape[-1], 5.0), rtol=1e-5)
    assert [x.shape for x in made["predicted"]] == [x.shape for x in THEIRS]


def test_srrl_is_its_definition():
    kernel, bias = RNG.normal(size=(8, 3)), RNG.normal(size=3)
    ours, theirs = (RNG.normal(size=(4, 8)) for _ in range(2))
    classifier = (jnp.asarray(kernel, jnp.float32), jnp.asarray(bias, jnp.float32))
    expected = ((ours - theirs) ** 2).mean(-1) + 3 * (((ours - theirs) @ kernel) ** 2).mean(-1)
    actual = losses.srrl(
        jnp.asarray(ours, jnp.float32), jnp.asarray(theirs, jnp.float32), classifier,
        regression_weight=3.0,
    )  # fmt: skip
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_crd_finds_the_example_in_the_batch():
    a, b = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (OURS[1], OURS[1][::-1]))
    cosines = a @ b.T / 0.5
    ways = [np.exp(c) / np.exp(c).sum(-1, keepdims=True) for c in (cosines, cosines.T)]
    expected = -sum(np.log(np.diag(way)) for way in ways) / 2
    np.testing.assert_allclose(losses.crd(a, b, contrast_temperature=0.5), expected, rtol=1e-5)
    same = jnp.ones((4, 1))
    np.testing.assert_allclose(losses.crd(same, same), np.full(4, np.log(4)), rtol=1e-6)
    far = jnp.eye(4)
    np.testing.assert_allclose(losses.crd(far, far), np.zeros(4), atol=1e-4)


def test_heads_have_norm_one_and_a_space_in_common():
    heads = parts.Heads()
    made = heads.apply(jax.jit(heads.init)(jax.random.key(0), OURS, THEIRS), OURS, THEIRS)
    for x in made.values():
        assert x.shape == (4, parts.EMBEDDED)
        np.testing.assert_allclose(np.linalg.norm(x, axis=-1), np.ones(4), rtol=1e-5)


@pytest.mark.parametrize(
    "name, learns", [("fitnets", True), ("kl+vid", True), ("crd", True), ("pkt", False)]
)
def test_a_signature_says_whether_something_is_learned(name, learns):
    assert losses.learns_parts(name) is learns
    assert losses.needs_features(name) and losses.needs_teacher(name)
