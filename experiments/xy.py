"""How many of 1,000 units are left of a network that adds two numbers (Çallı 2017, 2.2.2).

    python -m experiments.xy               # ten seeds; --epochs=10 --cycles=10
    python -m experiments.xy --quick       # seconds, for a look
    python -m experiments.xy --notrain     # writes the page of the rows that are there

Train and prune until no seed loses a unit. All seeds train in one program, with masks; between
cycles what no seed needs is cut off. Rows are added to xy.csv in --workdir after each variant, and
what is there is not trained again. At the end results/xy.csv, docs/xy.md and its picture are
written.
"""

import itertools
import pathlib
from typing import Any

import numpy as np
import pandas as pd
from absl import flags
from matplotlib.figure import Figure

from distill import provenance
from distill.errors import InputError
from distill.progress import Display
from distill.report.tables import markdown
from experiments import driver, options, pages
from experiments.thesis.text import plural

CYCLES = flags.DEFINE_integer("cycles", 10, "Most cycles of training and pruning.")
SAMPLES = flags.DEFINE_integer("samples", 1_000_000, "To train on; a multiple of 2,000.")

OPTIMIZERS = {
    "momentum": {"optimizer": "sgd", "momentum": 0.3, "learning_rate": 0.01},
    "adam": {"optimizer": "adam", "learning_rate": 0.001},
}
VARIANTS: dict[str, dict[str, Any]] = {
    "vanilla": {},
    "distorted": {"distort": True},
    "regularised": {"l1": 1e-4},
    "outliers": {"outliers": True},
    "combined": {"distort": True, "l1": 1e-4, "outliers": True},
}
INITS = ("lecun", "normal")
PUBLISHED = {"vanilla": "about 50", "distorted": "1"}
COLORS = dict(zip(VARIANTS, ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#767676"), strict=True))


def units(table: pd.DataFrame) -> str:
    """Lays out the units that each variant leaves."""
    last = final(table)
    header = [
        "optimiser", "initialisation", "variant", "cycles", "units left, median", "least to most",
        "mean squared error, median", "diverged", "units, thesis",
    ]  # fmt: skip
    lines = []
    for (optimizer, init, variant), group in last.groupby(
        ["optimizer", "init", "variant"], sort=False
    ):
        published = PUBLISHED.get(variant, "–") if optimizer == "momentum" else "–"
        errors = group.loss[np.isfinite(group.loss)]
        lines.append(
            [
                *map(str, (optimizer, init, variant)),
                f"{group.cycle.max()}",
                f"{group.units.median():g}",
                f"{group.units.min()} to {group.units.max()}",
                "–" if errors.empty else f"{errors.median():.2g}",
                f"{len(group) - len(errors)} of {len(group)}",
                published,
            ]
        )
    first = table.iloc[0]
    whole = (1_000_000, 10)  # samples and epochs of the thesis
    reduced = (first.samples, first.epochs) != whole
    size = f"{first.samples:,} samples, {plural(first.epochs, 'epoch')}"
    less = ", reduced from 1,000,000 and 10" if reduced else ""
    notes = (
        f"{first.hidden:,} units before pruning; {size}{less}, in each of at most "
        f"{first.most_cycles} cycles, batches of {first.batch_size:,}; {table.seed.nunique()} "
        f"seeds; {first.device}; commit {', '.join(sorted(table.commit.unique()))}."
    )
    return f"{markdown(header, lines)}\n\n{notes}"


def final(table: pd.DataFrame) -> pd.DataFrame:
    """Returns of each seed the row of its last cycle."""
    keys = ["optimizer", "init", "variant", "seed"]
    return table.sort_values("cycle", kind="stable").groupby(keys, sort=False).tail(1).sort_index()


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """Units over the cycles: median, least and most of the seeds."""
    optimizers, inits = table.optimizer.unique(), table.init.unique()
    axes = figure.subplots(len(inits), len(optimizers), sharex=True, sharey=True, squeeze=False)
    for (i, init), (j, optimizer) in itertools.product(enumerate(inits), enumerate(optimizers)):
        axis = axes[i][j]
        found = table[(table.init == init) & (table.optimizer == optimizer)]
        for variant, group in found.groupby("variant", sort=False):
            # A seed that has ended stays as it is.
            units = group.pivot(index="cycle", columns="seed", values="units").ffill()
            units.loc[0] = float(group.hidden.iloc[0])
            units = units.sort_index()
            color = COLORS[str(variant)]
            width = 6 - 1.1 * list(VARIANTS).index(str(variant))  # what lies below shows
            axis.plot(units.index, units.median(axis=1), color=color, lw=width, label=variant)
            axis.fill_between(
                units.index, units.min(axis=1), units.max(axis=1), color=color, alpha=0.15, lw=0
            )
        axis.set_yscale("log")
        axis.set_title(f"{optimizer}, {init}")
        axis.xaxis.get_major_locator().set_params(integer=True)
        if i + 1 == len(inits):
            axis.set_xlabel("cycle")
        if not j:
            axis.set_ylabel("units left")
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=5)


PAGE = pages.Page("xy", {"units": units}, draw)


def collect(
    path: pathlib.Path, sizes: dict[str, int], seeds: range, train: bool, display: Display
) -> list[dict[str, Any]]:
    """Trains each variant that has no rows in a file, and adds them.

    Args:
      path: of the CSV file.
      sizes: `hidden`, `samples`, `batch_size`, `epochs` and `most_cycles`.
      seeds: of the networks.
      train: whether to train, or only to read.
      display: says what happens.

    Raises:
      InputError: if there are no rows and none are to be made, or they are of other sizes.
    """
    table = pages.read_csv(path) if path.exists() else pd.DataFrame()
    if table.empty and not train:
        raise InputError(f"{path} is missing; leave out --notrain")
    if len(table) and any((table[name] != value).any() for name, value in sizes.items()):
        raise InputError(f"{path} has rows of other sizes; choose another --workdir")
    for key in itertools.product(OPTIMIZERS, INITS, VARIANTS) if train else ():
        optimizer, init, variant = key
        named = {"optimizer": optimizer, "init": init, "variant": variant}
        there = table
        for column, value in named.items():
            there = there[there[column] == value] if len(there) else there
        if len(there):
            if sorted(there.seed.unique()) != list(seeds):
                raise InputError(f"{path} has rows of other seeds; choose another --workdir")
            continue
        from experiments import xy_train  # imports JAX, which --help can do without

        rows = xy_train.cycles(
            seeds, init, {**OPTIMIZERS[optimizer], **VARIANTS[variant]}, sizes, display.say
        )
        more = {"commit": provenance.commit(), "device": provenance.device()}
        rows = [{**named, **row, **sizes, **more} for row in rows]
        table = pd.concat([table, pd.DataFrame(rows)], ignore_index=True)
        table.to_csv(path, index=False)
    return table.to_dict("records")


def measured(call: driver.Call) -> list[dict[str, Any]]:
    """Trains; returns the rows."""
    provenance.make_a_device_of_each_core()
    quick = call.quick
    if CYCLES.value < 1:
        raise InputError(f"--cycles is {CYCLES.value}; it must be 1 or more")
    if SAMPLES.value < 2000 or SAMPLES.value % 2000:
        raise InputError(f"--samples is {SAMPLES.value}; it must be a multiple of 2,000")
    sizes = {
        "hidden": 100 if quick else 1000,
        "samples": 20_000 if quick else SAMPLES.value,
        "batch_size": 1000,
        "epochs": options.EPOCHS.value or (2 if quick else 10),
        "most_cycles": 3 if quick else CYCLES.value,
    }
    call.workdir.mkdir(parents=True, exist_ok=True)
    seeds = options.seeds(2 if quick else 10)
    return collect(call.workdir / "xy.csv", sizes, seeds, call.train, call.display)


if __name__ == "__main__":
    driver.run(PAGE, measured)
