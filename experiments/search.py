"""The search among small networks for MNIST, as a page.

    python -m distill.search --config=configs/search_mnist.py    # hours; may be killed, and goes on
    python -m experiments.search                                 # its rows so far

Rows of --workdir, by default runs/search_mnist, become results/search.csv, from which
docs/search.md and its picture are written; --notrain writes these from the committed rows.
"""

import pandas as pd
from matplotlib.figure import Figure

from configs import search_mnist
from distill import cli
from distill.errors import InputError
from distill.progress import Display
from distill.report import fronts
from experiments import ROOT, options, pages

ROWS = "candidates.csv"  # as `distill.candidates` calls it, which imports JAX

WHAT = """\
`python -m distill.search --config=configs/search_mnist.py` looks for small networks for MNIST: the
thesis's own future work, an evolutionary algorithm that finds the best compressed architecture. A
candidate is a `tiny` network (its stages, widths and kernels, plain or separable or shared weights,
skips, how it halves images, what its last layer sees) with a learning rate. NSGA-II breeds
candidates that are accurate as int8 files, or small, or something between that no other beats.

Each is trained for few epochs first, and the best third goes on to the next number of epochs. They
are compared on the last 5,000 training images; no test image was looked at. Their accuracy is that
of so short a training, on a third of the training images, and says which to train for longer."""


def render(table: pd.DataFrame) -> str:
    """Returns the page."""
    config = search_mnist.get_config()
    section, held_out = config.search, config.dataset.validation
    rows = table.to_dict("records")
    lengths = ", ".join(
        f"{(table.epochs == epochs).sum()} for {epochs}" for epochs in section.epochs
    )
    found = fronts.finished(rows, section.epochs[-1])
    hours = table.train_seconds.sum() / 3600
    return f"""# A search among small networks

{WHAT}

{pages.PICTURE}

## The front

{fronts.table(fronts.front(found, section.objectives))}

Accuracy in percent on `{held_out}`, after {section.epochs[-1]} epochs; weights and bytes of what
is shipped, batch normalisation folded. Trainings by their epochs: {lengths}; generations begun:
{int(table.generation.max()) + 1} of {section.population} candidates; {hours:.1f} hours of training,
while the machine did other work too.

Data set {table.dataset.iloc[0]}, {table.train_examples.iloc[0]:,} training images; seed
{table.seed.iloc[0]}; {", ".join(sorted(table.device.unique()))}; commit
{", ".join(sorted(table.commit.unique()))}."""


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """The candidates that were trained to the end, and the front by generation."""
    section = search_mnist.get_config().search
    rows = fronts.finished(table.to_dict("records"), section.epochs[-1])
    fronts.draw(rows, section.objectives, figure.subplots())


PAGE = pages.Page("search", render, draw)


def main(argv: list[str]) -> None:
    """Writes the page."""
    del argv
    path = options.workdir("search_mnist") / ROWS if options.TRAIN.value else PAGE.files()[0]
    if not path.exists():
        raise InputError(f"{path} is missing; run distill.search first, or name its --workdir")
    for written in pages.write(PAGE, pages.read_csv(path).to_dict("records"), ROOT):
        Display().say(str(written))


if __name__ == "__main__":
    cli.run(main, cli.parse)
