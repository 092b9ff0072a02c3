"""The stage evaluate: trained models on the whole test set, and `results.json`, which says so."""

import contextlib
import json
import pathlib
from typing import Any

import numpy as np
from scipy import special

from distill import data, losses, metrics, provenance, report
from distill.compress import stage
from distill.cost import cost
from distill.errors import InputError, one_line
from distill.export import proofs as proofs_lib
from distill.run import Run, write
from distill.settings import Settings
from distill.training import trained
from distill.training.trained import Trained, quality, quality_of

FORMAT = "distill-results/1"
MISTAKES = 16  # the most confident of the test set, that are kept


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
        raise damaged(path, error) from error
    return results


def damaged(path: pathlib.Path, error: Exception) -> InputError:
    """Returns what is said of a file of results that cannot be read."""
    return InputError(f"{path} is damaged ({one_line(error)}); the stage evaluate writes it anew")
