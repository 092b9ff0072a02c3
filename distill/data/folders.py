"""A folder of images, with a subfolder for each class, as a data set."""

import contextlib
import hashlib
import json
import math
import os
import pathlib
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from concurrent import futures
from typing import Any, NamedTuple, cast

import numpy as np

from distill import paths
from distill.data.decoding import COLORS, FORMATS, decode, hush
from distill.data.splits import Split
from distill.data.streaming import Streamed
from distill.errors import InputError, one_line, unknown

TEST_FOLDERS = ("test", "val", "validation")  # the first that is there
TEST_SHARE = 0.2  # of each class, where there is no such folder
RECORD = "split.json"
LISTED = 5  # names, in a message
NO_IMAGES = ("thumbs.db", "desktop.ini")  # which Windows leaves; hidden files are passed over too
MAX_WORKERS = 8  # each holds a whole photo
PROBES = 256  # files of which the contents are a part of a fingerprint, where others are too many

Work = Callable[[str, int], contextlib.AbstractContextManager[Any]]
File = tuple[str, int]


class Folder(NamedTuple):
    """The images of a folder.

    Attributes:
      root: of all paths.
      classes: their names, in the order of their labels.
      splits: for each split its files, as the path from the root and the label. Any range of them
        has every class about in proportion.
      drawn: whether the test set was drawn from the images, and not given.
    """

    root: pathlib.Path
    classes: tuple[str, ...]
    splits: dict[str, list[File]]
    drawn: bool

    @property
    def name(self) -> str:
        """The folder's own."""
        return self.root.resolve().name

    @property
    def sizes(self) -> dict[str, int]:
        """The number of images of each split."""
        return {name: len(files) for name, files in self.splits.items()}


def find(
    given: str, seed: int, announce: Callable[[str], None], known: Sequence[str] = ()
) -> Folder:
    """Lists the images of a folder, without opening any.

    It holds `train/CLASS/…` and one of `TEST_FOLDERS`, with the same classes; or only `CLASS/…`. Of
    these, or where only `train` is there, `TEST_SHARE` of each class are drawn to test with.

    Args:
      given: the path.
      seed: of the drawing.
      announce: told in one line what a person may not expect.
      known: names of all classes, of which the folder may have any; empty: those that it has.

    Raises:
      InputError: if there are no two classes, one is empty, not known, or only in the test set.
    """
    root = paths.local(given, "dataset.folder")
    if not root.is_dir():
        raise InputError(f"dataset.folder is {root}, which is no directory")
    given_splits = "train" in _subfolders(root) and bool(_subfolders(root / "train"))
    training = _classes(root, root / "train" if given_splits else root)
    if known:
        _require_known(root, training, known)
        training = {name: training.get(name, []) for name in known}
    names = tuple(training)
    if len(names) < 2:
        only = f"one class, {names[0]}" if names else "no folder of images"
        raise InputError(
            f"dataset.folder {root} has {only}; it needs a subfolder with images for each of two "
            "or more classes, or these in train/ and test/"
        )
    empty = [name for name, files in training.items() if not files]
    if empty and not known:
        raise InputError(
            f"{_listed(empty, 'class has', 'classes have')} no image in {root}; add some, or "
            "remove the folder"
        )
    test_folder = next((n for n in TEST_FOLDERS if given_splits and n in _subfolders(root)), None)
    if test_folder is None:
        return _drawn(root, training, seed, announce)
    testing = _classes(root, root / test_folder)
    if foreign := [name for name in testing if name not in training]:
        raise InputError(
            f"{_listed(foreign, 'class is', 'classes are')} in {root / test_folder} and not in "
            f"{root / 'train'}; a model only knows what it is trained on"
        )
    if test_folder != "test":
        announce(f"{root} has no folder test: {test_folder} is what is tested on")
    splits = {
        "train": _mixed(list(training.values())),
        "test": _mixed([testing.get(name, []) for name in names]),
    }
    if not splits["test"]:
        raise InputError(f"{root / test_folder} has no image to test with")
    return Folder(root, names, splits, drawn=False)


