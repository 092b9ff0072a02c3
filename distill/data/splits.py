"""Images and labels as arrays, and the notation for parts of a split."""

import dataclasses
import functools
import hashlib
import itertools
import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from distill.data.streaming import Streamed
from distill.errors import InputError, unknown

HIDDEN = -1  # the label of an image whose label must not be used

_SPEC = re.compile(r"^\s*(\w+)\s*(?:\[\s*(-?\d+%?)?\s*:\s*(-?\d+%?)?\s*\])?\s*$")


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """Images `[n, height, width, channels]` uint8 and labels `[n]` int32, `HIDDEN` where unknown.

    `images` may be `streaming.Streamed`, of which `np.asarray` makes an array.
    """

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    @functools.cached_property
    def seen(self) -> str:
        """Hash of the images; computed once, since there may be many."""
        return fingerprint(self.images)


class Dataset(NamedTuple):
    """The parts of a data set that a run uses.

    Attributes:
      name: what it really is; `mnist5k` after a fallback.
      train: labelled (or partly labelled) images.
      validation: a held-out part, or None.
      test: images that nothing is ever chosen on.
      transfer: unlabelled images that the student learns from instead of `train`, or None.
      num_classes: number of classes.
      fingerprint: hash of all images and visible labels.
      classes: their names, where the images are of a folder; otherwise none.
    """

    name: str
    train: Split
    validation: Split | None
    test: Split
    transfer: Split | None
    num_classes: int
    fingerprint: str
    classes: tuple[str, ...] = ()


def parse(spec: str) -> tuple[str, str | None, str | None]:
    """Splits `name[start:stop]` into its three parts; as in TFDS, bounds may be percentages.

    Raises:
      InputError: if it is not written so.
    """
    match = _SPEC.match(spec)
    if not match:
        raise InputError(f"split {spec!r} is not written like train, train[:55000] or train[90%:]")
    return match[1], match[2], match[3]


def bounds(spec: str, sizes: dict[str, int]) -> slice:
    """Returns which examples `spec` selects, given the size of each split.

    Raises:
      InputError: if the split is unknown or smaller, or the selection is empty.
    """
    name, start, stop = parse(spec)
    if name not in sizes:
        raise unknown("split", name, sizes)
    size = sizes[name]
    for bound in filter(None, (start, stop)):
        whole = 100 if bound.endswith("%") else size
        if abs(int(bound.rstrip("%"))) > whole:
            raise InputError(
                f"split {spec!r} reaches beyond the {size} examples of {name}; leave the bound out "
                "for all of them"
            )
    selected = slice(*slice(_index(start, size), _index(stop, size)).indices(size))
    if selected.stop <= selected.start:
        raise InputError(f"split {spec!r} selects nothing from {size} examples")
    return selected


def overlapping(selected: Mapping[str, tuple[str, slice]]) -> list[tuple[str, str, int]]:
    """Finds the parts of a data set that have examples in common.

    Args:
      selected: by the name of a part, the split that it is of and the range from `bounds`.

    Returns:
      The names of two parts and how many examples they share, for each pair that shares any.
    """
    found = []
    for (a, (split, left)), (b, (other, right)) in itertools.combinations(selected.items(), 2):
        shared = min(left.stop, right.stop) - max(left.start, right.start)
        if split == other and shared > 0:
            found.append((a, b, shared))
    return found


def hide_labels(split: Split, fraction_kept: float, seed: int) -> Split:
    """Overwrites labels with `HIDDEN` except for a random share, so that nothing can read them.

    Args:
      split: the labelled images.
      fraction_kept: share of labels that stay, in (0, 1]; at least one stays.
      seed: chooses which.
    """
    kept = max(1, round(fraction_kept * len(split)))
    order = np.random.default_rng(seed).permutation(len(split))
    labels = np.full_like(split.labels, HIDDEN)
    labels[order[:kept]] = split.labels[order[:kept]]
    return dataclasses.replace(split, labels=labels)


def labelled(split: Split) -> Split:
    """Returns the images whose label is known."""
    known = split.labels != HIDDEN
    return split if known.all() else Split(split.images[known], split.labels[known])


def fingerprint(*arrays: np.ndarray | Streamed) -> str:
    """Returns a hash of the contents of arrays, to tell whether two runs saw the same data.

    Of streamed images, which would have to be decoded for that, those of their files decide.
    """
    digest = hashlib.blake2b(digest_size=8)
    for array in arrays:
        digest.update(f"{array.shape}{array.dtype}".encode())
        if isinstance(array, Streamed):
            digest.update(array.identity.encode())
            array = array.numbers  # noqa: PLW2901
        for start in range(0, len(array), 4096):  # in pieces, if they have to be copied
            digest.update(np.ascontiguousarray(array[start : start + 4096]).data)
    return digest.hexdigest()


def _index(bound: str | None, size: int) -> int | None:
    if bound is None:
        return None
    if bound.endswith("%"):
        return round(int(bound[:-1]) * size / 100)  # in TFDS's order, for the same rounding
    return int(bound)
