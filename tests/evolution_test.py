"""Fronts by hand, and an evolution that follows from its seed and what it was told."""

import sys

import numpy as np
import pytest

from distill import evolution
from distill.errors import InputError

# Wrong answers and bytes: the first three beat one another nowhere.
VALUES = np.array([[0.1, 9.0], [0.2, 5.0], [0.4, 1.0], [0.2, 6.0], [0.4, 6.0], [0.4, 1.0]])
SPACE = {"width": (2, 4, 8, 16), "skip": (False, True), "head": ("mean", "dense")}


def test_a_front_is_what_nothing_beats():
    np.testing.assert_array_equal(evolution.ranks(VALUES), [0, 0, 0, 1, 2, 0])


def test_crowding_is_the_distance_of_the_neighbours_and_infinite_at_the_ends():
    front = np.array([[0.0, 4.0], [1.0, 3.0], [3.0, 1.0], [4.0, 0.0]])
    np.testing.assert_allclose(evolution.crowding(front), [np.inf, 1.5, 1.5, np.inf])
    np.testing.assert_array_equal(evolution.crowding(np.ones((2, 2))), [np.inf, np.inf])


def test_the_best_are_of_the_first_fronts_and_of_one_those_that_are_alone():
    assert evolution.best(VALUES, 4) == [0, 1, 2, 5]
    assert evolution.best(VALUES, 5) == [0, 1, 2, 3, 5]
    close = np.array([[0.0, 9.0], [1.0, 8.0], [1.1, 7.9], [9.0, 0.0]])
    assert evolution.best(close, 3) == [0, 2, 3]


def generations(number, seed=3):
    """Candidates by generation; wide ones are good, and `dense` costs much."""
    search = evolution.Evolution(SPACE, 2, 8, seed)
    asked = []
    for _ in range(number):
        asked.append(search.ask())
        search.tell([[-genes["width"], 99.0 * (genes["head"] == "dense")] for genes in asked[-1]])
    return asked


def test_an_evolution_goes_the_same_way_again():
    assert generations(4) == generations(4)
    assert generations(2) == generations(4)[:2] != generations(2, seed=4)


def test_an_evolution_finds_what_is_good():
    first, *_, last = generations(8)

    def score(asked):
        return np.mean([genes["width"] - 99 * (genes["head"] == "dense") for genes in asked])

    assert (
        score(last) > score(first)
        and {"width": 16, "head": "mean"}.items()
        <= max(last, key=lambda genes: genes["width"]).items()
    )


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match=r"pip install 'distill\[search\]'"):
        evolution.Evolution(SPACE, 2, 8, 0)
