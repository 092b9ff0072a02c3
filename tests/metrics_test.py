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


def test_a_class_that_does_not_occur_is_not_averaged():
    assert metrics.measures(np.diag([5, 5, 0])) == (1, 1, 1, 1)
    assert metrics.measures(np.zeros((3, 3), int)) == (0, 0, 0, 0)


def test_a_class_without_examples_that_is_predicted_has_recall_zero():
    matrix = np.array([[3, 0, 1], [0, 4, 0], [0, 0, 0]])
    assert metrics.measures(matrix) == pytest.approx((7 / 8, 2 / 3, 7 / 12, 28 / 45))


def test_a_set_that_uses_half_of_its_classes_is_measured_as_by_scikit_learn():
    labels, predictions = _random(0, num_classes=10)
    labels, predictions = 2 * labels, 2 * predictions + (predictions == 3)  # 7 is predicted only
    actual = metrics.measures(metrics.confusion_matrix(labels, predictions, 20))
    precision, recall, _, _ = sklearn_metrics.precision_recall_fscore_support(
        labels, predictions, average="macro", zero_division=0
    )
    assert (actual.precision, actual.recall) == pytest.approx((precision, recall))
    assert metrics.num_absent(labels, 20) == 10


def test_the_most_frequent_confusions_come_first():
    matrix = np.array([[90, 0, 2], [2, 90, 0], [0, 7, 90]])
    assert metrics.confusions(matrix, 2) == [(2, 1, 7), (0, 2, 2)]
    assert metrics.confusions(matrix, 99) == [(2, 1, 7), (0, 2, 2), (1, 0, 2)]
    assert matrix[0, 0] == 90


def test_agreement_literal():
    assert metrics.agreement(np.array([1, 2, 3, 4]), np.array([1, 0, 3, 0])) == 0.5


def test_compression_rate_of_the_thesis():
    assert metrics.compression_rate(3274634, 6007) == pytest.approx(0.998166, abs=1e-6)


def test_measures_of_each_class_are_those_of_scikit_learn():
    labels, predictions = _random(3, predicted=4)
    found = metrics.by_class(metrics.confusion_matrix(labels, predictions, 5))
    expected = sklearn_metrics.precision_recall_fscore_support(labels, predictions, zero_division=0)
    np.testing.assert_allclose(np.array(found).T, np.array(expected))


def test_top_accuracy_is_that_of_scikit_learn_and_of_the_argmax():
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(12, size=300), rng.normal(size=(300, 12))
    expected = sklearn_metrics.top_k_accuracy_score(labels, scores, k=5, labels=range(12))
    assert metrics.top_accuracy(labels, scores, 5) == pytest.approx(expected)
    tied = np.round(scores)  # of equal scores the lower class comes first
    right = (tied.argmax(1) == labels).mean()
    assert metrics.top_accuracy(labels, tied, 1) == pytest.approx(right)


def test_calibration_literal():
    sure, unsure = [0.9, 0.1], [0.4, 0.6]
    probabilities = np.array([sure, sure, sure, sure, unsure])
    error, bins = metrics.calibration(np.array([0, 0, 1, 1, 1]), probabilities)
    assert bins == [(0.6, 1.0, 1), (0.9, 0.5, 4)]
    assert error == pytest.approx((1 * 0.4 + 4 * 0.4) / 5)
    assert metrics.summary(np.array([0] * 5), probabilities).keys() == {"calibration_error"}
    certain = metrics.calibration(np.array([0, 1]), np.eye(2))
    assert certain == (0.0, [(1.0, 1.0, 2)])


def test_mistakes_begin_with_the_most_confident():
    probabilities = np.array([[0.6, 0.4], [0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    assert metrics.mistakes(np.array([1, 1, 1, 1]), probabilities, 2) == [1, 3]
    assert metrics.mistakes(np.array([0, 0, 1, 0]), probabilities, 2) == []


@pytest.mark.parametrize("truth", [0.5, 1.0, 3.0])
def test_a_temperature_undoes_what_made_logits_too_sure(truth):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20_000, 4))
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (chances.cumsum(1) > rng.random((20_000, 1))).argmax(1)
    assert metrics.temperature(labels, truth * logits) == pytest.approx(truth, rel=0.05)


def test_a_temperature_of_labels_that_are_all_right_is_the_lowest():
    logits = np.array([[0.1, 0.0], [0.0, 0.1]])
    assert metrics.temperature(np.array([0, 1]), logits) == pytest.approx(1 / 16, rel=0.01)
