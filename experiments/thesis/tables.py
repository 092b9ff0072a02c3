"""Tables 2.3 to 2.6 of the thesis, with its figures beside ours."""

import pandas as pd

from configs.thesis_study import DETAILED, MODELS, TEMPERATURES
from distill import presets
from distill.report.tables import markdown
from experiments import significance
from experiments.thesis import rows, text
from experiments.thesis.comparisons import judge
from experiments.thesis.rows import DISTILLED, LABELS, MEASURES, RECIPE, Group, Study
from experiments.thesis.temperature import temperature_verdicts

MEASURE_NAMES = ["accuracy", "precision", "recall", "F-measure"]
TEST_IMAGES = 10_000
BY_RECIPE, ON_LABELS_BY_RECIPE = f"{DISTILLED} {RECIPE}", f"{LABELS} {RECIPE}"


def table_2_3(study: Study) -> str:
    """The students at their best temperatures, and how those were chosen."""
    groups = study.chosen
    if not groups:
        return ""
    published = study.published["2_3"].set_index("model")
    teacher = study.teacher
    lines = []
    for model, runs, temperature in [
        *([] if teacher.empty else [("teacher", teacher, None)]),
        *((model, study.of(group), group.temperature) for model, group in groups.items()),
    ]:
        theirs, first = published.loc[model], runs.iloc[0]
        ours = [text.with_intervals(significance.mean(runs[m].tolist())) for m in MEASURES]
        printed = [text.published(theirs[m], theirs[f"{m}_ci95"]) for m in MEASURES]
        rate = text.NONE if model == "teacher" else text.percent(first.compression_rate)
        lines += [
            [text.short(model), "ours", _number(temperature), _runs(study, groups.get(model), runs),
             *ours, f"{first.num_params:,}", rate],
            ["", "thesis", _number(theirs.temperature), "10", *printed,
             f"{int(theirs.trainable_weights):,}", text.published(theirs.compression_rate)],
        ]  # fmt: skip
        again = study.of(Group(model, BY_RECIPE, 1.0))
        if not again.empty:
            ours = [text.with_intervals(significance.mean(again[m].tolist())) for m in MEASURES]
            lines.append(["", "its recipe, ours", "1", f"{len(again)}", *ours, "", ""])
    title = f"Table 2.3{extent(study)}"
    header = ["model", "", "T", "runs", *MEASURE_NAMES, "weights", "compression"]
    note = (
        "Percent, mean over the runs ± 1.96·s/√n (the thesis's interval) / ± Student's t-interval; "
        "both speak of other seeds and not of other images. T is chosen on validation images."
    )
    note += _recipe(study)
    if len(teacher) == 1:
        accuracy = teacher.accuracy.iloc[0]
        low, high = significance.wilson(round(accuracy * TEST_IMAGES), TEST_IMAGES)
        note += (
            f" The teacher's accuracy in one run{study.teacher_commit}, {text.percent(accuracy)}, "
            f"could be anything from {text.percent(low)} to {text.percent(high)} on other test "
            "images (Wilson)."
        )
    return text.section(title, markdown(header, lines), note, _choice(study, groups))


def _recipe(study: Study) -> str:
    """Says what the thesis's recipe is, where students were trained by it."""
    found = [study.of(Group(model, BY_RECIPE, 1.0)) for model in MODELS]
    if all(runs.empty for runs in found):
        return ""
    epochs, teachers = pd.concat(found).epochs.max(), presets.simplenet(1, "thesis").teacher.epochs
    return (
        ' "Its recipe, ours" is what the thesis shows of its own, for teacher and students: Adam '
        f"at 1e-4 in batches of 50 of unmoved images, here for {epochs:.0f} epochs, the teacher "
        f"for {teachers}; the thesis names none."
    )


