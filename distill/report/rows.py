"""`results.csv` of a sweep: one row per student, appended whole by any number of processes.

The table of a search is such a table with other columns.
"""

import csv
import io
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

from distill import files
from distill.errors import InputError

RESULTS = "results.csv"
PREDICTIONS = "predictions"  # the folder beside it, a file for each student
COLUMNS = (
    "id", "config", "config_hash", "commit", "device", "dataset", "point", "status", "model",
    "loss", "temperature", "learn_temperature", "final_temperature", "alpha", "gradient_correction",
    "learning_rate", "seed", "epochs", "train_examples", "labelled_fraction", "teacher_members",
    "teacher", "teacher_accuracy", "num_params", "macs", "compression_rate", "accuracy",
    "precision", "recall", "f_measure", "agreement", "validation_accuracy", "train_seconds",
    "compile_seconds",
)  # fmt: skip

Row = dict[str, Any]  # of `COLUMNS`; what is missing or None is an empty cell


class Table:
    """The rows of one sweep, or one search."""

    def __init__(
        self,
        path: pathlib.Path,
        config_hash: str,
        warn: Callable[[str], None],
        columns: Sequence[str] = COLUMNS,
    ):
        """Opens the table, which need not exist yet.

        Args:
          path: of the file.
          config_hash: that every row must have.
          warn: told of a last line that a kill has torn; its student trains again.
          columns: of the table, `id` and `config_hash` among them.

        Raises:
          InputError: if it is no table of this configuration.
        """
        self.path = path
        self._columns = tuple(columns)
        self._config_hash = config_hash
        self._warn = warn
        self.read()

    def read(self) -> list[dict[str, str]]:
        """Returns the rows, as text by column; of several that are of one student, the first."""
        if not self.path.exists():
            return []
        try:
            text = self.path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"{self.path} is no table of results; move it away") from error
        header, *lines = list(csv.reader(text.splitlines())) or [[]]
        # A table of an earlier version may lack some, which stay empty.
        if not {"id", "config_hash"} <= set(header) <= set(self._columns):
            raise InputError(f"{self.path} is no table of results; move it away")
        if lines and len(lines[-1]) != len(header):
            self._warn(f"{self.path}: leaving out the torn last line")
            lines.pop()
        found: dict[str, dict[str, str]] = {}
        for number, line in enumerate(lines, 2):
            if len(line) != len(header):
                raise InputError(
                    f"{self.path}, line {number} has {len(line)} cells instead of "
                    f"{len(header)}; remove the line, and its student trains again"
                )
            row = dict.fromkeys(self._columns, "") | dict(zip(header, line, strict=True))
            if row["config_hash"] != self._config_hash:
                raise InputError(
                    f"{self.path} has rows of the configuration {row['config_hash']}, this one is "
                    f"{self._config_hash}; choose another --workdir or move the file away"
                )
            found.setdefault(row["id"], row)
        if len(found) < len(lines):
            self._warn(f"{self.path}: leaving out {len(lines) - len(found)} rows that stand twice")
        return list(found.values())

    def ids(self) -> set[str]:
        """Returns the students that have a row."""
        return {row["id"] for row in self.read()}

    def append(self, new: Sequence[Row]) -> None:
        """Adds rows in one step, so that a kill leaves the table with all of them or none.

        A student that has a row by now, from another process that trained it too, keeps that.
        """
        with files.locked(self.path.parent / ".results.lock", waiting=lambda: None):
            rows = {row["id"]: row for row in self.read()}
            for row in new:
                rows.setdefault(row["id"], {name: _cell(value) for name, value in row.items()})
            text = io.StringIO()
            writer = csv.DictWriter(text, self._columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows.values())
            files.replace(self.path, lambda file: file.write(text.getvalue().encode()))


def _cell(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else value
