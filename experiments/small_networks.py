"""Small networks for MNIST: how accurate some thousand weights can be.

    python -m experiments.small_networks                     # ten seeds of each network
    python -m experiments.small_networks --networks=tiny_3k --seeds=3
    python -m experiments.small_networks --quick             # a minute or two, for a look
    python -m experiments.small_networks --notrain           # only collects what is there

Each network and seed is a run of its own in --workdir, by the recipe of configs/small_mnist.py;
what is complete is not trained again. Rows are added to results/small_networks.csv, from which
docs/small_networks.md and its picture are written. Reported is the last epoch. What the best epoch
on the test set would show stands beside it, and is how others' figures came about.
"""

import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from configs import small_mnist
from distill import records
from distill.errors import InputError, unknown
from distill.progress import Display
from distill.report.tables import markdown
from experiments import ROOT, driver, options, pages, significance
from experiments.thesis.text import plural

PUBLIC = ROOT / "third_party" / "small_networks" / "public.csv"
PICTURE = "![Small networks](results/small_networks.png)"
SIZES = ("num_params", "macs", "float32_bytes", "int8_bytes")
# What was to be reached, as the mean of ten seeds: at most so many weights or bytes, and percent.
GOALS = (
    ("num_params", 1_000, 99.0), ("num_params", 3_484, 99.15), ("num_params", 3_500, 99.35),
    ("num_params", 6_000, 99.5), ("int8_bytes", 5_000, 99.2), ("int8_bytes", 8_000, 99.4),
    ("int8_bytes", 12_000, 99.5),
)  # fmt: skip
UNITS = {"num_params": "weights", "int8_bytes": "bytes, int8"}


def runs(
    networks: Sequence[str], seeds: Sequence[int], epochs: int | None = None, quick: bool = False
) -> Iterator[tuple[str, ConfigDict]]:
    """Yields the configuration of each network and seed, all networks of a seed first."""
    for seed in seeds:
        for name in networks:
            config = small_mnist.get_config(f"{name},quick" if quick else name)
            config.stages, config.seed = "student,compress,evaluate", seed
            config.student.epochs = epochs or config.student.epochs
            yield name, config


