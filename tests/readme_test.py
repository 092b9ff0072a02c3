"""README.md: its tables are those of the committed figures, its commands are the real ones."""

from experiments import readme


def test_tables_are_up_to_date():
    text = readme.README.read_text()
    assert readme.render(text) == text, "run python -m experiments.readme"
