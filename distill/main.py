"""Trains a teacher, distils a student and reports: `python -m distill.main --config=FILE`."""

import pathlib
import sys

from absl import app, flags, logging
from ml_collections import config_flags

from distill import report
from distill.errors import InputError, one_line
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
    for name in (pipeline.CONFIG, "metrics.jsonl", report.RESULTS, report.REPORT, report.PLOTS):
        if (workdir / name).exists():
            display.say(f"{workdir / name}")


def default_workdir() -> str:
    """Returns `runs/NAME`, or `runs/NAME-ARGUMENT` for `NAME.py:ARGUMENT`."""
    path, _, argument = config_flags.get_config_filename(flags.FLAGS["config"]).partition(":")
    name = pathlib.Path(path).stem
    return f"runs/{name}-{argument.replace(',', '-')}" if argument else f"runs/{name}"


def parse(argv: list[str]) -> list[str]:
    """Parses flags; what is wrong with them or with the configuration is one line."""
    try:
        rest = flags.FLAGS(argv)
        if flags.FLAGS.config is None and not flags.FLAGS.help:
            raise InputError("--config is missing, for example --config=configs/simplenet_v4.py")
        return rest
    except (flags.Error, ValueError, AttributeError, KeyError, TypeError, OSError) as error:
        raise InputError(one_line(error)) from error


def entry() -> None:
    """Command line; exit code 2 for input that cannot be used."""
    try:
        app.run(main, flags_parser=parse)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    entry()
