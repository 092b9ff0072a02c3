"""What is reported to the user in one line instead of a traceback."""

import difflib
import re
from collections.abc import Iterable

SHOWN = 24  # names, where none is near


class InputError(ValueError):
    """A configuration, file or argument cannot be used.

    The message is one line: the value, what is accepted, what to change. The command line prints
    it and exits with code 2.
    """


class Interrupted(BaseException):
    """A command was asked to stop, and has saved what it did.

    The command line prints it and exits with code 75; the same command goes on. As
    `KeyboardInterrupt` it is no `Exception`: a signal may raise it anywhere, also where whatever
    goes wrong is taken for a damaged file.
    """


def unknown(
    kind: str, name: str, known: Iterable[str], listed: Iterable[str] | None = None
) -> InputError:
    """Returns the error for a name that is not among `known`, naming the nearest one.

    Args:
      kind: what is being named, for the message: "model", "loss", "stage".
      name: the name that was given.
      known: the names that exist, and may be used here.
      listed: those to say where none is near; all that are known if None.
    """
    others = sorted(set(known) - {name})  # what exists but not here is not suggested to itself
    nearest = difflib.get_close_matches(str(name), others, n=1, cutoff=0.5)
    if nearest:
        return InputError(f"unknown {kind} {name!r}; did you mean {nearest[0]!r}?")
    if not others:
        return InputError(f"unknown {kind} {name!r}; there are none")
    others = others if listed is None else sorted(listed)
    rest = f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
    return InputError(f"unknown {kind} {name!r}; known: {', '.join(others[:SHOWN])}{rest}")


def one_line(error: BaseException) -> str:
    """Returns the first line of what an error says, or its type where it says nothing.

    What libraries put around it for themselves is left out: the quotes of a `KeyError`, and
    TensorFlow's names of nodes and operations.
    """
    said = error.args[0] if isinstance(error, KeyError) and error.args else error
    text = re.sub(r"\{\{.*?\}\}\s*|\s*\[Op:\w+\].*", "", str(said)).strip()
    lines = text.splitlines()
    return lines[0] if lines else type(error).__name__
