"""The benchmarks: that they run, and that their arithmetic is right; no speed is asserted."""

import csv
import sys

import pytest

from distill import config as config_lib
from distill import provenance
from distill.data.streaming import Streamed
from experiments import readme
from experiments.benchmarks import growth, side_by_side, streaming, sweep, train_step

WORKER = """
import sys, flax, jax, optax
from experiments.benchmarks import side_by_side
calls = []
def run():
    print("not an answer")
    calls.append(1)
side_by_side.serve("distill", lambda: run)
print("rounds:", len(calls), file=sys.stderr)
"""


def test_the_median_and_the_range_of_the_rounds_are_reported():
    measured = side_by_side.Measured({}, 7.0, [2.0, 1.0, 4.0])
    assert measured.speeds(100) == {
        "examples_per_second": 50, "slowest": 25, "fastest": 100, "rounds": 3,
    }  # fmt: skip
    assert measured.once_seconds == 5.0
    assert side_by_side.Measured({}, 1.0, [2.0]).once_seconds == 0.0


def test_workers_take_turns_and_say_what_they_are(capfd):
    commands = {"a": ["-c", WORKER], "b": ["-c", WORKER]}
    measured = side_by_side.take_turns(commands, rounds=2)
    assert list(measured) == ["a", "b"]
    assert [len(found.seconds) for found in measured.values()] == [2, 2]
    assert measured["a"].about["version"].startswith("jax 0.")
    assert measured["a"].about["device"] == provenance.device()
    errors = capfd.readouterr().err
    assert errors.count("rounds: 3") == 2 and errors.count("not an answer") == 6


def test_a_worker_that_dies_is_named():
    commands = {"good": ["-c", WORKER], "bad": ["-c", "raise SystemExit(3)"]}
    with pytest.raises(RuntimeError, match="the worker bad stopped with code 3"):
        side_by_side.take_turns(commands, rounds=1)


def test_what_is_not_installed_is_skipped(monkeypatch, capsys):
    monkeypatch.setitem(side_by_side.FRAMEWORKS, "pytorch", ("no_such_module",))
    assert side_by_side.installed(["distill", "pytorch"]) == ["distill"]
    assert (
        "pytorch is skipped: the module no_such_module is not installed" in capsys.readouterr().out
    )


def test_frameworks_take_turns_at_each_model_that_they_have(monkeypatch, tmp_path, capsys):
    def take_turns(commands, rounds):
        assert rounds == 2 and all("--worker" in command for command in commands.values())
        seconds = {"distill": [1.0, 1.0], "keras": [2.0, 4.0]}
        return {
            name: side_by_side.Measured({"version": f"{name} 1"}, 5.0, seconds[name])
            for name in commands
        }

    monkeypatch.setattr(side_by_side, "take_turns", take_turns)
    monkeypatch.setattr(side_by_side, "installed", list)
    path = tmp_path / "rows.csv"
    monkeypatch.setattr(sys, "argv", ["compare", "--rounds", "2", "--csv", str(path)])
    side_by_side.compare(
        "a.module", "What it is.", "images per second", {"distill": None, "keras": None},
        {"a": 100, "b": 60}, {"batch": 10}, lambda framework, model: framework + model != "kerasb",
    )  # fmt: skip
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert [(r["model"], r["framework"], r["examples_per_second"]) for r in rows] == [
        ("a", "distill", "100"), ("a", "keras", "38"), ("b", "distill", "60"),
    ]  # fmt: skip
    assert rows[1]["once_seconds"] == "2.0" and rows[1]["batch"] == "10"
    assert "distill is  2.63 x  keras 1" in capsys.readouterr().out


def test_the_sweep_of_distill_runs(monkeypatch):
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "1")
    monkeypatch.setattr(sweep, "EXAMPLES", 40)
    monkeypatch.setattr(sweep, "BATCH", 10)
    monkeypatch.setattr(sweep, "STEPS", 2)
    run = sweep.build_distill("simplenet_v4", 2)
    run()
    run()


def test_the_training_step_of_distill_runs(monkeypatch):
    monkeypatch.setattr(train_step, "EXAMPLES", 40)
    monkeypatch.setattr(train_step, "BATCH", 10)
    monkeypatch.setitem(train_step.STEPS, "simplenet_v4", 2)
    run = train_step.build_distill("simplenet_v4")
    run()
    run()


def test_rows_of_a_sweep_can_be_drawn(tmp_path):
    measured = side_by_side.Measured({"version": "1", "device": "a device"}, 3.0, [1.0, 2.0, 1.0])
    rows = [
        sweep._row(model, "distill", students, measured)
        for model in sweep.MODELS
        for students in (1, 10, 100)
    ]
    assert rows[1]["examples_per_second"] == 10 * sweep.STEPS * sweep.BATCH
    assert rows[1]["compile_seconds"] == 2.0
    side_by_side.write_csv(tmp_path / "rows" / "growth.csv", rows)
    with (tmp_path / "rows" / "growth.csv").open() as file:
        assert [row["students"] for row in csv.DictReader(file)] == 2 * ["1", "10", "100"]
    growth.draw(growth.pd.read_csv(tmp_path / "rows" / "growth.csv"), tmp_path / "growth.png")
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("kind", streaming.KINDS)
def test_a_streamed_set_has_as_many_images_as_it_was_asked_for(kind, tmp_path, monkeypatch):
    for name, value in {"SIDE": 128, "DISTINCT": 3, "BATCH": 2, "CLASSES": 2}.items():
        monkeypatch.setattr(streaming, name, value)
    monkeypatch.setenv("DISTILL_CACHE_DIR", str(tmp_path / "cache"))
    trained = []

    def train(config, dataset, steps, *, resident):
        assert isinstance(dataset.train.images, Streamed) != resident
        trained.append(config.dataset.image_size)
        return 2.0 if resident else 4.0

    monkeypatch.setattr(streaming, "_train", train)
    count, config = 50, config_lib.defaults()
    config.dataset.resident_mb = 1  # an image has 49 kB
    monkeypatch.setattr(streaming.configs, "defaults", lambda: config)
    root = tmp_path / "set"
    root.mkdir()
    streaming.write(root, kind, count)
    row = streaming.measured(root, kind, steps=3)
    images = count - 20 if kind == "folder" else count  # there the first are to test with
    assert (row["files"], row["images"], trained) == (kind, images, [128, 128])
    assert (row["step_images_per_second"], row["streamed_images_per_second"]) == (3.0, 1.5)
    assert row["seconds_to_first_batch"] >= 0 and row["side"] == 128
    side_by_side.write_csv(tmp_path / "streaming.csv", [row])
    table = readme.streaming_table(tmp_path / "streaming.csv")
    assert f"| {kind} | {images} | 0.0 GB |" in table and "| 3.0/s | 1.5/s |" in table
