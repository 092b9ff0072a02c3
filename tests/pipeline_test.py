"""The whole run on a few embedded images: what it writes, what it refuses, how it resumes."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from configs import mnist_autoencoder
from distill import data, losses, pipeline, presets, records, validation
from distill.errors import InputError
from distill.export import bundle, convert
from distill.progress import Display
from distill.training import engine, trained

ROOT = pathlib.Path(__file__).parents[1]


def tiny_config(version=3, arg="quick"):
    """A teacher and a student that train in a second each."""
    config = presets.simplenet(version, arg)
    config.dataset.train, config.dataset.test = "train[:400]", "test[:150]"
    config.teacher.model, config.teacher.learning_rate = "simplenet_v1", 1e-2
    config.teacher.epochs = 4
    config.teacher.batch_size = config.student.batch_size = 50
    config.checkpoint_every_s = 0.0
    config.export.formats = "float32"
    return config


def run(config, workdir):
    return pipeline.run(config, workdir, Display())


def student(workdir):
    return trained.load(workdir / "checkpoints" / "student" / "steps", print)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run that several tests look at."""
    workdir = tmp_path_factory.mktemp("runs") / "tiny"
    return workdir, run(tiny_config(), workdir)


def test_results_have_the_documented_form(finished):
    workdir, results = finished
    assert results["format"] == "distill-results/1" and results["dataset"] == "mnist5k"
    assert list(results["models"]) == ["teacher", "student"]
    teacher, pupil = results["models"]["teacher"], results["models"]["student"]
    for model in (teacher, pupil):
        matrix = np.array(model["confusion_matrix"])
        assert matrix.shape == (10, 10) and matrix.sum() == 150
        assert np.trace(matrix) / 150 == pytest.approx(model["accuracy"])
    assert (teacher["num_params"], pupil["num_params"]) == (3484, 3982)
    assert teacher["agreement"] is None and teacher["compression_rate"] is None
    assert pupil["compression_rate"] == pytest.approx((3484 - 3982) / 3484)
    assert 0 < pupil["agreement"] <= 1
    assert teacher["loss"] == "cross_entropy" and teacher["temperature"] is None
    assert pupil["loss"] == "soft_squared_error" and pupil["temperature"] == 1.0
    assert pupil["accuracy"] > 0.2  # chance is 0.1


def test_measures_equal_scikit_learns(finished):
    workdir, results = finished
    split = data.load(tiny_config(), *data.find(tiny_config(), print)).test
    predictions = student(workdir).logits(split.images).argmax(-1)
    precision, recall, _, _ = sklearn_metrics.precision_recall_fscore_support(
        split.labels, predictions, average="macro", zero_division=0
    )
    measured = results["models"]["student"]
    assert measured["precision"] == pytest.approx(precision)
    assert measured["recall"] == pytest.approx(recall)
    assert measured["accuracy"] == sklearn_metrics.accuracy_score(split.labels, predictions)


def test_outputs_are_all_there(finished):
    workdir, _ = finished
    records = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert [(r["role"], r["epoch"]) for r in records] == [
        *(("teacher", epoch) for epoch in (1, 2, 3, 4)), ("student", 1), ("student", 2),
    ]  # fmt: skip
    assert all(r["step"] == r["epoch"] * 8 for r in records)
    names = {p.name for p in (workdir / "plots").iterdir()}
    kinds = ("confusion", "reliability", "mistakes")
    pictures = {f"{kind}_{role}.png" for kind in kinds for role in ("teacher", "student")}
    assert names == {"learning_curves.png", *pictures}
    assert list(workdir.glob("tensorboard/*/events.*"))
    report = (workdir / "report.md").read_text()
    assert "mnist5k" in report and "simplenet_v3" in report and "CONV_2D × 1" in report
    assert json.loads((workdir / "config.json").read_text())["dataset"]["name"] == "mnist5k"


def test_the_student_is_exported_and_its_proof_reported(finished):
    workdir, results = finished
    proof = results["export"]["float32"]
    assert proof["accuracy_flax"] == proof["accuracy_tflite"]
    assert proof["accuracy_flax"] == results["models"]["student"]["accuracy"]
    assert proof["max_error"] <= 1e-5 and proof["images"] == 150
    error = results["models"]["student"]["calibration_error"]
    assert proof["calibration_error"] == pytest.approx(error, abs=1e-4)
    exported = bundle.read(workdir / "export" / "float32")
    assert len(exported.model) == proof["bytes"] and exported.labels == list("0123456789")


