import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from experiments import PUBLISHED, significance


def test_mean_of_the_thesis():
    """The ten runs of table 2.4 give the intervals that the thesis prints."""
    runs = pd.read_csv(PUBLISHED / "table_2_4.csv")
    v1, v5 = (significance.mean(found.accuracy) for _, found in runs.groupby("model"))
    assert (v1.n, v1.mean, v1.stdev) == (10, pytest.approx(98.046), pytest.approx(0.1022, abs=5e-5))
    assert v1.normal_half_width == pytest.approx(0.0633, abs=1e-4)  # it cuts where we round
    assert (v5.mean, v5.normal_half_width) == pytest.approx((95.397, 0.7609), abs=1e-4)
    assert v1.t_half_width / v1.normal_half_width == pytest.approx(2.2621572 / 1.96)


def test_mean_literal():
    found = significance.mean([1.0, 2.0, 3.0])
    assert found == pytest.approx((3, 2, 1, 1.96 / math.sqrt(3), 4.3026527 / math.sqrt(3)))


def test_student_interval_is_that_of_scipy(rng):
    values = rng.normal(size=7)
    low, high = stats.t.interval(0.95, 6, values.mean(), stats.sem(values))
    found = significance.mean(values)
    assert (found.mean - found.t_half_width, found.mean + found.t_half_width) == pytest.approx(
        (low, high)
    )


def test_one_run_has_no_interval():
    found = significance.mean([0.5])
    assert found[:2] == (1, 0.5) and all(map(math.isnan, found[2:]))


def test_wilson_literal():
    """Newcombe (1998), Stat. Med. 17(8), table I, method 3."""
    assert significance.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert significance.wilson(0, 20) == pytest.approx((0, 0.1611), abs=5e-5)
    assert significance.wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


def test_wilson_closed_form():
    z, n, p = stats.norm.ppf(0.975), 10_000, 0.98
    center = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert significance.wilson(9_800, n) == pytest.approx((center - half, center + half))


def test_paired_t_is_that_of_scipy(rng):
    a, b = rng.normal(size=(2, 6))
    found = significance.paired_t(a, b)
    expected = stats.ttest_rel(a, b)
    low, high = expected.confidence_interval(0.95)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert (found.mean - found.half_width, found.mean + found.half_width) == pytest.approx(
        (low, high)
    )


def test_paired_t_literal():
    found = significance.paired_t([1.0, 2.0, 4.0], [0.0, 0.0, 1.0])
    assert found == pytest.approx((3, 2, 4.3026527 / math.sqrt(3), 0.0741799))


@pytest.mark.parametrize("a, p_value", [([0.1, 0.2, 0.3], 1.0), ([0.2, 0.3, 0.4], 0.0)])
def test_paired_t_of_equal_differences_is_not_decided_by_rounding(a, p_value):
    assert significance.paired_t(a, [0.1, 0.2, 0.3]).p_value == p_value


def test_paired_t_of_one_pair_says_nothing():
    found = significance.paired_t([0.75], [0.5])
    assert found[:2] == (1, 0.25) and all(map(math.isnan, found[2:]))


def test_discordant_of_one_seed():
    a, b = np.array([1, 1, 0, 0, 1], bool), np.array([1, 0, 1, 0, 0], bool)
    assert significance.discordant(a, b) == (2, 1)


def test_discordant_of_several_seeds_counts_images():
    a = np.array([[1, 1, 0, 0], [1, 0, 0, 1], [1, 1, 0, 0]], bool)
    b = np.array([[0, 1, 1, 1], [0, 0, 1, 0], [0, 0, 1, 0]], bool)
    assert significance.discordant(a, b) == (2, 1)  # the last is right once by both


@pytest.mark.parametrize(
    "a, b, p_value",
    [(0, 0, 1.0), (0, 1, 1.0), (0, 5, 2 / 32), (1, 9, 2 * 11 / 1024), (5, 5, 1.0), (8, 8, 1.0)],
)
def test_mcnemar_counts_coins(a, b, p_value):
    assert significance.mcnemar(a, b) == significance.mcnemar(b, a) == pytest.approx(p_value)


def test_mcnemar_approaches_chi_squared():
    a, b = 520, 600
    approximation = stats.chi2.sf((abs(a - b) - 1) ** 2 / (a + b), 1)
    assert significance.mcnemar(a, b) == pytest.approx(approximation, rel=0.01)


def test_holm_literal():
    assert significance.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert significance.holm([0.6, 0.9]) == [1.0, 1.0]
    assert significance.holm([]) == []


def test_holm_does_not_count_what_was_not_tested():
    corrected = significance.holm([math.nan, 0.01, 0.04])
    assert math.isnan(corrected[0]) and corrected[1:] == pytest.approx([0.02, 0.04])


def test_the_detectable_difference_is_found_four_times_in_five(rng):
    pairs = rng.normal(0.0, 1.0, (4000, 6))
    known = significance.Difference(6, 0.0, significance._t_quantile(5) / math.sqrt(6), 1.0)
    shift = significance.detectable(known)
    found = [significance.paired_t(row + shift, np.zeros(6)).p_value < 0.05 for row in pairs]
    assert np.mean(found) == pytest.approx(0.8, abs=0.02)
    assert significance.detectable(known, 5) > shift
    assert math.isnan(significance.detectable(significance.Difference(1, 0.0, math.nan, math.nan)))
