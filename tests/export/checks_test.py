"""Each check on arrays and files that it has to refuse."""

import numpy as np
import pytest
from scipy import special, stats

from distill.errors import InputError
from distill.export import checks

EXPECTED = np.array([[0.7, 0.3], [0.4, 0.6], [0.2, 0.8]], np.float32)


def test_parity_names_the_worst_image_and_both_vectors():
    found = EXPECTED + np.array([[0, 0], [2e-5, -2e-5], [1e-6, 0]], np.float32)
    message = (
        r"float32 file differs from the Flax model by 2e-05 in a probability, at most 1e-05 is "
        r"accepted; worst is test image 1: Flax \[0.400000 0.600000\], file \[0.400020 0.599980\]"
    )
    with pytest.raises(InputError, match=message):
        checks.parity(EXPECTED, found, "float32")
    assert checks.parity(EXPECTED, found, "float16") == pytest.approx(2e-5, rel=1e-2)
    assert checks.parity(EXPECTED, EXPECTED[:, ::-1], "int8") == pytest.approx(0.6)


def test_what_is_no_number_has_no_parity():
    found = EXPECTED.copy()
    found[2, 1] = np.nan
    with pytest.raises(InputError, match="by nan .* worst is test image 2"):
        checks.parity(EXPECTED, found, "float16")


def test_a_deep_network_may_round_by_more_where_its_logits_are_large():
    logits = np.array([[0.0, 16.0], [1.0, 0.0]], np.float32)
    unit = 2.0**-23
    np.testing.assert_allclose(checks.rounding(logits, 50), [50 * 16 * unit / 2, 50 * unit / 2])
    expected = np.array([[0.1, 0.9], [0.7, 0.3]])
    first, second = np.array([[2e-5, -2e-5], [0, 0]]), np.array([[0, 0], [2e-5, -2e-5]])
    allowed = checks.rounding(logits, 50)
    assert checks.parity(expected, expected + first, "float32", allowed) == pytest.approx(2e-5)
    with pytest.raises(InputError, match="by 2e-05 .* at most 1e-05 .* worst is test image 1"):
        checks.parity(expected, expected + second, "float32", allowed)
    with pytest.raises(InputError, match="worst is test image 0"):  # 1.9e-5 of as many layers
        checks.parity(expected, expected + first, "float32", checks.rounding(logits, 20))


@pytest.mark.parametrize("layers", [4, 50, 150])
def test_what_rounding_allows_is_that_of_networks_and_catches_a_wrong_weight(layers, rng):
    width, images = 64, 40

    def logits(x, weights, order=slice(None), scale=1.0):
        for i, kernel in enumerate(weights):
            factor = scale if i == layers // 2 else 1.0
            x = x[:, order] @ kernel[order] * x.dtype.type(factor)
            x = np.maximum(x, 0) if i < layers - 1 else x
        return x

    def probabilities(x):
        return special.softmax(x.astype(np.float64), axis=1)

    kernels = (rng.normal(size=(layers, width, width)) * np.sqrt(2 / width)).astype(np.float32)
    kernels[-1] *= 4  # logits as those of a network that is sure
    x = rng.normal(size=(images, width)).astype(np.float32)
    found = logits(x, kernels)
    allowed = checks.rounding(found, layers)
    for other in (logits(x, kernels, rng.permutation(width)), logits(x * 1.0, np.float64(kernels))):
        assert (np.abs(probabilities(other) - probabilities(found)).max(axis=1) <= allowed).all()
    wrong = probabilities(logits(x, kernels, scale=1.001))  # one layer, by a thousandth
    assert (np.abs(wrong - probabilities(found)).max(axis=1) > 2 * allowed).any()


def test_accuracy_counts_the_images_that_were_lost():
    labels = np.arange(1000) % 10
    expected = np.eye(10)[labels]
    found = expected.copy()
    found[[5, 7, 9, 11, 15]] = np.eye(10)[0] * 0.6
    assert checks.accuracy(labels, expected, found, "int8", 0.003) == (1.0, 0.995)  # noise
    found[[21, 23, 25, 27, 29]] = np.eye(10)[0] * 0.6
    found[11] = np.eye(10)[0] * 2
    message = (
        r"int8 file has an accuracy of 0.9900 on 1000 images, the Flax model 1.0000; 10 are lost "
        r"and 0 won, which is more than a drop of 0.003 explains .* p = 0.013\); worst is test "
        r"image 11:"
    )
    with pytest.raises(InputError, match=message):
        checks.accuracy(labels, expected, found, "int8", 0.003)
    assert checks.accuracy(labels, expected, found, "int8", 0.01) == (1.0, 0.99)


@pytest.mark.parametrize("lost, won", [(0, 0), (0, 9), (3, 0), (9, 4), (40, 12)])
def test_without_an_accepted_drop_the_test_is_mcnemars(lost, won):
    expected = stats.binomtest(lost, lost + won, 0.5, "greater").pvalue if lost + won else 1.0
    assert checks.chance_of_loss(lost, won, 1000, 0.0) == pytest.approx(expected)


def test_what_is_let_through_shrinks_with_the_test_set():
    """A file that loses twice the accepted drop is found out by many images, not by few."""
    chances = [checks.chance_of_loss(n // 50, 0, n, 0.01) for n in (100, 1000, 10_000)]
    assert chances[0] > 0.5 and chances[2] < 1e-20 and chances[0] > chances[1] > chances[2]
    assert checks.chance_of_loss(100, 0, 10_000, 0.01) == 1.0  # exactly what is accepted
    assert checks.chance_of_loss(10_000, 0, 10_000, 1.0) == 1.0


def test_a_reader_that_loses_accuracy_is_refused():
    labels = np.arange(1000) % 10
    found = np.eye(10)[labels]
    read = found.copy()
    read[:50] = np.eye(10)[0]
    message = r"a reader, .* has an accuracy of 0.9550 on 1000 test images, the file 1.0000 on"
    with pytest.raises(InputError, match=message):
        checks.reading(labels, found, read, 0.003)
    checks.reading(labels, found, found, 0.0)


def test_an_int8_file_with_floats_is_refused(float32):
    with pytest.raises(InputError, match=r"int8 file has float tensors: \{'FLOAT32': 16\}"):
        checks.operators(float32.model, "int8")
    assert checks.operators(float32.model, "float32") == {
        "RESHAPE": 3, "CONV_2D": 2, "MAX_POOL_2D": 2, "FULLY_CONNECTED": 1, "SOFTMAX": 1,
    }  # fmt: skip


def test_sizes_are_counted_by_format():
    variables = {"params": {"kernel": np.zeros((5, 5, 1, 3)), "bias": np.zeros(3)}}
    model = bytes(1000)
    assert checks.sizes(model, variables, "float32") == {
        "bytes": 1000, "gzip_bytes": 29, "weights_bytes": 312, "overhead_bytes": 688,
    }  # fmt: skip
    assert checks.sizes(model, variables, "float16")["weights_bytes"] == 156
    assert checks.sizes(model, variables, "int8")["weights_bytes"] == 75 + 12
    assert checks.sizes(model, variables, "dynamic")["weights_bytes"] == 312
    variables["params"]["dense"] = np.zeros((128, 8))  # as small as they get
    assert checks.sizes(model, variables, "dynamic")["weights_bytes"] == 312 + 1024
