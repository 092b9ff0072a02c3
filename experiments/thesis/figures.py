"""Figures 2.2 to 2.5 of the thesis, with its figures beside ours, as PNG files."""

import pathlib
from collections.abc import Callable

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from configs.thesis_study import MODELS
from experiments.pages import SOURCE, STYLE
from experiments.thesis import rows, temperature, text
from experiments.thesis.rows import DISTILLED, Study
from experiments.thesis.tables import extent

# Okabe and Ito's colours, which most people can tell apart.
COLORS = dict(zip(MODELS, ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7"), strict=True))
THESIS = "#767676"


def write(study: Study, folder: pathlib.Path, source: str) -> dict[str, str]:
    """Draws every figure that the study has rows for; others of the study in the folder go.

    Args:
      study: what to draw.
      folder: for the files.
      source: a digest of the results, kept in each file.

    Returns:
      The names of the files by that of the figure.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for name in DRAW:
        (folder / f"{name}.png").unlink(missing_ok=True)
    for name in drawable(study):
        with matplotlib.rc_context(STYLE):
            figure = Figure(figsize=(9.6, 5.4), layout="constrained")
            DRAW[name](study, figure)
            files[name] = f"{name}.png"
            figure.savefig(folder / files[name], dpi=150, metadata={SOURCE: source})
    return files


def drawable(study: Study) -> list[str]:
    """Returns the names of the figures that the study has rows for."""
    needs = {name: bool(study.chosen) for name in ("figure_2_2", "figure_2_3", "figure_2_4")}
    needs["figure_2_5"] = bool(study.models())
    needs["losses"] = len(_losses(study)) > 1
    return [name for name, there in needs.items() if there]


def figure_2_2(study: Study, figure: Figure) -> None:
    """The accuracy of every run, for each student."""
    axis = figure.subplots()
    published, runs = study.published["2_3"].set_index("model"), study.published["2_4"]
    groups = study.chosen
    for x, (model, group) in enumerate(groups.items()):
        ours = 100 * study.of(group).accuracy.to_numpy()
        axis.plot(_spread(x - 0.17, ours), ours, "o", color=COLORS[model], alpha=0.75, ms=8)
        axis.hlines(ours.mean(), x - 0.3, x - 0.04, color=COLORS[model], lw=2.5)
        theirs, printed = runs.accuracy[runs.model == model].to_numpy(), published.loc[model]
        if len(theirs):
            axis.plot(_spread(x + 0.17, theirs), theirs, "o", color=THESIS, alpha=0.6, ms=6)
        else:
            axis.errorbar(
                x + 0.17, printed.accuracy, printed.accuracy_ci95, color=THESIS, capsize=5, lw=1.5
            )
        axis.hlines(printed.accuracy, x + 0.04, x + 0.3, color=THESIS, lw=2.5)
    axis.plot([], [], "o", color="black", label="ours: runs and mean")
    axis.plot(
        [], [], "o", color=THESIS, label="thesis: runs and mean; 95 % where no runs are printed"
    )
    names = [
        f"{text.short(model)}\nT = {group.temperature:g}\nthesis {published.temperature[model]:g}"
        for model, group in groups.items()
    ]
    axis.set_xticks(range(len(groups)), names)
    axis.grid(axis="x", visible=False)
    axis.set_ylabel("test accuracy, %")
    axis.set_title(f"Accuracy of every run{extent(study)}")
    axis.legend(loc="lower left")


def figure_2_3(study: Study, figure: Figure) -> None:
    """F-measure over compression rate, with standard errors."""
    axis = figure.subplots()
    published = study.published["2_3"].set_index("model")
    for model, group in study.chosen.items():
        mean, theirs = study.mean(group, "f_measure"), published.loc[model]
        rate = 100 * study.of(group).compression_rate.iloc[0]
        axis.errorbar(
            rate, 100 * mean.mean, 100 * mean.normal_half_width / 1.96, fmt="o", ms=10, capsize=6,
            color=COLORS[model],
        )  # fmt: skip
        axis.errorbar(
            rate, theirs.f_measure, theirs.f_measure_ci95 / 1.96, fmt="s", ms=8, capsize=6,
            color=COLORS[model], mfc="white",
        )  # fmt: skip
        _label(axis, model, rate, 100 * mean.mean)
    _ours_and_theirs(axis)
    axis.margins(x=0.12)
    axis.ticklabel_format(useOffset=False)
    axis.set_xlabel("compression rate, % of the teacher's weights saved")
    axis.set_ylabel("F-measure ± standard error, %")
    axis.set_title(f"F-measure against compression{extent(study)}")


def figure_2_4(study: Study, figure: Figure) -> None:
    """Accuracy over the number of weights, the teacher's as a line."""
    axis = figure.subplots()
    published = study.published["2_3"].set_index("model")
    for model, group in study.chosen.items():
        mean, weights = study.mean(group), study.of(group).num_params.iloc[0]
        axis.plot(weights, 100 * mean.mean, "o", ms=11, color=COLORS[model])
        axis.plot(weights, published.accuracy[model], "s", ms=9, color=COLORS[model], mfc="white")
        _label(axis, model, weights, 100 * mean.mean)
    teacher = study.teacher
    lines = {", thesis": published.accuracy["teacher"]}
    if not teacher.empty:
        lines[""] = 100 * teacher.accuracy.mean()
    for name, accuracy in lines.items():
        ours = f", {teacher.num_params.iloc[0] / 1e6:.2f} million weights" if not name else ""
        axis.axhline(accuracy, color=THESIS if name else "black", ls="--" if name else "-", lw=1.5)
        axis.annotate(
            f"teacher{name}, {accuracy:.2f} %{ours}",
            (0.995, accuracy), xycoords=("axes fraction", "data"), ha="right",
            va="bottom" if not name else "top", fontsize=11,
            xytext=(0, -4 if name else 2), textcoords="offset points",
        )  # fmt: skip
    _ours_and_theirs(axis, loc="lower right")
    axis.margins(x=0.12)
    axis.xaxis.set_major_formatter("{x:,.0f}")
    axis.set_xlabel("trainable weights")
    axis.set_ylabel("test accuracy, %")
    axis.set_title(f"Accuracy and size{extent(study)}")


def figure_2_5(study: Study, figure: Figure) -> None:
    """F-measure over the temperature for every student."""
    axis = figure.subplots()
    for i, model in enumerate(study.models()):
        curve = study.curve(model, DISTILLED)
        means = [study.mean(group, "f_measure") for group in curve.values()]
        # Beside one another, or else the intervals at a temperature hide each other.
        axis.errorbar(
            [t + 0.14 * (i - 2) for t in curve], [100 * m.mean for m in means],
            [100 * m.t_half_width for m in means], fmt="o-", color=COLORS[model], capsize=4, lw=2,
            elinewidth=1.3, label=text.short(model),
        )  # fmt: skip
    published = study.published["2_5"]
    axis.plot(
        published.temperature, published.f_measure, "s--", color=COLORS[MODELS[0]], mfc="white",
        lw=1.5, label="v1, thesis",
    )  # fmt: skip
    best = study.published["2_3"].set_index("model").loc[list(MODELS[1:])]
    for model, row in best.iterrows():
        axis.plot(row.temperature, row.f_measure, "s", ms=9, color=COLORS[model], mfc="white")
    axis.plot([], [], "s", color=THESIS, mfc="white", label="thesis,\nat its best T")
    axis.set_xlabel("temperature T")
    axis.set_ylabel("F-measure, %")
    axis.set_xticks([1, 3, 5, 10, 15, 20])
    runs = study.runs[study.runs.method == DISTILLED]
    tried = min(len(study.temperatures(model)) for model in study.models())
    extent = rows.reduced(runs, temperatures=tried)
    axis.set_title(f"F-measure ± t-interval, and temperature{extent}")
    handles, labels = axis.get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda i: "thesis" in labels[i])
    figure.legend(
        [handles[i] for i in order], [labels[i] for i in order], loc="outside right center"
    )


def losses(study: Study, figure: Figure) -> None:
    """Accuracy over the temperature for each loss, a panel for each student."""
    styles = dict(zip(temperature.LOSSES, ("o-", "s--", "^-."), strict=True))
    methods = _losses(study)
    models = [m for m in study.models() if any(m in study.models(how) for how in methods[1:])]
    panels = figure.subplots(1, len(models), sharex=True, sharey=True, squeeze=False)[0]
    for axis, model in zip(panels, models, strict=True):
        for method, color in zip(methods, ("black", "#56B4E9", "#8B4FBF"), strict=False):
            curve = study.curve(model, method)
            means = [study.mean(group) for group in curve.values()]
            axis.errorbar(
                list(curve), [100 * m.mean for m in means], [100 * m.t_half_width for m in means],
                fmt=styles[method], color=color, capsize=3,
                label=temperature.LOSSES[method] if axis is panels[0] else None,
            )  # fmt: skip
        axis.set_title(text.short(model))
    panels[0].set_ylabel("test accuracy, %")
    for axis in panels:
        axis.set_xticks([1, *range(5, round(study.runs.temperature.max()) + 1, 5)])
    figure.supxlabel("temperature T", fontsize=13)
    figure.legend(loc="outside upper center", ncols=3)


DRAW: dict[str, Callable[[Study, Figure], None]] = {
    "figure_2_2": figure_2_2,
    "figure_2_3": figure_2_3,
    "figure_2_4": figure_2_4,
    "figure_2_5": figure_2_5,
    "losses": losses,
}


def _losses(study: Study) -> list[str]:
    return [method for method in temperature.LOSSES if study.models(method)]


def _spread(x: float, values: np.ndarray) -> np.ndarray:
    """Returns places around x at which the points of several runs do not hide one another."""
    return x + np.linspace(-0.09, 0.09, len(values)) if len(values) > 1 else np.array([x])


def _label(axis: Axes, model: str, x: float, y: float) -> None:
    axis.annotate(
        text.short(model), (x, y), xytext=(12, 6), textcoords="offset points", fontsize=14,
        color=COLORS[model], fontweight="bold",
    )  # fmt: skip


def _ours_and_theirs(axis: Axes, loc: str = "best") -> None:
    axis.plot([], [], "o", ms=10, color="black", label="ours")
    axis.plot([], [], "s", ms=8, color="black", mfc="white", label="thesis")
    axis.legend(loc=loc)
