"""Names chosen by patterns, as configurations write them."""

import fnmatch
from collections.abc import Callable, Iterable

from distill.errors import InputError


def matching(
    patterns: str,
    names: Iterable[str],
    kind: str = "layers",
    aliases: Callable[[str], Iterable[str]] = lambda name: (name,),
) -> list[str]:
    """Returns the names that one of the patterns fits, in their order.

    Args:
      patterns: separated by commas, such as `conv*,hidden`; those that begin with `!` leave out.
      names: to choose from.
      kind: what they are names of, for the message.
      aliases: what a name goes by; it is enough that a pattern fits one of these.

    Raises:
      InputError: if a pattern fits none of them, or nothing is left.
    """
    names, chosen = list(names), set()
    words = [word.strip() for word in patterns.split(",") if word.strip()]
    if words and all(word.startswith("!") for word in words):
        chosen = set(names)
    for word in words:
        pattern = word.removeprefix("!")
        found = {name for name in names if fnmatch.filter(aliases(name), pattern)}
        if not found:
            raise InputError(f"{kind}={patterns!r} matches nothing; there are {', '.join(names)}")
        chosen = chosen - found if word.startswith("!") else chosen | found
    if not chosen:
        raise InputError(f"{kind}={patterns!r} leaves nothing; there are {', '.join(names)}")
    return [name for name in names if name in chosen]
