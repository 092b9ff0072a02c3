"""The stages of a run, in order: each a function from files in `workdir` to files in `workdir`."""

import contextlib
import functools
import json
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict
from scipy import special

from distill import (
    assistants,
    cache,
    data,
    losses,
    metrics,
    models,
    numerics,
    ops,
    processes,
    provenance,
    report,
    stopping,
)
from distill import config as configs
from distill.compress import plan, stage
from distill.cost import cost
from distill.errors import InputError, one_line
from distill.export import exporter
from distill.export import proofs as proofs_lib
from distill.progress import Display
from distill.run import CONFIG, Run, alone, claim, write
from distill.settings import Settings
from distill.training import mutual, parallel, recipe, trained
from distill.training import start as starts
from distill.training.trained import Trained, quality, quality_of

FORMAT = "distill-results/1"
MISTAKES = 16  # the most confident of the test set, that are kept


def validate(config: ConfigDict) -> Settings:
    """Resolves every name and checks every value, before any work.

    Args:
      config: complete.

    Returns:
      What its texts and tuples say.

    Raises:
      InputError: for the first that cannot be used.
    """
    stages = configs.stages(config)
    configs.check_values(config)
    for name in ("teacher", "student"):
        models.check(config[name].model, config[name].args)
    loss = recipe.loss_section(config.loss)
    _check_kind(config, stages)
    recipe.check_mixtures("student", config.student, loss["name"])
    mutual.check(config, loss)
    labelled = losses.needs_labels(loss["name"]) or not losses.needs_teacher(loss["name"])
    if config.transfer.name and (labelled or loss.get("alpha", 1) != 1):
        raise InputError(
            f"the transfer set {config.transfer.name} has no labels to learn from: "
            "use a loss with a teacher and --config.loss.alpha=1"
        )
    if losses.needs_features(loss["name"]) and config.teacher.members > 1:
        raise InputError(
            f"loss {loss['name']} compares features, which cannot be averaged over the "
            f"{config.teacher.members} members of an ensemble: use --config.teacher.members=1"
        )
    if config.loss.learn_temperature and not config.dataset.validation:
        raise InputError(
            "the temperature is learned on images that the student is not trained on: hold some "
            "back, as with --config.dataset.train=train[:55000] "
            "--config.dataset.validation=train[55000:]"
        )
    between = assistants.check(config)
    steps = plan.steps(config)
    if steps and configs.is_sweep(config):
        raise InputError("the students of a sweep are not compressed: leave out config.compress")
    data.check(config)
    formats = exporter.check(config.export)
    settings = Settings(
        config=config, stages=tuple(stages), trained=_trained(config, stages, loss["name"]),
        loss=loss, assistants=tuple(between), steps=tuple(steps), formats=formats,
    )  # fmt: skip
    parallel.check(config.engine.data_parallel, _splitting(settings))
    return settings


def _splitting(settings: Settings) -> dict[str, ConfigDict]:
    """Returns the trainings whose batches are divided among the devices, by their names.

    Of a sweep that is not its students, which are divided among the devices themselves.
    """
    config, trained = settings.config, settings.trained
    sections = {role: config[role] for role in trained}
    if configs.is_sweep(config):
        sections.pop("student")
    if "student" in trained:
        sections |= {f"assistants[{i}]": made for i, made in enumerate(settings.assistants)}
    if "compress" in settings.stages:
        tuned = {f"compress[{i}].fine_tune": step.recipe for i, step in enumerate(settings.steps)}
        sections |= {name: section for name, section in tuned.items() if section.epochs}
    return sections


def _trained(config: ConfigDict, stages: Sequence[str], loss: str) -> tuple[str, ...]:
    """Returns those of teacher and student that are trained; of a sweep whatever the stages are."""
    if configs.is_sweep(config):
        return ("teacher", "student") if losses.needs_teacher(loss) else ("student",)
    return tuple(stage for stage in stages if stage in ("teacher", "student"))


def _check_kind(config: ConfigDict, stages: Sequence[str]) -> None:
    """Raises `InputError` if loss, model and stages are not all for classes or all for pixels."""
    name = losses.name_of(config.loss)
    reconstructs = losses.compares_with_pixels(name)
    if reconstructs == models.classifies(config.student.model):
        kind = "reconstructs images" if reconstructs else "classifies"
        raise InputError(f"loss {name} needs a model that {kind}; {config.student.model} does not")
    if reconstructs and (configs.is_sweep(config) or "export" in stages):
        part = "a sweep" if configs.is_sweep(config) else "the stage export"
        raise InputError(
            f"{part} is for models that classify; leave it out for {config.student.model}"
        )


