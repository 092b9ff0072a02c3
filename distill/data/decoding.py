"""A file of an image as pixels.

Files are decoded by Pillow. TFDS's `ImageFolder` would list PNG and JPEG files alone, and what it
decodes with does not turn a photo upright as its EXIF entry says.
"""

import pathlib
import warnings

import numpy as np
from PIL import Image, ImageOps

from distill import pixels

COLORS = {"rgb": 3, "gray": 1}
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP")  # of files, found by what they hold


def decode(path: pathlib.Path, image_size: int, color: str) -> np.ndarray:
    """Decodes a file to what a reader of a bundle would make of it, rounded to whole numbers.

    It is turned upright as EXIF says. Transparency lies on white paper, 16 bits become 8, of an
    animation the first image counts.

    Args:
      path: of the file.
      image_size: side of the square that its middle is resized to; 0: as stored.
      color: a key of `COLORS`.

    Returns:
      `[height, width, channels]` uint8.

    Raises:
      Exception: of any kind, if the file cannot be decoded to its end.
    """
    if not path.is_file():  # a pipe would wait for somebody to write, and a link may lead nowhere
        raise ValueError("it is no file")
    with Image.open(path, formats=FORMATS) as file:
        file.load()
        found = _pixels(ImageOps.exif_transpose(file))
    rows, columns = (image_size, image_size) if image_size else found.shape[:2]
    return np.rint(pixels.image_cells(found, color, rows, columns)).astype(np.uint8)


def _pixels(image: Image.Image) -> np.ndarray:
    """Returns `[height, width]` or `[height, width, 3]`, from 0 to 255."""
    if image.mode.startswith("I"):  # 16 bits of gray
        return np.asarray(image, np.float64) / 257
    if image.has_transparency_data:
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image.convert("RGBA")).convert("RGB")
    return np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB"))


def hush() -> None:
    """Has Pillow not warn of what is odd about a file that it can decode all the same.

    From here on, since images that are streamed are decoded by other threads at any time.
    """
    warnings.filterwarnings("ignore", module="PIL")
