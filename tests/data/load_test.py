"""`data.load`, on the embedded sample."""

import numpy as np
import pytest
from PIL import Image

from distill import config as config_lib
from distill import data
from distill.data import reading, sources
from distill.errors import InputError

EMBEDDED = sources.find("mnist5k", "", "")[0]


def _load(transfer_source=None, **changes):
    config = config_lib.defaults()
    config.dataset.name = "mnist5k"
    config.update_from_flattened_dict(changes)
    return data.load(config, EMBEDDED, transfer_source)


def test_splits_that_the_configuration_names():
    loaded = _load(**{"dataset.train": "train[:90%]", "dataset.validation": "train[90%:]"})
    whole = reading.read(EMBEDDED, "train", image_size=0, resident_mb=64)[0]
    assert (loaded.name, loaded.num_classes, loaded.transfer) == ("mnist5k", 10, None)
    assert (len(loaded.train), len(loaded.validation), len(loaded.test)) == (3600, 400, 1000)
    np.testing.assert_array_equal(loaded.train.images, whole.images[:3600])
    np.testing.assert_array_equal(loaded.validation.labels, whole.labels[3600:])


def test_labelled_fraction_hides_labels_of_the_training_set_only():
    loaded = _load(**{"dataset.labelled_fraction": 0.1, "dataset.validation": "train[:100]"})
    assert (loaded.train.labels >= 0).sum() == 400 == len(data.labelled(loaded.train))
    assert (loaded.validation.labels >= 0).all() and (loaded.test.labels >= 0).all()


def test_transfer_set_is_without_labels_even_if_it_is_the_training_set():
    loaded = _load(EMBEDDED, **{"transfer.name": "mnist5k", "transfer.split": "train[:50]"})
    assert len(loaded.transfer) == 50 and (loaded.transfer.labels == -1).all()
    assert (loaded.train.labels >= 0).all()
    np.testing.assert_array_equal(loaded.transfer.images, loaded.train.images[:50])


def test_labels_of_the_transfer_set_are_never_read(monkeypatch):
    asked = []

    def read(source, split, *, labels=True, **options):
        asked.append((split, labels))
        return reading.read(source, split, labels=labels, **options)

    monkeypatch.setattr(data, "read", read)
    _load(EMBEDDED, **{"transfer.name": "mnist5k", "dataset.validation": "test"})
    assert asked == [("train", True), ("test", True), ("train", False)]


def test_images_of_the_transfer_set_must_fit(prepare, tmp_path):
    examples = {"train": [{"image": np.zeros((32, 32, 3), np.uint8), "label": 0}]}
    prepare(
        tmp_path,
        "colour",
        examples,
        lambda f: {"image": f.Image(shape=(32, 32, 3)), "label": f.ClassLabel(num_classes=2)},
    )
    source = sources.find("colour", str(tmp_path), "")[0]
    with pytest.raises(InputError) as caught:
        _load(source, **{"transfer.name": "colour"})
    assert str(caught.value) == (
        "images of the transfer set colour are (32, 32, 3), those of mnist5k (28, 28, 1)"
    )


GRAY = np.zeros((28, 28, 1), np.uint8)


def _labelled(prepare, root, train, test, classes):
    """A data set of blank images with these labels; TFDS itself refuses those that are beyond."""
    examples = {
        split: [{"image": GRAY, "label": min(label, classes - 1)} for label in labels]
        for split, labels in {"train": train, "test": test}.items()
    }
    prepare(
        root, "blank", examples,
        lambda f: {"image": f.Image(shape=GRAY.shape), "label": f.ClassLabel(num_classes=classes)},
    )  # fmt: skip
    return sources.find("blank", str(root), "")[0]


@pytest.mark.parametrize(
    ("train", "test", "classes", "message"),
    [
        ([0, 1], [1, -1], 3, "1 images of dataset.test of blank have a label such as -1; labels"),
        ([0, 7], [1, 2], 3, "of dataset.train of blank have a label such as 7; labels are 0 to 2"),
        ([0, 0], [0, 0], 1, "^dataset blank has 1 class; a classifier needs 2 or more$"),
        ([0, -1], [1, 2], 3, ""),
    ],
)
def test_labels_are_of_classes(prepare, tmp_path, monkeypatch, train, test, classes, message):
    source = _labelled(prepare, tmp_path, train, test, classes)
    given = {"train": train, "test": test}

    def read(source, split, **options):
        part, number = reading.read(source, split, **options)
        return data.Split(part.images, np.array(given[split], np.int32)), number

    monkeypatch.setattr(data, "read", read)
    config = config_lib.defaults()
    config.dataset.name = "blank"
    if not message:
        assert len(data.labelled(data.load(config, source, None).train)) == 1
        return
    with pytest.raises(InputError, match=message):
        data.load(config, source, None)
    config.loss.name = "reconstruction"  # which has no use for labels
    assert len(data.load(config, source, None).test) == 2


