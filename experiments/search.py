"""The search among small networks for MNIST, as a page.

    python -m distill.search --config=configs/search_mnist.py    # hours; may be killed, and goes on
    python -m experiments.search                                 # its rows so far

Rows of --workdir, by default runs/search_mnist, become results/search.csv, from which
docs/search.md and its picture are written; --notrain writes these from the committed rows.
"""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from configs import search_mnist
from distill.errors import InputError
from distill.report import fronts
from experiments import driver, options, pages

ROWS = "candidates.csv"  # as `distill.candidates` calls it, which imports JAX


def front(table: pd.DataFrame) -> str:
    """Lays out the candidates that no other beats, and says how they were found."""
    config = search_mnist.get_config()
    section = config.search
    lengths = ", ".join(
        f"{(table.epochs == epochs).sum()} for {epochs}" for epochs in section.epochs
    )
    trained = fronts.finished(table.to_dict("records"), section.epochs[-1])
    hours = table.train_seconds.sum() / 3600
    notes = (
        f"Accuracy in percent on `{config.dataset.validation}`, after {section.epochs[-1]} epochs. "
        f"Trainings by their epochs: {lengths}; generations begun: "
        f"{int(table.generation.max()) + 1} of {section.population} candidates; {hours:.1f} hours "
        f"of training. Data set {table.dataset.iloc[0]}, {table.train_examples.iloc[0]:,} training "
        f"images; seed {table.seed.iloc[0]}; {', '.join(sorted(table.device.unique()))}; commit "
        f"{', '.join(sorted(table.commit.unique()))}."
    )
    return f"{fronts.table(fronts.front(trained, section.objectives))}\n\n{notes}"


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """The candidates that were trained to the end, and the front by generation."""
    section = search_mnist.get_config().search
    rows = fronts.finished(table.to_dict("records"), section.epochs[-1])
    fronts.draw(rows, section.objectives, figure.subplots())


PAGE = pages.Page("search", {"front": front}, draw)


def measured(call: driver.Call) -> list[dict[str, Any]]:
    """Returns the rows of the search so far."""
    path = options.workdir("search_mnist") / ROWS if call.train else PAGE.files()[0]
    if not path.exists():
        raise InputError(f"{path} is missing; run distill.search first, or name its --workdir")
    return pages.read_csv(path).to_dict("records")


if __name__ == "__main__":
    driver.run(PAGE, measured)
