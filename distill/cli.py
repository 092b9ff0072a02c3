"""What the commands share: how flags are parsed, and how they end.

A command ends with 0; with 2 after one line, where what it was given or the machine does not allow
what was asked for; with 75 where a batch system took the machine back and the same command goes on;
and with 130 after Ctrl-C. Anything else is a bug and shows its traceback.
"""

import contextlib
import errno
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from importlib import machinery, util
from pathlib import Path
from typing import Any

from absl import app, flags
from ml_collections import ConfigDict, config_flags

from distill import config as configs
from distill import errors, paths, resources, values
from distill.errors import InputError, one_line, unknown

AGAIN = 75  # sysexits.h: a temporary failure, try again
INTERRUPTED = 130  # as shells say it of Ctrl-C
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FULL_SAID = re.compile("No space left on device|[Dd]isk quota exceeded|File too large")


def run(main: Callable[[list[str]], None], parse: Callable[[list[str]], list[str]]) -> None:
    """Runs a command, and ends with its code; see above.

    Args:
      main: takes the arguments that are no flags, the program's name first.
      parse: parses the flags and returns what is left, as `parse` or `parse_config`.
    """
    _prepare()
    try:
        app.run(main, flags_parser=parse)
    except errors.Interrupted as error:
        _end(AGAIN, f"{one_line(error)}; run the same command again to go on")
    except KeyboardInterrupt:
        _end(INTERRUPTED, "interrupted; run the same command again to go on")
    except BrokenPipeError:  # what reads the output has ended, as `head` does
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        said = _said(error)
        if said is None:
            raise
        _end(2, f"error: {said}")


