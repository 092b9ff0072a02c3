"""Frames of a camera in YUV 4:2:0, as far as the cells that `reference` makes a tensor of.

The order of the operations is a part of the specification, as in `reference`.
"""

from typing import NamedTuple

import numpy as np

from distill.errors import InputError
from distill.export.reference import Window, area_resize, center_crop

ROTATIONS = (0, 90, 180, 270)


class Plane(NamedTuple):
    """One plane of a camera's frame.

    Attributes:
      data: `[bytes]` uint8; the last row may end with its last pixel.
      row_stride: bytes from one row to the next.
      pixel_stride: bytes from one pixel of a row to the next.
    """

    data: np.ndarray
    row_stride: int
    pixel_stride: int


class Frame(NamedTuple):
    """A frame in YUV 4:2:0, full range.

    Attributes:
      width, height: in pixels, as stored. The planes U and V have half of both, rounded up.
      rotation: degrees, clockwise, that make the stored frame upright.
      y, u, v: the planes.
    """

    width: int
    height: int
    rotation: int
    y: Plane
    u: Plane
    v: Plane


def stored_crop(height: int, width: int, rotation: int, rows: int, columns: int) -> Window:
    """Returns where `reference.center_crop` of the upright image lies in the stored one.

    Args:
      height, width: of the stored image.
      rotation: degrees, clockwise, that make it upright.
      rows, columns: of the tensor, upright.
    """
    turned = rotation in (90, 270)
    upright = center_crop(*((width, height) if turned else (height, width)), rows, columns)
    top, left, high, wide = upright
    corner = {
        0: (top, left),
        90: (height - left - wide, top),
        180: (height - top - high, width - left - wide),
        270: (left, width - top - high),
    }[rotation]
    return Window(*corner, *((wide, high) if turned else (high, wide)))


def unpack(plane: Plane, height: int, width: int, name: str) -> np.ndarray:
    """Returns a plane without the bytes between its pixels and behind its rows.

    Returns:
      `[height, width]` uint8, a view.

    Raises:
      InputError: the strides overlap or the data end too early.
    """
    data, row_stride, pixel_stride = plane
    row = (width - 1) * pixel_stride + 1
    if pixel_stride < 1:
        raise InputError(f"plane {name}: pixel stride expected 1 or more, found {pixel_stride}")
    if row_stride < row:
        raise InputError(f"plane {name}: row stride expected {row} or more, found {row_stride}")
    needed = (height - 1) * row_stride + row
    if len(data) < needed:
        raise InputError(f"plane {name}: expected {needed} bytes or more, found {len(data)}")
    return np.lib.stride_tricks.as_strided(
        np.ascontiguousarray(data, np.uint8), (height, width), (row_stride, pixel_stride)
    )


def frame_cells(frame: Frame, color: str, rows: int, columns: int) -> np.ndarray:
    """Returns the middle of the upright frame, of the tensor's shape, resized.

    The area is averaged in the stored frame and the few cells are rotated, not the many pixels.
    Colour is converted (JFIF, as in JPEG files) and clamped after averaging.

    Args:
      color: `"gray"`, which is the plane Y as it is, or `"rgb"`.

    Returns:
      `[rows, columns, 1 or 3]` float64 from 0 to 255.

    Raises:
      InputError: a size, rotation or stride is impossible.
    """
    height, width, rotation = frame.height, frame.width, frame.rotation
    if height < 1 or width < 1:
        raise InputError(f"frame: expected a size of 1x1 or more, found {width}x{height}")
    if rotation not in ROTATIONS:
        raise InputError(f"rotation: expected one of 0, 90, 180, 270, found {rotation}")
    window = stored_crop(height, width, rotation, rows, columns)
    stored = (columns, rows) if rotation in (90, 270) else (rows, columns)
    y = area_resize(unpack(frame.y, height, width, "Y"), window, *stored)
    if color == "gray":
        cells = y[..., None]
    else:
        half = Window(*(edge / 2 for edge in window))
        size = (height + 1) // 2, (width + 1) // 2
        u = area_resize(unpack(frame.u, *size, "U"), half, *stored) - 128.0
        v = area_resize(unpack(frame.v, *size, "V"), half, *stored) - 128.0
        red = y + 1.402 * v
        green = y - 0.344136 * u - 0.714136 * v
        blue = y + 1.772 * u
        cells = np.clip(np.stack([red, green, blue], axis=-1), 0.0, 255.0)
    return np.ascontiguousarray(np.rot90(cells, -rotation // 90))
