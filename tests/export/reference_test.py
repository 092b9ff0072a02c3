"""What readers compute, on literal numbers."""

import numpy as np
import pytest

from distill.errors import InputError
from distill.export import reference
from distill.export.reference import Window
from distill.pixels import center_crop

BYTES = {"scale": 1 / 255, "zero_point": -128}


@pytest.mark.parametrize(
    "size, tensor, expected",
    [
        ((4, 4), (28, 28), (0, 0, 4, 4)),
        ((4, 7), (28, 28), (0, 1, 4, 4)),
        ((9, 4), (28, 28), (2, 0, 4, 4)),
        ((1, 1), (28, 28), (0, 0, 1, 1)),
        ((9, 9), (20, 30), (1, 0, 6, 9)),
        ((4, 9), (20, 30), (0, 1, 4, 6)),
        ((1, 1), (1, 99), (0, 0, 1, 1)),
    ],
)
def test_center_crop_has_the_shape_of_the_tensor(size, tensor, expected):
    assert center_crop(*size, *tensor) == expected


def test_area_resize_of_whole_pixels_is_the_mean():
    pixels = np.array([[0, 10, 20, 30], [40, 50, 60, 70]])
    np.testing.assert_array_equal(
        reference.area_resize(pixels, Window(0, 0, 2, 4), 1, 2), [[25.0, 45.0]]
    )


def test_area_resize_weights_the_pixels_at_edges():
    pixels = np.array([[0, 30, 90]])
    np.testing.assert_array_equal(
        reference.area_resize(pixels, Window(0, 0, 1, 3), 1, 2), [[10.0, 70.0]]
    )
    np.testing.assert_array_equal(
        reference.area_resize(pixels, Window(0, 0.5, 1, 1), 1, 1), [[15.0]]
    )


def test_area_resize_enlarges():
    pixels = np.array([[0, 40], [80, 120]])
    enlarged = reference.area_resize(pixels, Window(0, 0, 2, 2), 4, 3)
    row = [0, 20, 40]
    np.testing.assert_allclose(enlarged, np.add.outer([0, 0, 80, 80], row), rtol=1e-15)


def test_area_resize_keeps_a_constant_and_the_mean(rng):
    window = Window(3, 1, 33, 33)
    constant = reference.area_resize(np.full((40, 35), 200), window, 28, 28)
    np.testing.assert_allclose(constant, 200.0, rtol=1e-14)
    pixels = rng.integers(0, 256, (40, 35))
    cells = reference.area_resize(pixels, window, 28, 28)
    assert np.mean(cells) == pytest.approx(np.mean(pixels[3:36, 1:34]), rel=1e-13)


def test_image_cells_converts_colours():
    image = np.zeros((2, 4, 4), np.uint8)
    image[:, 1:3] = [100, 200, 50, 255]
    np.testing.assert_allclose(reference.image_cells(image, "gray", 1, 1), [[[153.0]]])
    np.testing.assert_array_equal(reference.image_cells(image, "rgb", 1, 1), [[[100, 200, 50]]])
    gray = np.full((3, 3), 7, np.uint8)
    np.testing.assert_array_equal(reference.image_cells(gray, "gray", 1, 1), [[[7]]])
    np.testing.assert_array_equal(reference.image_cells(gray, "rgb", 1, 1), [[[7, 7, 7]]])


def test_an_empty_image_is_refused():
    with pytest.raises(InputError, match=r"expected a size of 1x1 or more, found \(0, 3\)"):
        reference.image_cells(np.zeros((0, 3)), "gray", 2, 2)


def test_is_inverted():
    paper = np.full((8, 8, 1), 200.0)
    paper[2:6, 2:6] = 100.0
    assert reference.is_inverted(paper, "auto")
    assert not reference.is_inverted(255 - paper, "auto")
    assert not reference.is_inverted(np.full((8, 8, 1), 90.0), "auto")
    assert not reference.is_inverted(paper, "as_is")
    assert reference.is_inverted(255 - paper, "invert")


def test_is_inverted_looks_at_the_border_and_the_middle_half_only():
    cells = np.zeros((8, 8, 1))
    cells[1, 1:7] = 250.0  # between border and middle
    cells[0, 0] = 28.0  # one of 28 pixels of the border: mean 1
    cells[3, 3] = 16.0  # one of 16 pixels in the middle: mean 1
    assert not reference.is_inverted(cells, "auto")
    cells[7, 7] = 1.0
    assert reference.is_inverted(cells, "auto")