def test_a_second_run_trains_nothing_and_the_teacher_is_shared(finished, monkeypatch, tmp_path):
    workdir, results = finished

    def fail(*args):
        raise AssertionError("trained again")

    with monkeypatch.context() as patch:
        patch.setattr(engine, "run_chunk", fail)
        patch.setattr(convert, "to_tflite", fail)
        measured = tiny_config()
        measured.stages = "evaluate,report"
        assert run(measured, workdir) == results  # with the proof of what is exported
        assert run(tiny_config(), workdir) == results
        another = tiny_config(version=2)
        another.stages = "teacher,evaluate,report"
        found = run(another, workdir.parent / "another")
        assert found["models"]["teacher"] == results["models"]["teacher"]
        assert len(list((workdir.parent / "teachers").iterdir())) == 1


def test_nothing_is_compiled_after_the_first_epoch(tmp_path):
    config = tiny_config(arg="quick,baseline")
    config.student.epochs, config.stages = 1, "student"
    run(config, tmp_path / "one")
    before = engine.run_chunk._cache_size()
    config.student.steps = 8 * 3 + 5  # the fourth epoch is cut short
    run(config, tmp_path / "four")
    assert engine.run_chunk._cache_size() == before + 1


def test_a_workdir_of_another_configuration_is_refused(finished):
    workdir, _ = finished
    before = {p: p.stat().st_mtime_ns for p in workdir.rglob("*")}
    config = tiny_config()
    config.student.epochs = 3
    with pytest.raises(InputError, match=r"holds a run with student.epochs=2, this one has 3"):
        run(config, workdir)
    assert {p: p.stat().st_mtime_ns for p in workdir.rglob("*")} == before


def test_a_missing_input_names_its_path(tmp_path):
    for stages, path in (("student", "teachers"), ("report", "results.json")):
        config = tiny_config()
        config.stages = stages
        with pytest.raises(InputError, match=path):
            run(config, tmp_path / stages)


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    config = tiny_config(arg="quick,baseline")
    config.student.learning_rate = 1e38
    with pytest.raises(InputError, match=r"not finite at step \d"):
        run(config, tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"loss.name": "kl", "loss.temperature": 4.0},
        {"loss.name": "logit_mse"},
        {"loss.alpha": 0.5, "loss.gradient_correction": True},
        {"teacher.members": 2},
        {"dataset.labelled_fraction": 0.5},
        {"transfer.name": "mnist5k", "transfer.split": "train[400:700]"},
        {"student.augmentation": "shift", "student.epochs": 1},  # the teacher runs in the step
        {"student.augmentation": "shift_rotate", "teacher.augmentation": "shift"},
        {"student.weight_decay": 1e-2, "student.clip_norm": 1.0, "student.schedule": "cosine"},
        {"dataset.validation": "train[400:500]"},
        {"student.args.downsample": "strided_conv"},
        {
            "student.epochs": 1,
            "student.mixup": 0.2,
            "student.cutmix": 1.0,
            "student.ema_decay": 0.9,
            "student.warmup_epochs": 0.5,
            "engine.dtype": "bfloat16",
        },
    ],
)
def test_variants_run_to_the_end(finished, tmp_path, change):
    config = tiny_config()
    config.stages = "teacher,student,evaluate"
    config.teacher.directory = str(finished[0].parent / "teachers")
    with config.unlocked():
        for key, value in change.items():
            section, _, field = key.rpartition(".")
            section = config[section] if section != "student.args" else config.student.args
            section[field] = value
    results = run(config, tmp_path / "run")
    assert results["models"]["student"]["accuracy"] > 0.15


def test_streaming_gives_the_same_parameters_as_residence(finished, tmp_path):
    config = tiny_config()
    config.dataset.resident_mb, config.stages = 0, "teacher,student"
    run(config, tmp_path / "streamed")
    for a, b in zip(
        _leaves(student(finished[0])), _leaves(student(tmp_path / "streamed")), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_hidden_labels_decide_nothing(tmp_path, monkeypatch):
    """Half of the labels are hidden; exchanging those before they are hidden changes nothing."""
    config = tiny_config()
    config.dataset.labelled_fraction, config.stages = 0.5, "teacher,student"
    run(config, tmp_path / "true")
    original = data.read

    def lying(*args, **kwargs):
        split, classes = original(*args, **kwargs)
        if len(split) == 4000:
            hidden = np.random.default_rng(config.seed).permutation(400)[200:]
            split.labels[hidden] = (split.labels[hidden] + 1) % 10
        return split, classes

    monkeypatch.setattr(data, "read", lying)
    run(config, tmp_path / "false")
    for a, b in zip(
        _leaves(student(tmp_path / "true")), _leaves(student(tmp_path / "false")), strict=True
    ):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("models", {}),
        ("models", []),
        ("models.student", 5),
        ("models.student.accuracy", "high"),
        ("models.student.confusion_matrix", [[1, 2], [3]]),
        ("models.student.num_params", None),
        ("export.float32", []),
        ("export.float32.bytes", 0),
        ("export.float32.operators", "CONV_2D"),
        ("compress", [{}]),
        ("dataset", None),
    ],
)
def test_damaged_results_are_one_line_and_written_anew(finished, path, value):
    workdir, results = finished
    place = workdir / "results.json"
    text = place.read_text()
    *parents, name = path.split(".")
    damaged = section = json.loads(text)
    for parent in parents:
        section = section[parent]
    section.update({name: value})
    place.write_text(json.dumps(damaged))
    config = tiny_config()
    config.stages = "report"
    try:
        with pytest.raises(InputError, match="results.json is damaged .*; the stage evaluate wr"):
            run(config, workdir)
    finally:
        place.write_text(text)


