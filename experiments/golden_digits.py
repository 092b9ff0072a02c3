"""Digits of three hands, on a drawing pad and as ink on paper: `mobile/golden/digits.json`.

Each condition has twenty images, two of each digit, and the part of them that a reader with the
committed int8 model has to get right. Lines are those of `hands`; everything else is arithmetic
that rounds alike on every machine. `digits.bin.gz` holds the arrays, compressed: the images of a
condition share their paper.
"""

import gzip
import json
import pathlib
from typing import Any, NamedTuple

import numpy as np

from distill.export import preprocess
from experiments.hands import HANDS

SIDE = 96  # pixels a side of an image
MARGIN = 4  # pixels that ink keeps from the edge
COUNT = 20  # images of a condition
GOLDEN_HANDS = 3  # the first of `HANDS`; the others are kept back for `in_hand`
EXACT = 2  # images of a condition of which the tensor is kept too
FLOOR = 0.97
SPEC = {
    "shape": [1, 28, 28, 1], "dtype": "float32", "layout": "NHWC", "color": "gray",
    "scale": [1 / 255], "offset": [0.0], "quantization": None, "crop": "center_square",
    "resize": "area", "polarity": "auto", "normalize": "mnist",
}  # fmt: skip


class Condition(NamedTuple):
    """How digits are written and seen.

    Attributes:
      paper, ink: brightness, 0 to 255.
      size: of the digit's longer side, part of what the image has room for.
      pen: its width, part of the digit's size.
      places: whether digits lie off the middle, each elsewhere.
      shade: part of the light that is lost from one corner to the opposite one.
      shadow: part of the light that is lost behind a soft edge.
      noise: largest deviation of a pixel.
      ruled: whether the paper has lines.
    """

    paper: int = 235
    ink: int = 40
    size: float = 0.75
    pen: float = 0.1
    places: bool = False
    shade: float = 0.0
    shadow: float = 0.0
    noise: int = 6
    ruled: bool = False


PAD = Condition(paper=0, ink=255, noise=0)
CONDITIONS = {
    "drawn in the middle": PAD,
    "drawn small": PAD._replace(size=0.4, pen=0.18, places=True),
    "drawn large": PAD._replace(size=0.95, pen=0.08),
    "drawn elsewhere": PAD._replace(size=0.6, pen=0.12, places=True),
    "thin pen": Condition(pen=0.04),
    "thick pen": Condition(pen=0.16),
    "grey paper": Condition(paper=170),
    "dark paper": Condition(paper=110, ink=30),
    "faint ink": Condition(paper=200, ink=140, noise=3),
    "half the size, off the middle": Condition(size=0.42, pen=0.12, places=True),
    "shaded": Condition(paper=220, shade=0.6),
    "shaded, half the size": Condition(paper=220, shade=0.6, size=0.42, pen=0.12, places=True),
    "shadow": Condition(paper=220, shadow=0.5, size=0.6, places=True),
    "noise": Condition(paper=190, noise=30, size=0.6, places=True),
    "ruled paper": Condition(ruled=True, size=0.6, places=True),
    "chalk on a board": Condition(paper=50, ink=220, size=0.6, places=True),
}


