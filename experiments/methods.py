"""Every method of distillation, for two networks of 6,007 weights or fewer.

    python -m experiments.methods            # five seeds; --seeds=3 for three
    python -m experiments.methods --quick    # a minute or two, for a look
    python -m experiments.methods --notrain  # only collects what is there

The first 10,000 training images of MNIST, all of their labels or a tenth. A method is one loss or a
few weighted ones, with the numbers of its paper; the teacher of all of them is the same. All seeds
of a method train in one program. What has a row in --workdir is not trained again, so the command
can be stopped at any time and started again. At the end it writes results/methods.csv and the
tables and the picture of docs/methods.md.
"""

import pathlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from absl import logging
from ml_collections import ConfigDict

from distill import cli, presets, provenance
from distill import config as configs
from distill.errors import InputError
from distill.progress import Display
from experiments import ROOT, methods_page, options, pages, significance

MODELS = ("simplenet_v1", "simplenet_v4")
IMAGES = 10_000  # so that a table of all that the teacher sees of them fits the memory
FRACTIONS = (1.0, 0.1)  # of the labels
EPOCHS = 20  # of the students; where they see a tenth of the images, ten times as many
SEEDS = 5

Loss = Mapping[str, Any]  # of `config.loss`


def terms(**weighted: Mapping[str, Any]) -> Loss:
    """Returns a loss of several terms."""
    return {"terms": weighted}


def beside_labels(method: str, weight: float, **numbers: Any) -> Loss:
    """Returns the loss of a method whose paper adds it to the cross-entropy."""
    return terms(cross_entropy={}, **{method: {"weight": weight, **numbers}})


def softened(method: str) -> Loss:
    """Returns the loss of a method that takes nine tenths, at T = 4, as is usual for `kl`."""
    return terms(cross_entropy={"weight": 0.1}, **{method: {"weight": 0.9, "temperature": 4.0}})


# The weights of features and relations are those of Tian et al. (2020), arXiv:1910.10699.
METHODS: dict[str, Loss] = {
    methods_page.LABELS: terms(cross_entropy={}),
    "label smoothing": terms(cross_entropy={"label_smoothing": 0.1}),
    "teacher_free": terms(
        cross_entropy={"weight": 0.9}, teacher_free={"weight": 0.1, "temperature": 20.0}
    ),
    "kl": softened("kl"),
    "kl, standardised": terms(
        cross_entropy={"weight": 0.1},
        kl={"weight": 9.0, "temperature": 2.0, "standardise": True},
    ),
    "kl, curriculum": {
        "name": "kl", "alpha": 0.9, "temperature": 15.6, "temperature_curriculum": 10 / 240,
    },
    "reverse_kl": softened("reverse_kl"),
    "jensen_shannon": softened("jensen_shannon"),
    "soft_squared_error": terms(soft_squared_error={"temperature": 3.0}),
    "logit_mse": terms(logit_mse={}),
    "dkd": beside_labels("dkd", 1.0, temperature=4.0),
    "nkd": beside_labels("nkd", 1.0, temperature=1.0),
    "rld": beside_labels("rld", 1.0, temperature=4.0),
    "dist": beside_labels("dist", 2.0, temperature=4.0),
    "attention": beside_labels("attention", 1000.0),
    "fitnets": beside_labels("fitnets", 100.0),
    "fitnets, two stages": {
        "terms": {**softened("kl")["terms"], "fitnets": {}}, "hint_stage": 1 / 3,
    },
    "nst": beside_labels("nst", 50.0),
    "vid": beside_labels("vid", 1.0),
    "srrl": beside_labels("srrl", 1.0),
    "simkd": terms(simkd={}),
    "similarity": beside_labels("similarity", 3000.0),
    "rkd": terms(cross_entropy={}, rkd_distance={"weight": 25.0}, rkd_angle={"weight": 50.0}),
    "pkt": beside_labels("pkt", 30000.0),
    "correlation_congruence": beside_labels("correlation_congruence", 0.02),
    "crd": beside_labels("crd", 0.8),
    "crd_memory": beside_labels("crd_memory", 0.8),
    "mutual": beside_labels("mutual", 1.0),
}  # fmt: skip


def sweep(
    fraction: float,
    *,
    seeds: Sequence[int] = range(SEEDS),
    epochs: int | None = None,
    quick: bool = False,
) -> ConfigDict:
    """Returns the configuration of the students of all methods, a sweep.

    Those that differ in nothing but the method make equally many steps. Sweeps that differ in the
    fraction share all but their axes, and so a directory.

    Args:
      fraction: of the labels, of `FRACTIONS`.
      seeds: of the students; all of them have the same teacher.
      epochs: of the students; `EPOCHS` if None.
      quick: a run of seconds on few images.
    """
    config = presets.simplenet(1, "quick" if quick else None)
    config.student.args = ConfigDict()  # the models' own; an axis names them
    # The teacher sees every image as it is: what it says of them fits a table.
    config.teacher.augmentation = config.student.augmentation = "none"
    if not quick:
        config.dataset.train = f"train[:{IMAGES}]"
    epochs = epochs or (1 if quick else EPOCHS)
    # Without a teacher a student sees the images that have a label, and no others.
    more = round(epochs / fraction)
    config.sweep.seeds = tuple(seeds)
    config.sweep.axes = (
        {
            "dataset.labelled_fraction": (fraction,),
            "teacher.epochs": (round(config.teacher.epochs / fraction),),
        },
        {
            **varied(METHODS.values()),
            "student.epochs": tuple(
                epochs if from_teacher(loss) else more for loss in METHODS.values()
            ),
        },
        {"student.model": MODELS},
    )
    return config


