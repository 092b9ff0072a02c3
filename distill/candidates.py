"""A search among networks: generations of candidates, successive halving, a row for each training.

There is no state but the table: what is done next follows from the rows, as in `distill.evolution`.
So any number of processes make one search, and one that was killed comes to the same end.
"""

import dataclasses
import json
import math
import pathlib
import re
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
    pipeline,
    provenance,
    stopping,
    study,
    values,
)
from distill import config as configs
from distill.compress import fold, measure, rounds
from distill.errors import InputError, unknown
from distill.evolution import Evolution, Genes, best
from distill.progress import Display
from distill.report import fronts, rows
from distill.run import Run, alone, claim
from distill.settings import Settings
from distill.training.trained import Trained, quality

RESULTS = "candidates.csv"
COSTS = ("num_params", "macs", "float32_bytes", "int8_bytes")
ACCURACIES = ("accuracy", "int8_accuracy")
COLUMNS = (
    "id", "config", "config_hash", "commit", "device", "dataset", "status", "generation", "genes",
    "model", "loss", "seed", "epochs", "train_examples", *COSTS, *ACCURACIES, "train_seconds",
    "compile_seconds",
)  # fmt: skip
HOPELESS = 1e30  # what a candidate costs that cannot be shipped
WAIT_S = 1.0  # between looks at what other shards have done

Row = Mapping[str, str]


def _is_gene(given: Any) -> bool:
    """Whether an entry of the space is a key with the values that it may have."""
    return (
        isinstance(given, list | tuple)
        and len(given) == 2
        and isinstance(given[0], str)
        and isinstance(given[1], list | tuple)
    )


_VALUES = {  # of the section `config.search`
    "space": values.each(
        values.Kind("", _is_gene),
        'keys with the values of each, as (("student.learning_rate", (0.01, 0.02)),)',
    ),
    "objectives": values.each(values.TEXT, 'names, as ("int8_accuracy", "int8_bytes")'),
    "population": values.whole(2, 10_000),
    "generations": values.whole(1, configs.EPOCHS),
    "epochs": values.each(values.whole(1, configs.EPOCHS), "whole numbers, as (1, 3, 9)"),
    "keep": values.between(1e-3, 1),
}


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
    first = check(config)
    numerics.pin()
    cache.keep_programs()
    sources = pipeline.find(dataclasses.replace(first, config=config), display.warn)
    ops.prepare(jax.default_backend())
    whole = Run(first, workdir, data.load(config, *sources, display.warn, display.work), display)
    with alone(workdir, shared=True), stopping.listening():
        config_hash = claim(workdir, config, sources[0].name)
        data.record(sources[0], workdir)
        table = rows.Table(workdir / RESULTS, config_hash, display.warn, COLUMNS)
        _evolve(Search(config, whole, table, config_hash, shard))
        return table.path


def check(config: ConfigDict) -> Settings:
    """Checks the section `config.search`, and a configuration with each value of its space.

    Returns:
      The first candidate's settings.

    Raises:
      InputError: naming what cannot be used.
    """
    if "search" not in config:
        raise InputError(
            "the configuration has no search; begin with config.search = distill.config.search(...)"
        )
    section = config.search
    for field, kind in _VALUES.items():
        if not isinstance(section, ConfigDict) or field not in section:
            raise InputError(
                f"search has no {field}; begin with config.search = distill.config.search(...)"
            )
        values.require(f"search.{field}", section[field], kind)
    if not section.epochs or list(section.epochs) != sorted(set(section.epochs)):
        raise InputError(f"search.epochs is {section.epochs}; they must rise, as (1, 3, 9)")
    accuracy, *costs = section.objectives or ("",)
    if accuracy not in ACCURACIES:
        raise unknown("first of search.objectives", accuracy, ACCURACIES)
    for cost in costs:
        if cost not in COSTS:
            raise unknown("search.objectives", cost, COSTS)
    if not costs:
        raise InputError(f"search.objectives has no cost; add one of {', '.join(COSTS)}")
    if not config.dataset.validation:
        raise InputError(
            "candidates are chosen on dataset.validation, which is empty; give "
            "--config.dataset.train='train[:90%]' --config.dataset.validation='train[90%:]'"
        )
    if config.student.steps is not None:
        raise InputError(
            f"student.steps is {config.student.steps}, and search.epochs says for how long "
            "candidates are trained: leave it out"
        )
    for key, given in (("compress", config.compress), ("sweep", configs.is_sweep(config))):
        if given:
            raise InputError(
                f"a search has no {key}: its candidates are folded, and train with config.seed; "
                "leave it out"
            )
    if not section.space:
        raise InputError("search.space is empty; give keys and the values that they may have")
    first = {key: choices[0] for key, choices in section.space if len(choices)}
    for key, choices in section.space:
        if not choices:
            raise InputError(f"search.space gives {key} no values")
        if key.split(".")[0] not in ("student", "loss"):
            raise InputError(
                f"search.space has {key}; candidates can differ in student.* and loss.* only"
            )
        if key in ("student.epochs", "student.steps"):
            raise InputError(f"search.space has {key}, which search.epochs says: leave it out")
        for choice in choices:
            pipeline.validate(point(config, {**first, key: choice}))
    return pipeline.validate(point(config, first))


def point(config: ConfigDict, genes: Genes, epochs: int | None = None) -> ConfigDict:
    """Returns the configuration of a candidate.

    Args:
      config: of the search.
      genes: by their keys, as `student.args.widths[0]`.
      epochs: of its training.

    Raises:
      InputError: if a key is none of the configuration, or takes no such value.
    """
    made = config.copy_and_resolve_references()
    with made.unlocked():
        del made.search
    for key, value in genes.items():
        name, index = re.fullmatch(r"(.*?)(?:\[(\d+)\])?", key).groups()  # type: ignore[union-attr]
        if index is not None:
            entries: Any = made
            for part in name.split("."):
                entries = entries.get(part) if isinstance(entries, ConfigDict) else None
            if not isinstance(entries, list | tuple) or int(index) >= len(entries):
                raise InputError(f"search.space has {key}, and {name} is {entries}")
            value = (*entries[: int(index)], value, *entries[int(index) + 1 :])
        study.put(made, name, value, "key of search.space")
    if epochs is not None:
        made.student.epochs = epochs
    return made


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
        settings = pipeline.validate(point(search.config, genes, epochs))
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
      The values of `COSTS` and `ACCURACIES`.

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
    return {column: figures[column] for column in (*COSTS, *ACCURACIES)}


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