def test_images_of_another_shape_are_refused(finished):
    with pytest.raises(InputError, match=r"trained on images of \(28, 28, 1\); these are \(32"):
        student(finished[0]).logits(np.zeros((2, 32, 32, 3), np.uint8))


def test_a_loss_of_the_users_own_needs_one_entry(tmp_path, monkeypatch):
    def margin(logits, labels, *, width):
        best = jax.nn.one_hot(labels, 10, dtype=bool)
        return ((~best) * (logits + width) ** 2 + best * (logits - width) ** 2).mean(-1)

    monkeypatch.setitem(losses.LOSSES, "margin", margin)
    config = tiny_config(arg="quick,baseline")
    config.loss.name, config.stages = "margin", "student,evaluate"
    with pytest.raises(InputError, match="loss margin needs --config.loss.width"):
        validation.validate(config)
    with config.unlocked():
        config.loss.width = 1.0
    assert run(config, tmp_path)["models"]["student"]["accuracy"] > 0.2


def test_an_autoencoder_is_judged_by_its_error(tmp_path):
    config = mnist_autoencoder.get_config("quick")
    config.dataset.train, config.dataset.test = "train[:200]", "test[:50]"
    config.student.args = {"encoder": (4, 6), "decoder": (3, 1)}
    results = run(config, tmp_path)
    model = student(tmp_path)
    images = data.load(config, *data.find(config, print)).test.images
    error = np.square(model.logits(images) - images / 255).mean()
    np.testing.assert_allclose(
        results["models"]["student"]["reconstruction_error"], error, rtol=1e-5
    )
    (record, *_) = records.read(tmp_path)
    assert "train_accuracy" not in record and record["test_reconstruction_error"] > 0
    assert f"| {error:.5f} | 469 |" in (tmp_path / "report.md").read_text()


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("loss.name", "cross_entropy", "needs a model that classifies; autoencoder does not"),
        ("student.model", "simplenet_v1", "needs a model that reconstructs images; simplenet_v1"),
        ("stages", "student,export", "the stage export is for models that classify"),
        ("sweep.seeds", (0, 1), "a sweep is for models that classify"),
    ],
)
def test_pixels_are_not_classes(key, value, message):
    config = mnist_autoencoder.get_config("quick")
    config.student.args = {}
    config.update_from_flattened_dict({key: value})
    with pytest.raises(InputError, match=message):
        validation.validate(config)


def test_killed_and_started_again_ends_bit_for_bit_the_same(finished, tmp_path):
    command = [
        sys.executable, "-m", "distill.main", "--config=configs/simplenet_v3.py:quick",
        "--config.dataset.train=train[:400]", "--config.dataset.test=test[:150]",
        "--config.teacher.model=simplenet_v1", "--config.teacher.learning_rate=0.01",
        "--config.teacher.batch_size=50", "--config.teacher.epochs=4",
        "--config.student.batch_size=50",
        "--config.student.epochs=12", "--config.checkpoint_every_s=0",
        "--config.stages=teacher,student,evaluate,report",
        f"--config.teacher.directory={finished[0].parent / 'teachers'}",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}

    def start(workdir):
        return subprocess.Popen(
            [*command, f"--workdir={workdir}"], cwd=ROOT, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    killed = start(tmp_path / "killed")
    for line in killed.stdout:
        if "simplenet_v3 epoch 4/12" in line:
            time.sleep(0.05)
            killed.send_signal(signal.SIGKILL)
            break
    killed.wait()
    killed.stdout.close()
    whole, again = start(tmp_path / "whole"), start(tmp_path / "killed")
    outputs = [process.communicate()[0] for process in (whole, again)]
    assert whole.returncode == again.returncode == 0, outputs
    assert "epoch 1/12" in outputs[0] and "epoch 1/12" not in outputs[1]
    for a, b in zip(
        _leaves(student(tmp_path / "whole")), _leaves(student(tmp_path / "killed")), strict=True
    ):
        np.testing.assert_array_equal(a, b)
    whole, killed = (records.read(tmp_path / name) for name in ("whole", "killed"))
    assert [r["epoch"] for r in whole] == [r["epoch"] for r in killed]
    assert [r["loss"] for r in whole] == [r["loss"] for r in killed]


def _leaves(model):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(model.members)]
