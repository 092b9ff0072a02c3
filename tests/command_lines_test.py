"""What cannot be used on a command line is one clear line and exit code 2, before data are read."""

import pytest

from tests import bad_values

# Does what comes before the data are read, in the place of what would then be done.
BEFORE_DATA = """
import sys
from distill import candidates, cli, data, main, pipeline, search, spaces, study, validation

def check(config, workdir, display, *_):
    for point in study.expand(config):
        validation.find(validation.validate(point), display.warn)
    sys.exit(0)

pipeline.run = study.run = check
candidates.run = lambda config, *_: spaces.check(config)
data.sources.network_reachable = lambda: False
cli.run({"main": main.main, "search": search.search}[sys.argv.pop(1)], cli.parse_config)
"""
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


@pytest.mark.parametrize("case", CASES, ids=map(_name, CASES))
def test_what_cannot_be_used_is_one_clear_line(python, tmp_path, case):
    command, *arguments, message = case
    if not any(a.startswith("--workdir") for a in arguments):
        arguments = (f"--workdir={tmp_path / 'run'}", *arguments)
    result = python("-c", BEFORE_DATA, command, *arguments)
    (line,) = (result.stdout + result.stderr).splitlines()
    assert result.returncode == 2 and line.startswith("error: ") and message in line, line
    assert line.isprintable() and len(line) < 1000
    assert not (tmp_path / "run").exists()
