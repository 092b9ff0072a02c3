"""EfficientNet-Lite0 as trained on ImageNet's photos, made a classifier of CIFAR-10 and smaller.

    python -m experiments.transfer --init=WEIGHTS
    python -m experiments.transfer --quick --init=WEIGHTS     # a look, on few images
    python -m experiments.transfer --notrain                  # only collects what is there

docs/your_images.md says where the weights come from. A head is trained on what the frozen network
makes of CIFAR-10; all of it is trained on; filters are removed, and the rest is fine-tuned, beside
the same shape from fresh weights; a small network is distilled from it, beside the same one trained
on labels. All of them are exported to int8 and the files proven. What is complete in --workdir is
not trained again, and what comes later in `RUNS` builds on what is before it. After each network
results/transfer.csv, docs/transfer.md and its picture are written.
"""

import json
import pathlib
import timeit
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from distill import config as configs
from distill import presets
from distill.errors import InputError, unknown
from distill.report.tables import markdown
from experiments import driver, options, pages

SIZE, LARGER = 64, 96  # pixels to which CIFAR-10's 32×32 are enlarged
SMALL = {"width": 0.35, "head": 320}  # of a MobileNetV2
AMOUNTS = {"pruned_30": 0.335, "pruned_50": 0.56}  # of the filters inside of each block
RUNS = {  # how each is called on the page; each after what it begins with
    "frozen": "head alone",
    "frozen_96": f"head alone, at {LARGER} px",
    "tuned": "all layers",
    "pruned_30": "30 % fewer MACs",
    "scratch_30": "30 % fewer MACs, from scratch",
    "pruned_50": "50 % fewer MACs",
    "scratch_50": "50 % fewer MACs, from scratch",
    "small_labels": "small, on labels",
    "small_distilled": "small, distilled",
}
FORMATS = ("float32", "int8")
CONFIG = "config.json"
RUNS_TIMED = 300
FILES = "files"  # of a run, whose latencies are measured


def config_of(name: str, init: str, base: pathlib.Path, quick: bool = False) -> ConfigDict:
    """Returns the configuration of one of `RUNS`.

    Args:
      name: of the run.
      init: weights of EfficientNet-Lite0, as ImageNet made them.
      base: the directory of all runs.
      quick: on few images.

    Raises:
      InputError: for an unknown name.
    """
    if name not in RUNS:
        raise unknown("network", name, RUNS)
    config = configs.defaults()
    config.stages = "student,compress,evaluate,export"
    config.loss.name = "cross_entropy"
    config.dataset.name, config.dataset.image_size = "cifar10", SIZE
    config.dataset.fallback = "cifar10_jpeg"  # where it is prepared
    config.dataset.mean, config.dataset.std = presets.IMAGENET_MEAN, presets.IMAGENET_STD
    config.dataset.resident_mb = 2048
    config.export.formats = "int8"
    config.export.max_accuracy_drop = 0.05  # it is measured, not ensured
    student = config.student
    student.update({"model": "efficientnet_lite0", "batch_size": 64, "schedule": "one_cycle"})
    if name.startswith("frozen"):
        student.update({"epochs": 30, "init": init, "freeze": "!logits", "learning_rate": 3e-3})
        if name == "frozen_96":
            config.dataset.image_size = LARGER
    elif name.startswith("small"):
        config.stages = "teacher,student,evaluate,export"
        student.update({"model": "mobilenet_v2", "epochs": 6, "learning_rate": 3e-3})
        student.augmentation = "flip"
        with config.unlocked():
            student.args.update(SMALL)
        tuned = str(base / "tuned")
        config.teacher.update({"model": "efficientnet_lite0", "init": tuned, "epochs": 0})
        if name == "small_distilled":
            config.loss.update({"name": "kl", "temperature": 4.0, "alpha": 0.9})
        else:
            config.stages = "student,evaluate,export"
    else:
        tuning = {"epochs": 4, "learning_rate": 1e-3, "freeze": "*_norm"}
        student.update({**tuning, "init": str(base / "frozen"), "augmentation": "crop_flip"})
    if name.startswith("pruned"):
        student.update({"epochs": 0, "init": str(base / "tuned")})
        config.compress = (
            {
                "method": "filters", "layers": "*/expand", "score": "taylor",
                "amount": AMOUNTS[name], "fine_tune": {**tuning, "epochs": 2},
            },
        )  # fmt: skip
    if name.startswith("scratch"):
        student.update({"init": "", "learning_rate": 3e-3, "freeze": ""})
        with config.unlocked():
            student.args.update(_shape(base / name.replace("scratch", "pruned")))
    if quick:
        config.dataset.train, config.dataset.test = "train[:640]", "test[:200]"
        config.export.max_accuracy_drop = 1.0
        student.epochs = min(student.epochs, 1)
    return config


def _shape(workdir: pathlib.Path) -> dict[str, Any]:
    """Returns the arguments of what a run was pruned to."""
    from distill.compress import stage
    from distill.training import trained

    left = trained.load(stage.last_checkpoints(workdir) / "steps", lambda line: None)
    return left.about.args


