"""Trains a teacher, distils a student and reports: `python -m distill.main --config=FILE`."""

import pathlib

from absl import flags, logging
from ml_collections import config_flags

from distill import cli
from distill.report import tables
from distill.report.progress import Display

CONFIG = config_flags.DEFINE_config_file(
    "config", None, "Configuration file, such as configs/simplenet_v4.py or FILE.py:ARGUMENT."
)
WORKDIR = flags.DEFINE_string(
    "workdir", None, "Directory of the run; by default runs/ and the name of the configuration."
)


def main(argv: list[str]) -> None:
    """Runs the pipeline and ends with the table of results and the paths."""
    del argv
    from distill import pipeline  # imports JAX, which --help can do without

    logging.set_verbosity(logging.WARNING)
    display = Display()
    workdir = pathlib.Path(WORKDIR.value or default_workdir())
    results = pipeline.run(CONFIG.value, workdir, display)
    if results:
        display.console.print(tables.terminal(results))
    for path in sorted(workdir.iterdir()):
        display.say(str(path))


def default_workdir() -> str:
    """Returns `runs/NAME`, or `runs/NAME-ARGUMENT` for `NAME.py:ARGUMENT`."""
    path, _, argument = config_flags.get_config_filename(flags.FLAGS["config"]).partition(":")
    name = pathlib.Path(path).stem
    return f"runs/{name}-{argument.replace(',', '-')}" if argument else f"runs/{name}"


def entry() -> None:
    """Command line; see `cli.run`."""
    cli.run(main, cli.parse_config)


if __name__ == "__main__":
    entry()
