"""The stages of a run, in order: each a function from files in `workdir` to files in `workdir`."""

import contextlib
import functools
import json
import pathlib
from collections.abc import Callable
from typing import Any

import jax
from ml_collections import ConfigDict

from distill import (
    assistants,
    cache,
    data,
    evaluation,
    losses,
    numerics,
    ops,
    processes,
    provenance,
    report,
    stopping,
    validation,
)
from distill.compress import stage
from distill.errors import InputError
from distill.export import exporter
from distill.progress import Display
from distill.run import CONFIG, Run, alone, claim, write
from distill.training import trained


def run(config: ConfigDict, workdir: pathlib.Path, display: Display) -> dict[str, Any]:
    """Runs the stages that `config.stages` names.

    Args:
      config: complete, as from `config.defaults`.
      workdir: directory of this run; created if needed.
      display: says what happens.

    Returns:
      The contents of `results.json`, empty if it has not been written yet.

    Raises:
      InputError: if something given cannot be used; nothing is overwritten then.
      exporter.NotProven: if a format could not be exported, after all that comes behind.
      Interrupted, KeyboardInterrupt: if it is asked to stop; what it has trained is saved.
    """
    provenance.commit()  # of the code as it is now
    settings = validation.validate(config)
    if settings.steps and "compress" in settings.stages and jax.process_count() > 1:
        raise InputError(
            "the stage compress is of a single process: train with --config.stages=teacher,student,"
            "and then run the other stages in one process, with the same --workdir"
        )
    numerics.pin()
    cache.keep_programs()
    sources = processes.together(lambda: validation.find(settings, display.warn))
    ops.prepare(jax.default_backend())
    dataset = processes.together(lambda: data.load(config, *sources, display.warn, display.work))
    context = Run(settings, workdir, dataset, display)
    processes.together(context.check_models)
    processes.together(lambda: assistants.check_models(context))
    if settings.steps and "compress" in settings.stages:
        processes.together(lambda: stage.rehearse(context))
    if "export" in settings.stages:
        processes.together(lambda: exporter.check_data(config.export, dataset, _labels(context)))
    with contextlib.ExitStack() as stack:
        processes.first(lambda: stack.enter_context(alone(workdir)))
        processes.first(lambda: claim(workdir, config, dataset.name))
        processes.first(context.require_same_images)
        processes.first(lambda: data.record(sources[0], workdir))
        stack.enter_context(stopping.listening())
        _run_stages(context)
    return evaluation.read_results(workdir)


def _run_stages(context: Run) -> None:
    stages: dict[str, Callable[[Run], Any]] = {
        "teacher": train_teacher, "student": train_student, "compress": compress,
        "evaluate": evaluation.evaluate, "export": export, "report": write_report,
    }  # fmt: skip
    failed = None
    for name in context.settings.stages:
        run_stage = functools.partial(stages[name], context)
        if name in ("teacher", "student"):
            run_stage()  # which all processes train together
            continue
        try:
            processes.first(run_stage)
        except exporter.NotProven as error:  # there is all that can be: it is said at the end
            failed = error
    if failed:
        raise failed


def train_teacher(run: Run, *, monitored: bool = True) -> None:
    """Trains the teacher, or the members of an ensemble, unless it is found trained.

    Args:
      run: whose teacher it is.
      monitored: whether it is measured after each epoch.
    """
    run.display.say(f"teacher: {run.teacher_checkpoints}")
    split = data.labelled(run.dataset.train)
    run.train(
        "teacher", run.teacher_checkpoints, run.teacher_about(), split,
        start=run.start("teacher", run.config.teacher.members), monitored=monitored,
    )  # fmt: skip


def train_student(run: Run) -> None:
    """Distils the student from the teacher, or trains it on labels, as the loss says.

    Where there are assistants, these first, and the student from the last of them.
    """
    teacher = None
    if losses.needs_teacher(losses.name_of(run.config.loss)):
        teacher = assistants.train(run)
    run.display.say(f"student: {run.student_checkpoints}")
    about = run.student_about(teacher.about if teacher else None)
    start = run.start("student", 1)
    run.train("student", run.student_checkpoints, about, run.training_set, teacher, start)


def compress(run: Run) -> None:
    """Makes the student smaller, step by step, if `config.compress` has any steps."""
    if run.settings.steps:
        stage.compress(run)


def export(run: Run, role: str = "student") -> dict[str, Any]:
    """Exports a trained model; the proofs of the student go into `results.json` too.

    A student that was compressed is exported as that has left it.
    """
    results = evaluation.read_results(run.workdir)
    last = "compressed" if role == "student" and run.settings.steps else role
    directory = evaluation.checkpoints(run, last)
    run.require_same_images()
    model = trained.load(directory / "steps", run.display.warn)
    failed = None
    try:
        proofs = exporter.export(
            model, run.dataset, _labels(run), run.config.export, run.settings.formats,
            exported(run, role), run.display.say,
        )  # fmt: skip
    except exporter.NotProven as error:
        proofs, failed = error.proofs, error
    if results and role == "student":
        failures = failed.failures if failed else {}
        write(run.workdir / report.RESULTS, _with_exports(results, proofs, failures))
    if failed:
        raise failed
    return proofs


def _with_exports(
    results: dict[str, Any], proofs: dict[str, Any], failures: dict[str, str]
) -> dict[str, Any]:
    """Returns the contents of `results.json` with what was exported, and what could not be."""
    asked = {*proofs, *failures}
    for key, new in (("export", proofs), ("export_failed", failures)):
        earlier = results.get(key)
        kept = earlier.items() if isinstance(earlier, dict) else ()
        entries = {**{format: what for format, what in kept if format not in asked}, **new}
        results = {
            **{k: v for k, v in results.items() if k != key},
            **({key: entries} if entries else {}),
        }
    return results


def _labels(run: Run) -> list[str]:
    """Returns the names of the classes: those that are given, or the data set's."""
    return list(run.config.export.labels) or data.class_names(run.config.dataset, run.dataset)


def exported(run: Run, role: str) -> pathlib.Path:
    """Returns the directory of a model's bundles, each named by its format."""
    return run.workdir / "export" / ("" if role == "student" else role)


def write_report(run: Run) -> None:
    """Writes `report.md` and the plots from `results.json` and `metrics.jsonl`."""
    path, results = run.workdir / report.RESULTS, evaluation.read_results(run.workdir)
    if not results:
        raise InputError(f"the stage report needs {path}; run the stage evaluate first")
    config = json.loads((run.workdir / CONFIG).read_text(encoding="utf-8"))
    try:
        report.write(run.workdir, results, config, _labels(run), run.dataset.test.images)
    except InputError:  # of another file
        raise
    except report.MALFORMED as error:
        raise evaluation.damaged(path, error) from error
