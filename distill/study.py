"""A sweep: many students of one configuration, trained together, one row of results each."""

import dataclasses
import functools
import itertools
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from distill import (
    assistants,
    cache,
    data,
    evaluation,
    losses,
    numerics,
    ops,
    pipeline,
    provenance,
    stopping,
    validation,
)
from distill import config as configs
from distill.data import Dataset
from distill.errors import InputError, unknown
from distill.progress import Display
from distill.report import rows
from distill.run import Run, alone, claim
from distill.settings import Settings
from distill.training import bilevel, description, engine, train, trained
from distill.training import job as jobs
from distill.training.description import Description
from distill.training.trained import Trained


@dataclasses.dataclass(frozen=True)
class Student:
    """One student of a sweep.

    Attributes:
      id: hash of everything that decides its outcome; the same alone and in any sweep.
      run: its configuration and data.
      about: what decides its outcome, with its own seed.
      teacher: whose outputs it learns from, if it does.
      original: the teacher, which is another one where an assistant stands between them.
      teacher_predictions: of the original, of the test set `[n]`.
    """

    id: str
    run: Run
    about: Description
    teacher: Trained | None
    original: Trained | None
    teacher_predictions: np.ndarray | None


def run(
    config: ConfigDict,
    workdir: pathlib.Path,
    display: Display,
    shard: tuple[int, int] = (0, 1),
) -> pathlib.Path:
    """Trains the students of a sweep that have no row in `results.csv` yet.

    Students that differ in nothing but seeds and numbers train in one compiled program; the others
    are groups of their own. A batch of students that was interrupted goes on where it stopped.

    Args:
      config: complete, with `config.sweep`.
      workdir: of the sweep; created if needed. Several shards may share it.
      display: says what happens.
      shard: `(i, n)`, the i-th of n parts of the students, counted from 0.

    Returns:
      The path of `results.csv`.

    Raises:
      InputError: if something given cannot be used; nothing is overwritten then.
      Interrupted, KeyboardInterrupt: if it is asked to stop; what it has trained is saved.
    """
    provenance.commit()  # of the code as it is now
    points = [validation.validate(point) for point in expand(config)]
    numerics.pin()
    cache.keep_programs()
    sources = data.find(config, display.warn)
    ops.prepare(jax.default_backend())
    runs = _runs(points, workdir, display)
    seeds = _seeds(config, runs)
    with alone(workdir, shared=True), stopping.listening():
        config_hash = claim(workdir, config, sources[0].name)
        data.record(sources[0], workdir)
        return _train_all(runs, seeds, workdir, config_hash, display, shard)


def _train_all(
    runs: list[Run],
    seeds: Sequence[int],
    workdir: pathlib.Path,
    config_hash: str,
    display: Display,
    shard: tuple[int, int],
) -> pathlib.Path:
    table = rows.Table(workdir / rows.RESULTS, config_hash, display.warn)
    everyone = list(students(runs, seeds))
    done = table.ids()
    for batch in batches(everyone, shard):
        batch = [student for student in batch if student.id not in done]
        if batch:
            table.append(
                [
                    _row(student, model, size, config_hash)
                    for student, model, size in train_together(batch, workdir, display)
                ]
            )
            ready = len(table.ids() & {student.id for student in everyone})
            display.say(f"{ready} of {len(everyone)} students are trained")
    return table.path


def expand(config: ConfigDict) -> list[ConfigDict]:
    """Returns the configuration of each point of the axes, without the seeds.

    Raises:
      InputError: for an axis that is empty, uneven, of an unknown key or of the wrong type.
    """
    settings = []
    for axis in config.sweep.axes:
        _check_axis(axis)
        lengths = {key: len(values) for key, values in axis.items()}
        if not lengths or min(lengths.values()) == 0:
            raise InputError(f"sweep axis {', '.join(axis) or '{}'} is empty; give it values")
        if len(set(lengths.values())) > 1:
            raise InputError(
                "the keys of a sweep axis vary together, so they need equally many values; "
                + ", ".join(f"{key} has {n}" for key, n in lengths.items())
            )
        combined = zip(*axis.values(), strict=True)
        settings.append([dict(zip(axis, values, strict=True)) for values in combined])
    points = []
    for combination in itertools.product(*settings):
        point = config.copy_and_resolve_references()
        for key, value in (item for setting in combination for item in setting.items()):
            put(point, key, value)
        points.append(point)
    return points


