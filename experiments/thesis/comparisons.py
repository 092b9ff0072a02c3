"""Which groups of students are compared with one another, and which differences are real."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from configs.thesis_study import DATASETS, MODELS
from experiments import significance
from experiments.thesis.rows import CORRECTED, DISTILLED, LABELS, RECIPE, SELECTION, Group, Study

POOLED = {"simplenet_v4": "simplenet_v2", "simplenet_v5": "simplenet_v3"}
REAL = 0.05
COLUMNS = ["a", "b", "seed", "a_better", "b_better", "images"]


class Verdict(NamedTuple):
    """How two groups differ in accuracy.

    Attributes:
      a, b: the groups.
      difference: a - b over the seeds that both have, with its t-interval.
      p_images: of McNemar's test over the images, corrected for the tests beside it.
      p_seeds: of the paired t-test over the seeds, likewise.
      word: `better` or `worse` if both tests say so, else `open`.
      detectable: the difference that the test over the seeds would find four times in five.
    """

    a: Group
    b: Group
    difference: significance.Difference
    p_images: float
    p_seeds: float
    word: str
    detectable: float


def pairs(groups: Sequence[Group]) -> list[tuple[Group, Group]]:
    """Returns the pairs of groups that a table, figure or answer compares."""
    students = [group for group in groups if group.model in MODELS]
    return [
        (group, other)
        for group in students
        for other in students
        if other != group and _compared(group, other)
    ]


def _compared(group: Group, other: Group) -> bool:
    model, method, temperature = group
    if _apart(group) != _apart(other):
        return False
    if other.model == POOLED.get(model):
        return other.method == method and other.temperature == temperature
    if other.model != model:
        return False
    if method.endswith(SELECTION):
        return False
    if method.endswith("learned"):  # on the same training images as the students of the selection
        return other.method == method.replace("learned", SELECTION)
    on_labels = other.method in (LABELS, method.replace(DISTILLED, LABELS))
    by_thesis = other.method == DISTILLED and other.temperature == temperature
    first = other.method == (DISTILLED if method == CORRECTED else method)
    return on_labels or by_thesis or (first and other.temperature == 1)


def _apart(group: Group) -> str:
    """Returns of which other data set, or by which other recipe, the students of a group are."""
    last = group.method.split()[-1]
    return last if last == RECIPE or last.startswith(DATASETS) else ""


def counts(correct: Mapping[Group, Mapping[int, np.ndarray]]) -> pd.DataFrame:
    """Counts for each pair on which images one of the two does better.

    Args:
      correct: for each group and seed, whether its student is right, `[images]`.

    Returns:
      A row for each pair and seed, and one, `all`, for all their common seeds together.
    """
    rows = []
    for a, b in pairs(list(correct)):
        seeds = sorted(correct[a].keys() & correct[b].keys())
        sets = [(str(seed), [seed]) for seed in seeds] + ([("all", seeds)] if seeds else [])
        for name, chosen in sets:
            both = [np.stack([correct[group][seed] for seed in chosen]) for group in (a, b)]
            a_better, b_better = significance.discordant(*both)
            row = {"a": str(a), "b": str(b), "seed": name, "a_better": a_better}
            rows.append({**row, "b_better": b_better, "images": both[0].shape[1]})
    return pd.DataFrame(rows, columns=COLUMNS)


def judge(study: Study, asked: Sequence[tuple[Group, Group]]) -> list[Verdict]:
    """Compares pairs that are read together, as the rows of a table are.

    A difference is called real if it would show with other images (McNemar's test) and with other
    seeds (the paired t-test), at 5 % after Holm's correction for the number of pairs.
    """
    differences, p_images = [], []
    for a, b in asked:
        left, right = study.of(a), study.of(b)
        seeds = left.index.intersection(right.index)
        values = [runs.accuracy[seeds].tolist() for runs in (left, right)]
        nothing = significance.Difference(0, *[math.nan] * 3)
        differences.append(significance.paired_t(*values) if len(seeds) else nothing)
        better = study.counts.get((str(a), str(b)))
        p_images.append(math.nan if better is None else significance.mcnemar(*better))
    p_images = significance.holm(p_images)
    p_seeds = significance.holm([difference.p_value for difference in differences])
    return [
        Verdict(
            a, b, difference, images, seeds, word(difference.mean, images, seeds),
            significance.detectable(difference, len(asked)),
        )
        for (a, b), difference, images, seeds in zip(
            asked, differences, p_images, p_seeds, strict=True
        )
    ]  # fmt: skip


def word(difference: float, p_images: float, p_seeds: float) -> str:
    """Returns whether a difference is `better`, `worse` or, without both tests, `open`."""
    if p_images < REAL and p_seeds < REAL:  # false where one is NaN
        return "better" if difference > 0 else "worse"
    return "open"
