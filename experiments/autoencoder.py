"""What activation pruning leaves of the MNIST autoencoder (Çallı 2017, 2.2.3).

    python -m experiments.autoencoder             # one seed; --seeds=3 for three
    python -m experiments.autoencoder --quick     # seconds, for a look
    python -m experiments.autoencoder --notrain   # only collects what is there

The autoencoder is trained for each seed by the recipe of configs/mnist_autoencoder.py, with and
without regularisation; then the stage `compress` prunes it in each of the thesis's ways. What is
complete in --workdir is not trained again. At the end results/autoencoder.csv, docs/autoencoder.md
and its picture are written.
"""

import pathlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from configs import mnist_autoencoder
from distill.progress import Display
from distill.report.tables import markdown
from experiments import driver, options, pages

ROUNDS = 5  # at most
L1 = 1e-5
VARIANTS: dict[str, dict[str, Any]] = {
    "vanilla": {},
    "distorted": {"distort": True},
    "regularised": {"l1": L1},
    "outliers": {"outliers": True},
    "combined": {"l1": L1, "distort": True, "outliers": True},
}
WHOLE = ("whole", "whole, regularised")  # in the place of the variant
LAYERS = {"encoder0": ("encoder", 0), "encoder1": ("encoder", 1), "decoder0": ("decoder", 0)}
PUBLISHED = {"vanilla": "16 / 64 / 22"}
COLORS = ("#0072B2", "#E69F00", "#009E73")
COSTS = ("num_params", "macs", "float32_bytes", "float32_latency_us")


def runs(
    seeds: Iterable[int], epochs: int | None = None, quick: bool = False
) -> Iterator[tuple[str, ConfigDict, str]]:
    """Yields each variant with its configuration and the name of its directory.

    Those that are trained alike share one.
    """
    for seed in seeds:
        for name, more in VARIANTS.items():
            config = mnist_autoencoder.get_config("quick" if quick else None)
            config.stages, config.seed = "student,compress,evaluate", seed
            config.student.epochs = epochs or config.student.epochs
            left = dict(more)
            config.student.l1 = left.pop("l1", 0.0)
            step = {
                "method": "activation", "threshold": 0, "rounds": 2 if quick else ROUNDS,
                "until": "nothing removed", "fine_tune": {"epochs": 1},
            }  # fmt: skip
            config.compress = ({**step, **left},)
            yield name, config, f"seed-{seed}{'-regularised' if config.student.l1 else ''}"


def rows(
    variant: str, found: Mapping[str, Any], args: Mapping[str, Any], whole: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Returns what the results of a run say of the whole network and of the pruned one.

    Args:
      variant: an entry of `VARIANTS`.
      found: the contents of `results.json`.
      args: of the model that was left.
      whole: of the model before.
    """
    records = found["compress"]
    kind = WHOLE["l1" in VARIANTS[variant]]
    return [
        {
            "variant": name,
            "rounds": len(records) - 1 if name == variant else 0,
            **{layer: widths[side][i] for layer, (side, i) in LAYERS.items()},
            "reconstruction_error": record["reconstruction_error"],
            **{cost: record[cost] for cost in COSTS},
            "test_images": found["models"]["student"]["test_images"],
        }
        for name, widths, record in ((kind, whole, records[0]), (variant, args, records[-1]))
    ]


def variants(table: pd.DataFrame) -> str:
    """Lays out what each variant leaves."""
    header = [
        "variant", "rounds", "channels: encoder 1 / 2 / decoder 1", "thesis", "error", "weights",
        "MACs", "float32 bytes", "µs", "of whole",
    ]  # fmt: skip
    lines = []
    for name, group in table.groupby("variant", sort=False):
        mean = group.mean(numeric_only=True)
        lines.append(
            [
                str(name),
                f"{mean.rounds:g}",
                " / ".join(f"{mean[layer]:g}" for layer in LAYERS),
                PUBLISHED.get(str(name), "–"),
                f"{mean.reconstruction_error:.5f}",
                *(f"{mean[cost]:,.0f}" for cost in COSTS[:3]),
                f"{mean.float32_latency_us:.1f}",
                f"{100 * (group.float32_latency_us / group.whole_latency_us).mean():.0f} %",
            ]
        )
    return f"{markdown(header, lines)}\n\n{pages.extent(table)}"


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """Channels that each variant leaves in each layer, and its error."""
    mean = table.groupby("variant", sort=False).mean(numeric_only=True)
    channels, errors = figure.subplots(1, 2, sharey=True, width_ratios=(2, 1))
    places = range(len(mean))
    for i, (layer, color) in enumerate(zip(LAYERS, COLORS, strict=True)):
        at = [p + 0.27 * (i - 1) for p in places]
        side, index = LAYERS[layer]
        channels.barh(at, mean[layer], 0.25, color=color, label=f"{side} {index + 1}")
    channels.set_yticks(places, mean.index)
    channels.invert_yaxis()
    channels.set_title("channels")
    errors.plot(mean.reconstruction_error, places, "o", color="#D55E00")
    errors.set_xlim(left=0)
    errors.locator_params(axis="x", nbins=3)
    errors.set_title("mean squared error")
    figure.legend(*channels.get_legend_handles_labels(), loc="outside lower center", ncols=3)


PAGE = pages.Page("autoencoder", {"variants": variants}, draw)


def widths(directory: pathlib.Path, display: Display) -> dict[str, Any]:
    """Returns the arguments of a trained autoencoder that count its channels."""
    from distill.training import trained

    model: Any = trained.load(directory / "steps", display.warn).model
    return model.channels().widths


def measured(call: driver.Call) -> list[dict[str, Any]]:
    """Trains and prunes; returns the rows."""
    from distill.compress import stage  # imports JAX, which --help can do without

    made: list[dict[str, Any]] = []
    for variant, config, name in runs(options.seeds(1), options.EPOCHS.value, call.quick):
        place = call.workdir / name
        found = pages.results(config, place, call.train, call.display)
        last = widths(stage.last_checkpoints(place), call.display)
        whole = widths(place / "checkpoints" / "student", call.display)
        both = rows(variant, found, last, whole)
        shared = {
            "whole_latency_us": both[0]["float32_latency_us"],
            **pages.columns(config, place, found),
        }
        known = {(row["variant"], row["seed"]) for row in made}
        made += [{**row, **shared} for row in both if (row["variant"], config.seed) not in known]
    return made


if __name__ == "__main__":
    driver.run(PAGE, measured)
