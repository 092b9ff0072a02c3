"""Plots of a run, as PNG files."""

import pathlib
import warnings
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

COLORS = {"teacher": "#7a5195", "student": "#ef5675"}
COUNTED = 20  # classes, at most, whose counts are written into the cells
LONGEST = 20  # letters of a name
CELLS = 500  # along a side, at most; more classes share them


def learning_curves(records: list[dict[str, Any]], path: pathlib.Path) -> None:
    """Draws loss and accuracy, or error of reconstruction, over the epochs, a column for each role.

    Args:
      records: of `metrics.jsonl`.
      path: of the PNG file to write.
    """
    roles = [role for role in COLORS if any(r["role"] == role for r in records)]
    figure = Figure(figsize=(4.6 * len(roles), 5.6), layout="constrained")
    axes = figure.subplots(2, len(roles), sharex="col", squeeze=False)
    for (upper, lower), role in zip(axes.T, roles, strict=True):
        own = [r for r in records if r["role"] == role]
        upper.set_title(f"{role}: {own[0]['model']}")
        upper.set_ylabel("training loss")
        upper.set_yscale("log")
        error = "reconstruction_error"
        measured = error if any(name.endswith(error) for name in own[0]) else "accuracy"
        scale = 100 if measured == "accuracy" else 1
        place = "lower right" if measured == "accuracy" else "best"
        lower.set_ylabel("accuracy, %" if scale == 100 else "reconstruction error")
        lower.set_xlabel("epoch")
        lower.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
        for seed in sorted({r["seed"] for r in own}):
            run = [r for r in own if r["seed"] == seed]
            epochs = [r["epoch"] for r in run]
            marker = "o" if len(run) < 3 else None
            upper.plot(epochs, [r["loss"] for r in run], color=COLORS[role], marker=marker)
            for label, style in {"train": "--", "validation": "-", "test": "-"}.items():
                if any((name := f"{label}_{measured}") in r for r in run):
                    values = [scale * r.get(name, np.nan) for r in run]
                    lower.plot(
                        epochs, values, style, color=COLORS[role], marker=marker, label=label
                    )
        handles, labels = lower.get_legend_handles_labels()
        unique = dict(zip(labels, handles, strict=True))
        lower.legend(unique.values(), unique.keys(), frameon=False, loc=place)
        for axis in (upper, lower):
            axis.grid(alpha=0.25)
            axis.spines[["top", "right"]].set_visible(False)
    save(figure, path)


def confusion(matrix: np.ndarray, names: Sequence[str], title: str, path: pathlib.Path) -> None:
    """Draws a confusion matrix: counts in the cells, shaded by the share of their row.

    The picture does not grow with the number of classes. Of more than `COUNTED` the counts are left
    out; of more than `CELLS` neighbours share a cell, which shows the largest share among them, so
    that a single frequent confusion stays visible.

    Args:
      matrix: `[num_classes, num_classes]` integers, row = label, column = prediction.
      names: of the classes, which stand beside the cells where the counts do.
      title: above the picture.
      path: of the PNG file to write.
    """
    classes = len(matrix)
    side = 2.2 + 0.36 * min(classes, COUNTED)
    figure = Figure(figsize=(side, side), layout="constrained")
    axis = figure.subplots()
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    # The power brings out the few errors beside the many hits.
    extent = (-0.5, classes - 0.5, classes - 0.5, -0.5)
    axis.imshow(largest(share) ** 0.4, cmap="Purples", vmin=0, vmax=1, extent=extent)
    if classes <= COUNTED:
        for row, column in np.argwhere(matrix):
            color = "white" if share[row, column] > 0.3 else "black"
            count = f"{matrix[row, column]}"
            axis.text(column, row, count, ha="center", va="center", color=color, fontsize=7)
        long = max(map(len, names)) > 2
        axis.set_xticks(range(classes), [fitting(n) for n in names], rotation=90 if long else 0)
        axis.set_yticks(range(classes), [fitting(n) for n in names])
        for label in (*axis.get_xticklabels(), *axis.get_yticklabels()):
            label.set_parse_math(False)
    axis.set_xlabel("prediction")
    axis.set_ylabel("label")
    axis.set_title(title, fontsize=10, parse_math=False)
    save(figure, path)


def fitting(name: str) -> str:
    """Returns the name of a class as far as a picture has room for it."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def save(figure: Figure, path: pathlib.Path) -> None:
    """Writes a picture; letters that the font lacks are boxes, which is no reason to stop."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(path, dpi=150)


def largest(share: np.ndarray) -> np.ndarray:
    """Returns the largest value of each block of a square array, so that `CELLS` blocks are left.

    Args:
      share: `[classes, classes]`; it is returned as it is where it is small enough.
    """
    blocks = -(-len(share) // CELLS)
    starts = np.arange(0, len(share), blocks)
    return np.maximum.reduceat(np.maximum.reduceat(share, starts, 0), starts, 1)
