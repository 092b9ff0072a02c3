"""The temperature that is learned: its gradient, where it goes, what comes back of it."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distill import config as configs
from distill.data import AUGMENTATIONS
from distill.training import bilevel, engine, recipe, state, step
from distill.training.checkpoints import Checkpointer
from distill.training.description import Description, apart

SHAPE, N, BATCH, STEPS = (4, 4, 1), 24, 8, 3
HYPER = {
    "learning_rate": (1e-2, 3e-3),
    "temperature": (1.0, 4.0),
    "alpha": (1.0, 0.5),
    "gradient_correction": (False, True),
    bilevel.RATE: (0.1, 0.02),
}
train_step = jax.jit(step.train_step, static_argnums=0)
MAP, VMAP = engine.Execution("map"), engine.Execution("vmap")


class Tiny(nn.Module):
    @nn.compact
    def __call__(self, x, *, train=False):
        x = nn.tanh(nn.Dense(6)(x.reshape(len(x), -1)))
        return nn.Dense(3)(x)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)

    def images():
        return jnp.asarray(rng.integers(256, size=(N, *SHAPE), dtype=np.uint8))

    def labels():
        return jnp.asarray(rng.integers(3, size=N), jnp.int32)

    return step.TrainData(
        images=images(),
        labels=labels(),
        teacher_logits=jnp.asarray(3 * rng.normal(size=(9, N, 2, 3)), jnp.float32),
        validation_images=images(),
        validation_labels=labels(),
    )


@pytest.fixture(scope="module")
def task():
    return step.Task(
        model=Tiny(),
        loss="soft_squared_error",
        augmentation=AUGMENTATIONS["shift"],
        make_optimizer=state.optimizer(configs.training("teacher", schedule="constant"), 10),
    )


def _hyper(students=(0, 1), **changes):
    values = HYPER | changes
    return {name: jnp.array([values[name][i] for i in students]) for name in values}


def _create(task, students=(0, 1), **changes):
    seeds = [5 + i for i in students]
    hyper = _hyper(students, **changes)
    return state.create(task.model, task.make_optimizer, hyper, SHAPE, seeds), hyper


def _train(task, data, students=(0, 1), plan=MAP, states=None):
    fresh, hyper = _create(task, students)
    states = fresh if states is None else states
    order = engine.epoch_order(fresh.key, 0, num_examples=N, batch_size=BATCH)
    return engine.run_chunk(task, plan, states, hyper, data, order, jnp.int32(STEPS))[0]


def _temperatures(states):
    return np.exp(states.learned["log_temperature"])


def _student(tree, i):
    return jax.tree.map(lambda leaf: leaf[i], tree)


def test_hypergradient_literal():
    """Of L = (theta - t)²/2 in each of two weights, a step of 0.1 against it, and theta' itself."""
    params = {"w": jnp.array([1.0, 2.0])}
    gradient = bilevel.hypergradient(
        lambda p, t: jnp.square(p["w"] - t).sum() / 2,
        lambda g: jax.tree.map(lambda leaf: -0.1 * leaf, g),
        params,
        {"w": params["w"] - 3.0},
        {"w": jnp.array([5.0, -1.0])},  # of the validation loss
        jnp.float32(3.0),
    )
    assert float(gradient) == pytest.approx(0.1 * (5.0 - 1.0), rel=1e-4)


@pytest.mark.parametrize("student", [0, 1])
def test_hypergradient_equals_brute_force(task, data, student):
    """The whole step again at temperatures a little higher and lower, and what comes of it."""
    trained, hyper = _train(task, data), _student(_hyper(), student)
    before = _student(trained, student)  # Adam has a history
    index = jnp.arange(BATCH)

    key = jax.random.fold_in(jax.random.fold_in(before.key, before.step), 2)

    @jax.jit
    def after(log_temperature):
        learned = before.learned | {"log_temperature": log_temperature}
        return train_step(task, dataclasses.replace(before, learned=learned), hyper, data, index)[0]

    def judged(log_temperature):
        return step.validation_loss(task, after(log_temperature).variables({}), data, BATCH, key)

    here, h = before.learned["log_temperature"], 0.05
    expected = (judged(here + h) - judged(here - h)) / (2 * h)
    mu = [s.learned["opt_state"][0].mu for s in (before, after(here))]  # decays by 0.9
    assert float((mu[1] - 0.9 * mu[0]) / 0.1) == pytest.approx(float(expected), rel=0.02)
    assert abs(expected) > 1e-5


