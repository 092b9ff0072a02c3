"""Draws how speed grows with the number of students, from the rows of `sweep`.

python -m experiments.benchmarks.growth experiments/results/sweep_growth.csv docs/sweep_growth.png
"""

import argparse
import pathlib

import pandas as pd
from matplotlib.figure import Figure

COLORS = {"simplenet_v1": "#7a5195", "simplenet_v4": "#ef5675"}
STYLES = {"distill": "-o", "pytorch": "--s", "keras": ":^"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("csv", type=pathlib.Path, help="file that `sweep --csv` has written")
    parser.add_argument("image", type=pathlib.Path, help="PNG file to write")
    args = parser.parse_args()
    draw(pd.read_csv(args.csv), args.image)


def draw(rows: pd.DataFrame, path: pathlib.Path) -> None:
    """Draws the examples per second of all students together, medians of the rounds.

    Args:
      rows: with the columns of `sweep`.
      path: of the PNG file to write.
    """
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axis = figure.subplots()
    counts = sorted(rows.students.unique())
    for (model, framework), line in rows.groupby(["model", "framework"], sort=False):
        line = line.sort_values("students")
        color, style = COLORS[model], STYLES[framework]
        axis.plot(line.students, line.examples_per_second, style, color=color,
                  label=f"{model}, {framework}")  # fmt: skip
    axis.set_xscale("log")
    axis.set_xticks(counts, [str(count) for count in counts])
    axis.minorticks_off()
    axis.set_ylim(bottom=0)
    axis.set_xlabel("students at the same time")
    axis.set_ylabel("examples per second, all students together (median)")
    axis.set_title(", ".join(rows.device.unique()), fontsize=9)
    axis.yaxis.set_major_formatter("{x:,.0f}")
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
