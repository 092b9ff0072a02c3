"""Trains a teacher, distils a student and reports: `python -m distill.main --config=FILE`."""

import pathlib
import sys

from absl import app, flags, logging
from ml_collections import config_flags

from distill.errors import InputError, one_line, unknown
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


def parse(argv: list[str]) -> list[str]:
    """Parses flags; what is wrong with them or with the configuration is one line."""
    try:
        rest = flags.FLAGS(argv)
    except SystemExit:
        sys.exit(0)  # after --help, which absl ends with 1
    except (AttributeError, KeyError) as error:  # ml_collections names the nearest key
        text = " ".join(str(error.args[0]).split())
        raise InputError(f"unknown configuration key {text}") from error
    except (flags.Error, ValueError, TypeError, OSError) as error:
        raise _root_cause(error) from error
    if not flags.FLAGS["config"].present:
        raise InputError("--config is missing, for example --config=configs/simplenet_v4.py")
    name = config_flags.get_config_filename(flags.FLAGS["config"])
    path = pathlib.Path(name.partition(":")[0])
    if not path.is_file():
        raise unknown("configuration file", str(path), map(str, path.parent.glob("*.py")))
    return rest


def _root_cause(error: BaseException) -> InputError:
    """Returns what went wrong in a configuration file; ml_collections wraps it in a trace."""
    while "Error whilst parsing config file" in str(error) and error.__context__:
        error = error.__context__
    return error if isinstance(error, InputError) else InputError(one_line(error))


def entry() -> None:
    """Command line; exit code 2 for input that cannot be used."""
    try:
        app.run(main, flags_parser=parse)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    entry()
