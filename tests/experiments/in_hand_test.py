"""Digits as people write them, and what is none: the rows say what was counted."""

import numpy as np

from experiments import in_hand, outliers
from experiments.golden_digits import SIDE, images


def test_a_row_counts_what_is_recognised_with_and_without_finding_it():
    labels = np.arange(20) % 10
    small = in_hand.Set("drawn", "small", "as_is", images("drawn small"), labels)
    walls = in_hand.Set("drawn", "walls", "auto", np.full((20, SIDE, SIDE), 230, np.uint8), labels)
    whole, drawn, nothing = in_hand.measure(in_hand.SHIPPED, {}, iter([small, walls]))
    assert (whole["images"], whole["right"]) == (10_000, 9879)
    assert (drawn["images"], drawn["condition"]) == (20, "small")
    assert drawn["right"] == 20 > 10 > drawn["right_plain"]
    assert nothing["right"] == 0


def test_digits_are_printed_within_their_paper():
    digits = np.full((3, 28, 28, 1), 255, np.uint8)
    for one in in_hand.printed(digits, np.arange(3)):
        assert one.images.shape == (3, SIDE, SIDE)
        assert one.images.std(axis=(1, 2)).min() > 5


def test_what_is_no_digit_is_counted_as_blank_or_as_sure():
    sets = [("digits", images("grey paper")), ("surfaces", outliers.surfaces())]
    found, surfaces = outliers.measure(in_hand.SHIPPED, iter(sets))
    assert found["blank"] == 0 and found["sure_from_60"] >= 19
    assert surfaces["images"] == outliers.SURFACES
    assert surfaces["blank"] > 40 and surfaces["sure_from_60"] <= 2
    assert outliers.letters().shape == (192, SIDE, SIDE)
    assert len(np.unique(outliers.faces(), axis=0)) == outliers.FACES
