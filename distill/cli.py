"""What the commands share: how flags are parsed, and one line for input that cannot be used."""

import pathlib
import re
import sys
from collections.abc import Callable

from absl import app, flags
from ml_collections import config_flags

from distill.errors import InputError, one_line, unknown


def run(main: Callable[[list[str]], None], parse: Callable[[list[str]], list[str]]) -> None:
    """Runs a command; input that cannot be used is one line on standard error and exit code 2.

    Args:
      main: takes the arguments that are no flags, the program's name first.
      parse: parses the flags and returns what is left, as `parse` or `parse_config`.
    """
    try:
        app.run(main, flags_parser=parse)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def parse(argv: list[str]) -> list[str]:
    """Parses flags; what is wrong with them, or with a configuration among them, is one line."""
    try:
        rest = flags.FLAGS(argv)
    except SystemExit:
        sys.exit(0)  # after --help, which absl ends with 1
    except (AttributeError, KeyError) as error:  # ml_collections names the nearest key
        text = " ".join(str(error.args[0]).split())
        raise InputError(f"unknown configuration key {text}{_new_argument(argv, text)}") from error
    except (flags.Error, ValueError, TypeError, OSError) as error:
        raise _root_cause(error) from error
    return rest


def _new_argument(argv: list[str], key: str) -> str:
    """Returns how an argument of a model is given that the configuration file does not set."""
    for given in argv:
        found = re.match(r"--?config\.(\w+\.args)\.(\w+)", given)
        if found and f"'{found[2]}'" in key:
            return (
                "; an argument that the file does not set is given with all the others, as "
                f"--config.{found[1]}=\"{{'{found[2]}': ...}}\""
            )
    return ""


def parse_config(argv: list[str]) -> list[str]:
    """Parses flags of which one, `--config`, names a configuration file."""
    rest = parse(argv)
    require_config()
    return rest


def require_config() -> None:
    """Raises `InputError` unless the flag `--config` names a file that is there."""
    if not flags.FLAGS["config"].present:
        raise InputError("--config is missing, for example --config=configs/simplenet_v4.py")
    name = config_flags.get_config_filename(flags.FLAGS["config"])
    path = pathlib.Path(name.partition(":")[0])
    if not path.is_file():
        raise unknown("configuration file", str(path), map(str, path.parent.glob("*.py")))


def _root_cause(error: BaseException) -> InputError:
    """Returns what went wrong in a configuration file; ml_collections wraps it in a trace."""
    while "Error whilst parsing config file" in str(error) and error.__context__:
        error = error.__context__
    return error if isinstance(error, InputError) else InputError(one_line(error))
