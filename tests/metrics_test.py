import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from distill import metrics


def _random(seed, num_classes=5, n=200, predicted=None):
    rng = np.random.default_rng(seed)
    return rng.integers(num_classes, size=n), rng.integers(predicted or num_classes, size=n)


def test_confusion_matrix_literal():
    matrix = metrics.confusion_matrix([0, 0, 1, 2, 2, 2], [0, 1, 1, 2, 0, 2], 3)
    np.testing.assert_array_equal(matrix, [[1, 1, 0], [0, 1, 0], [1, 0, 2]])
    assert matrix.dtype == np.int64


@pytest.mark.parametrize("labels_type", [np.uint8, np.int32])
def test_confusion_matrix_does_not_overflow(labels_type):
    labels = np.full(3, 99, labels_type)
    assert metrics.confusion_matrix(labels, labels, 100)[99, 99] == 3


@pytest.mark.parametrize("predicted", [5, 4, 1])  # fewer: the last classes are never predicted
def test_measures_are_those_of_scikit_learn(predicted):
    labels, predictions = _random(predicted, predicted=predicted)
    matrix = metrics.confusion_matrix(labels, predictions, 5)
    np.testing.assert_array_equal(matrix, sklearn_metrics.confusion_matrix(labels, predictions))
    precision, recall, _, _ = sklearn_metrics.precision_recall_fscore_support(
        labels, predictions, average="macro", zero_division=0
    )
    actual = metrics.measures(matrix)
    assert actual.accuracy == pytest.approx(sklearn_metrics.accuracy_score(labels, predictions))
    assert actual.precision == pytest.approx(precision)
    assert actual.recall == pytest.approx(recall)
    assert actual.f_measure == pytest.approx(2 * precision * recall / (precision + recall))


def test_f_measure_is_of_the_means_and_not_the_mean_of_the_classes():
    labels, predictions = [0, 0, 0, 1], [0, 0, 1, 1]
    actual = metrics.measures(metrics.confusion_matrix(labels, predictions, 2))
    assert actual == pytest.approx((3 / 4, 3 / 4, 5 / 6, 15 / 19))
    assert actual.f_measure != pytest.approx(
        sklearn_metrics.f1_score(labels, predictions, average="macro")
    )


def test_all_wrong_is_zero_and_not_nan():
    assert metrics.measures(np.array([[0, 2], [3, 0]])) == (0, 0, 0, 0)


def test_a_class_without_examples_has_recall_zero():
    assert metrics.measures(np.diag([3, 4, 0])) == pytest.approx((1, 2 / 3, 2 / 3, 2 / 3))


def test_agreement_literal():
    assert metrics.agreement(np.array([1, 2, 3, 4]), np.array([1, 0, 3, 0])) == 0.5


def test_compression_rate_of_the_thesis():
    assert metrics.compression_rate(3274634, 6007) == pytest.approx(0.998166, abs=1e-6)
