"""Several weighted terms in one loss, and what of the configuration they take."""

import jax.numpy as jnp
import numpy as np
import pytest

from distill import config as configs
from distill import losses, study, validation
from distill.errors import InputError
from distill.run import _deciding
from distill.training import description, recipe
from distill.training.description import Description

RNG = np.random.default_rng(2)
STUDENT, TEACHER = (jnp.asarray(RNG.normal(size=(4, 3)), jnp.float32) for _ in range(2))
LABELS = jnp.array([0, 1, -1, 2])


def _config(**loss):
    config = configs.defaults()
    config.loss.update(loss)
    return config


def test_terms_are_weighted_and_have_numbers_of_their_own():
    loss = _config(
        temperature=2.0,
        terms={"kl": {"weight": 0.9, "temperature": 4.0}, "dist": {}, "cross_entropy": {}},
    ).loss
    section = recipe.loss_section(loss)
    assert section == {
        "name": "cross_entropy+dist+kl", "cross_entropy.weight": 1.0, "dist.weight": 1.0,
        "dist.temperature": 2.0, "dist.inter_weight": 1.0, "dist.intra_weight": 1.0,
        "kl.weight": 0.9, "kl.temperature": 4.0,
    }  # fmt: skip
    hyper = recipe.hyper(Description({"learning_rate": 0.1}, section, [0]))
    hyper = {name: value[0] for name, value in hyper.items()}
    terms = losses.weighted_terms(section["name"], STUDENT, LABELS, TEACHER[None], hyper)
    soft = {T: losses.log_soft_targets(TEACHER[None], temperature=T) for T in (2.0, 4.0)}
    expected = {
        "cross_entropy": 4 / 3 * losses.cross_entropy(STUDENT, LABELS),  # three labels are in sight
        "dist": losses.dist(STUDENT, soft[2.0], temperature=2.0),
        "kl": 0.9 * losses.kl(STUDENT, soft[4.0], temperature=4.0),
    }
    assert set(terms) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(terms[name], value, rtol=1e-6, err_msg=name)


def test_terms_can_say_what_alpha_does():
    hyper = {"temperature": 3.0, "alpha": 0.7}
    mixed = losses.weighted_terms("kl", STUDENT, LABELS, TEACHER[None], hyper)
    weights = {"kl.weight": 0.7, "cross_entropy.weight": 0.3, "temperature": 3.0}
    terms = losses.weighted_terms("cross_entropy+kl", STUDENT, LABELS, TEACHER[None], weights)
    np.testing.assert_allclose(terms["kl"], mixed["kl"], rtol=1e-6)
    np.testing.assert_allclose(terms["cross_entropy"], mixed["hard_loss"], rtol=1e-6)


def test_weights_are_axes_of_a_sweep_in_one_program():
    config = _config(terms={"kl": {"weight": 0.5}, "cross_entropy": {"weight": 0.5}})
    config.sweep.axes = ({"loss.terms.kl.weight": (0.1, 0.9)},)
    sections = [recipe.loss_section(point.loss) for point in study.expand(config)]
    assert [section["kl.weight"] for section in sections] == [0.1, 0.9]
    abouts = [Description({"learning_rate": 1.0}, s, [0]) for s in sections]
    assert description.apart(abouts[0]) == description.apart(abouts[1])
    together = recipe.hyper(description.together(abouts))
    np.testing.assert_allclose(together["kl.weight"], [0.1, 0.9])
    np.testing.assert_allclose(together["cross_entropy.weight"], [0.5, 0.5])


@pytest.mark.parametrize(
    "loss, digest",
    [
        ({}, "787c5640b53f"),
        ({"name": "kl", "temperature": 4.0, "alpha": 0.9}, "30ca7f30b7e7"),
        ({"name": "cross_entropy"}, "31328746ff59"),
    ],
)
def test_what_worked_by_name_keeps_its_ids(loss, digest):
    config = _config(**loss)
    assert configs.digest(recipe.loss_section(config.loss)) == digest
    before = configs.to_dict(config)
    for key in ("standardise", "taps", "label_smoothing", "terms"):
        del before["loss"][key]
    for role in ("teacher", "student"):
        for key in configs.LATER:
            del before[role][key]
    del before["engine"]["dtype"]
    assert _deciding(before) == _deciding(configs.to_dict(config))


