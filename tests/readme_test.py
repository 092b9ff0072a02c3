"""The tables of README.md and the pages of docs are those of the committed results.

What their commands name is there, too.
"""

import importlib.util
import pathlib
import re

import pytest

from distill import config as configs
from experiments import readme

ROOT = pathlib.Path(__file__).parents[1]
TEXTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", readme.TABLES, ids=lambda page: page.name)
def test_tables_are_up_to_date(page):
    assert readme.render(page) == page.read_text(), "run python -m experiments.readme"


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.name)
def test_commands_name_what_is_there(text):
    words = text.read_text(encoding="utf-8")
    for path in re.findall(r"configs/\w+\.py", words):
        assert (ROOT / path).exists(), path
    for module in re.findall(r"python -m ((?:distill|experiments)\.[\w.]*\w)", words):
        assert importlib.util.find_spec(module), module
    for key in re.findall(r"--config\.([\w.]+)=", words.replace("--config.any.key=", "")):
        section = configs.defaults()
        for part in key.partition(".args.")[0].split("."):  # models have arguments of their own
            assert part in section, key
            section = section[part]
