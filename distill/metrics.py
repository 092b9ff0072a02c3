"""From labels and predictions to the measures of Rusu (2018), section 2.3.4.

Plain NumPy in float64. The confusion matrix is laid out as in scikit-learn: row = label,
column = prediction.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

TEMPERATURES = (1 / 16, 16)  # between these one is fitted
FEW = 10  # classes, at most, of which five guesses say little
BINS = 15  # of the expected calibration error, equally wide; as many as the paper has


class Measures(NamedTuple):
    """Rates between 0 and 1; precision and recall are means over the classes ("macro").

    Averaged are the classes that occur, as a label or as a prediction, which is what scikit-learn
    averages too. A class that a data set declares and nothing has would count as a failure.

    `f_measure` is the harmonic mean of those two means, as in the thesis, and not the mean of the
    classes' F1 scores.
    """

    accuracy: float
    precision: float
    recall: float
    f_measure: float


def confusion_matrix(labels: np.ndarray, predictions: np.ndarray, num_classes: int) -> np.ndarray:
    """Counts each pair of label and prediction.

    Args:
      labels: ground truth `[n]`, integers in `[0, num_classes)`.
      predictions: `[n]`, likewise.
      num_classes: number of classes.

    Returns:
      `[num_classes, num_classes]` int64, row = label, column = prediction.
    """
    pairs = np.asarray(labels, np.int64) * num_classes + np.asarray(predictions, np.int64)
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def measures(matrix: np.ndarray) -> Measures:
    """Derives the measures from a confusion matrix (row = label, column = prediction).

    Of the classes that occur, one that is never predicted has precision 0, and one that has no
    example but is predicted has recall 0.
    """
    correct = np.diag(matrix).astype(np.float64)
    predicted, labelled = matrix.sum(0), matrix.sum(1)
    occurs = (predicted + labelled) > 0
    num_occurring = max(int(occurs.sum()), 1)
    precision = _ratio(correct, predicted).sum() / num_occurring
    recall = _ratio(correct, labelled).sum() / num_occurring
    return Measures(
        accuracy=float(_ratio(correct.sum(), matrix.sum())),
        precision=float(precision),
        recall=float(recall),
        f_measure=float(_ratio(2 * precision * recall, precision + recall)),
    )


class ClassMeasures(NamedTuple):
    """Of one class: rates between 0 and 1, and how many examples it has."""

    precision: float
    recall: float
    f_measure: float
    support: int


def by_class(matrix: np.ndarray) -> list[ClassMeasures]:
    """Derives the measures of each class from a confusion matrix (row = label).

    A class that is never predicted has precision 0, and one without examples recall 0.
    """
    correct, labelled = np.diag(matrix).astype(np.float64), matrix.sum(1)
    precision, recall = _ratio(correct, matrix.sum(0)), _ratio(correct, labelled)
    f_measure = _ratio(2 * precision * recall, precision + recall)
    columns = (c.tolist() for c in (precision, recall, f_measure, labelled))
    return [ClassMeasures(*row) for row in zip(*columns, strict=True)]


def top_accuracy(labels: np.ndarray, scores: np.ndarray, k: int) -> float:
    """Returns the share of examples whose label is among the `k` classes of the highest scores.

    Args:
      labels: ground truth `[n]`.
      scores: `[n, num_classes]`; of equal ones the lower class comes first, as for `argmax`.
      k: how many.
    """
    own = np.take_along_axis(scores, labels[:, None].astype(np.int64), axis=1)
    lower = np.arange(scores.shape[1])[None] < labels[:, None]
    before = (scores > own) | ((scores == own) & lower)
    return float((before.sum(1) < k).mean())


class Calibration(NamedTuple):
    """How far the probability of what is predicted is from how often it is right.

    Attributes:
      error: expected calibration error, between 0 and 1.
      bins: of each that has an image: mean probability, accuracy, number of images.
    """

    error: float
    bins: list[tuple[float, float, int]]


def calibration(labels: np.ndarray, probabilities: np.ndarray) -> Calibration:
    """Compares confidence with accuracy (Guo et al. 2017, arXiv:1706.04599, eq. 3).

    Args:
      labels: ground truth `[n]`.
      probabilities: `[n, num_classes]`.
    """
    confidence = probabilities.max(1).astype(np.float64)
    right = probabilities.argmax(1) == labels
    places = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    counts = np.bincount(places, minlength=BINS)
    means = [_ratio(np.bincount(places, v, BINS), counts) for v in (confidence, right)]
    error = float((counts * np.abs(means[0] - means[1])).sum() / len(labels))
    bins = zip(*(column[counts > 0].tolist() for column in (*means, counts)), strict=True)
    return Calibration(error, list(bins))


def temperature(labels: np.ndarray, log_probabilities: np.ndarray) -> float:
    """Returns by what to divide logits so that probabilities say how often they are right.

    Guo, Pleiss, Sun and Weinberger (2017), section 4.2: the likelihood of labels that were not
    trained on is the greatest. The class with the highest score stays the same.

    Args:
      labels: ground truth `[n]`.
      log_probabilities: `[n, num_classes]`, or logits.

    Returns:
      A number within `TEMPERATURES`, to three digits.
    """
    logits = log_probabilities.astype(np.float64)
    own = np.arange(len(labels)), labels

    def loss(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        return float((logsumexp(scaled, axis=1) - scaled[own]).mean())

    found = minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded")
    return float(f"{np.exp(found.x):.3g}")


def summary(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Returns `calibration_error`, and of more than `FEW` classes `top5_accuracy`.

    Args:
      labels: ground truth `[n]`.
      probabilities: `[n, num_classes]`.
    """
    found = {"calibration_error": calibration(labels, probabilities).error}
    if probabilities.shape[1] > FEW:
        found["top5_accuracy"] = top_accuracy(labels, probabilities, 5)
    return found


