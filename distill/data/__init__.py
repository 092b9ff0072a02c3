"""Data sets as uint8 arrays, and augmentation."""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from distill import losses
from distill.data import folders, sources, splits, streaming
from distill.data.augment import AUGMENTATIONS, Augmentation
from distill.data.reading import read
from distill.data.sources import Source
from distill.data.splits import Dataset, Split, fingerprint, labelled
from distill.errors import InputError, unknown

__all__ = [
    "AUGMENTATIONS",
    "Augmentation",
    "Dataset",
    "Source",
    "Split",
    "check",
    "class_names",
    "find",
    "fingerprint",
    "labelled",
    "load",
    "record",
    "shape",
]


PIECE = 64  # images that are decoded before a person is told how far it is


def check(config: ConfigDict) -> None:
    """Checks what can be known of the data without looking for it.

    Raises:
      InputError: for an unknown augmentation or color, or a split that is not written as one.
    """
    if not (config.dataset.name or config.dataset.folder):
        raise InputError("there are no images to train on: give --config.dataset.folder=PATH")
    if config.dataset.color not in folders.COLORS:
        raise unknown("dataset.color", config.dataset.color, folders.COLORS)
    if config.dataset.classes and not config.dataset.folder:
        raise InputError(
            "dataset.classes is of a folder of images, and dataset.folder is empty: leave it out, "
            "or name classes for readers in --config.export.labels"
        )
    for name in ("teacher", "student"):
        if config[name].augmentation not in AUGMENTATIONS:
            raise unknown("augmentation", config[name].augmentation, AUGMENTATIONS)
    for field in ("train", "validation", "test"):
        if config.dataset[field] or field != "validation":
            splits.parse(config.dataset[field])
    splits.parse(config.transfer.split)


def find(
    config: ConfigDict, announce: Callable[[str], None], trained: Sequence[str] = ()
) -> tuple[Source, Source | None]:
    """Finds the data set and the transfer set, and checks splits and batch sizes against them.

    Args:
      config: the whole configuration.
      announce: told in one line when the fallback is used.
      trained: whose batches are to fit, as `Settings.trained`.

    Raises:
      InputError: if one cannot be had, or a split or batch does not fit.
    """
    dataset, transfer = config.dataset, config.transfer
    source, reason = _find(config, announce)
    if reason:
        announce(
            f"!!! USING {source.name} INSTEAD OF {dataset.name}: {reason}. "
            f"Results are for {source.name}. (--config.dataset.fallback='' makes this an error.)"
        )
    transfer_source = None
    if transfer.name:
        transfer_source, _ = sources.find(transfer.name, dataset.data_dir, "")
    if source.sizes:
        selected = {
            field: splits.bounds(dataset[field], source.sizes)
            for field in ("train", "validation", "test")
            if dataset[field]
        }
        for name in trained:
            available = selected["train"].stop - selected["train"].start
            if config[name].batch_size > available and not (transfer.name and name == "student"):
                raise InputError(
                    f"{name}.batch_size is {config[name].batch_size}; "
                    f"{dataset.train} of {source.name} has {available} examples"
                )
    if transfer_source and transfer_source.sizes:
        splits.bounds(transfer.split, transfer_source.sizes)
    if source.sizes:
        _check_overlaps(config, source, transfer_source, source.sizes, announce)
    return source, transfer_source


def _check_overlaps(
    config: ConfigDict,
    source: Source,
    transfer_source: Source | None,
    sizes: dict[str, int],
    announce: Callable[[str], None],
) -> None:
    """Finds images that are learned from and measured on.

    Args:
      config: the whole configuration.
      source, transfer_source: from `find`.
      sizes: of the splits of the data set.
      announce: told of those that are only reported.

    Raises:
      InputError: if something is chosen by images that are learned from or reported.
    """
    specs = {f"dataset.{field}": config.dataset[field] for field in ("train", "validation", "test")}
    if transfer_source is not None and transfer_source.name == source.name:
        specs["transfer.split"] = config.transfer.split
    selected = {
        name: (splits.parse(spec)[0], splits.bounds(spec, sizes))
        for name, spec in specs.items()
        if spec and splits.parse(spec)[0] in sizes
    }
    chooses = _chosen_by_validation(config)
    for a, b, shared in splits.overlapping(selected):
        if {a, b} == {"dataset.train", "transfer.split"}:
            continue  # both are learned from
        said = f"{a}={specs[a]} and {b}={specs[b]} share {shared} images of {source.name}"
        if chooses and "dataset.validation" in (a, b):
            raise InputError(
                f"{said}, and {chooses} would be chosen by what was seen; give ranges that do not "
                "overlap, as --config.dataset.train=train[:90%] "
                "--config.dataset.validation=train[90%:]"
            )
        announce(f"!!! {said}: what is measured on them is not of images that were never seen.")