def extent(study: Study) -> str:
    """Returns what there is to say of the extent of table 2.3 and what is drawn from it."""
    groups = study.chosen
    grids = [rows.temperatures(study.selection, model) for model in groups]
    behind = pd.concat([study.of(group) for group in groups.values()])
    return rows.reduced(behind, teachers=len(study.teacher), temperatures=min(map(len, grids)))


def _choice(study: Study, groups: dict[str, Group]) -> str:
    """The temperature that each way of choosing it gives, and what the choice is worth."""
    published = study.published["2_3"].set_index("model")
    lines = []
    for model, group in groups.items():
        tried = rows.temperatures(study.selection, model)
        on_test = rows.choose(study.runs[study.runs.temperature.isin(tried)], model, "accuracy")
        best = Group(model, DISTILLED, on_test)
        lines.append(
            [
                text.short(model),
                ", ".join(_number(t) for t in tried),
                _number(group.temperature),
                text.percent(study.mean(group).mean),
                _number(on_test),
                text.percent(study.mean(best).mean),
                text.points(study.mean(best).mean - study.mean(group).mean),
                _number(published.temperature[model]),
            ]
        )
    header = [
        "model", "T tried", "T by validation", "test accuracy", "T by test set",
        "its test accuracy", "gained by looking", "thesis's T",
    ]  # fmt: skip
    images = study.runs.train_examples.max() - study.selection.train_examples.max()
    seeds = study.selection.groupby("group").seed.nunique().min()
    return (
        f"How T was chosen. By validation: the highest mean accuracy, over "
        f"{text.plural(seeds, 'seed')}, on {images:,.0f} training images that were held out from "
        "students trained for this purpose; the students of the table are then trained on all "
        "images. By test set: the thesis's way, the highest mean of the very accuracies that the "
        "table reports, which flatters them.\n\n"
        f"{markdown(header, lines)}"
    )


def table_2_4(study: Study) -> str:
    """Every run of the two students that the thesis shows run by run."""
    published = study.published["2_4"]
    lines, behind = [], []
    for model, temperature in DETAILED.items():
        runs = study.of(Group(model, DISTILLED, temperature))
        if runs.empty:
            continue
        behind.append(runs)
        ours = runs[list(MEASURES)].reset_index(drop=True)
        theirs = published.loc[published.model == model, list(MEASURES)].reset_index(drop=True)
        names = [f"seed {seed}" for seed in runs.seed]
        for i in range(max(len(ours), len(theirs))):
            left = [text.percent(v) for v in ours.loc[i]] if i < len(ours) else [text.NONE] * 4
            right = [f"{v:.2f}" for v in theirs.loc[i]] if i < len(theirs) else [text.NONE] * 4
            name = names[i] if i < len(names) else text.NONE
            lines.append([text.short(model), _number(temperature), name, *left, *right])
        for name in ("min", "max", "stdev"):
            aggregate = {"stdev": "std"}.get(name, name)
            digits = 3 if name == "stdev" else 2
            left = [text.percent(v, digits) for v in ours.agg(aggregate)]
            right = [f"{v:.{digits}f}" for v in theirs.agg(aggregate)]
            lines.append([text.short(model), _number(temperature), f"**{name}**", *left, *right])
        left = [text.with_intervals(significance.mean(ours[m].tolist())) for m in MEASURES]
        means = [significance.mean((theirs[m] / 100).tolist()) for m in MEASURES]
        right = [text.with_intervals(mean) for mean in means]
        lines.append([text.short(model), _number(temperature), "**average**", *left, *right])
    if not lines:
        return ""
    header = [
        "model", "T", "run", *MEASURE_NAMES, *(f"thesis, {name}" for name in MEASURE_NAMES)
    ]  # fmt: skip
    note = (
        "Percent; averages ± 1.96·s/√n / ± Student's t-interval, also the thesis's, from its runs. "
        "The two halves of a row are not of the same seed: the thesis names none."
    )
    title = f"Table 2.4{rows.reduced(pd.concat(behind), {'students': len(DETAILED)})}"
    return text.section(title, markdown(header, lines), note)


