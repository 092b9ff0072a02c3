"""What every reader of a bundle computes before and after the model runs, in its exact order.

The readers in other languages are tested against these functions, to the bit where only additions,
multiplications, divisions and comparisons are involved. So the order of the operations below is a
part of the specification, and no sum may be left to a library that chooses an order of its own.
Everything before the tensor is float64, everything behind the model float32. What is cut out of an
image, and how that is resized, is in `distill.pixels`, since folders of images are read so too.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from distill.errors import InputError
from distill.pixels import Window, area_resize, center_crop, image_cells

__all__ = [
    "Window", "area_resize", "center_crop", "check_scores", "dequantize", "image_cells",
    "is_inverted", "low_pass", "probabilities", "quantize", "softmax", "temper", "to_tensor",
    "top_k",
]  # fmt: skip

LEAST = 1 / 1024  # what a probability counts at least where it is tempered: an int8 file's may be 0
INTEGERS = {"int8": (-128, 127), "uint8": (0, 255)}


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


def probabilities(scores: np.ndarray, output: Mapping[str, Any]) -> np.ndarray:
    """Returns what readers show for the scores of an image.

    Args:
      scores: `[classes]` float32, as of `dequantize` where the tensor holds integers.
      output: the bundle's; read are `kind` and `temperature`.

    Returns:
      `[classes]` float32.
    """
    temperature = output.get("temperature")
    if output["kind"] == "logits":
        return softmax(scores, temperature or 1.0)
    return temper(scores, temperature) if temperature else scores


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Returns probabilities, `[classes]` float32; readers agree to 1e-6."""
    return _normalized(np.exp((logits.astype(np.float64) - np.max(logits)) / temperature))


def temper(scores: np.ndarray, temperature: float) -> np.ndarray:
    """Divides the logarithms of probabilities by a temperature; readers agree to 1e-6.

    Args:
      scores: probabilities `[classes]` float32; none counts as less than `LEAST`.
      temperature: as of Guo et al. (2017); above 1 the highest becomes lower.

    Returns:
      Probabilities `[classes]` float32.
    """
    return _normalized(np.maximum(scores.astype(np.float64), LEAST) ** (1 / temperature))


def _normalized(powers: np.ndarray) -> np.ndarray:
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