def mistakes(labels: np.ndarray, probabilities: np.ndarray, n: int) -> list[int]:
    """Returns the examples that are mistaken with the greatest confidence, the worst first.

    Args:
      labels: ground truth `[n]`.
      probabilities: `[n, num_classes]`.
      n: how many, at most.
    """
    wrong = np.flatnonzero(probabilities.argmax(1) != labels)
    order = np.argsort(-probabilities[wrong].max(1), kind="stable")
    return wrong[order][:n].tolist()


def num_absent(labels: np.ndarray, num_classes: int) -> int:
    """Counts the classes that have no example among labels `[n]` in `[0, num_classes)`."""
    return num_classes - len(np.unique(labels))


def confusions(matrix: np.ndarray, n: int) -> list[tuple[int, int, int]]:
    """Returns the most frequent confusions of a matrix: label, prediction and how often.

    Args:
      matrix: `[num_classes, num_classes]`, row = label, column = prediction.
      n: how many, at most; of equals the lower label, then the lower prediction comes first.
    """
    errors = matrix.copy()
    np.fill_diagonal(errors, 0)
    order = np.argsort(-errors, axis=None, kind="stable")[:n]
    pairs = zip(*np.unravel_index(order, errors.shape), strict=True)
    return [(int(i), int(j), int(errors[i, j])) for i, j in pairs if errors[i, j]]


def agreement(predictions: np.ndarray, teacher_predictions: np.ndarray) -> float:
    """The share of examples, between 0 and 1, on which student and teacher predict the same."""
    return float(np.mean(np.asarray(predictions) == np.asarray(teacher_predictions)))


def compression_rate(teacher_params: int, student_params: int) -> float:
    """`(D - d) / D` on trainable weights: D the teacher's, d the student's."""
    return (teacher_params - student_params) / teacher_params


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    numerator, denominator = np.asarray(numerator, float), np.asarray(denominator, float)
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)
