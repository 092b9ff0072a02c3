"""Losses of features within a step, and which features they are of."""

import dataclasses
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.core import FrozenDict

from distill import config as configs
from distill import losses, models, validation
from distill.data import AUGMENTATIONS, Split
from distill.errors import InputError
from distill.models import taps
from distill.training import pairing, predict, recipe, soft_targets, state, step
from distill.training.checkpoints import Checkpointer
from distill.training.description import Description, apart
from distill.training.trained import Trained

SHAPE = (8, 8, 1)
INDEX = jnp.array([3, 1, 7, 0])
STUDENT = models.build("simplenet_v1", {}, num_classes=3, kernels="xla")
TEACHER = models.build("teacher", {"filters": (4, 5), "hidden": 9}, num_classes=3, kernels="xla")


@pytest.fixture
def data(rng):
    variables = jax.jit(TEACHER.init)(jax.random.key(5), jnp.zeros((1, *SHAPE)))
    return step.TrainData(
        images=jnp.asarray(rng.integers(256, size=(12, *SHAPE), dtype=np.uint8)),
        labels=jnp.asarray(rng.integers(3, size=12), jnp.int32),
        teacher_variables=jax.tree.map(lambda leaf: leaf[None], variables),
    )


def _loss(**loss):
    config = configs.defaults()
    config.loss.update(loss)
    return recipe.loss_section(config.loss)


def _task(loss):
    recipe_ = configs.training("simplenet_v1", schedule="constant")
    return step.Task(
        model=STUDENT, loss=loss["name"], augmentation=AUGMENTATIONS["none"],
        make_optimizer=state.optimizer(recipe_, 10), teacher=TEACHER,
        taps=pairing.pairs(loss, STUDENT, TEACHER, SHAPE),
    )  # fmt: skip


def tapped(model, variables, images):
    found = jax.jit(lambda v: model.apply(v, images, mutable=[taps.TAPS])[1])(variables)
    return taps.tapped(found)


def test_terms_of_a_step_are_those_of_the_features(data):
    loss = _loss(
        terms={
            "attention": {"weight": 10.0, "taps": (("stage1", "stage1"),)}, "pkt": {}, "kl": {},
        }
    )  # fmt: skip
    task = _task(loss)
    hyper = {k: v[0] for k, v in recipe.hyper(_about(loss)).items()}
    states = state.create(task.model, task.make_optimizer, recipe.hyper(_about(loss)), SHAPE, [0])
    before = jax.tree.map(lambda leaf: leaf[0], states)
    after, metrics = jax.jit(step.train_step, static_argnums=0)(task, before, hyper, data, INDEX)
    images = data.images[INDEX] / 255
    ours = tapped(STUDENT, {"params": before.params}, images)
    variables = jax.tree.map(lambda leaf: leaf[0], data.teacher_variables)
    theirs = tapped(TEACHER, variables, images)
    attention = losses.attention([ours["stage1"]], [theirs["stage1"]]).mean()
    assert float(metrics["attention"]) == pytest.approx(10 * float(attention), rel=1e-4)
    pkt = losses.pkt(ours["penultimate"], theirs["penultimate"]).mean()
    assert float(metrics["pkt"]) == pytest.approx(float(pkt), rel=1e-3)
    parts = float(metrics["attention"] + metrics["pkt"] + metrics["kl"])
    assert float(metrics["loss"]) == pytest.approx(parts, rel=1e-5)
    assert not np.array_equal(after.params["conv0"]["kernel"], before.params["conv0"]["kernel"])


def _about(loss):
    return Description({"learning_rate": 0.1}, loss, [0])


def test_a_loss_that_asks_for_no_features_has_none_in_its_step(data, monkeypatch):
    task = _task(_loss(name="kl"))
    assert not task.taps
    hyper = {"learning_rate": 0.1, "temperature": 2.0, "alpha": 0.5}
    batched = {k: jnp.array([v]) for k, v in hyper.items()}
    states = state.create(task.model, task.make_optimizer, batched, SHAPE, [0])
    before = jax.tree.map(lambda leaf: leaf[0], states)
    one = jax.make_jaxpr(lambda s: step.train_step(task, s, hyper, data, INDEX))(before)
    monkeypatch.setattr(type(STUDENT), "sow", lambda *_: None)
    monkeypatch.setattr(type(TEACHER), "sow", lambda *_: None)
    two = jax.make_jaxpr(lambda s: step.train_step(task, s, hyper, data, INDEX))(before)
    assert str(one) == str(two)