def _nested(found: Any, *keys: str) -> Any:
    """Returns a value of nested mappings, or None."""
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _chosen_by_validation(config: ConfigDict) -> str:
    """Returns what is chosen by the validation images; empty: nothing, they are only reported."""
    if "search" in config:
        return "networks (config.search)"
    if config.export.temperature == "fit":
        return "the temperature of the probabilities (export.temperature)"
    if config.loss.learn_temperature:
        return "the temperature (loss.learn_temperature)"
    for number, step in enumerate(config.compress):
        if _nested(step, "until", "accuracy") is not None:
            return f"when to stop (compress[{number}].until.accuracy)"
        if _nested(step, "fine_tune", "loss", "learn_temperature"):
            return f"the temperature (compress[{number}].fine_tune.loss.learn_temperature)"
    return ""


def _find(config: ConfigDict, announce: Callable[[str], None]) -> tuple[Source, str]:
    """Finds the folder, or the data set by its name; see `sources.find`."""
    section = config.dataset
    if not section.folder:
        return sources.find(section.name, section.data_dir, section.fallback)
    folder = folders.find(section.folder, config.seed, announce, section.classes)
    return Source(folder.name, section.data_dir, None, folder.sizes, folder), ""


def shape(config: ConfigDict) -> tuple[tuple[int, int, int], int]:
    """Returns the shape of an image and the number of classes, without reading any image.

    Raises:
      InputError: if it is not known.
    """
    section = config.dataset
    if not section.folder:
        return sources.shape(section.name, section.image_size)
    folder = folders.find(section.folder, config.seed, lambda line: None, section.classes)
    if not section.image_size:
        raise InputError(
            f"the size of the images of {folder.root} is known when they are read; set "
            "--config.dataset.image_size, for example 64"
        )
    side = section.image_size
    return (side, side, folders.COLORS[section.color]), len(folder.classes)


def record(source: Source, workdir: pathlib.Path) -> None:
    """Writes down beside a run what is only known of a folder of images; see `folders.record`."""
    if source.folder is not None:
        folders.record(source.folder, workdir)


def load(
    config: ConfigDict,
    source: Source,
    transfer_source: Source | None,
    announce: Callable[[str], None] = lambda line: None,
    work: folders.Work | None = None,
) -> Dataset:
    """Reads the splits that a configuration names.

    Args:
      config: the whole configuration.
      source, transfer_source: from `find`.
      announce: told of images that are learned from and measured on, where `find` could not know
        the sizes yet.
      work: shows how far the decoding of photos is, as `progress.Display.work`.

    Raises:
      InputError: if they cannot be read or do not fit one another.
    """
    dataset = config.dataset
    whole: dict[tuple[str, str], tuple[Split, int]] = {}

    def part(spec: str, source: Source = source, labels: bool = True) -> Split:
        name = splits.parse(spec)[0]
        if (source.name, name) not in whole and source.folder is not None:
            splits.bounds(spec, source.sizes)
            images = folders.read(
                source.folder,
                name,
                image_size=dataset.image_size,
                color=dataset.color,
                resident_mb=dataset.resident_mb,
                work=work,
            )
            whole[source.name, name] = images, len(source.folder.classes)
        if (source.name, name) not in whole:
            whole[source.name, name] = read(
                source,
                name,
                image_size=dataset.image_size,
                resident_mb=dataset.resident_mb,
                labels=labels,
            )
        everything = whole[source.name, name][0]
        selected = splits.bounds(spec, {name: len(everything)})
        pixels = everything.images[selected]
        if isinstance(pixels, streaming.Streamed) and pixels.nbytes <= dataset.resident_mb * 2**20:
            pixels = _decoded(pixels, f"images of {source.name}, {spec}", work)
        return Split(pixels, everything.labels[selected])

    train, test = part(dataset.train), part(dataset.test)
    validation = part(dataset.validation) if dataset.validation else None
    if not source.sizes:
        sizes = {split: len(images) for (_, split), (images, _) in whole.items()}
        _check_overlaps(config, source, transfer_source, sizes, announce)
    num_classes = whole[source.name, splits.parse(dataset.train)[0]][1]
    if not losses.compares_with_pixels(losses.name_of(config.loss)):
        _check_labels(source.name, num_classes, train=train, validation=validation, test=test)
    train = splits.hide_labels(train, dataset.labelled_fraction, config.seed)
    transfer = None
    if transfer_source is not None:
        whole.clear()  # the transfer set may be the training set; its labels are not to be had
        transfer = part(config.transfer.split, transfer_source, labels=False)
        if transfer.images.shape[1:] != train.images.shape[1:]:
            raise InputError(
                f"images of the transfer set {transfer_source.name} are "
                f"{transfer.images.shape[1:]}, those of {source.name} {train.images.shape[1:]}"
            )
    _check_normalization(dataset, source.name, channels=test.images.shape[-1])
    arrays = [
        array
        for split in (train, validation, test, transfer)
        if split is not None
        for array in (split.images, split.labels)
    ]
    seen = fingerprint(*arrays)
    classes: tuple[str, ...] = ()
    parts = {"train": train, "validation": validation, "test": test, "transfer": transfer}
    images = {name: split.images for name, split in parts.items() if split is not None}
    if said := streaming.describe(images, dataset.resident_mb):
        announce(said)
    if source.folder is not None:
        classes = source.folder.classes
        _warn_of_duplicates(source.folder, dataset.test, train, test, announce)
    return Dataset(source.name, train, validation, test, transfer, num_classes, seen, classes)


