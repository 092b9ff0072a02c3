"""What is reported to the user in one line instead of a traceback."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """A configuration, file or argument cannot be used.

    The message is one line: the value, what is accepted, what to change. The command line prints
    it and exits with code 2.
    """


class Interrupted(Exception):
    """A signal has ended a training that is saved; the same command goes on with it.

    The message is one line. The command line prints it and exits with `code`.
    """

    code = 75  # EX_TEMPFAIL of sysexits.h: try again


def unknown(kind: str, name: str, known: Iterable[str]) -> InputError:
    """Returns the error for a name that is not among `known`, naming the nearest one.

    Args:
      kind: what is being named, for the message: "model", "loss", "stage".
      name: the name that was given.
      known: the names that exist.
    """
    known = sorted(known)
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]!r}?" if nearest else f"known: {', '.join(known)}"
    return InputError(f"unknown {kind} {name!r}; {hint}")


def one_line(error: BaseException) -> str:
    """Returns the first line of what an error says, or its type where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
