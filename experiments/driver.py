"""What experiments with a page share: their flags are read, rows made, the page written."""

import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

from absl import logging

from distill import cli
from distill.progress import Display
from experiments import ROOT, options, pages
from experiments.pages import Page


class Call(NamedTuple):
    """What was asked for at the command line.

    Attributes:
      display: says what happens.
      workdir: for the runs.
      root: of the checkout, or a folder for what is not to be kept.
      quick: whether it is for a look only.
      train: whether to train what is missing.
    """

    display: Display
    workdir: pathlib.Path
    root: pathlib.Path
    quick: bool
    train: bool


def run(page: Page, measure: Callable[[Call], list[dict[str, Any]]]) -> None:
    """Runs an experiment as a command, and ends the process.

    Args:
      page: that shows its rows.
      measure: trains and measures what is missing; returns the rows in their order.
    """

    def main(argv: list[str]) -> None:
        del argv
        logging.set_verbosity(logging.WARNING)
        quick, workdir = options.QUICK.value, options.workdir(page.name)
        root = workdir / "tables" if quick else ROOT
        call = Call(Display(), workdir, root, quick, options.TRAIN.value)
        for path in pages.write(page, measure(call), root):
            call.display.say(str(path))

    cli.run(main, cli.parse)
