"""Files that several processes may want: replaced in one step, and locked."""

import contextlib
import fcntl
import pathlib
import secrets
from collections.abc import Callable, Iterator
from typing import BinaryIO


def replace(path: pathlib.Path, write: Callable[[BinaryIO], object]) -> None:
    """Replaces a file in one step, so that a kill leaves the old one or the new one.

    The part that is written first has a name of its own: of several processes, also on several
    machines, each replaces the file whole.

    Args:
      path: of the file.
      write: writes the contents. If it fails, on a full disk for example, the part is removed.
    """
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("wb") as file:
            write(file)
        part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def locked(
    path: pathlib.Path, waiting: Callable[[], None] | None = None, *, shared: bool = False
) -> Iterator[None]:
    """Holds a lock, which the system takes back from a process that ends in whatever way.

    Args:
      path: of an empty file that stands for what is locked; made if needed, and left there.
      waiting: called before waiting for another process; without it nobody waits.
      shared: whether others may hold it too that share it.

    Raises:
      BlockingIOError: if another process holds it and this one is not to wait.
    """
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    with path.open("a") as file:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting is None:
                raise
            waiting()
            fcntl.flock(file, kind)
        yield
