"""Finding a digit: where it comes to lie, what is said of what is none, how many are recognised."""

import numpy as np
import pytest

from distill.export import bundle, digits, preprocess, reference
from distill.export.runtime import Model
from experiments import golden_digits
from experiments.in_hand import SHIPPED


def cells(image):
    return reference.image_cells(image, "gray", digits.GRID, digits.GRID)


@pytest.mark.parametrize("condition", ["drawn small", "thick pen", "shaded, half the size"])
def test_the_ink_has_a_box_of_20_pixels_and_its_mass_in_the_middle(condition):
    for image in golden_digits.images(condition)[:10]:
        found = digits.find(cells(image), "auto").cells[..., 0]
        assert found.min() == 0 and found.max() == 255
        down, across = (np.flatnonzero((found > 64).any(axis)) for axis in (1, 0))
        assert max(np.ptp(down), np.ptp(across)) + 1 in (19, 20, 21)
        middle = (
            found.sum(1) @ np.arange(28) / found.sum(),
            found.sum(0) @ np.arange(28) / found.sum(),
        )
        np.testing.assert_allclose(middle, 14, atol=0.25)


def test_less_light_changes_little():
    for image in golden_digits.images("thin pen")[:5]:
        bright, dark = (
            digits.find(cells(i), "auto") for i in (image, (image * 0.4).astype(np.uint8))
        )
        assert np.abs(bright.cells - dark.cells).mean() < 4
        assert bright.inverted and dark.inverted


def test_what_is_drawn_is_never_inverted():
    image = 255 - golden_digits.images("drawn in the middle")[3]  # dark on light
    assert digits.find(cells(image), "auto").inverted
    assert not digits.find(cells(image), "as_is").inverted


@pytest.mark.parametrize(("name", "oddity"), golden_digits.oddities().items())
def test_what_is_no_single_digit_is_said(name, oddity):
    notice, image = oddity
    found = digits.find(cells(image), "auto")
    assert found.notice == notice
    assert (found.cells.max() == 0) == (notice == "blank")


def test_digits_are_recognised_in_every_condition():
    opened = bundle.read(SHIPPED)
    model = Model(opened)
    for name, condition in golden_digits.CONDITIONS.items():
        polarity = "as_is" if condition.noise == 0 else "auto"
        spec = {**opened.manifest["input"], "polarity": polarity}
        seen = [preprocess.see_image(image, spec) for image in golden_digits.images(name)]
        answers = model.run(np.concatenate([one.tensor for one in seen])).argmax(axis=1)
        right = sum(
            one.notice != "blank" and answer == n % 10
            for n, (one, answer) in enumerate(zip(seen, answers, strict=True))
        )
        assert right >= golden_digits.FLOOR * len(seen), f"{name}: {right}"
