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
from experiments.thesis.text import plural

ROWS = "candidates.csv"  # as `distill.candidates` calls it, which imports JAX


def front(table: pd.DataFrame) -> str:
    """Lays out the candidates that no other beats, and says how they were found."""
    config = search_mnist.get_config()
    section = config.search
    lengths = ", ".join(
        f"{(table.epochs == epochs).sum()} for {epochs}" for epochs in section.epochs
    )
    longest, trained = _longest(table)
    hours = table.train_seconds.sum() / 3600
    notes = (
        f"Accuracy in percent on `{config.dataset.validation}`, after {plural(longest, 'epoch')}. "
        f"Trainings by their epochs: {lengths}; generations begun: "
        f"{int(table.generation.max()) + 1} of {section.population} candidates; {hours:.1f} hours "
        f"of training. Data set {table.dataset.iloc[0]}, {table.train_examples.iloc[0]:,} training "
        f"images; seed {table.seed.iloc[0]}; {', '.join(sorted(table.device.unique()))}; commit "
        f"{', '.join(sorted(table.commit.unique()))}."
    )
    return f"{fronts.table(fronts.front(trained, section.objectives))}\n\n{notes}"


def _longest(table: pd.DataFrame) -> tuple[int, list[fronts.Row]]:
    """Returns for how many epochs candidates were trained at most so far, and which were."""
    epochs = int(table.epochs.max())
    return epochs, fronts.finished(table.to_dict("records"), epochs)


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """The candidates that were trained for longest, and the front by generation."""
    objectives = search_mnist.get_config().search.objectives
    fronts.draw(_longest(table)[1], objectives, figure.subplots())


PAGE = pages.Page("search", {"front": front}, draw)


def measured(call: driver.Call) -> list[dict[str, Any]]:
    """Returns the rows of the search so far."""
    path = options.workdir("search_mnist") / ROWS if call.train else PAGE.files()[0]
    if not path.exists():
        raise InputError(f"{path} is missing; run distill.search first, or name its --workdir")
    return pages.read_csv(path).to_dict("records")


if __name__ == "__main__":
    driver.run(PAGE, measured)
