"""The page on accuracy against bytes: which networks nothing beats, and where distilling is enough.

Its rows are those of `experiments.pareto`.
"""

import itertools
import json
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from distill.report.tables import markdown
from experiments import pages
from experiments.thesis.text import short

TEACHER = "teacher"
FORMATS = ("float32", "int8")
PACKED = "packed"  # beside the formats of files
COLORS = {TEACHER: "#D55E00", "students": "#0072B2"}
MARKERS = {"float32": "o", "int8": "s", PACKED: "^"}


def points(table: pd.DataFrame) -> pd.DataFrame:
    """Returns every form that a network of the table can be stored in.

    Args:
      table: rows of the experiment.

    Returns:
      `start`, `chain` (empty: the start itself), `form`, `bytes`, `accuracy` and, for files,
      `latency_us`, means over the seeds.
    """
    rows = []
    mean = table.fillna({"chain": ""}).groupby(["start", "chain"], sort=False)
    for (start, chain), row in mean.mean(numeric_only=True).iterrows():
        words = chain.split(", ")
        here = {"start": start, "chain": chain}
        if "int8" not in words:
            rows.append(
                {**here, "form": "float32", "bytes": row.float32_bytes, "accuracy": row.accuracy,
                 "latency_us": row.float32_latency_us}
            )  # fmt: skip
        rows.append(
            {**here, "form": "int8", "bytes": row.int8_bytes, "accuracy": row.int8_accuracy,
             "latency_us": row.int8_latency_us}
        )  # fmt: skip
        if {"clusters", "magnitude"} & set(words) and "int8" not in words:
            rows.append(
                {**here, "form": PACKED, "bytes": row.packed_bytes, "accuracy": row.accuracy}
            )
    return pd.DataFrame(rows)


def front(some: pd.DataFrame) -> pd.DataFrame:
    """Returns the points that no other beats, by rising bytes: each is more accurate than before.

    Args:
      some: as from `points`.
    """
    ordered = some.sort_values(["bytes", "accuracy"], ascending=[True, False])
    best = ordered.accuracy.cummax().shift(fill_value=-1.0)
    return ordered[ordered.accuracy > best]


def named(start: str, chain: str) -> str:
    """Returns what a reader calls a network."""
    return f"{short(start)}: {chain}" if chain else short(start)


def files(table: pd.DataFrame) -> str:
    """Lays out the files that no other beats in bytes and accuracy."""
    every = points(table)
    return front_table(table, front(every[every.form != PACKED]))


def packed(table: pd.DataFrame) -> str:
    """Lays out the packed forms that no other beats."""
    every = points(table)
    return front_table(table, front(every[every.form == PACKED]))


def front_table(table: pd.DataFrame, best: pd.DataFrame) -> str:
    """Lays out the points that `front` has found in the rows of the experiment."""
    table = table.fillna({"chain": ""})
    images = table.test_images.iloc[0]
    header = ["", "network", "form", "bytes", "accuracy %", "µs"]
    lines = []
    for number, point in enumerate(best.itertuples(), 1):
        group = table[(table.start == point.start) & (table.chain == point.chain)]
        values = group.int8_accuracy if point.form == "int8" else group.accuracy
        time = "–" if pd.isna(point.latency_us) else f"{point.latency_us:.1f}"
        lines.append(
            [f"{number}", named(point.start, point.chain), point.form, f"{point.bytes:,.0f}",
             pages.accuracy(values, images), time]
        )  # fmt: skip
    return markdown(header, lines)


def alone(table: pd.DataFrame) -> str:
    """Compares students that were only distilled with the chains from the teacher, as files."""
    every = points(table)
    files = every[every.form != PACKED]
    chains = files[(files.start == TEACHER) & (files.chain != "")]
    lines = []
    for student in files[(files.start != TEACHER) & (files.chain == "")].itertuples():
        beaten = chains[(chains.bytes >= student.bytes) & (chains.accuracy <= student.accuracy)]
        better = chains[chains.accuracy > student.accuracy].nsmallest(1, "bytes")
        nearest = [
            f"{p.chain} ({p.form}): {p.bytes:,.0f} bytes, {_percent(p.accuracy)}"
            for p in better.itertuples()
        ]
        lines.append(
            [short(student.start), student.form, f"{student.bytes:,.0f}",
             _percent(student.accuracy), f"{len(beaten)} of {len(chains)}", *(nearest or ["none"])]
        )  # fmt: skip
    header = [
        "only distilled", "form", "bytes", "accuracy %", "files of chains from the teacher beaten",
        "the smallest that is more accurate",
    ]  # fmt: skip
    return markdown(header, lines)


def orders(table: pd.DataFrame) -> str:
    """Puts chains beside one another that are made of the same steps."""
    table = table.fillna({"chain": ""})
    steps = table.steps.map(lambda text: json.dumps(sorted(map(json.dumps, json.loads(text)))))
    lines = []
    for _, same in table.groupby(["start", steps], sort=False):
        if same.chain.nunique() < 2:
            continue
        for (start, chain), group in same.groupby(["start", "chain"], sort=False):
            mean = group.mean(numeric_only=True)
            lines.append(
                [named(str(start), str(chain)), _percent(mean.accuracy), f"{mean.num_params:,.0f}",
                 f"{mean.nonzeros:,.0f}", f"{mean.macs:,.0f}", f"{mean.int8_bytes:,.0f}",
                 _percent(mean.int8_accuracy), f"{mean.packed_bytes:,.0f}"]
            )  # fmt: skip
    header = [
        "network", "accuracy %", "weights", "non-zero", "MACs", "int8 bytes", "int8 accuracy %",
        "packed bytes",
    ]  # fmt: skip
    return markdown(header, lines) if lines else "There are none."


