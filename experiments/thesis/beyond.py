"""What goes beyond the thesis: other losses, learned temperatures, ensembles, few labels."""

import numpy as np

from configs.thesis_study import LABELLED_FRACTION
from distill.report.tables import markdown
from experiments.thesis import rows, text
from experiments.thesis.answers import temperature_sentence, temperature_verdicts
from experiments.thesis.comparisons import judge
from experiments.thesis.rows import DISTILLED, LABELS, Group, Study
from experiments.thesis.tables import chosen

CORRECTED, ENSEMBLE = f"{DISTILLED} corrected", f"{DISTILLED} ensemble"
LEARNED = f"{DISTILLED} learned"
FEW, FEW_LABELS = f"{DISTILLED} unlabelled", f"{LABELS} unlabelled"
LOSSES = {DISTILLED: "squared error", CORRECTED: "squared error × T²", "kl": "KL × T²"}


def losses(study: Study, picture: str) -> str:
    """(a) The loss times T², and Kullback-Leibler, over the temperatures."""
    methods = [method for method in LOSSES if study.models(method)]
    if methods in ([], [DISTILLED]):
        return ""
    grid = sorted({t for how in methods[1:] for m in study.models(how)
                   for t in study.temperatures(m, how)})  # fmt: skip
    lines = []
    for model in study.models():
        for method in methods:
            there = study.temperatures(model, method)
            means = [study.mean(Group(model, method, t)) for t in there]
            cells = dict(zip(there, means, strict=True))
            lines.append(
                [text.short(model), LOSSES[method]]
                + [_cell(cells[t]) if t in cells else text.NONE for t in grid]
            )
    header = ["model", "loss", *(f"T = {t:g}" for t in grid)]
    sentences = [
        f"*{LOSSES[method]}.* {temperature_sentence(temperature_verdicts(study, method))}"
        for method in methods
    ]
    behind = study.runs[study.runs.method.isin(methods[1:])]
    title = "(a) Does T = 1 stay best when the step does not shrink with T?"
    return _section(
        f"{title}{rows.reduced(behind, grid)}",
        *sentences,
        _adam(study),
        picture,
        markdown(header, lines),
        "Test accuracy in percent, mean ± Student's t-interval; nothing is chosen by it.",
    )


def _cell(mean) -> str:
    return text.percent(mean.mean) + (
        "" if np.isnan(mean.student) else f" ± {text.percent(mean.student)}"
    )


def _adam(study: Study) -> str:
    """What the factor T² does under Adam, from the same students with and without it."""
    differences = [
        abs(study.mean(Group(m, CORRECTED, t)).mean - study.mean(Group(m, DISTILLED, t)).mean)
        for m in study.models(CORRECTED)
        for t in study.temperatures(m, CORRECTED)
        if t != 1 and len(study.of(Group(m, DISTILLED, t)))
    ]
    if not differences:
        return ""
    return (
        "With plain gradient descent the factor would multiply the step by T². Adam divides each "
        "gradient by its own size, so that a constant factor leaves only what is below its ε of "
        "1e-8: the means with and without it differ by "
        f"{text.percent(float(np.mean(differences)))} points on average, at most "
        f"{text.percent(max(differences))}."
    )


def learned(study: Study) -> str:
    """(b) A temperature learned by supervision, against the grid."""
    models = [m for m in study.models(LEARNED) if m in chosen(study)]
    if not models:
        return ""
    groups = {m: Group(m, LEARNED, study.temperatures(m, LEARNED)[0]) for m in models}
    verdicts = judge(study, [(groups[m], chosen(study)[m]) for m in models])
    lines = []
    for verdict in verdicts:
        found = study.of(verdict.a).learned_temperature
        lines.append(
            [
                text.short(verdict.a.model),
                f"{found.mean():.2f} ({found.min():.2f} to {found.max():.2f})",
                text.with_intervals(study.mean(verdict.a)),
                f"{verdict.b.temperature:g}",
                text.with_intervals(study.mean(verdict.b)),
                *text.verdict_cells(verdict),
            ]
        )
    header = [
        "model", "learned T", "accuracy", "T of the grid", "its accuracy", *text.VERDICT_HEADER
    ]  # fmt: skip
    behind = study.runs[study.runs.method == LEARNED]
    return _section(
        f"(b) A learned temperature{rows.reduced(behind)}",
        _tally(verdicts, "the learned temperature", "the grid's"),
        markdown(header, lines),
        text.tested(verdicts),
    )


def ensemble(study: Study) -> str:
    """(c) Several teachers instead of one."""
    pairs = [
        (Group(m, ENSEMBLE, t), Group(m, DISTILLED, t))
        for m in study.models(ENSEMBLE)
        for t in study.temperatures(m, ENSEMBLE)
        if len(study.of(Group(m, DISTILLED, t)))
    ]
    if not pairs:
        return ""
    verdicts = judge(study, pairs)
    behind = study.runs[study.runs.method == ENSEMBLE]
    teachers = f"{behind.teacher_members.iloc[0]:.0f} teachers"
    return _section(
        f"(c) An ensemble of {teachers}{rows.reduced(behind)}",
        _tally(verdicts, f"distilling from {teachers}", "distilling from one"),
        text.verdict_table(verdicts),
        text.tested(verdicts),
    )


def unlabelled(study: Study) -> str:
    """(c) A tenth of the labels, the other images without theirs."""
    models = [m for m in study.models(FEW) if m in study.models(FEW_LABELS)]
    if not models:
        return ""
    groups = {m: Group(m, FEW, study.temperatures(m, FEW)[0]) for m in models}
    verdicts = judge(study, [(groups[m], Group(m, FEW_LABELS)) for m in models])
    lines = []
    for verdict in verdicts:
        model = verdict.a.model
        full = [Group(model, LABELS), chosen(study).get(model)]
        lines.append(
            [
                text.short(model),
                text.with_intervals(study.mean(verdict.b)),
                text.with_intervals(study.mean(verdict.a)),
                *text.verdict_cells(verdict),
                *(
                    text.percent(study.mean(group).mean)
                    if group is not None and len(study.of(group)) else text.NONE
                    for group in full
                ),
            ]
        )  # fmt: skip
    share = f"{LABELLED_FRACTION:.0%}".replace("%", " %")
    header = [
        "model", f"{share} of the labels", "the same, distilled", *text.VERDICT_HEADER,
        "all labels", "all labels, distilled",
    ]  # fmt: skip
    behind = study.runs[study.runs.method == FEW]
    return _section(
        f"(c) {share} of the labels{rows.reduced(behind)}",
        _tally(verdicts, "distilling with the unlabelled images", "training on the labels"),
        f"The teacher too sees only {share} of the labels; the distilled student sees all images "
        "and no label. Both students make the same number of steps.",
        markdown(header, lines),
        text.tested(verdicts),
    )


def _tally(verdicts, one: str, other: str) -> str:
    better, worse = text.count(verdicts, "better"), text.count(verdicts, "worse")
    return (
        f"In {len(verdicts)} comparisons {one} is better than {other} in {better}, worse in "
        f"{worse}, and in {len(verdicts) - better - worse} no difference is shown."
    )


def _section(title: str, *parts: str) -> str:
    return "\n\n".join([f"### {title}", *filter(None, parts)])
