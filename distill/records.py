"""What is logged after each epoch: `metrics.jsonl` and TensorBoard events."""

import contextlib
import json
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

from tensorboardX import SummaryWriter

from distill import files
from distill.errors import InputError

METRICS = "metrics.jsonl"
EVENTS = "tensorboard"
LOCK = ".metrics.lock"


class Log:
    """The records of one model's training, in files that all models of a run share.

    `metrics.jsonl` has one object per epoch and model. A training that starts, or starts again,
    replaces what there was of the same role; the others' records stay.

    Use it as a context manager. There is one at a time in a directory: another would drop what this
    one still writes.
    """

    def __init__(self, workdir: pathlib.Path, role: str, waiting: Callable[[], None] | None = None):
        """Opens the files of `workdir` for the model in this role (`teacher`, `student`).

        Args:
          workdir: of the run.
          role: of the model.
          waiting: called before waiting for another log to end; without it nobody waits.

        Raises:
          InputError: if another log is open and this one is not to wait; or as `read`.
        """
        self._role = role
        path = workdir / METRICS
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(files.locked(workdir / LOCK, waiting))
            except BlockingIOError as error:
                raise InputError(
                    f"another process writes {path}; wait for it, or choose another --workdir"
                ) from error
            others = [record for record in _all(workdir) if record.get("role") != role]
            text = "".join(json.dumps(record) + "\n" for record in others)
            files.replace(path, lambda file: file.write(text.encode()))
            self._file = stack.enter_context(path.open("a"))
            events = workdir / EVENTS / role
            shutil.rmtree(events, ignore_errors=True)
            self._events = stack.enter_context(contextlib.closing(SummaryWriter(str(events))))
            self._open = stack.pop_all()

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, *exception: Any) -> None:
        self._open.close()

    def write(self, record: dict[str, Any]) -> None:
        """Appends the record of an epoch: numbers by name, with `model`, `seed` and `step`."""
        self._file.write(json.dumps({"role": self._role, **record}) + "\n")
        self._file.flush()
        for name, value in record.items():
            if name not in ("model", "seed", "step"):
                self._events.add_scalar(f"seed{record['seed']}/{name}", value, record["step"])


def read(workdir: pathlib.Path) -> list[dict[str, Any]]:
    """Returns the records of models in `metrics.jsonl`; a last line torn by a kill is left out.

    Raises:
      InputError: if another line is no JSON object.
    """
    return [record for record in _all(workdir) if "role" in record]


def _all(workdir: pathlib.Path) -> list[dict[str, Any]]:
    """Returns the records of others too, which a file of that name may hold."""
    path = workdir / METRICS
    if not path.exists():
        return []
    records = []
    lines = path.read_bytes().splitlines()
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
        except ValueError as error:
            if number == len(lines):
                break
            raise InputError(_foreign(path, number, line)) from error
        if not isinstance(record, dict):
            raise InputError(_foreign(path, number, line))
        records.append(record)
    return records


def _foreign(path: pathlib.Path, number: int, line: bytes) -> str:
    shown = line[:60].decode(errors="replace")
    return f"{path}, line {number} is no JSON object: {shown!r}; remove the line"
