import struct

import numpy as np
import pytest

from distill.data import reading, sources, splits
from distill.data.streaming import Streamed
from distill.errors import InputError


def _source(name, root):
    return sources.find(name, str(root), "")[0]


def _read(source, split="train", **options):
    return reading.read(source, split, **{"image_size": 0, "resident_mb": 64, **options})


def _features(*shape):
    return lambda f: {"image": f.Image(shape=shape), "label": f.ClassLabel(num_classes=3)}


@pytest.fixture
def images(rng):
    return rng.integers(256, size=(7, 4, 6, 1), dtype=np.uint8)


@pytest.fixture
def tiny(prepare, images, tmp_path):
    examples = [{"image": image, "label": i % 3} for i, image in enumerate(images)]
    prepare(tmp_path, "tiny", {"train": examples, "test": examples[:2]}, _features(4, 6, 1))
    return _source("tiny", tmp_path)


@pytest.mark.parametrize(
    "split, size, expected",
    [("train", 4000, "e6729ddae8db47ad"), ("test", 1000, "174e3be5aa4b5b39")],
)
def test_embedded_is_fixed_and_stratified(split, size, expected):
    part, num_classes = _read(sources.find("mnist5k", "", "")[0], split)
    assert (len(part), num_classes, part.images.shape[1:]) == (size, 10, (28, 28, 1))
    np.testing.assert_array_equal(np.bincount(part.labels), [size // 10] * 10)
    np.testing.assert_array_equal(part.labels[:10], np.arange(10))  # so are parts of it
    assert splits.fingerprint(part.images, part.labels) == expected


def test_train_and_test_of_the_embedded_share_no_image():
    source = sources.find("mnist5k", "", "")[0]
    train, test = ({i.tobytes() for i in _read(source, s)[0].images} for s in ("train", "test"))
    assert not train & test
    assert len(train) == 4000 and len(test) == 1000


def test_prepared(tiny, images):
    part, num_classes = _read(tiny)
    np.testing.assert_array_equal(part.images, images)
    np.testing.assert_array_equal(part.labels, [0, 1, 2, 0, 1, 2, 0])
    assert (part.images.dtype, part.labels.dtype, num_classes) == (np.uint8, np.int32, 3)


@pytest.mark.parametrize("image_size", [0, 3])
def test_streamed_equals_in_memory(tiny, image_size):
    streamed, resident = (_read(tiny, image_size=image_size, resident_mb=mb)[0] for mb in (0, 64))
    assert isinstance(streamed.images, Streamed) and isinstance(resident.images, np.ndarray)
    assert streamed.images.shape == resident.images.shape
    np.testing.assert_array_equal(streamed.images, resident.images)
    np.testing.assert_array_equal(streamed.labels, resident.labels)


@pytest.mark.parametrize("resident_mb", [0, 64])
def test_several_files_are_read_one_after_the_other(resident_mb, prepare, tmp_path):
    examples = [{"image": np.full((2, 2, 1), i, np.uint8), "label": i % 3} for i in range(60)]
    prepare(tmp_path, "files", {"train": examples}, _features(2, 2, 1), shard=20)
    source = _source("files", tmp_path)
    assert len(list(source.directory.glob("*train*"))) == 3
    part = _read(source, resident_mb=resident_mb)[0]
    np.testing.assert_array_equal(np.asarray(part.images)[:, 0, 0, 0], np.arange(60))
    np.testing.assert_array_equal(part.labels, np.arange(60) % 3)


@pytest.mark.parametrize("resident_mb", [0, 64])
def test_examples_that_are_missing(resident_mb, tiny):
    (path,) = tiny.directory.glob("*train*")
    content = path.read_bytes()
    (length,) = struct.unpack_from("<Q", content)
    path.write_bytes(content[length + 16 :])
    with pytest.raises(InputError, match=r"^split train of .* cannot be read: .*\b6\b"):
        _read(tiny, resident_mb=resident_mb)


def test_a_damaged_image_is_named_when_it_is_its_turn(tiny):
    (path,) = tiny.directory.glob("*train*")
    before, *rest = path.read_bytes().rsplit(b"PNG", 1)
    path.write_bytes(before + b"GNP" + rest[0])
    images = _read(tiny, resident_mb=0)[0].images
    assert np.asarray(images[:6]).shape == (6, 4, 6, 1)
    with pytest.raises(InputError, match="^image 6 of split train in .* cannot be read: ") as error:
        np.asarray(images)
    assert "\n" not in str(error.value)


def test_several_batches_keep_their_order(tiny, monkeypatch):
    whole = _read(tiny)[0]
    monkeypatch.setattr(reading, "READ_BATCH", 3)
    np.testing.assert_array_equal(_read(tiny)[0].images, whole.images)


@pytest.mark.parametrize("source", ["tiny", "mnist5k"])
def test_labels_are_not_read_when_they_are_not_to_be_had(source, tiny):
    source = tiny if source == "tiny" else sources.find(source, "", "")[0]
    part = _read(source, labels=False)[0]
    assert (part.labels == splits.HIDDEN).all()
    np.testing.assert_array_equal(part.images, _read(source)[0].images)


def test_image_size_is_an_area_mean_of_the_centre(tiny, images):
    # 4×6 covers 2×2 as 2×3, of which a crop keeps two columns.
    means = images.reshape(7, 2, 2, 3, 2, 1).astype(float).mean((2, 4))
    resized = _read(tiny, image_size=2)[0].images
    np.testing.assert_allclose(resized, means[:, :, :2], atol=0.5)


def test_embedded_images_are_resized_too():
    embedded = sources.find("mnist5k", "", "")[0]
    stored, resized = (_read(embedded, "test", image_size=s)[0] for s in (28, 14))
    assert resized.images.shape[1:] == sources.shape("mnist5k", 14)[0]
    means = stored.images.reshape(1000, 14, 2, 14, 2, 1).mean((2, 4))
    np.testing.assert_allclose(resized.images, means, atol=0.5)
    np.testing.assert_array_equal(resized.labels, stored.labels)
    np.testing.assert_array_equal(_read(embedded, "test")[0].images, stored.images)


def test_image_size_as_stored_only_crops(tiny, images):
    np.testing.assert_array_equal(_read(tiny, image_size=4)[0].images, images[:, :, 1:5])


def test_images_that_differ_in_size_need_image_size(prepare, tmp_path):
    shapes = [(4, 4, 1), (2, 2, 1), (2, 6, 1)]
    examples = [{"image": np.full(s, 9, np.uint8), "label": i} for i, s in enumerate(shapes)]
    prepare(tmp_path, "mixed", {"train": examples}, _features(None, None, 1))
    source = _source("mixed", tmp_path)
    with pytest.raises(InputError, match="^images of mixed differ in size; set --config.dataset"):
        _read(source)
    np.testing.assert_array_equal(_read(source, image_size=2)[0].images, np.full((3, 2, 2, 1), 9))


@pytest.mark.parametrize("version", ["1.0.0", "99.0.0"])
def test_a_version_that_tfds_has_no_code_of(version, prepare, tmp_path):
    examples = [{"image": np.full((32, 32, 3), i, np.uint8), "label": 2} for i in range(3)]
    prepare(tmp_path, "cifar10", {"train": examples}, _features(32, 32, 3), version)
    part, _ = _read(_source("cifar10", tmp_path))
    np.testing.assert_array_equal(part.images[:, 5, 5], [[i] * 3 for i in range(3)])


def test_newest_of_several_versions_is_read(prepare, tmp_path):
    for version, value in (("2.0.0", 2), ("10.0.0", 10)):
        examples = [{"image": np.full((2, 2, 1), value, np.uint8), "label": 0}]
        prepare(tmp_path, "tiny", {"train": examples}, _features(2, 2, 1), version)
    assert _read(_source("tiny", tmp_path))[0].images.max() == 10


def test_without_label(prepare, tmp_path):
    examples = {"train": [{"image": np.zeros((2, 2, 1), np.uint8)}]}
    prepare(tmp_path, "plain", examples, lambda f: {"image": f.Image(shape=(2, 2, 1))})
    with pytest.raises(InputError) as caught:
        _read(_source("plain", tmp_path))
    assert str(caught.value) == "dataset plain has no 8-bit `image` with a `label`"


def test_a_label_that_is_no_class(prepare, tmp_path):
    examples = {"train": [{"image": np.zeros((2, 2, 1), np.uint8), "label": 1.5}]}
    prepare(
        tmp_path, "rated", examples,
        lambda f: {"image": f.Image(shape=(2, 2, 1)), "label": f.Scalar(np.float32)},
    )  # fmt: skip
    with pytest.raises(
        InputError, match="^the `label` of dataset rated is a Scalar; it must be a "
    ):
        _read(_source("rated", tmp_path))


@pytest.mark.parametrize("image_size", [0, 2])
def test_images_of_an_undeclared_number_of_channels(prepare, tmp_path, image_size):
    examples = {"train": [{"image": np.zeros((2, 2, 3), np.uint8), "label": 1}]}
    prepare(tmp_path, "vague", examples, _features(2, 2, None))
    with pytest.raises(InputError, match="^dataset vague does not say how many channels its image"):
        _read(_source("vague", tmp_path), image_size=image_size)


def test_unknown_split(tiny):
    with pytest.raises(InputError, match="^unknown split 'tran'; did you mean 'train'?"):
        _read(tiny, "tran")


def _one_line_error(source):
    with pytest.raises(InputError) as caught:
        _read(source)
    message = str(caught.value)
    assert message.startswith("split train of dataset tiny in ") and "\n" not in message
    return message


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.9])
def test_truncated_records(tiny, keep):
    (path,) = tiny.directory.glob("*train*")
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    assert "cannot be read: " in _one_line_error(tiny)


def test_missing_records(tiny):
    (path,) = tiny.directory.glob("*train*")
    path.unlink()
    assert "cannot be read: " in _one_line_error(tiny)


def test_downloaded_when_there_is_no_prepared_copy(tmp_path, monkeypatch):
    import tensorflow_datasets as tfds

    monkeypatch.setattr(
        tfds, "builder", lambda name, data_dir: tfds.testing.DummyMnist(data_dir=data_dir)
    )
    part, num_classes = _read(sources.Source("mnist", str(tmp_path), None, {}))
    assert (part.images.shape, num_classes) == ((20, 28, 28, 1), 10)
