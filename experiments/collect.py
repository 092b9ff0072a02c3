"""Collects the results of finished runs into a CSV file: `python -m experiments.collect RUN...`."""

import argparse
import pathlib

import pandas as pd

from distill import evaluation, records
from distill.errors import InputError
from distill.report import RESULTS

RATES = ("accuracy", "precision", "recall", "f_measure", "agreement", "compression_rate")


def rows(workdir: pathlib.Path) -> list[dict]:
    """Returns a row for each model of a run."""
    results = evaluation.read_results(workdir)
    if not results:
        raise InputError(f"{workdir / RESULTS} is missing; the stage evaluate writes it")
    log = records.read(workdir)
    found = []
    for role, model in results["models"].items():
        epochs = [r for r in log if r["role"] == role]
        found.append(
            {
                "config": workdir.name,
                "role": role,
                "dataset": results["dataset"],
                **{k: v for k, v in model.items() if k != "confusion_matrix"},
                **{k: None if model[k] is None else round(model[k], 6) for k in RATES},
                "epochs": len({r["epoch"] for r in epochs}),
                "train_seconds": round(sum(r["seconds"] for r in epochs), 1),
                "commit": results["commit"],
                "device": results["device"],
            }
        )
    return found


def main() -> None:
    """Writes the rows of the given runs, each model of each training once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=pathlib.Path, help="directories of finished runs")
    parser.add_argument("--csv", type=pathlib.Path, required=True, help="the file to write")
    arguments = parser.parse_args()
    table = pd.DataFrame([row for run in arguments.runs for row in rows(run)])
    shared = table["role"] == "teacher"  # the students of one teacher each name it
    teacher = (
        table[shared]
        .drop_duplicates(["dataset", "model", "seed", "epochs", "accuracy"])
        .assign(config="teacher")
    )
    table = pd.concat([teacher, table[~shared]])
    table.to_csv(arguments.csv, index=False)


if __name__ == "__main__":
    main()
