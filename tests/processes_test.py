"""Several processes make one training: real ones, that meet on this machine."""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest

from distill import pipeline, presets, processes, records
from distill.errors import InputError
from distill.progress import Display
from distill.training import trained

ROOT = pathlib.Path(__file__).parents[1]
OVERRIDES = {
    "stages": "teacher,student,evaluate,report",
    "dataset.train": "train[:320]", "dataset.test": "test[:150]",
    "teacher.model": "simplenet_v1", "teacher.learning_rate": 0.01, "teacher.batch_size": 40,
    "teacher.epochs": 2, "student.batch_size": 40, "student.epochs": 4, "checkpoint_every_s": 0.0,
}  # fmt: skip


def tiny_config():
    config = presets.simplenet(3, "quick")
    config.update_from_flattened_dict(OVERRIDES)
    return config


class Interrupting(Display):
    """Stops the run as the student ends its third epoch, of which nothing is saved."""

    def say(self, text):
        if "simplenet_v3 epoch 3/4" in text:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The teacher and the student, by one process and one device."""
    workdir = tmp_path_factory.mktemp("runs") / "alone"
    return workdir, pipeline.run(tiny_config(), workdir, Display())


@pytest.fixture
def start_two():
    """Starts two processes that make one training; none of them outlives the test."""
    started = []

    def start(workdir, *flags):
        started.extend(pair := _start_two(workdir, flags))
        return pair

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def _start_two(workdir, flags):
    command = [
        sys.executable, "-m", "distill.main", "--config=configs/simplenet_v3.py:quick",
        *(f"--config.{key}={value}" for key, value in OVERRIDES.items()),
        "--config.engine.data_parallel=0", f"--workdir={workdir}", "--num_processes=2",
        f"--coordinator=localhost:{free_port()}", *flags,
    ]  # fmt: skip
    environment = {"JAX_NUM_CPU_DEVICES": "1", "PYTHONUNBUFFERED": "1"}
    return [
        subprocess.Popen(
            [*command, f"--process_id={i}"], cwd=ROOT, env={**os.environ, **environment},
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        for i in (0, 1)
    ]  # fmt: skip


def free_port():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def finish(pair):
    """Returns what each said and its exit code."""
    outputs = [process.communicate()[0] for process in pair]
    return outputs, [process.returncode for process in pair]


def assert_same_student(one, other):
    one, other = (
        trained.load(workdir / "checkpoints" / "student" / "steps", print).members
        for workdir in (one, other)
    )
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def losses(workdir):
    return [record["loss"] for record in records.read(workdir) if record["role"] == "student"]


def test_two_processes_are_killed_and_one_goes_on(alone, start_two, tmp_path):
    workdir, _ = alone
    shutil.copytree(workdir.parent / "teachers", tmp_path / "teachers")
    pair = start_two(tmp_path / "run")
    for line in pair[0].stdout:
        if "simplenet_v3 epoch 3/4" in line:
            break
    for process in pair:
        process.send_signal(signal.SIGKILL)
    outputs, _ = finish(pair)
    said = []
    display = Display()
    display.say = said.append
    pipeline.run(tiny_config(), tmp_path / "run", display)
    assert any("going on after epoch" in line for line in said), outputs
    assert_same_student(workdir, tmp_path / "run")
    np.testing.assert_allclose(losses(tmp_path / "run"), losses(workdir), rtol=1e-3)


def test_two_processes_go_on_from_one_and_only_the_first_speaks_and_writes(
    alone, start_two, tmp_path
):
    workdir, results = alone
    shutil.copytree(workdir.parent / "teachers", tmp_path / "teachers")
    with pytest.raises(KeyboardInterrupt):
        pipeline.run(tiny_config(), tmp_path / "run", Interrupting())
    flags = ("--config.dataset.resident_mb=0",)  # the images are sent in pieces
    outputs, codes = finish(start_two(tmp_path / "run", *flags))
    assert codes == [0, 0], outputs
    assert "going on after epoch 2" in outputs[0] and "simplenet_v3" not in outputs[1]
    assert_same_student(workdir, tmp_path / "run")
    np.testing.assert_allclose(losses(tmp_path / "run"), losses(workdir), rtol=1e-3)
    assert len(list((tmp_path / "run").glob("tensorboard/student/events.*"))) == 1
    measured = json.loads((tmp_path / "run" / "results.json").read_text())["models"]
    for role in ("teacher", "student"):
        assert measured[role]["accuracy"] == pytest.approx(
            results["models"][role]["accuracy"], abs=0.01
        )


AGREE = """
import json, sys
from distill import processes
from distill.errors import InputError
index = int(sys.argv[2])
processes.start(sys.argv[1], 2, index)

def failing(*indices):
    if index in indices:
        raise InputError(f"wrong with {index}")

found = {
    "first": processes.first(lambda: 7),
    "together": processes.together(lambda: index),
    "of_first": [processes.of_first(index == 0), processes.of_first(index == 1)],
    "of_all": [processes.of_all(True), processes.of_all(index == 0)],
}
for name, f in {
    "failing second": lambda: processes.together(lambda: failing(1)),
    "failing both": lambda: processes.together(lambda: failing(0, 1)),
    "failing first": lambda: processes.first(lambda: failing(0)),
    "same": lambda: processes.require_same("seed", "1"),
    "different": lambda: processes.require_same("seed", str(index)),
}.items():
    try:
        found[name] = f()
    except InputError as error:
        found[name] = str(error)
print(json.dumps(found))
"""


def test_what_two_processes_agree_on():
    pair = [
        subprocess.Popen([sys.executable, "-c", AGREE, address, str(i)], cwd=ROOT, text=True,
                         stdout=subprocess.PIPE)
        for address in [f"localhost:{free_port()}"] for i in (0, 1)
    ]  # fmt: skip
    outputs, codes = finish(pair)
    assert codes == [0, 0], outputs
    found = [json.loads(output.splitlines()[-1]) for output in outputs]
    assert [f.pop("first") for f in found] == [7, None]
    assert [f.pop("together") for f in found] == [0, 1]
    assert found[0] == found[1] == {
        "of_first": [True, False],
        "of_all": [True, False],
        "failing second": "process 1: wrong with 1",
        "failing both": "wrong with 0",
        "failing first": "wrong with 0",
        "same": None,
        "different": "process 1 has another seed than process 0; "
        "start all of them with the same flags, on the same files",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--num_processes=2",), "the processes do not come together: coordinator_address"),
        (("--coordinator=localhost:1", "--num_processes=2", "--process_id=2"), "process_id"),
        (("--distributed", "--config.sweep.seeds=(1,)"), "a sweep is divided by --shard=i/n"),
    ],
)
def test_flags_that_do_not_fit_are_one_line(python, tmp_path, flags, message):
    result = python(
        "-m", "distill.main", "--config=configs/simplenet_v3.py:quick",
        f"--workdir={tmp_path / 'run'}", *flags,
    )  # fmt: skip
    assert result.returncode == 2, result.stderr
    lines = result.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ") and message in lines[0], lines
    assert not (tmp_path / "run").exists()


def test_a_single_process_needs_no_others():
    assert processes.is_first() and processes.of_first(True) and not processes.of_first(False)
    assert processes.of_all(True) and not processes.of_all(False)
    assert processes.together(lambda: 7) == processes.first(lambda: 7) == 7
    processes.require_same("configuration", "any")
    with pytest.raises(InputError, match="^it$"):
        processes.together(lambda: (_ for _ in ()).throw(InputError("it")))