def _prepare() -> None:
    """Sees to it that nothing that only shows or draws can end a command."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by who started this
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):  # some encodings lack what is printed
            stream.reconfigure(errors="backslashreplace")
    if not os.environ.get("COLUMNS", "1").strip("0"):  # of a terminal that does not know its width
        del os.environ["COLUMNS"]
    os.environ["MPLBACKEND"] = "agg"  # a notebook's is of no use here, and may not be installed


def _end(code: int, line: str) -> None:
    print(line, file=sys.stderr)
    sys.exit(code)


def _said(error: BaseException) -> str | None:
    """Returns what is to be said of an error that is not a bug, or None."""
    if isinstance(error, InputError):
        return str(error)
    text = str(error)
    platforms = os.environ.get("JAX_PLATFORMS", "")
    if text.startswith(("Unable to initialize backend", "Unknown backend", "Backend '")):
        return f"JAX cannot use what JAX_PLATFORMS={platforms} names: {one_line(error)}"
    if platforms and isinstance(error, AssertionError) and _raised_in(error) == "xla_bridge.py":
        return (
            f"JAX cannot use what JAX_PLATFORMS={platforms} names: it is not installed, or not here"
        )
    if isinstance(error, MemoryError) or text.startswith("RESOURCE_EXHAUSTED: Out of memory"):
        return f"there is not enough memory ({one_line(error)}); make batches or models smaller"
    cause: BaseException | None = error
    while cause is not None:
        if getattr(cause, "errno", None) in _FULL or _FULL_SAID.search(str(cause)):
            where = getattr(cause, "filename", None)
            return f"the disk is full{f', at {where}' if where else ''}; make room, and start again"
        cause = cause.__cause__ or cause.__context__
    return None


def _raised_in(error: BaseException) -> str:
    """Returns the name of the file that an error was raised in."""
    return Path(traceback.extract_tb(error.__traceback__)[-1].filename).name


def parse(argv: list[str]) -> list[str]:
    """Parses flags; what is wrong with them, and any word that is none, is one line."""
    rest = parse_words(argv)
    if len(rest) > 1:
        flag = rest[1].lstrip("-").partition("=")[0]
        hint = f"a flag begins with --, as --{rest[1]}"
        if not re.fullmatch(r"[\w.]+", flag):
            hint = "this command takes flags only"
        raise InputError(f"{rest[1]!r} is no flag; {hint}")
    return rest


def parse_words(argv: list[str]) -> list[str]:
    """Parses flags, of a command that takes other words too, and returns these."""
    try:
        return flags.FLAGS(argv)
    except SystemExit:
        sys.exit(0)  # after --help, which absl ends with 1
    except BrokenPipeError:  # of what reads the help
        raise
    except (flags.Error, ValueError, TypeError, LookupError, AttributeError, OSError) as error:
        raise _of_flag(error, argv) from error


def parse_config(argv: list[str]) -> list[str]:
    """Parses flags of which one, `--config`, names a configuration file."""
    rest = parse(argv)
    require_config()
    return rest


def require_config() -> None:
    """Raises `InputError` unless the flag `--config` is given."""
    if not flags.FLAGS["config"].present:
        raise InputError("--config is missing, for example --config=configs/simplenet_v4.py")


def define_config() -> flags.FlagHolder:
    """Defines the flag `--config`, whose values `--config.KEY=VALUE` override."""
    try:
        holder = config_flags.DEFINE_config_file(
            "config",
            None,
            "Configuration file, such as configs/simplenet_v4.py or FILE.py:ARGUMENT; those that "
            "come with distill are also known as simplenet_v4 and so on.",
        )
    except flags.Error as error:  # it reads what --flagfile names, before any flag is parsed
        _end(2, f"error: {one_line(error)}")
    flags.FLAGS["config"].parser = _ConfigFile()
    return holder


class _ConfigFile(flags.ArgumentParser):
    """Reads a configuration file; what is wrong in it is one line."""

    def parse(self, argument: str) -> ConfigDict:
        paths.local(argument, "--config")
        name, colon, word = argument.partition(":")
        path = config_file(name)
        try:
            loader = machinery.SourceFileLoader("configuration", str(path))
            spec = util.spec_from_loader(loader.name, loader)
            assert spec is not None
            module = util.module_from_spec(spec)
            loader.exec_module(module)
            config = module.get_config(word) if colon else module.get_config()
        except InputError:
            raise
        except (Exception, SystemExit) as error:
            raise InputError(f"{path}{_line(error, path)}: {_kind(error)}") from error
        if not isinstance(config, ConfigDict):
            kind = type(config).__name__
            raise InputError(
                f"{path}: get_config() returns a {kind}; it must return a ConfigDict, as from "
                "distill.config.defaults()"
            )
        for key in _overridden():
            _require_key(config, key)
        return config.lock()


def config_file(name: str) -> Path:
    """Returns the path of a configuration file: one that is here, else one that is installed.

    Args:
      name: a path, or the name of an installed one, with or without `configs/` and `.py`.

    Raises:
      InputError: if there is none.
    """
    path = paths.local(name, "--config")
    if path.is_file():
        return path
    installed = resources.configs()
    shipped = installed / f"{path.stem}.py"
    if (
        path.parent in (Path(), Path("configs"))
        and path.suffix in ("", ".py")
        and shipped.is_file()
    ):
        return shipped
    here = [str(file) for file in path.parent.glob("*.py") if file.stem != "__init__"]
    known = [f"configs/{file.name}" for file in installed.glob("[!_]*.py")]
    raise unknown("configuration file", str(path), here or known)


def _overridden() -> Iterator[str]:
    """Yields the keys that the command line names, as `student.epochs`."""
    for argument in flags.FLAGS.read_flags_from_files(sys.argv, force_gnu=False):
        if match := re.match(r"--?(?:no)?config\.([^=]*)", argument):
            yield match[1]


def _require_key(config: ConfigDict, key: str) -> None:
    """Raises `InputError` unless a configuration has a key, naming the nearest one beside it."""
    section: Any = config
    *parents, name = key.split(".")
    for depth, part in enumerate([*parents, name]):
        where = ".".join(["config", *parents[:depth]])
        if not isinstance(section, ConfigDict):
            raise InputError(f"{where} is a value, which has no key {part!r}")
        if part in section:
            section = section[part]
            continue
        error = unknown(f"key of {where}", part, section.keys())
        if where.endswith(".args"):
            raise InputError(
                f"{error}; an argument that the file does not set is given with all the others, as "
                f"--{where}=\"{{'{part}': ...}}\""
            )
        raise error


def _of_flag(error: BaseException, argv: list[str]) -> InputError:
    """Returns what is wrong with a flag; absl and ml_collections wrap what was raised in a flag."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, InputError):
            return cause
        cause = cause.__cause__ or cause.__context__
    match = re.match(r"flag --(?:no)?config\.([\w.]+)", str(error))
    accepted = configs.accepted(match[1]) if match else None
    if match and accepted:
        given = [a.partition("=")[2] for a in argv if re.match(rf"--?config\.{match[1]}=", a)]
        shown = values.shown(given[-1] if given else "")
        return InputError(f"{match[1]} is {shown}; it must be {accepted}")
    return InputError(one_line(error))


def _line(error: BaseException, path: Path) -> str:
    """Returns where in a configuration file an error comes from."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return f", line {error.lineno}"
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    return f", line {lines[-1]}" if lines else ""


def _kind(error: BaseException) -> str:
    said = error.msg if isinstance(error, SyntaxError) else one_line(error)
    return said if said == type(error).__name__ else f"{type(error).__name__}: {said}"
