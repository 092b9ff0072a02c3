"""The measured part of docs/methods.md; its rows are those of `experiments.methods`."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

LABELS = "labels only"  # the method that the others are compared with


def write(rows: Sequence[Mapping[str, Any]], root: pathlib.Path) -> list[pathlib.Path]:
    """Writes the rows, and returns the files written."""
    csv = root / "experiments" / "results" / "methods.csv"
    csv.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(csv, index=False)
    return [csv]
