"""The methods that compare features and relations, against their definitions in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from distill import losses
from distill.errors import InputError

RNG = np.random.default_rng(3)


def _images(*shape):
    return np.maximum(RNG.normal(size=shape), 0).astype(np.float32)


STUDENT = [_images(5, 4, 4, 3), _images(5, 2, 2, 6)]
TEACHER = [_images(5, 4, 4, 3), _images(5, 2, 2, 6)]
VECTORS, OTHERS = (RNG.normal(size=(5, n)).astype(np.float32) for n in (7, 4))
OF_STAGES = [losses.attention, losses.fsp, losses.nst, losses.similarity]
OF_VECTORS = [
    losses.rkd_distance, losses.rkd_angle, losses.pkt, losses.correlation_congruence,
]  # fmt: skip


def _unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def _huber(a, b):
    d = np.abs(a - b)
    return np.where(d < 1, d**2 / 2, d - 0.5)


def test_attention_is_its_definition():
    expected = 0
    for a, b in zip(STUDENT, TEACHER, strict=True):
        maps = [_unit((x**2).mean(-1).reshape(5, -1)) for x in (a, b)]
        expected += ((maps[0] - maps[1]) ** 2).mean(-1)
    np.testing.assert_allclose(losses.attention(STUDENT, TEACHER), expected, rtol=1e-5)
    small = [1e-5 * x for x in STUDENT]  # whose squares have a norm of 1e-10
    np.testing.assert_allclose(losses.attention(small, TEACHER), expected, rtol=1e-5)


def test_papers_have_norms_and_sums_where_their_codes_have_means():
    for a, b in zip(STUDENT, TEACHER, strict=True):
        maps = [_unit((x**2).mean(-1).reshape(5, -1)) for x in (a, b)]
        expected = np.linalg.norm(maps[0] - maps[1], axis=-1)
        np.testing.assert_allclose(losses.attention([a], [b], paper=True), expected, rtol=1e-5)
    both = [losses.fsp(STUDENT, TEACHER, paper=paper) for paper in (False, True)]
    np.testing.assert_allclose(both[1], 18 * both[0], rtol=1e-5)
    both = [losses.fitnets(STUDENT, TEACHER, paper=paper) for paper in (False, True)]
    parts = [losses.fitnets([a], [b]) for a, b in zip(STUDENT, TEACHER, strict=True)]
    np.testing.assert_allclose(both[0], sum(parts), rtol=1e-5)
    np.testing.assert_allclose(both[1], 48 / 2 * parts[0] + 24 / 2 * parts[1], rtol=1e-5)
    variances = [jnp.full(n, 2.0) for n in (3, 6)]
    of_pair = [losses.vid(STUDENT[i:][:1], variances[i:][:1], TEACHER[i:][:1]) for i in (0, 1)]
    whole = losses.vid(STUDENT, variances, TEACHER, paper=True)
    np.testing.assert_allclose(whole, 48 * of_pair[0] + 24 * of_pair[1], rtol=1e-5)


def test_attention_averages_the_larger_image():
    small = STUDENT[0].reshape(5, 2, 2, 2, 2, 3).mean((2, 4))
    expected = losses.attention([small], [TEACHER[1]])
    np.testing.assert_allclose(
        losses.attention([STUDENT[0]], [TEACHER[1]]), expected, rtol=1e-5, atol=1e-7
    )


def test_attention_sees_neither_scale_nor_order_of_channels():
    changed = [3 * x[..., ::-1] for x in TEACHER]
    np.testing.assert_allclose(losses.attention(changed, TEACHER), np.zeros(5), atol=1e-10)


def test_fsp_is_its_definition():
    def matrix(first, second):
        first = first.reshape(5, 2, 2, 2, 2, 3).max((2, 4))
        return np.einsum("bhwc,bhwd->bcd", first, second) / 4

    expected = ((matrix(*STUDENT) - matrix(*TEACHER)) ** 2).mean((1, 2))
    np.testing.assert_allclose(losses.fsp(STUDENT, TEACHER), expected, rtol=1e-5)


def test_nst_is_its_definition():
    expected = np.zeros(5)
    for a, b in zip(STUDENT, TEACHER, strict=True):
        for n in range(5):
            ours, theirs = (_unit(x[n].reshape(-1, x.shape[-1]).T + 1e-20) for x in (a, b))
            kernel = [(x @ y.T) ** 2 for x, y in ((ours, ours), (theirs, theirs), (ours, theirs))]
            expected[n] += kernel[0].mean() + kernel[1].mean() - 2 * kernel[2].mean()
    np.testing.assert_allclose(losses.nst(STUDENT, TEACHER), expected, rtol=1e-4, atol=1e-6)


def test_similarity_is_its_definition():
    expected = 0
    for a, b in zip(STUDENT, TEACHER, strict=True):
        maps = [_unit(x.reshape(5, -1) @ x.reshape(5, -1).T) for x in (a, b)]
        expected += np.linalg.norm(maps[0] - maps[1]) ** 2 / 25
    value = losses.similarity(STUDENT, TEACHER)
    np.testing.assert_allclose(value.mean(), expected, rtol=1e-5)


def test_rkd_distance_is_its_definition():
    found = []
    for x in (VECTORS, OTHERS):
        distances = np.linalg.norm(x[:, None] - x[None], axis=-1)
        found.append(distances / distances[~np.eye(5, dtype=bool)].mean())
    value = losses.rkd_distance(VECTORS, OTHERS)
    np.testing.assert_allclose(value.mean(), _huber(*found).mean(), rtol=1e-5)


def test_rkd_angle_is_its_definition():
    found = np.zeros((2, 5, 5, 5))
    for which, x in enumerate((VECTORS, OTHERS)):
        for i, j, k in np.ndindex(5, 5, 5):
            if i != j and k != j:
                found[which, i, j, k] = _unit(x[i] - x[j]) @ _unit(x[k] - x[j])
    value = losses.rkd_angle(VECTORS, OTHERS)
    np.testing.assert_allclose(value.mean(), _huber(*found).mean(), rtol=1e-5)


@pytest.mark.parametrize("rkd", [losses.rkd_distance, losses.rkd_angle])
def test_rkd_is_exact_far_from_the_origin_and_where_examples_coincide(rkd):
    moved, same = VECTORS + 100.0, jnp.concatenate([VECTORS, VECTORS[:1]])
    np.testing.assert_allclose(rkd(moved, OTHERS), rkd(VECTORS, OTHERS), rtol=1e-3)
    others = jnp.concatenate([OTHERS, OTHERS[:1]])
    gradient = jax.grad(lambda x: rkd(x, others).mean())(same)
    assert np.isfinite(gradient).all()
    np.testing.assert_allclose(rkd(same, 3 * same), np.zeros(len(same)), atol=1e-9)


@pytest.mark.parametrize(("spread", "error"), [(1e-2, 1e-5), (1e-3, 3e-5), (1e-4, 3e-4)])
def test_rkd_is_exact_where_classes_lie_close_together(spread, error):
    clusters = np.repeat(RNG.normal(size=(4, 16)), 4, 0)
    near, far = (clusters + s * RNG.normal(size=clusters.shape) for s in (spread, 0.5))
    near, far = near.astype(np.float32), far.astype(np.float32)
    relative, cosines = [], []
    for x in (near.astype(np.float64), far.astype(np.float64)):
        between = x[:, None] - x[None]
        distances = np.linalg.norm(between, axis=-1)
        relative.append(distances / distances[~np.eye(16, dtype=bool)].mean())
        directions = between / np.where(distances > 0, distances, 1)[..., None]
        cosines.append(np.einsum("ijn,kjn->jik", directions, directions))
    for loss, (ours, theirs) in ((losses.rkd_distance, relative), (losses.rkd_angle, cosines)):
        expected = _huber(ours, theirs).mean()
        np.testing.assert_allclose(loss(near, far).mean(), expected, rtol=error)


def test_pkt_is_its_definition():
    alike = [(1 + _unit(x) @ _unit(x).T) / 2 for x in (VECTORS, OTHERS)]
    ours, theirs = (a / a.sum(-1, keepdims=True) for a in alike)
    expected = (theirs * np.log(theirs / ours)).mean()
    np.testing.assert_allclose(losses.pkt(VECTORS, OTHERS).mean(), expected, rtol=1e-4)
    alike = [np.where(np.eye(5), 0, a) for a in alike]
    ours, theirs = (a / a.sum(-1, keepdims=True) + np.eye(5) for a in alike)
    expected = (theirs * np.log(theirs / ours)).sum(-1)
    np.testing.assert_allclose(losses.pkt(VECTORS, OTHERS, paper=True), expected, rtol=1e-4)


def test_correlation_congruence_is_its_definition_and_nears_the_gaussian():
    def kernel(x, terms):
        cosine, g = _unit(x) @ _unit(x).T, 2 * 0.4
        powers = np.cumprod([np.ones_like(cosine), *[g * cosine / p for p in range(1, terms)]], 0)
        return np.exp(-g) * powers.sum(0)

    squares = np.linalg.norm(_unit(VECTORS)[:, None] - _unit(VECTORS)[None], axis=-1) ** 2
    np.testing.assert_allclose(kernel(VECTORS, 20), np.exp(-0.4 * squares), rtol=1e-5)
    expected = ((kernel(VECTORS, 3) - kernel(OTHERS, 3)) ** 2).mean()
    value = losses.correlation_congruence(VECTORS, OTHERS, gamma=0.4)
    np.testing.assert_allclose(value.mean(), expected, rtol=1e-5)


@pytest.mark.parametrize("loss", OF_STAGES)
def test_stages_that_agree_cost_nothing_and_others_do(loss):
    np.testing.assert_allclose(loss(TEACHER, TEACHER), np.zeros(5), atol=1e-6)
    assert (np.asarray(loss(STUDENT, TEACHER)) > 1e-4).all()
    check_grads(lambda x: loss(x, TEACHER), (STUDENT,), order=1, modes=["rev"], atol=0.02)


@pytest.mark.parametrize("loss", OF_VECTORS)
def test_relations_that_agree_cost_nothing_and_others_do(loss):
    rotation, _ = np.linalg.qr(RNG.normal(size=(4, 4)))
    rotated = 3 * OTHERS @ rotation.astype(np.float32)
    assert np.abs(loss(rotated, OTHERS)).max() < 1e-6
    assert (np.asarray(loss(VECTORS, OTHERS)) > 1e-4).any()
    check_grads(lambda x: loss(x, OTHERS), (VECTORS,), order=1, modes=["rev"], atol=0.02)


@pytest.mark.parametrize("loss", OF_VECTORS)
def test_examples_that_are_the_same_have_finite_gradients(loss):
    same = jnp.zeros((5, 7)).at[2:].set(1.0)
    assert np.isfinite(jax.grad(lambda x: loss(x, OTHERS).sum())(same)).all()


@pytest.mark.parametrize("loss", OF_STAGES)
def test_dead_features_have_finite_gradients(loss):
    dead = [jnp.zeros_like(x) for x in STUDENT]
    gradients = jax.grad(lambda x: loss(x, TEACHER).sum())(dead)
    assert all(np.isfinite(g).all() for g in gradients)


@pytest.mark.parametrize(
    "loss, ours, theirs, said",
    [
        (losses.attention, [STUDENT[0][:, :3]], TEACHER[:1], "attention needs images, of which"),
        (losses.nst, [VECTORS], [OTHERS], "nst needs images"),
        (losses.fsp, STUDENT[:1], TEACHER[:1], "give loss.taps two pairs"),
        (losses.fsp, STUDENT, [x[..., :2] for x in TEACHER], "stages of as many channels"),
    ],
)
def test_shapes_that_cannot_be_compared_are_named(loss, ours, theirs, said):
    with pytest.raises(InputError, match=said):
        loss(ours, theirs)
