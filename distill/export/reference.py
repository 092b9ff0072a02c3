"""What every reader of a bundle computes before and after the model runs, in its exact order.

The readers in other languages are tested against these functions, to the bit where only additions,
multiplications, divisions and comparisons are involved. So the order of the operations below is a
part of the specification, and no sum may be left to a library that chooses an order of its own.
Everything before the tensor is float64, everything behind the model float32.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from distill.errors import InputError

INTEGERS = {"int8": (-128, 127), "uint8": (0, 255)}
LUMA = (0.299, 0.587, 0.114)


class Window(NamedTuple):
    """A part of a plane, in its pixels; edges may lie inside of pixels."""

    top: float
    left: float
    height: float
    width: float


def center_crop(height: int, width: int, rows: int, columns: int) -> Window:
    """Returns the largest part in the middle of an image that has the shape of a tensor.

    Its size is in whole pixels, rounded down, at least one. Where it cannot lie in the middle, it
    lies to the upper left.

    Args:
      height, width: of the image.
      rows, columns: of the tensor.
    """
    if height * columns >= width * rows:
        inside = max(width * rows // columns, 1), width
    else:
        inside = height, max(height * columns // rows, 1)
    return Window((height - inside[0]) // 2, (width - inside[1]) // 2, *inside)


def area_resize(pixels: np.ndarray, window: Window, rows: int, columns: int) -> np.ndarray:
    """Divides a window into cells and returns the mean of each, weighted by area.

    Pixels that an edge runs through count with the part that is inside. A cell is the sum over its
    rows, downwards, of the row's weight times the sum over its columns, rightwards, of weight times
    pixel, and that divided by the cell's area. Cells may be smaller than pixels.

    Args:
      pixels: `[height, width]`, any number type.
      window: lies within the pixels.
      rows, columns: number of cells.

    Returns:
      `[rows, columns]` float64.
    """
    pixels = np.asarray(pixels, np.float64)
    first, weights = _taps(window.left, window.width, columns)
    across = np.zeros((len(pixels), columns))
    for tap in range(weights.shape[1]):
        at = np.minimum(first + tap, pixels.shape[1] - 1)
        across += weights[None, :, tap] * pixels[:, at]
    first, weights = _taps(window.top, window.height, rows)
    cells = np.zeros((rows, columns))
    for tap in range(weights.shape[1]):
        at = np.minimum(first + tap, len(pixels) - 1)
        cells += weights[:, tap, None] * across[at]
    return cells / ((window.height / rows) * (window.width / columns))


def _taps(start: float, extent: float, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first pixel under each cell, and the lengths of what lies under the cell.

    Returns:
      `[cells]` int and `[cells, taps]` float64; lengths behind the last pixel of a cell are 0.
    """
    edges = start + np.arange(cells + 1) * extent / cells
    first = np.floor(edges[:-1]).astype(int)
    taps = int(np.max(np.ceil(edges[1:]) - first))
    pixel = first[:, None] + np.arange(taps)
    inside = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return first, np.maximum(inside, 0.0)


def image_cells(image: np.ndarray, color: str, rows: int, columns: int) -> np.ndarray:
    """Returns the middle of an upright image, of the tensor's shape, resized.

    Args:
      image: `[height, width]` gray, or `[height, width, 3 or 4]` of which RGB is read, 0 to 255.
      color: `"gray"` or `"rgb"`; converted after averaging.

    Returns:
      `[rows, columns, 1 or 3]` float64 from 0 to 255.
    """
    if min(image.shape[:2]) < 1:
        raise InputError(f"image: expected a size of 1x1 or more, found {image.shape[:2]}")
    height, width = image.shape[:2]
    window = center_crop(height, width, rows, columns)
    channels = image[..., None] if image.ndim == 2 else image[..., :3]
    cells = [area_resize(c, window, rows, columns) for c in np.moveaxis(channels, -1, 0)]
    if color == "rgb":
        return np.stack(cells * 3 if len(cells) == 1 else cells, axis=-1)
    if len(cells) == 1:
        return cells[0][..., None]
    red, green, blue = cells
    return (LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue)[..., None]