def chains(table: pd.DataFrame) -> str:
    """Lays out every chain in every form."""
    table = table.fillna({"chain": ""})
    header = ["network", "accuracy %", "weights", "non-zero", "MACs", "packed bytes"]
    for format in FORMATS:
        header += [f"{format} bytes", "gzipped", "µs"]
    lines = []
    for (start, chain), group in table.groupby(["start", "chain"], sort=False):
        mean = group.mean(numeric_only=True)
        cells = [named(str(start), str(chain)), _percent(mean.accuracy)]
        cells += [f"{mean[c]:,.0f}" for c in ("num_params", "nonzeros", "macs", "packed_bytes")]
        for format in FORMATS:
            cells += [f"{mean[f'{format}_{c}']:,.0f}" for c in ("bytes", "gzip_bytes")]
            cells.append(f"{mean[f'{format}_latency_us']:.1f}")
        lines.append([*cells, _percent(mean.int8_accuracy)])
    epochs = table.groupby("start").fine_tune_epochs.first()
    tuned = ", ".join(f"{short(str(start))} {n}" for start, n in epochs.items())
    return (
        f"{markdown([*header, 'int8 accuracy %'], lines)}\n\n"
        f"Epochs of fine-tuning after each step: {tuned}. {pages.extent(table)}"
    )


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """Every form of every network, the starting points named, and the front of files numbered."""
    axis, every = figure.subplots(), points(table)
    best = front(every[every.form != PACKED])
    packed = front(every[every.form == PACKED])
    for family, color in COLORS.items():
        own = every[(every.start == TEACHER) == (family == TEACHER)]
        for form, marker in MARKERS.items():
            some = own[own.form == form]
            axis.plot(some.bytes, 100 * some.accuracy, marker, color=color, alpha=0.55, ms=6, mew=0)
    _staircase(axis, best, "-")
    _staircase(axis, packed, ":")
    starts = every[(every.chain == "") & (every.form == "float32")]
    axis.plot(starts.bytes, 100 * starts.accuracy, "o", ms=13, mfc="none", mec="black", mew=1.2)
    shown = pd.concat([best, packed, starts]).accuracy
    margin = 0.06 * (shown.max() - shown.min())
    axis.set_ylim(100 * (shown.min() - 2 * margin), 100 * (shown.max() + 2 * margin))
    axis.set_xscale("log")
    axis.margins(x=0.08)
    axis.set_xlabel("bytes")
    axis.set_ylabel("test accuracy, %")
    below = int((every.accuracy < shown.min() - 2 * margin).sum())
    axis.set_title(
        "Accuracy against bytes" + (f" ({below} lie below the picture)" if below else "")
    )
    for family, color in COLORS.items():
        axis.plot(
            [], [], "D", color=color, label=f"from the {family}".replace("students", "student")
        )
    labels = {"float32": "file, float32", "int8": "file, int8", PACKED: "packed, no graph"}
    for form, marker in MARKERS.items():
        axis.plot([], [], marker, color="#767676", label=labels[form])
    axis.plot([], [], "o", ms=11, mfc="none", mec="black", label="as trained")
    axis.plot([], [], ":", color="black", label="front of packed weights")
    axis.plot([], [], "-", color="black", label="front of files:")
    for number, point in enumerate(best.itertuples(), 1):
        form = "" if point.chain.endswith(point.form) else f" ({point.form})"
        text = f"{number}  {named(point.start, point.chain)}{form}"
        axis.plot([], [], " ", label=text)
    figure.legend(loc="outside right upper", fontsize=9.5, handlelength=1)
    names = [(point, short(point.start), "bold") for point in starts.itertuples()]
    numbers = [(point, f"{i}", "normal") for i, point in enumerate(best.itertuples(), 1)]
    _note(axis, every, numbers + names)


def _staircase(axis: Axes, best: pd.DataFrame, style: str) -> None:
    axis.step(best.bytes, 100 * best.accuracy, style, where="post", color="black", lw=1.3, zorder=1)


def _note(axis: Axes, every: pd.DataFrame, notes: list[tuple[Any, str, str]]) -> None:
    """Writes a few letters beside some points, each at the nearest place that is still free."""
    figure = axis.figure
    figure.draw_without_rendering()  # settles where everything is
    marks = axis.transData.transform(np.stack([every.bytes, 100 * every.accuracy], 1))
    taken = [Bbox.from_extents(x - 5, y - 5, x + 5, y + 5) for x, y in marks]
    for point, text, weight in notes:
        note = axis.annotate(
            text, (point.bytes, 100 * point.accuracy), xytext=(0, 0), textcoords="offset points",
            fontsize=11, ha="center", va="center", fontweight=weight, zorder=9,
            path_effects=[patheffects.withStroke(linewidth=3, foreground="white")],
        )  # fmt: skip
        size = note.get_window_extent()
        for radius, angle in itertools.product(range(9, 90, 3), np.arange(0.75, -1.25, -0.25)):
            away = radius + (size.width / 2 if abs(angle) != 0.5 else 0) * 72 / figure.dpi
            offset = away * np.cos(np.pi * angle), radius * np.sin(np.pi * angle)
            note.set_position(offset)
            box = note.get_window_extent().padded(1)
            inside = axis.bbox.containsx(box.x0) and axis.bbox.containsx(box.x1)
            if inside and not any(box.overlaps(other) for other in taken):
                break
        taken.append(note.get_window_extent())


def _percent(rate: float) -> str:
    return f"{100 * rate:.2f}"


TABLES = {"front": files, "packed": packed, "alone": alone, "orders": orders, "chains": chains}
