"""Trains what the thesis's tables need and writes them: `python -m experiments.reproduce`.

The full study is 850 trainings for tables 2.3 to 2.6 and 240 more to choose the temperatures.
`--seeds=3 --temperatures=1,3,10` is a reduced one, and the tables say so. What was trained before
in the same --workdir is not trained again, nor, with `--published`, what is in results/ already.
"""

import functools
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from absl import flags, logging
from ml_collections import ConfigDict

from configs import thesis_study
from configs.thesis_study import DATASETS
from distill import cli, provenance
from distill.errors import InputError, unknown
from distill.progress import Display
from experiments import RESULTS, options, pages, results_page
from experiments.thesis import comparisons, predictions, rows

# What each table is made of; figures 2.2 to 2.4 go with table 2.3, figure 2.5 with 2.3 and 2.5.
TABLES = {
    "2.3": ("students", "selection", "teacher"),
    "2.4": ("runs",),
    "2.5": ("temperatures",),
    "2.6": ("students", "selection", "baselines"),
    "learned": ("selection", "learned"),
    **{
        name: (name,)
        for name in ("teacher", "corrected", "kl", "ensemble", "unlabelled", "recipe", *DATASETS)
    },
}

REMOVE = "remove the file if they are of another study, or collect both"

NAMES = flags.DEFINE_list("tables", ["2.3", "2.4", "2.5", "2.6"], f"Among {', '.join(TABLES)}.")
TEMPERATURES = flags.DEFINE_list(
    "temperatures", [f"{t:g}" for t in thesis_study.TEMPERATURES], "Tried for every student."
)
PUBLISHED = flags.DEFINE_bool(
    "published", False, "Go on from the rows in results/, on whatever machine they were trained."
)


def sweeps(tables: Sequence[str]) -> list[str]:
    """Returns the sweeps that some tables need, each once.

    Raises:
      InputError: for a table that does not exist.
    """
    for table in tables:
        if table not in TABLES:
            raise unknown("table", table, TABLES)
    return list(dict.fromkeys(name for table in tables for name in TABLES[table]))


def collect(
    workdir: pathlib.Path, labels: Mapping[str, np.ndarray], folder: pathlib.Path
) -> list[pathlib.Path]:
    """Writes the rows of a study, its counts for McNemar's test, and what its students said.

    Args:
      workdir: of the sweeps; their results may also be in folders of their own in it.
      labels: of the test images of each data set, `[images]`.
      folder: for the files.

    Returns:
      The files written.

    Raises:
      InputError: if there is nothing, if predictions are missing or of other images, or if rows
        that stand in `folder` would be lost.
    """
    tables = _tables(workdir)
    if not tables:
        raise InputError(f"no results.csv in {workdir} or its folders; leave out --notrain")
    table = pd.concat(tables, ignore_index=True).drop_duplicates("id")
    parts = rows.split(table)
    for path, lost in _lost(folder, tables):
        raise InputError(f"{path} has {lost} rows that {workdir} has not; {REMOVE}")
    named = [
        rows.named(part, rows.SELECTION if name.endswith(rows.SELECTION) else "")
        for name, part in parts.items()
    ]
    together = pd.concat(named)
    rows.require_one_each(together)
    said = predictions.read(together, labels)
    parts["thesis_mcnemar"] = comparisons.counts(predictions.correct(together, said, labels))
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, part in parts.items():
        written.append(folder / f"{name}.csv")
        part.drop(columns="folder", errors="ignore").to_csv(written[-1], index=False)
    return [*written, predictions.write(folder, together, said, labels)]


def _tables(workdir: pathlib.Path) -> list[pd.DataFrame]:
    """Returns the rows of each sweep in a directory, with the `folder` that they lie in."""
    paths = [*workdir.glob("results.csv"), *sorted(workdir.glob("*/results.csv"))]
    return [pages.read_csv(path).assign(folder=str(path.parent)) for path in paths]


def _lost(
    folder: pathlib.Path, tables: Sequence[pd.DataFrame]
) -> Iterator[tuple[pathlib.Path, int]]:
    """Yields those files of a study that have rows which the tables have not, and how many."""
    there = {id for table in tables for id in table.id}
    for path in sorted(folder.glob("thesis*.csv")):
        lost = len(set(pages.read_csv(path).get("id", [])) - there)
        if lost:
            yield path, lost