def test_the_known_best_temperature_is_found():
    """A teacher that is five times too sure of the true probabilities is best heard at T = 5."""
    rng = np.random.default_rng(1)
    true = jnp.asarray(rng.normal(size=(40, 3)), jnp.float32)

    def cross_entropy(logits, target_logits):
        return -(jax.nn.softmax(target_logits) * jax.nn.log_softmax(logits)).sum(-1).mean()

    hyper = {"temperature": jnp.float32(1.5), bilevel.RATE: jnp.float32(0.02)}

    def body(_, carry):
        logits, learned = carry
        log_t = learned["log_temperature"]

        def training_loss(logits, log_t):
            return cross_entropy(logits, 5 * true / jnp.exp(log_t))

        def update(gradients):
            return -20.0 * gradients

        gradients = jax.grad(training_loss)(logits, log_t)
        new = logits + update(gradients)
        judged = jax.grad(cross_entropy)(new, true)
        found = bilevel.hypergradient(training_loss, update, logits, gradients, judged, log_t)
        return new, bilevel.update(learned, hyper, found)

    start = (jnp.zeros_like(true), bilevel.init(hyper))
    logits, learned = jax.jit(lambda carry: jax.lax.fori_loop(0, 600, body, carry))(start)
    assert float(jnp.exp(learned["log_temperature"])) == pytest.approx(5.0, rel=0.02)
    np.testing.assert_allclose(jax.nn.softmax(logits), jax.nn.softmax(true), atol=0.01)


def test_each_student_learns_its_own_and_both_ways_over_them_agree(task, data):
    mapped, vectorised = (_train(task, data, plan=plan) for plan in (MAP, VMAP))
    start = np.array(HYPER["temperature"])
    assert (np.abs(np.log(_temperatures(mapped) / start)) > 1e-3).all()
    np.testing.assert_allclose(_temperatures(mapped), _temperatures(vectorised), rtol=1e-4)
    for i in (0, 1):
        alone = _train(task, data, students=(i,))
        np.testing.assert_allclose(_temperatures(alone)[0], _temperatures(mapped)[i], rtol=1e-4)


def test_the_loss_is_taken_at_the_temperature_that_was_learned(task, data):
    learning, hyper = _create(task, (1,))
    fixed = dataclasses.replace(learning, learned={})
    at = {"log_temperature": jnp.log(jnp.array([2.5]))}
    moved = dataclasses.replace(learning, learned=learning.learned | at)
    index = jnp.arange(BATCH)

    def loss(states, hyper):
        return train_step(task, _student(states, 0), _student(hyper, 0), data, index)[1]["loss"]

    assert loss(learning, hyper) == loss(fixed, hyper)
    assert loss(moved, hyper) == pytest.approx(
        float(loss(fixed, hyper | {"temperature": jnp.array([2.5])})), rel=1e-6
    )


def test_other_students_carry_nothing_and_are_trained_as_before(task, data):
    """Bit for bit as if validation images and learning did not exist."""
    hyper = {name: values for name, values in _hyper().items() if name != bilevel.RATE}
    states = state.create(task.model, task.make_optimizer, hyper, SHAPE, [5, 6])
    assert states.learned == {}
    before, index = _student(states, 0), jnp.arange(BATCH)
    without = dataclasses.replace(data, validation_images=None, validation_labels=None)
    a, b = (train_step(task, before, _student(hyper, 0), d, index)[0] for d in (data, without))
    jax.tree.map(np.testing.assert_array_equal, a.params, b.params)
    learning, _ = _create(task)
    jax.tree.map(np.testing.assert_array_equal, learning.params, states.params)


def test_from_a_checkpoint_it_goes_on_bit_for_bit(task, data, tmp_path):
    once = _train(task, data)
    with Checkpointer(tmp_path, pytest.fail) as checkpointer:
        checkpointer.save(STEPS, once, {})
        restored, _ = checkpointer.restore(_create(task)[0])
    twice, again = (_train(task, data, states=states) for states in (restored, once))
    for a, b in zip(jax.tree.leaves(twice.learned), jax.tree.leaves(again.learned), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(twice.learned["opt_state"][0].count, [2 * STEPS] * 2)


def test_students_that_learn_are_a_program_of_their_own():
    section = configs.defaults().loss
    fixed = recipe.loss_section(section)
    section.learn_temperature = True
    learning = recipe.loss_section(section)
    assert set(learning) - set(fixed) == {bilevel.RATE}
    a, b, c = (
        apart(Description({}, loss, [0]))
        for loss in (fixed, learning, learning | {"temperature": 9.0})
    )
    assert a != b and b == c