def find(
    settings: Settings, announce: Callable[[str], None]
) -> tuple[data.Source, data.Source | None]:
    """Finds the weights that trainings start from, and the data; see `data.find`.

    Raises:
      InputError: if they are not there.
    """
    for role in settings.trained:
        starts.check(f"{role}.init", settings.config[role].init)
    return data.find(settings.config, announce, settings.trained)


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
    settings = validate(config)
    if settings.steps and "compress" in settings.stages and jax.process_count() > 1:
        raise InputError(
            "the stage compress is of a single process: train with --config.stages=teacher,student,"
            "and then run the other stages in one process, with the same --workdir"
        )
    numerics.pin()
    cache.keep_programs()
    sources = processes.together(lambda: find(settings, display.warn))
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
    return read_results(workdir)


def _run_stages(context: Run) -> None:
    stages: dict[str, Callable[[Run], Any]] = {
        "teacher": train_teacher, "student": train_student, "compress": compress,
        "evaluate": evaluate, "export": export, "report": write_report,
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


def read_results(workdir: pathlib.Path) -> dict[str, Any]:
    """Returns the contents of `results.json`, empty if it has not been written yet.

    Raises:
      InputError: if it is damaged.
    """
    path = workdir / report.RESULTS
    if not path.exists():
        return {}
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        report.check(results)
    except (OSError, *report.MALFORMED, RecursionError) as error:
        raise _damaged(path, error) from error
    return results


def _damaged(path: pathlib.Path, error: Exception) -> InputError:
    return InputError(f"{path} is damaged ({one_line(error)}); the stage evaluate writes it anew")


def train_teacher(run: Run) -> None:
    """Trains the teacher, or the members of an ensemble, unless it is found trained."""
    run.display.say(f"teacher: {run.teacher_checkpoints}")
    split = data.labelled(run.dataset.train)
    run.train(
        "teacher", run.teacher_checkpoints, run.teacher_about(), split,
        start=run.start("teacher", run.config.teacher.members),
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


def roles(settings: Settings) -> list[str]:
    """Returns the models to evaluate: what the stages make, and the teacher of a student."""
    stages = settings.stages
    if "teacher" in stages and "student" not in stages:
        return ["teacher"]
    needed = "teacher" in stages or losses.needs_teacher(settings.loss["name"])
    compressed = ["compressed"] if settings.steps else []
    return [*(["teacher"] if needed else []), "student", *compressed]


def checkpoints(run: Run, role: str) -> pathlib.Path:
    """Returns the directory of a model's training: teacher, student, or what it was compressed to.

    Raises:
      InputError: if it was to be compressed, and was not, or by other steps.
    """
    if role == "compressed":
        stage.require_asked(run)
        return stage.last_checkpoints(run.workdir)
    return run.teacher_checkpoints if role == "teacher" else run.student_checkpoints


def evaluate(run: Run) -> None:
    """Measures the trained models on the whole test set, into `results.json`."""
    models_by_role = {
        role: trained.load(checkpoints(run, role) / "steps", run.display.warn)
        for role in roles(run.settings)
    }
    classifiers = {
        role: m for role, m in models_by_role.items() if quality_of(m.about) == "accuracy"
    }
    scores = {role: m.logits(run.dataset.test.images) for role, m in classifiers.items()}
    predictions = {role: logits.argmax(-1) for role, logits in scores.items()}
    absent = metrics.num_absent(run.dataset.test.labels, run.dataset.num_classes)
    if classifiers and absent:
        run.display.warn(
            f"{absent} of {run.dataset.num_classes} classes of {run.dataset.name} have no test "
            "image; precision, recall and F-measure are of the classes that occur"
        )
    results: dict[str, Any] = {}
    for role, model in models_by_role.items():
        if role not in classifiers:
            results[role] = _autoencoder(run, model)
            continue
        matrix = metrics.confusion_matrix(
            run.dataset.test.labels, predictions[role], run.dataset.num_classes
        )
        measured = measure(
            run.dataset,
            model,
            predictions[role],
            teacher_predictions=predictions.get("teacher") if role != "teacher" else None,
            larger=_larger(models_by_role, role),
        )
        results[role] = {
            "model": model.about.model,
            **measured,
            "confusion_matrix": matrix.tolist(),
            **confidence(run.dataset.test.labels, scores[role]),
            "seed": model.about.seeds[0],
            "loss": model.about.loss["name"],
            "temperature": model.about.loss.get("temperature"),
        }
    contents: dict[str, Any] = {
        "format": FORMAT,
        "dataset": run.dataset.name,
        "commit": provenance.commit(),
        "device": provenance.device(),
        "models": results,
    }
    if "compressed" in models_by_role:
        contents["compress"] = stage.read(run.workdir)
    path = run.workdir / report.RESULTS
    with contextlib.suppress(InputError):  # which it is written anew after
        earlier = read_results(run.workdir)
        if earlier.get("models") == json.loads(json.dumps(results)):
            proofs = proofs_lib.whole(earlier.get("export"))  # of the same models
            contents |= {"export": proofs} if proofs else {}
    write(path, contents)


def confidence(labels: np.ndarray, logits: np.ndarray) -> dict[str, Any]:
    """Measures what a model says of the test set beyond its predictions.

    Args:
      labels: ground truth `[n]`.
      logits: `[n, num_classes]`.

    Returns:
      `top5_accuracy`, where there are more than `metrics.FEW` classes; `calibration_error` and its
      bins; and the most confident `mistakes`, each with the number of its image.
    """
    probabilities = special.softmax(logits.astype(np.float64), axis=1)
    mistaken = metrics.mistakes(labels, probabilities, MISTAKES)
    return {
        **metrics.summary(labels, probabilities),
        "calibration": [list(b) for b in metrics.calibration(labels, probabilities).bins],
        "mistakes": [
            {
                "image": i,
                "label": int(labels[i]),
                "prediction": int(probabilities[i].argmax()),
                "probability": float(probabilities[i].max()),
            }
            for i in mistaken
        ],
    }


def _larger(models_by_role: dict[str, Trained], role: str) -> Trained | None:
    """Returns what a model is a smaller form of: its teacher, or the student it was made of."""
    candidates = {"student": ("teacher",), "compressed": ("teacher", "student")}.get(role, ())
    return next((models_by_role[name] for name in candidates if name in models_by_role), None)


def _autoencoder(run: Run, model: Trained) -> dict[str, Any]:
    """Measures a model that reconstructs images, on the whole test set."""
    return {
        "model": model.about.model,
        **cost(model.model, run.dataset.test.images.shape[1:])._asdict(),
        "reconstruction_error": quality(model, run.dataset.test),
        "test_images": len(run.dataset.test),
        "seed": model.about.seeds[0],
        "loss": model.about.loss["name"],
    }


def measure(
    dataset: data.Dataset,
    model: Trained,
    predictions: np.ndarray,
    *,
    teacher_predictions: np.ndarray | None,
    larger: Trained | None,
) -> dict[str, Any]:
    """Measures a model by its predictions of the test set.

    Args:
      dataset: whose test set it is.
      model: a model, or the members of an ensemble.
      predictions: classes `[n]`, of the whole test set.
      teacher_predictions: likewise, for the agreement.
      larger: what the compression rate is against: the teacher, as a rule.

    Returns:
      `num_params`, `macs`, the fields of `metrics.Measures`, `agreement` (None without a teacher's
      predictions) and `compression_rate` (None without a larger model).
    """
    matrix = metrics.confusion_matrix(dataset.test.labels, predictions, dataset.num_classes)
    agreement = rate = None
    if teacher_predictions is not None:
        agreement = metrics.agreement(predictions, teacher_predictions)
    num_params, macs = _size(dataset, model)
    if larger is not None:
        rate = metrics.compression_rate(_size(dataset, larger)[0], num_params)
    return {
        "num_params": num_params,
        "macs": macs,
        **metrics.measures(matrix)._asdict(),
        "agreement": agreement,
        "compression_rate": rate,
    }


def _size(dataset: data.Dataset, model: Trained) -> tuple[int, int]:
    """Returns weights and multiply-accumulates of a model, or of all members of an ensemble."""
    counted = cost(model.model, dataset.test.images.shape[1:])
    return counted.num_params * len(model.members), counted.macs * len(model.members)


def export(run: Run, role: str = "student") -> dict[str, Any]:
    """Exports a trained model; the proofs of the student go into `results.json` too.

    A student that was compressed is exported as that has left it.
    """
    results = read_results(run.workdir)
    last = "compressed" if role == "student" and run.settings.steps else role
    directory = checkpoints(run, last)
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
    path, results = run.workdir / report.RESULTS, read_results(run.workdir)
    if not results:
        raise InputError(f"the stage report needs {path}; run the stage evaluate first")
    config = json.loads((run.workdir / CONFIG).read_text(encoding="utf-8"))
    try:
        report.write(run.workdir, results, config, _labels(run), run.dataset.test.images)
    except InputError:  # of another file
        raise
    except report.MALFORMED as error:
        raise _damaged(path, error) from error
