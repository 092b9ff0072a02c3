"""Sweeps on a few embedded images: what they train, what they write, what they refuse."""

import csv
import json
import os
import pathlib
import re
import subprocess
import sys

import jax
import numpy as np
import pytest

from distill import data, pipeline, presets, study, validation
from distill.errors import InputError
from distill.progress import Display
from distill.training import engine, trained

ROOT = pathlib.Path(__file__).parents[1]
MODELS = {
    "student.model": ("simplenet_v4", "simplenet_v3"),
    "student.args.downsample": ("strided_conv", "max_pool"),
}
SOFTENED = {"loss.temperature": (1.0, 4.0)}


def tiny(seeds=(0, 1), axes=(SOFTENED,)):
    """Students that train in a second, of a teacher that does."""
    config = presets.simplenet(4, "quick")
    config.dataset.train, config.dataset.test = "train[:300]", "test[:150]"
    config.teacher.model, config.teacher.learning_rate = "simplenet_v1", 1e-2
    config.teacher.args = {"downsample": "max_pool"}
    config.teacher.batch_size = config.student.batch_size = 50
    config.checkpoint_every_s = 0.0
    config.sweep.seeds, config.sweep.axes = seeds, axes
    return config


def rows_of(config, workdir, **shard):
    """Runs a sweep and returns its rows."""
    path = study.run(config, workdir, Display(), **shard)
    with path.open() as file:
        return list(csv.DictReader(file))


def run(config, workdir, **shard):
    """Runs a sweep and returns its rows by what the students differ in."""
    rows = rows_of(config, workdir, **shard)
    return {(r["model"], r["loss"], r["temperature"], int(r["seed"])): r for r in rows}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "sweep"
    return workdir, run(tiny(axes=(MODELS, SOFTENED)), workdir)


def untimed(row):
    return {k: v for k, v in row.items() if not k.endswith("seconds")}


def test_every_point_and_seed_has_a_row(finished):
    workdir, rows = finished
    soft = "soft_squared_error"
    assert set(rows) == {
        (f"simplenet_{v}", soft, t, s) for v in ("v3", "v4") for t in "14" for s in (0, 1)
    }
    row = rows["simplenet_v3", soft, "4", 1]
    assert (row["status"], row["epochs"], row["train_examples"]) == ("ok", "2", "300")
    assert (row["num_params"], row["dataset"], row["config"]) == ("3982", "mnist5k", "sweep")
    assert json.loads(row["point"]) == {
        "student.model": "simplenet_v3", "student.args.downsample": "max_pool",
        "loss.temperature": 4.0,
    }  # fmt: skip
    predictions = np.load(workdir / "predictions" / f"{row['id']}.npy")
    assert predictions.shape == (150,) and predictions.max() < 10
    assert len({r["config_hash"] for r in rows.values()}) == 1


def test_a_point_on_an_axis_of_several_losses_is_text():
    terms = {"cross_entropy": {}}, {"kl": {"temperature": 4.0}, "dist": {}}
    points = study.expand(tiny(axes=({"loss.terms": terms}, {"student.args.filters": ((4, 5),)})))
    found = [json.loads(study.point_of(point)) for point in points]
    assert [row["loss.terms"] for row in found] == list(terms)
    assert found[0]["student.args.filters"] == [4, 5]


def test_students_of_one_shape_share_a_program(finished):
    workdir, _ = finished
    batches = [trained.load(folder / "steps", print) for folder in (workdir / "batches").iterdir()]
    assert sorted(len(batch.members) for batch in batches) == [4, 4]


def test_a_student_of_a_sweep_is_what_it_is_alone(finished):
    workdir, rows = finished
    config = tiny(seeds=(), axes=())
    config.loss.temperature = 4.0  # and seed 0, the same as the teacher's
    pipeline.run(config, workdir.parent / "alone", Display())
    alone = trained.load(workdir.parent / "alone" / "checkpoints" / "student" / "steps", print)
    images = data.load(config, *data.find(config, print)).test.images
    (together,) = (
        student.logits(images)
        for folder in (workdir / "batches").iterdir()
        if (batch := trained.load(folder / "steps", print)).about.recipe == alone.about.recipe
        for student, temperature, seed in zip(
            batch.apart(), batch.about.loss["temperature"], batch.about.seeds, strict=True
        )
        if (temperature, seed) == (4.0, 0)
    )
    np.testing.assert_allclose(together, alone.logits(images), rtol=1e-3, atol=1e-4)
    row = rows["simplenet_v4", "soft_squared_error", "4", 0]
    predictions = np.load(workdir / "predictions" / f"{row['id']}.npy")
    np.testing.assert_array_equal(predictions, together.argmax(-1))
    assert row["id"] == alone.about.digest


