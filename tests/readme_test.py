"""The tables of README.md and the pages of docs are those of the committed results."""

import pytest

from experiments import readme


@pytest.mark.parametrize("page", readme.TABLES, ids=lambda page: page.name)
def test_tables_are_up_to_date(page):
    assert readme.render(page) == page.read_text(), "run python -m experiments.readme"
