"""What a search has found: the front by generation, as a table and a picture."""

import io
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from distill import evolution, files
from distill.report.tables import markdown

TABLE, PICTURE = "front.md", "front.png"
HEADER = [
    "", "weights", "MACs", "float32 bytes", "int8 bytes", "accuracy %", "int8 accuracy %",
    "generation", "genes",
]  # fmt: skip
WORDS = {
    "num_params": "weights", "macs": "multiply-accumulates", "float32_bytes": "bytes, float32",
    "int8_bytes": "bytes, int8", "accuracy": "accuracy, float32", "int8_accuracy": "accuracy, int8",
}  # fmt: skip
ERRORS = (90, 50, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1)  # percent, marked on the axis as accuracies

Row = Mapping[str, Any]


def finished(rows: Sequence[Row], epochs: int) -> list[Row]:
    """Returns the candidates that were trained to the end, and can be shipped.

    Args:
      rows: of the table of a search.
      epochs: of the longest training.
    """
    return [row for row in rows if row["status"] == "ok" and int(row["epochs"]) == epochs]


def judged(rows: Sequence[Row], objectives: Sequence[str]) -> np.ndarray:
    """Returns what candidates are judged by, `[rows, objectives]`, all to be low.

    Args:
      rows: from `finished`.
      objectives: an accuracy, and the costs.
    """
    found = np.array([[float(row[name]) for name in objectives] for row in rows])
    return found * np.array([-1.0] + [1.0] * (len(objectives) - 1))


def front(rows: Sequence[Row], objectives: Sequence[str]) -> list[Row]:
    """Returns those that no other beats, by their first cost; arguments as of `judged`."""
    if not rows:
        return []
    values = judged(rows, objectives)
    best = np.flatnonzero(evolution.ranks(values) == 0)
    _, first = np.unique(values[best], axis=0, return_index=True)  # alike in everything
    chosen = best[np.sort(first)]
    return [rows[i] for i in sorted(chosen, key=lambda i: tuple(values[i][::-1]))]


def table(best: Sequence[Row]) -> str:
    """Returns the candidates of a front as a table in Markdown."""
    lines = []
    for number, row in enumerate(best, 1):
        counts = (int(float(row[c])) for c in ("num_params", "macs", "float32_bytes", "int8_bytes"))
        rates = (100 * float(row[name]) for name in ("accuracy", "int8_accuracy"))
        lines.append(
            [f"{number}", *(f"{count:,}" for count in counts), *(f"{rate:.2f}" for rate in rates),
             f"{int(row['generation']) + 1}", described(row["genes"])]
        )  # fmt: skip
    return markdown(HEADER, lines)


def described(genes: str) -> str:
    """Returns genes in few words: without the sections they are of, lists in one piece."""
    found: dict[str, Any] = {}
    for key, value in json.loads(genes).items():
        name, entry, _ = key.rpartition(".")[2].partition("[")
        found[name] = [*found.get(name, []), value] if entry else value
    return ", ".join(f"{name} {_shown(value)}" for name, value in found.items())


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return "-".join(_shown(entry) for entry in value)
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def draw(rows: Sequence[Row], objectives: Sequence[str], axis: Axes) -> None:
    """Draws candidates, and the front up to each generation; arguments as of `judged`."""
    accuracy, cost = objectives[:2]
    axis.set_xscale("log")
    axis.set_yscale("log")  # of the errors: half as many are as far away wherever one starts
    axis.invert_yaxis()
    generations = sorted({int(row["generation"]) for row in rows})
    dark = ListedColormap(matplotlib.colormaps["viridis_r"](np.linspace(0.1, 1, 256)))
    last = max([1, *generations])  # there may be none, and then there is nothing to draw
    for generation in generations:
        own = [row for row in rows if int(row["generation"]) == generation]
        best = front([r for r in rows if int(r["generation"]) <= generation], (accuracy, cost))
        color = dark(generation / last)
        axis.plot(*_points(own, cost, accuracy), "o", color=color, ms=5, alpha=0.8)
        axis.step(*_points(best, cost, accuracy), where="post", color=color, lw=1.3)
    colors = ScalarMappable(Normalize(1, 1 + last), dark)
    axis.figure.colorbar(colors, ax=axis, label="generation", ticks=MaxNLocator(integer=True))
    axis.yaxis.set_major_locator(FixedLocator(ERRORS))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{100 - y:g}"))
    axis.xaxis.set_minor_locator(LogLocator(subs=(2, 3, 5)))
    for set_formatter in (axis.xaxis.set_major_formatter, axis.xaxis.set_minor_formatter):
        set_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    axis.tick_params(axis="x", which="both", rotation=30)
    axis.set_xlabel(WORDS[cost])
    axis.set_ylabel(f"{WORDS[accuracy]}, %")


def _points(rows: Sequence[Row], cost: str, accuracy: str) -> list[list[float]]:
    """Returns where candidates lie: what they cost, and how often they err, in percent."""
    errors = [100 * (1 - float(row[accuracy])) for row in rows]
    return [[float(row[cost]) for row in rows], errors]


def write(rows: Sequence[Row], objectives: Sequence[str], directory: pathlib.Path) -> None:
    """Writes the table and the picture of a front; arguments as of `judged`."""
    text = table(front(rows, objectives)) + "\n"
    files.replace(directory / TABLE, lambda file: file.write(text.encode()))
    figure = Figure(figsize=(9.6, 5.4), layout="constrained")
    axis = figure.subplots()
    draw(rows, objectives, axis)
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    image = io.BytesIO()
    figure.savefig(image, dpi=150)
    files.replace(directory / PICTURE, lambda file: file.write(image.getvalue()))
