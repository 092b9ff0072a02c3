"""Students that teach one another: what each learns from, and that nobody else notices."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distill import config as configs
from distill import losses, validation
from distill.data import AUGMENTATIONS
from distill.errors import InputError
from distill.training import description, engine, mutual, recipe, state, step
from distill.training.checkpoints import Checkpointer
from distill.training.description import Description

SHAPE, N, BATCH = (8, 8, 1), 24, 6
INDEX = jnp.array([3, 1, 7, 0])
train_step = jax.jit(step.train_step, static_argnums=0)


class Tiny(nn.Module):
    """With statistics of its own, and something that it draws."""

    rate: float = 0.0

    @nn.compact
    def __call__(self, x, *, train=False):
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x.reshape(len(x), -1))
        x = nn.Dropout(self.rate, deterministic=not train)(x)
        return nn.Dense(3, name="logits")(x)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    return step.TrainData(
        images=jnp.asarray(rng.integers(256, size=(N, *SHAPE), dtype=np.uint8)),
        labels=jnp.asarray(rng.integers(3, size=N), jnp.int32),
    )


def _loss(**numbers):
    config = configs.defaults()
    config.loss.terms = {"cross_entropy": {}, "mutual": numbers}
    return recipe.loss_section(config.loss)


def _made(loss, seeds=(0,), rate=0.0, clip_norm=0.0):
    """Returns a task with states and hyperparameters of one student for each seed."""
    # Without Adam's division, which makes a rounding error of a gradient of 0 as large as any.
    section = configs.training("simplenet_v1", schedule="constant", optimizer="sgd")
    section.clip_norm = clip_norm
    task = step.Task(
        model=Tiny(rate), loss=loss["name"], augmentation=AUGMENTATIONS["shift"],
        make_optimizer=state.optimizer(section, 10),
        peers=max(0, losses.structure(loss, "peers") - 1),
    )  # fmt: skip
    hyper = recipe.hyper(Description({"learning_rate": 0.01}, loss, list(seeds)))
    states = state.create(task.model, task.make_optimizer, hyper, SHAPE, seeds, peers=task.peers)
    return task, states, hyper


_one = jax.jit(lambda tree: jax.tree.map(lambda leaf: leaf[0], tree))


def _equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def _close(a, b):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6), a, b)


def test_the_loss_is_the_mean_divergence_from_the_peers():
    rng = np.random.default_rng(1)
    own, peers = rng.normal(size=(5, 4)), rng.normal(size=(3, 5, 4))
    q, p = (np.exp(x / 2) / np.exp(x / 2).sum(-1, keepdims=True) for x in (own, peers))
    expected = 4 * (p * np.log(p / q)).sum(-1).mean(0)
    found = losses.mutual(*(jnp.asarray(x, jnp.float32) for x in (own, peers)), temperature=2.0)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    same = jnp.asarray(np.stack([own, own]), jnp.float32)
    np.testing.assert_allclose(losses.mutual(same[0], same), np.zeros(5), atol=1e-6)


def test_no_gradient_reaches_the_peers():
    own, peers = jnp.array([[1.0, 2.0]]), jnp.array([[[0.0, 3.0]]])
    assert np.abs(jax.grad(lambda x: losses.mutual(x, peers).sum())(own)).max() > 0.1
    np.testing.assert_array_equal(jax.grad(lambda x: losses.mutual(own, x).sum())(peers), 0 * peers)


def test_without_weight_each_learns_from_labels_only(data):
    task, states, hyper = _made(_loss(peers=3), clip_norm=0.1)
    hyper |= {"mutual.weight": jnp.zeros(1)}
    after, metrics = train_step(task, _one(states), _one(hyper), data, INDEX)
    alone = dataclasses.replace(task, peers=0, loss="cross_entropy")
    for i, network in enumerate(mutual.together(_one(states))):
        network = dataclasses.replace(network, key=states.key[0])  # sees what the student sees
        expected, its_metrics = train_step(alone, network, _one(hyper), data, INDEX)
        _close(mutual.together(after)[i].params, expected.params)
        _close(mutual.together(after)[i].opt_state, expected.opt_state)
        if i == 0:
            assert float(metrics["loss"]) == pytest.approx(float(its_metrics["loss"]), rel=1e-5)


def test_they_are_updated_at_once_and_alike(data):
    """Who is the student and who the peer makes no difference to either."""
    task, states, hyper = _made(_loss(weight=2.0))
    before, hyper = _one(states), _one(hyper)
    student, peer = mutual.together(before)
    assert np.abs(student.params["logits"]["kernel"] - peer.params["logits"]["kernel"]).max() > 0.1
    swapped = mutual.apart([peer, dataclasses.replace(student, key=())])
    swapped = dataclasses.replace(swapped, key=before.key)
    a, metrics = train_step(task, before, hyper, data, INDEX)
    b, _ = train_step(task, swapped, hyper, data, INDEX)
    ours, theirs = mutual.together(a), mutual.together(b)
    for mine, yours in ((ours[0], theirs[1]), (ours[1], theirs[0])):
        _close(mine.params, yours.params)
        _close(mine.opt_state, yours.opt_state)

    @jax.jit
    def expected():
        batch = step._batch(task, before, data, INDEX)
        logits = [step._forward(task, n, data, batch, n.params)[0] for n in (student, peer)]
        return 2 * losses.mutual(logits[0], logits[1][None]).mean()

    assert float(metrics["mutual"]) == pytest.approx(float(expected()), rel=1e-4)


def test_each_has_statistics_and_dropout_of_its_own(data):
    task, states, hyper = _made(_loss(), rate=0.5)
    alike = mutual.together(_one(states))[0]
    before = mutual.apart([alike, dataclasses.replace(alike, key=())])
    after, metrics = train_step(task, before, _one(hyper), data, INDEX)
    student, peer = mutual.together(after)
    _close(student.batch_stats, peer.batch_stats)  # of the same images
    assert np.abs(after.batch_stats["BatchNorm_0"]["mean"]).max() > 0
    assert float(metrics["mutual"]) > 1e-4  # the same weights, but other units dropped


def test_a_student_with_peers_is_the_same_among_others_and_after_a_restart(data, tmp_path):
    loss = _loss()

    def run(task, states, hyper, order, steps):
        plan = engine.Execution("vmap" if len(order) > 1 else "map")
        return engine.run_chunk(task, plan, states, hyper, data, order, jnp.int32(steps))[0]

    task, states, hyper = _made(loss, seeds=(4, 5))
    order = engine.epoch_order(states.key, 0, num_examples=N, batch_size=BATCH)
    both = run(task, states, hyper, order, 4)
    alone, states, hyper = _made(loss, seeds=(5,))
    half = run(alone, states, hyper, order[1:], 2)
    with Checkpointer(tmp_path, pytest.fail) as checkpointer:
        checkpointer.save(2, half, {})
        restored, _ = checkpointer.restore(jax.eval_shape(lambda: half))
    _equal(restored.peers, half.peers)
    whole = run(alone, restored, hyper, order[1:, 2:], 2)
    for name in ("params", "peers"):
        among, apart = getattr(both, name), getattr(whole, name)
        _close(jax.tree.map(lambda x: np.asarray(x)[1], among), _one(apart))
    fresh = _made(_loss(peers=2), seeds=(5,))[1]
    plain = _made(_loss(peers=3), seeds=(5,))[1]
    _equal(fresh.params, plain.params)  # however many there are beside it


def test_students_with_more_peers_are_a_program_of_their_own():
    abouts = [
        Description({"learning_rate": 0.1}, _loss(**numbers), [0])
        for numbers in ({}, {"peers": 3}, {"weight": 3.0})
    ]
    two, three, heavier = map(description.apart, abouts)
    assert two == heavier != three
    assert "mutual.peers" not in recipe.hyper(abouts[0])


@pytest.mark.parametrize(
    "change, said",
    [
        ({"loss.terms": {"mutual": {}}}, "nothing but one another learn nothing"),
        ({"loss.name": "mutual", "loss.terms": {}}, "nothing but one another learn nothing"),
        (
            {"loss.terms": {"cross_entropy": {}, "mutual": {"peers": 1}}},
            "loss.terms.mutual.peers is 1; it takes 2 students or more",
        ),
        (
            {"loss.terms": {"cross_entropy": {}, "mutual": {"peers": 2.5}}},
            "loss.terms.mutual.peers is 2.5; it must be a whole number",
        ),
        ({"student.init": "runs/one"}, "student.init is 'runs/one', and the peers of mutual"),
        (
            {"compress": ({"method": "svd", "rank": 4},)},
            r"compress\[0\] is fine-tuned by cross_ent",
        ),
    ],
)
def test_mutual_learning_that_cannot_be_ends_before_any_work(change, said):
    config = configs.defaults()
    config.loss.terms = {"cross_entropy": {}, "mutual": {}}
    validation.validate(config)
    with config.unlocked():
        for key, value in change.items():
            section, _, name = key.rpartition(".")
            (config[section] if section else config)[name] = value
    with pytest.raises(InputError, match=said) as error:
        validation.validate(config)
    assert "\n" not in str(error.value)
