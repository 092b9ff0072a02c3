"""The average of the weights is what is evaluated, kept and started from."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distill import config as configs
from distill.data import AUGMENTATIONS
from distill.models.vgg import VGG
from distill.training import averaging, recipe, state, step, trained
from distill.training.checkpoints import Checkpointer
from distill.training.description import Description
from distill.training.start import Start

MODEL = VGG(features=(2,), pools=(1,), hidden=(), average=True, num_classes=3)
DECAY = 0.5


def _states(averaged=True):
    section = configs.training("vgg8", schedule="constant")
    make = state.optimizer(section, 10)
    task = step.Task(
        MODEL, "cross_entropy", AUGMENTATIONS["none"], make, ema_decay=DECAY * averaged
    )
    hyper = {"learning_rate": jnp.full(2, 0.1)}
    return task, state.create(MODEL, make, hyper, (4, 4, 1), [0, 1], averaged=averaged)


def test_the_decay_grows_to_what_is_asked_for():
    average, path = averaging.init({"w": jnp.float32(0.0)}, {}), []
    for step_, weight in enumerate([1.0, 1.0, 0.0]):
        average = averaging.update(average, {"w": jnp.float32(weight)}, {}, 0.15, jnp.int32(step_))
        path.append(float(average["params"]["w"]))
    second = 0.9 + (1 - 0.15) * 0.1  # decays of 1/10, then 0.15 as 2/11 and 3/12 are more
    np.testing.assert_allclose(path, [0.9, second, 0.15 * second], rtol=1e-6)


def test_what_does_not_move_stays_bit_for_bit(rng):
    params = {"w": jnp.asarray(rng.normal(size=100), jnp.float32)}
    average = averaging.update(averaging.init(params, {}), params, {}, 0.999, jnp.int32(7))
    np.testing.assert_array_equal(average["params"]["w"], params["w"])


def test_a_step_averages_weights_and_statistics(rng):
    task, states = _states()
    before = jax.tree.map(lambda leaf: leaf[0], states)
    before = dataclasses.replace(before, step=jnp.int32(100))  # where the decay is whole
    data = step.TrainData(
        images=jnp.asarray(rng.integers(256, size=(6, 4, 4, 1), dtype=np.uint8)),
        labels=jnp.asarray(rng.integers(3, size=6), jnp.int32),
    )
    train_step = jax.jit(step.train_step, static_argnums=0)
    after, _ = train_step(task, before, {"learning_rate": 0.1}, data, jnp.arange(6))
    raw = after.variables({}, raw=True)
    assert raw == {"params": after.params, "batch_stats": after.batch_stats}
    expected = jax.tree.map(lambda a, b: (a + b) / 2, before.variables({}), raw)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7),
        after.variables({}), expected,
    )  # fmt: skip
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), after.variables({}), raw)
    assert moved["params"]["conv0"]["kernel"] and moved["batch_stats"]["conv0_norm"]["mean"]


def test_the_average_is_saved_and_is_what_a_trained_model_has(tmp_path):
    task, states = _states()
    states = dataclasses.replace(
        states, average=jax.tree.map(lambda leaf: leaf + 1.0, states.average)
    )
    with Checkpointer(tmp_path, print) as checkpointer:
        checkpointer.save(3, states, {})
        restored, _ = checkpointer.restore(states)
    for member, found in zip((0, 1), trained.members(restored, task), strict=True):
        expected = jax.tree.map(lambda leaf, i=member: leaf[i] + 1.0, states.params)
        jax.tree.map(np.testing.assert_array_equal, found["params"], expected)


def test_without_an_average_nothing_is_added():
    _, states = _states(averaged=False)
    assert states.average == {} and states.variables({}) == states.variables({}, raw=True)


def test_a_training_starts_from_weights_as_their_average():
    _, states = _states()
    given = jax.tree.map(lambda leaf: np.asarray(leaf) + 1.0, states.variables({}, raw=True))
    begun = Start(given).put_into(states)
    jax.tree.map(np.testing.assert_array_equal, begun.average, given)
    jax.jit(lambda states: states, donate_argnums=0)(begun)  # which no array could be twice


@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_the_description_says_whether_there_is_one(decay):
    section = configs.training("simplenet_v4", ema_decay=decay)
    about = Description(
        recipe.deciding(section.to_dict()), {"name": "cross_entropy"}, [0],
        input_shape=(8, 8, 1), num_classes=3,
    )  # fmt: skip
    states = recipe.shapes(about, recipe.task(about, recipe.Length(10, 10)))
    assert bool(states.average) == ("ema_decay" in about.recipe) == (decay > 0)
