"""Digits of three hands, on a drawing pad and as ink on paper: `mobile/golden/digits.json`.

Each condition has twenty images, two of each digit, and the part of them that a reader with the
committed int8 model has to get right. Lines are given by hand; everything else is arithmetic that
rounds alike on every machine. `digits.bin.gz` holds the arrays, compressed: the images of a
condition share their paper.
"""

import gzip
import json
import pathlib
from typing import Any, NamedTuple

import numpy as np

from distill.export import preprocess

Strokes = list[list[tuple[float, float]]]
SIDE = 96  # pixels a side of an image
MARGIN = 4  # pixels that ink keeps from the edge
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

# Digits as lines in a square of 100 by 100, y downwards.
HANDS: list[dict[int, Strokes]] = [
    {
        0: [[(50, 2), (25, 8), (10, 30), (8, 60), (20, 90), (45, 98), (75, 92), (92, 65), (93, 35),
             (80, 10), (50, 2)]],
        1: [[(50, 0), (50, 100)]],
        2: [[(12, 25), (25, 6), (50, 0), (78, 8), (86, 28), (72, 52), (40, 78), (8, 98), (92, 98)]],
        3: [[(12, 8), (45, 0), (78, 8), (84, 25), (66, 42), (38, 47), (70, 52), (90, 70), (80, 92),
             (45, 100), (8, 92)]],
        4: [[(30, 2), (8, 58), (92, 58)], [(70, 10), (64, 100)]],
        5: [[(85, 2), (20, 2), (14, 42), (48, 36), (80, 50), (86, 72), (66, 95), (30, 100),
             (8, 88)]],
        6: [[(72, 2), (35, 24), (14, 55), (14, 82), (42, 100), (75, 93), (84, 70), (62, 54),
             (32, 58), (16, 76)]],
        7: [[(8, 3), (92, 3), (66, 42), (42, 100)]],
        8: [[(50, 47), (18, 30), (22, 10), (50, 0), (78, 10), (80, 30), (50, 47), (14, 70),
             (18, 90), (50, 100), (82, 90), (86, 70), (50, 47)]],
        9: [[(84, 24), (58, 2), (26, 8), (16, 30), (38, 48), (68, 42), (84, 22), (80, 55),
             (68, 100)]],
    },
    {
        0: [[(55, 0), (30, 10), (18, 45), (25, 85), (50, 100), (72, 85), (80, 45), (72, 12),
             (50, 2)]],
        1: [[(62, 0), (40, 100)]],
        2: [[(15, 18), (45, 0), (75, 12), (75, 35), (50, 65), (15, 92), (30, 84), (55, 95),
             (90, 92)]],
        3: [[(20, 5), (75, 5), (45, 38), (78, 50), (85, 75), (60, 97), (15, 93)]],
        4: [[(15, 5), (12, 45), (40, 52), (85, 45)], [(85, 5), (80, 50), (75, 100)]],
        5: [[(25, 5), (20, 45), (55, 42), (80, 62), (70, 90), (35, 100), (10, 92)],
            [(25, 5), (85, 2)]],
        6: [[(55, 0), (28, 35), (20, 75), (40, 100), (68, 92), (72, 68), (50, 58), (25, 72)]],
        7: [[(10, 10), (50, 4), (85, 6), (75, 35), (50, 70), (40, 100)]],
        8: [[(80, 12), (50, 0), (22, 15), (40, 42), (72, 62), (78, 85), (50, 100), (22, 86),
             (32, 60), (66, 38), (80, 14)]],
        9: [[(78, 15), (45, 2), (20, 20), (30, 45), (60, 45), (78, 20), (78, 10), (76, 100)]],
    },
    {
        0: [[(50, 5), (20, 15), (2, 50), (20, 88), (50, 96), (82, 85), (98, 50), (80, 15),
             (45, 4)]],
        1: [[(30, 22), (52, 0), (52, 100)]],
        2: [[(20, 20), (40, 2), (70, 5), (80, 25), (65, 50), (42, 75), (20, 100), (50, 97),
             (85, 100)]],
        3: [[(15, 15), (40, 0), (75, 8), (70, 35), (40, 47), (75, 58), (80, 85), (50, 100),
             (12, 85)]],
        4: [[(65, 100), (65, 0), (10, 68), (95, 68)]],
        5: [[(78, 4), (30, 6), (22, 45), (55, 40), (78, 60), (72, 85), (50, 98), (15, 95)]],
        6: [[(80, 8), (50, 5), (22, 35), (15, 70), (35, 97), (65, 97), (82, 75), (65, 55),
             (35, 58), (20, 75)]],
        7: [[(10, 5), (88, 2), (60, 50), (52, 100)]],
        8: [[(70, 10), (40, 2), (25, 22), (50, 45), (75, 72), (55, 98), (25, 85), (30, 65),
             (55, 45), (75, 20), (65, 8)]],
        9: [[(75, 20), (50, 2), (22, 15), (22, 40), (50, 50), (75, 30), (78, 12), (72, 60),
             (50, 95), (25, 98)]],
    },
]  # fmt: skip


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
    lit, noise = light(condition, rng)
    paper = np.full((SIDE, SIDE), float(condition.paper))
    if condition.ruled:
        paper[6::13] -= 45
    found = []
    for number in range(20):
        room = SIDE - 2 * MARGIN
        size = condition.size * room / (1 + condition.pen)
        half = size * (1 + condition.pen) / 2
        free = round(room / 2 - half) if condition.places else 0
        x, y = SIDE / 2 + rng.integers(-free, free + 1, 2)
        lines = strokes(number % 10, (number // 10 + number + 1) % 3, rng)
        ink = coverage(lines, x, y, size, max(1.5, size * condition.pen))
        seen = (paper + (condition.ink - paper) * ink) * lit + noise
        found.append(np.clip(np.rint(seen), 0, 255).astype(np.uint8))
    return np.stack(found)


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