def test_to_tensor():
    spec = {"polarity": "invert", "scale": [0.5], "offset": [-1.0], "dtype": "float32"}
    tensor = reference.to_tensor(np.array([[[255.0], [253.0]]]), spec)
    np.testing.assert_array_equal(tensor, np.array([[[[-1.0], [0.0]]]], np.float32))
    assert tensor.dtype == np.float32
    spec |= {"dtype": "int8", "quantization": {"scale": 0.5, "zero_point": 3}}
    tensor = reference.to_tensor(np.array([[[255.0], [253.0]]]), spec)
    np.testing.assert_array_equal(tensor, np.array([[[[1], [3]]]], np.int8))
    assert tensor.dtype == np.int8


def test_to_tensor_scales_each_channel():
    spec = {"polarity": "as_is", "scale": [1, 2, 3], "offset": [0, 10, 20], "dtype": "float32"}
    tensor = reference.to_tensor(np.full((1, 1, 3), 2.0), spec)
    np.testing.assert_array_equal(tensor[0, 0, 0], [2.0, 14.0, 26.0])


def test_quantize_rounds_halves_to_even_and_clamps():
    steps = {"scale": 1.0, "zero_point": 0}
    values = reference.quantize(np.array([0.5, 1.5, 2.5, -0.5, -1.5, 500, -500]), steps, "int8")
    assert values.tolist() == [0, 2, 2, 0, -2, 127, -128]
    assert reference.quantize(np.array([-3.0, 300.0]), steps, "uint8").tolist() == [0, 255]


def test_every_byte_keeps_its_step():
    pixels = np.arange(256.0)
    values = reference.quantize(pixels / 255, BYTES, "int8")
    assert values.tolist() == list(range(-128, 128))
    np.testing.assert_allclose(reference.dequantize(values, BYTES), pixels / 255, rtol=1e-6)


def test_a_temperature_divides_logarithms():
    output = {"kind": "probabilities", "temperature": 2.0}
    scores = np.array([0.9, 0.1, 0.0], np.float32)
    roots = np.sqrt([0.9, 0.1, 1 / 1024])
    np.testing.assert_allclose(
        reference.probabilities(scores, output), roots / roots.sum(), rtol=1e-6
    )
    logits = {"kind": "logits", "temperature": 2.0}
    np.testing.assert_allclose(
        reference.probabilities(np.array([0.0, np.log(9)], np.float32), logits),
        [0.25, 0.75],
        rtol=1e-6,
    )
    assert reference.probabilities(scores, {"kind": "probabilities"}) is scores


def test_softmax_of_large_logits():
    probabilities = reference.softmax(np.array([1000.0, 1000.0, -1000.0], np.float32))
    assert probabilities.tolist() == [0.5, 0.5, 0.0]
    np.testing.assert_allclose(
        reference.softmax(np.array([0.0, np.log(3)], np.float32)), [0.25, 0.75], rtol=1e-6
    )


@pytest.mark.parametrize("bad", ["nan", "inf", "-inf"])
def test_scores_that_are_not_finite_are_refused(bad):
    scores = np.array([0.5, float(bad)], np.float32)
    with pytest.raises(InputError, match=f"score of class 1: expected a finite .* found {bad}"):
        reference.check_scores(scores)
    reference.check_scores(scores[:1])


def test_low_pass_answers_a_step_as_in_the_thesis():
    state = np.zeros((3, 1), np.float32)
    shown = []
    for _ in range(16):
        state = reference.low_pass(state, np.ones(1, np.float32), 0.4)
        shown.append(float(state[-1, 0]))
    expected = [0.064, 0.1792, 0.31744, 0.45568, 0.580096, 0.684605]
    np.testing.assert_allclose(shown[:6], expected, rtol=1e-5)
    assert shown[8] < 0.9 < shown[9] and shown[14] < 0.99 < shown[15]


def test_low_pass_leaves_the_state_it_is_given():
    state = np.zeros((2, 3), np.float32)
    after = reference.low_pass(state, np.array([1, 2, 4], np.float32), 1.0)
    assert not state.any() and after.dtype == np.float32
    np.testing.assert_array_equal(after, [[1, 2, 4]] * 2)


@pytest.mark.parametrize(
    "k, expected", [(-1, [1]), (1, [1]), (3, [1, 3, 0]), (4, [1, 3, 0, 2]), (99, [1, 3, 0, 2, 4])]
)
def test_top_k_takes_the_lower_class_of_equals(k, expected):
    assert reference.top_k(np.array([0.25, 0.5, 0.25, 0.5, 0.0], np.float32), k) == expected