def test_taps_have_defaults_and_can_be_given():
    defaults = pairing.pairs(_loss(terms={"attention": {}, "pkt": {}}), STUDENT, TEACHER, SHAPE)
    assert defaults == {
        "attention": (("stage0", "stage0"), ("stage1", "stage1")),
        "pkt": (("penultimate", "penultimate"),),
    }
    given = pairing.pairs(
        _loss(name="pkt", taps=(("stage1", "penultimate"),)), STUDENT, TEACHER, SHAPE
    )
    assert given == {"pkt": (("stage1", "penultimate"),)}
    assert not pairing.pairs(_loss(name="kl"), STUDENT, TEACHER, SHAPE)


@pytest.mark.parametrize(
    "loss, said",
    [
        ({"name": "attention", "taps": (("stage9", "stage0"),)}, "unknown tap of the student 'sta"),
        ({"name": "attention", "taps": (("stage0", "stem"),)}, "unknown tap of the teacher 'stem'"),
        ({"name": "attention", "taps": (("penultimate", "stage0"),)}, "attention needs images"),
        ({"name": "fsp"}, "fsp needs stages of as many channels"),
        ({"name": "pkt", "taps": (("stage0", "stage0"),) * 2}, "compares one pair of taps, and 2"),
    ],
)
def test_features_that_cannot_be_compared_are_one_line(loss, said):
    with pytest.raises(InputError, match=said) as error:
        pairing.pairs(_loss(**loss), STUDENT, TEACHER, SHAPE)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "loss, said",
    [
        ({"taps": (("stage0",),)}, "loss.taps is .* it must be pairs of taps"),
        ({"name": "kl", "taps": (("stage0", "stage0"),)}, "and kl has no use for it"),
        ({"terms": {"attention": {"taps": "stage0"}}}, "loss.terms.attention.taps is 'stage0'"),
        ({"name": "attention"}, "cannot be averaged over the 2 members"),
    ],
)
def test_bad_taps_and_ensembles_end_before_any_work(loss, said):
    config = configs.defaults()
    config.loss.update(loss)
    config.teacher.members = 2
    with pytest.raises(InputError, match=said):
        validation.validate(config)


def test_students_with_other_taps_are_a_program_of_their_own():
    a, b = (
        apart(_about(_loss(name="pkt", taps=((name, "penultimate"),))))
        for name in ("stage0", "stage1")
    )
    assert a != b


LEARNED = {"fitnets": {}, "vid": {}, "crd": {}, "srrl": {}}


def _states(task, loss, seeds=(0,)):
    about = dataclasses.replace(_about(loss), seeds=list(seeds))
    hyper = recipe.hyper(about)
    made = state.create(
        task.model, task.make_optimizer, hyper, SHAPE, about.seeds, tapped=task.tapped
    )
    return made, hyper


def _learning(loss):
    task = _task(loss)
    ours, theirs = (taps.shapes(model, SHAPE) for model in (STUDENT, TEACHER))
    shapes = {name: pairing.shapes(chosen, ours, theirs) for name, chosen in task.taps.items()}
    return dataclasses.replace(task, tapped=FrozenDict(shapes))


def test_parts_are_trained_beside_the_student_and_not_in_it(data):
    loss = _loss(terms=LEARNED)
    task = _learning(loss)
    states, hyper = _states(task, loss, seeds=(0, 1))
    assert set(states.parts) == set(LEARNED)
    kernels = states.parts["fitnets"]["projection"]["project1"]["kernel"]
    assert kernels.shape == (2, 6, 5)
    assert np.abs(kernels[0] - kernels[1]).max() > 0.01  # each student has its own
    turned, _ = _states(task, loss, seeds=(1, 0))
    np.testing.assert_array_equal(
        turned.parts["fitnets"]["projection"]["project1"]["kernel"], kernels[::-1]
    )
    plain, _ = _states(_task(_loss(name="kl")), _loss(name="kl"), seeds=(0, 1))
    jax.tree.map(np.testing.assert_array_equal, plain.params, states.params)

    before = jax.tree.map(lambda leaf: leaf[0], states)
    one = {k: v[0] for k, v in hyper.items()}
    after, metrics = jax.jit(step.train_step, static_argnums=0)(task, before, one, data, INDEX)
    moved = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), after.parts, before.parts)
    assert all(change > 0 for change in jax.tree.leaves(moved)), moved
    assert set(LEARNED) < set(metrics) and np.isfinite(metrics["loss"])
    assert set(after.variables({})["params"]) == set(plain.params)


