"""What an installed package holds: all that the commands need, under no name but `distill`."""

import pathlib
import shutil
import subprocess
import sys
import zipfile

import pytest

pytest.importorskip("setuptools")
ROOT = pathlib.Path(__file__).parents[1]
PARTS = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "distill", "configs", "mobile/web")
BUILD = "from setuptools import build_meta; print(build_meta.build_wheel('.'))"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Builds the wheel of a copy, since a build leaves its folders behind; returns the archive."""
    directory = tmp_path_factory.mktemp("source")
    for part in PARTS:
        (directory / part).parent.mkdir(exist_ok=True)
        if (ROOT / part).is_dir():
            ignored = shutil.ignore_patterns("node_modules", "test", "__pycache__")
            shutil.copytree(ROOT / part, directory / part, ignore=ignored)
        else:
            shutil.copy(ROOT / part, directory / part)
    built = subprocess.run(
        [sys.executable, "-c", BUILD], cwd=directory, capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr
    with zipfile.ZipFile(directory / built.stdout.split()[-1]) as archive:
        yield archive


def _in_wheel(folder, name, pattern):
    return {f"{name}/{path.relative_to(ROOT / folder)}" for path in (ROOT / folder).glob(pattern)}


def test_a_wheel_holds_the_package_its_configurations_and_its_page(wheel):
    names = set(wheel.namelist())
    expected = _in_wheel("distill", "distill", "**/*.py")
    for pattern in ("*.cc", "*.h"):
        expected |= _in_wheel("distill", "distill", f"ops/native/{pattern}")
    expected |= _in_wheel("configs", "distill/_configs", "*.py")
    for pattern in ("index.html", "*.css", "sw.js", "*.webmanifest", "package*.json"):
        expected |= _in_wheel("mobile/web", "distill/_web", pattern)
    for pattern in ("src/*.js", "icons/*.png", "samples/*.png"):
        expected |= _in_wheel("mobile/web", "distill/_web", pattern)
    assert {name for name in names if ".dist-info/" not in name} == expected
    assert len(expected) > 150


def test_a_wheel_brings_a_command_and_the_licence(wheel):
    (points,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert wheel.read(points).decode().split() == [
        "[console_scripts]", "distill", "=", "distill.__main__:main",
    ]  # fmt: skip
    assert any(name.endswith("/LICENSE") for name in wheel.namelist())
