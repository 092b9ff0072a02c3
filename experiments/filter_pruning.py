"""Filter pruning of networks for CIFAR-10, beside Li et al. (2017).

    python -m experiments.filter_pruning --networks=resnet20 --epochs=20
    python -m experiments.filter_pruning --networks=vgg16 --width=0.25 --epochs=20
    python -m experiments.filter_pruning --quick     # a look, on few images
    python -m experiments.filter_pruning --notrain   # only collects what is there

Each network is trained by the recipe of its configuration; then the stage `compress` prunes it once
and fine-tunes it, and trains the pruned shape from scratch. What is complete in --workdir is not
trained again. At the end results/filter_pruning.csv, docs/filter_pruning.md and its picture are
written; of networks that are not named they keep what they have. `experiments.sensitivity` measures
more of the same networks.
"""

import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
from absl import flags
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from distill.errors import InputError, unknown
from distill.report.tables import markdown
from experiments import ROOT, driver, options, pages

WIDTH = flags.DEFINE_float("width", 1.0, "Multiplier of all channels, to train on a CPU.")
IMAGES = flags.DEFINE_integer("images", None, "To train on; by default all.")
FINE_TUNE = flags.DEFINE_integer("fine_tune", 10, "Epochs of the fine-tuning.")

AMOUNTS: dict[str, dict[str, float]] = {  # Li et al. (2017), section 4, each their largest
    "resnet20": {
        "stage0_block*/conv0": 0.6, "stage1_block*/conv0": 0.3, "stage2_block*/conv0": 0.1,
    },
    "vgg16": {"conv0,conv7,conv8,conv9,conv1?": 0.5},
    "resnet56": {
        "stage0_block*/conv0": 0.6, "stage1_block*/conv0": 0.3, "stage2_block*/conv0": 0.1,
        "stage0_block7/conv0,stage0_block8/conv0,stage1_block0/conv0,stage1_block7/conv0,"
        "stage2_block0/conv0,stage2_block8/conv0": 0.0,
    },
    "densenet40": {"block*/conv": 0.3},
}  # fmt: skip
QUICK_AMOUNTS = {"vgg16": {"conv*": 0.5}, "resnet56": {"stage*/conv0": 0.5}}
WIDTHS: dict[str, dict[str, Any]] = {  # what --width multiplies
    "vgg16": {"features": (64,) * 2 + (128,) * 2 + (256,) * 3 + (512,) * 6, "hidden": (512,)},
    "resnet20": {"features": (16, 32, 64), "stem": 16},
    "resnet56": {"features": (16, 32, 64), "stem": 16},
    "densenet40": {"growth": ((12,) * 12,) * 3, "stem": 16, "transitions": (160, 304)},
}
PUBLISHED = ROOT / "third_party" / "li2017" / "filter_pruning_cifar10.csv"
BESIDE = {  # the network and variant of the paper that a network stands beside
    "resnet20": ("resnet56", "pruned-B"),
    "vgg16": ("vgg16", "pruned-A"),
    "resnet56": ("resnet56", "pruned-B"),
}
COSTS = ("num_params", "macs", "float32_latency_us", "int8_latency_us")


def runs(
    networks: Sequence[str],
    seeds: Iterable[int],
    width: float = 1.0,
    epochs: int | None = None,
    fine_tune: int = 10,
    images: int | None = None,
    quick: bool = False,
) -> Iterator[tuple[str, ConfigDict, str]]:
    """Yields each network with its configuration and the name of its directory.

    Raises:
      InputError: for an unknown network, or a width that is not above 0 and at most 1.
    """
    if not 0 < width <= 1:
        raise InputError(f"--width is {width}; it must be above 0, at most 1")
    for seed in seeds:
        for name in networks:
            if name not in AMOUNTS:
                raise unknown("network", name, AMOUNTS)
            module = importlib.import_module(f"configs.cifar10_{name}")
            config = module.get_config("quick" if quick else None)
            config.stages, config.seed = "student,compress,evaluate", seed
            if images and not quick:
                config.dataset.train = f"train[:{images}]"
            config.student.epochs = epochs or config.student.epochs
            if width < 1 and not quick:
                with config.unlocked():
                    config.student.args.update(scaled(WIDTHS[name], width))
            amount = QUICK_AMOUNTS.get(name, AMOUNTS[name]) if quick else AMOUNTS[name]
            step = {
                "method": "filters", "score": "l1", "amount": dict(amount), "scratch": True,
                "fine_tune": {"epochs": 1 if quick else fine_tune},
            }  # fmt: skip
            config.compress = (step,)
            yield name, config, f"{name}-{'quick' if quick else f'{width:g}'}-{seed}"


def called(name: str, width: float) -> str:
    """Returns the name of a network with its width, if that is not the published one."""
    return f"{name} × {width:g}" if width < 1 else name


def scaled(value: Any, width: float) -> Any:
    """Multiplies numbers of channels, at any depth, to at least 1."""
    if isinstance(value, Mapping):
        return {key: scaled(inner, width) for key, inner in value.items()}
    if isinstance(value, tuple):
        return tuple(scaled(inner, width) for inner in value)
    return max(1, round(value * width))