@pytest.mark.parametrize("field", ["mean", "std"])
@pytest.mark.parametrize("values", [(), (0.5, 0.5, 0.5)])
def test_normalisation_must_fit_the_channels(field, values):
    with pytest.raises(InputError) as caught:
        _load(**{f"dataset.{field}": values})
    assert str(caught.value) == (
        f"dataset.{field} is {values}; for the images of mnist5k it must be 1 number"
    )


def test_fingerprint_is_of_what_is_seen():
    seen = {
        name: _load(**changes).fingerprint
        for name, changes in {
            "all": {},
            "again": {},
            "fewer": {"dataset.train": "train[:3999]"},
            "hidden": {"dataset.labelled_fraction": 0.5},
            "hidden otherwise": {"dataset.labelled_fraction": 0.5, "seed": 1},
        }.items()
    }
    assert seen["all"] == seen["again"]
    assert len(set(seen.values())) == 4


UNTIL = ({"method": "svd", "rounds": 2, "until": {"accuracy": 0.9}},)
APART = {"dataset.train": "train[:3000]", "dataset.validation": "train[3000:]"}
SEEN = {"dataset.train": "train", "dataset.validation": "train[75%:]"}


def _find(announce, changes, sizes):
    """Both ways: with sizes that are known before the data are read, and without."""
    config = config_lib.defaults()
    config.dataset.name = "mnist5k"
    config.update_from_flattened_dict(changes)
    if sizes:
        data.find(config, announce)
    else:
        transfer = EMBEDDED if config.transfer.name else None
        data.load(config, EMBEDDED._replace(sizes={}), transfer, announce)


@pytest.mark.parametrize("sizes", [True, False])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({**SEEN, "loss.learn_temperature": True}, "share 1000 images of mnist5k, and the temp"),
        ({**SEEN, "export.temperature": "fit"}, r"of the probabilities \(export.temperature\)"),
        ({**SEEN, "compress": UNTIL}, r"when to stop \(compress\[0\].until.accuracy\)"),
        (
            {**APART, "dataset.test": "train[3900:]", "loss.learn_temperature": True},
            r"dataset.validation=train\[3000:\] and dataset.test=train\[3900:\] share 100 ",
        ),
        (
            {
                **APART, "transfer.name": "mnist5k", "transfer.split": "train[2000:3001]",
                "compress": UNTIL,
            },
            r"dataset.validation=train\[3000:\] and transfer.split=train\[2000:3001\] share 1 ",
        ),
    ],
)  # fmt: skip
def test_nothing_is_chosen_by_images_that_are_learned_from(changes, message, sizes):
    with pytest.raises(InputError, match=message):
        _find(pytest.fail, changes, sizes)


@pytest.mark.parametrize("sizes", [True, False])
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (APART, []),
        ({**APART, "loss.learn_temperature": True, "compress": UNTIL}, []),
        ({"transfer.name": "mnist5k", "transfer.split": "train[:50]"}, []),
        (SEEN, ["!!! dataset.train=train and dataset.validation=train[75%:] share 1000 images"]),
        ({"dataset.test": "train"}, ["!!! dataset.train=train and dataset.test=train share 4000"]),
        (
            {"transfer.name": "mnist5k", "transfer.split": "test[:7]"},
            ["!!! dataset.test=test and transfer.split=test[:7] share 7 images of mnist5k: "],
        ),
    ],
)
def test_what_is_only_reported_is_said(changes, expected, sizes):
    said = []
    _find(said.append, changes, sizes)
    assert len(said) == len(expected)
    assert all(line.startswith(start) for line, start in zip(said, expected, strict=True))


def test_a_folder_has_what_tfds_has_prepared_of_the_same_images(prepare, tmp_path, rng):
    images = rng.integers(0, 256, (12, 6, 6, 3), np.uint8)
    examples = [{"image": image, "label": i % 3} for i, image in enumerate(images)]
    prepare(tmp_path, "some", {"train": examples, "test": examples[:3]}, lambda f: {
        "image": f.Image(shape=(6, 6, 3)), "label": f.ClassLabel(names=["ape", "bee", "cat"]),
    })  # fmt: skip
    for split, part in (("train", examples), ("test", examples[:3])):
        for i, example in enumerate(part):
            folder = tmp_path / "photos" / split / ("ape", "bee", "cat")[example["label"]]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(example["image"]).save(folder / f"{i}.png")
    found = []
    for changes in (
        {"dataset.name": "some", "dataset.data_dir": str(tmp_path)},
        {"dataset.name": "", "dataset.folder": str(tmp_path / "photos")},
    ):
        config = config_lib.defaults()
        config.teacher.batch_size = config.student.batch_size = 3
        config.update_from_flattened_dict(changes)
        loaded = data.load(config, *data.find(config, print))
        found.append({
            split: sorted((image.tobytes(), int(label)) for image, label in zip(
                part.images, part.labels, strict=True
            ))
            for split, part in (("train", loaded.train), ("test", loaded.test))
        })  # fmt: skip
        assert data.class_names(config.dataset, loaded) == ["ape", "bee", "cat"]
    assert found[0] == found[1]
