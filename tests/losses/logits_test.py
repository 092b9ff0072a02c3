"""The methods that compare logits, against their definitions written out in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distill import losses

RNG = np.random.default_rng(1)
STUDENT, TEACHER = (2 * RNG.normal(size=(6, 5)).astype(np.float32) for _ in range(2))
LABELS = np.array([0, 1, 2, 3, 4, 2])
T = 3.0


def _softmax(logits, temperature=1.0):
    exp = np.exp(np.asarray(logits, np.float64) / temperature)
    return exp / exp.sum(-1, keepdims=True)


def _kl(p, q):
    return (p * np.log(p / q)).sum(-1)


def _value(name, student, teacher, labels=LABELS, **hyper):
    hyper = {"temperature": T, "alpha": 1.0, "gradient_correction": False, **hyper}
    student, teacher = jnp.asarray(student), jnp.asarray(teacher)[None]
    return losses.weighted_terms(name, student, jnp.asarray(labels), teacher, hyper)[name]


def _binary(p, label):
    return np.array([p[label], 1 - p[label]])


def _without(p, keep):
    return p[keep] / p[keep].sum()


def test_dkd_is_its_definition():
    expected = []
    for p, q, label in zip(_softmax(TEACHER, T), _softmax(STUDENT, T), LABELS, strict=True):
        others = np.arange(5) != label
        tckd = _kl(_binary(p, label), _binary(q, label))
        expected.append(T**2 * (0.7 * tckd + 8 * _kl(_without(p, others), _without(q, others))))
    actual = _value("dkd", STUDENT, TEACHER, tckd_weight=0.7)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_dkd_is_exact_where_student_and_teacher_nearly_agree():
    teacher, change = RNG.normal(size=(7, 10)), 0.01 * RNG.normal(size=(7, 10))
    labels, logits = np.arange(7), (teacher + change).astype(np.float32)

    def parts(x):
        p = np.exp(x / 20) / np.exp(x / 20).sum(-1, keepdims=True)
        own = np.take_along_axis(p, labels[:, None], -1)
        others = np.where(np.arange(10) == labels[:, None], 1.0, p / (1 - own))
        return np.concatenate([own, 1 - own], -1), others

    (binary, others), (ours, their_others) = parts(teacher), parts(logits.astype(np.float64))
    expected = (binary * np.log(binary / ours)).sum(-1)
    expected += 8 * (others * np.log(others / their_others)).sum(-1)
    soft = losses.log_soft_targets(jnp.asarray(teacher, jnp.float32)[None], temperature=20.0)
    actual = losses.dkd(jnp.asarray(logits), soft, jnp.asarray(labels), temperature=20.0)
    np.testing.assert_allclose(actual, 400 * expected, rtol=2e-3)


def test_dkd_with_the_weight_of_the_other_classes_is_kl():
    rest = 1 - _softmax(TEACHER, T)[np.arange(6), LABELS]
    actual = losses.dkd(
        STUDENT, losses.log_soft_targets(TEACHER[None], temperature=T), LABELS, temperature=T,
        nckd_weight=jnp.asarray(rest, jnp.float32),
    )  # fmt: skip
    np.testing.assert_allclose(actual, _value("kl", STUDENT, TEACHER), rtol=1e-5)


def test_nkd_is_its_definition():
    expected = []
    for student, teacher, label in zip(STUDENT, TEACHER, LABELS, strict=True):
        others = np.arange(5) != label
        target = -_softmax(teacher)[label] * np.log(_softmax(student)[label])
        n_t, n_s = (_softmax(z[others], T) for z in (teacher, student))
        expected.append(target - 1.5 * T**2 * (n_t * np.log(n_s)).sum())
    np.testing.assert_allclose(_value("nkd", STUDENT, TEACHER), expected, rtol=1e-5)


def test_rld_is_its_definition():
    expected, p_all, q_all = [], _softmax(TEACHER, T), _softmax(STUDENT, T)
    for p, q, label in zip(p_all, q_all, LABELS, strict=True):
        less = p < p[label]
        mcd = _kl(_without(p, less), _without(q, less)) if less.any() else 0
        scd = _kl(_binary(p, p.argmax()), _binary(q, label))
        expected.append(T**2 * (2 * scd + 3 * mcd))
    actual = _value("rld", STUDENT, TEACHER, scd_weight=2.0, mcd_weight=3.0)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_rld_is_dkd_where_the_teacher_is_right():
    labels = TEACHER.argmax(-1)
    actual, expected = (_value(name, STUDENT, TEACHER, labels) for name in ("rld", "dkd"))
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_rld_learns_no_class_from_a_teacher_that_has_the_label_last():
    labels = TEACHER.argmin(-1)
    np.testing.assert_array_equal(_value("rld", STUDENT, TEACHER, labels, scd_weight=0.0), 0)


def test_dist_is_one_less_the_correlations():
    p, q = _softmax(TEACHER, T), _softmax(STUDENT, T)
    inter = [1 - np.corrcoef(*pair)[0, 1] for pair in zip(p, q, strict=True)]
    intra = np.mean([1 - np.corrcoef(*pair)[0, 1] for pair in zip(p.T, q.T, strict=True)])
    expected = T**2 * (np.array(inter) + 2 * intra)
    actual = _value("dist", STUDENT, TEACHER, intra_weight=2.0)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_dist_does_not_see_shift_and_scale_of_probabilities():
    p = _softmax(TEACHER)
    flatter = np.log(0.3 * p + 0.7 / 5)
    assert np.abs(_value("dist", flatter, TEACHER, temperature=1.0)).max() < 1e-5
    assert np.abs(_value("kl", flatter, TEACHER, temperature=1.0)).max() > 0.1


def test_reverse_kl_and_jensen_shannon_are_their_definitions():
    p, q = _softmax(TEACHER, T), _softmax(STUDENT, T)
    np.testing.assert_allclose(
        _value("reverse_kl", STUDENT, TEACHER), T**2 * _kl(q, p), rtol=1e-5, atol=1e-6
    )
    middle = (p + q) / 2
    np.testing.assert_allclose(
        _value("jensen_shannon", STUDENT, TEACHER), T**2 * (_kl(p, middle) + _kl(q, middle)) / 2,
        rtol=1e-5, atol=1e-6,
    )  # fmt: skip
    np.testing.assert_allclose(
        _value("jensen_shannon", STUDENT, TEACHER), _value("jensen_shannon", TEACHER, STUDENT),
        rtol=1e-5,
    )  # fmt: skip


def test_teacher_free_is_its_definition():
    made = np.full((6, 5), 0.1 / 4)
    made[np.arange(6), LABELS] = 0.9
    softened = _softmax(np.log(made), T)
    actual = _value("teacher_free", STUDENT, TEACHER, correct=0.9)
    np.testing.assert_allclose(actual, _kl(softened, _softmax(STUDENT, T)), rtol=1e-5)


def test_label_smoothing_mixes_with_even_targets():
    log_probs = np.log(_softmax(STUDENT))
    targets = np.full((6, 5), 0.2 / 5)
    targets[np.arange(6), LABELS] += 0.8
    actual = losses.smoothed_cross_entropy(STUDENT, LABELS, label_smoothing=0.2)
    np.testing.assert_allclose(actual, -(targets * log_probs).sum(-1), rtol=1e-5)
    np.testing.assert_allclose(
        losses.smoothed_cross_entropy(STUDENT, LABELS, label_smoothing=0.0),
        losses.cross_entropy(STUDENT, LABELS), rtol=1e-6,
    )  # fmt: skip
    hidden = losses.smoothed_cross_entropy(STUDENT, np.full(6, -1), label_smoothing=0.2)
    np.testing.assert_array_equal(hidden, 0)


@pytest.mark.parametrize("name", ["dkd", "dist", "reverse_kl", "jensen_shannon"])
def test_zero_where_student_and_teacher_agree_up_to_a_constant(name):
    np.testing.assert_allclose(_value(name, TEACHER + 7, TEACHER), np.zeros(6), atol=2e-5)


@pytest.mark.parametrize("name", ["kl", "dkd", "dist", "rld", "nkd", "logit_mse"])
def test_standardised_logits_have_no_scale(name):
    values = [
        _value(name, scale * STUDENT + 3, TEACHER * scale, standardise=True) for scale in (1, 4)
    ]
    np.testing.assert_allclose(*values, rtol=1e-4)
    plain, off = (
        _value(name, STUDENT, TEACHER, **option) for option in ({}, {"standardise": False})
    )
    np.testing.assert_array_equal(plain, off)
    assert np.abs(plain - values[0]).max() > 1e-3


def test_standardised_is_the_deviation_of_the_population():
    expected = (TEACHER - TEACHER.mean(-1, keepdims=True)) / TEACHER.std(-1, keepdims=True)
    np.testing.assert_allclose(losses.standardise(TEACHER), expected, rtol=1e-5, atol=1e-6)
    gradient = jax.grad(lambda z: jnp.square(losses.standardise(z)).sum())(jnp.ones((1, 4)))
    np.testing.assert_array_equal(gradient, np.zeros((1, 4)))


@pytest.mark.parametrize("name", ["dkd", "nkd", "rld"])
def test_hidden_labels_neither_count_nor_dilute(name):
    hidden = np.where(np.arange(6) < 2, LABELS, -1)
    seen = _value(name, STUDENT[:2], TEACHER[:2], LABELS[:2])
    np.testing.assert_allclose(
        _value(name, STUDENT, TEACHER, hidden).mean(), seen.mean(), rtol=1e-5
    )
    none = _value(name, STUDENT, TEACHER, np.full(6, -1))
    np.testing.assert_array_equal(none, np.zeros(6))


def test_what_is_not_asked_for_adds_nothing_to_the_program():
    def as_written(logits, labels, teacher, temperature, alpha):
        losses.log_soft_targets(teacher, temperature=1.0)  # unused, and removed by the compiler
        log_soft_targets = losses.log_soft_targets(teacher, temperature=temperature)
        value = losses.kl(logits, log_soft_targets, temperature=temperature)
        visible = (labels >= 0).mean()
        hard = jnp.where(visible > 0, 1 / visible, 0) * losses.cross_entropy(logits, labels)
        return {"kl": alpha * value, "hard_loss": (1 - alpha) * hard}

    def by_name(logits, labels, teacher, temperature, alpha):
        hyper = {"temperature": temperature, "alpha": alpha}
        return losses.weighted_terms("kl", logits, labels, teacher, hyper)

    args = (jnp.asarray(STUDENT), jnp.asarray(LABELS), jnp.asarray(TEACHER)[None], 2.0, 0.5)
    programs = [str(jax.make_jaxpr(f)(*args)) for f in (as_written, by_name)]
    assert programs[0] == programs[1]
