"""From labels and predictions to the measures of Rusu (2018), section 2.3.4.

Plain NumPy in float64. The confusion matrix is laid out as in scikit-learn: row = label,
column = prediction.
"""

from typing import NamedTuple

import numpy as np


class Measures(NamedTuple):
    """Rates between 0 and 1; precision and recall are means over the classes ("macro").

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

    A class that is never predicted has precision 0; one that has no example has recall 0.
    """
    correct = np.diag(matrix).astype(np.float64)
    precision = _ratio(correct, matrix.sum(0)).mean()
    recall = _ratio(correct, matrix.sum(1)).mean()
    return Measures(
        accuracy=float(_ratio(correct.sum(), matrix.sum())),
        precision=float(precision),
        recall=float(recall),
        f_measure=float(_ratio(2 * precision * recall, precision + recall)),
    )


def agreement(predictions: np.ndarray, teacher_predictions: np.ndarray) -> float:
    """The share of examples, between 0 and 1, on which student and teacher predict the same."""
    return float(np.mean(np.asarray(predictions) == np.asarray(teacher_predictions)))


def compression_rate(teacher_params: int, student_params: int) -> float:
    """`(D - d) / D` on trainable weights: D the teacher's, d the student's."""
    return (teacher_params - student_params) / teacher_params


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    numerator, denominator = np.asarray(numerator, float), np.asarray(denominator, float)
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)