def test_what_came_later_is_not_in_a_description_unless_it_is_set():
    section = configs.training("simplenet_v4")
    assert configs.digest(recipe.deciding(configs.to_dict(section))) == "5eb1e3a6695c"
    section.update({"schedule": "step", "decay_at": (5, 8), "nesterov": True})
    assert {"decay_at", "nesterov"} <= recipe.deciding(section.to_dict()).keys()


@pytest.mark.parametrize(
    "section", [{"schedule": "step"}, {"decay_at": (3,)}, {"schedule": "step", "decay_at": (0,)}]
)
def test_a_schedule_and_the_epochs_it_falls_at_go_together(section):
    config = configs.defaults()
    config.student.update(section)
    with pytest.raises(InputError, match="student.decay_at is"):
        validation.validate(config)


def test_options_are_taken_only_where_they_are_set():
    plain = recipe.loss_section(_config(name="kl").loss)
    assert set(plain) == {"name", "temperature", "alpha"}
    both = recipe.loss_section(_config(name="kl", standardise=True, label_smoothing=0.1).loss)
    assert both == {**plain, "standardise": True, "label_smoothing": 0.1}
    terms = {"kl": {"standardise": True}, "cross_entropy": {}}
    section = recipe.loss_section(_config(terms=terms, label_smoothing=0.2).loss)
    assert (section["kl.standardise"], section["cross_entropy.label_smoothing"]) == (True, 0.2)
    assert set(recipe.loss_section(_config(name="attention").loss)) == {"name", "alpha"}
    section = recipe.loss_section(_config(terms={"pkt": {"paper": True}, "nst": {}}).loss)
    assert {key for key in section if "paper" in key} == {"pkt.paper"}


def test_a_term_is_what_its_paper_has_where_that_is_asked_for():
    tapped = {"attention": ([jnp.eye(4).reshape(1, 4, 4, 1)], [jnp.ones((1, 4, 4, 1))])}
    for paper in (False, True):
        hyper = {"attention.weight": 2.0, "attention.paper": jnp.array(paper)}
        terms = losses.weighted_terms(
            "attention", STUDENT[:1], LABELS[:1], TEACHER[None, :1], hyper, tapped=tapped
        )
        expected = 2 * losses.attention(*tapped["attention"], paper=paper)
        np.testing.assert_allclose(terms["attention"], expected)


def test_the_hard_term_is_smoothed():
    hyper = {"temperature": 3.0, "alpha": 0.7, "label_smoothing": 0.2}
    hard = losses.weighted_terms("kl", STUDENT, LABELS, TEACHER[None], hyper)["hard_loss"]
    smooth = losses.smoothed_cross_entropy(STUDENT, LABELS, label_smoothing=0.2)
    np.testing.assert_allclose(hard, 0.3 * 4 / 3 * smooth, rtol=1e-6)


@pytest.mark.parametrize(
    "loss, said",
    [
        ({"terms": {"kll": {}}}, "unknown loss 'kll'; did you mean 'kl'"),
        (
            {"terms": {"kl": {"weight": 0.0}}},
            "loss.terms.kl.weight is 0.0; it must be a",
        ),
        ({"terms": {"kl": {"weight": -1.0}}}, "loss.terms.kl.weight is -1.0; it must be"),
        ({"terms": {"kl": {"weight": float("nan")}}}, "loss.terms.kl.weight is nan; it must be"),
        ({"terms": {"kl": {"weight": float("inf")}}}, "loss.terms.kl.weight is inf; it must be"),
        ({"terms": {"kl": {"margin": 1.0}}}, "unknown number of loss.terms.kl 'margin'"),
        ({"terms": {"dkd": {"nckd_weight": -1.0}}}, "loss.terms.dkd.nckd_weight is -1.0; it must"),
        ({"terms": {"kl": {}}, "learn_temperature": True}, "of a single loss can be learned"),
        ({"terms": {"kl": {}, "reconstruction": {}}}, "has reconstruction, which is of reconstru"),
        ({"name": "cross_entropy", "standardise": True}, "and cross_entropy has no use for it"),
        ({"name": "teacher_free", "label_smoothing": 0.1}, "and teacher_free has no use for it"),
        ({"label_smoothing": 1.0}, "loss.label_smoothing is 1.0; it must be a number between"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(loss, said):
    with pytest.raises(InputError) as error:
        validation.validate(_config(**loss))
    assert said in str(error.value) and "\n" not in str(error.value)


def test_a_transfer_set_has_no_labels_for_a_method_that_needs_them():
    config = _config(terms={"dkd": {}})
    config.transfer.name = "fashion_mnist"
    with pytest.raises(InputError, match="has no labels to learn from"):
        validation.validate(config)