def _require_students(names: Sequence[str], workdir: pathlib.Path) -> None:
    """Raises `InputError` if only what is beside the tables is asked for, and these are not there.

    The page is about the tables of the thesis, and nothing is written without their students.
    """
    if not {"students", "runs", "temperatures"} & set(names) and not any(
        (rows.named(table).method == rows.DISTILLED).any() for table in _tables(workdir)
    ):
        raise InputError(
            f"{', '.join(names)} would stand beside the students of table 2.3, of which {workdir} "
            "has none; add 2.3 to --tables"
        )


def _place(workdir: pathlib.Path, config: ConfigDict) -> pathlib.Path:
    """Returns where a sweep goes: one data set to a directory."""
    return workdir / config.dataset.name if config.dataset.name in DATASETS else workdir


def _train(
    names: Sequence[str],
    study_of: Callable[[str], ConfigDict],
    workdir: pathlib.Path,
    display: Display,
) -> None:
    """Trains the students of some sweeps that have no row yet."""
    from distill import study

    configs = [study_of(name) for name in names]
    for config in configs:
        study.run(config, _place(workdir, config), display)
    if "learned" in names and options.SEEDS.value is None and not options.QUICK.value:
        table = rows.named(pages.read_csv(workdir / "results.csv"))
        held_out = table[table.validation_accuracy.notna()]
        chosen = {
            model: rows.choose(held_out, model, "validation_accuracy")
            for model in thesis_study.LEARNING
        }
        study.run(thesis_study.control(chosen, options.EPOCHS.value), workdir, display)


def _restore(
    study_of: Callable[[str], ConfigDict],
    folder: pathlib.Path,
    workdir: pathlib.Path,
    display: Display,
) -> None:
    """Puts the rows of a folder into the directories of the sweeps that they are of."""
    from distill import data
    from distill.run import claim

    others = DATASETS if (folder / f"thesis_{rows.DATASETS}.csv").exists() else ()
    for name in ("students", *others):
        config = study_of(name)
        dataset = data.load(config, *data.find(config, display.warn))
        place = _place(workdir, config)
        config_hash = claim(place, config, dataset.name)
        count = predictions.restore(folder, place, config_hash, dataset.name, dataset.test.labels)
        display.say(f"{count} students of {dataset.name} from {folder}")


def _labels(
    study_of: Callable[[str], ConfigDict], workdir: pathlib.Path, display: Display
) -> dict[str, np.ndarray]:
    """Returns the labels of the test images of each data set that has rows, `[images]`."""
    from distill import data

    labels = {}
    for name in ("students", *DATASETS):
        config = study_of(name)
        if (_place(workdir, config) / "results.csv").exists() or name == "students":
            dataset = data.load(config, *data.find(config, display.warn))
            labels[dataset.name] = dataset.test.labels
    return labels


def main(argv: list[str]) -> None:
    """Trains, collects, and writes the page."""
    del argv
    provenance.make_a_device_of_each_core()
    logging.set_verbosity(logging.WARNING)
    display = Display()
    quick, workdir = options.QUICK.value, options.workdir("thesis")
    try:
        temperatures = [float(text) for text in TEMPERATURES.value]
    except ValueError as error:
        raise InputError(f"--temperatures are numbers separated by commas; {error}") from error
    study_of = functools.partial(
        thesis_study.study,
        seeds=None if options.SEEDS.value is None else options.seeds(len(thesis_study.SEEDS)),
        temperatures=temperatures,
        epochs=options.EPOCHS.value,
        quick=quick,
    )
    names = sweeps(NAMES.value)
    folder = workdir / "tables" if quick else RESULTS
    if options.TRAIN.value:
        if PUBLISHED.value:
            _restore(study_of, folder, workdir, display)
        _require_students(names, workdir)
        for path, lost in _lost(folder, _tables(workdir)):
            display.warn(f"{path} has {lost} rows that are not in {workdir} yet; {REMOVE}")
        _train(names, study_of, workdir, display)
    page = folder / "results.md" if quick else results_page.PAGE
    for path in [*collect(workdir, _labels(study_of, workdir, display), folder), page]:
        display.say(str(path))
    results_page.write(folder, page)


if __name__ == "__main__":
    cli.run(main, cli.parse)