def table_2_5(study: Study) -> str:
    """v1 over the temperatures."""
    model = MODELS[0]
    tried = study.temperatures(model)
    if not tried:
        return ""
    published = study.published["2_5"].set_index("temperature")
    lines, behind = [], []
    for temperature in tried:
        group = Group(model, DISTILLED, temperature)
        behind.append(study.of(group))
        cells = [_number(temperature), _runs(study, group, behind[-1])]
        for measure in MEASURES:
            printed = text.NONE
            if temperature in published.index:
                row = published.loc[temperature]
                printed = text.published(row[measure], row[f"{measure}_ci95"])
            cells += [text.with_intervals(study.mean(group, measure)), printed]
        lines.append(cells)
    header = ["T", "runs"]
    for name in MEASURE_NAMES:
        header += [name, f"thesis, {name}"]
    family = temperature_verdicts(study, DISTILLED)
    verdicts = [verdict for verdict in family if verdict.a.model == model]
    tests = ""
    if verdicts:
        tests = f"{text.verdict_table(verdicts)}\n\n{text.tested(verdicts, len(family))}"
    grid = len(set(tried) & set(TEMPERATURES))
    extent = rows.reduced(pd.concat(behind), {"students": 1}, temperatures=grid)
    return text.section(
        f"Table 2.5{extent}",
        "v1 distilled at each temperature; percent, mean ± 1.96·s/√n / ± Student's t-interval.",
        markdown(header, lines),
        tests,
    )


def table_2_6(study: Study) -> str:
    """Training on labels against distillation, the same seeds and steps."""
    groups = {
        model: group
        for model, group in study.chosen.items()
        if not study.of(Group(model, LABELS)).empty
    }
    if not groups:
        return ""
    published = study.published["2_6"].set_index("model")
    verdicts = judge(study, [(group, Group(group.model, LABELS)) for group in groups.values()])
    recipe, lines, behind = _recipe(study), [], []
    for verdict in verdicts:
        theirs = published.loc[verdict.a.model]
        behind += [study.of(verdict.a), study.of(verdict.b)]
        model = verdict.a.model
        again = (Group(model, ON_LABELS_BY_RECIPE), Group(model, BY_RECIPE, 1.0))
        lines.append(
            [
                text.short(model),
                _number(verdict.a.temperature),
                text.with_intervals(study.mean(verdict.b)),
                text.published(theirs.classic_training_accuracy),
                text.with_intervals(study.mean(verdict.a)),
                text.published(theirs.distillation_accuracy),
                *text.verdict_cells(verdict),
                f"{theirs.difference:+.2f}",
                *([text.with_intervals(study.mean(group)) for group in again] if recipe else []),
            ]
        )
    header = [
        "model", "T", "labels only", "thesis, labels only", "distilled", "thesis, distilled",
        *text.VERDICT_HEADER, "thesis's difference",
        *(["its recipe, ours, labels only", "its recipe, ours, T = 1"] if recipe else []),
    ]  # fmt: skip
    note = (
        "Accuracy in percent, mean ± 1.96·s/√n / ± Student's t-interval. "
        f"{text.tested(verdicts)}{recipe}"
    )
    title = f"Table 2.6{rows.reduced(pd.concat(behind))}"
    return text.section(title, markdown(header, lines), note)


def _number(temperature: float | None) -> str:
    return text.NONE if pd.isna(temperature) else f"{temperature:g}"


def _runs(study: Study, group: Group | None, finished: pd.DataFrame) -> str:
    """The number of runs in a mean, and of those that diverged and are not in it."""
    diverged = 0
    if group is not None:
        diverged = (study.runs.group == str(group)).sum() - len(finished)
    return f"{len(finished)} ({diverged} diverged)" if diverged else f"{len(finished)}"
