"""Writes docs/results.md and its figures from the results: `python -m experiments.results_page`."""

import os
import pathlib

import pandas as pd

from distill import cli
from experiments import PUBLISHED, RESULTS, ROOT, pages
from experiments.thesis import answers, beyond, figures, rows, tables, temperature
from experiments.thesis.rows import DISTILLED, Study
from experiments.thesis.text import listed, percent

PAGE = ROOT / "docs" / "results.md"
FIGURES = "results"  # the folder beside the page

CAPTIONS = {
    "figure_2_2": "Figure 2.2: accuracy in every run, for each student",
    "figure_2_3": "Figure 2.3: F-measure against compression rate",
    "figure_2_4": "Figure 2.4: accuracy against trainable weights",
    "figure_2_5": "Figure 2.5: F-measure for each temperature and student",
    "losses": "Accuracy for each temperature and loss",
}


def render(study: Study) -> str:
    """Returns the page of the checkout with what is made of the results made anew."""
    drawn = figures.drawable(study)
    pictures = {name: _picture(name) if name in drawn else "" for name in CAPTIONS}
    beyond_it = _joined(
        temperature.losses(study, pictures["losses"]), temperature.learned(study),
        beyond.ensemble(study), beyond.unlabelled(study), beyond.datasets(study),
    )  # fmt: skip
    made = {
        "extent": _extent(study),
        "answers": _joined(
            answers.downsampling(study), answers.preservation(study), answers.others(study),
            temperature.temperature(study),
        ),
        "tables": _joined(
            tables.table_2_3(study), pictures["figure_2_2"], pictures["figure_2_3"],
            pictures["figure_2_4"], tables.table_2_4(study), tables.table_2_5(study),
            pictures["figure_2_5"], tables.table_2_6(study),
        ),
        "beyond": beyond_it and f"## Beyond the thesis\n\n{beyond_it}",
    }  # fmt: skip
    text = PAGE.read_text(encoding="utf-8")
    for name, content in made.items():
        text = pages.between(text, name, content)
    return text


def write(results: pathlib.Path, page: pathlib.Path) -> None:
    """Writes the page and its figures.

    Raises:
      InputError: if there are no results, or they do not fit together.
    """
    study = rows.read(results)
    page.parent.mkdir(parents=True, exist_ok=True)
    figures.write(study, page.parent / FIGURES, digest(results))
    page.write_text(render(study))


def digest(results: pathlib.Path) -> str:
    """Returns a hash of everything that the figures are drawn from."""
    paths = sorted(results.glob("thesis*.csv")) + sorted(PUBLISHED.glob("*.csv"))
    paths += results.glob(rows.MAIN)
    return pages.digest(*paths)


def _extent(study: Study) -> str:
    """Says what was run, on what, with which code."""
    runs = study.runs  # those of the selection among them
    hours = runs.train_seconds.sum() / 3600
    diverged = (runs.status != "ok").sum()
    failed = f", {diverged} of them diverged" if diverged else ""
    return (
        f"{len(runs):,} trainings{failed}, {hours:.1f} hours of training in all; data set "
        f"{_values(runs.dataset)}; seeds {_values(runs.seed)}; {_values(runs.device)}; commit "
        f"{_values(runs.commit)}.{_teacher(runs)} Every row is in "
        f"[experiments/results]({_link()}); `python -m experiments.reproduce` makes such rows by "
        "the recipes of today."
    )


def _teacher(runs: pd.DataFrame) -> str:
    """Says how good the students' teacher is; begins with a space, empty where no row says it.

    One recipe and seed make one teacher on one machine, and nearly the same on another.
    """
    if "teacher_accuracy" not in runs:
        return ""
    of_one = (runs.method == DISTILLED) & (runs.teacher_members == 1)
    found = sorted(set(runs.teacher_accuracy[of_one].dropna()))
    if not found:
        return ""
    again = ", trained anew on each machine" if len(found) > 1 else ""
    return f" The teacher is right on {listed([percent(rate) for rate in found])} %{again}."


def _link() -> str:
    return os.path.relpath(RESULTS, PAGE.parent)


def _values(column) -> str:
    return ", ".join(str(value) for value in sorted(column.unique()))


def _picture(name: str) -> str:
    return f"![{CAPTIONS[name]}]({FIGURES}/{name}.png)\n\n*{CAPTIONS[name]}.*"


def _joined(*parts: str) -> str:
    return "\n\n".join(filter(None, parts))


def main(argv: list[str]) -> None:
    """Writes the page of the committed results."""
    del argv
    write(RESULTS, PAGE)


if __name__ == "__main__":
    cli.run(main, cli.parse)
