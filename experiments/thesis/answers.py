"""The thesis's research questions, answered from the figures.

Every sentence with a judgement in it is chosen here by the numbers that it speaks of, so that other
results give other sentences.
"""

from distill.report.tables import markdown
from experiments.thesis import text
from experiments.thesis.comparisons import POOLED, Verdict, judge
from experiments.thesis.rows import DISTILLED, LABELS, Group, Study


def downsampling(study: Study) -> str:
    """RQ1: strided convolutions instead of max pooling, and what saves most."""
    asked = [
        (Group(strided, method, t), Group(pooled, method, t))
        for strided, pooled in POOLED.items()
        for method, grid in (
            (LABELS, [None]),
            (DISTILLED, study.temperatures(strided)),
        )
        for t in grid
    ]
    asked = [(a, b) for a, b in asked if len(study.of(a)) and len(study.of(b))]
    if not asked:
        return ""
    verdicts = judge(study, asked)
    sentences = [_strided(study, strided, verdicts) for strided in POOLED]
    published = study.published["2_3"].set_index("model").accuracy
    gains = {s: (published[s] - published[p]) / 100 for s, p in POOLED.items()}
    thesis = text.listed(
        [f"{text.points(gain)} for {_pair(strided)}" for strided, gain in gains.items()]
    )
    return text.section(
        "RQ1: which optimizations pay, and does a strided convolution replace max pooling?",
        f"**{_agreement(verdicts)}** {' '.join(filter(None, sentences))}",
        f"The thesis found {thesis}, in means at the temperature that was best for each, and "
        "concluded that v4 picks up a better pooling.",
        text.verdict_table(verdicts),
        text.tested(verdicts),
        _sizes(study),
    )


def _pair(strided: str) -> str:
    return f"{text.short(strided)} against {text.short(POOLED[strided])}"


def _strided(study: Study, strided: str, verdicts: list[Verdict]) -> str:
    own = [v for v in verdicts if v.a.model == strided]
    if not own:
        return ""
    after, before = (study.of(group).iloc[0] for group in (own[0].a, own[0].b))
    return (
        f"In {_pair(strided)} the strided convolution costs {after.num_params - before.num_params} "
        f"weights and {text.percent(after.macs / before.macs - 1, 1)} % more multiply-accumulates; "
        f"of {len(own)} settings it is better in {text.count(own, 'better')}, worse in "
        f"{text.count(own, 'worse')}, and in {text.count(own, 'open')} no difference is shown."
    )


def _agreement(verdicts: list[Verdict]) -> str:
    better, worse = text.count(verdicts, "better"), text.count(verdicts, "worse")
    if better > len(verdicts) / 2 and not worse:
        return "A strided convolution is better than max pooling."
    if worse > len(verdicts) / 2 and not better:
        return "A strided convolution is worse than max pooling."
    if better and worse:
        return "It depends on the network and its training whether a strided convolution pays."
    if better or worse:
        word = "better" if better else "worse"
        return f"A strided convolution is {word} in some settings; most show no difference."
    return "No difference between strided convolutions and max pooling is shown."


def _sizes(study: Study) -> str:
    """What each student costs, and which of them another beats on both counts."""
    groups = study.chosen
    if not groups:
        return ""
    cost = {m: study.of(g).iloc[0] for m, g in groups.items()}
    accuracy = {m: study.mean(g).mean for m, g in groups.items()}
    fronts = {}
    for column in ("num_params", "macs"):
        fronts[column] = [
            m
            for m in groups
            if not any(
                accuracy[o] > accuracy[m] and cost[o][column] <= cost[m][column] for o in groups
            )
        ]
    table = [
        [
            text.short(m),
            f"{cost[m].num_params:,}",
            f"{cost[m].macs:,}",
            text.percent(accuracy[m]),
            "yes" if m in fronts["num_params"] else "no",
            "yes" if m in fronts["macs"] else "no",
        ]
        for m in groups
    ]
    header = [
        "",
        "weights",
        "multiply-accumulates",
        "accuracy",
        "best for weights",
        "best for MACs",
    ]
    names = {key: text.listed([text.short(m) for m in found]) for key, found in fronts.items()}
    best = max(accuracy, key=accuracy.__getitem__)
    smallest = min(cost, key=lambda m: cost[m].num_params)
    fastest = min(cost, key=lambda m: cost[m].macs)
    return (
        f"{markdown(header, table)}\n\nA student is best for its size if none with as few or fewer "
        f"has a higher mean: for weights {names['num_params']}, for multiply-accumulates "
        f"{names['macs']}. {text.short(best)} has the highest accuracy, {text.short(smallest)} the "
        f"fewest weights, {text.short(fastest)} the fewest multiply-accumulates"
        + (": what saves weights does not save time." if smallest != fastest else ".")
    )


