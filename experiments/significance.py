"""How sure a measured figure is: intervals of means and rates, and tests of differences.

Plain NumPy and SciPy in float64. Confidence is 95 % throughout. Two things vary in an accuracy, and
no test sees both: the seed of a training (`paired_t`) and the images it is tested on (`mcnemar`).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import optimize, stats

CONFIDENCE = 0.95
POWER = 0.8  # of finding what is there


class Mean(NamedTuple):
    """The mean of several runs, with both half-widths of its 95 % interval.

    Attributes:
      n: number of runs.
      mean: of their values.
      stdev: over n - 1; NaN for one run, as are the half-widths.
      normal_half_width: half-width `1.96 · s / √n`, as Rusu (2018) has it; too narrow for few runs.
      t_half_width: half-width of Student's t-interval.
    """

    n: int
    mean: float
    stdev: float
    normal_half_width: float
    t_half_width: float


class Difference(NamedTuple):
    """The mean difference of pairs, the half-width of its t-interval, and the test's p-value."""

    n: int
    mean: float
    half_width: float
    p_value: float


def mean(values: Sequence[float]) -> Mean:
    """Returns the mean of `values` `[n]`, n ≥ 1, and how sure it is."""
    array = np.asarray(values, np.float64)
    n = len(array)
    if n == 1:
        return Mean(1, float(array[0]), math.nan, math.nan, math.nan)
    stdev = float(array.std(ddof=1))
    error = stdev / math.sqrt(n)
    return Mean(n, float(array.mean()), stdev, 1.96 * error, _t_quantile(n - 1) * error)


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Returns the lower and upper end of the interval of a rate.

    Wilson (1927), J. Am. Stat. Assoc. 22(158), without continuity correction. Unlike
    `p ± 1.96·√(p(1-p)/n)` it stays within 0 and 1, and is not empty for a rate of 0 or 1.
    """
    interval = stats.binomtest(successes, trials).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def paired_t(a: Sequence[float], b: Sequence[float]) -> Difference:
    """Compares the runs `a` and `b` `[n]`, of which those at the same place share a seed.

    The p-value is two-sided, and NaN for one pair. Where all differences are the same it is 0, or 1
    if they are zero: rounding in their deviation must not decide.
    """
    differences = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    n, difference = len(differences), mean(differences.tolist())
    if n == 1:
        return Difference(1, difference.mean, math.nan, math.nan)
    error = difference.stdev / math.sqrt(n)
    if np.ptp(differences) <= 1e-12:
        p_value = 0.0 if abs(difference.mean) > 1e-12 else 1.0
    else:
        p_value = 2 * float(stats.t.sf(abs(difference.mean) / error, n - 1))
    return Difference(n, difference.mean, difference.t_half_width, p_value)


def detectable(difference: Difference, tests: int = 1) -> float:
    """Returns how large a difference must be for `paired_t` to find it four times in five.

    From the noncentral t distribution (Cohen 1988, Statistical Power Analysis, chapter 2), with the
    deviation of these pairs, at 5 % over the number of tests: the first step of `holm`, so that
    with several of them it is rather too large. NaN for less than two pairs.
    """
    if difference.n < 2:
        return math.nan
    degrees = difference.n - 1
    error = difference.half_width / _t_quantile(degrees)
    critical = float(stats.t.isf((1 - CONFIDENCE) / 2 / tests, degrees))

    def missing(shift: float) -> float:
        return float(stats.nct.sf(critical, degrees, shift)) - POWER

    return error * float(optimize.brentq(missing, 0.0, 10 * critical))


def discordant(a_correct: np.ndarray, b_correct: np.ndarray) -> tuple[int, int]:
    """Counts the images on which a does better than b, and those on which b does better.

    Args:
      a_correct: whether a model is right, `[images]`; or `[seeds, images]`, and then the one does
        better that is right for more seeds.
      b_correct: likewise.
    """
    a, b = (np.atleast_2d(np.asarray(c, np.int64)).sum(0) for c in (a_correct, b_correct))
    return int((a > b).sum()), int((a < b).sum())


def mcnemar(a_better: int, b_better: int) -> float:
    """Returns the two-sided p-value of McNemar's test on the images where two models differ.

    McNemar (1947), Psychometrika 12(2). If neither model is better, each such image is a fair coin.
    The binomial distribution is used as it is, which is right for few images (the usual limit for
    the χ² approximation is 25) and cheap for many. With counts over several seeds, from
    `discordant`, it is a sign test whose unit is still the image: the images stay independent,
    where the pairs of image and seed would not be.
    """
    if a_better + b_better == 0:
        return 1.0
    return float(stats.binomtest(a_better, a_better + b_better).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrects the p-values of tests that are read together, so that 5 % of such sets mislead.

    Holm (1979), Scand. J. Stat. 6(2). A NaN, of a test that could not be made, stays and is not
    counted.
    """
    array = np.asarray(p_values, np.float64)
    order = [i for i in np.argsort(array, kind="stable") if not math.isnan(array[i])]
    corrected, largest = array.tolist(), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * float(array[i])))
        corrected[i] = largest
    return corrected


def _t_quantile(degrees: int) -> float:
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, degrees))
