"""A search among networks: generations of candidates, successive halving, a row for each training.

There is no state but the table: what is done next follows from the rows, as in `distill.evolution`.
So any number of processes make one search, and one that was killed comes to the same end.
"""

import dataclasses
import json
import math
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from distill import (
    cache,
    data,
    losses,
    numerics,
    ops,
    provenance,
    spaces,
    stopping,
    study,
    validation,
)
from distill import config as configs
from distill.compress import fold, measure, rounds
from distill.errors import InputError
from distill.evolution import Evolution, Genes, best
from distill.progress import Display
from distill.report import fronts, rows
from distill.run import Run, alone, claim
from distill.training.trained import Trained, quality

RESULTS = "candidates.csv"
COLUMNS = (
    "id", "config", "config_hash", "commit", "device", "dataset", "status", "generation", "genes",
    "model", "loss", "seed", "epochs", "train_examples", *spaces.COSTS, *spaces.ACCURACIES,
    "train_seconds", "compile_seconds",
)  # fmt: skip
HOPELESS = 1e30  # what a candidate costs that cannot be shipped
WAIT_S = 1.0  # between looks at what other shards have done

Row = Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Search:
    """A search that is going on.

    Attributes:
      config: complete, with the section of `distill.config.search`.
      run: the configuration with its data and directory.
      table: of the candidates.
      config_hash: of every row.
      shard: `(i, n)`, the i-th of n parts of the candidates, counted from 0.
    """

    config: ConfigDict
    run: Run
    table: rows.Table
    config_hash: str
    shard: tuple[int, int]


def run(
    config: ConfigDict,
    workdir: pathlib.Path,
    display: Display,
    shard: tuple[int, int] = (0, 1),
) -> pathlib.Path:
    """Looks for networks by NSGA-II, and trains those candidates that have no row yet.

    Each generation is trained for the first number of `search.epochs`; the best go on to the next,
    each time from the beginning, with a schedule of that length. Candidates are judged on
    `dataset.validation` alone; nothing is chosen by a test image.

    Args:
      config: complete, with `config.search`.
      workdir: of the search; created if needed. Several shards may share it.
      display: says what happens.
      shard: `(i, n)`, the i-th of n parts of the candidates, counted from 0.

    Returns:
      The path of the table, beside which `front.md` and `front.png` lie.

    Raises:
      InputError: if something given cannot be used; nothing is overwritten then.
      Interrupted, KeyboardInterrupt: if it is asked to stop; what it has trained is saved.
    """
    provenance.commit()  # of the code as it is now
    first = spaces.check(config)
    numerics.pin()
    cache.keep_programs()
    sources = validation.find(dataclasses.replace(first, config=config), display.warn)
    ops.prepare(jax.default_backend())
    whole = Run(first, workdir, data.load(config, *sources, display.warn, display.work), display)
    with alone(workdir, shared=True), stopping.listening():
        config_hash = claim(workdir, config, sources[0].name)
        data.record(sources[0], workdir)
        table = rows.Table(workdir / RESULTS, config_hash, display.warn, COLUMNS)
        _evolve(Search(config, whole, table, config_hash, shard))
        return table.path


def _evolve(search: Search) -> None:
    """Lives through all generations, each of which follows from the rows of those before."""
    config, section = search.config, search.config.search
    evolution = Evolution(
        dict(section.space), len(section.objectives), section.population, config.seed
    )
    for generation in range(section.generations):
        candidates = evolution.ask()
        judged = np.zeros((len(candidates), len(section.objectives)))
        alive = list(range(len(candidates)))
        for number, epochs in enumerate(section.epochs):
            judged_rows = _train(search, generation, [candidates[i] for i in alive], epochs)
            judged[alive] = [objectives(row, section.objectives) for row in judged_rows]
            if number + 1 < len(section.epochs):
                count = math.ceil(section.keep * len(alive))
                alive = [alive[i] for i in best(judged[alive], count)]
        evolution.tell(judged.tolist())
        _report(search, generation)


def objectives(row: Row, names: Sequence[str]) -> list[float]:
    """Returns by what a candidate is judged; all are to be low.

    Args:
      row: of the table.
      names: the accuracy and the costs, as `search.objectives`.
    """
    if row["status"] != "ok":
        return [0.0] + [HOPELESS] * (len(names) - 1)
    return [-float(row[names[0]]), *(float(row[name]) for name in names[1:])]