def test_parts_are_in_the_checkpoint(data, tmp_path):
    loss = _loss(name="fitnets")
    task = _learning(loss)
    states, _ = _states(task, loss)
    with Checkpointer(tmp_path, pytest.fail) as checkpointer:
        checkpointer.save(1, states, {})
        restored, _ = checkpointer.restore(jax.eval_shape(lambda: states))
    jax.tree.map(np.testing.assert_array_equal, restored.parts, states.parts)
    jax.tree.map(np.testing.assert_array_equal, restored.opt_state, states.opt_state)


def test_no_temperature_is_learned_beside_parts(monkeypatch):
    with pytest.raises(InputError, match="has no temperature to learn"):
        _loss(name="fitnets", learn_temperature=True)

    def both(logits, log_soft_targets, projected, *, temperature):
        return temperature * logits.sum(-1)

    monkeypatch.setitem(losses.LOSSES, "both", both)
    with pytest.raises(InputError, match="trains parts of its own"):
        _loss(name="both", learn_temperature=True)


def test_a_table_of_features_changes_nothing_but_rounding(data):
    loss = _loss(terms={"attention": {}, "crd": {}, "srrl": {}, "kl": {}})
    inline = _learning(loss)
    variables = jax.tree.map(lambda leaf: leaf[0], data.teacher_variables)
    images, augmentation = np.asarray(data.images), AUGMENTATIONS["shift"]
    inline = dataclasses.replace(inline, augmentation=augmentation, mean=(0.3,), std=(0.5,))
    options = {"mean": (0.3,), "std": (0.5,), "on_batch": lambda done: None}
    names = ("penultimate", "stage0", "stage1")
    features = predict.feature_table(TEACHER, variables, images, augmentation, names, **options)
    logits = predict.teacher_table(TEACHER, [variables], images, augmentation, **options)
    tables = dataclasses.replace(
        data, teacher_variables=None, teacher_logits=jnp.asarray(logits),
        teacher_features=jax.tree.map(jnp.asarray, features),
        teacher_classifier=step.classifier(variables),
    )  # fmt: skip
    states, hyper = _states(inline, loss)
    before, one = jax.tree.map(lambda leaf: leaf[0], (states, hyper))
    made = [
        jax.jit(step.train_step, static_argnums=0)(task, before, one, some, INDEX)
        for task, some in ((inline, data), (dataclasses.replace(inline, teacher=None), tables))
    ]
    for name, value in made[0][1].items():
        np.testing.assert_allclose(value, made[1][1][name], rtol=1e-4, err_msg=name)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5),
        made[0][0].params, made[1][0].params,
    )  # fmt: skip


def test_features_are_tabulated_where_they_fit(data):
    task = _task(_loss(name="attention"))
    about = dataclasses.replace(_about(_loss(name="attention")), input_shape=SHAPE, num_classes=3)
    teacher = Trained(TEACHER, [{}], about, pathlib.Path())
    split = Split(np.asarray(data.images), np.asarray(data.labels))
    assert soft_targets.feature_shapes(task, split, teacher) == {
        "stage0": (1, 12, 4, 4, 4), "stage1": (1, 12, 2, 2, 5),
    }  # fmt: skip
    size = 4 * 12 * (64 + 20)
    shifting = dataclasses.replace(task, augmentation=AUGMENTATIONS["shift"])
    for of, epochs, limit, expected in [
        (task, 1, size, True),
        (task, 1, size - 1, False),
        (shifting, 9, 9 * size, True),
        (shifting, 8, 9 * size, False),
    ]:
        assert soft_targets.tabulates_features(of, split, teacher, epochs, limit) is expected


def test_simkd_ends_with_the_teachers_last_layer_behind_the_projector(data):
    loss = _loss(name="simkd")
    task = _learning(loss)
    states, hyper = _states(task, loss)
    before, one = jax.tree.map(lambda leaf: leaf[0], (states, hyper))
    after, _ = jax.jit(step.train_step, static_argnums=0)(task, before, one, data, INDEX)
    images = data.images[INDEX] / 255
    logits, found = STUDENT.apply({"params": after.params}, images, mutable=[taps.TAPS])
    projector = after.parts["simkd"]["projection"]["project0"]
    seen = taps.tapped(found)["penultimate"] @ projector["kernel"] + projector["bias"][None]
    last = data.teacher_variables["params"]["logits"]
    np.testing.assert_allclose(logits, seen @ last["kernel"][0] + last["bias"], atol=1e-5)
    assert jax.tree.map(jnp.shape, after.params) == jax.tree.map(jnp.shape, before.params)


def test_simkd_compares_what_the_last_layers_read():
    with pytest.raises(InputError, match="compares the penultimate vectors; leave out loss.taps"):
        pairing.pairs(
            _loss(name="simkd", taps=(("stage1", "penultimate"),)), STUDENT, TEACHER, SHAPE
        )
