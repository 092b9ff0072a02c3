"""Small networks for MNIST: how accurate some thousand weights can be.

    python -m experiments.small_networks                     # ten seeds of each network
    python -m experiments.small_networks --networks=tiny_3k --seeds=3
    python -m experiments.small_networks --quick             # a minute or two, for a look
    python -m experiments.small_networks --notrain           # only collects what is there

By the recipe of configs/small_mnist.py, all seeds of a network at once, in --workdir, where nothing
is trained twice. Rows are added to results/small_networks.csv, from which
docs/small_networks.md and its picture are written. Reported is the last epoch. What the best epoch
on the test set would show stands beside it, and is how others' figures came about.
"""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from configs import small_mnist
from distill import files, provenance
from distill.errors import InputError, unknown
from distill.progress import Display
from distill.report.tables import markdown
from experiments import ROOT, driver, options, pages, significance
from experiments.thesis.text import plural

PUBLIC = ROOT / "third_party" / "small_networks" / "public.csv"
PICTURE = "![Small networks](results/small_networks.png)"
DISTILLED = "_distilled"  # how the name of a network ends that has teachers
ROWS = "rows.json"  # of a network, beside its trainings
# What was to be reached, as the mean of ten seeds: at most so many weights or bytes, and percent.
GOALS = (
    ("num_params", 1_000, 99.0), ("num_params", 3_484, 99.15), ("num_params", 3_500, 99.35),
    ("num_params", 6_000, 99.5), ("bytes", 5_000, 99.2), ("bytes", 8_000, 99.4),
    ("bytes", 12_000, 99.5),
)  # fmt: skip
UNITS = {"num_params": "weights", "bytes": "bytes, int8 or int4"}


def names() -> list[str]:
    """Returns all networks, each trained on labels and distilled."""
    return [f"{name}{how}" for name in small_mnist.NETWORKS for how in ("", DISTILLED)]


def configuration(name: str, epochs: int | None = None, quick: bool = False) -> ConfigDict:
    """Returns the configuration of a network.

    Args:
      name: of `names`.
      epochs: of the network; by default those of the recipe.
      quick: a run of seconds on few images.
    """
    words = [name.removesuffix(DISTILLED)]
    words += ["distilled"] * name.endswith(DISTILLED) + ["quick"] * quick
    config = small_mnist.get_config(",".join(words))
    config.student.epochs = epochs or config.student.epochs
    return config


def row(
    name: str, config: ConfigDict, seed: int, shipped: Mapping[str, Any], tested: Sequence[float]
) -> dict[str, Any]:
    """Returns what is measured of a network of one seed.

    Args:
      name: of the network.
      config: of it.
      seed: of its training.
      shipped: from `candidates.measured` and `four_bits.measured`, on the test images.
      tested: the accuracy on the test images after each epoch.
    """
    return {
        "run": f"{name}-{seed}-{config.student.epochs}",
        "network": name,
        "args": json.dumps(config.student.args.to_dict()),
        **shipped,
        "best_epoch_accuracy": max(tested),
        "seed": seed,
        "epochs": config.student.epochs,
    }


def train(
    name: str, config: ConfigDict, seeds: Sequence[int], place: pathlib.Path, display: Display
) -> list[dict[str, Any]]:
    """Returns the rows of a network, of whose seeds those that have none yet train together.

    Args:
      name: of the network.
      config: of it.
      seeds: of the students; all have the same teachers.
      place: of its trainings; its rows are kept there.
      display: says what happens.
    """
    from distill import candidates, data, provenance, study, validation  # import JAX, which
    from distill.run import Run, claim  # --help can do without
    from experiments import four_bits

    rows = {row["seed"]: row for row in left(place, config)}
    missing = [seed for seed in seeds if seed not in rows]
    if missing:
        settings = validation.validate(config)
        dataset = data.load(config, *data.find(config, display.warn))
        run = Run(settings, place, dataset, display)
        shared = {
            "test_images": len(dataset.test), "config_hash": claim(place, config, dataset.name),
            "commit": provenance.commit(), "device": provenance.device(), "dataset": dataset.name,
        }  # fmt: skip
        for batch in study.batches(list(study.students([run], missing)), (0, 1)):
            models = [m for _, m, _ in study.train_together(batch, place, display, monitored=True)]
            small = four_bits.tuned(run, batch, models, display)
            for student, model, of_four in zip(batch, models, small, strict=True):
                seed, directory = student.about.seeds[0], place / "files" / student.id
                shipped = {
                    **candidates.measured(model, dataset, config.export, directory),
                    **four_bits.measured(of_four, dataset, config.export, directory),
                }
                tested = [record["test_accuracy"] for record in model.history]
                rows[seed] = row(name, config, seed, shipped, tested) | shared
            text = json.dumps(list(rows.values()), indent=1).encode()
            files.replace(place / ROWS, lambda file, text=text: file.write(text))
    return [rows[seed] for seed in sorted(rows) if seed in seeds]


