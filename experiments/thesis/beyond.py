"""Beyond the thesis: several teachers instead of one, and few labels."""

from configs.thesis_study import LABELLED_FRACTION
from distill.report.tables import markdown
from experiments.thesis import rows, text
from experiments.thesis.comparisons import Verdict, judge
from experiments.thesis.rows import DISTILLED, LABELS, Group, Study

ENSEMBLE = f"{DISTILLED} ensemble"
FEW, FEW_LABELS = f"{DISTILLED} unlabelled", f"{LABELS} unlabelled"


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
    return text.section(
        f"(c) An ensemble of {teachers}{rows.reduced(behind)}",
        text.tally(verdicts, f"distilling from {teachers}", "distilling from one"),
        text.verdict_table(verdicts),
        text.tested(verdicts),
    )


def few_labels(study: Study) -> list[Verdict]:
    """Compares, with a tenth of the labels, each student distilled with the same on labels only."""
    models = [m for m in study.models(FEW) if m in study.models(FEW_LABELS)]
    groups = {m: Group(m, FEW, study.temperatures(m, FEW)[0]) for m in models}
    return judge(study, [(groups[m], Group(m, FEW_LABELS)) for m in models])


def unlabelled(study: Study) -> str:
    """(c) A tenth of the labels, the other images without theirs."""
    verdicts = few_labels(study)
    if not verdicts:
        return ""
    lines = []
    for verdict in verdicts:
        model = verdict.a.model
        full = [Group(model, LABELS), study.chosen.get(model)]
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
    return text.section(
        f"(c) {share} of the labels{rows.reduced(behind)}",
        text.tally(verdicts, "distilling with the unlabelled images", "training on the labels"),
        f"The teacher too sees only {share} of the labels; the distilled student sees all images "
        "and no label. Both students make the same number of steps, and the teacher as many as "
        "with all labels.",
        markdown(header, lines),
        text.tested(verdicts),
    )
