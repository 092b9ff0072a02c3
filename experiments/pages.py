"""From the rows of an experiment to its CSV file, its picture and its page in docs/."""

import hashlib
import pathlib
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import matplotlib
import pandas as pd
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from distill.errors import InputError
from experiments import ROOT, significance

SOURCE = "Source"  # the PNG's text that says which results it was drawn from
STYLE = {
    "font.size": 13, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
    "grid.alpha": 0.25, "legend.frameon": False, "axes.titlelocation": "left",
    "axes.titlesize": 13, "axes.titlepad": 12,
}  # fmt: skip


class Page(NamedTuple):
    """A page that is made from one CSV file.

    Attributes:
      name: of `experiments/results/NAME.csv`, `docs/NAME.md` and `docs/results/NAME.png`.
      tables: by name, what is made of the rows and stands between its markers in the page; the
        rest of the page is written by hand.
      draw: draws the rows into a figure.
      size: of the figure, in inches.
    """

    name: str
    tables: Mapping[str, Callable[[pd.DataFrame], str]]
    draw: Callable[[pd.DataFrame, Figure], None]
    size: tuple[float, float] = (9.6, 5.4)

    def files(self, root: pathlib.Path = ROOT) -> tuple[pathlib.Path, pathlib.Path, pathlib.Path]:
        """Returns the CSV file, the page and the picture."""
        docs = root / "docs"
        csv = root / "experiments" / "results" / f"{self.name}.csv"
        return csv, docs / f"{self.name}.md", docs / "results" / f"{self.name}.png"

    def text(self, table: pd.DataFrame) -> str:
        """Returns the page of the checkout with each table made anew."""
        text = self.files()[1].read_text(encoding="utf-8")
        for name, make in self.tables.items():
            text = between(text, name, make(table))
        return text


def write(page: Page, rows: list[dict[str, Any]], root: pathlib.Path) -> list[pathlib.Path]:
    """Writes rows, page and picture.

    Args:
      page: which.
      rows: in their order.
      root: of the checkout, or another folder for what is not to be kept.

    Returns:
      The files written.
    """
    csv, text, picture = page.files(root)
    for path in (csv, picture):
        path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(csv, index=False)
    table = read_csv(csv)
    text.write_text(page.text(table), encoding="utf-8")
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=page.size, layout="constrained")
        page.draw(table, figure)
        figure.savefig(picture, dpi=150, metadata={SOURCE: digest(csv)})
    return [csv, text, picture]


def with_others(
    page: Page, rows: list[dict[str, Any]], root: pathlib.Path, column: str
) -> list[dict[str, Any]]:
    """Returns rows after those that the CSV file already has of other values of a column."""
    csv = page.files(root)[0]
    if not csv.exists():
        return rows
    table = read_csv(csv)
    others = table[~table[column].isin([row[column] for row in rows])]
    return [*others.to_dict("records"), *rows]


def marked(name: str, content: str) -> str:
    """Returns a table of a page between its markers."""
    return f"<!-- table: {name} -->\n{content}\n<!-- end: {name} -->"


def between(text: str, name: str, content: str) -> str:
    """Returns a page with what stands between the markers of a table replaced.

    Raises:
      ValueError: if the page does not have one place for it.
    """
    start, end = marked(name, "").split("\n\n")
    pattern = re.compile(f"{re.escape(start)}.*?{re.escape(end)}", re.DOTALL)
    text, count = pattern.subn(lambda match: marked(name, content), text)
    if count != 1:
        raise ValueError(f"there are {count} places for the table {name}; it needs one")
    return text


def read_csv(path: pathlib.Path) -> pd.DataFrame:
    """Reads rows; what is a hash or a yes or no stays text, whatever the rest of its column is."""
    text = ("id", "config_hash", "commit", "gradient_correction", "learn_temperature")
    return pd.read_csv(path, dtype=dict.fromkeys(text, str))


def digest(*paths: pathlib.Path) -> str:
    """Returns a hash of the files that a picture is drawn from."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:16]


def results(config: ConfigDict, workdir: pathlib.Path, train: bool, display: Any) -> dict[str, Any]:
    """Runs a configuration, or reads what it left.

    Args:
      config: of the run.
      workdir: of the run; what is complete in it is not run again.
      train: whether to run it.
      display: says what happens.

    Returns:
      The contents of its `results.json`.

    Raises:
      InputError: if it was not run and is not to be, or what it left is damaged.
    """
    from distill import evaluation, pipeline, report  # import JAX, which --help can do without

    if train:
        return pipeline.run(config, workdir, display)
    found = evaluation.read_results(workdir)
    if not found:
        raise InputError(f"{workdir / report.RESULTS} is missing; leave out --notrain")
    return found


def columns(config: ConfigDict, workdir: pathlib.Path, found: dict[str, Any]) -> dict[str, Any]:
    """Returns what every row says of the run that it is of."""
    from distill.run import claim

    return {
        "config_hash": claim(workdir, config, found["dataset"]),
        "commit": found["commit"],
        "device": found["device"],
        "dataset": found["dataset"],
        "seed": config.seed,
        "epochs": config.student.epochs,
    }


def accuracy(values: pd.Series, images: int) -> str:
    """Returns a mean over seeds with its t-interval; of one seed, with that by the test images."""
    mean = significance.mean(values.tolist())
    if mean.n > 1:
        return f"{100 * mean.mean:.2f} ± {100 * mean.t_half_width:.2f}"
    low, high = significance.wilson(round(mean.mean * images), images)
    return f"{100 * mean.mean:.2f} ({100 * low:.2f} to {100 * high:.2f})"


def extent(table: pd.DataFrame) -> str:
    """Says what was run, on what, with which code."""

    def values(column: str) -> str:
        return ", ".join(str(value) for value in sorted(table[column].unique()))

    images = table.test_images.iloc[0]
    return (
        f"Data set {values('dataset')}, {images:,} test images; seeds: {values('seed')}; epochs: "
        f"{values('epochs')}; {values('device')}; commit {values('commit')}."
    )