def _decoded(images: streaming.Streamed, name: str, work: folders.Work | None) -> np.ndarray:
    """Decodes a part that fits in memory of images that do not."""
    found = np.empty(images.shape, np.uint8)
    pieces = [slice(start, start + PIECE) for start in range(0, len(found), PIECE)]
    with work(name, len(found)) if work else folders.silent() as bar:
        for piece, decoded in zip(pieces, streaming.ahead(images, pieces), strict=True):
            found[piece] = decoded
            bar.advance(len(decoded))
    return found


def _check_labels(name: str, num_classes: int, **parts: Split | None) -> None:
    """Checks that there are classes to tell apart, and that the labels are of them.

    Raises:
      InputError: if there are fewer than two, or an image is of none; of `train` those are hidden.
    """
    if num_classes < 2:
        raise InputError(f"dataset {name} has {num_classes} class; a classifier needs 2 or more")
    for field, split in parts.items():
        if split is None:
            continue
        lowest = splits.HIDDEN if field == "train" else 0
        wrong = split.labels[(split.labels < lowest) | (split.labels >= num_classes)]
        if wrong.size:
            raise InputError(
                f"{wrong.size} images of dataset.{field} of {name} have a label such as "
                f"{wrong[0]}; labels are 0 to {num_classes - 1}"
                + (f", or {splits.HIDDEN} where hidden" if lowest else "")
            )


def _warn_of_duplicates(
    folder: folders.Folder,
    spec: str,
    train: Split,
    test: Split,
    announce: Callable[[str], None],
) -> None:
    """Says how many test images are trained on too, which happens where photos are copied.

    Of streamed images nobody knows: all of them would have to be decoded.
    """
    if streaming.describe({"train": train.images, "test": test.images}, 0):
        return
    found = folders.duplicates(train, test)
    if len(found):
        files = folder.splits[splits.parse(spec)[0]][splits.bounds(spec, folder.sizes)]
        announce(
            f"!!! {len(found)} of {len(test)} test images are among the training images too, as "
            f"{files[found[0]][0]}: what is measured on them says nothing of other images"
        )


def _check_normalization(section: ConfigDict, name: str, channels: int) -> None:
    """Raises `InputError` unless mean and deviation are one number, or one for each channel."""
    accepted = "1 number" if channels == 1 else f"1 number or {channels}"
    for field in ("mean", "std"):
        if len(section[field]) not in (1, channels):
            raise InputError(
                f"dataset.{field} is {section[field]}; for the images of {name} it must be "
                f"{accepted}"
            )


def class_names(section: ConfigDict, dataset: Dataset) -> list[str]:
    """Returns the names of the classes, or their numbers where the data set has no names.

    Args:
      section: `config.dataset`.
      dataset: from `load`.
    """
    names = list(dataset.classes) or sources.class_names(dataset.name, section.data_dir)
    return (
        names if len(names) == dataset.num_classes else list(map(str, range(dataset.num_classes)))
    )