def _train(search: Search, generation: int, candidates: list[Genes], epochs: int) -> list[Row]:
    """Returns the row of each candidate; trains those of this shard that have none."""
    run, (index, shards) = search.run, search.shard
    runs = [_run(search, genes, epochs) for genes in candidates]
    made = study.students([run for run in runs if run], [search.config.seed])
    students = [next(made) if run else None for run in runs]
    ids = [
        student.id if student else configs.digest([genes, epochs])
        for genes, student in zip(candidates, students, strict=True)
    ]
    genes_of = dict(zip(ids, candidates, strict=True))
    # By their number among all, so that every shard has the same in mind whenever it looks.
    mine = {id for i, id in enumerate(sorted(genes_of)) if i % shards == index}
    mine -= search.table.ids()
    missing = {id: student for id, student in zip(ids, students, strict=True) if id in mine}
    if refused := [id for id, student in missing.items() if student is None]:
        search.table.append(
            [
                {
                    "id": id, **_common(search, genes_of[id], generation), "status": "refused",
                    "epochs": epochs,
                }
                for id in refused
            ]
        )  # fmt: skip
    for batch in study.batches([student for student in missing.values() if student], (0, 1)):
        search.table.append(
            [
                _row(search, student, model, genes_of[student.id], generation, size)
                for student, model, size in study.train_together(batch, run.workdir, run.display)
            ]
        )
    by_id = _when_all_are_there(search, set(ids))
    return [by_id[id] for id in ids]


def _run(search: Search, genes: Genes, epochs: int) -> Run | None:
    """Returns the run of a candidate; None if its genes do not go together."""
    try:
        settings = validation.validate(spaces.point(search.config, genes, epochs))
        run = dataclasses.replace(search.run, settings=settings)
        run.check_models()
    except InputError as error:
        search.run.display.warn(f"{json.dumps(genes)} cannot be trained: {error}")
        return None
    return run


def _common(search: Search, genes: Genes, generation: int) -> rows.Row:
    """Returns what the rows of all candidates have."""
    return {
        "config": search.run.workdir.name,
        "config_hash": search.config_hash,
        "commit": provenance.commit(),
        "device": provenance.device(),
        "dataset": search.run.dataset.name,
        "generation": generation,
        "genes": json.dumps(genes),
        "seed": search.config.seed,
    }


def _when_all_are_there(search: Search, ids: set[str]) -> Mapping[str, Row]:
    """Returns the rows of all candidates, after the other shards have written theirs."""
    said = False
    while True:
        by_id = {row["id"]: row for row in search.table.read()}
        if ids <= by_id.keys():
            return by_id
        if not said:
            search.run.display.say(f"waiting for {len(ids - by_id.keys())} rows of other shards")
            said = True
        if stopping.asked():
            raise stopping.reason("stopped, waiting for other shards")
        time.sleep(WAIT_S)


def _row(
    search: Search, student: study.Student, model: Trained, genes: Genes, generation: int, size: int
) -> rows.Row:
    run, history = student.run, model.history
    row = {
        "id": student.id,
        **_common(search, genes, generation),
        "status": "diverged" if "diverged_at" in history[-1] else "ok",
        "model": student.about.model,
        "loss": losses.shown(student.about.loss),
        "epochs": history[-1].get("epoch", 0),
        "train_examples": len(run.training_set),
        "train_seconds": study.total(history, "seconds") / size,
        "compile_seconds": study.total(history, "compile_seconds"),
    }
    if row["status"] != "ok":
        return row
    held_out = run.dataset.validation
    assert held_out is not None  # as `check` has seen to
    dataset = run.dataset._replace(test=held_out)  # the images to choose by
    try:
        files = run.workdir / "files" / student.id
        return row | measured(model, dataset, run.config.export, files)
    except InputError as error:  # an operator that no file may have
        run.display.warn(f"{json.dumps(genes)} cannot be shipped: {error}")
        return row | {"status": "refused"}


def measured(
    model: Trained, dataset: data.Dataset, section: ConfigDict, directory: pathlib.Path
) -> dict[str, Any]:
    """Measures a network as it is shipped: folded, and as files.

    Args:
      model: that was trained.
      dataset: on whose test images it is measured, in whose place may be others.
      section: `config.export`.
      directory: for the files.

    Returns:
      The values of `spaces.COSTS` and `spaces.ACCURACIES`.

    Raises:
      InputError: if it has an operator that no file may have.
    """
    network = fold.folded(rounds.as_network(model))
    shipped = rounds.as_trained(network, model)
    directory.mkdir(parents=True, exist_ok=True)
    figures = {
        **measure.counts(network), "accuracy": quality(shipped, dataset.test),
        **measure.files(shipped, dataset, section, directory),
    }  # fmt: skip
    return {column: figures[column] for column in (*spaces.COSTS, *spaces.ACCURACIES)}


def _report(search: Search, generation: int) -> None:
    """Says what the generations so far have found, and draws it."""
    section, run = search.config.search, search.run
    ended = fronts.finished(search.table.read(), section.epochs[-1])
    best_of_all = fronts.front(ended, section.objectives)
    run.display.say(
        f"generation {generation + 1} of {section.generations}: {len(best_of_all)} on the front, "
        f"of {len(ended)} trained to the end"
    )
    if search.shard[0] == 0 and ended:
        fronts.write(ended, section.objectives, run.workdir)
