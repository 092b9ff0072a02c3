"""Nothing that only shows, draws or keeps can end a command, whatever the environment is."""

import errno
import os
import pathlib
import subprocess
import sys

import pytest

from distill import cli
from distill.errors import Interrupted

ROOT = pathlib.Path(__file__).parents[1]
SUMMARY = (sys.executable, "-m", "distill.summary", "--config=simplenet_v4")


def command(line=SUMMARY, shell="", **environment):
    if shell:
        line = ["bash", "-o", "pipefail", "-c", f'"$@" {shell}', "bash", *line]
    return subprocess.run(
        line, cwd=ROOT, env={**os.environ, "JAX_PLATFORMS": "cpu", **environment},
        capture_output=True,
    )  # fmt: skip


def test_an_encoding_that_lacks_what_is_printed(tmp_path):
    result = command(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", PYTHONIOENCODING="ascii")
    assert (result.returncode, result.stderr) == (0, b"")
    assert rb"28\xd728\xd71" in result.stdout


def test_nothing_can_be_written_but_the_output():
    nowhere = {"HOME": "/proc/x", "XDG_CACHE_HOME": "/proc/x", "DISTILL_CACHE_DIR": "/proc/x"}
    result = command(**nowhere, MPLBACKEND="module://nowhere.backend", COLUMNS="0", TERM="")
    assert (result.returncode, result.stderr) == (0, b"")
    assert b"simplenet_v4, input 28" in result.stdout


@pytest.mark.parametrize("platform", ["nope", "cuda"])
def test_a_platform_that_is_not_there_is_one_line(platform):
    result = command(JAX_PLATFORMS=platform)
    (line,) = result.stderr.decode().splitlines()
    assert result.returncode == 2
    assert line.startswith(f"error: JAX cannot use what JAX_PLATFORMS={platform} names: ")


def test_a_closed_output_is_no_error():
    assert command(shell=">&-").returncode == 0
    assert command(shell=">&- 2>&-").returncode == 0


def test_who_reads_only_the_first_line_ends_the_command_without_a_word():
    result = command((*SUMMARY, "--helpfull"), shell="| head -1")
    assert result.returncode in (0, 1, 141) and result.stderr == b""
    assert len(result.stdout.splitlines()) == 1


def test_a_full_disk_behind_the_output_is_one_line():
    result = command(shell="> /dev/full")
    assert b"Traceback" not in result.stderr


@pytest.mark.parametrize(
    "error, code, said",
    [
        (KeyboardInterrupt(), 130, "interrupted; run the same command again to go on"),
        (Interrupted("saved"), 75, "saved; run the same command again to go on"),
        (MemoryError("of 21.9 GiB"), 2, "error: there is not enough memory (of 21.9 GiB); make"),
    ],
)
def test_what_ends_a_command_is_one_line_and_a_code(monkeypatch, capsys, error, code, said):
    def ended(*_, **__):
        raise error

    monkeypatch.setattr(cli, "_prepare", lambda: None)
    monkeypatch.setattr(cli.app, "run", ended)
    with pytest.raises(SystemExit) as caught:
        cli.run(print, cli.parse)
    (line,) = capsys.readouterr().err.splitlines()
    assert caught.value.code == code and line.startswith(said)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_behind_a_checkpoint_is_one_line_however_deep_it_is_found(number):
    try:
        try:
            raise OSError(number, os.strerror(number), "/runs/a/checkpoints/student/steps/7")
        except OSError as error:
            raise ValueError("the array could not be written") from error
    except ValueError as error:
        said = cli._said(error)
    place = "/runs/a/checkpoints/student/steps/7"
    assert said == f"the disk is full, at {place}; make room, and start again"
