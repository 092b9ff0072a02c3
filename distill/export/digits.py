"""Finds a digit in an image, and makes of it what the authors of MNIST made of theirs.

LeCun, Bottou, Bengio and Haffner (1998, section III) scaled the bounding box of the ink to 20
pixels, its shape kept, and placed the ink's centre of mass in the middle of 28 by 28. Before that a
photograph needs more: the brightness of the paper, with its shadows, is estimated and taken off,
ink is told from noise, and one digit from the next.

The order of the operations is a part of the specification, as in `reference`. Most of them are on
whole numbers, of which every order gives the same sum.
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from distill.export.reference import Window, area_resize

GRID = 70  # cells a side of the square that a digit is looked for in
SIZE, BOX = 28, 20  # pixels a side of the result, and the longer side of the ink in it
MIDDLE = 14.5  # where the centre of mass comes to lie: in the middle of pixel 14
STEPS = 16  # a cell is taken as a whole number of these, from 0 to 255 * 16
HALF = 0.5 + 2.0**-20  # rounds gray pixels that were made of equal colours, less 1e-13, alike

AROUND = 17  # cells to each side of the local mean that says whether ink is darker or lighter
REACH = 12  # cells to each side of what the background is taken from; strokes are thinner than both
DEPTH = 9 * STEPS  # sums of nine cells: this many are one of 255 levels
BIN = 16  # depths are counted by so many; nine bins are a level

DARKEST = 17  # cells that are as dark as ink, at the least
CONTRAST = 12 * DEPTH // BIN  # bins; less is no ink, whatever the noise
NOISE = 9  # median deviations from the median, about six standard deviations; less is no ink
SPECK = 9  # cells; less is no digit
PART = 60  # a part of a digit has at least this part of the cells of the largest
EDGE = 8  # what touches the edge is passed over for a digit of this part of its cells
OTHER = 4  # another digit has at least this part of the cells of the largest
WHITE = 20  # pixels that become white

NOTICES = ("", "blank", "cut", "several")


class Digit(NamedTuple):
    """What is found in an image.

    Attributes:
      cells: `[28, 28, 1]` float64 from 0 to 255, ink light on dark; zeros if it is blank.
      inverted: whether it is dark ink on light paper.
      notice: one of `NOTICES`: nothing unusual; there is no ink; the ink runs over the edge of the
        image; there are several digits, of which this is the largest.
    """

    cells: np.ndarray
    inverted: bool
    notice: str


class _Part(NamedTuple):
    """A connected part of the ink: its number of cells and the box around it."""

    size: int
    top: int
    left: int
    bottom: int
    right: int

    @property
    def at_edge(self) -> bool:
        return min(self.top, self.left) == 0 or max(self.bottom, self.right) == GRID


def find(cells: np.ndarray, polarity: str) -> Digit:
    """Finds the largest digit.

    Args:
      cells: `[GRID, GRID, 1]` from 0 to 255, the square in the middle of an image.
      polarity: `"as_is"` is light ink on dark, `"invert"` dark ink on light, `"auto"` either.
    """
    steps = np.floor(cells[..., 0] * STEPS + HALF).astype(np.int64)
    inverted = polarity == "invert" or (polarity == "auto" and _is_ink_dark(steps))
    if not inverted:
        steps = 255 * STEPS - steps
    blank = Digit(np.zeros((SIZE, SIZE, 1)), inverted, "blank")

    smooth = _sum_of_nine(steps)
    background = smooth  # closing: fills what is thin and dark
    for extreme in (ndimage.maximum_filter, ndimage.minimum_filter):
        background = extreme(background, 2 * REACH + 1, mode="nearest")
    bins = (background - smooth) // BIN
    middle = np.sort(bins, axis=None)[bins.size // 2]
    deviation = np.sort(np.abs(bins - middle), axis=None)[bins.size // 2]
    contrast = np.sort(bins, axis=None)[-DARKEST] - middle
    if contrast < max(CONTRAST, NOISE * deviation):
        return blank

    labels, parts = _parts(bins >= middle + contrast // 4)
    main = _main(parts)
    is_cut = parts[main].at_edge  # or the corner of a shaded wall, which is less than ink
    if parts[main].size < SPECK or (is_cut and contrast < 3 * CONTRAST):
        return blank
    kept, box = _digit(parts, main)
    ink = background - 9 * steps - BIN * (middle + contrast // 16)
    # In a shadow ink differs by less from the paper, by the same part of the light.
    ink = np.maximum(ink, 0) * background.max() // np.maximum(background, 1)
    ink = np.minimum(ink, BIN * (contrast - contrast // 16))
    near = ndimage.maximum_filter(np.isin(labels, np.array(sorted(kept)) + 1), 5, mode="constant")
    notice = "cut" if is_cut else ""
    if not is_cut and any(
        k not in kept and not part.at_edge and part.size * OTHER >= parts[main].size
        for k, part in enumerate(parts)
    ):
        notice = "several"
    return Digit(_place(ink * near, box)[..., None], inverted, notice)


def _is_ink_dark(steps: np.ndarray) -> bool:
    """Ink is what there is less of: it makes the distribution around the local mean lopsided.

    In a shadow ink differs by less, so what is dark on the whole counts for more.
    """
    sums = np.zeros((GRID + 1, GRID + 1), np.int64)
    sums[1:, 1:] = steps.cumsum(0).cumsum(1)
    start = np.maximum(np.arange(GRID) - AROUND, 0)
    end = np.minimum(np.arange(GRID) + AROUND + 1, GRID)
    down, up = sums[end], sums[start]
    total = down[:, end] - up[:, end] - down[:, start] + up[:, start]
    count = (end - start)[:, None] * (end - start)
    mean = total / count
    error = (steps - mean) / (mean + 128 * STEPS)
    return bool(np.add.accumulate((error * error * error).reshape(-1))[-1] < 0)


def _sum_of_nine(steps: np.ndarray) -> np.ndarray:
    """Adds up each cell and its neighbours; beyond the edge a cell repeats."""
    padded = np.pad(steps, 1, mode="edge")
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]


def _parts(mask: np.ndarray) -> tuple[np.ndarray, list[_Part]]:
    """Returns the parts whose cells touch, corners too, in the order of their first cells.

    Returns:
      `[GRID, GRID]`, 0 or the part's number plus 1, and the parts.
    """
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    sizes = np.bincount(labels.reshape(-1), minlength=count + 1)[1:]
    boxes = ndimage.find_objects(labels)
    return labels, [
        _Part(int(size), down.start, across.start, down.stop, across.stop)
        for size, (down, across) in zip(sizes, boxes, strict=True)
    ]


def _main(parts: list[_Part]) -> int:
    """Returns the largest part, the first of equals.

    One at the edge, as the table beside the paper, is passed over for one inside.
    """
    sizes = [0 if part.at_edge else part.size for part in parts]
    inside = int(np.argmax(sizes))
    largest = int(np.argmax([part.size for part in parts]))
    return inside if sizes[inside] * EDGE >= parts[largest].size else largest


def _digit(parts: list[_Part], main: int) -> tuple[set[int], _Part]:
    """Adds to a part what is so near that it belongs to the same digit: the bar of a 5, say.

    Another digit is as tall and stands beside it.

    Returns:
      The numbers of the parts, and the box around them.
    """
    kept, box = {main}, parts[main]
    grown = True
    while grown:
        grown = False
        for k, part in enumerate(parts):
            if k in kept or part.at_edge or part.size * PART < box.size:
                continue
            height, width = box.bottom - box.top, box.right - box.left
            rows = min(part.bottom, box.bottom) - max(part.top, box.top)  # negative: a gap
            columns = min(part.right, box.right) - max(part.left, box.left)
            is_tall = 2 * (part.bottom - part.top) >= height
            is_beside = 5 * columns < min(part.right - part.left, width)
            if -8 * min(rows, columns) <= max(height, width) and not (is_tall and is_beside):
                kept.add(k)
                box = _Part(
                    box.size,
                    min(part.top, box.top), min(part.left, box.left),
                    max(part.bottom, box.bottom), max(part.right, box.right),
                )  # fmt: skip
                grown = True
    return kept, box


def _place(ink: np.ndarray, box: _Part) -> np.ndarray:
    """Scales the ink to its box and places its centre of mass; the darkest becomes white.

    Args:
      ink: `[GRID, GRID]` whole numbers, 0 where there is none.
      box: around it.

    Returns:
      `[SIZE, SIZE]` float64 from 0 to 255.
    """
    centres = 2 * np.arange(GRID) + 1  # twice as far from the edge as they are
    total = 2 * ink.sum()
    down = (ink.sum(axis=1) * centres).sum() / total
    across = (ink.sum(axis=0) * centres).sum() / total
    side = max(box.bottom - box.top, box.right - box.left) * SIZE / BOX
    corner = GRID - side * MIDDLE / SIZE  # of a margin that is as wide as the grid
    window = Window(down + corner, across + corner, side, side)
    pixels = area_resize(np.pad(ink, GRID), window, SIZE, SIZE)
    bright = np.sort(pixels, axis=None)
    white = max(bright[-WHITE], bright[-1] / 2)
    return np.minimum(pixels * 255.0 / white, 255.0)
