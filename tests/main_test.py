"""The command line: help and errors are quick, in one line, with exit code 2."""

import pathlib
import subprocess
import sys

import pytest

from distill import cli
from distill.errors import InputError

ROOT = pathlib.Path(__file__).parents[1]
QUICK = "--config=configs/simplenet_v4.py:quick"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--config is missing"),
        (("--config=configs/simplenet_v6.py",), "did you mean 'configs/simplenet_v"),
        (("--config=configs/simplenet_v4.py:quik",), "argument 'quik'; did you mean 'quick'?"),
        ((QUICK, "--config.studnet.epochs=3"), "studnet"),
        ((QUICK, "--config.student.epoch=3"), "did you mean 'epochs'?"),
        ((QUICK, "--config.student.args.downsampl=x"), "did you mean 'downsample'?"),
        (
            (QUICK, "--config.student.args.kernel_size=3"),
            """student.args="{'kernel_size': ...}\"""",
        ),
        ((QUICK, "--config.student.epochs=many"), "many"),
        ((QUICK, "--config.seed=-1"), "seed is -1; it must be a whole number from 0"),
        ((QUICK, "--config.student.model=simplenet_v7"), "model 'simplenet_v7'; did you mean"),
        ((QUICK, "--config.loss.name=k1"), "loss 'k1'; did you mean 'kl'?"),
        ((QUICK, "--config.dataset.name=mnits"), "dataset 'mnits'; did you mean 'mnist'?"),
        ((QUICK, "--config.dataset.test=tset"), "split 'tset'; did you mean 'test'?"),
        ((QUICK, "--config.stages=teacher,studnt"), "stage 'studnt'; did you mean 'student'?"),
        ((QUICK, "--config.export.formats=in8"), "format 'in8'; did you mean 'int8'?"),
        ((QUICK, "--config.loss.temperature=0"), "loss.temperature is 0"),
        ((QUICK, "--config.loss.alpha=1.5"), "loss.alpha is 1.5"),
        ((QUICK, "--config.student.epochs=0"), "student.epochs is 0"),
        ((QUICK, "--config.student.batch_size=4001"), "batch_size is 4001"),
        ((QUICK, "--workdir=/proc/nowhere"), "cannot be written"),
        ((QUICK, "--wrokdir=x"), "wrokdir"),
        ((QUICK, "--shard=0/2"), "--shard=0/2 is of a sweep"),
        (("--config=configs/search_mnist.py",), "of a search: use python -m distill.search"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(python, tmp_path, arguments, message):
    if not any("workdir" in a for a in arguments):
        arguments += (f"--workdir={tmp_path / 'run'}",)
    result = python("-m", "distill.main", *arguments)
    said = result.stderr.splitlines()
    assert result.returncode == 2, said
    assert len(said) == 1 and said[0].startswith("error: ") and message in said[0], said
    assert "tensorflow" not in result.imported
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import sys\nsys.exit('no')", ", line 2: SystemExit: no"),
        ("def get_config():\n  raise SystemExit", ", line 2: SystemExit"),
        ("def get_config():\n  return 3", ": get_config() returns a int; it must return a Config"),
    ],
)
def test_a_configuration_file_that_ends_otherwise_is_one_line(tmp_path, text, said):
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        cli._ConfigFile().parse(str(path))
    assert str(error.value).startswith(f"{path}{said}") and "\n" not in str(error.value)


def test_a_configuration_of_one_student_is_no_sweep(python, tmp_path):
    result = python("-m", "distill.sweep", QUICK, f"--workdir={tmp_path / 'run'}")
    assert result.returncode == 2 and "the configuration has no sweep" in result.stderr
    assert not (tmp_path / "run").exists()


def test_help_shows_the_flags_and_imports_no_framework():
    result = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "distill.main", "--help"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0 and "--config" in result.stdout and "--workdir" in result.stdout
    imported = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    assert "absl.flags" in imported
    assert not {"tensorflow", "tensorflow_datasets", "jax", "matplotlib"} & imported
