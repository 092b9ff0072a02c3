"""Images in the files that TFDS prepares, one at a time and in any order.

ArrayRecord files are made for that. A TFRecord file is a chain of records, each with its length in
front: where each begins is found once by going along the chain, and kept in the folder of what is
computed once per machine. On the way the label of each record is read, and no image.
"""

import hashlib
import mmap
import pathlib
import struct
import zipfile
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from distill import cache, files
from distill.errors import InputError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # how a field of a protocol buffer is written
_BYTES_LIST, _INT64_LIST = 1, 3  # the kinds of a `tf.train.Feature`


class Records(NamedTuple):
    """The records of a split.

    Attributes:
      read: from the number of a record to its bytes; may be called by several threads at once.
      labels: `[n]` int64.
      identity: a hash of the files' names, sizes and beginnings, and of all labels.
    """

    read: Callable[[int], bytes]
    labels: np.ndarray
    identity: str


def find(paths: Sequence[pathlib.Path], kind: str) -> Records:
    """Finds the records of a split, and reads their labels.

    Args:
      paths: of its files, in order.
      kind: `tfrecord` or `array_record`.

    Raises:
      InputError: if the files are of another kind.
      ValueError: if one is damaged, or its records have no `image` and `label`.
    """
    if kind not in ("tfrecord", "array_record"):
        raise InputError(
            f"{paths[0].parent} is prepared as {kind}, in which no image can be found by itself; "
            "prepare it as array_record, or keep it in memory by a larger dataset.resident_mb"
        )
    known = _digest(paths)
    read, labels = (_array_records if kind == "array_record" else _tf_records)(paths, known)
    return Records(read, labels, hashlib.sha256(f"{known}".encode() + labels.tobytes()).hexdigest())


def image(record: bytes) -> bytes:
    """Returns the encoded image of a record, a `tf.train.Example` with a feature `image`.

    Raises:
      ValueError: if it has none.
    """
    start, stop = _features(memoryview(record))[b"image"]
    return record[start:stop]


def _digest(paths: Sequence[pathlib.Path]) -> str:
    """Returns a hash of the names, the sizes and the first 64 KiB of files."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(f"{path.name} {path.stat().st_size} ".encode() + file.read(2**16))
    return digest.hexdigest()


def _array_records(
    paths: Sequence[pathlib.Path], known: str
) -> tuple[Callable[[int], bytes], np.ndarray]:
    import grain

    source = grain.sources.ArrayRecordDataSource([str(path) for path in paths])

    def labels() -> dict[str, np.ndarray]:
        return {"labels": np.array([_label(source[i]) for i in range(len(source))], np.int64)}

    return source.__getitem__, _kept(paths, known, labels)["labels"]


def _tf_records(
    paths: Sequence[pathlib.Path], known: str
) -> tuple[Callable[[int], bytes], np.ndarray]:
    def index() -> dict[str, np.ndarray]:
        rows = np.concatenate([_rows(number, path) for number, path in enumerate(paths)])
        return dict(zip(("shard", "start", "length", "labels"), rows.T, strict=True))

    columns = _kept(paths, known, index)

    def read(i: int) -> bytes:  # not from a mapping, whose pages would count as memory
        with paths[columns["shard"][i]].open("rb", buffering=0) as file:
            file.seek(columns["start"][i])
            return file.read(columns["length"][i])

    return read, columns["labels"]


def _rows(number: int, path: pathlib.Path) -> np.ndarray:
    """Returns of each record of a TFRecord file `number`, its start, its length and its label."""
    with path.open("rb") as file:
        empty = not path.stat().st_size
        data = memoryview(b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    rows = [
        (number, start, stop - start, _label(data[start:stop]))
        for start, stop in _chain(path, data)
    ]
    return np.array(rows, np.int64).reshape(-1, 4)


def _chain(path: pathlib.Path, data: memoryview) -> Iterator[tuple[int, int]]:
    """Yields where each record of a TFRecord file begins and ends.

    Each has its length in eight bytes before it, with four of a checksum, and four of one behind.
    """
    at = 0
    while at < len(data):
        if at + 12 > len(data):
            raise ValueError(f"{path} is cut off")
        (length,) = struct.unpack_from("<Q", data, at)
        if at + length + 16 > len(data):
            raise ValueError(f"{path} is cut off or damaged")
        yield at + 12, at + 12 + length
        at += length + 16


def _kept(
    paths: Sequence[pathlib.Path], known: str, make: Callable[[], dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Returns arrays from the cache, or makes them and puts them there if that is possible.

    Args:
      paths: of the files that they are of. Since the rest of a file may change and its beginning
        stay, they are also known by when they were written.
      known: from `_digest`.
      make: reads them.
    """
    written = [path.stat().st_mtime_ns for path in paths]
    key = hashlib.sha256(f"{known} {written}".encode()).hexdigest()
    path = cache.directory() / "records" / f"{key[:32]}.npz"
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            return dict(kept)
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):  # none, or it is damaged
        pass
    made = make()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.replace(path, lambda file: np.savez(file, **made))  # type: ignore[arg-type]
    except OSError:
        pass
    return made


def _label(record: bytes | memoryview) -> int:
    record = memoryview(record)
    start, stop = _features(record)[b"label"]
    value, _ = _varint(record[start:stop], 0)
    return value - 2**64 if value >= 2**63 else value


def _features(record: memoryview) -> dict[bytes, tuple[int, int]]:
    """Returns where the first value of each feature of a `tf.train.Example` lies.

    Only what says where things are is looked at, as most of a record is its image.
    """
    found: dict[bytes, tuple[int, int]] = {}
    for _, features in _fields(record, slice(0, len(record)), 1):
        for _, entry in _fields(record, features, 1):
            key, value = _first(record, entry, 1), _first(record, entry, 2)
            for kind, values in _fields(record, value):
                if kind in (_BYTES_LIST, _INT64_LIST):
                    for _, first in _fields(record, values, 1):
                        found.setdefault(bytes(record[key]), (first.start, first.stop))
    for name in (b"image", b"label"):
        if name not in found:
            raise ValueError(f"a record has no {name.decode()}")
    return found


def _first(data: memoryview, place: slice, wanted: int) -> slice:
    """Returns where the first field of a number lies; an empty place if there is none."""
    return next((found for _, found in _fields(data, place, wanted)), slice(0, 0))


def _fields(data: memoryview, place: slice, wanted: int = 0) -> Iterator[tuple[int, slice]]:
    """Yields the number of each field of a protocol buffer, and where it lies.

    Args:
      data: that the buffer lies in.
      place: where.
      wanted: number of the fields to yield; 0: all.
    """
    at = place.start
    while at < place.stop:
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == _BYTES:
            length, at = _varint(data, at)
        elif kind == _VARINT:
            length = _varint(data, at)[1] - at
        elif kind in (_FIXED64, _FIXED32):
            length = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError("a record is damaged")
        if at + length > place.stop:
            raise ValueError("a record is damaged")
        if wanted in (0, number):
            yield number, slice(at, at + length)
        at += length


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """Returns the number that is written at a place, seven bits a byte, and where the next is."""
    value = shift = 0
    while at < len(data):
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
    raise ValueError("a record is damaged")