def _check_axis(axis: Any) -> None:
    """Raises `InputError` unless an axis has keys with sequences of values, none of them `seed`."""
    example = 'axes are written as ({"loss.temperature": (1.0, 3.0)},)'
    if not isinstance(axis, Mapping):
        raise InputError(f"sweep axis {axis!r} is no dictionary; {example}, with the comma")
    for key, values in axis.items():
        if not isinstance(key, str):
            raise InputError(f"sweep axis {key!r} is no key of the configuration; {example}")
        if not isinstance(values, list | tuple):
            raise InputError(f"sweep axis {key} has {values!r} instead of a tuple; {example}")
    if "seed" in axis:  # it is the teacher's too, and its rows would not say which teacher
        raise InputError("sweep axis seed would vary the teacher's seed too; use sweep.seeds")


def put(config: ConfigDict, key: str, value: Any, what: str = "sweep axis") -> None:
    """Sets a key of a configuration, such as `student.args.filters`.

    Args:
      config: changed in place.
      key: of it.
      value: of the type that it has there.
      what: the key is, for the message.

    Raises:
      InputError: if there is no such key, or it takes no such value.
    """
    *path, name = key.split(".")
    section = config
    for part in path:
        section = section.get(part) if isinstance(section, ConfigDict) else None
    if not isinstance(section, ConfigDict) or (name not in section and path[-1:] != ["args"]):
        raise unknown(what, key, configs.keys(config))
    try:
        with section.unlocked():
            section[name] = value
    except (TypeError, ValueError) as error:
        kind = type(section[name]).__name__
        raise InputError(f"{what} {key} has the value {value!r}; it takes {kind}") from error


def _runs(points: list[Settings], workdir: pathlib.Path, display: Display) -> list[Run]:
    """Reads the data of every point, and checks that what is to be trained fits them.

    Raises:
      InputError: for the first that cannot be had, or does not fit.
    """
    datasets: dict[str, Dataset] = {}
    said: set[str] = set()

    def warn(line: str) -> None:
        if line not in said:
            said.add(line)
            display.warn(line)

    runs = []
    for point in points:
        config = point.config
        sources = validation.find(point, warn)
        section = configs.digest([configs.to_dict(config[k]) for k in ("dataset", "transfer")])
        if section not in datasets:
            datasets[section] = data.load(config, *sources, warn, display.work)
        runs.append(Run(point, workdir, datasets[section], display))
        runs[-1].check_models()
        assistants.check_models(runs[-1])
    return runs


def _seeds(config: ConfigDict, runs: list[Run]) -> Sequence[int]:
    """Returns the seeds of each point.

    Raises:
      InputError: if two of the students are the same training.
    """
    seeds = config.sweep.seeds or (config.seed,)
    if len(set(seeds)) < len(seeds):
        raise InputError(f"sweep.seeds is {seeds}; each seed may be named once")
    seen: dict[str, int] = {}
    for number, run in enumerate(runs, 1):
        teaches = losses.needs_teacher(losses.name_of(run.config.loss))
        about = run.student_about(assistants.abouts(run)[-1] if teaches else None, seeds[0])
        earlier = seen.setdefault(about.digest, number)
        if earlier != number:
            raise InputError(
                f"points {earlier} and {number} of the sweep are the same training; "
                "remove the duplicate value from sweep.axes"
            )
    return seeds


def students(runs: list[Run], seeds: Sequence[int]) -> Iterator[Student]:
    """Yields every student of the sweep, with the teachers trained."""
    teachers: dict[pathlib.Path, tuple[Trained, np.ndarray]] = {}
    for run in runs:
        teacher = original = predictions = None
        if losses.needs_teacher(losses.name_of(run.config.loss)):
            where = run.teacher_checkpoints
            if where not in teachers:
                pipeline.train_teacher(run, monitored=False)
                teacher = trained.load(where / "steps", run.display.warn)
                teachers[where] = teacher, teacher.logits(run.dataset.test.images).argmax(-1)
            original, predictions = teachers[where]
            teacher = assistants.train(run, monitored=False) if run.config.assistants else original
        for seed in seeds:
            about = run.student_about(teacher.about if teacher else None, seed)
            yield Student(about.digest, run, about, teacher, original, predictions)


def batches(students: list[Student], shard: tuple[int, int]) -> Iterator[list[Student]]:
    """Yields the students of a shard that train together, as many as the memory holds."""
    index, shards = shard
    groups: dict[str, list[Student]] = {}
    for student in students:
        groups.setdefault(configs.digest(description.apart(student.about)), []).append(student)
    for group in groups.values():
        mine = group[index::shards]
        size = _size(mine) if mine else 1
        for start in range(0, len(mine), size):
            yield mine[start : start + size]


