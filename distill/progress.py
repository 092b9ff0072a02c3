"""How far the work is: a bar on a terminal, plain lines elsewhere."""

import contextlib
import time
from collections.abc import Iterator

from rich import progress as bars
from rich.console import Console

PLAIN_EVERY_S = 15.0


class Display:
    """Everything that a run says to the person who started it."""

    def __init__(self, console: Console | None = None):
        self.console = console or Console(highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """Prints a line."""
        self.console.print(text, markup=False)

    def warn(self, text: str) -> None:
        """Prints a line that cannot be missed."""
        self.console.print(text, style="bold yellow", markup=False)

    @contextlib.contextmanager
    def work(self, name: str, total: int) -> Iterator["_Bar | _Lines"]:
        """Shows work of `total` units; what it yields has `advance(done, note)`."""
        if not self.console.is_terminal:
            yield _Lines(self, name, total)
            return
        columns = (
            bars.TextColumn("{task.description}"),
            bars.BarColumn(),
            bars.TaskProgressColumn(),
            bars.TimeRemainingColumn(),
            bars.TextColumn("{task.fields[note]}"),
        )
        with bars.Progress(*columns, console=self.console, transient=True) as shown:
            yield _Bar(shown, shown.add_task(name, total=total, note=""))


class _Bar:
    def __init__(self, shown: bars.Progress, task: bars.TaskID):
        self._shown, self._task = shown, task

    def advance(self, done: int, note: str = "") -> None:
        self._shown.update(self._task, advance=done, note=note)


class _Lines:
    def __init__(self, display: Display, name: str, total: int):
        self._display, self._name, self._total = display, name, total
        self._done, self._said_at = 0, time.monotonic()

    def advance(self, done: int, note: str = "") -> None:
        self._done += done
        if time.monotonic() - self._said_at >= PLAIN_EVERY_S:
            self._said_at = time.monotonic()
            self._display.say(f"{self._name}: {self._done / self._total:4.0%} {note}")
