"""What the students of the study said of each test image, in one file that a study goes on from.

`thesis_predictions.npz` has for each data set `NAME_ids`, the students by their rows, and
`NAME_errors`, uint8 `[students, images]`: the class that a student said less the right one, modulo
256, and 0 where it is right. So any other test can be made of the study than those that its pages
have, and it can be finished on another machine than it was begun on.
"""

import pathlib
from collections.abc import Mapping

import numpy as np
import pandas as pd

from distill import files
from distill.errors import InputError
from distill.report.rows import COLUMNS, PREDICTIONS, RESULTS, Table
from experiments.thesis.rows import Group

FILE = "thesis_predictions.npz"

Labels = Mapping[str, np.ndarray]  # of the test images of each data set, `[images]`


def read(table: pd.DataFrame, labels: Labels) -> dict[str, np.ndarray]:
    """Reads what the finished students of some sweeps said.

    Args:
      table: of them, with the column `folder`, where their sweep lies.
      labels: of the test images of each data set, `[images]`.

    Returns:
      For the id of each student the classes that it said, `[images]`.

    Raises:
      InputError: if a file is missing, or of other images.
    """
    found = {}
    for row in table[table.status == "ok"].itertuples():
        path = pathlib.Path(row.folder, PREDICTIONS, f"{row.id}.npy")
        if not path.exists():
            raise InputError(f"{path} is missing: the predictions of a row of results.csv")
        if row.dataset not in labels:
            raise InputError(f"{path} is of {row.dataset}, not of {', '.join(sorted(labels))}")
        said, known = np.load(path), labels[row.dataset]
        right = said == known if said.shape == known.shape else np.array([])
        if not right.size or abs(right.mean() - row.accuracy) > 1e-6:
            raise InputError(f"{path} is not of these {len(known)} test images")
        found[row.id] = said
    return found


def correct(
    table: pd.DataFrame, said: Mapping[str, np.ndarray], labels: Labels
) -> dict[Group, dict[int, np.ndarray]]:
    """Returns for each group and seed whether the student is right, `[images]`.

    Args:
      table: from `rows.named`.
      said: from `read`.
      labels: of the test images of each data set, `[images]`.
    """
    found: dict[Group, dict[int, np.ndarray]] = {}
    for row in table[table.id.isin(said)].itertuples():
        temperature = None if pd.isna(row.temperature) else row.temperature
        right = said[row.id] == labels[row.dataset]
        found.setdefault(Group(row.model, row.method, temperature), {})[row.seed] = right
    return found


def write(
    folder: pathlib.Path, table: pd.DataFrame, said: Mapping[str, np.ndarray], labels: Labels
) -> pathlib.Path:
    """Writes `FILE` into a folder; arguments as of `read`, which `said` is from."""
    arrays = {}
    for name, rows in table[table.id.isin(said)].groupby("dataset"):
        ids = sorted(rows.id)
        errors = np.stack([said[id].astype(np.uint8) for id in ids])
        arrays[f"{name}_ids"] = np.array(ids)
        arrays[f"{name}_errors"] = errors - labels[name].astype(np.uint8)
    path = folder / FILE
    files.replace(path, lambda file: np.savez_compressed(file, **arrays))
    return path


def restore(
    folder: pathlib.Path,
    workdir: pathlib.Path,
    config_hash: str,
    dataset: str,
    labels: np.ndarray,
) -> int:
    """Puts the rows and predictions of a study into a directory, as if trained there.

    Args:
      folder: of the study's files.
      workdir: of a sweep of the same configuration.
      config_hash: of the sweep.
      dataset: of the sweep.
      labels: of its test images, `[images]`.

    Returns:
      How many students have a row there that had none.

    Raises:
      InputError: if the rows are of another configuration, or lack predictions.
    """
    rows = []
    for path in sorted(folder.glob("thesis*.csv")):
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        if "id" in table:  # those that have students
            rows += table[table.dataset == dataset].assign(file=path.name).to_dict("records")
    for row in rows:
        if row["config_hash"] != config_hash:
            raise InputError(
                f"{folder / row['file']} has rows of the configuration {row['config_hash']}, this "
                f"one is {config_hash}: they cannot be gone on from; leave out --published"
            )
    said = _saved(folder / FILE, dataset, labels)
    table = Table(workdir / RESULTS, config_hash, lambda line: None)
    there = table.ids()
    missing = [row for row in rows if row["id"] not in there]
    for row in missing:
        if row["status"] == "ok":
            if row["id"] not in said:
                raise InputError(
                    f"{folder / FILE} lacks the predictions of {row['id']}, a row of {row['file']}"
                )
            (workdir / PREDICTIONS).mkdir(exist_ok=True)
            np.save(workdir / PREDICTIONS / f"{row['id']}.npy", said[row["id"]])
    table.append([{name: row[name] for name in COLUMNS if name in row} for row in missing])
    return len(missing)


def _saved(path: pathlib.Path, dataset: str, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Returns what each student of a data set said, `[images]` uint16; none if there are none."""
    if not path.exists():
        return {}
    with np.load(path) as arrays:
        if f"{dataset}_ids" not in arrays:
            return {}
        ids, errors = arrays[f"{dataset}_ids"], arrays[f"{dataset}_errors"]
    if errors.shape[1:] != labels.shape:
        raise InputError(f"{path} is of {errors.shape[1]} test images, not of {len(labels)}")
    said = errors + labels.astype(np.uint8)  # which wraps around as the difference did
    return dict(zip(ids.tolist(), said.astype(np.uint16), strict=True))
