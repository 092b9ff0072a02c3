"""Writes docs/results.md and its figures from the results: `python -m experiments.results_page`."""

import os
import pathlib

from distill import cli
from experiments import PUBLISHED, RESULTS, ROOT, pages
from experiments.thesis import answers, beyond, figures, rows, tables, temperature
from experiments.thesis.rows import Study

PAGE = ROOT / "docs" / "results.md"
FIGURES = "results"  # the folder beside the page

HOW_TO_READ = """\
How to read this page:

- *Intervals* are of 95 %. The thesis has 1.96·s/√n, which is too narrow for few runs; Student's
  t-interval stands behind it.
- *Differences* are in percentage points of accuracy between runs of the same seeds, with a
  t-interval. McNemar's test ("p, images") says whether a difference would show with other test
  images; it counts the images for which one of the two is right with more seeds than the other. The
  paired t-test over the seeds ("p, seeds") says whether it would show with other seeds. Better or
  worse is what passes both at 5 %, after Holm's correction over the rows that stand together. What
  is not shown need not be equal: few seeds show large differences only.
- *Temperatures* are chosen on training images that were held out. The thesis chose on the test set;
  what that would give is shown beside it.
- *The thesis's figures* are those of its [tables](../third_party/rusu2018/README.md). Two of its
  pictures show more than its tables print: the runs of v2 to v4 (figure 2.2) and the curves of v2
  to v5 (figure 2.5). They are missing here.
- *Reduced* in a title: less was run than for the thesis's table, or than our recipe asks for."""

CAPTIONS = {
    "figure_2_2": "Figure 2.2: accuracy in every run, for each student",
    "figure_2_3": "Figure 2.3: F-measure against compression rate",
    "figure_2_4": "Figure 2.4: accuracy against trainable weights",
    "figure_2_5": "Figure 2.5: F-measure for each temperature and student",
    "losses": "Accuracy for each temperature and loss",
}


def render(study: Study) -> str:
    """Returns the page."""
    drawn = figures.drawable(study)
    pictures = {name: _picture(name) if name in drawn else "" for name in CAPTIONS}
    extra = [
        temperature.losses(study, pictures["losses"]),
        temperature.learned(study),
        beyond.ensemble(study),
        beyond.unlabelled(study),
    ]
    parts = [
        "# Results: the thesis's tables, and ours beside them",
        "<!-- written by python -m experiments.results_page; change the results, not this page -->",
        _extent(study),
        HOW_TO_READ,
        _headed("## Answers", answers.downsampling(study), answers.preservation(study),
                answers.others(study), temperature.temperature(study)),
        _headed("## Tables and figures", tables.table_2_3(study), pictures["figure_2_2"],
                pictures["figure_2_3"], pictures["figure_2_4"], tables.table_2_4(study),
                tables.table_2_5(study), pictures["figure_2_5"], tables.table_2_6(study)),
        _headed("## Beyond the thesis", *extra),
    ]  # fmt: skip
    return "\n\n".join(filter(None, parts)) + "\n"


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
        f"{_values(runs.commit)}. Every row is in [experiments/results]({_link()}), and "
        "`python -m experiments.reproduce` makes them again."
    )


def _link() -> str:
    return os.path.relpath(RESULTS, PAGE.parent)


def _values(column) -> str:
    return ", ".join(str(value) for value in sorted(column.unique()))


def _picture(name: str) -> str:
    return f"![{CAPTIONS[name]}]({FIGURES}/{name}.png)\n\n*{CAPTIONS[name]}.*"


def _headed(heading: str, *parts: str) -> str:
    there = list(filter(None, parts))
    return "\n\n".join([heading, *there]) if there else ""


def main(argv: list[str]) -> None:
    """Writes the page of the committed results."""
    del argv
    write(RESULTS, PAGE)


if __name__ == "__main__":
    cli.run(main, cli.parse)