def varied(found: Collection[Loss]) -> dict[str, tuple[Any, ...]]:
    """Returns losses as an axis of a sweep; what one of them does not name is as by default."""
    by_default = configs.defaults().loss.to_dict()
    fields = sorted({field for loss in found for field in loss})
    return {f"loss.{f}": tuple(loss.get(f, by_default[f]) for loss in found) for f in fields}


def from_teacher(loss: Loss) -> bool:
    """Whether a teacher takes part."""
    from distill import losses  # imports JAX, which --help can do without

    return losses.needs_teacher(losses.name_of({"terms": {}, **loss}))


def collect(
    workdir: pathlib.Path, labels: np.ndarray, methods: Mapping[str, Loss]
) -> list[dict[str, Any]]:
    """Returns a row for each student, and how its group does beside labels only.

    Args:
      workdir: of the sweeps.
      labels: of the test images, `[images]`.
      methods: those that are compared, in their order.

    Returns:
      The rows of the sweep with `method`, and with `a_better` and `b_better`, on how many images
      the group and the one with labels only do better than the other: the counts of McNemar's test.

    Raises:
      InputError: if nothing is there.
    """
    path = workdir / "results.csv"
    if not path.exists():
        raise InputError(f"{path} is missing; leave out --notrain")
    table = pages.read_csv(path)
    names = {_shown(loss): method for method, loss in methods.items()}
    table = table.assign(method=table.loss.map(names)).dropna(subset="method")
    table = in_order(table, methods)
    rows: list[dict[str, Any]] = []
    for _, setting in table.groupby(["labelled_fraction", "model"], sort=False):
        right = {
            method: _right(group[group.status == "ok"], workdir, labels)
            for method, group in setting.groupby("method", sort=False)
        }
        alone = right.get(methods_page.LABELS, {})
        for method, group in setting.groupby("method", sort=False):
            seeds = sorted(right[method].keys() & alone.keys())
            counts = (0, 0)
            if seeds:
                both = (np.stack([of[s] for s in seeds]) for of in (right[method], alone))
                counts = significance.discordant(*both)
            counted = {"a_better": counts[0], "b_better": counts[1], "test_images": len(labels)}
            rows += [row | counted for row in group.to_dict("records")]
    return rows


def in_order(table: pd.DataFrame, methods: Collection[str]) -> pd.DataFrame:
    """Sorts rows: all labels first, then by model, by method as they are given, and by seed.

    Raises:
      InputError: if two are of the same student, trained otherwise, as for other epochs.
    """
    student = ["labelled_fraction", "model", "method", "seed"]
    if (twice := table[table.duplicated(student)]).size:
        said = ", ".join(str(value) for value in twice[student].iloc[0])
        raise InputError(
            f"there are several rows of one student ({said}), trained otherwise; choose another "
            "--workdir, or --quick, whose results stay in it"
        )
    order = {method: i for i, method in enumerate(methods)}
    return table.sort_values(
        student, ascending=[False, True, True, True],
        key=lambda column: column.map(order) if column.name == "method" else column,
    )  # fmt: skip


def _shown(loss: Loss) -> str:
    from distill import losses
    from distill.training import recipe

    config = configs.defaults()
    config.loss.update(loss)
    return losses.shown(recipe.loss_section(config.loss))


def _right(group: pd.DataFrame, workdir: pathlib.Path, labels: np.ndarray) -> dict[int, np.ndarray]:
    """Returns for each seed on which images its student is right, `[images]`."""
    return {
        row.seed: np.load(workdir / "predictions" / f"{row.id}.npy") == labels
        for row in group.itertuples()
    }


def main(argv: list[str]) -> None:
    """Trains, collects, and writes the page."""
    del argv
    provenance.make_a_device_of_each_core()
    from distill import data, study  # imports JAX, which --help can do without

    logging.set_verbosity(logging.WARNING)
    display, quick, workdir = Display(), options.QUICK.value, options.workdir("methods")
    chosen = {"seeds": options.seeds(SEEDS), "epochs": options.EPOCHS.value, "quick": quick}
    for fraction in FRACTIONS if options.TRAIN.value else ():
        study.run(sweep(fraction, **chosen), workdir, display)
    config = sweep(FRACTIONS[0], **chosen)
    labels = data.load(config, *data.find(config, display.warn)).test.labels
    root = workdir / "tables" if quick else ROOT
    rows = collect(workdir, labels, METHODS)
    for path in methods_page.write(rows, root, methods_page.MNIST):
        display.say(str(path))


if __name__ == "__main__":
    cli.run(main, cli.parse)
