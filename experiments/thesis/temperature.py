"""The temperature: whether T = 1 is best, with other losses too, and what learning it gives."""

import math

from configs.thesis_study import LEARNING
from distill.report.tables import markdown
from experiments.significance import Mean
from experiments.thesis import rows, text
from experiments.thesis.comparisons import Verdict, judge
from experiments.thesis.rows import CORRECTED, DISTILLED, LEARNED, SELECTION, Group, Study

LOSSES = {DISTILLED: "squared error", CORRECTED: "squared error × T²", "kl": "KL × T²"}


def temperature(study: Study) -> str:
    """What the thesis's tables 2.3 and 2.5 say of T, tested."""
    verdicts = temperature_verdicts(study, DISTILLED)
    if not verdicts:
        return ""
    return text.section(
        "Is T = 1 the best temperature?",
        temperature_sentence(verdicts),
        "The thesis found T = 1 best for v1, v2 and v3, T = 10 for v4 and T = 3 for v5."
        + _by_validation(study),
    )


def _by_validation(study: Study) -> str:
    found: dict[float, list[str]] = {}
    for model, group in study.chosen.items():
        found.setdefault(group.temperature or 1.0, []).append(text.short(model))
    if not found:
        return ""
    parts = [f"T = {t:g} for {text.listed(models)}" for t, models in sorted(found.items())]
    return f" By our validation images it is {text.listed(parts)}."


def temperature_verdicts(study: Study, method: str) -> list[Verdict]:
    """Compares every temperature with T = 1, for every student trained by a method."""
    return judge(
        study,
        [
            (group, curve[1.0])
            for curve in (study.curve(model, method) for model in study.models(method))
            if 1 in curve
            for t, group in curve.items()
            if t != 1
        ],
    )


def temperature_sentence(verdicts: list[Verdict]) -> str:
    """Says how other temperatures fare against T = 1."""
    better, worse = text.count(verdicts, "better"), text.count(verdicts, "worse")
    if not better and not worse:
        claim = "These runs show no difference between temperatures."
    elif not better:
        claim = "No higher temperature is shown to be better than T = 1, and some are worse."
    elif better > worse:
        claim = "T = 1 is not the best temperature."
    else:
        claim = "It depends on the student whether a higher temperature is better than T = 1."
    return (
        f"**{claim}** Of {len(verdicts)} comparisons of a higher T with T = 1 at the same seeds, "
        f"the higher T is better in {better} and worse in {worse}.{text.power(verdicts)}"
    )


def losses(study: Study, picture: str) -> str:
    """(a) The loss times T², and Kullback-Leibler, over the temperatures."""
    methods = [method for method in LOSSES if study.models(method)]
    if methods in ([], [DISTILLED]):
        return ""
    others = study.runs[study.runs.method.isin(methods) & (study.runs.method != DISTILLED)]
    curves = {(m, how): study.curve(m, how) for how in methods[1:] for m in study.models(how)}
    grid = sorted({t for curve in curves.values() for t in curve})
    lines = []
    for model in dict.fromkeys(model for model, _ in curves):
        for method in methods:
            cells = {t: _cell(study.mean(g)) for t, g in study.curve(model, method).items()}
            row = [cells.get(t, text.NONE) for t in grid]
            lines.append([text.short(model), LOSSES[method], *row])
    header = ["model", "loss", *(f"T = {t:g}" for t in grid)]
    sentences = [
        f"*{LOSSES[method]}.* {temperature_sentence(temperature_verdicts(study, method))}"
        for method in methods
    ]
    title = "(a) Does T = 1 stay best when the step does not shrink with T?"
    return text.section(
        f"{title}{rows.reduced(others, {'losses': len(LOSSES)}, losses=len(methods))}",
        *sentences,
        _adam(study),
        picture,
        markdown(header, lines),
        "Test accuracy in percent, mean ± Student's t-interval; nothing is chosen by it.",
    )


def _cell(mean: Mean) -> str:
    width = "" if math.isnan(mean.t_half_width) else f" ± {text.percent(mean.t_half_width)}"
    return text.percent(mean.mean) + width


def _adam(study: Study) -> str:
    """What the factor T² does under Adam, from the same students with and without it."""
    pairs = [
        (Group(m, CORRECTED, t), Group(m, DISTILLED, t))
        for m in study.models(CORRECTED)
        for t in study.temperatures(m, CORRECTED)
        if t != 1 and len(study.of(Group(m, DISTILLED, t)))
    ]
    if not pairs:
        return ""
    verdicts = judge(study, pairs)
    better, worse = text.count(verdicts, "better"), text.count(verdicts, "worse")
    sizes = [abs(v.difference.mean) for v in verdicts]
    return (
        "The factor T² would make the steps of plain gradient descent T² times as long. Adam, "
        "which is used here, divides each gradient by its own size, so that a constant factor "
        "matters only where gradients come near its ε of 1e-8. "
        + ("The runs do not contradict that: of " if not better + worse else "Even so, of ")
        + f"{len(verdicts)} comparisons at the same temperature and seeds, the factor is better in "
        f"{better} and worse in {worse}; the means differ by "
        f"{text.percent(sum(sizes) / len(sizes))} points on average, at most "
        f"{text.percent(max(sizes))}.{text.power(verdicts)}"
    )


def learned(study: Study) -> str:
    """(b) A temperature learned by supervision, against the grid."""
    pairs = []
    for model, best in study.chosen.items():
        grid = best._replace(method=f"{DISTILLED} {SELECTION}")
        pairs += [(group, grid) for group in study.curve(model, LEARNED).values()]
    if not pairs:
        return ""
    verdicts = judge(study, pairs)
    lines = []
    for verdict in verdicts:
        found = study.of(verdict.a).final_temperature
        lines.append(
            [
                text.short(verdict.a.model),
                f"{verdict.a.temperature:g}",
                f"{found.mean():.2f} ({found.min():.2f} to {found.max():.2f})",
                text.with_intervals(study.mean(verdict.a)),
                f"{verdict.b.temperature:g}",
                text.with_intervals(study.mean(verdict.b)),
                *text.verdict_cells(verdict),
            ]
        )
    header = [
        "model", "from T", "learned T", "accuracy", "T of the grid", "its accuracy",
        *text.VERDICT_HEADER,
    ]  # fmt: skip
    behind = study.runs[study.runs.method == LEARNED]
    of = {"students": len(LEARNING), "training images": 55_000}
    return text.section(
        f"(b) A learned temperature{rows.reduced(behind, of)}",
        text.tally(verdicts, "the learned temperature", "the grid's"),
        "Both see the same training images; the others, by which the grid's temperature is chosen, "
        "are also those by whose labels the temperature is learned. Accuracies are on the test "
        "set, percent, mean ± 1.96·s/√n / ± Student's t-interval.",
        markdown(header, lines),
        text.tested(verdicts),
    )
