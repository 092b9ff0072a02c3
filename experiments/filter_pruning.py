"""Filter pruning of networks for CIFAR-10, beside Li et al. (2017).

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
from absl import flags, logging
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from distill import cli
from distill.errors import InputError, unknown
from distill.progress import Display
from distill.report.tables import markdown
from experiments import ROOT, options, pages

NETWORKS = flags.DEFINE_list("networks", ["vgg16", "resnet56", "densenet40"], "Which of them.")
WIDTH = flags.DEFINE_float("width", 1.0, "Multiplier of all channels, to train on a CPU.")
IMAGES = flags.DEFINE_integer("images", None, "To train on; by default all.")
FINE_TUNE = flags.DEFINE_integer("fine_tune", 10, "Epochs of the fine-tuning.")

AMOUNTS: dict[str, dict[str, float]] = {  # Li et al. (2017), section 4, each their largest
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
    "resnet56": {"features": (16, 32, 64), "stem": 16},
    "densenet40": {"growth": ((12,) * 12,) * 3, "stem": 16, "transitions": (160, 304)},
}
PUBLISHED = ROOT / "third_party" / "li2017" / "filter_pruning_cifar10.csv"
VARIANTS = {"vgg16": "pruned-A", "resnet56": "pruned-B"}
COSTS = ("num_params", "macs", "float32_latency_us", "int8_latency_us")

WHAT = """\
Filters of least L1 norm are removed at once, with everything that reads them, and the network is
fine-tuned. From VGG16 and ResNet-56 as much goes, layer by layer, as from the largest variants in
Li et al. (2017): half of the first and of the last six convolutions of VGG16; 60, 30 and 10 % of
the first convolution of the blocks of ResNet-56, stage by stage, six of them left out. DenseNet-40,
which they have not, loses 30 % of the filters of each layer. Only whole filters can go: at
a quarter of the width, where a layer of these two has 3 to 16 of them, the shares become 50, 25 and
12.5 % in ResNet-56 and 33 % in DenseNet-40. *Scratch* is the pruned shape with fresh weights,
trained by the recipe of the original."""


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
            config.dataset.name = "cifar10_jpeg"
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


def render(table: pd.DataFrame) -> str:
    """Returns the page."""
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
    return f"""# Filter pruning on CIFAR-10

{WHAT}

{pages.PICTURE}

{markdown(header, lines)}

Accuracy in percent on the whole test set after the last epoch; in brackets, or behind ±, its 95 %
interval. Epochs are those of the training and, behind the plus, of the fine-tuning. A *width* below
full multiplies all channels of the published network, so that a CPU can train it; such rows are not
to be compared with the paper's but in what pruning changes. Files are those of TensorFlow Lite;
microseconds are medians for one image on one thread, both files in turns.

## Beside Li et al. (2017)

{published(table)}

Errors in percent, and what of the MACs and weights was removed.

{pages.extent(table)}"""


def published(table: pd.DataFrame) -> str:
    """Lays out their table 1 and our rows of the same networks."""
    theirs = pd.read_csv(PUBLISHED).set_index(["model", "variant"])
    header = [
        "network", "base", "pruned, fine-tuned", "scratch", "MACs", "weights", "whose",
    ]  # fmt: skip
    lines = []
    for (name, width), group in table.groupby(["network", "width"], sort=False):
        if name not in VARIANTS:
            continue
        variant, mean = VARIANTS[name], group.mean(numeric_only=True)
        pruned = theirs.loc[(name, variant)]
        errors = [theirs.error_percent[name, v] for v in ("base", variant, f"{variant} scratch")]
        shares = [pruned.flops_pruned_percent, pruned.parameters_pruned_percent]
        lines.append(
            [name, *(f"{e:.2f}" for e in errors), *(f"−{s:.1f} %" for s in shares), "Li et al."]
        )
        ours = [100 * (1 - mean[column]) for column in ("original", "fine_tuned", "scratch")]
        gone = [100 * (1 - mean[cost] / mean[f"{cost}_before"]) for cost in ("macs", "num_params")]
        whose = called("ours", width)
        lines.append([name, *(f"{e:.2f}" for e in ours), *(f"−{s:.1f} %" for s in gone), whose])
    return markdown(header, lines)


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
    names = [f"{name}\n× {width:g}" for name, width in mean.width.items()]
    axis.set_yticks(range(len(mean)), names)
    axis.invert_yaxis()
    axis.set_xlabel("error, % of the test images")
    figure.legend(loc="outside lower center", ncols=4)


PAGE = pages.Page("filter_pruning", render, draw)


def main(argv: list[str]) -> None:
    """Trains, prunes, and writes the pages."""
    del argv
    logging.set_verbosity(logging.WARNING)
    display, quick = Display(), options.QUICK.value
    base, rows = options.workdir("filter_pruning"), []
    every = runs(
        NETWORKS.value, options.seeds(1), WIDTH.value, options.EPOCHS.value, FINE_TUNE.value,
        IMAGES.value, quick,
    )  # fmt: skip
    for name, config, directory in every:
        place = base / directory
        found = pages.results(config, place, options.TRAIN.value, display)
        rows.append(
            {**row(name, WIDTH.value, config, found), **pages.columns(config, place, found)}
        )
    root = base / "tables" if quick else ROOT
    rows = pages.with_others(PAGE, rows, root, "network")
    rows.sort(key=lambda row: list(AMOUNTS).index(row["network"]))
    for path in pages.write(PAGE, rows, root):
        display.say(str(path))


if __name__ == "__main__":
    cli.run(main, cli.parse)