def strokes(digit: int, hand: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Returns the lines of a digit, each time a little differently.

    Returns:
      Arrays `[points, 2]` of x and y around 0; the longer side of them all is 1.
    """
    turn, lean = rng.integers(-12, 13, 2) / 100
    lines = []
    for points in HANDS[hand][digit]:
        line = (np.array(points, float) + rng.integers(-2, 3, (len(points), 2)) - 50) / 100
        for _ in range(3):  # cuts the corners (Chaikin, 1974)
            cut = np.stack([line[:-1] * 3 + line[1:], line[:-1] + line[1:] * 3], axis=1) / 4
            line = np.concatenate([line[:1], cut.reshape(-1, 2), line[-1:]])
        x, y = 0.68 * line[:, 0], line[:, 1]
        lines.append(np.stack([x - (turn + lean) * y, y + turn * x], axis=1))
    every = np.concatenate(lines)
    low, high = every.min(axis=0), every.max(axis=0)
    return [(line - (low + high) / 2) / (high - low).max() for line in lines]


def coverage(lines: list[np.ndarray], x: float, y: float, size: float, pen: float) -> np.ndarray:
    """Returns how much of each pixel is under ink, `[SIDE, SIDE]` from 0 to 1.

    Args:
      lines: as of `strokes`.
      x, y: of the digit's middle, in pixels.
      size: of the longer side of its lines, in pixels.
      pen: its width, in pixels.
    """
    down, across = np.mgrid[:SIDE, :SIDE] + 0.5
    nearest = np.full((SIDE, SIDE), np.inf)  # squared
    for line in lines:
        points = line * size + [x, y]
        for (x0, y0), (x1, y1) in zip(points[:-1], points[1:], strict=True):
            length = (x1 - x0) * (x1 - x0) + (y1 - y0) * (y1 - y0)
            along = (across - x0) * (x1 - x0) + (down - y0) * (y1 - y0)
            part = np.clip(along / length, 0, 1) if length else 0.0
            off_x, off_y = across - x0 - part * (x1 - x0), down - y0 - part * (y1 - y0)
            nearest = np.minimum(nearest, off_x * off_x + off_y * off_y)
    return np.clip(pen / 2 + 0.5 - np.sqrt(nearest), 0, 1)


def light(condition: Condition, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Returns the light on each pixel, from 0 to 1, and what noise adds to it."""
    down, across = np.mgrid[:SIDE, :SIDE] / (SIDE - 1)
    behind = np.clip((across + down / 2 - 0.8) * 20, 0, 1)  # the edge is about five pixels wide
    lit = (1 - condition.shade * (across + down) / 2) * (1 - condition.shadow * behind)
    return lit, rng.integers(-condition.noise, condition.noise + 1, (SIDE, SIDE))


def images(name: str) -> np.ndarray:
    """Returns the images of a condition, `[20, SIDE, SIDE]` uint8; the labels are 0 to 9, twice."""
    condition = CONDITIONS[name]
    rng = np.random.default_rng(list(CONDITIONS).index(name))
    sheet = light(condition, rng)
    hands = [(number // 10 + number + 1) % GOLDEN_HANDS for number in range(COUNT)]
    return np.stack([picture(condition, n % 10, hand, sheet, rng) for n, hand in enumerate(hands)])


def picture(
    condition: Condition,
    digit: int,
    hand: int,
    sheet: tuple[np.ndarray, np.ndarray],
    rng: np.random.Generator,
) -> np.ndarray:
    """Returns a digit in a condition, `[SIDE, SIDE]` uint8.

    Args:
      condition: how it is written and seen.
      digit, hand: which.
      sheet: as of `light`.
      rng: for its place and for what differs each time.
    """
    room = SIDE - 2 * MARGIN
    size = condition.size * room / (1 + condition.pen)
    half = size * (1 + condition.pen) / 2
    free = round(room / 2 - half) if condition.places else 0
    x, y = SIDE / 2 + rng.integers(-free, free + 1, 2)
    lines = strokes(digit, hand, rng)
    ink = coverage(lines, x, y, size, max(1.5, size * condition.pen))
    return seen(condition, ink, sheet)


def seen(condition: Condition, ink: np.ndarray, sheet: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Returns ink on paper as a camera sees it, `[SIDE, SIDE]` uint8; `ink` is from 0 to 1."""
    lit, noise = sheet
    paper = np.full((SIDE, SIDE), float(condition.paper))
    if condition.ruled:
        paper[6::13] -= 45
    shown = (paper + (condition.ink - paper) * ink) * lit + noise
    return np.clip(np.rint(shown), 0, 255).astype(np.uint8)


def oddities() -> dict[str, tuple[str, np.ndarray]]:
    """Returns images that are no single digit: what is said of each, and `[SIDE, SIDE]` uint8."""
    rng = np.random.default_rng(99)
    noise = rng.integers(-8, 9, (SIDE, SIDE))
    shade = 230 * light(Condition(shade=0.5), rng)[0]
    two = [coverage(strokes(digit, 0, rng), x, 48, 38, 5) for digit, x in ((3, 28), (8, 68))]
    cut = coverage(strokes(0, 0, rng), 8, 48, 68, 8)
    table = np.where(np.arange(SIDE) < 12, 60.0, 225.0)
    beside = coverage(strokes(5, 1, rng), 56, 48, 52, 6)
    pictures = {
        "a white wall": ("blank", np.full((SIDE, SIDE), 255)),
        "a black frame": ("blank", np.zeros((SIDE, SIDE))),
        "a shaded wall": ("blank", shade + noise),
        "a speck": ("blank", 230.0 - 200 * coverage([np.zeros((2, 2))], 40, 40, 0, 2)),
        "two digits": ("several", 230 + noise - 190 * np.maximum(*two)),
        "a digit cut by the border": ("cut", 230 + noise - 190 * cut),
        "a table beside the paper": ("", table + noise - (table - 40) * beside),
    }
    return {
        name: (notice, np.clip(np.rint(picture), 0, 255).astype(np.uint8))
        for name, (notice, picture) in pictures.items()
    }


def write(out: pathlib.Path) -> None:
    """Writes `digits.json` and `digits.bin.gz`."""
    arrays = bytearray()

    def add(array: np.ndarray) -> dict[str, Any]:
        entry = {
            "file": "digits.bin.gz",
            "offset": len(arrays),
            "dtype": array.dtype.name,
            "shape": list(array.shape),
        }
        arrays.extend(array.astype(array.dtype.newbyteorder("<")).tobytes())
        return entry

    def exact(image: np.ndarray, polarity: str) -> dict[str, Any]:
        seen = preprocess.see_image(image, {**SPEC, "polarity": polarity})
        return {"inverted": seen.inverted, "notice": seen.notice, "tensor": add(seen.tensor)}

    conditions = []
    for name, condition in CONDITIONS.items():
        pictures = images(name)
        polarity = "as_is" if condition.noise == 0 else "auto"
        conditions.append(
            {
                "name": name,
                "polarity": polarity,
                "floor": FLOOR,
                "labels": [number % 10 for number in range(len(pictures))],
                "images": add(pictures),
                "seen": [exact(picture, polarity) for picture in pictures[:EXACT]],
            }
        )
    odd = [
        {"name": name, "image": add(picture), **exact(picture, "auto")}
        for name, (_, picture) in oddities().items()
    ]
    lines = [
        f"{json.dumps(key)}: [\n  " + ",\n  ".join(map(json.dumps, rows)) + "\n]"
        for key, rows in (("conditions", conditions), ("oddities", odd))
    ]
    lines.insert(0, f'"input": {json.dumps(SPEC)}')
    (out / "digits.json").write_text("{" + ",\n".join(lines) + "}\n")
    (out / "digits.bin.gz").write_bytes(gzip.compress(bytes(arrays), mtime=0))