def read(
    folder: Folder, split: str, *, image_size: int, color: str, resident_mb: int, work: Work | None
) -> Split:
    """Decodes the images of a split, by several threads; or when they are needed, if they are many.

    Args:
      folder: from `find`.
      split: its plain name.
      image_size: side of the square that the middle of an image is resized to; 0: as stored.
      color: a key of `COLORS`.
      resident_mb: as for `reading.read`.
      work: shows how far it is, as `progress.Display.work`.

    Raises:
      InputError: naming the first file that cannot be read, and how many more there are; or two of
        different sizes where there is to be none.
    """
    hush()
    files = folder.splits[split]
    labels = np.array([label for _, label in files], np.int32)
    shape = _shape(folder, files, image_size, color)
    if len(files) * math.prod(shape) > resident_mb * 2**20:
        return Split(cast(np.ndarray, _streamed(folder, files, image_size, color, shape)), labels)
    images: np.ndarray | None = None
    unreadable: list[tuple[str, str]] = []
    other: tuple[str, tuple[int, ...]] | None = None
    shown = work(f"images of {folder.name}, {split}", len(files)) if work else silent()
    with shown as bar, _pool() as pool:

        def decoded(file: File) -> np.ndarray | str:
            try:
                return decode(folder.root / file[0], image_size, color)
            except Exception as error:  # decoders raise anything for a damaged file
                return one_line(error)

        for start in range(0, len(files), 64):  # so that few decoded images wait
            part = files[start : start + 64]
            for i, image in enumerate(pool.map(decoded, part), start):
                if isinstance(image, str):
                    unreadable.append((files[i][0], image))
                    continue
                if images is None:
                    images, first = np.empty((len(files), *image.shape), np.uint8), i
                if image.shape != images.shape[1:]:
                    other = other or (files[i][0], image.shape)
                    continue
                images[i] = image
            bar.advance(len(part))
    if unreadable:
        raise InputError(_unreadable(folder.root, unreadable))
    assert images is not None  # a split has files
    if other is not None:
        raise _differ(folder, (files[first][0], images.shape[1:]), other)
    return Split(images, labels)


def _shape(folder: Folder, files: Sequence[File], image_size: int, color: str) -> tuple[int, ...]:
    """Returns the shape of the images: that which is asked for, or as the first one is stored.

    That is the first that can be read; the others are named where all of them are.
    """
    if image_size:
        return image_size, image_size, COLORS[color]
    for path, _ in files:
        with contextlib.suppress(Exception):  # decoders raise anything for a damaged file
            return decode(folder.root / path, 0, color).shape
    return 0, 0, 0


