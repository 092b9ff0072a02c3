"""From an image or a frame of a camera to what a bundle's model takes, all steps of a reader."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from distill.export import camera, digits, reference


class Seen(NamedTuple):
    """What a model sees of an image.

    Attributes:
      tensor: `[1, rows, columns, channels]` of the bundle's dtype.
      cells: `[rows, columns, channels]` float64 from 0 to 255, as a person is shown them.
      inverted: whether light and dark have changed places.
      notice: one of `digits.NOTICES`; of `"blank"` there is nothing to classify.
    """

    tensor: np.ndarray
    cells: np.ndarray
    inverted: bool
    notice: str


def see_image(image: np.ndarray, spec: Mapping[str, Any]) -> Seen:
    """Returns what the model sees of an upright image.

    Args:
      image: as for `reference.image_cells`.
      spec: the bundle's `input`.
    """
    return _see(lambda *shape: reference.image_cells(image, *shape), spec)


def see_frame(frame: camera.Frame, spec: Mapping[str, Any]) -> Seen:
    """Returns what the model sees of a frame of a camera."""
    return _see(lambda *shape: camera.frame_cells(frame, *shape), spec)


def _see(cells_of: Callable[[str, int, int], np.ndarray], spec: Mapping[str, Any]) -> Seen:
    if spec.get("normalize") == "mnist":
        digit = digits.find(cells_of("gray", digits.GRID, digits.GRID), spec["polarity"])
        tensor = reference.to_tensor(digit.cells, {**spec, "polarity": "as_is"})
        return Seen(tensor, *digit)
    cells = cells_of(spec["color"], *spec["shape"][1:3])
    inverted = reference.is_inverted(cells, spec["polarity"])
    tensor = reference.to_tensor(cells, spec)
    return Seen(tensor, 255.0 - cells if inverted else cells, inverted, "")
