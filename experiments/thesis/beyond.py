"""Beyond the thesis: several teachers instead of one, few labels, and other images."""

import pandas as pd

from configs.thesis_study import FEWER_SEEDS, LABELLED_FRACTIONS
from distill.report.tables import markdown
from experiments.thesis import rows, text
from experiments.thesis.comparisons import Verdict, judge
from experiments.thesis.rows import DISTILLED, LABELS, Group, Study

ENSEMBLE = f"{DISTILLED} ensemble"
DATASETS = {
    "fashion_mnist": ("Fashion-MNIST", "Images of Fashion-MNIST are moved by a pixel."),
    "cifar10": ("CIFAR-10", "Images of CIFAR-10 are mirrored."),
    "cifar10_jpeg": ("CIFAR-10, JPEG", "Images of CIFAR-10, kept as JPEG, are mirrored."),
}  # how the page calls them, and what is done to them


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


def few_labels(study: Study, fraction: float) -> list[Verdict]:
    """Compares, with a part of the labels, each student distilled with the same on labels only."""
    return _against_labels(study, f"{fraction:.0%} unlabelled")


def _against_labels(study: Study, setting: str) -> list[Verdict]:
    """Compares each student distilled in a setting with the same on labels only."""
    distilled, labels = f"{DISTILLED} {setting}", f"{LABELS} {setting}"
    models = [m for m in study.models(distilled) if m in study.models(labels)]
    groups = [Group(m, distilled, study.temperatures(m, distilled)[0]) for m in models]
    return judge(study, [(group, Group(group.model, labels)) for group in groups])


def unlabelled(study: Study) -> str:
    """(c) A part of the labels, the other images without theirs."""
    parts, said, behind, fractions = [], [], [], 0
    for fraction in LABELLED_FRACTIONS:
        verdicts = few_labels(study, fraction)
        if not verdicts:
            continue
        fractions += 1
        share = f"{fraction:.0%}".replace("%", " %")
        behind += [study.of(verdict.a) for verdict in verdicts]
        said.append(
            f"*{share} of the labels.* "
            + text.tally(verdicts, "distilling with the unlabelled images", "training on labels")
        )
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
        header = [
            "model", f"{share} of the labels", "the same, distilled", *text.VERDICT_HEADER,
            "all labels", "all labels, distilled",
        ]  # fmt: skip
        parts += [markdown(header, lines), text.tested(verdicts)]
    if not parts:
        return ""
    behind = pd.concat(behind)
    extent = rows.reduced(behind, {"fractions": len(LABELLED_FRACTIONS)}, fractions=fractions)
    temperatures = text.listed([f"{t:g}" for t in sorted(behind.temperature.unique())])
    return text.section(
        f"(c) A part of the labels{extent}",
        *said,
        "The teacher too sees only those labels; the distilled student sees all images and no "
        f"label, at T = {temperatures}. Both students make the same number of steps, and the "
        "teacher as many as with all labels. Which images have labels was drawn once, for all "
        "seeds and the teacher: how much another draw would change is not in these intervals, and "
        "matters most where labels are few.",
        *parts,
    )


def datasets(study: Study) -> str:
    """(d) The same networks and recipe on other images."""
    lines, verdicts, behind, moved = [], [], [], []
    for dataset, (name, how) in DATASETS.items():
        found = _against_labels(study, dataset)
        verdicts += found
        behind += [study.of(v.a) for v in found]
        moved += [how] if found else []
        lines += [
            [
                name, text.short(v.a.model), text.with_intervals(study.mean(v.b)),
                text.with_intervals(study.mean(v.a)), *text.verdict_cells(v),
            ]
            for v in found
        ]  # fmt: skip
    if not lines:
        return ""
    header = ["images", "model", "labels only", "distilled, T = 3", *text.VERDICT_HEADER]
    seeds = text.plural(min(v.difference.n for v in verdicts), "seed")
    of = {"seeds": FEWER_SEEDS["cifar10"], "sets": 2, "training images": 50_000}
    extent = rows.reduced(pd.concat(behind), of, sets=len(moved))
    return text.section(
        f"(d) Other images{extent}",
        text.tally(verdicts, "distilling", "training on labels"),
        "The networks and the students' recipe are those for MNIST, nothing was chosen anew; "
        f"{seeds}. {' '.join(moved)}",
        markdown(header, lines),
        "Test accuracy in percent, mean ± 1.96·s/√n / ± Student's t-interval. p-values after "
        "Holm's correction over the rows of each data set. In brackets, where no difference is "
        "shown: the difference that the test over so many seeds would find four times in five.",
    )