def _streamed(
    folder: Folder, files: Sequence[File], image_size: int, color: str, shape: tuple[int, ...]
) -> Streamed:
    """Returns the images of files, undecoded.

    Raises:
      InputError: if a file is empty, or none; what is damaged otherwise shows when it is its turn.
    """
    paths = [folder.root / path for path, _ in files]
    sizes = [path.stat().st_size if path.is_file() else 0 for path in paths]
    if empty := [
        (path, "it is no file") for (path, _), size in zip(files, sizes, strict=True) if not size
    ]:
        raise InputError(_unreadable(folder.root, empty))
    identity = hashlib.sha256(f"{sizes} {image_size} {color}".encode())
    for path in paths[:: -(-len(paths) // PROBES)]:
        identity.update(path.read_bytes())

    def decoded(i: int) -> np.ndarray:
        try:
            image = decode(paths[i], image_size, color)
        except Exception as error:  # decoders raise anything for a damaged file
            unreadable = [(files[i][0], one_line(error))]
            raise InputError(_unreadable(folder.root, unreadable)) from error
        if image.shape != shape:
            raise _differ(folder, (files[0][0], shape), (files[i][0], image.shape))
        return image

    return Streamed(decoded, shape, identity.hexdigest(), np.arange(len(files)))


def duplicates(train: Split, test: Split) -> np.ndarray:
    """Returns which images of `test` are in `train` too, pixel by pixel: their indices."""
    known = {image.tobytes() for image in train.images} if len(train) else set()
    return np.array([i for i, image in enumerate(test.images) if image.tobytes() in known], int)


def record(folder: Folder, workdir: pathlib.Path) -> None:
    """Writes which files are trained on and which are tested with, beside a run."""
    contents: dict[str, Any] = {"folder": str(folder.root), "classes": folder.classes}
    for name, files in folder.splits.items():
        contents[name] = [path for path, _ in files]
    text = json.dumps(contents, indent=1, ensure_ascii=False) + "\n"
    (workdir / RECORD).write_text(text, encoding="utf-8")


def _require_known(root: pathlib.Path, names: Iterable[str], known: Sequence[str]) -> None:
    if len(set(known)) < len(known):
        twice = next(name for i, name in enumerate(known) if name in known[:i])
        raise InputError(f"dataset.classes has {twice} twice")
    for name in names:
        if name not in known:
            raise unknown(f"class of {root}", name, known)


def _drawn(
    root: pathlib.Path,
    classes: dict[str, list[str]],
    seed: int,
    announce: Callable[[str], None],
) -> Folder:
    """Divides the images of each class at random."""
    rng = np.random.default_rng(seed)
    train, test = [], []
    for files in classes.values():
        shuffled = [files[i] for i in rng.permutation(len(files))]
        held = max(1, round(TEST_SHARE * len(files))) if len(files) > 1 else 0
        test.append(shuffled[:held])
        train.append(shuffled[held:])
    if alone := [name for name, files in classes.items() if len(files) == 1]:
        if not any(test):
            raise InputError(f"no class of {root} has two images; there is none to test with")
        announce(
            f"!!! {_listed(alone, 'class has', 'classes have')} one image, which is trained on: "
            "nothing tests them"
        )
    splits = {"train": _mixed(train), "test": _mixed(test)}
    announce(
        f"{root} has no test images of its own: {len(splits['test'])} of "
        f"{sum(map(len, classes.values()))} are drawn, with the seed {seed}; {RECORD} says which"
    )
    return Folder(root, tuple(classes), splits, drawn=True)


def _mixed(classes: list[list[str]]) -> list[File]:
    """Mixes the files of the classes evenly, each class in an order of its own."""
    placed = []
    rng = np.random.default_rng(0)  # the same in every run, so that runs can be compared
    for label, files in enumerate(classes):
        for rank, i in enumerate(rng.permutation(len(files))):
            placed.append(((rank + 0.5) / len(files), label, files[i]))
    return [(file, label) for _, label, file in sorted(placed)]


def _classes(root: pathlib.Path, folder: pathlib.Path) -> dict[str, list[str]]:
    """Returns the files of each subfolder, as paths from the root, in the order of the names."""
    files_of: dict[str, list[str]] = {}
    for directory in _subfolders(folder):
        name = unicodedata.normalize("NFC", directory)  # other systems compose accents otherwise
        if not name.isprintable():
            raise InputError(f"{folder} has the class {name!r}; its name cannot be printed")
        files = files_of.setdefault(name, [])
        for path, inside, names in os.walk(folder / directory):
            inside[:] = sorted(n for n in inside if not n.startswith("."))
            visible = (n for n in sorted(names) if not n.startswith("."))
            files += [
                (pathlib.Path(path) / n).relative_to(root).as_posix()
                for n in visible
                if n.lower() not in NO_IMAGES
            ]
    return dict(sorted(files_of.items()))


def _subfolders(folder: pathlib.Path) -> list[str]:
    try:
        return sorted(p.name for p in folder.iterdir() if p.is_dir() and p.name[0] != ".")
    except OSError as error:
        raise InputError(f"dataset.folder {folder} cannot be read: {error.strerror}") from error


def _differ(
    folder: Folder, one: tuple[str, tuple[int, ...]], other: tuple[str, tuple[int, ...]]
) -> InputError:
    """Returns what is said of two files and the shapes of their images."""
    return InputError(
        f"images of {folder.root} differ in size: {one[0]} has {one[1][:2]}, {other[0]} "
        f"{other[1][:2]}; set --config.dataset.image_size, for example 64"
    )


def _unreadable(root: pathlib.Path, bad: list[tuple[str, str]]) -> str:
    path, reason = bad[0]
    if (root / path).is_file() and not (root / path).stat().st_size:
        reason = "it is empty"
    if reason.startswith("cannot identify image file"):
        reason = f"it is none of {', '.join(FORMATS)}"
    more = f", and {len(bad) - 1} more cannot be read either" if len(bad) > 1 else ""
    return f"{root / path} cannot be read: {reason}{more}; repair or remove what is no image"


def _listed(names: Iterable[str], one: str, many: str) -> str:
    """Returns "2 classes have (cat, dog)", with at most `LISTED` names."""
    names = list(names)
    shown = ", ".join(names[:LISTED]) + (", …" if len(names) > LISTED else "")
    count, _, verb = (one if len(names) == 1 else many).partition(" ")
    return f"{len(names)} {count} ({shown}) {verb}"


def _pool() -> futures.ThreadPoolExecutor:
    """Threads are enough: Pillow and NumPy let others run while they decode and add."""
    return futures.ThreadPoolExecutor(min(os.cpu_count() or 1, MAX_WORKERS))


class _Silent:
    def advance(self, done: int) -> None:
        pass


def silent() -> contextlib.AbstractContextManager[Any]:
    """Returns work that nobody is shown."""
    return contextlib.nullcontext(_Silent())
