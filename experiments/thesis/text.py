"""Numbers and verdicts as the page writes them."""

import math
from collections.abc import Sequence

from distill.report.tables import Rows, markdown
from experiments.significance import Mean
from experiments.thesis.comparisons import Verdict
from experiments.thesis.rows import DISTILLED, LABELS, Group

NONE = "–"
WORDS = {"better": "**better**", "worse": "**worse**", "open": "not shown"}
METHODS = {DISTILLED: "distilled", LABELS: "labels only"}


def percent(rate: float | None, digits: int = 2) -> str:
    """Returns a rate between 0 and 1 in percent."""
    return NONE if rate is None or math.isnan(rate) else f"{100 * rate:.{digits}f}"


def with_intervals(mean: Mean) -> str:
    """Returns a mean of rates in percent with both half-widths, the normal one first."""
    if math.isnan(mean.stdev):
        return percent(mean.mean)
    return (
        f"{percent(mean.mean)} ± {percent(mean.normal_half_width)} / {percent(mean.t_half_width)}"
    )


def published(value: float, half_width: float | None = None) -> str:
    """Returns a figure of the thesis, which is in percent."""
    if math.isnan(value):
        return NONE
    return f"{value:.2f}" if half_width is None else f"{value:.2f} ± {half_width:.2f}"


def points(rate: float, half_width: float = math.nan) -> str:
    """Returns a difference of rates, signed, in percentage points, with its half-width."""
    if math.isnan(rate):
        return NONE
    width = "" if math.isnan(half_width) else f" ± {percent(half_width)}"
    return f"{100 * rate:+.2f}{width}"


def p_value(p: float) -> str:
    """Returns a p-value with the digits that matter."""
    if math.isnan(p):
        return NONE
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def verdict_cells(verdict: Verdict) -> list[str]:
    """Returns the difference, both p-values and the verdict as cells."""
    difference = points(verdict.difference.mean, verdict.difference.half_width)
    return [difference, p_value(verdict.p_images), p_value(verdict.p_seeds), said(verdict)]


VERDICT_HEADER = ["difference", "p, images", "p, seeds", "verdict"]


def verdict_table(verdicts: Sequence[Verdict]) -> str:
    """Returns a table of comparisons."""
    rows: Rows = [[label(v.a), label(v.b), *verdict_cells(v)] for v in verdicts]
    return markdown(["", "against", *VERDICT_HEADER], rows)


def label(group: Group) -> str:
    """Returns the name of a group as a reader would say it."""
    loss, *rest = group.method.split()
    words = [short(group.model), METHODS.get(loss, loss), *rest]
    return " ".join(words) + ("" if group.temperature is None else f", T = {group.temperature:g}")


def short(model: str) -> str:
    """Returns `v1` for `simplenet_v1`."""
    return model.removeprefix("simplenet_")


def listed(words: Sequence[str]) -> str:
    """Returns `a`, `a and b` or `a, b and c`."""
    *start, end = words
    return f"{', '.join(start)} and {end}" if start else end


def plural(number: int, noun: str) -> str:
    """Returns `1 seed`, `2 seeds`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def count(verdicts: Sequence[Verdict], word: str) -> int:
    """Returns how many comparisons have this verdict."""
    return sum(v.word == word for v in verdicts)


def tally(verdicts: Sequence[Verdict], one: str, other: str) -> str:
    """Returns how often one way is better than another, as a sentence."""
    better, worse, unclear = (count(verdicts, word) for word in WORDS)
    return (
        f"In {len(verdicts)} comparisons {one} is better than {other} in {better}, worse in "
        f"{worse}, and in {unclear} no difference is shown."
    )


def tested(verdicts: Sequence[Verdict], family: int | None = None) -> str:
    """Returns what the p-values of a table were corrected for, and what it could have shown.

    Args:
      verdicts: of the table.
      family: how many were judged together, where the table has a part of them only.
    """
    brackets = (
        " In brackets, where no difference is shown: the difference that the test over so many "
        "seeds would find four times in five; that over the images may ask for more."
    )
    over = f"these {len(verdicts)} rows"
    if family not in (None, len(verdicts)):
        over = f"{family} comparisons, of which these are {len(verdicts)}"
    return f"p-values after Holm's correction over {over}.{brackets * bool(_undecided(verdicts))}"


def power(verdicts: Sequence[Verdict]) -> str:
    """Says, where no difference is shown, which would have been; begins with a space."""
    could = _undecided(verdicts)
    if not could:
        return ""
    low, high = percent(min(could)), percent(max(could))
    size = high if low == high else f"{low} to {high}"
    return (
        f" Where none is shown, the test over the seeds would find a difference of {size} points "
        "four times in five."
    )


def _undecided(verdicts: Sequence[Verdict]) -> list[float]:
    """Returns the differences that would have been found, of comparisons that show none."""
    return [v.detectable for v in verdicts if v.word == "open" and not math.isnan(v.detectable)]


def said(verdict: Verdict) -> str:
    """Returns the verdict, and in brackets the difference that would have been found."""
    found = _undecided([verdict])
    return WORDS[verdict.word] + (f" ({percent(found[0])})" if found else "")


def section(title: str, *parts: str) -> str:
    """Returns a heading and those paragraphs that there are."""
    return "\n\n".join([f"### {title}", *filter(None, parts)])