def is_inverted(cells: np.ndarray, polarity: str) -> bool:
    """Says whether a reader inverts an image: ink on paper for a model of light on dark.

    Args:
      cells: `[rows, columns, channels]`.
      polarity: `"as_is"`, `"invert"`, or `"auto"`: where the border, one pixel wide, is brighter
        on average than the middle half, from a quarter of rows and columns (rounded down) on.
    """
    if polarity != "auto":
        return polarity == "invert"
    rows, columns, _ = cells.shape
    border = np.ones((rows, columns), bool)
    border[1:-1, 1:-1] = False
    middle = np.zeros((rows, columns), bool)
    middle[rows // 4 : rows - rows // 4, columns // 4 : columns - columns // 4] = True
    return bool(_mean(cells[border]) > _mean(cells[middle]))


def _mean(values: np.ndarray) -> np.float64:
    """Returns the mean, added up one after the other; `np.mean` adds in blocks."""
    return np.add.accumulate(values.reshape(-1))[-1] / values.size


def to_tensor(cells: np.ndarray, spec: Mapping[str, Any]) -> np.ndarray:
    """Returns the model's input for an image.

    Args:
      cells: `[rows, columns, channels]` float64 from 0 to 255.
      spec: the bundle's `input`; read are `polarity`, `scale`, `offset`, `dtype`, `quantization`.

    Returns:
      `[1, rows, columns, channels]` of the bundle's dtype.
    """
    pixels = 255.0 - cells if is_inverted(cells, spec["polarity"]) else cells
    real = pixels * np.asarray(spec["scale"], np.float64) + np.asarray(spec["offset"], np.float64)
    if spec["dtype"] == "float32":
        return real.astype(np.float32)[None]
    return quantize(real, spec["quantization"], spec["dtype"])[None]


def quantize(real: np.ndarray, quantization: Mapping[str, Any], dtype: str) -> np.ndarray:
    """Returns the nearest integers, halves to the even one, within the range of the type."""
    steps = np.rint(real / quantization["scale"]) + quantization["zero_point"]
    return np.clip(steps, *INTEGERS[dtype]).astype(dtype)


def dequantize(values: np.ndarray, quantization: Mapping[str, Any]) -> np.ndarray:
    """Returns what integers stand for, float32, computed in float64."""
    return (
        (values.astype(np.float64) - quantization["zero_point"]) * quantization["scale"]
    ).astype(np.float32)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Returns probabilities, `[classes]` float32; readers agree to 1e-6."""
    powers = np.exp(logits.astype(np.float64) - np.max(logits))
    return (powers / np.add.accumulate(powers)[-1]).astype(np.float32)


def check_scores(scores: np.ndarray) -> None:
    """Refuses scores that would stay in a filter for ever.

    Raises:
      InputError: a score is NaN or infinite.
    """
    bad = np.flatnonzero(~np.isfinite(scores))
    if len(bad):
        raise InputError(
            f"score of class {bad[0]}: expected a finite number, found {scores[bad[0]]}"
        )


def low_pass(state: np.ndarray, scores: np.ndarray, factor: float) -> np.ndarray:
    """Returns the state of the filter of the thesis (chapter 3, listing 3) after one more frame.

    Each stage follows the one before it, which has already followed in this frame. What is shown is
    the last stage. The state starts at zero, and again with every change of the model.

    Args:
      state: `[stages, classes]` float32.
      scores: `[classes]` float32.
      factor: from above 0 to 1, rounded to float32.
    """
    state = state.copy()
    for stage in state:
        stage += np.float32(factor) * (scores - stage)
        scores = stage
    return state


def top_k(scores: np.ndarray, k: int) -> list[int]:
    """Returns the classes of the highest scores, the lower class first where scores are equal.

    Args:
      scores: `[classes]`, finite.
      k: taken as 1 if less, as all classes if more.
    """
    order = np.argsort(-scores, kind="stable")
    return order[: min(max(k, 1), len(scores))].tolist()
