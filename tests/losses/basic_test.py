import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from distill import losses

LOGITS = jnp.array([[1.0, -2.0, 0.5], [0.0, 3.0, 3.0]])
TEACHER = jnp.array([[0.2, 1.5, -1.0], [4.0, -1.0, 0.0]])
LABELS = jnp.array([2, 0])
# Without the entries that experiments add.
OURS = [
    name
    for name, loss in losses.LOSSES.items()
    if loss.__module__.startswith(losses.__name__) and not losses.needs_features(name)
]


def _softmax(logits, temperature=1.0):
    exp = np.exp(np.asarray(logits, np.float64) / temperature)
    return exp / exp.sum(-1, keepdims=True)


def _targets(temperature, teacher=TEACHER):
    return losses.log_soft_targets(teacher[None], temperature=temperature)


def _call(name, logits, temperature=2.0):
    """Evaluates a loss of `LOSSES` on logits with the teacher and labels above."""
    hyper = {"temperature": temperature, "alpha": 1.0, "gradient_correction": False}
    others = {"peer_logits": TEACHER[None]}
    terms = losses.weighted_terms(
        name, logits, LABELS, TEACHER[None], hyper, TEACHER, others=others
    )
    return terms[name]


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("name", ["soft_squared_error", "kl", "logit_mse"])
def test_zero_when_the_logits_agree(name, temperature):
    np.testing.assert_allclose(_call(name, TEACHER, temperature), [0, 0], atol=1e-6)
    np.testing.assert_allclose(_call(name, TEACHER + 7, temperature), [0, 0], atol=1e-5)


@pytest.mark.parametrize("name", ["soft_squared_error", "kl", "logit_mse"])
def test_positive_when_they_do_not(name):
    assert (np.asarray(_call(name, LOGITS)) > 0.01).all()


@pytest.mark.parametrize("temperature", [1.0, 3.0, 20.0])
def test_kl_is_hintons_cross_entropy_less_the_entropy(temperature):
    p, q = _softmax(TEACHER, temperature), _softmax(LOGITS, temperature)
    expected = temperature**2 * (-(p * np.log(q)).sum(-1) + (p * np.log(p)).sum(-1))
    actual = losses.kl(LOGITS, _targets(temperature), temperature=temperature)
    np.testing.assert_allclose(actual, expected, rtol=1e-3)


@pytest.mark.parametrize("temperature, expected", [(1.0, 0.368064), (2.0, 1.472257)])
def test_kl_literal(temperature, expected):
    targets = jnp.log(jnp.array([[0.9, 0.1]]))  # 0.9 log 1.8 + 0.1 log 0.2, times T²
    actual = losses.kl(jnp.zeros((1, 2)), targets, temperature=temperature)
    np.testing.assert_allclose(actual, [expected], rtol=1e-5)


@pytest.mark.parametrize("correction, expected", [(False, 0.32), (True, 2.88)])
def test_soft_squared_error_literal(correction, expected):
    actual = losses.soft_squared_error(
        jnp.zeros((1, 2)),
        jnp.log(jnp.array([[0.9, 0.1]])),
        temperature=3.0,
        gradient_correction=correction,
    )
    np.testing.assert_allclose(actual, [expected], rtol=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 5.0])
def test_soft_squared_error_in_numpy(temperature):
    expected = ((_softmax(LOGITS, temperature) - _softmax(TEACHER, temperature)) ** 2).sum(-1)
    actual = losses.soft_squared_error(LOGITS, _targets(temperature), temperature=temperature)
    np.testing.assert_allclose(actual, expected, rtol=1e-4)


def test_logit_mse_literal():
    actual = losses.logit_mse(jnp.array([[1.0, 2.0, 6.0]]), jnp.zeros((1, 3)))
    np.testing.assert_allclose(actual, [14 / 3], rtol=1e-6)  # deviations -2, -1, 3


def test_logit_mse_is_twice_the_limit_of_kl():
    kl = losses.kl(LOGITS, _targets(30.0), temperature=30.0)
    np.testing.assert_allclose(2 * kl, losses.logit_mse(LOGITS, TEACHER), rtol=0.1)


def test_cross_entropy_literal():
    logits = jnp.log(jnp.array([[0.25, 0.75], [0.25, 0.75]]))
    actual = losses.cross_entropy(logits, jnp.array([0, 1]))
    np.testing.assert_allclose(actual, [1.386294, 0.287682], rtol=1e-5)


