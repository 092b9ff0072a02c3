"""From labels and predictions to the measures of Rusu (2018), section 2.3.4.

Plain NumPy in float64. The confusion matrix is laid out as in scikit-learn: row = label,
column = prediction.
"""

from typing import NamedTuple

import numpy as np


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
