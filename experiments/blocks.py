"""Efficient structures in one network (Çallı 2017, sections 2.3 to 2.5).

    python -m experiments.blocks             # one seed; --seeds=3 for three
    python -m experiments.blocks --quick     # seconds, for a look
    python -m experiments.blocks --notrain   # only collects and measures what is there

The network is the thesis's MNIST classifier. Each variant is a run of its own in --workdir, trained
alike, by the recipe of configs/mnist_calli.py; what is complete is not trained again. At the end
all files are timed in turns, and results/blocks.csv, docs/blocks.md and its picture are written.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from configs import mnist_calli
from distill.report.tables import markdown
from experiments import driver, options, pages

VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "1-D": {"inner": (0, 32, 0)},
    "1-D, all three": {"inner": (4, 32, 64)},
    "separable": {"block": "separable"},
    "bottleneck": {"block": "bottleneck"},
    "inception": {"block": "inception"},
    "residual": {"block": "residual"},
}
FORMATS = ("float32", "int8")
TURNS, RUNS = 20, 250  # of each file, as in the benchmark of exported files


def runs(
    seeds: Iterable[int], epochs: int | None = None, quick: bool = False
) -> Iterator[tuple[str, ConfigDict, str]]:
    """Yields each variant with its configuration and the name of its directory."""
    for name, args in VARIANTS.items():
        for seed in seeds:
            config = mnist_calli.get_config("quick" if quick else None)
            config.stages, config.seed = "student,evaluate,export", seed
            config.export.formats = ",".join(FORMATS)
            config.export.max_accuracy_drop = 1.0  # what is lost is measured here, not judged
            config.student.epochs = epochs or config.student.epochs
            with config.unlocked():
                config.student.args.update(args)
            yield name, config, f"{name.replace(', ', '-').replace(' ', '_')}-{seed}"


def row(variant: str, config: ConfigDict, found: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what the results of a run say of its variant."""
    model, proofs = found["models"]["student"], found["export"]
    return {
        "variant": variant,
        "model": config.student.model,
        "args": json.dumps(config.student.args.to_dict()),
        "test_images": sum(map(sum, model["confusion_matrix"])),
        "accuracy": model["accuracy"],
        **{key: model[key] for key in ("num_params", "macs")},
        **{f"{format}_bytes": proofs[format]["bytes"] for format in FORMATS},
        "int8_accuracy": proofs["int8"]["accuracy_tflite"],
    }


def structures(table: pd.DataFrame) -> str:
    """Lays out each variant beside the plain network."""
    groups = dict(list(table.groupby("variant", sort=False)))
    plain = groups["plain"].mean(numeric_only=True)
    header = [
        "network", "accuracy %", "weights", "MACs", "of plain", "float32 bytes", "float32 µs",
        "of plain", "int8 bytes", "int8 µs", "of plain", "int8 accuracy %",
    ]  # fmt: skip
    lines = []
    for name, group in groups.items():
        mean = group.mean(numeric_only=True)
        cells = [str(name), pages.accuracy(group.accuracy, group.test_images.iloc[0])]
        cells += [f"{mean.num_params:,.0f}", f"{mean.macs:,.0f}", _share(mean, plain, "macs")]
        for format in FORMATS:
            time = f"{format}_latency_us"
            cells += [f"{mean[f'{format}_bytes']:,.0f}", f"{mean[time]:.1f}"]
            cells.append(_share(mean, plain, time))
        lines.append([*cells, f"{100 * mean.int8_accuracy:.2f}"])
    seeds = table.seed.nunique()
    sure = "a 95 % t-interval over the seeds" if seeds > 1 else "the 95 % interval by test images"
    whole, epochs = mnist_calli.get_config().student.epochs, table.epochs.max()
    reduced = f"Reduced: {epochs} of {whole} epochs. " if epochs < whole else ""
    return (
        f"{markdown(header, lines)}\n\nAccuracy after the last epoch, with {sure}. {reduced}"
        f"{pages.extent(table)}"
    )


def _share(mean: pd.Series, plain: pd.Series, column: str) -> str:
    return f"{100 * mean[column] / plain[column]:.0f} %"


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """What each variant has of the plain network's MACs and time, and the errors of each seed."""
    mean = table.groupby("variant", sort=False).mean(numeric_only=True)
    costs, errors = figure.subplots(1, 2, sharey=True, width_ratios=(2, 1))
    bars = {
        "macs": ("MACs", "#767676"),
        "float32_latency_us": ("time, float32", "#0072B2"),
        "int8_latency_us": ("time, int8", "#E69F00"),
    }
    places = range(len(mean))
    for i, (column, (label, color)) in enumerate(bars.items()):
        share = 100 * mean[column] / mean.loc["plain", column]
        costs.barh([p + 0.27 * (i - 1) for p in places], share, 0.25, color=color, label=label)
    costs.set_yticks(places, mean.index)
    costs.invert_yaxis()
    costs.set_xlabel("% of the plain network's")
    costs.set_title("cost")
    figure.legend(loc="outside lower center", ncols=3)
    for _, runs_of_seed in table.groupby("seed"):
        found = runs_of_seed.set_index("variant").accuracy.reindex(mean.index)
        errors.plot(100 * (1 - found), places, "o", color="#D55E00", alpha=0.8)
    errors.set_xlabel("% of the test images")
    errors.set_xlim(left=0)
    errors.set_title("errors")


PAGE = pages.Page("blocks", {"structures": structures}, draw)


def measured(call: driver.Call) -> list[dict[str, Any]]:
    """Trains and measures; returns the rows."""
    from distill.export import bundle, latency  # imports JAX, which --help can do without

    rows, bundles = [], {}
    for variant, config, name in runs(options.seeds(1), options.EPOCHS.value, call.quick):
        place = call.workdir / name
        found = pages.results(config, place, call.train, call.display)
        rows.append({**row(variant, config, found), **pages.columns(config, place, found)})
        for format in FORMATS:
            bundles[f"{name} {format}"] = bundle.read(place / "export" / format)
    times = latency.measure(bundles, threads=1, rounds=2 if call.quick else TURNS, runs=RUNS)
    for i, time in enumerate(times):
        rows[i // len(FORMATS)][f"{FORMATS[i % len(FORMATS)]}_latency_us"] = round(time.p50, 2)
    return rows


if __name__ == "__main__":
    driver.run(PAGE, measured)
