"""Pictures of what a classifier gets wrong, and of how sure it is, as PNG files."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from distill.report.plots import COLORS, fitting, save

COLUMNS = 4
SIDE, MARGIN, CAPTION = 1.9, 0.08, 0.36  # of an image, in inches
ACCURACY, CONFIDENCE = COLORS["teacher"], COLORS["student"]


def reliability(
    error: float, bins: Sequence[Sequence[float]], title: str, path: pathlib.Path
) -> None:
    """Draws the accuracy over the confidence, and below how many images have it.

    Args:
      error: expected calibration error.
      bins: mean probability, accuracy and number of images of each, as of `metrics.Calibration`.
      title: above the picture.
      path: of the PNG file to write.
    """
    confidence, accuracy, counts = np.array(bins).T
    figure = Figure(figsize=(4.6, 5.4), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], "--", color="gray", linewidth=1)
    upper.vlines(confidence, confidence, accuracy, color=CONFIDENCE, linewidth=2)
    upper.plot(confidence, accuracy, "o", color=ACCURACY)
    upper.set_xlim(0, 1)
    upper.set_ylim(-0.03, 1.03)
    upper.set_ylabel("share that is right")
    said = f"{title}\nexpected calibration error {100 * error:.2f} %"
    upper.set_title(said, fontsize=10, parse_math=False)
    lower.vlines(confidence, 0, counts, color=ACCURACY, linewidth=4)
    lower.set_yscale("symlog", linthresh=1)
    lower.set_ylim(0, None)
    lower.set_ylabel("images")
    lower.set_xlabel("probability of the prediction")
    for axis in (upper, lower):
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    save(figure, path)


def mistakes(
    found: Sequence[Mapping[str, Any]],
    images: np.ndarray,
    names: Sequence[str],
    title: str,
    path: pathlib.Path,
) -> None:
    """Draws images that are mistaken, each with what it is taken for and what it is.

    Args:
      found: with `image`, `label`, `prediction` and `probability`.
      images: `[n, height, width, channels]` uint8, among which those are.
      names: of the classes.
      title: above the picture.
      path: of the PNG file to write.
    """
    pixels = images[[mistake["image"] for mistake in found]]
    height, width, channels = pixels.shape[1:]
    rows = -(-len(found) // COLUMNS)
    # All in one axis: a picture with an axis for each takes several times as long.
    figure = Figure(figsize=(SIDE * COLUMNS, (SIDE * height / width + CAPTION) * rows + 0.4))
    axis = figure.add_axes((0, 0, 1, 1))
    axis.axis("off")
    axis.text(
        SIDE * COLUMNS / 2, 0.2, f"{title}: most confident mistakes", fontsize=10, ha="center",
        va="center", parse_math=False,
    )  # fmt: skip
    for number, (mistake, image) in enumerate(zip(found, pixels, strict=True)):
        row, column = divmod(number, COLUMNS)
        left, top = SIDE * column + MARGIN, 0.4 + (SIDE * height / width + CAPTION) * row + CAPTION
        extent = (left, left + SIDE - 2 * MARGIN, top + (SIDE - 2 * MARGIN) * height / width, top)
        axis.imshow(
            image[..., 0] if channels == 1 else image, cmap="gray", vmin=0, vmax=255,
            extent=extent, aspect="auto",
        )  # fmt: skip
        axis.text(
            SIDE * (column + 0.5), top - 0.05,
            f"{fitting(names[mistake['prediction']])}, {100 * mistake['probability']:.0f} %\n"
            f"is {fitting(names[mistake['label']])}",
            fontsize=8, ha="center", va="bottom", parse_math=False,
        )  # fmt: skip
    axis.set(xlim=(0, SIDE * COLUMNS), ylim=(figure.get_figheight(), 0))
    save(figure, path)
