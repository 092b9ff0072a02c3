"""Imports go the way that is drawn in the architecture, and nothing heavy before it is needed."""

import ast
import pathlib
import re
import subprocess
import sys

import pytest

import distill

ROOT = pathlib.Path(distill.__file__).parent
PAGE = ROOT.parent / "docs" / "architecture.md"
DRAWN = re.search(r"Imports go one way:\n\n```\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)[1]
LAYERS = [set(re.findall(r"\w+", names)) for names in DRAWN.split("→")]
LAYER = {name: depth for depth, names in enumerate(LAYERS) for name in names}
MODULES = sorted(ROOT.rglob("*.py"))


def _part(path):
    if path.name == "__main__.py":  # a command, wherever it lies
        return "main"
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def _imported_parts(tree):
    """Yields the parts of `distill` that a module imports, also inside its functions."""
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            package, _, rest = name.partition(".")
            if package == "distill" and rest:
                yield rest.partition(".")[0]


def _going_back(part, source):
    imported = set(_imported_parts(ast.parse(source))) - {part}
    return {other for other in imported if LAYER[other] < LAYER[part]}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_one_way(path):
    part = _part(path)
    if part == "__init__":
        assert not list(_imported_parts(ast.parse(path.read_text())))
        return
    assert part in LAYER, f"{part} has no place in the order of imports"
    assert not _going_back(part, path.read_text())


def test_what_is_drawn_is_what_there_is():
    parts = {_part(path) for path in MODULES} - {"__init__"}
    assert parts == LAYER.keys() and len(LAYER) == sum(map(len, LAYERS))


@pytest.mark.parametrize(
    "part, source, expected",
    [
        ("data", "from distill.training import state", {"training"}),
        ("data", "from distill import main, config", {"main"}),
        ("ops", "def f():\n    import distill.losses", {"losses"}),
        ("training", "from distill.data import augment\nimport numpy", set()),
    ],
)
def test_an_import_that_goes_back_is_found(part, source, expected):
    assert _going_back(part, source) == expected


def test_every_folder_is_a_package():
    """Otherwise it is importable from a checkout, but missing from what is installed."""
    folders = {path.parent for path in MODULES}
    assert not [f.name for f in folders if not (f / "__init__.py").exists()]


@pytest.mark.parametrize(
    "module",
    [
        "distill",
        "distill.config",
        "distill.data.sources",
        "distill.data",
        "distill.training.engine",
        "distill.main",
        "distill.benchmark",
        "distill.export.__main__",
        "distill.export.exporter",
        "distill.serve",
    ],
)
def test_tensorflow_is_not_imported_with(python, module):
    result = python("-c", f"import {module}")
    assert result.returncode == 0, result.stderr
    assert module in result.imported
    assert not {"tensorflow", "tensorflow_datasets"} & set(result.imported)


def test_what_makes_a_device_of_each_core_is_imported_without_jax():
    """It has to be said before JAX is imported; and --help can do without."""
    found = [
        ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
        for path in sorted((ROOT.parent / "experiments").rglob("*.py"))
        if "make_a_device_of_each_core()" in path.read_text()
    ]
    source = f"import sys, {', '.join(found)}; sys.exit('jax' in sys.modules)"
    assert found and subprocess.run([sys.executable, "-c", source], cwd=ROOT.parent).returncode == 0
