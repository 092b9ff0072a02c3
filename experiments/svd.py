"""Dense layers of the teacher at lower ranks, with and without fine-tuning (Çallı 2017, 2.6).

    python -m experiments.svd             # one seed; --seeds=3 for three
    python -m experiments.svd --quick     # seconds, for a look
    python -m experiments.svd --notrain   # only collects and measures what is there

The teacher of MNIST is trained once for each seed, by its own recipe; then the stage `compress`
factorises one of its layers at one rank, and fine-tunes for one epoch, again and again from the
same weights. What is complete in --workdir is not trained again. At the end all files are timed in
turns, and results/svd.csv, docs/svd.md and its picture are written.
"""

import json
import pathlib
from collections.abc import Iterator
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from ml_collections import ConfigDict

from distill import presets
from distill.errors import InputError
from distill.report.tables import markdown
from experiments import driver, options, pages

RANKS = {"hidden": (1, 2, 4, 8, 16, 64, 256), "logits": (2, 4, 8)}
QUICK_RANKS = {"hidden": (2, 8, 32), "logits": (4,)}
WHOLE = "none"  # in the place of the layer
FINE_TUNE = {"epochs": 1}
COLORS = {"hidden": "#0072B2", "logits": "#E69F00"}


def base(seed: int, epochs: int | None = None, quick: bool = False) -> ConfigDict:
    """Returns the configuration that trains the teacher, in the place of the student."""
    config = presets.teacher_to_compress("quick" if quick else None)
    config.seed = seed
    config.student.epochs = epochs or config.student.epochs
    return config


def steps(quick: bool = False) -> Iterator[dict[str, Any]]:
    """Yields what `config.compress` has as its only step, for each layer and rank."""
    for layer, ranks in (QUICK_RANKS if quick else RANKS).items():
        for rank in ranks:
            yield {"method": "svd", "layers": layer, "rank": rank, "fine_tune": FINE_TUNE}


def collect(workdir: pathlib.Path, quick: bool = False) -> list[dict[str, Any]]:
    """Returns a row for the whole teacher and for each step, without times.

    Raises:
      InputError: if a step was not made, or its record is damaged.
    """
    from distill.compress import rounds

    found = {}
    for path in (workdir / rounds.DIRECTORY).glob(f"*/{rounds.RECORD}"):
        record = rounds.read_record(path)
        found[json.dumps(record.get("given"), sort_keys=True)] = record, path.parent
    rows = []
    for step in (None, *steps(quick)):
        if (key := json.dumps(step, sort_keys=True)) not in found:
            raise InputError(f"{workdir} has no record of {key}; leave out --notrain")
        record, directory = found[key]
        rows.append(
            {
                "layer": step["layers"] if step else WHOLE,
                "rank": step["rank"] if step else 0,
                **{name: record[name] for name in ("num_params", "macs", "float32_bytes")},
                "untuned_accuracy": record.get("untuned_accuracy", record["accuracy"]),
                "accuracy": record["accuracy"],
                "directory": directory,
            }
        )
    return rows


def ranks(table: pd.DataFrame) -> str:
    """Lays out each layer and rank beside the whole teacher."""
    images = table.test_images.iloc[0]
    whole = table[table.layer == WHOLE].mean(numeric_only=True)
    header = [
        "layer", "rank", "accuracy %, as factorised", "accuracy %, fine-tuned", "weights", "MACs",
        "of whole", "float32 bytes", "of whole", "µs", "of whole",
    ]  # fmt: skip
    lines = []
    for (layer, rank), group in table.groupby(["layer", "rank"], sort=False):
        mean = group.mean(numeric_only=True)
        before, after = (
            pages.accuracy(group[column], images) for column in ("untuned_accuracy", "accuracy")
        )
        named = [str(layer), str(rank), before] if layer != WHOLE else ["whole", "–", "–"]
        cells = [*named, after, f"{mean.num_params:,.0f}"]
        for column, digits in (("macs", 0), ("float32_bytes", 0), ("float32_latency_us", 1)):
            cells += [f"{mean[column]:,.{digits}f}", f"{100 * mean[column] / whole[column]:.0f} %"]
        lines.append(cells)
    return f"{markdown(header, lines)}\n\n{pages.extent(table)}"


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """Errors before and after fine-tuning, and time, over the rank."""
    errors, times = figure.subplots(1, 2, width_ratios=(3, 2))
    mean = table.groupby(["layer", "rank"]).mean(numeric_only=True)
    whole = mean.loc[WHOLE].iloc[0]
    for layer, color in COLORS.items():
        found = mean.loc[layer]
        styles = (("untuned_accuracy", ":o", "as factorised"), ("accuracy", "-o", "fine-tuned"))
        for column, style, label in styles:
            errors.plot(
                found.index,
                100 * (1 - found[column]),
                style,
                color=color,
                label=f"{layer}, {label}",
            )
        times.plot(found.index, found.float32_latency_us, "-o", color=color)
    line = errors.axhline(100 * (1 - whole.accuracy), color="#767676", linestyle="--")
    line.set_label("whole")
    times.axhline(whole.float32_latency_us, color="#767676", linestyle="--")
    errors.set_yscale("log")
    errors.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    errors.yaxis.set_major_formatter("{x:g}")
    errors.yaxis.set_minor_formatter(NullFormatter())
    errors.set_title("errors, % of the test images")
    times.set_ylim(0, 1.1 * table.float32_latency_us.max())
    times.set_title("µs for an image, float32")
    for axis in (errors, times):
        axis.set_xscale("log", base=2)
        axis.xaxis.set_major_formatter("{x:g}")
        axis.set_xlabel("rank")
    figure.legend(loc="outside lower center", ncols=3)


PAGE = pages.Page("svd", {"ranks": ranks}, draw)


def measured(call: driver.Call) -> list[dict[str, Any]]:
    """Trains, factorises and measures; returns the rows."""
    from distill.compress import measure  # imports JAX, which --help can do without

    rows = []
    for seed in options.seeds(1):
        config = base(seed, options.EPOCHS.value, call.quick)
        workdir = call.workdir / f"teacher-{seed}"
        for step in steps(call.quick):
            config.compress = (step,)
            found = pages.results(config, workdir, call.train, call.display)
        matrix = found["models"]["student"]["confusion_matrix"]
        shared = {"test_images": sum(map(sum, matrix)), **pages.columns(config, workdir, found)}
        rows += [{**row, **shared} for row in collect(workdir, call.quick)]
    times = measure.latencies([row.pop("directory") for row in rows])
    for row, time in zip(rows, times, strict=True):
        row["float32_latency_us"] = round(time["float32_latency_us"], 2)
    return rows


if __name__ == "__main__":
    driver.run(PAGE, measured)
