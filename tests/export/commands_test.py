"""`python -m distill.export` and `python -m distill.benchmark`, as a user starts them."""

import functools
import json

import pytest

from distill import pipeline, presets
from distill.errors import InputError
from distill.export import bundle
from distill.progress import Display
from distill.run import configuration


@pytest.fixture
def command(python):
    return functools.partial(python, "-m", COLUMNS="200")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run that ended before it exported anything."""
    workdir = tmp_path_factory.mktemp("runs") / "tiny"
    config = presets.simplenet(3, "quick,baseline")
    config.dataset.train, config.dataset.test = "train[:400]", "test[:150]"
    config.student.batch_size, config.stages = 50, "student,evaluate"
    pipeline.run(config, workdir, Display())
    return workdir


def test_a_finished_run_is_exported_again(command, finished, tmp_path):
    result = command("distill.export", f"--workdir={finished}", "--formats=int8",
                     "--output=logits", f"--to={tmp_path / 'asset'}")  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "weights' bytes" in result.stdout and "150" in result.stdout
    found = bundle.read(tmp_path / "asset")
    assert found == bundle.read(finished / "export" / "int8")
    assert found.manifest["output"]["kind"] == "logits"
    results = json.loads((finished / "results.json").read_text())
    assert results["export"]["int8"]["bytes"] == len(found.model)


def test_bundles_are_measured(command, exported, tmp_path):
    folders = [exported.directory / format for format in ("float32", "int8")]
    path = tmp_path / "latency.json"
    result = command("distill.benchmark", *folders, "--rounds=2", "--runs=5", f"--json={path}")
    assert result.returncode == 0, result.stderr
    assert "simplenet_v1 mnist5k float32" in result.stdout and "SOFTMAX" in result.stdout
    found = json.loads(path.read_text())
    assert [row["bytes"] for row in found["bundles"]] == [
        exported.proofs[format]["bytes"] for format in ("float32", "int8")
    ]
    for row in found["bundles"]:
        assert {n: latency["runs"] for n, latency in row["latency_us"].items()} == {
            "1": 10, "2": 10,
        }  # fmt: skip
        assert 0 < row["latency_us"]["1"]["p50"] <= row["latency_us"]["1"]["p90"]
        assert len(row["operators"]) == 9
        assert row["peak_memory_bytes"] is None or row["peak_memory_bytes"] > 10_000


@pytest.mark.parametrize(
    ("module", "arguments", "message"),
    [
        ("distill.export", (), "--workdir is missing"),
        ("distill.export", ("--workdir=nowhere",), "nowhere/config.json cannot be read"),
        ("distill.export", ("--workdr=x",), "workdr"),
        ("distill.benchmark", (), "name one or more bundles"),
        ("distill.benchmark", ("nowhere",), "nowhere/model.json cannot be read"),
        ("distill.benchmark", ("x", "--threads=²"), "--threads is ²; it must be numbers"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(command, module, arguments, message):
    result = command(module, *arguments)
    assert result.returncode == 2 and result.stderr.startswith("error: ")
    assert message in result.stderr and result.stderr.count("\n") == 1, result.stderr


@pytest.mark.parametrize("text", ["{}", "[]", '{"dataset": {}}', '{"dataset": {"name": ""}}', "{"])
def test_what_is_no_configuration_of_a_run_is_not_exported_as_of_another(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputError, match="is not the configuration of a run|cannot be read: "):
        configuration(tmp_path)


def test_settings_that_do_not_fit_a_run_are_one_line(command, finished):
    for flags, message in (
        (("--formats=in8",), "format 'in8'; did you mean 'int8'"),
        (("--to=x",), "--to takes one bundle; name one of float32,float16,int8 as --formats"),
    ):
        result = command("distill.export", f"--workdir={finished}", *flags)
        assert result.returncode == 2 and message in result.stderr, result.stderr