def test_nothing_is_trained_twice_and_a_sweep_can_grow(tmp_path, monkeypatch):
    rows = run(tiny(seeds=(0,)), tmp_path / "run")
    steps, run_chunk = [], engine.run_chunk

    def counted(task, plan, states, *rest):
        steps.append(len(states.step))
        return run_chunk(task, plan, states, *rest)

    monkeypatch.setattr(engine, "run_chunk", counted)
    assert run(tiny(seeds=(0,)), tmp_path / "run") == rows
    assert steps == []
    grown = run(tiny(seeds=(0, 5)), tmp_path / "run")
    assert len(grown) == 4 and {k: grown[k] for k in rows} == rows
    assert set(steps) == {2}  # the new seed at two temperatures


def kill(monkeypatch, concerned, call):
    """Makes a chunk of the `concerned` states the last one; returns at which steps they began."""
    began, run_chunk = [], engine.run_chunk

    def killed(task, plan, states, *rest):
        if concerned(states):
            began.append(int(states.step[0]))
            if len(began) == call:
                raise KeyboardInterrupt
        return run_chunk(task, plan, states, *rest)

    monkeypatch.setattr(engine, "run_chunk", killed)
    return began


def test_a_killed_sweep_goes_on_where_it_stopped(tmp_path, monkeypatch):
    config = tiny()
    config.student.epochs = 3
    expected = run(config, tmp_path / "whole")
    calls = kill(monkeypatch, lambda states: len(states.step) == 4, call=3)
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "killed")
    assert not (tmp_path / "killed" / "results.csv").exists()
    resumed = run(config, tmp_path / "killed")
    assert calls == [0, 6, 12, 12]
    assert [untimed(r) | {"config": ""} for r in resumed.values()] == [
        untimed(r) | {"config": ""} for r in expected.values()
    ]


def test_shards_share_the_work_and_the_table(tmp_path):
    config = tiny(seeds=(0, 1, 2), axes=())
    assert len(run(config, tmp_path, shard=(0, 2))) == 2
    assert len(run(config, tmp_path, shard=(1, 2))) == 3


def test_little_memory_makes_more_batches(tmp_path):
    config = tiny(seeds=(0, 1, 2), axes=())
    config.engine.memory_gb = 1e-9
    programs = engine.run_chunk._cache_size()
    assert len(run(config, tmp_path)) == 3
    assert len(list((tmp_path / "batches").iterdir())) == 3
    assert engine.run_chunk._cache_size() <= programs + 2  # of the teacher, and of all batches


def test_a_student_that_diverges_is_reported_and_the_others_go_on(tmp_path):
    rates = {"student.learning_rate": (1e-2, 1e30)}
    rows = rows_of(tiny(seeds=(3,), axes=(rates,)), tmp_path / "both")
    assert [(r["learning_rate"], r["status"]) for r in rows] == [
        ("0.01", "ok"),
        ("1e+30", "diverged"),
    ]
    assert rows[1]["accuracy"] == "" and rows[0]["accuracy"] != ""
    fine = {"student.learning_rate": (1e-2, 1.1e-2)}
    (expected, _) = rows_of(tiny(seeds=(3,), axes=(fine,)), tmp_path / "fine")
    assert untimed(expected) | {"config": "both"} == untimed(rows[0])


@pytest.mark.parametrize(
    ("seeds", "axes", "message"),
    [
        ((0, 0), (), "sweep.seeds is (0, 0); each seed may be named once"),
        ((), ({"loss.temperature": ()},), "sweep axis loss.temperature is empty"),
        ((), ({},), "sweep axis {} is empty"),
        ((), ({"loss.temperature": 3.0},), "sweep axis loss.temperature has 3.0 instead of a"),
        ((), ({"student.model": "teacher"},), "sweep axis student.model has 'teacher' instead of"),
        ((), tuple(SOFTENED), "sweep axis 'loss.temperature' is no dictionary; axes are written"),
        ((), (("loss.temperature", (1.0, 2.0)),), "sweep axis ('loss.temperature', (1.0, 2.0)) is"),
        ((), ({3: (1.0,)},), "sweep axis 3 is no key"),
        ((), ({"seed": (0, 1)},), "vary the teacher's seed too; use sweep.seeds"),
        ((), ({"loss.temprature": (1.0,)},), "'loss.temprature'; did you mean 'loss.temperature'?"),
        ((), ({"loss.temperature": ("hot",)},), "loss.temperature has the value 'hot'; it takes"),
        ((), ({"loss.temperature": (0.0,)},), "loss.temperature is 0.0"),
        ((), ({"student.model": ("simplenet_v9",)},), "model 'simplenet_v9'"),
        (
            (),
            ({"student.args.kernel_size": (3, (3,))},),
            "kernel_size of simplenet_v4 is (3,); it must be a whole number from 1 to 1024",
        ),
        ((), ({"dataset.name": ("mnist5k", "mnist6k")},), "unknown dataset 'mnist6k'"),
        ((), ({"dataset.mean": ((0.0,), (0.1, 0.2))},), "dataset.mean is (0.1, 0.2); for the"),
        ((), ({"loss.temperature": (1.0, 2.0), "loss.alpha": (1.0,)},), "loss.alpha has 1"),
        ((), ({"loss.temperature": (1.0, 3.0, 1.0)},), "points 1 and 3 of the sweep are the same"),
        (
            (),
            ({"loss.name": ("cross_entropy",)}, SOFTENED),
            "points 1 and 2 of the sweep are the same",
        ),
    ],
)
def test_bad_axes_are_refused(tmp_path, seeds, axes, message):
    with pytest.raises(InputError, match=re.escape(message)):
        run(tiny(seeds, axes), tmp_path / "run")
    assert not list(tmp_path.iterdir())  # no teacher either


