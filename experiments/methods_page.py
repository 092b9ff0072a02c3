"""The measured parts of docs/methods.md, from the committed rows.

    python -m experiments.methods_page    # writes them again

The rows are those of `experiments.methods`, `experiments.methods_cifar10` and
`experiments.benchmarks.methods`, which write them and the page too.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from distill.report.tables import markdown
from experiments import ROOT, pages, significance
from experiments.thesis import text
from experiments.thesis.comparisons import word

LABELS = "labels only"  # the method that the others are compared with
PAGE, COST = "docs/methods.md", "methods_cost"
COLORS = ("#0072B2", "#E69F00")

TESTS = "tests"  # what the name of the table of tests of a study ends with


class Study(NamedTuple):
    """A comparison of methods.

    Attributes:
      name: of its CSV file, of its picture, and of its tables in the page.
    """

    name: str

    def csv(self, root: pathlib.Path) -> pathlib.Path:
        return root / "experiments" / "results" / f"{self.name}.csv"

    def picture(self, root: pathlib.Path) -> pathlib.Path:
        return root / "docs" / "results" / f"{self.name}.png"


MNIST, CIFAR10 = Study("methods"), Study("methods_cifar10")


class Cell(NamedTuple):
    """A method in a setting, against labels only.

    Attributes:
      mean: accuracy over the seeds.
      difference: from labels only, of the same seeds; None for labels only.
      p_images, p_seeds: corrected for the other methods of the setting.
      word: `better`, `worse` or `open`.
    """

    mean: significance.Mean
    difference: significance.Difference | None = None
    p_images: float = 1.0
    p_seeds: float = 1.0
    word: str = "open"


Setting = tuple[float, str]  # fraction of the labels, and model


def judge(table: pd.DataFrame) -> dict[Setting, dict[str, Cell]]:
    """Compares the methods of each setting with labels only.

    Args:
      table: rows of `methods.collect`; students that diverged are left out.
    """
    found = {}
    settings = table[table.status == "ok"].groupby(["labelled_fraction", "model"], sort=False)
    for setting, rows in settings:
        groups = {str(method): g.set_index("seed") for method, g in rows.groupby("method")}
        alone = groups.pop(LABELS)
        differences, p_images = [], []
        for group in groups.values():
            seeds = group.index.intersection(alone.index)
            pair = (of.accuracy[seeds].tolist() for of in (group, alone))
            differences.append(significance.paired_t(*pair))
            counts = (int(group[column].iloc[0]) for column in ("a_better", "b_better"))
            p_images.append(significance.mcnemar(*counts))
        p_images = significance.holm(p_images)
        p_seeds = significance.holm([difference.p_value for difference in differences])
        cells = {LABELS: Cell(significance.mean(alone.accuracy.tolist()))}
        for i, (method, group) in enumerate(groups.items()):
            verdict = word(differences[i].mean, p_images[i], p_seeds[i])
            mean = significance.mean(group.accuracy.tolist())
            cells[method] = Cell(mean, differences[i], p_images[i], p_seeds[i], verdict)
        found[setting] = cells
    return found


def render(table: pd.DataFrame, study: Study) -> dict[str, str]:
    """Returns by name what stands between the markers of a study: accuracies, and the tests."""
    judged = judge(table)
    methods = list(dict.fromkeys(table.method))
    header = ["method", *map(named, judged)]
    accuracies = [
        [method, *(_accuracy(cells.get(method)) for cells in judged.values())] for method in methods
    ]
    tests = [
        [method, *(_tests(cells.get(method)) for cells in judged.values())]
        for method in methods
        if method != LABELS
    ]
    parts = [
        answer(judged),
        markdown(header, accuracies),
        _run(table),
        f"![Difference from labels only](results/{study.name}.png)",
    ]
    return {
        study.name: "\n\n".join(parts),
        f"{study.name}_{TESTS}": markdown(header, tests),
    }


def _run(table: pd.DataFrame) -> str:
    """Says what was trained on, for how long, and by whom."""
    images, epochs = table.train_examples.max(), table.epochs.min()
    teacher = ""
    if "teacher_accuracy" in table:
        teacher = f" The teacher is right on {table.teacher_accuracy.max():.2%} of the test images."
    return (
        f"{images:,} training images, {images // 100 * epochs:,} updates of 100.{teacher} "
        f"{pages.extent(table.assign(epochs=epochs))}"
    )


def answer(judged: Mapping[Setting, Mapping[str, Cell]]) -> str:
    """Returns in a sentence for each setting which methods are better than labels only."""
    lines = []
    for setting, cells in judged.items():
        others = {method: cell for method, cell in cells.items() if method != LABELS}
        if not others:
            continue
        best = max(others, key=lambda method: others[method].mean.mean)
        counted = {
            verdict: [m for m, cell in others.items() if cell.word == verdict]
            for verdict in ("better", "worse")
        }
        said = [
            f"{_listed(counted[verdict])} {'is' if len(counted[verdict]) == 1 else 'are'} {verdict}"
            for verdict in counted
            if counted[verdict]
        ]
        lines.append(
            f"- {named(setting)}: of {text.plural(len(others), 'method')} "
            f"{'; '.join(said) + ' than' if said else 'none is shown to differ from'} "
            f"labels only. The highest mean is that of `{best}`, "
            f"{text.points(others[best].difference.mean, others[best].difference.half_width)}."
        )
    return "\n".join(lines)


def named(setting: Setting) -> str:
    """Returns a setting in words."""
    fraction, model = setting
    labels = "all labels" if fraction == 1 else f"{fraction:.0%} of the labels".replace("%", " %")
    return f"{text.short(model)}, {labels}"


def _listed(methods: Sequence[str]) -> str:
    return text.listed([f"`{method}`" for method in methods])


def _accuracy(cell: Cell | None) -> str:
    if cell is None:
        return text.NONE
    shown = f"{text.percent(cell.mean.mean)} ± {text.percent(cell.mean.t_half_width)}"
    return shown if cell.word == "open" else f"{shown}, {text.WORDS[cell.word]}"


def _tests(cell: Cell | None) -> str:
    if cell is None or cell.difference is None:
        return text.NONE
    difference = text.points(cell.difference.mean, cell.difference.half_width)
    return f"{difference}; {text.p_value(cell.p_images)}, {text.p_value(cell.p_seeds)}"


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """The difference of every method from labels only, with its t-interval."""
    judged = judge(table)
    fractions = list(dict.fromkeys(fraction for fraction, _ in judged))
    methods = [m for m in dict.fromkeys(table.method) if m != LABELS]
    panels = figure.subplots(1, len(fractions), sharey=True, squeeze=False)[0]
    for panel, fraction in zip(panels, fractions, strict=True):
        models = [model for of, model in judged if of == fraction]
        for i, model in enumerate(models):
            cells = judged[fraction, model]
            there = [m for m in methods if m in cells]
            found = [cells[m].difference for m in there]
            panel.errorbar(
                [100 * d.mean for d in found],
                [methods.index(m) + 0.3 * (i - (len(models) - 1) / 2) for m in there],
                xerr=[100 * d.half_width for d in found],
                fmt="o", markersize=4, color=COLORS[i], label=text.short(model),
            )  # fmt: skip
        panel.axvline(0, color="#767676", linewidth=1)
        panel.set_title(named((fraction, ""))[2:])
        panel.set_xlabel("percentage points against labels only")
    panels[0].set_yticks(range(len(methods)), methods)
    panels[0].invert_yaxis()
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower right", ncols=2)


def render_cost(table: pd.DataFrame) -> str:
    """Returns what stands between the markers of the costs."""
    models = list(dict.fromkeys(table.model))
    cells = {
        (row.model, row.method): f"{row.ms:.2f}, {row.ratio:.2f} ×" for row in table.itertuples()
    }
    lines = [
        [method, *(cells.get((model, method), text.NONE) for model in models)]
        for method in dict.fromkeys(table.method)
    ]
    first = table.iloc[0]
    said = f"{first.batch} images, {first.rounds} rounds; {first.device}; commit {first.commit}."
    return markdown(["method", *map(text.short, models)], lines) + f"\n\n{said}"


def write(
    rows: Sequence[Mapping[str, Any]], root: pathlib.Path, study: Study
) -> list[pathlib.Path]:
    """Writes rows, the picture, and what stands between the markers of the page.

    Args:
      rows: from `methods.collect`.
      root: of the checkout, or another folder for what is not to be kept.
      study: whose rows they are.

    Returns:
      The files written.
    """
    csv = study.csv(root)
    csv.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(csv, index=False)
    return [csv, *write_page(root, study)]


def write_page(root: pathlib.Path, study: Study) -> list[pathlib.Path]:
    """Writes the page and the picture of a study anew, from its CSV file."""
    csv, picture = study.csv(root), study.picture(root)
    picture.parent.mkdir(parents=True, exist_ok=True)
    table = pages.read_csv(csv)
    with matplotlib.rc_context(pages.STYLE):
        height = 2 + 0.22 * table.method.nunique()
        figure = Figure(figsize=(9.6, height), layout="constrained")
        draw(table, figure)
        figure.savefig(picture, dpi=150, metadata={pages.SOURCE: pages.digest(csv)})
    return [_put(root, render(table, study)), picture]


def write_cost(root: pathlib.Path) -> pathlib.Path:
    """Writes the table of costs anew, from its CSV file."""
    return _put(root, {COST: render_cost(pages.read_csv(Study(COST).csv(root)))})


def _put(root: pathlib.Path, tables: Mapping[str, str]) -> pathlib.Path:
    """Writes tables into the page; where there is none yet, into that of the checkout."""
    page = root / PAGE
    words = (page if page.exists() else ROOT / PAGE).read_text(encoding="utf-8")
    for name, content in tables.items():
        words = pages.between(words, name, content)
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(words, encoding="utf-8")
    return page


def main() -> None:
    """Writes everything anew of which there are rows."""
    for study in (MNIST, CIFAR10):
        if study.csv(ROOT).exists():
            write_page(ROOT, study)
    if Study(COST).csv(ROOT).exists():
        write_cost(ROOT)


if __name__ == "__main__":
    main()
