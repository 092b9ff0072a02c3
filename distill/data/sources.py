"""Where a data set comes from: found in seconds, without importing TFDS or TensorFlow."""

import json
import os
import pathlib
import re
import threading
import urllib.error
import urllib.request
from typing import NamedTuple

from distill import paths, values
from distill.data.folders import Folder
from distill.errors import InputError, unknown

EMBEDDED = "mnist5k"
EMBEDDED_SIZES = {"train": 4000, "test": 1000}
REACHABLE = "https://storage.googleapis.com"  # TFDS fetches MNIST and its own metadata from here
NETWORK_TIMEOUT_S = 3.0
_NAME = re.compile(r"\w[\w.+-]*(/\w[\w.+-]*)?")
JPEG = "cifar10_jpeg"  # prepared by others; TFDS cannot make it
SHAPES = {  # of an image (None where they differ in size), and the number of classes
    EMBEDDED: ((28, 28, 1), 10),
    "mnist": ((28, 28, 1), 10),
    "fashion_mnist": ((28, 28, 1), 10),
    "cifar10": ((32, 32, 3), 10),
    JPEG: ((32, 32, 3), 10),
    "cifar100": ((32, 32, 3), 100),
    "imagenet2012": ((None, None, 3), 1000),
}


class Source(NamedTuple):
    """A data set that can be had.

    Attributes:
      name: as TFDS names it, or `mnist5k`.
      data_dir: directory of prepared data.
      directory: where this one is prepared; None if TFDS has to download it, or embedded.
      sizes: number of examples of each split, as far as known without reading it.
      folder: of images, where it is one.
    """

    name: str
    data_dir: str
    directory: pathlib.Path | None
    sizes: dict[str, int]
    folder: Folder | None = None


def find(name: str, data_dir: str, fallback: str) -> tuple[Source, str]:
    """Decides where the data set `name` comes from.

    TFDS by itself retries for minutes without a network, so this looks for a prepared copy first,
    and then for the network with a short timeout.

    Args:
      name: a name of TFDS, of a prepared directory, or `mnist5k`; without a version.
      data_dir: directory of prepared data; empty: $TFDS_DATA_DIR, else TFDS's default.
      fallback: what to use where `name` cannot be had; empty: nothing.

    Returns:
      The source, and why it is not `name` (empty if it is).

    Raises:
      InputError: if there is no such data set, or it cannot be had and there is no fallback.
    """
    root = _root(data_dir)
    if not _NAME.fullmatch(name):
        bare, colon, _ = name.partition(":")
        hint = f"give {bare}, whose newest prepared version is read" if colon else "it is a name"
        raise InputError(
            f"dataset is {name!r}; {hint}, such as mnist, or NAME/CONFIGURATION, of TFDS or of a "
            f"directory that it has prepared in {root}"
        )
    if name == EMBEDDED:
        return Source(EMBEDDED, str(root), None, EMBEDDED_SIZES), ""
    if directory := _prepared(root, name):
        return Source(name, str(root), directory, _sizes(directory)), ""
    _require_known(name, root)
    if network_reachable():
        return Source(name, str(root), None, {}), ""
    reason = f"no prepared copy of {name} in {root} and no network"
    if not fallback:
        raise InputError(
            f"dataset {name} cannot be had: {reason}; set TFDS_DATA_DIR to a directory that has "
            f"it, or --config.dataset.fallback={EMBEDDED}"
        )
    try:
        return find(fallback, data_dir, "")[0], reason
    except InputError as error:
        raise InputError(
            f"dataset {name} cannot be had: {reason}; nor its fallback: {error}"
        ) from None


def class_names(name: str, data_dir: str) -> list[str]:
    """Returns the names of a prepared data set's classes; none where it has none."""
    directory = _prepared(_root(data_dir), name)
    path = directory / "label.labels.txt" if directory else None
    return path.read_text(encoding="utf-8").splitlines() if path and path.exists() else []


def shape(name: str, image_size: int) -> tuple[tuple[int, int, int], int]:
    """Returns what is known of a data set without having it.

    Args:
      name: one of `SHAPES`.
      image_size: square side that images are resized to; 0: as stored.

    Returns:
      `(height, width, channels)` of its images, and the number of classes.

    Raises:
      InputError: if it is not known.
    """
    if name not in SHAPES:
        raise unknown("dataset", name, SHAPES)
    (height, width, channels), num_classes = SHAPES[name]
    if image_size:
        height = width = image_size
    if height is None or width is None:
        raise InputError(
            f"images of {name} differ in size; set --config.dataset.image_size, for example 224"
        )
    return (height, width, channels), num_classes


def network_reachable() -> bool:
    """Whether TFDS's storage answers at all, decided within `NETWORK_TIMEOUT_S`."""
    answered = threading.Event()

    def ask():
        try:
            urllib.request.urlopen(REACHABLE, timeout=NETWORK_TIMEOUT_S).close()
            answered.set()
        except urllib.error.HTTPError as error:
            error.close()
            answered.set()  # it answered, if not kindly
        except OSError:
            pass

    # A thread, because resolving a name can hang far beyond the timeout of the connection.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(NETWORK_TIMEOUT_S)
    return answered.is_set()


def _root(data_dir: str) -> pathlib.Path:
    if data_dir:
        return paths.local(data_dir, "dataset.data_dir")
    given = os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return paths.local(given, "TFDS_DATA_DIR")


def _prepared(root: pathlib.Path, name: str) -> pathlib.Path | None:
    """Returns the newest prepared version of a data set."""
    if (root / name).exists() and not os.access(root / name, os.R_OK | os.X_OK):
        raise InputError(f"dataset directory {root / name} cannot be read; check its permissions")
    try:
        found = sorted(
            (root / name).glob("*/dataset_info.json"), key=lambda p: _version(p.parent.name)
        )
    except OSError as error:
        raise InputError(f"dataset directory {root / name} cannot be read: {error}") from error
    return found[-1].parent if found else None


def _version(name: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", name))


def _sizes(directory: pathlib.Path) -> dict[str, int]:
    path = directory / "dataset_info.json"
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
        return {s["name"]: sum(map(_length, s["shardLengths"])) for s in info["splits"]}
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error


def _length(shard: str) -> int:
    """Returns the number of examples of a shard, as `dataset_info.json` has it.

    Raises:
      ValueError: if there are no so many.
    """
    length = int(shard)
    if not 0 <= length <= values.MOST:
        raise ValueError(f"a shard has {values.shown(length)} examples")
    return length


def _require_known(name: str, root: pathlib.Path) -> None:
    """Raises `InputError` unless TFDS can make a data set, of whose names it is asked."""
    base = name.partition("/")[0]
    if base in SHAPES and base != EMBEDDED and base != JPEG:
        return
    import tensorflow_datasets as tfds  # over a second

    made = set(tfds.list_builders(with_community_datasets=False))
    if base in made:
        return
    if (root / name).exists():
        raise InputError(
            f"dataset {name}: {root / name} holds no VERSION/dataset_info.json, so it is none that "
            "TFDS has prepared; make one of it, for images in folders as TFDS's ImageFolder and "
            "tfds.dataset_builders.store_as_tfds_dataset do"
        )
    found = root.glob("*/*/dataset_info.json")
    near = {EMBEDDED, *SHAPES, *(path.parents[1].name for path in found)}
    raise unknown("dataset", name, made | near, near)
