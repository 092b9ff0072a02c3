import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distill import config as config_lib
from distill import losses
from distill.data import AUGMENTATIONS
from distill.training import predict, state, step

N, CLASSES = 12, 3
INDEX = jnp.array([3, 1, 7, 0])
HYPER = {"learning_rate": 1e-2, "temperature": 2.0, "alpha": 0.7, "gradient_correction": True}

train_step = jax.jit(step.train_step, static_argnums=0)


class Tiny(nn.Module):
    width: int = 6

    @nn.compact
    def __call__(self, x, *, train=False):
        x = nn.relu(nn.Dense(self.width)(x.reshape(len(x), -1)))
        return nn.Dense(CLASSES)(x)


class Normed(nn.Module):
    @nn.compact
    def __call__(self, x, *, train=False):
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x.reshape(len(x), -1))
        return nn.Dense(CLASSES)(x)


def _task(loss="kl", augmentation="none", model=None, **fields):
    recipe = config_lib.training("teacher", schedule="constant")
    return step.Task(
        model=model or Tiny(),
        loss=loss,
        augmentation=AUGMENTATIONS[augmentation],
        make_optimizer=state.optimizer(recipe, 10),
        **fields,
    )


def _state(task, seed=0):
    states = state.create(task.model, task.make_optimizer, _batched(HYPER), (4, 4, 1), [seed])
    return jax.tree.map(lambda leaf: leaf[0], states)


def _batched(hyper):
    return {name: jnp.array([value]) for name, value in hyper.items()}


@pytest.fixture
def data(rng):
    return step.TrainData(
        images=jnp.asarray(rng.integers(256, size=(N, 4, 4, 1), dtype=np.uint8)),
        labels=jnp.asarray(rng.integers(CLASSES, size=N), jnp.int32),
    )


def _members(teacher, count=2):
    init = jax.jit(teacher.init)
    variables = [init(jax.random.key(9 + i), jnp.zeros((1, 4, 4, 1))) for i in range(count)]
    return variables, jax.tree.map(lambda *leaves: jnp.stack(leaves), *variables)


def test_normalize_literal():
    pixels = jnp.array([[0.5, 1.0], [0.0, 0.25]])
    np.testing.assert_allclose(
        step.normalize(pixels, (0.5, 0.25), (0.5, 0.25)), [[0.0, 3.0], [-1.0, 0.0]]
    )
    np.testing.assert_allclose(step.normalize(pixels, (0.5,), (0.5,)), 2 * pixels - 1)


def test_an_update_is_that_of_the_gradient_of_the_mean_loss(data):
    task = _task("cross_entropy")
    before = _state(task)
    after, metrics = train_step(task, before, HYPER, data, INDEX)

    def objective(params):
        logits = task.model.apply({"params": params}, data.images[INDEX] / 255)
        return losses.cross_entropy(logits, data.labels[INDEX]).mean(), logits

    (loss, logits), gradients = jax.value_and_grad(objective, has_aux=True)(before.params)
    updates, _ = task.make_optimizer(HYPER).update(gradients, before.opt_state, before.params)
    expected = jax.tree.map(jnp.add, before.params, updates)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), after.params, expected)
    assert float(metrics["loss"]) == pytest.approx(float(loss), rel=1e-5)
    assert int(metrics["correct"]) == int((logits.argmax(-1) == data.labels[INDEX]).sum())
    assert int(metrics["visible"]) == len(INDEX)
    assert int(after.step) == 1


@pytest.mark.parametrize("augmentation", ["none", "shift"])
@pytest.mark.parametrize("loss", ["kl", "soft_squared_error", "logit_mse"])
def test_teacher_in_the_step_equals_its_table(loss, augmentation, data):
    teacher = Tiny(width=5)
    members, stacked = _members(teacher)
    table = predict.teacher_table(
        teacher,
        members,
        np.asarray(data.images),
        AUGMENTATIONS[augmentation],
        mean=(0.3,),
        std=(0.5,),
        on_batch=lambda done: None,
    )
    cached = _task(loss, augmentation, mean=(0.3,), std=(0.5,))
    inline = dataclasses.replace(cached, teacher=teacher)
    before = _state(cached)
    pairs = [
        (cached, dataclasses.replace(data, teacher_logits=jnp.asarray(table))),
        (inline, dataclasses.replace(data, teacher_variables=stacked)),
    ]
    (a, a_metrics), (b, b_metrics) = (
        train_step(task, before, HYPER, d, INDEX) for task, d in pairs
    )
    assert set(a_metrics) == {"loss", loss, "hard_loss", "correct", "visible"}
    for name, value in a_metrics.items():
        np.testing.assert_allclose(value, b_metrics[name], rtol=1e-4, err_msg=name)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-5), a.params, b.params)


def test_terms_add_up_to_the_loss(data):
    teacher = Tiny()
    task = _task("kl", teacher=teacher)
    data = dataclasses.replace(data, teacher_variables=_members(teacher)[1])
    _, metrics = train_step(task, _state(task), HYPER, data, INDEX)
    assert float(metrics["loss"]) == pytest.approx(float(metrics["kl"] + metrics["hard_loss"]))


def test_hidden_labels_count_neither_as_right_nor_as_wrong(data):
    task = _task("cross_entropy")
    before = _state(task)
    logits = task.model.apply({"params": before.params}, data.images[INDEX] / 255)
    right = logits.argmax(-1)
    for labels, expected in [
        ([right[0], -1, -1, -1], (1, 1)),
        ([right[0], (right[1] + 1) % CLASSES, -1, -1], (1, 2)),
        ([-1, -1, -1, -1], (0, 0)),
    ]:
        some = dataclasses.replace(data, labels=data.labels.at[INDEX].set(jnp.array(labels)))
        after, metrics = train_step(task, before, HYPER, some, INDEX)
        assert (int(metrics["correct"]), int(metrics["visible"])) == expected
    same = jax.tree.map(np.array_equal, before.params, after.params)  # none visible: no gradient
    assert all(jax.tree.leaves(same)) and float(metrics["loss"]) == 0


def test_batch_statistics_are_those_of_the_normalised_batch(data):
    task = _task("cross_entropy", model=Normed(), mean=(0.5,), std=(0.25,))
    before = _state(task)
    after, _ = train_step(task, before, HYPER, data, INDEX)
    pixels = (np.asarray(data.images[INDEX]).reshape(4, 16) / 255 - 0.5) / 0.25
    stats = after.batch_stats["BatchNorm_0"]
    np.testing.assert_allclose(stats["mean"], 0.1 * pixels.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(stats["var"], 0.9 + 0.1 * pixels.var(0), rtol=1e-4)
    np.testing.assert_array_equal(before.batch_stats["BatchNorm_0"]["mean"], np.zeros(16))


def test_augmentation_depends_on_the_step_and_not_on_who_asks(data):
    task = _task("cross_entropy", "shift")
    before = _state(task)
    first, again = (train_step(task, before, HYPER, data, INDEX)[1] for _ in range(2))
    later = train_step(task, dataclasses.replace(before, step=before.step + 1), HYPER, data, INDEX)[
        1
    ]
    assert first["loss"] == again["loss"]
    assert first["loss"] != later["loss"]
