"""Several processes make one training: real ones, that meet on this machine."""

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

from configs import common
from distill import pipeline, processes
from distill.errors import InputError
from distill.report import records
from distill.report.progress import Display
from distill.training import trained

ROOT = pathlib.Path(__file__).parents[1]
OVERRIDES = {
    "dataset.train": "train[:320]", "dataset.test": "test[:150]",
    "teacher.model": "simplenet_v1", "teacher.learning_rate": 0.01, "teacher.batch_size": 40,
    "teacher.epochs": 2, "student.batch_size": 40, "student.epochs": 4, "checkpoint_every_s": 0.0,
}  # fmt: skip


def tiny_config():
    config = common.simplenet(3, "quick")
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


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """What the processes of one test have compiled serves those of the others."""
    return {
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("compiled")),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }


@pytest.fixture
def start_two(cache):
    """Starts two processes that make one training; none of them outlives the test."""
    started = []

    def start(workdir, *flags, of_second=()):
        started.extend(pair := _start_two(workdir, flags, of_second, cache))
        return pair

    yield start
    for process in started:
        process.kill()
        process.communicate()


def _start_two(workdir, flags, of_second, environment):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "distill.main", "--config=configs/simplenet_v3.py:quick",
        *(f"--config.{key}={value}" for key, value in OVERRIDES.items()),
        "--config.engine.data_parallel=0", f"--workdir={workdir}", "--num_processes=2",
        f"--coordinator=localhost:{port}", *flags,
    ]  # fmt: skip
    environment |= {"JAX_NUM_CPU_DEVICES": "1", "PYTHONUNBUFFERED": "1"}
    return [
        subprocess.Popen(
            [*command, f"--process_id={i}", *extra], cwd=ROOT, env={**os.environ, **environment},
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        for i, extra in enumerate([(), of_second])
    ]  # fmt: skip


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
    workdir, _ = alone
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


def test_what_is_wrong_with_one_process_stops_both(start_two, tmp_path):
    pair = start_two(tmp_path / "run", of_second=("--config.dataset.test=tset",))
    outputs, codes = finish(pair)
    assert codes == [2, 2], outputs
    for output in outputs:
        lines = [line for line in output.splitlines() if not line.startswith("[Gloo]")]
        assert len(lines) == 1 and lines[0].startswith("error: process 1: "), output
    assert not (tmp_path / "run").exists()


def test_processes_of_different_configurations_do_not_train(start_two, tmp_path):
    pair = start_two(tmp_path / "run", of_second=("--config.teacher.learning_rate=0.02",))
    outputs, codes = finish(pair)
    assert codes == [2, 2], outputs
    assert all("process 1 has another configuration or data than process 0" in o for o in outputs)


def test_a_single_process_needs_no_others():
    assert processes.is_first() and processes.of_first(True) and not processes.of_first(False)
    assert processes.of_all(True) and not processes.of_all(False)
    assert processes.together(lambda: 7) == processes.first(lambda: 7) == 7
    processes.require_same("configuration", "any")
    with pytest.raises(InputError, match="^it$"):
        processes.together(lambda: (_ for _ in ()).throw(InputError("it")))