def row(
    name: str, config: ConfigDict, found: Mapping[str, Any], epochs: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Returns what a run says of its network.

    Args:
      name: of the network.
      config: of the run.
      found: the contents of its `results.json`.
      epochs: the records of its student's epochs.
    """
    shipped = found["compress"][-1]
    return {
        "run": f"{name}-{config.seed}-{config.student.epochs}",
        "network": name,
        "args": json.dumps(config.student.args.to_dict()),
        **{size: shipped[size] for size in SIZES},
        "accuracy": shipped["accuracy"],
        "int8_accuracy": shipped["int8_accuracy"],
        "best_epoch_accuracy": max(record["test_accuracy"] for record in epochs),
        "test_images": sum(map(sum, found["models"]["student"]["confusion_matrix"])),
    }


def networks(table: pd.DataFrame) -> str:
    """Lays out each network and length of training."""
    images = table.test_images.iloc[0]
    lines = []
    for (name, epochs), group in _groups(table):
        first, inflation = group.iloc[0], group.best_epoch_accuracy - group.accuracy
        best = significance.mean(inflation.tolist())
        sure = f" ± {100 * best.t_half_width:.2f}" if best.n > 1 else ""
        lines.append(
            [f"[{name}](../configs/small_mnist.py)", f"{len(group)}", f"{epochs}",
             f"{first.num_params:,}", f"{first.macs:,}", f"{first.float32_bytes:,}",
             f"{first.int8_bytes:,}", pages.accuracy(group.accuracy, images),
             pages.accuracy(group.int8_accuracy, images), f"{100 * best.mean:.2f}{sure}"]
        )  # fmt: skip
    header = [
        "network", "seeds", "epochs", "weights", "MACs", "float32 bytes", "int8 bytes",
        "accuracy %", "int8 accuracy %", "best epoch − last",
    ]  # fmt: skip
    return f"{PICTURE}\n\n{markdown(header, lines)}\n\n{pages.extent(table)}"


def _groups(table: pd.DataFrame) -> Any:
    """Returns the rows of each network and length, by rising weights."""
    return table.sort_values(["num_params", "epochs"]).groupby(["network", "epochs"], sort=False)


def goals(table: pd.DataFrame) -> str:
    """Lays out what was to be reached, and what was."""
    lines = []
    for size, limit, goal in GOALS:
        measured = "int8_accuracy" if size == "int8_bytes" else "accuracy"
        fitting = [(key, group) for key, group in _groups(table[table[size] <= limit])]
        said = ["none that small was trained", "", "no"]
        if fitting:
            (name, epochs), best = max(fitting, key=lambda item: item[1][measured].mean())
            mean = best[measured].mean()
            enough = mean >= goal / 100 and best.seed.nunique() >= 10
            said = [
                f"{name}, {epochs} epochs, {plural(best.seed.nunique(), 'seed')}",
                pages.accuracy(best[measured], best.test_images.iloc[0]), "yes" if enough else "no",
            ]  # fmt: skip
        lines.append([f"{limit:,} {UNITS[size]}", f"≥ {goal:.2f}", *said])
    header = ["at most", "to reach %", "the best of these", "accuracy %", "reached, by ten seeds"]
    return markdown(header, lines)


def public(table: pd.DataFrame) -> str:
    """Lays out what others have reached."""
    del table
    others = pd.read_csv(PUBLIC)
    lines = [
        [f"{other.network} ({other.source})", _count(other.weights), _count(other.bytes),
         f"{other.accuracy:.2f}", other.protocol]
        for other in others.itertuples()
    ]  # fmt: skip
    header = ["network", "weights", "bytes of weights", "accuracy %", "how"]
    return markdown(header, lines)


def _count(number: float) -> str:
    return "–" if pd.isna(number) else f"{number:,.0f}"


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """Accuracy over the weights, with what others show."""
    axis = figure.subplots()
    others = pd.read_csv(PUBLIC).dropna(subset="weights")
    axis.plot(others.weights, others.accuracy, "x", color="#767676", label="others, see the page")
    for (name, epochs), group in _groups(table):
        mean = significance.mean(group.accuracy.tolist())
        interval = 100 * mean.t_half_width if mean.n > 1 else None
        axis.errorbar(
            group.num_params.iloc[0], 100 * mean.mean, interval, fmt="o", capsize=4,
            label=f"{name}, {epochs} epochs, n = {mean.n}",
        )  # fmt: skip
    axis.set_xlabel("weights")
    axis.set_ylabel("accuracy on the test images, %")
    axis.legend(loc="lower right")


PAGE = pages.Page("small_networks", {"networks": networks, "goals": goals, "public": public}, draw)


def chosen() -> list[str]:
    """Returns the networks that were asked for.

    Raises:
      InputError: if one is not known.
    """
    names = options.NETWORKS.value or list(small_mnist.NETWORKS)
    for name in names:
        if name not in small_mnist.NETWORKS:
            raise unknown("network", name, small_mnist.NETWORKS)
    return names


def collect(
    networks: Sequence[str], workdir: pathlib.Path, display: Display
) -> Iterator[list[dict[str, Any]]]:
    """Yields the rows so far, after each run."""
    rows: list[dict[str, Any]] = []
    quick, epochs = options.QUICK.value, options.EPOCHS.value
    for name, config in runs(networks, options.seeds(10), epochs, quick):
        place = workdir / f"{name}-{config.seed}-{config.student.epochs}"
        if not options.TRAIN.value and not place.exists():
            continue
        found = pages.results(config, place, options.TRAIN.value, display)
        own = [record for record in records.read(place) if record["role"] == "student"]
        rows.append({**row(name, config, found, own), **pages.columns(config, place, found)})
        yield rows


def measured(call: driver.Call) -> list[dict[str, Any]]:
    """Trains and measures, and writes the page after each run; returns the rows."""
    merged: list[dict[str, Any]] = []
    for rows in collect(chosen(), call.workdir, call.display):
        merged = pages.with_others(PAGE, rows, call.root, "run")
        pages.write(PAGE, merged, call.root)
    if not merged:
        raise InputError(f"there are no runs in {call.workdir}; leave out --notrain")
    return merged


if __name__ == "__main__":
    driver.run(PAGE, measured)
