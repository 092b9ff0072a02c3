"""The launcher with its local executor, and the example files: their commands are the real ones."""

import csv
import functools
import os
import pathlib
import re
import shlex
import subprocess

import pytest
import yaml

from distill import shards

ROOT = pathlib.Path(__file__).parents[2]
LAUNCH = ROOT / "experiments" / "launch"
ENVIRONMENT = {"SHARD": "3", "SHARDS": "4", "i": "1"}

# Parses the flags of a command as it does itself, and says what it would do.
PARSE = """
import importlib, os, sys
module, *arguments = sys.argv[1:]
importlib.import_module(module)
from distill import cli, config, main, shards
cli.parse_config([module, *arguments])
sweep = config.is_sweep(main.CONFIG.value)
print(sweep, shards.shard(main.SHARD.value, os.environ) if sweep else main.DISTRIBUTED.value)
"""


def commands(text):
    """Returns what follows `python -m` in a script or document, as lists of words."""
    text = text.replace("\\\n", " ")
    found = re.findall(r"python -m ([\w.]+ +--[^&;`\n]*)", text)
    # The last quote of a command that stands in quotes itself is not of the command.
    found = [text[: text.rindex('"')] if text.count('"') % 2 else text for text in found]
    return [shlex.split(os.path.expandvars(command)) for command in found]


@pytest.fixture
def parse(python):
    def call(words, **environment):
        result = python("-c", PARSE, *words, **environment)
        assert result.returncode == 0, (words, result.stderr)
        return result.stdout.strip()

    return call


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def test_the_slurm_array_runs_its_shards(parse):
    text = (LAUNCH / "slurm_array.sbatch").read_text()
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    directives = dict(re.findall(r"^#SBATCH --([\w-]+)=(\S+)", text, re.MULTILINE))
    first, last = map(int, directives["array"].partition("%")[0].split("-"))
    (command,) = commands(text)
    assert "--shard" not in text
    environ = {
        "SLURM_ARRAY_TASK_ID": "5", "SLURM_ARRAY_TASK_MIN": str(first),
        "SLURM_ARRAY_TASK_COUNT": str(last - first + 1),
    }  # fmt: skip
    assert parse(command, **environ) == "True (5, 8)"


def test_the_slurm_training_is_one_of_several_processes(parse):
    text = (LAUNCH / "slurm_data_parallel.sbatch").read_text()
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    (command,) = commands(text)
    assert parse(command) == "False True"


def test_the_kubernetes_job_runs_its_shards(parse):
    job = yaml.safe_load((LAUNCH / "kubernetes_job.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    spec = job["spec"]
    assert spec["completionMode"] == "Indexed" and spec["parallelism"] <= spec["completions"]
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    environ = {entry["name"]: entry["value"] for entry in container["env"]}
    assert int(environ["JOB_COMPLETIONS"]) == spec["completions"]
    environ["JOB_COMPLETION_INDEX"] = "7"
    assert shards.shard(None, environ) == (7, 8)
    assert container["command"][:2] == ["python", "-m"]
    words = [*container["command"][2:], *container["args"]]
    assert parse(words, **environ) == "True (7, 8)"
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts == {"runs": "/runs"} and "--workdir=/runs/thesis" in words
    assert [volume["name"] for volume in pod["volumes"]] == ["runs"]


def test_the_cloud_task_runs_its_shard_and_keeps_what_it_did(parse, tmp_path):
    task = yaml.safe_load((LAUNCH / "skypilot.yaml").read_text())
    (command,) = commands(task["run"])
    assert parse(command) == "True (3, 4)"
    assert set(task["envs"]) == {"SHARD", "SHARDS", "BUCKET"}
    # On a machine whose sweep fails, and then on another one, that finds what the first left.
    stub = tmp_path / "bin" / "python"
    stub.parent.mkdir()
    stub.write_text(
        '#!/bin/bash\nmkdir -p runs/thesis; echo "$@" >> runs/thesis/rows; exit $CODE\n'
    )
    stub.chmod(0o755)
    for machine, code in (("one", 1), ("other", 0)):
        (tmp_path / machine).mkdir()
        result = subprocess.run(
            ["bash", "-c", task["run"]], cwd=tmp_path / machine, capture_output=True, text=True,
            env={**os.environ, "PATH": f"{stub.parent}:{os.environ['PATH']}",
                 "KEPT": str(tmp_path / "bucket"), "CODE": str(code)},
        )  # fmt: skip
        assert result.returncode == code, result.stderr
    rows = (tmp_path / "bucket" / "3" / "thesis" / "rows").read_text().splitlines()
    assert len(rows) == 2 and all(row.endswith("--shard=3/4") for row in rows)


def test_the_commands_of_the_readme_are_real(parse):
    text = (LAUNCH / "README.md").read_text()
    found = [words for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
             for words in commands(block)]  # fmt: skip
    assert [words[0] for words in found] == [
        "experiments.launch.slurm", "distill.main", "distill.main", "distill.main",
    ]  # fmt: skip
    assert [parse(words) for words in found] == [
        "True (0, 1)", "False False", "False True", "False False",
    ]  # fmt: skip
    assert {"--num_processes=2", "--process_id=1"} <= set(found[-1])
    for link in re.findall(r"\]\(([\w./]+)\)", text):
        assert (LAUNCH / link).exists(), link


SWEEP = (
    "--config=configs/simplenet_v4.py:baseline,quick", "--config.sweep.seeds=(3,5)",
    "--config.dataset.train=train[:100]", "--config.dataset.test=test[:50]",
    "--config.student.batch_size=50",
)  # fmt: skip


@pytest.fixture
def launch(python):
    return functools.partial(python, "-m", "experiments.launch.slurm")


def test_the_local_executor_trains_every_shard_and_names_those_that_fail(launch, tmp_path):
    where = (f"--workdir={tmp_path / 'run'}", "--executor=local")
    result = launch(*SWEEP, *where, "--shards=2")
    assert result.returncode == 0, result.stderr
    assert [line.partition(":")[0] for line in result.stdout.splitlines()] == [
        "shard 0/2", "shard 1/2",
    ]  # fmt: skip
    with (tmp_path / "run" / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["seed"] for row in rows) == ["3", "5"]
    assert {row["train_examples"] for row in rows} == {"100"}
    refused = launch(*SWEEP, *where, "--config.student.epochs=3")  # the directory is another's
    assert refused.returncode == 2
    assert re.fullmatch(r"error: 1 of 1 shards failed; see \S+\n", refused.stderr)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (SWEEP[:1], "has no sweep"),
        ((*SWEEP, "--shards=0"), "--shards is 0; it must be 1 or more"),
        ((*SWEEP, "--executor=slurm"), "the jobs cannot be submitted: "),
        ((*SWEEP, "--executor=pbs"), "pbs"),
        (("--shards=2",), "--config is missing"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(launch, tmp_path, arguments, message):
    result = launch(*arguments, f"--workdir={tmp_path / 'run'}")
    lines = result.stderr.splitlines()
    assert result.returncode == 2, result.stderr
    assert len(lines) == 1 and lines[0].startswith("error: ") and message in lines[0], lines
