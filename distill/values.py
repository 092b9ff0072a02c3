"""Kinds of values that a person can give: what each accepts, in words and as a test.

Numbers are computed in float32, so one counts as finite, or as more than 0, only if float32 has it.
"""

import json
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from distill.errors import InputError

MOST = 2**31 - 1  # whole numbers are int32 on the device
GREATEST, LEAST = 3.4e38, 1.2e-38  # normal numbers of float32


class Kind(NamedTuple):
    """What a value may be.

    Attributes:
      accepted: in words that follow "it must be".
      fits: whether a value is such a one.
    """

    accepted: str
    fits: Callable[[Any], bool]


def is_whole(value: Any) -> bool:
    """Whether a value is an integer; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether a value is a number that float32 has, within rounding; True and False are none."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return value == 0 or LEAST <= abs(value) <= GREATEST  # which no NaN is


def whole(least: int, most: int = MOST) -> Kind:
    """Returns the integers of a range, both ends included."""
    accepted = f"a whole number from {least} to {most}"
    return Kind(accepted, lambda value: is_whole(value) and least <= value <= most)


def number(accepted: str, holds: Callable[[float], bool]) -> Kind:
    """Returns the numbers for which something holds."""
    return Kind(accepted, lambda value: is_number(value) and holds(value))


def between(least: float, most: float) -> Kind:
    """Returns the numbers of a range, both ends included."""
    return number(f"a number from {least:g} to {most:g}", lambda value: least <= value <= most)


def each(kind: Kind, accepted: str, lengths: Sequence[int] = range(MOST)) -> Kind:
    """Returns the sequences of one kind, of certain lengths."""

    def fits(value: Any) -> bool:
        if not isinstance(value, list | tuple) or len(value) not in lengths:
            return False
        return all(map(kind.fits, value))

    return Kind(accepted, fits)


def optional(kind: Kind) -> Kind:
    """Returns a kind, or None."""
    return Kind(f"{kind.accepted}, or None", lambda value: value is None or kind.fits(value))


POSITIVE = number("a number, more than 0", lambda value: value > 0)
NOT_NEGATIVE = number("a number, 0 or more", lambda value: value >= 0)
SHARE = between(0, 1)
FLAG = Kind("True or False", lambda value: isinstance(value, bool))
# Neither NUL bytes and other controls, nor what was no UTF-8 where it came from.
TEXT = Kind("text that can be printed", lambda v: isinstance(v, str) and v.isprintable())


def require(key: str, value: Any, kind: Kind) -> None:
    """Raises `InputError` unless a value is of a kind, naming it by its key."""
    if not kind.fits(value):
        raise InputError(f"{key} is {shown(value)}; it must be {kind.accepted}")


def require_plain(key: str, value: Any) -> None:
    """Raises `InputError` unless a value can be written as JSON, and its numbers are finite."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"{key} is {shown(value)}; it must be made of finite numbers, text, True, False, None, "
            "and of lists and dictionaries of these"
        ) from error


def shown(value: Any, most: int = 100) -> str:
    """Returns a value as it is written in Python, cut off where it is long."""
    if is_whole(value) and abs(value) > 10**most:
        return f"a number of {math.floor(math.log10(abs(value))) + 1} digits"
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer inside is too long, or it is nested too deep
        text = f"a {type(value).__name__}"
    return text if len(text) <= most else f"{text[:most]}…"