def preservation(study: Study) -> str:
    """RQ2: how much of the teacher's accuracy the students keep."""
    groups, runs = study.chosen, study.teacher
    if not groups or runs.empty:
        return ""
    published = study.published["2_3"].set_index("model")
    teacher, weights = runs.accuracy.mean(), runs.num_params.iloc[0]
    theirs = published.accuracy["teacher"]
    rows, lost, lost_by_thesis = [], {}, {}
    for model, group in groups.items():
        mean, found = study.mean(group), study.of(group)
        lost[model] = teacher - mean.mean
        lost_by_thesis[model] = (theirs - published.accuracy[model]) / 100
        rows.append(
            [
                text.short(model),
                text.percent(found.num_params.iloc[0] / weights, 3),
                text.percent(mean.mean / teacher),
                text.percent(published.accuracy[model] / theirs),
                text.points(-lost[model], mean.t_half_width),
                text.points(-lost_by_thesis[model]),
                text.percent(found.agreement.mean()),
            ]
        )
    header = [
        "", "weights, % of the teacher's", "accuracy kept, %", "thesis, kept", "points lost",
        "thesis, lost", "agreement, %",
    ]  # fmt: skip
    best, worst = min(lost, key=lost.__getitem__), max(lost, key=lost.__getitem__)
    closer = [text.short(m) for m in lost if lost[m] < lost_by_thesis[m]]
    against = (
        "None loses" if not closer else f"{text.listed(closer)} lose" + "s" * (len(closer) == 1)
    )
    if len(closer) == len(groups):
        against = "Every student loses"
    return text.section(
        "RQ2: how much of the teacher's accuracy do the students preserve?",
        f"**Between {text.percent(1 - lost[worst] / teacher)} % ({text.short(worst)}) and "
        f"{text.percent(1 - lost[best] / teacher)} % ({text.short(best)}).** "
        f"{against} less of it than the thesis's. Our teacher has {text.percent(teacher)} % in "
        f"{text.plural(len(runs), 'run')}{study.teacher_commit}, the thesis's "
        f"{theirs:.2f} % in ten.",
        _distillation(study),
        markdown(header, rows),
        "Points lost carry the t-interval of the student's mean; the teacher's is not in it. "
        "The thesis says that v1 is 1.271 % below its teacher; its table gives 1.235 points.",
    )


def _distillation(study: Study) -> str:
    """How much of it is owed to the teacher: the verdicts of table 2.6 in a sentence."""
    pairs = [
        (group, Group(model, LABELS))
        for model, group in study.chosen.items()
        if len(study.of(Group(model, LABELS)))
    ]
    if not pairs:
        return ""
    verdicts = judge(study, pairs)
    helped, harmed = ([v for v in verdicts if v.word == word] for word in ("better", "worse"))
    positive = study.published["2_6"].difference > 0
    thesis = f"in the thesis {positive.sum()} of {len(positive)} gained, without a test"
    if not helped and not harmed:
        return (
            f"**Distillation is not shown to contribute**: for none of {len(verdicts)} students "
            f"is it shown to differ from training on labels ({thesis}).{text.power(verdicts)}"
        )
    parts = []
    for found, verb in ((helped, "raises"), (harmed, "lowers")):
        if found:
            names = [f"{text.short(v.a.model)} ({text.points(v.difference.mean)})" for v in found]
            parts.append(f"{verb} the accuracy of {text.listed(names)}")
    rest = len(verdicts) - len(helped) - len(harmed)
    unclear = f", and shows no difference for {rest}" if rest else ""
    return (
        f"**Against training on labels, distillation {text.listed(parts)}**{unclear} "
        f"({thesis}).{text.power(verdicts)}"
    )


def others(study: Study) -> str:
    """RQ3: in comparison with other models."""
    groups = study.chosen
    if not groups:
        return ""
    published = study.published["2_3"].set_index("model").accuracy
    gains = {m: study.mean(group).mean - published[m] / 100 for m, group in groups.items()}
    above = [m for m, gain in gains.items() if gain > 0]
    spread = f"{text.points(min(gains.values()))} to {text.points(max(gains.values()))} points"
    relation = {len(groups): "all above", 0: "none above"}.get(
        len(above), f"{len(above)} of {len(groups)} above"
    )
    best_ours = max(groups, key=lambda m: study.mean(groups[m]).mean)
    best_theirs = published[list(groups)].idxmax()
    same = (
        "as in the thesis"
        if best_ours == best_theirs
        else (f"where in the thesis it was {text.short(best_theirs)}")
    )
    baseline = Group(best_theirs, LABELS)
    recipe = ""
    if len(study.of(baseline)):
        gain = study.mean(baseline).mean - published[best_theirs] / 100
        if gain > 0:
            recipe = (
                f" The recipe suffices for that: trained on labels, without any teacher, "
                f"{text.short(best_theirs)} already is {text.percent(gain)} points above the "
                "thesis's distilled one."
            )
    return text.section(
        "RQ3: how do the students compare with other models?",
        "The thesis names no figures of others on MNIST (it found no similar networks), and "
        "none are on this page beside the teacher. What can be compared is the same "
        f"network trained by two recipes: our means are **{relation} the thesis's, {spread}**. "
        f"The most accurate student is {text.short(best_ours)}, {same}.{recipe}",
    )
