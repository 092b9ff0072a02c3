"""Paths as people write them: understood everywhere in the same way, or refused before any work."""

import contextlib
import errno
import os
import pathlib
import re
import stat
import tempfile

from distill.errors import InputError
from distill.values import shown

_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # also as pathlib leaves `gs://bucket`
_PATTERN = re.compile(r"[*?\[\\]")


def local(given: str | os.PathLike[str], what: str) -> pathlib.Path:
    """Returns a path with `~` replaced by the home directory, which no shell does after `=`.

    Args:
      given: as it was given.
      what: for the message: "--workdir".

    Raises:
      InputError: if it is empty, on another machine, or no text that can be printed.
    """
    text = os.fspath(given)
    if not text.strip() or not text.isprintable():  # NUL bytes, or what is no UTF-8
        raise InputError(f"{what} is {shown(text)}; it must be a path that can be printed")
    if _REMOTE.match(text):
        raise InputError(
            f"{what} is {text}; only paths of this machine's file systems can be used: mount the "
            "bucket, and give where it is mounted"
        )
    try:
        return pathlib.Path(text).expanduser()
    except RuntimeError as error:
        raise InputError(f"{what} is {text}; there is no such user's home directory") from error


def trained(given: str | os.PathLike[str], what: str) -> pathlib.Path:
    """Returns a path as `local` does, where models are trained or read back.

    The libraries behind checkpoints take some characters of the whole path for a pattern, and the
    backslash for a slash: they would write elsewhere, or mix files of several directories.

    Raises:
      InputError: as `local`, and for these characters.
    """
    path = local(given, what)
    found = _PATTERN.search(str(path.absolute()))
    if found:
        raise InputError(
            f"{what} is {path.absolute()}; checkpoints cannot be kept where a name has "
            f"{found[0]} in it, so choose another directory"
        )
    return path


def require_writable(directory: pathlib.Path, what: str) -> None:
    """Checks that a directory can be written, or made; leaves nothing behind.

    Raises:
      InputError: if not, or if it is a file.
    """
    try:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            directory.stat()  # whose name may be too long
        existing = directory.absolute()
        while not os.path.lexists(existing):
            existing = existing.parent
        if not existing.is_dir():
            raise InputError(f"{what} is {directory}, but {existing} is no directory")
        tempfile.TemporaryFile(dir=existing).close()
    except OSError as error:
        raise InputError(f"{what} {directory} cannot be written: {error.strerror}") from error


def require_writable_file(file: pathlib.Path, what: str) -> None:
    """Checks that a file can be written into a directory that is there; leaves nothing behind.

    Raises:
      InputError: if not, or if it is something else than a file.
    """
    if not os.path.isdir(file.parent):
        raise InputError(f"{what} is {file}, but {file.parent} is no directory")
    require_writable(file.parent, f"the directory of {what}")
    if os.path.lexists(file) and not (os.path.isfile(file) and os.access(file, os.W_OK)):
        raise InputError(f"{what} is {file}, which cannot be written; name a file")


def read_bytes(file: pathlib.Path) -> bytes:
    """Returns what a file holds, and does not wait where a pipe or device has its name.

    Raises:
      OSError: if it cannot be read, or is none.
    """
    with open(os.open(file, os.O_RDONLY | os.O_NONBLOCK), "rb") as opened:
        if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no file")
        return opened.read()