def _size(group: list[Student]) -> int:
    """Returns how many students of a group train in one call, on all devices together."""
    run, teacher = group[0].run, group[0].teacher
    one = run.job(
        run.workdir, group[0].about, run.training_set, teacher, in_sweep=True, monitored=False
    )
    memory = int(run.config.engine.memory_gb * 2**30) or engine.free_memory()
    return jobs.students_that_fit(one, memory) * jax.local_device_count()


def train_together(
    batch: list[Student], workdir: pathlib.Path, display: Display, *, monitored: bool = False
) -> list[tuple[Student, Trained, int]]:
    """Trains a batch from `batches`, unless that is done.

    Args:
      batch: of students that differ in seeds and numbers.
      workdir: of the sweep.
      display: says what happens.
      monitored: whether each is measured after each epoch, on validation or test images; its
        history then says so, and nothing is chosen by it.

    Returns:
      For each student the trained model, and how many were trained with it, itself among them.
    """
    cache.let_go()
    run, teacher = batch[0].run, batch[0].teacher
    about = description.together([student.about for student in batch])
    directory = workdir / "batches" / about.digest
    display.say(f"{about.model}, {about.loss['name']}: {len(batch)} students")
    with train.alone(directory, display):
        start = run.start("student", len(about.seeds))
        job = run.job(
            directory, about, run.training_set, teacher, start,
            in_sweep=True, monitored=monitored,
        )  # fmt: skip
        train.train(job, lambda record: None)
    members = trained.load(directory / "steps", display.warn).apart()
    found = zip(batch, members, strict=True)
    return [(student, model, len(members)) for student, model in found]


def _accuracy(predictions: np.ndarray | None, labels: np.ndarray) -> float | None:
    return None if predictions is None else float((predictions == labels).mean())


def point_of(config: ConfigDict) -> str:
    """Returns what the axes of a sweep give to one of its points, by their keys, as JSON.

    Args:
      config: of `expand`.
    """
    keys = [key for axis in config.sweep.axes for key in axis]
    given = {key: functools.reduce(getattr, key.split("."), config) for key in keys}
    return json.dumps(given, default=configs.to_dict)


def _row(student: Student, model: Trained, batch_size: int, config_hash: str) -> rows.Row:
    run, about, loss = student.run, student.about, student.about.loss
    config, dataset = run.config, run.dataset
    row = {
        "id": student.id,
        "config": run.workdir.name,
        "config_hash": config_hash,
        "commit": provenance.commit(),
        "device": provenance.device(),
        "dataset": dataset.name,
        "point": point_of(config),
        "status": "diverged" if "diverged_at" in model.history[-1] else "ok",
        "model": about.model,
        "loss": losses.shown(loss),
        "temperature": loss.get("temperature"),
        "alpha": loss.get("alpha"),
        "learn_temperature": bilevel.RATE in loss,
        "final_temperature": model.history[-1].get("temperature"),
        "gradient_correction": loss.get("gradient_correction"),
        "learning_rate": about.recipe["learning_rate"],
        "seed": about.seeds[0],
        "epochs": model.history[-1].get("epoch", 0),
        "train_examples": len(run.training_set),
        "labelled_fraction": config.dataset.labelled_fraction,
        "teacher_members": len(student.teacher.members) if student.teacher else None,
        "teacher": student.original.about.digest if student.original else None,
        "teacher_accuracy": _accuracy(student.teacher_predictions, dataset.test.labels),
        "train_seconds": total(model.history, "seconds") / batch_size,
        "compile_seconds": total(model.history, "compile_seconds"),
    }
    if row["status"] == "diverged":
        return row
    predictions = model.logits(dataset.test.images).argmax(-1).astype(np.uint16)
    folder = run.workdir / rows.PREDICTIONS
    folder.mkdir(exist_ok=True)
    np.save(folder / f"{student.id}.npy", predictions)
    row |= evaluation.measure(
        dataset, model, predictions,
        teacher_predictions=student.teacher_predictions, larger=student.original,
    )  # fmt: skip
    if dataset.validation is not None:
        guesses = model.logits(dataset.validation.images).argmax(-1)
        row["validation_accuracy"] = float((guesses == dataset.validation.labels).mean())
    return row


def total(history: list[dict[str, Any]], name: str) -> float:
    """Returns the sum of what the records of all epochs say under a name."""
    return sum(record.get(name, 0.0) for record in history)