def test_reconstruction_is_the_mean_over_pixels():
    pixels = jnp.zeros((2, 2, 1, 1)).at[0, 0].set(1.0)
    outputs = jnp.array([1.0, 0.0, 0.5, 0.5]).reshape(2, 2, 1, 1)
    np.testing.assert_allclose(losses.reconstruction(outputs, pixels), [0, 0.25])
    assert losses.compares_with_pixels("reconstruction")
    assert not losses.compares_with_pixels("cross_entropy")


@pytest.mark.parametrize("name", OURS)
def test_gradient(name):
    check_grads(lambda x: _call(name, x), (LOGITS,), order=1, modes=["rev"], atol=1e-2, rtol=1e-2)


def test_gradient_of_kl_is_t_times_the_difference_of_probabilities():
    gradient = jax.grad(lambda x: _call("kl", x, 4.0).sum())(LOGITS)
    expected = 4.0 * (_softmax(LOGITS, 4.0) - _softmax(TEACHER, 4.0))
    np.testing.assert_allclose(gradient, expected, atol=1e-5)


@pytest.mark.parametrize("temperature", [2.0, 8.0])  # powers of two: no rounding
def test_correction_multiplies_the_gradient_by_t_squared(temperature):
    def gradient(correction):
        return jax.grad(
            lambda x: losses.soft_squared_error(
                x, _targets(temperature), temperature=temperature, gradient_correction=correction
            ).sum()
        )(LOGITS)

    np.testing.assert_array_equal(gradient(True), temperature**2 * gradient(False))
    assert np.abs(gradient(False)).max() > 0


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("scale", [1e3, 1e6])
def test_value_and_gradient_are_finite_at_extreme_logits(name, scale):
    for temperature in (0.5, 1.0):
        value = _call(name, scale * LOGITS, temperature)
        gradient = jax.grad(lambda x, t=temperature: _call(name, x, t).sum())(scale * LOGITS)
        assert np.isfinite(value).all() and np.isfinite(gradient).all()


@pytest.mark.parametrize("scale", [1e3, 1e6])
def test_extreme_teachers_give_finite_gradients(scale):
    targets = _targets(1.0, scale * TEACHER)
    gradient = jax.grad(lambda x: losses.kl(x, targets, temperature=1.0).sum())(LOGITS)
    np.testing.assert_allclose(gradient, _softmax(LOGITS) - [[0, 1, 0], [1, 0, 0]], atol=1e-6)


def test_hidden_labels_have_no_loss_and_no_gradient():
    labels = jnp.array([-1, 0])
    value, gradient = jax.value_and_grad(lambda x: losses.cross_entropy(x, labels).sum())(LOGITS)
    np.testing.assert_allclose(value, -np.log(_softmax(LOGITS)[1, 0]), rtol=1e-6)
    np.testing.assert_array_equal(gradient[0], [0, 0, 0])
    np.testing.assert_allclose(gradient[1], _softmax(LOGITS)[1] - [1, 0, 0], atol=1e-6)


def test_hidden_labels_do_not_dilute_the_term_of_the_labels():
    def hard(labels):
        hyper = {"temperature": 2.0, "alpha": 0.3}
        terms = losses.weighted_terms("kl", LOGITS, jnp.array(labels), TEACHER[None], hyper)
        return terms["hard_loss"].mean()

    seen = -np.log(_softmax(LOGITS)[[0, 1], [2, 0]])
    assert float(hard([2, 0])) == pytest.approx(0.7 * seen.mean(), rel=1e-6)
    assert float(hard([-1, 0])) == pytest.approx(0.7 * seen[1], rel=1e-6)
    assert float(hard([-1, -1])) == 0


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_ensemble_is_averaged_in_probability_space(temperature):
    members = jnp.stack([TEACHER, LOGITS, -LOGITS])
    expected = np.mean([_softmax(m, temperature) for m in members], axis=0)
    actual = losses.log_soft_targets(members, temperature=temperature)
    np.testing.assert_allclose(np.exp(actual), expected, rtol=1e-5)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_alpha_mixes_the_soft_term_with_cross_entropy(alpha):
    hyper = {"temperature": 2.0, "alpha": alpha}
    terms = losses.weighted_terms("kl", LOGITS, LABELS, TEACHER[None], hyper)
    soft = losses.kl(LOGITS, _targets(2.0), temperature=2.0)
    hard = losses.cross_entropy(LOGITS, LABELS)
    assert set(terms) == {"kl", "hard_loss"}
    np.testing.assert_allclose(terms["kl"], alpha * soft, rtol=1e-6)
    np.testing.assert_allclose(terms["hard_loss"], (1 - alpha) * hard, rtol=1e-6)


