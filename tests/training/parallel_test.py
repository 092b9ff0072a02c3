"""One training over several devices: the same results, and no more travels than has to."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys

import jax
import pytest

from distill import config as configs
from distill import validation
from distill.errors import InputError
from distill.training import parallel

ROOT = pathlib.Path(__file__).parents[2]
BATCHES = ("teacher.batch_size", "student.batch_size")
TUNED = ({"method": "fold", "fine_tune": {"batch_size": 25, "epochs": 1}},)


@pytest.fixture(scope="module")
def eight_devices():
    script = pathlib.Path(__file__).with_name("on_eight_devices.py")
    result = subprocess.run(
        [sys.executable, script], capture_output=True, text=True,
        env={**os.environ, "JAX_NUM_CPU_DEVICES": "8", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", ["banded_and_winograd", "kernels", "batch_norm"])
def test_eight_devices_train_as_one_does(eight_devices, name):
    """With dropout, augmentation, a teacher in the step, hidden labels, batch statistics."""
    assert eight_devices["devices"] == eight_devices[name]["split_devices"] == 8
    variables, measured, logits = eight_devices[name]["differences"]
    assert variables < 1e-5 and measured < 1e-5 and logits < 1e-5
    assert eight_devices[name]["whole_everywhere"]


@pytest.mark.parametrize(("number", "devices"), [(3, 3), (13, 7)])
def test_students_need_not_divide_evenly_among_devices(eight_devices, number, devices):
    found = eight_devices["students"][str(number)]
    assert found["devices"] == devices and found["difference"] < 1e-5


@pytest.mark.parametrize("name", ["banded_and_winograd", "kernels", "batch_norm"])
def test_only_sums_travel_between_devices(eight_devices, name):
    assert eight_devices[name]["collectives"] == ["all-reduce"]


@pytest.mark.parametrize(
    ("devices", "data_parallel", "student", "message"),
    [
        (8, 0, 100, "which 8 devices do not divide; make it 96 or 104"),
        (8, 8, 5, "student.batch_size is 5, which 8 devices do not divide; make it 8"),
        (2, 4, 100, "engine.data_parallel is 4 and there are 2 devices"),
    ],
)  # fmt: skip
def test_what_the_devices_do_not_divide_is_one_line(
    monkeypatch, devices, data_parallel, student, message
):
    monkeypatch.setattr(jax, "device_count", lambda: devices)
    with pytest.raises(InputError) as error:
        parallel.check(data_parallel, {"student": configs.training("teacher", batch_size=student)})
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({}, ""),
        ({"student.batch_size": 100}, "student.batch_size is 100"),
        ({"student.batch_size": 100, "sweep.seeds": (0, 1)}, ""),
        ({"student.batch_size": 100, "engine.data_parallel": 1}, ""),
        ({**dict.fromkeys(BATCHES, 100), "engine.data_parallel": 5}, ""),
        ({"teacher.batch_size": 100}, "teacher.batch_size is 100"),
        ({"teacher.batch_size": 100, "stages": "student"}, ""),
        ({"assistants": ({"batch_size": 25},)}, r"assistants\[0\].batch_size is 25"),
        ({"compress": TUNED}, r"compress\[0\].fine_tune.batch_size is 25"),
        ({"compress": TUNED, "stages": "student"}, ""),
    ],
)
def test_only_batches_that_are_split_have_to_be_divided(monkeypatch, changes, refused):
    monkeypatch.setattr(jax, "device_count", lambda: 8)
    config = configs.defaults()
    config.engine.data_parallel = 0
    config.teacher.batch_size = config.student.batch_size = 96
    config.update_from_flattened_dict(changes)
    with pytest.raises(InputError, match=refused) if refused else contextlib.nullcontext():
        validation.validate(config)


def test_a_number_of_devices_is_taken_as_it_is_given_and_0_is_all(monkeypatch):
    monkeypatch.setattr(jax, "device_count", lambda: 8)
    assert [parallel.num_devices(n) for n in (0, 1, 5)] == [8, 1, 5]


def test_several_processes_use_all_of_their_devices(monkeypatch):
    monkeypatch.setattr(jax, "device_count", lambda: 8)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    assert parallel.num_devices(0) == parallel.num_devices(8) == 8
    with pytest.raises(InputError, match="2 processes share all their 8 devices, so give"):
        parallel.num_devices(4)
