"""A polite end: Ctrl-C, and SIGTERM, by which batch systems take a machine back.

What is asked to stop ends where it is, but a training makes its steps, saves, and then ends.
"""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from distill.errors import Interrupted

_received: int | None = None  # the signal that has asked to stop
_saving = False  # whether the work ends by itself where it can be gone on with


@contextlib.contextmanager
def listening() -> Iterator[None]:
    """Within it, SIGTERM raises `Interrupted` and Ctrl-C `KeyboardInterrupt`, when it is time.

    Signals that are ignored, as by `nohup`, or have a handler of somebody else, are left alone.
    """
    global _received
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    _received = None
    usual: dict[int, Any] = {
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGINT: signal.default_int_handler,
    }
    ours = [number for number, handler in usual.items() if signal.getsignal(number) is handler]
    for number in ours:
        signal.signal(number, _on_signal)
    try:
        yield
    finally:
        _received = None
        for number in ours:
            signal.signal(number, usual[number])


@contextlib.contextmanager
def saving_first() -> Iterator[None]:
    """Within it a first signal raises nothing: the work asks `asked`, and saves before it ends.

    Raises:
      Interrupted, KeyboardInterrupt: at its end, if that was asked for in the meantime.
    """
    global _saving
    _saving = True
    try:
        yield
    finally:
        _saving = False
    if _received is not None:
        raise reason("what was begun is done")


def asked() -> bool:
    """Returns whether this process has been asked to stop."""
    return _received is not None


def reason(saved: str) -> BaseException:
    """Returns what to raise when that has been done which was not to be lost.

    Args:
      saved: says in one line what that is.
    """
    return KeyboardInterrupt() if _received == signal.SIGINT else Interrupted(saved)


def _on_signal(number: int, frame: FrameType | None) -> None:
    del frame
    global _received
    again, _received = _received == number, number
    if not _saving or (again and number == signal.SIGINT):  # a person who is in a hurry
        raise reason("stopped")