def row(name: str, config: ConfigDict, results: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what the results of a run say of the network that it ended with."""
    last = results["models"]["compressed" if config.compress else "student"]
    rounds = results.get("compress") or [{}]
    tuning = config.compress[0]["fine_tune"]["epochs"] if config.compress else 0
    return {
        "network": name,
        "size": config.dataset.image_size,
        "train": config.dataset.train,
        "fine_tune_epochs": tuning,
        "test_images": sum(map(sum, last["confusion_matrix"])),
        "accuracy": last["accuracy"],
        "untuned": rounds[-1].get("untuned_accuracy"),
        "num_params": last["num_params"],
        "macs": last["macs"],
        "agreement": last["agreement"],
        "int8_accuracy": results["export"]["int8"]["accuracy_tflite"],
    }


def files(config: ConfigDict, place: pathlib.Path) -> dict[str, int]:
    """Writes the float32 file of a run beside its proven int8 file, and returns their bytes.

    Of the float32 file only bytes and latency are wanted: it is not run on the test images.
    """
    from distill import data
    from distill.compress import measure, stage
    from distill.export import bundle, drafting
    from distill.training import trained

    steps = stage.last_checkpoints(place) if config.compress else place / "checkpoints" / "student"
    model = trained.load(steps / "steps", lambda line: None)
    shape, classes = model.about.input_shape, model.about.num_classes
    one = data.Split(np.zeros((1, *shape), np.uint8), np.zeros(1, np.int32))
    dataset = data.Dataset(model.about.dataset, one, None, one, None, classes, "")
    labels = [str(i) for i in range(classes)]
    drafted, _ = drafting.draft(model, dataset, labels, config.export, "float32")
    proven = bundle.read(place / "export" / "int8")
    (place / FILES).mkdir(exist_ok=True)
    for format, made in zip(FORMATS, (drafted, proven), strict=True):
        measure.path(place / FILES, format).write_bytes(made.model)
    return {
        f"{format}_bytes": len(made.model)
        for format, made in zip(FORMATS, (drafted, proven), strict=True)
    }


def least(place: pathlib.Path) -> dict[str, float]:
    """Returns the least microseconds of an image: what others do meanwhile adds to the rest."""
    from distill.compress import measure
    from distill.export import runtime

    latencies = {}
    for format in FORMATS:
        model = measure.path(place, format).read_bytes()
        tensor, _ = runtime.forms(model)
        run = runtime.runner(model, np.zeros(tensor["shape"], tensor["dtype"]))
        times = timeit.repeat(run, number=1, repeat=RUNS_TIMED)
        latencies[f"{format}_latency_us"] = 1e6 * min(times)
    return latencies


def networks(table: pd.DataFrame) -> str:
    """Lays out the networks, each with what it was trained on and what it costs."""
    table = table.set_index("network")
    header = [
        "network", "px", "trained on", "test images", "epochs", "before tuning", "accuracy", "int8",
        "weights", "MACs", "float32 kB", "int8 kB", "float32 ms", "int8 ms",
    ]  # fmt: skip
    lines = []
    for name in (name for name in RUNS if name in table.index):
        of_run = table.loc[name]
        tuned = of_run.untuned >= 0  # and not missing
        epochs = f"{of_run.epochs}" + (f" + {of_run.fine_tune_epochs}" if tuned else "")
        lines.append(
            [
                RUNS[name], str(of_run["size"]), of_run.train, f"{of_run.test_images:,}", epochs,
                f"{100 * of_run.untuned:.2f}" if tuned else "–",
                pages.accuracy(pd.Series([of_run.accuracy]), of_run.test_images),
                f"{100 * of_run.int8_accuracy:.2f}", f"{of_run.num_params:,}", f"{of_run.macs:,}",
                *(f"{of_run[f'{f}_bytes'] / 1000:,.0f}" for f in FORMATS),
                *(f"{of_run[f'{f}_latency_us'] / 1000:.2f}" for f in FORMATS),
            ]
        )  # fmt: skip
    return f"{markdown(header, lines)}\n\n{pages.extent(table.reset_index())}"


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """Accuracy over multiply-accumulates."""
    axis = figure.subplots()
    for _, of_run in table.iterrows():
        scratch = of_run.network.startswith(("scratch", "small_labels"))
        color = "#767676" if scratch else "#0072B2"
        axis.plot(of_run.macs / 1e6, 100 * of_run.accuracy, "o", color=color)
        axis.annotate(
            RUNS[of_run.network], (of_run.macs / 1e6, 100 * of_run.accuracy),
            textcoords="offset points", xytext=(7, -4), color=color, fontsize=11,
        )  # fmt: skip
    axis.set_xscale("log")
    axis.set_xticks([3, 5, 10, 20, 40], ["3", "5", "10", "20", "40"])
    axis.minorticks_off()
    axis.margins(x=0.25)
    axis.set_xlabel("million multiply-accumulates for an image")
    axis.set_ylabel("accuracy, %")


PAGE = pages.Page("transfer", {"transfer": networks}, draw)


def measured(call: driver.Call) -> list[dict[str, Any]]:
    """Trains what is missing; after each network all rows are written, with those of others."""
    if call.train and not options.INIT.value:
        raise InputError("give the weights to start from by --init; docs/your_images.md has them")
    base = call.workdir.absolute()
    rows: list[dict[str, Any]] = []
    for name in options.NETWORKS.value or RUNS:
        place = base / name
        if not call.train and not (place / FILES).exists():
            continue
        init = (
            options.INIT.value
            or json.loads((base / "frozen" / CONFIG).read_text())["student"]["init"]
        )
        config = config_of(name, init, base, call.quick)
        call.display.say(f"{name}: {RUNS[name]}")
        results = pages.results(config, place, call.train, call.display)
        cost = files(config, place) | least(place / FILES)
        rows.append({**row(name, config, results), **cost, **pages.columns(config, place, results)})
        pages.write(PAGE, pages.with_others(PAGE, rows, call.root, "network"), call.root)
    return pages.with_others(PAGE, rows, call.root, "network")


if __name__ == "__main__":
    driver.run(PAGE, measured)