def row(name: str, width: float, config: ConfigDict, found: Mapping[str, Any]) -> dict[str, Any]:
    """Returns how a network was trained, and what the results say, before and after."""
    before, after = found["compress"][0], found["compress"][-1]
    return {
        "network": name,
        "width": width,
        "train": config.dataset.train,
        "fine_tune_epochs": config.compress[0]["fine_tune"]["epochs"],
        "test_images": sum(map(sum, found["models"]["student"]["confusion_matrix"])),
        "original": before["accuracy"],
        "pruned": after["untuned_accuracy"],
        "fine_tuned": after["accuracy"],
        "scratch": after["scratch_accuracy"],
        **{f"{cost}_before": before[cost] for cost in COSTS},
        **{cost: after[cost] for cost in COSTS},
    }


def pruned(table: pd.DataFrame) -> str:
    """Lays out each network before and after."""
    images = table.test_images.iloc[0]
    header = [
        "network", "width", "trained on", "epochs", "original", "pruned", "fine-tuned", "scratch",
        "weights", "MACs", "float32 µs", "int8 µs",
    ]  # fmt: skip
    lines = []
    for (name, width), group in table.groupby(["network", "width"], sort=False):
        mean = group.mean(numeric_only=True)
        epochs = f"{mean.epochs:g} + {mean.fine_tune_epochs:g}"
        cells = [str(name), f"× {width:g}" if width < 1 else "full", group.train.iloc[0], epochs]
        for column in ("original", "pruned", "fine_tuned", "scratch"):
            cells.append(pages.accuracy(group[column], images))
        for cost in COSTS:
            begun = mean[f"{cost}_before"]
            digits = 1 if cost.endswith("us") else 0
            share = 100 * mean[cost] / begun - 100
            cells.append(f"{begun:,.{digits}f} → {mean[cost]:,.{digits}f} ({share:+.0f} %)")
        lines.append(cells)
    return f"{markdown(header, lines)}\n\n{pages.extent(table)}"


def published(table: pd.DataFrame) -> str:
    """Lays out their table 1 and our rows of the same networks."""
    theirs = pd.read_csv(PUBLISHED).set_index(["model", "variant"])
    header = [
        "network", "base", "pruned, fine-tuned", "scratch", "MACs", "weights", "whose",
    ]  # fmt: skip
    lines = []
    for model, variant in dict.fromkeys(BESIDE.values()):
        ours = [
            _in_percent(called(str(name), width), group)
            for (name, width), group in table.groupby(["network", "width"], sort=False)
            if BESIDE.get(str(name)) == (model, variant)
        ]
        if ours:
            pruned = theirs.loc[(model, variant)]
            variants = ("base", variant, f"{variant} scratch")
            errors = [f"{theirs.error_percent[model, each]:.2f}" for each in variants]
            shares = (pruned.flops_pruned_percent, pruned.parameters_pruned_percent)
            lines += [
                [model, *errors, *(f"−{share:.1f} %" for share in shares), "Li et al."],
                *ours,
            ]
    return markdown(header, lines)


def _in_percent(name: str, group: pd.DataFrame) -> list[str]:
    """Returns our cells of the rows of a network beside the paper's."""
    mean = group.mean(numeric_only=True)
    errors = [100 * (1 - mean[column]) for column in ("original", "fine_tuned", "scratch")]
    gone = [100 * (1 - mean[cost] / mean[f"{cost}_before"]) for cost in ("macs", "num_params")]
    return [name, *(f"{e:.2f}" for e in errors), *(f"−{share:.1f} %" for share in gone), "ours"]


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """Errors of each network as trained, pruned, fine-tuned and from scratch."""
    mean = table.groupby("network", sort=False).mean(numeric_only=True)
    axis = figure.subplots()
    colors = {
        "original": "#767676", "pruned": "#D55E00", "fine_tuned": "#0072B2", "scratch": "#E69F00",
    }  # fmt: skip
    for i, (column, color) in enumerate(colors.items()):
        at = [p + 0.2 * (i - 1.5) for p in range(len(mean))]
        axis.barh(at, 100 * (1 - mean[column]), 0.18, color=color, label=column.replace("_", "-"))
    names = [called(str(name), width).replace(" ", "\n", 1) for name, width in mean.width.items()]
    axis.set_yticks(range(len(mean)), names)
    axis.invert_yaxis()
    axis.set_xlabel("error, % of the test images")
    figure.legend(loc="outside lower center", ncols=4)


PAGE = pages.Page("filter_pruning", {"pruned": pruned, "published": published}, draw)


def measured(call: driver.Call) -> list[dict[str, Any]]:
    """Trains and prunes; returns the rows, and those of networks that are not named."""
    rows = []
    every = runs(
        options.NETWORKS.value or list(AMOUNTS), options.seeds(1), WIDTH.value,
        options.EPOCHS.value, FINE_TUNE.value, IMAGES.value, call.quick,
    )  # fmt: skip
    for name, config, directory in every:
        place = call.workdir / directory
        found = pages.results(config, place, call.train, call.display)
        rows.append(
            {**row(name, WIDTH.value, config, found), **pages.columns(config, place, found)}
        )
    rows = pages.with_others(PAGE, rows, call.root, "network")
    return sorted(rows, key=lambda row: list(AMOUNTS).index(row["network"]))


if __name__ == "__main__":
    driver.run(PAGE, measured)
