"""What removing filters of one layer alone costs: the curves of Li et al. (2017), figure 2.

    python -m experiments.sensitivity --networks=vgg16 --width=0.25 --epochs=20
    python -m experiments.sensitivity --quick

The networks are those that `experiments.filter_pruning` has trained with the same flags, of the
first seed. results/sensitivity.csv, docs/sensitivity.md and its picture are written; of networks
that are not named they keep what they have.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from distill.compress import filters
from distill.compress import network as networks
from distill.compress.context import Context
from distill.compress.network import Network
from distill.compress.scores import SCORES, looked_at
from distill.progress import Display
from distill.report.tables import markdown
from experiments import driver, filter_pruning, options, pages

SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
IMAGES = 1000  # on which the curves are measured


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """A curve for each group of channels, as figure 2 of Li et al."""
    networks = table.groupby(["network", "width"], sort=False)
    axes = figure.subplots(1, len(networks), squeeze=False)[0]
    for axis, ((name, width), rows) in zip(axes, networks, strict=True):
        groups = list(rows.groupby("group", sort=False))
        for i, (group, curve) in enumerate(groups):
            color = (0.1 + 0.8 * i / len(groups), 0.35, 0.75 - 0.6 * i / len(groups))
            label = str(group) if i in (0, len(groups) - 1) else None
            axis.plot(
                100 * curve.amount, 100 * curve.accuracy, "-o", ms=3, color=color, label=label
            )
        axis.set_title(filter_pruning.called(name, width))
        axis.set_xlabel("% of filters removed")
        axis.legend()
    axes[0].set_ylabel("accuracy, %")


def missed(table: pd.DataFrame) -> str:
    """Lays out the groups of filters that are missed the most."""
    last = table[table.amount == table.amount.max()]
    lines = [
        [filter_pruning.called(name, width), str(row.group), f"{100 * row.accuracy:.2f}"]
        for (name, width), group in last.groupby(["network", "width"], sort=False)
        for row in group.sort_values("accuracy").head(3).itertuples()
    ]
    return (
        f"Where {100 * table.amount.max():g} % are missed the most:\n\n"
        f"{markdown(['network', 'group', 'accuracy %'], lines)}\n\n{pages.extent(table)}"
    )


PAGE = pages.Page("sensitivity", {"missed": missed}, draw)


def sensitivity(
    network: Network,
    context: Context,
    score: str,
    amounts: Sequence[float],
    evaluate: Callable[[Network], float],
) -> list[dict[str, Any]]:
    """Measures what removing channels of one group alone costs, without fine-tuning.

    The curves of Li et al. (2017), figure 2. The channels are masked and not removed, which gives
    the same outputs and needs one program instead of one for each width.

    Args:
      network: trained.
      context: what the score may look at.
      score: an entry of `scores.SCORES`.
      amounts: shares of a group's channels, each in [0, 1).
      evaluate: returns the accuracy of a network.

    Returns:
      For each group and amount `group`, `size`, `score`, `amount`, `removed` and `accuracy`.
    """
    for amount in amounts:
        filters.check(score=score, amount=amount)
    groups = filters.removable(network, "*")
    scores = SCORES[score](network, looked_at(score, context), groups)
    rows = []
    for group in groups:
        for amount in amounts:
            keep = filters.best(
                group.name, scores[group.name], round(amount * group.size), context.say
            )
            masks = networks.masks(network, {group.name: keep})
            params = {p: v * masks[p] if p in masks else v for p, v in network.params.items()}
            masked = dataclasses.replace(network, params=params)
            rows.append(
                {
                    "group": group.name,
                    "size": group.size,
                    "score": score,
                    "amount": amount,
                    "removed": int(group.size - keep.sum()),
                    "accuracy": evaluate(masked),
                }
            )
    return rows


def curves(config: ConfigDict, place: pathlib.Path, display: Display) -> list[dict[str, Any]]:
    """Measures the curves of a network that a run has trained."""
    from distill import data
    from distill.compress import rounds
    from distill.training import trained

    model = trained.load(place / "checkpoints" / "student" / "steps", display.warn)
    dataset = data.load(config, *data.find(config, display.warn))
    split = data.Split(dataset.test.images[:IMAGES], dataset.test.labels[:IMAGES])
    network = rounds.as_network(model)
    context = Context(
        dataset.train.images[:IMAGES], dataset.train.labels[:IMAGES], tuple(config.dataset.mean),
        tuple(config.dataset.std), "cross_entropy", network, config.seed, display.say,
    )  # fmt: skip
    found = sensitivity(
        network, context, "l1", SHARES,
        lambda masked: trained.quality(rounds.as_trained(masked, model), split),
    )  # fmt: skip
    return [{**row, "test_images": len(split)} for row in found]


def measured(call: driver.Call) -> list[dict[str, Any]]:
    """Measures; returns the rows, and those of networks that are not named."""
    base, rows = options.workdir("filter_pruning"), []
    width, fine_tune = filter_pruning.WIDTH.value, filter_pruning.FINE_TUNE.value
    every = filter_pruning.runs(
        options.NETWORKS.value or list(filter_pruning.AMOUNTS), [0], width, options.EPOCHS.value,
        fine_tune, filter_pruning.IMAGES.value, call.quick,
    )  # fmt: skip
    for name, config, directory in every:
        place = base / directory
        found = pages.results(config, place, False, call.display)
        shared = {"width": width, **pages.columns(config, place, found)}
        rows += [{"network": name, **row, **shared} for row in curves(config, place, call.display)]
    rows = pages.with_others(PAGE, rows, call.root, "network")
    return sorted(rows, key=lambda row: list(filter_pruning.AMOUNTS).index(row["network"]))


if __name__ == "__main__":
    driver.run(PAGE, measured)