def test_alpha_one_ignores_the_labels():
    hyper = {"temperature": 2.0, "alpha": 1.0}

    def objective(logits, labels):
        terms = losses.weighted_terms("kl", logits, labels, TEACHER[None], hyper)
        return sum(t.sum() for t in terms.values())

    gradients = [jax.grad(objective)(LOGITS, jnp.array(labels)) for labels in ([0, 1], [2, -1])]
    np.testing.assert_array_equal(*gradients)


def test_without_a_teacher_there_is_one_term():
    terms = losses.weighted_terms("cross_entropy", LOGITS, LABELS, None, {"alpha": 0.0})
    assert set(terms) == {"cross_entropy"}
    np.testing.assert_array_equal(terms["cross_entropy"], losses.cross_entropy(LOGITS, LABELS))


@pytest.mark.parametrize(
    "name, teacher, hyper",
    [
        ("soft_squared_error", True, ("temperature", "gradient_correction")),
        ("kl", True, ("temperature",)),
        ("cross_entropy", False, ()),
        ("logit_mse", True, ()),
    ],
)
def test_a_signature_says_what_a_loss_needs(name, teacher, hyper):
    assert losses.needs_teacher(name) is teacher
    assert losses.hyperparameters(name) == hyper


def test_a_new_loss_is_one_function_and_one_entry(monkeypatch):
    def margin(logits, labels, teacher_logits, *, width):
        best = teacher_logits.argmax(-1) == labels
        return width * jnp.where(best, 0.0, logits.max(-1))

    monkeypatch.setitem(losses.LOSSES, "margin", margin)
    hyper = {"width": 10.0, "alpha": 0.5}
    terms = losses.weighted_terms("margin", LOGITS, LABELS, TEACHER[None], hyper)
    assert losses.hyperparameters("margin") == ("width",)
    assert losses.needs_teacher("margin")
    np.testing.assert_allclose(terms["margin"], [5.0, 0.0])


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0, 100.0, 1e3, 1e4, 1e6])
def test_kl_is_exact_at_every_temperature(temperature):
    """In float64, and never less than 0: T² does not magnify rounding."""
    rng = np.random.default_rng(0)
    student, teacher = rng.normal(size=(2, 50, 10)).astype(np.float32) * [[[4]], [[8]]]
    soft, hard = (x / temperature for x in (teacher, student))
    log_p, log_q = (x - np.log(np.exp(x).sum(-1, keepdims=True)) for x in (soft, hard))
    expected = (np.exp(log_p) * (log_p - log_q)).sum(-1) * temperature**2

    def kl(logits):
        targets = losses.log_soft_targets(
            jnp.asarray(teacher[None], jnp.float32), temperature=temperature
        )
        return losses.kl(logits, targets, temperature=temperature)

    found = kl(jnp.asarray(student, jnp.float32))
    np.testing.assert_allclose(found, expected, rtol=2e-5 + 1e-7 * temperature, atol=1e-6)
    assert found.min() >= 0
    gradient = jax.grad(lambda logits: kl(logits).sum())(jnp.asarray(student, jnp.float32))
    desired = (np.exp(log_q) - np.exp(log_p)) * temperature
    np.testing.assert_allclose(
        gradient, desired, atol=(2e-6 + 2e-8 * temperature) * np.abs(desired).max()
    )


def test_kl_of_certain_answers_is_finite():
    logits = jnp.array([[0.0, 200.0, 0.0]])
    targets = jax.nn.log_softmax(jnp.array([[200.0, 0.0, 0.0]]))
    value, gradient = jax.value_and_grad(lambda x: losses.kl(x, targets, temperature=1.0).sum())(
        logits
    )
    assert value == pytest.approx(200, rel=1e-6)
    np.testing.assert_allclose(gradient, [[-1, 1, 0]], atol=1e-6)
