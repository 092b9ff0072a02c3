"""Images that stay in their files and are decoded as they are needed, ahead of those who wait.

What is read next follows from seed and step alone, as for images in memory. So nothing of this is
in a checkpoint: a training that goes on asks for the images behind its step. Grain decodes them
ahead.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent import futures
from typing import Any

import numpy as np

AHEAD_BYTES = 64 * 2**20  # of decoded images that wait
MAX_WORKERS = 32


class Streamed:
    """Images that behave as an array `[n, height, width, channels]` uint8, but for their memory.

    A part of them, by a slice, a mask or numbers, is of the same kind; `np.asarray` decodes it.

    Attributes:
      decode: from the number of an image to its pixels; called by several threads at once.
      shape: of all of them.
      identity: says what the images are, for a fingerprint, as their pixels are not at hand.
      numbers: those of the images, for `decode`.
    """

    dtype = np.dtype(np.uint8)

    def __init__(
        self,
        decode: Callable[[int], np.ndarray],
        image_shape: tuple[int, ...],
        identity: str,
        numbers: np.ndarray,
    ):
        self.decode = decode
        self.shape = (len(numbers), *image_shape)
        self.identity = identity
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """What they would take in memory."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __getitem__(self, selected: Any) -> Any:
        chosen = self.numbers[selected]
        if np.ndim(chosen) == 0:
            return self.decode(int(chosen))
        return Streamed(self.decode, self.shape[1:], self.identity, chosen)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("images that are decoded anew cannot be had without a copy")
        found = np.empty(self.shape, np.uint8)
        with futures.ThreadPoolExecutor(num_workers()) as pool:
            for i, image in enumerate(pool.map(self.decode, self.numbers.tolist())):
                found[i] = image
        return found if dtype is None else found.astype(dtype)


def describe(parts: Mapping[str, Any], resident_mb: int) -> str:
    """Says in a line which parts of a data set stay in their files; empty: none.

    Args:
      parts: images by what they are for.
      resident_mb: `config.dataset.resident_mb`.
    """
    streamed = {name: i.nbytes / 2**30 for name, i in parts.items() if isinstance(i, Streamed)}
    shown = ", ".join(f"{name} {size:,.1f} GiB" for name, size in streamed.items())
    return shown and (
        f"images are decoded as they are needed, {shown} of pixels: more than "
        f"dataset.resident_mb={resident_mb}"
    )


def num_workers() -> int:
    """Returns how many threads decode; Pillow and TensorFlow let others run meanwhile."""
    return min(os.cpu_count() or 1, MAX_WORKERS)


def ahead(images: Any, pieces: Sequence[np.ndarray | slice]) -> Iterator[np.ndarray]:
    """Yields the images of each piece; of streamed ones, the next are decoded meanwhile.

    Args:
      images: an array, or `Streamed`.
      pieces: numbers of images, or slices.
    """
    if not isinstance(images, Streamed):
        for piece in pieces:
            yield images[piece]
        return
    import grain  # two seconds

    chosen = [images.numbers[piece] for piece in pieces]
    order = np.concatenate(chosen)
    waiting = max(num_workers(), AHEAD_BYTES // int(np.prod(images.shape[1:])))
    options = grain.ReadOptions(num_threads=num_workers(), prefetch_buffer_size=waiting)
    source = grain.MapDataset.source(order).map(lambda number: images.decode(int(number)))
    decoded = iter(source.to_iter_dataset(options))
    try:
        for numbers in chosen:
            found = np.empty((len(numbers), *images.shape[1:]), np.uint8)
            for i in range(len(numbers)):
                found[i] = next(decoded)
            yield found
    finally:
        decoded.close()
