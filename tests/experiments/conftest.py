"""A made-up study: accuracies by formula, so that what the page must say is known."""

import shutil
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from configs.thesis_study import MODELS
from experiments import RESULTS
from experiments.thesis import comparisons, rows

IMAGES = 10_000
SIZES = {  # weights and multiply-accumulates
    "teacher": (3274634, 13883904), "simplenet_v1": (3484, 149940), "simplenet_v2": (5968, 64680),
    "simplenet_v3": (3982, 43120), "simplenet_v4": (6007, 71736), "simplenet_v5": (4000, 46256),
}  # fmt: skip
Accuracy = Callable[[str, str, float | None], float]


def row(model, seed, accuracy, temperature=None, loss="soft_squared_error", **other):
    """A row as the sweep writes it."""
    distilled = loss != "cross_entropy"
    weights, macs = SIZES[model]
    return {
        "id": f"{model}-{loss}-{temperature}-{seed}-{sorted(other.items())}",
        "config": "thesis", "config_hash": "0" * 12, "commit": "0" * 10, "device": "a processor",
        "dataset": "mnist", "status": "ok", "model": model, "loss": loss,
        "temperature": temperature, "alpha": 1.0 if distilled else None,
        "gradient_correction": False if loss == "soft_squared_error" else None,
        "learning_rate": 0.01, "seed": seed, "epochs": 20, "train_examples": 60_000,
        "labelled_fraction": 1.0, "teacher_members": 1 if distilled else None,
        "num_params": weights, "macs": macs, "compression_rate": 1 - weights / SIZES["teacher"][0],
        "accuracy": accuracy, "precision": accuracy, "recall": accuracy, "f_measure": accuracy,
        "agreement": accuracy if distilled else None, "validation_accuracy": None,
        "train_seconds": 60.0, "compile_seconds": 2.0,
    } | other  # fmt: skip


def _right(accuracy, seed, rng):
    """Which images are right: the easier ones, and a little luck."""
    difficulty = np.random.default_rng(0).permutation(IMAGES) / IMAGES
    right = difficulty < accuracy
    luck = rng.choice(IMAGES, 20, replace=False)
    right[luck] = rng.random(20) < accuracy
    return right


@pytest.fixture(scope="session")
def make_study():
    """Writes the files of a study into a folder, and reads it."""

    def write(
        folder,
        accuracy: Accuracy,
        seeds=range(3),
        temperatures=(1.0, 3.0, 10.0),
        methods=("soft_squared_error", "cross_entropy"),
        **other,
    ):
        rng = np.random.default_rng(1)
        table, correct = [], {}
        for model in MODELS:
            for method in methods:
                loss, _, how = method.partition(" ")
                grid = (None,) if loss == "cross_entropy" else temperatures
                apart = {
                    "corrected": {"gradient_correction": True},
                    "ensemble": {"teacher_members": 3},
                    "10% unlabelled": {"labelled_fraction": 0.1},
                    "recipe": {"learning_rate": 1e-4, "epochs": 50},
                    "fashion_mnist": {"dataset": "fashion_mnist"},
                    "learned": {
                        "learn_temperature": True,
                        "final_temperature": 2.5,
                        "train_examples": 55_000,
                        "validation_accuracy": 0.9,
                    },
                    "": {},
                }[how]
                for temperature in grid[:1] if how in ("unlabelled", "learned") else grid:
                    for seed in seeds:
                        right = _right(accuracy(model, method, temperature), seed, rng)
                        one = row(model, seed, right.mean(), temperature, loss, **(other | apart))
                        group = rows.Group(model, method, temperature)
                        correct.setdefault(group, {})[seed] = right
                        table.append(one)
                        if method == "soft_squared_error":
                            chosen = rows.Group(model, f"{method} selection", temperature)
                            correct.setdefault(chosen, {})[seed] = right
                            held = {"train_examples": 55_000, "validation_accuracy": right.mean()}
                            table.append({**one, **held, "id": one["id"] + " selection"})
        for name, part in rows.split(pd.DataFrame(table)).items():
            part.to_csv(folder / f"{name}.csv", index=False)
        shutil.copy(RESULTS / rows.MAIN, folder)
        comparisons.counts(correct).to_csv(folder / "thesis_mcnemar.csv", index=False)
        return rows.read(folder)

    return write


@pytest.fixture(scope="session")
def made_row():
    return row