def test_another_configuration_is_refused(finished):
    workdir, _ = finished
    config = tiny(axes=(MODELS, SOFTENED))
    config.student.epochs = 7
    with pytest.raises(InputError, match="student.epochs=2, this one has 7"):
        run(config, workdir)


def test_the_points_of_axes_are_their_product():
    points = study.expand(tiny(axes=(MODELS, SOFTENED)))
    assert [(p.student.model, p.student.args.downsample, p.loss.temperature) for p in points] == [
        ("simplenet_v4", "strided_conv", 1.0),
        ("simplenet_v4", "strided_conv", 4.0),
        ("simplenet_v3", "max_pool", 1.0),
        ("simplenet_v3", "max_pool", 4.0),
    ]
    for point in points:
        validation.validate(point)


def test_students_divided_among_devices_are_the_same(tmp_path):
    """The command, on three devices, against one device here."""
    assert jax.local_device_count() == 1
    sweep = [
        "--config=configs/simplenet_v4.py:quick",
        "--config.loss.name=cross_entropy",
        "--config.dataset.train=train[:300]",
        "--config.dataset.test=test[:150]",
        "--config.sweep.seeds=(0, 1, 2, 3)",
        f"--workdir={tmp_path / 'three'}",
    ]
    result = subprocess.run(
        [sys.executable, "-m", "distill.sweep", *sweep],
        cwd=ROOT, env={**os.environ, "JAX_NUM_CPU_DEVICES": "3"}, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    config = presets.simplenet(4, "quick")
    config.loss.name = "cross_entropy"
    config.dataset.train, config.dataset.test = "train[:300]", "test[:150]"
    config.sweep.seeds = (0, 1, 2, 3)
    here = run(config, tmp_path / "one")
    for row in here.values():
        one, three = (
            np.load(tmp_path / name / "predictions" / f"{row['id']}.npy")
            for name in ("one", "three")
        )
        np.testing.assert_array_equal(one, three)


def learning(axes):
    config = tiny(seeds=(0,), axes=axes)
    config.dataset.train, config.dataset.validation = "train[:200]", "train[200:300]"
    config.loss.learn_temperature, config.loss.temperature_learning_rate = True, 0.1
    return config


def test_the_temperature_is_learned_by_each_student(tmp_path):
    config = learning(axes=(SOFTENED, {"loss.learn_temperature": (True, False)}))
    rows = rows_of(config, tmp_path / "some")
    assert [(r["temperature"], r["learn_temperature"]) for r in rows] == [
        ("1", "True"), ("4", "True"), ("1", "False"), ("4", "False"),
    ]  # fmt: skip
    found = [float(r["final_temperature"]) for r in rows[:2]]
    assert abs(found[0] - 1) > 0.01 and abs(found[1] - 4) > 0.01
    assert [r["final_temperature"] for r in rows[2:]] == ["", ""]
    config = learning(axes=())
    config.loss.temperature = 4.0
    pipeline.run(config, tmp_path / "alone", Display())
    alone = trained.load(tmp_path / "alone" / "checkpoints" / "student" / "steps", print)
    assert alone.about.digest == rows[1]["id"]
    assert alone.history[-1]["temperature"] == pytest.approx(found[1], rel=1e-3)


def test_a_sweep_killed_while_learning_goes_on_with_the_temperature_reached(tmp_path, monkeypatch):
    config = learning(axes=(SOFTENED,))
    expected = rows_of(config, tmp_path / "whole")
    kill(monkeypatch, lambda states: states.learned, call=2)
    with pytest.raises(KeyboardInterrupt):
        rows_of(config, tmp_path / "killed")
    resumed = rows_of(config, tmp_path / "killed")
    assert [untimed(r) | {"config": ""} for r in resumed] == [
        untimed(r) | {"config": ""} for r in expected
    ]
