"""The middle of an image, resized: the same for images that are learned from and for a reader's.

What a reader in another language computes is tested against these functions to the bit, so the
order of the operations is a part of the specification, and no sum may be left to a library that
chooses an order of its own. Everything is float64.
"""

from typing import NamedTuple

import numpy as np

from distill.errors import InputError

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
