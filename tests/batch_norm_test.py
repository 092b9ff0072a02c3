"""Batch normalisation through a whole run: training, ensembles, soft targets, checkpoints."""

import json
import pathlib

import jax
import numpy as np
import pytest

from distill import pipeline, presets
from distill.progress import Display
from distill.training import predict as predict_lib
from distill.training import trained

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Distils an ensemble of two VGGs into a MobileNet; both have three layers."""
    config = presets.simplenet(3, "quick")
    config.stages = "teacher,student,evaluate,report"
    config.dataset.train, config.dataset.test = "train[:200]", "test[:30]"
    config.teacher.model, config.student.model = "vgg16", "mobilenet_v1"
    config.teacher.members = 2
    config.teacher.args = {"features": (3,), "pools": (1,), "hidden": (4,)}
    config.student.args = {"features": (4,), "strides": (2,), "stem": 3}
    config.teacher.epochs = config.student.epochs = 2
    config.teacher.batch_size = config.student.batch_size = 50
    config.loss.name = "kl"
    workdir = tmp_path_factory.mktemp("runs") / "norm"
    results = pipeline.run(config, workdir, Display())
    (teacher,) = (workdir.parent / "teachers").iterdir()
    return workdir, results, config, trained.load(teacher / "steps", print)


@pytest.fixture(scope="module")
def student(run):
    return trained.load(run[0] / "checkpoints" / "student" / "steps", print)


@pytest.fixture
def images(rng):
    return rng.integers(256, size=(5, 28, 28, 1), dtype=np.uint8)


def test_results_count_the_models(run):
    models = run[1]["models"]
    # 27 + 2·3, 14·14·3·4 + 2·4, 4·10 + 10, with one channel: 9·3.
    assert models["teacher"]["num_params"] == 2 * (27 + 6 + 14 * 14 * 3 * 4 + 8 + 50)
    assert models["student"]["num_params"] == 27 + 6 + 27 + 6 + 12 + 8 + 50


def test_running_statistics_are_saved_each_members_own(run):
    a, b = (member["batch_stats"]["conv0_norm"] for member in run[3].members)
    for name, start in (("mean", 0), ("var", 1)):
        assert (np.asarray(a[name]) != start).all()
        assert (np.asarray(a[name]) != np.asarray(b[name])).all()


def test_running_statistics_approach_those_of_the_data(run, student):
    """Eight steps leave 0.9⁸ = 43 % of the start, and weights move little meanwhile."""
    mean = np.asarray(student.members[0]["batch_stats"]["stem_norm"]["mean"])
    kernel = np.asarray(student.members[0]["params"]["stem"]["kernel"])[:, :, 0]
    dataset = pipeline.data.load(run[2], *pipeline.data.find(run[2], print))
    # Over the whole image, the mean of a convolution is the mean pixel times the sum of its taps.
    expected = dataset.train.images.mean() / 255 * kernel.sum((0, 1)) * (1 - 0.9**8)
    np.testing.assert_allclose(mean, expected, atol=0.3 * np.abs(expected).max())


def test_an_image_is_judged_by_itself(student, images):
    together = student.logits(images)
    alone = np.concatenate([student.logits(images[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)


def test_an_ensemble_is_the_mean_of_its_members(run, images):
    teacher = run[3]
    mean, std = teacher.about.mean, teacher.about.std
    each = [
        jax.nn.softmax(
            predict_lib.predict(teacher.model, m, images, mean=tuple(mean), std=tuple(std))
        )
        for m in teacher.members
    ]
    np.testing.assert_allclose(np.exp(teacher.logits(images)), np.mean(each, 0), rtol=1e-4)


def test_soft_targets_are_of_the_running_statistics(run):
    _, _, config, teacher = run
    dataset = pipeline.data.load(config, *pipeline.data.find(config, print))
    (path,) = teacher.directory.parent.glob("teacher_logits-*.npy")
    table = np.load(path)[0].swapaxes(0, 1)
    desired = teacher.logits(dataset.train.images)
    np.testing.assert_allclose(predict_lib.ensemble_logits(table), desired, rtol=1e-4, atol=1e-4)


def test_a_finished_training_is_found_again(run):
    workdir, results, config, _ = run
    assert pipeline.run(config, workdir, Display()) == results


def test_summary_counts_the_trained_weights(run, python):
    directory = run[0] / "checkpoints" / "student"
    found = python("-m", "distill.summary", f"--checkpoints={directory}", "--json")
    described = json.loads(found.stdout)
    assert described["num_params"] == described["nonzeros"] == 136
    assert described["input_shape"] == [28, 28, 1]
    assert [layer["kind"] for layer in described["layers"]] == [
        "conv 3×3", "batch norm", "depthwise conv 3×3", "batch norm",
        "conv 1×1", "batch norm", "dense",
    ]  # fmt: skip
