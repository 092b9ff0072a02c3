"""What cannot be used on a command line is one clear line and exit code 2, before data are read."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from tests import bad_values

ROOT = pathlib.Path(__file__).parents[1]
QUICK = "--config=configs/simplenet_v4.py:quick"
MACHINE = "only paths of this machine's file systems can be used"
KEPT = "checkpoints cannot be kept where a name has"

LINES = [  # whole ones
    ((), "--config is missing, for example --config=configs/simplenet_v4.py"),
    ((QUICK, "config.loss.temperature=4"), "a flag begins with --, as --config.loss.temperature=4"),
    (("config.loss.temperature=4", QUICK), "'config.loss.temperature=4' is no flag"),
    ((QUICK, "quick"), "'quick' is no flag"),
    ((QUICK, "--wrokdir=x"), "wrokdir"),
    ((QUICK, "--shard=2/1"), "--shard"),
    ((QUICK, "--num_processes=²"), "num_processes"),
    ((QUICK, "--flagfile=nowhere"), "nowhere"),
    (("--config=README.md",), "README.md, line 6: SyntaxError: "),
    (("--config=docs/flow.png",), "docs/flow.png: "),
    (("--config=distill/errors.py",), "errors.py: AttributeError: module 'configuration' has no"),
    (("--config=/dev/null",), "unknown configuration file '/dev/null'"),
    (("--config=gs://bucket/x.py",), f"--config is gs://bucket/x.py; {MACHINE}"),
    (("--config=simplenet_v9",), "did you mean 'configs/simplenet_v"),
    ((QUICK, "--workdir=gs://bucket/run"), f"--workdir is gs://bucket/run; {MACHINE}"),
    ((QUICK, "--workdir=gs:/bucket/run"), f"--workdir is gs:/bucket/run; {MACHINE}"),
    ((QUICK, "--workdir=a[1]"), f"a[1]; {KEPT} [ in it"),
    ((QUICK, "--workdir=a\\b"), f"a\\b; {KEPT} \\ in it"),
    ((QUICK, "--workdir=a*"), f"a*; {KEPT} * in it"),
    ((QUICK, "--workdir=~nobody-is-here/x"), "there is no such user's home directory"),
    ((QUICK, "--workdir=/dev/null"), "--workdir is /dev/null, but /dev/null is no directory"),
    ((QUICK, "--workdir=README.md/x"), "README.md is no directory"),
    ((QUICK, "--workdir=/proc/x"), "--workdir /proc/x cannot be written: "),
    ((QUICK, "--workdir= "), "--workdir is ' '; it must be a path that can be printed"),
    ((QUICK, "--workdir=" + "x" * 300), "cannot be written: File name too long"),
]
SPACE = "--config=configs/search_mnist.py"
CASES = [
    *(("main", QUICK, f"--config.{given}", message) for given, message in bad_values.VALUES),
    *(("search", SPACE, f"--config.search.{g}", message) for g, message in bad_values.SEARCH),
    *(("main", *given, message) for given, message in LINES),
]


def _name(case):
    return " ".join(case[:-1])[-50:]


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """Exit code and text of each of `CASES`, and the default directory, which nothing makes."""
    directory = tmp_path_factory.mktemp("lines") / "run"
    workdir = f"--workdir={directory}"
    lines = [
        [command, *(() if "--workdir" in str(given) else [workdir]), *given]
        for command, *given, _ in CASES
    ]
    result = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "command_lines.py")],
        input=json.dumps(lines), capture_output=True, text=True, check=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
    )  # fmt: skip
    return json.loads(result.stdout), directory


@pytest.mark.parametrize("number", range(len(CASES)), ids=map(_name, CASES))
def test_what_cannot_be_used_is_one_clear_line(answers, number):
    (code, text), message = answers[0][number], CASES[number][-1]
    (line,) = text.splitlines()
    assert code == 2 and line.startswith("error: ") and message in line, line
    assert line.isprintable() and len(line) < 1000


def test_nothing_was_written(answers):
    assert not answers[1].exists()
