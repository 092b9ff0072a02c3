"""Recipes for small networks: the augmentation and learning rate, chosen on held-out images.

    python -m experiments.small_recipes                      # of all networks
    python -m experiments.small_recipes --networks=v1        # ten minutes of two cores
    python -m experiments.small_recipes --quick              # a minute, for a look
    python -m experiments.small_recipes --notrain            # only collects what is there

The sweeps of configs/small_mnist.py with `recipe`, in --workdir, where nothing is trained twice.
Their rows become results/small_recipes.csv, from which docs/small_recipes.md and its picture are
written. No test image is looked at.
"""

import json
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from configs import small_mnist
from distill import provenance
from distill.errors import InputError, unknown
from distill.report.tables import markdown
from experiments import driver, options, pages, significance
from experiments.thesis import text

NETWORKS = ("v1", "tiny_3k")
SEEDS = 3
HELD_OUT = 5_000  # images
KEPT = (
    "id", "config_hash", "commit", "device", "dataset", "seed", "epochs", "train_examples",
    "validation_accuracy",
)  # fmt: skip


def rows(call: driver.Call, network: str) -> list[dict[str, Any]]:
    """Returns the rows of a network's recipes, of which those that have none yet are trained.

    Args:
      call: what was asked for.
      network: of `NETWORKS`.
    """
    workdir = call.workdir / network
    if call.train:
        from distill import study  # imports JAX, which --help can do without

        config = small_mnist.get_config(",".join([network, "recipe"] + ["quick"] * call.quick))
        config.sweep.seeds = tuple(options.seeds(SEEDS))
        config.student.epochs = options.EPOCHS.value or config.student.epochs
        study.run(config, workdir, call.display)
    path = workdir / "results.csv"
    if not path.exists():
        return []
    return [
        {"network": network, **_recipe(row["point"]), **{key: row[key] for key in KEPT}}
        for row in pages.read_csv(path).to_dict("records")
    ]


def _recipe(point: str) -> dict[str, Any]:
    return {key.removeprefix("student."): value for key, value in json.loads(point).items()}


def recipes(table: pd.DataFrame) -> str:
    """Lays out what each recipe gives each network, the best first."""
    lines = []
    for network, augmentation, rate, mean in _means(table):
        of_it = table[table.network == network].set_index("seed")
        own = of_it[(of_it.augmentation == augmentation) & (of_it.learning_rate == rate)]
        if not lines or lines[-1][0] != network:
            best = own
        seeds = own.index.intersection(best.index)
        pairs = [runs.validation_accuracy[seeds].tolist() for runs in (own, best)]
        against = significance.paired_t(*pairs)
        lines.append(
            [network, augmentation, f"{rate:g}", f"{mean.n}",
             pages.accuracy(own.validation_accuracy, HELD_OUT),
             text.NONE if own is best else text.points(against.mean, against.half_width)]
        )  # fmt: skip
    header = [
        "network", "augmentation", "learning rate", "seeds", "held-out accuracy %",
        "against the best, at the same seeds",
    ]  # fmt: skip
    return f"{PICTURE}\n\n{markdown(header, lines)}\n\n{_extent(table)}"


def _means(table: pd.DataFrame) -> list[tuple[str, str, float, significance.Mean]]:
    """Returns network, augmentation, rate and accuracy of each recipe, by network and accuracy."""
    groups = table.groupby(["network", "augmentation", "learning_rate"])
    found = [(*key, significance.mean(g.validation_accuracy.tolist())) for key, g in groups]
    return sorted(found, key=lambda entry: (entry[0], -entry[3].mean))


def _extent(table: pd.DataFrame) -> str:
    config = small_mnist.get_config("v1,recipe")
    return (
        f"Accuracy on `{config.dataset.validation}` of {table.dataset.iloc[0]}, in percent, "
        f"after {text.plural(int(table.epochs.max()), 'epoch')} on "
        f"{table.train_examples.iloc[0]:,} images; "
        f"{', '.join(sorted(table.device.unique()))}; commit "
        f"{', '.join(sorted(table.commit.unique()))}."
    )


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """The accuracy that each recipe gives, a panel for each network."""
    networks = sorted(table.network.unique())
    panels = figure.subplots(1, len(networks), squeeze=False)[0]
    for axis, network in zip(panels, networks, strict=True):
        found = [entry for entry in _means(table) if entry[0] == network][::-1]
        accuracies = [100 * entry[3].mean for entry in found]
        sure = [100 * entry[3].t_half_width if entry[3].n > 1 else 0 for entry in found]
        axis.errorbar(accuracies, range(len(found)), xerr=sure, fmt="o", capsize=4)
        axis.set_yticks(range(len(found)), [f"{entry[1]}, {entry[2]:g}" for entry in found])
        axis.set_title(network)
        axis.set_xlabel("held-out accuracy, %")


PICTURE = "![Recipes for small networks](results/small_recipes.png)"
PAGE = pages.Page("small_recipes", {"recipes": recipes}, draw)


def measured(call: driver.Call) -> list[dict[str, Any]]:
    """Trains what is missing; returns all rows."""
    provenance.make_a_device_of_each_core()
    asked = options.NETWORKS.value or NETWORKS
    for name in asked:
        if name not in NETWORKS:
            raise unknown("network", name, NETWORKS)
    found = [row for name in asked for row in rows(call, name)]
    if not found:
        raise InputError(f"there are no rows in {call.workdir}; leave out --notrain")
    return pages.with_others(PAGE, found, call.root, "network")


if __name__ == "__main__":
    driver.run(PAGE, measured)