def left(place: pathlib.Path, config: ConfigDict) -> list[dict[str, Any]]:
    """Returns the rows of a network that are kept beside its trainings.

    Raises:
      InputError: if they are of another configuration.
    """
    from distill.run import claim

    path = place / ROWS
    rows = json.loads(path.read_text()) if path.exists() else []
    for row in rows[:1]:
        claim(place, config, row["dataset"])
    return rows


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
             pages.accuracy(group.accuracy, images), f"{first.int8_bytes:,}",
             pages.accuracy(group.int8_accuracy, images), f"{first.int4_bytes:,}",
             pages.accuracy(group.int4_accuracy, images), f"{100 * best.mean:.2f}{sure}"]
        )  # fmt: skip
    header = [
        "network", "seeds", "epochs", "weights", "MACs", "float32 bytes", "accuracy %",
        "int8 bytes", "accuracy %", "int4 bytes", "accuracy %", "best epoch − last",
    ]  # fmt: skip
    return f"{PICTURE}\n\n{markdown(header, lines)}\n\n{pages.extent(table)}"


def _groups(table: pd.DataFrame) -> Any:
    """Returns the rows of each network and length, by rising weights."""
    return table.sort_values(["num_params", "epochs"]).groupby(["network", "epochs"], sort=False)


def goals(table: pd.DataFrame) -> str:
    """Lays out what was to be reached, and what was."""
    lines = []
    for size, limit, goal in GOALS:
        found = []
        for form in ("",) if size == "num_params" else ("int8_", "int4_"):
            column = size if size == "num_params" else f"{form}bytes"
            for (name, epochs), group in _groups(table):
                if group[column].max() > limit:
                    continue
                values = group[f"{form}accuracy"]
                how = f"{name}{', ' * bool(form)}{form.rstrip('_')}, {epochs} epochs"
                found.append((values.mean(), how, values, group))
        said = ["none that small was trained", "", "no"]
        if found:
            mean, how, values, group = max(found, key=lambda item: item[0])
            seeds = group.seed.nunique()
            said = [
                f"{how}, {plural(seeds, 'seed')}",
                pages.accuracy(values, group.test_images.iloc[0]),
                "yes" if mean >= goal / 100 and seeds >= 10 else "no",
            ]
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
    asked = options.NETWORKS.value or names()
    for name in asked:
        if name not in names():
            raise unknown("network", name, names())
    return asked


def measured(call: driver.Call) -> list[dict[str, Any]]:
    """Trains and measures, and writes the page after each network; returns the rows."""
    provenance.make_a_device_of_each_core()
    merged: list[dict[str, Any]] = []
    for name in chosen():
        config = configuration(name, options.EPOCHS.value, call.quick)
        seeds, place = options.seeds(10), call.workdir / f"{name}-{config.student.epochs}"
        found = (
            train(name, config, seeds, place, call.display) if call.train else left(place, config)
        )
        if found:
            merged = pages.with_others(PAGE, found, call.root, "run")
            pages.write(PAGE, merged, call.root)
    if not merged:
        raise InputError(f"there are no rows in {call.workdir}; leave out --notrain")
    return merged


if __name__ == "__main__":
    driver.run(PAGE, measured)
