"""What CRD remembers of every example: its definition, a step, checkpoints, and where it fits."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.core import FrozenDict

from distill import config as configs
from distill import data as data_lib
from distill import losses, presets, validation
from distill.data import AUGMENTATIONS
from distill.errors import InputError
from distill.losses import contrast
from distill.models.taps import PENULTIMATE, tap
from distill.progress import Display
from distill.run import Run
from distill.training import description, engine, pairing, recipe, state, step
from distill.training.checkpoints import Checkpointer
from distill.training.description import Description

SHAPE, N, K, TAU = (4, 4, 1), 12, 5, 0.2
INDEX = jnp.array([3, 1, 7, 0])
RNG = np.random.default_rng(3)


def _unit(*shape):
    x = RNG.normal(size=shape)
    return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)


OURS, THEIRS = _unit(4, 8), _unit(4, 8)
KEPT = {
    "student": jnp.asarray(_unit(N, 8)), "teacher": jnp.asarray(_unit(N, 8)),
    "normaliser": jnp.zeros(2),
}  # fmt: skip
MEMORY = losses.Memory(N, K)
CANDIDATES = MEMORY.candidates(jax.random.key(1), INDEX)


def _by_definition(kept, z):
    """Example by example, as the paper has it, with Z."""
    expected = np.zeros(4)
    for ours, bank, scale in ((OURS, kept["teacher"], z[0]), (THEIRS, kept["student"], z[1])):
        for i, rows in enumerate(np.asarray(CANDIDATES)):
            e = [np.exp(float(ours[i] @ np.asarray(bank[row])) / TAU) / scale for row in rows]
            h = [x / (x + K / N) for x in e]
            expected[i] -= np.log(h[0]) + sum(np.log(1 - x) for x in h[1:])
    return expected


def test_the_loss_is_that_of_the_paper_with_and_without_its_normaliser():
    def value(kept, **numbers):
        return losses.crd_memory(
            OURS, THEIRS, kept, CANDIDATES, contrast_temperature=TAU, **numbers
        )

    found = {
        name: np.exp(np.einsum("bd,bkd->bk", x, np.asarray(KEPT[bank])[CANDIDATES]) / TAU)
        for name, x, bank in (("ours", OURS, "teacher"), ("theirs", THEIRS, "student"))
    }
    first = [N * found[name].mean() for name in ("ours", "theirs")]
    np.testing.assert_allclose(value(KEPT), _by_definition(KEPT, first), rtol=1e-5)
    plain = value(KEPT, normalised=False)
    np.testing.assert_allclose(plain, _by_definition(KEPT, (1, 1)), rtol=1e-5)
    later = KEPT | {"normaliser": jnp.array([3.0, 4.0])}
    np.testing.assert_allclose(value(later), _by_definition(KEPT, (3, 4)), rtol=1e-5)
    new = contrast.remember(KEPT, OURS, THEIRS, INDEX, CANDIDATES, contrast_temperature=TAU)
    np.testing.assert_allclose(new["normaliser"], first, rtol=1e-5)
    kept = contrast.remember(later, OURS, THEIRS, INDEX, CANDIDATES, contrast_temperature=TAU)
    np.testing.assert_array_equal(kept["normaliser"], [3, 4])


def test_half_of_an_example_is_remembered_and_others_are_left_alone():
    new = contrast.remember(KEPT, OURS, THEIRS, INDEX, CANDIDATES, contrast_temperature=TAU)
    for name, x in (("student", OURS), ("teacher", THEIRS)):
        mixed = np.asarray(KEPT[name])[INDEX] + x
        mixed /= np.linalg.norm(mixed, axis=-1, keepdims=True)
        np.testing.assert_allclose(np.asarray(new[name])[INDEX], mixed, rtol=1e-5, atol=1e-6)
        others = np.setdiff1d(np.arange(N), INDEX)
        np.testing.assert_array_equal(np.asarray(new[name])[others], np.asarray(KEPT[name])[others])


def test_negatives_are_all_others_alike_and_never_the_example():
    drawn = np.asarray(losses.Memory(4, 3000).candidates(jax.random.key(0), jnp.array([2, 0])))
    assert drawn.shape == (2, 3001) and list(drawn[:, 0]) == [2, 0]
    counts = [np.bincount(row[1:], minlength=4) for row in drawn]
    assert counts[0][2] == counts[1][0] == 0
    for row, own in zip(counts, (2, 0), strict=True):
        assert np.abs(np.delete(row, own) - 1000).max() < 150  # six standard deviations


class Tiny(nn.Module):
    width: int

    @nn.compact
    def __call__(self, x, *, train=False):
        x = tap(self, PENULTIMATE, nn.tanh(nn.Dense(self.width)(x.reshape(len(x), -1))))
        return nn.Dense(3, name="logits")(x)


def _made(seeds, batch=4):
    config = configs.defaults()
    config.loss.terms = {
        "cross_entropy": {},
        "crd_memory": {"negatives": K, "contrast_temperature": TAU, "weight": 0.1},
    }
    loss = recipe.loss_section(config.loss)
    student, teacher = Tiny(4), Tiny(5)
    pairs = pairing.pairs(loss, student, teacher, SHAPE)
    shapes = pairing.shapes(pairs["crd_memory"], {PENULTIMATE: (4,)}, {PENULTIMATE: (5,)})
    task = step.Task(
        model=student, loss=loss["name"], augmentation=AUGMENTATIONS["none"], teacher=teacher,
        make_optimizer=state.optimizer(configs.training("teacher", schedule="constant"), 10),
        taps=pairs, tapped=FrozenDict({"crd_memory": shapes}), memory=MEMORY,
    )  # fmt: skip
    hyper = recipe.hyper(Description({"learning_rate": 0.01}, loss, seeds))
    states = state.create(
        student, task.make_optimizer, hyper, SHAPE, seeds, tapped=task.tapped, memory=MEMORY
    )
    rng = np.random.default_rng(0)
    variables = jax.jit(teacher.init)(jax.random.key(5), jnp.zeros((1, *SHAPE)))
    data = step.TrainData(
        images=jnp.asarray(rng.integers(256, size=(N, *SHAPE), dtype=np.uint8)),
        labels=jnp.asarray(rng.integers(3, size=N), jnp.int32),
        teacher_variables=jax.tree.map(lambda leaf: leaf[None], variables),
    )
    order = engine.epoch_order(states.key, 0, num_examples=N, batch_size=batch)
    return task, states, hyper, data, order


def test_an_epoch_remembers_every_example_and_goes_on_from_a_checkpoint(tmp_path):
    task, states, hyper, data, order = _made([0])
    fresh = jax.device_get(states.memory)
    assert fresh["student"].shape == (1, N, contrast.EMBEDDED)
    assert np.abs(fresh["student"]).max() < 1 / np.sqrt(contrast.EMBEDDED / 3)

    def run(states, order, steps):
        return engine.run_chunk(
            task, engine.Execution(), states, hyper, data, order, jnp.int32(steps)
        )

    half, _ = run(states, order, 2)
    with Checkpointer(tmp_path, pytest.fail) as checkpointer:
        checkpointer.save(2, half, {})
        restored, _ = checkpointer.restore(jax.eval_shape(lambda: half))
    ended, measured = run(restored, jnp.roll(order, -2, axis=1), 1)  # the third step
    whole, _ = run(_made([0])[1], order, 3)
    jax.tree.map(np.testing.assert_array_equal, ended.memory, whole.memory)
    jax.tree.map(np.testing.assert_array_equal, ended.params, whole.params)
    assert np.isfinite(measured["crd_memory"]).all() and (measured["crd_memory"] > 0).all()
    for name in ("student", "teacher"):  # an epoch has seen each example once
        found = np.asarray(ended.memory[name])
        np.testing.assert_allclose(np.linalg.norm(found, axis=-1), 1.0, rtol=1e-5)
        assert (np.abs(found - fresh[name]).max(-1) > 0.01).all()
    assert (np.asarray(ended.memory["normaliser"]) > 0).all()


def test_a_mixture_of_two_examples_is_none_to_remember():
    section = configs.training("simplenet_v4", mixup=0.2)
    recipe.check_mixtures("student", section, "crd")
    with pytest.raises(InputError, match=r"student.mixup is 0.2, and loss crd_memory keeps"):
        recipe.check_mixtures("student", section, "crd_memory")


def test_the_number_of_negatives_makes_a_program_and_of_examples_an_id(tmp_path):
    config = presets.simplenet(4, "quick")
    config.dataset.train, config.dataset.test = "train[:300]", "test[:150]"
    config.loss.terms = {"crd_memory": {"negatives": 7}, "cross_entropy": {}}
    dataset = data_lib.load(config, *data_lib.find(config, print))

    def made():
        return Run(validation.validate(config), tmp_path, dataset, Display())

    def described():
        return made().student_about(made().teacher_about())

    about = described()
    task = recipe.task(about, recipe.Length(1, 1))
    assert task.memory == losses.Memory(300, 7) and about.examples == 300
    assert "crd_memory.negatives" not in recipe.hyper(about)
    config.loss.terms.crd_memory.negatives = 8
    assert description.apart(described()) != description.apart(about)
    config.loss.terms = {"crd": {}}
    assert "examples" not in described().json()

    config.loss.terms = {"crd_memory": {}}
    images = dataset.train.images
    many = dataclasses.replace(
        dataset.train, images=np.broadcast_to(images[:1], (1100, *images.shape[1:])),
        labels=np.zeros(1100, np.int32),
    )  # fmt: skip
    dataset = dataset._replace(train=many)
    for limit, said in (
        (1, r"keeps 1 MiB of 1,100 examples: raise --config.dataset.resident_mb, which is 1, or"),
        (0, r"images that are sent in pieces, 1 MiB, have no number"),
    ):
        config.dataset.resident_mb = limit
        with pytest.raises(InputError, match=said) as error:
            made().check_models()
        assert "\n" not in str(error.value)

    config.dataset.resident_mb = 3
    made().check_models()
    config.loss.terms = {"crd_memory": {}, "cross_entropy": {}, "mutual": {"peers": 3}}
    with pytest.raises(InputError, match="keeps 3 MiB of 1,100 examples"):  # of each student
        made().check_models()
