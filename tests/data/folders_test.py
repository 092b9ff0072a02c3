"""A folder of images as a data set: what is listed, how files are decoded, what is refused."""

import functools
import io
import json
import os
import pathlib
import warnings

import numpy as np
import pytest
from PIL import Image

from distill import config as config_lib
from distill import data, pipeline
from distill.data import folders, reading, records, sources, streaming
from distill.data.streaming import Streamed
from distill.errors import InputError
from distill.export import bundle, reference
from distill.progress import Display

PREPARED = os.environ.get("TFDS_DATA_DIR", "")  # before it is hidden from the tests


def save(path, pixels=None, *, side=8, seed=None, **options):
    """Writes an image of noise, or of given pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if pixels is None:
        seed = abs(hash(str(path))) % 2**32 if seed is None else seed
        pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(path, **options)
    return pixels


def tree(root, **classes):
    """Writes a number of images for each class."""
    for name, count in classes.items():
        for i in range(count):
            save(root / name.replace("__", "/") / f"{i}.png")
    return root


def find(root, seed=0, said=None):
    return folders.find(str(root), seed, (said if said is not None else []).append)


def load(root, said=None, **changes):
    config = config_lib.defaults()
    config.dataset.folder = str(root)
    config.teacher.batch_size = config.student.batch_size = 1
    config.update_from_flattened_dict(changes)
    data.check(config)
    said = [] if said is None else said
    return data.load(config, *data.find(config, said.append), said.append)


@pytest.fixture(scope="module", params=["generated", "cifar10_jpeg"])
def cifar10(request, prepare, tmp_path_factory):
    """Some images of a prepared set, by their size; the names of its classes, and its files."""
    root, name = PREPARED, request.param
    if name == "generated":
        root, rng, examples = str(tmp_path_factory.mktemp("prepared")), np.random.default_rng(0), []
        for i in range(40):
            file, coarse = io.BytesIO(), rng.integers(0, 256, (5, 5, 3), np.uint8)
            Image.fromarray(coarse).resize((32, 32)).save(file, "JPEG", quality=90)
            examples.append({"image": io.BytesIO(file.getvalue()), "label": i % 4})
        features = lambda f: {  # noqa: E731
            "image": f.Image(shape=(32, 32, 3), encoding_format="jpeg"),
            "label": f.ClassLabel(names=["ant", "bee", "cat", "dog"]),
        }
        prepare(root, name, {"test": examples}, features)
    elif not list(pathlib.Path(root).glob(f"{name}/*")):
        pytest.skip(f"{name} is not prepared here")
    source, _ = sources.find(name, root, "")
    found = records.find(sorted(source.directory.glob("*-test.*")), "tfrecord")
    count = min(300, len(found.labels))

    @functools.cache
    def images(size):
        whole, _ = reading.read(source, "test", image_size=size, resident_mb=0)
        return data.Split(np.asarray(whole.images[:count]), whole.labels[:count])

    names = sources.class_names(name, root) or ["ant", "bee", "cat", "dog"]
    return images, names, [records.image(found.read(i)) for i in range(count)]


# What files become


def test_png_is_read_exactly(tmp_path):
    pixels = save(tmp_path / "a.png", side=5)
    np.testing.assert_array_equal(folders.decode(tmp_path / "a.png", 0, "rgb"), pixels)


@pytest.mark.parametrize("ending, options", [
    ("bmp", {}), ("gif", {}), ("webp", {"lossless": True}), ("png", {}), ("jpg", {"quality": 100}),
])  # fmt: skip
def test_every_format_is_read(ending, options, tmp_path):
    pixels = np.full((6, 4, 3), (200, 100, 50), np.uint8)
    save(tmp_path / f"a.{ending}", pixels, **options)
    found = folders.decode(tmp_path / f"a.{ending}", 0, "rgb")
    assert found.shape == (6, 4, 3) and found.dtype == np.uint8
    assert np.abs(found.astype(int) - pixels).max() <= (2 if ending == "jpg" else 0)


def test_every_mode_becomes_rgb_and_gray(tmp_path):
    rgb = Image.new("RGB", (4, 4), (200, 100, 50))
    luma = round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)
    cmyk = Image.new("CMYK", (4, 4), (55, 155, 205, 0))
    palette = rgb.convert("P", palette=Image.Palette.ADAPTIVE)
    cases = {
        "rgb.png": (rgb, (200, 100, 50)), "palette.png": (palette, (200, 100, 50)),
        "l.png": (Image.new("L", (4, 4), 77), (77,) * 3),
        "one.png": (Image.new("1", (4, 4), 1), (255,) * 3),
        "rgba.png": (Image.new("RGBA", (4, 4), (200, 100, 50, 255)), (200, 100, 50)),
        "clear.png": (Image.new("RGBA", (4, 4), (200, 100, 50, 0)), (255,) * 3),
        "la.png": (Image.new("LA", (4, 4), (0, 51)), (204,) * 3),
        "cmyk.jpg": (cmyk, (200, 100, 50)),
    }  # fmt: skip
    for name, (image, expected) in cases.items():
        save(tmp_path / name, image)
        found = folders.decode(tmp_path / name, 0, "rgb")
        assert np.abs(found.astype(int) - expected).max() <= (3 if "jpg" in name else 1), name
    assert folders.decode(tmp_path / "rgb.png", 0, "gray").tolist()[0][0] == [luma]
    deep = np.array([[0, 257 * 100], [257 * 200 + 100, 65535]], np.uint16)
    save(tmp_path / "deep.png", deep)
    found = folders.decode(tmp_path / "deep.png", 0, "gray")[..., 0]
    np.testing.assert_array_equal(found, [[0, 100], [200, 255]])


def test_exif_turns_a_photo_upright(tmp_path):
    pixels = np.zeros((2, 4, 3), np.uint8)
    pixels[0] = 255  # the upper half is white
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by 90 degrees
    save(tmp_path / "a.png", pixels, exif=exif)
    found = folders.decode(tmp_path / "a.png", 0, "gray")[..., 0]
    np.testing.assert_array_equal(found, [[0, 255]] * 4)


def test_the_middle_is_cut_out_as_a_reader_of_the_bundle_does(tmp_path):
    rng = np.random.default_rng(0)
    pixels = save(tmp_path / "a.png", rng.integers(0, 256, (37, 53, 3), np.uint8))
    for color in ("rgb", "gray"):
        expected = np.rint(reference.image_cells(pixels, color, 16, 16))
        np.testing.assert_array_equal(folders.decode(tmp_path / "a.png", 16, color), expected)


# What is listed


def test_a_test_set_is_drawn_from_each_class_and_written_down(tmp_path):
    root, said = tree(tmp_path / "photos", cat=20, dog=5, eel=1), []
    folder = find(root, said=said)
    assert folder.name == "photos" and folder.drawn and folder.classes == ("cat", "dog", "eel")
    labels = {name: [label for _, label in files] for name, files in folder.splits.items()}
    assert np.bincount(labels["test"]).tolist() == [4, 1]
    assert np.bincount(labels["train"]).tolist() == [16, 4, 1]
    assert not {p for p, _ in folder.splits["train"]} & {p for p, _ in folder.splits["test"]}
    assert "1 class (eel) has one image" in said[0] and "5 of 26 are drawn" in said[1]
    assert find(root) == folder != find(root, seed=1)
    folders.record(folder, tmp_path)
    written = json.loads((tmp_path / "split.json").read_text())
    assert written["test"] == [path for path, _ in folder.splits["test"]]
    assert len(written["train"]) == 21


def test_any_range_of_a_split_has_the_classes_in_proportion(tmp_path):
    folder = find(tree(tmp_path, train__a=40, train__b=10, test__a=1))
    labels = np.array([label for _, label in folder.splits["train"]])
    for start in (0, 10, 40):
        assert np.bincount(labels[start : start + 10]).tolist() == [8, 2]


@pytest.mark.parametrize("name", folders.TEST_FOLDERS)
def test_given_splits_are_taken(name, tmp_path):
    root, said = tree(tmp_path, train__a=3, train__b=2, **{f"{name}__a": 1}), []
    (root / name / "b").mkdir()
    folder = find(root, said=said)
    assert folder.sizes == {"train": 5, "test": 1} and not folder.drawn
    assert folder.splits["test"] == [(f"{name}/a/0.png", 0)]
    assert bool(said) == (name != "test")


def test_names_of_classes_are_composed_and_reach_the_data(tmp_path):
    tree(tmp_path, **{"Kätzchen": 2, "Ва́за": 2, "猫": 2})
    loaded = load(tmp_path)
    config = config_lib.defaults()
    assert data.class_names(config.dataset, loaded) == ["Kätzchen", "Ва́за", "猫"]
    assert loaded.num_classes == 3 and loaded.train.images.shape == (3, 8, 8, 3)


def test_a_thousand_classes(tmp_path):
    for i in range(1000):
        (tmp_path / f"{i:04}").mkdir()
        for name in ("a.png", "b.png"):
            (tmp_path / f"{i:04}" / name).touch()
    folder = find(tmp_path)
    assert len(folder.classes) == 1000 and folder.sizes == {"train": 1000, "test": 1000}


@pytest.mark.parametrize("classes, message", [
    ({}, "has no folder of images"),
    ({"cat": 3}, "has one class, cat"),
    ({"cat": 3, "dog": 0}, r"1 class \(dog\) has no image"),
    ({"cat": 1, "dog": 1}, "no class of .* has two images"),
    ({"train__a": 2, "train__b": 2, "test__c": 1}, r"1 class \(c\) is in .* and not in"),
    ({"train__a": 2, "train__b": 2, "test__a": 0}, "has no image to test with"),
])  # fmt: skip
def test_folders_that_cannot_be_used(classes, message, tmp_path):
    tree(tmp_path, **classes)
    for name in classes:
        (tmp_path / name.replace("__", "/")).mkdir(parents=True, exist_ok=True)
    with pytest.raises(InputError, match=message) as error:
        find(tmp_path)
    assert "\n" not in str(error.value)


def test_a_folder_may_have_some_of_the_known_classes(tmp_path):
    root, known = tree(tmp_path, cat=4, eel=1), ("ant", "cat", "dog", "eel")
    folder = folders.find(str(root), 0, [].append, known)
    assert folder.classes == known
    labels = {name: [label for _, label in files] for name, files in folder.splits.items()}
    assert labels == {"train": [1, 1, 3, 1], "test": [1]}
    loaded = load(tmp_path, **{"dataset.classes": known})
    assert loaded.num_classes == 4 and loaded.classes == known
    with pytest.raises(InputError, match="'eel'; did you mean 'heel'"):
        folders.find(str(root), 0, [].append, ("ant", "cat", "heel"))
    with pytest.raises(InputError, match="dataset.classes has cat twice"):
        folders.find(str(root), 0, [].append, ("cat", "eel", "cat"))
    with pytest.raises(InputError, match="dataset.classes is of a folder"):
        load("", **{"dataset.name": "mnist5k", "dataset.classes": known})


def test_a_folder_that_is_none_and_no_folder_at_all(tmp_path):
    with pytest.raises(InputError, match="is no directory"):
        find(tmp_path / "absent")
    with pytest.raises(InputError, match="dataset.folder=PATH"):
        load("", **{"dataset.name": ""})
    with pytest.raises(InputError, match="did you mean 'gray'"):
        load("", **{"dataset.color": "grey"})


# What is refused, or said


def test_files_that_are_no_images_are_counted_in_one_line(tmp_path):
    tree(tmp_path, cat=5, dog=5)
    (tmp_path / "cat/.DS_Store").write_bytes(b"hidden")
    (tmp_path / "cat/Thumbs.db").write_bytes(b"of the system")
    assert len(load(tmp_path).train) == 8
    (tmp_path / "cat/notes.txt").write_text("no image")
    (tmp_path / "dog/empty.jpg").touch()
    whole = tmp_path / "dog/0.png"
    whole.write_bytes(whole.read_bytes()[:100])
    bad = {"notes.txt": "none of JPEG, PNG", "empty.jpg": "is empty", "0.png": "cannot be read"}
    for split in ("train", "test"):
        files = [path for path, _ in find(tmp_path).splits[split]]
        mine = [os.path.basename(p) for p in files]
        expected = [n for n in bad if n in mine and (n != "0.png" or "dog/0.png" in files)]
        if not expected:
            continue
        with pytest.raises(InputError) as error:
            folders.read(find(tmp_path), split, image_size=8, color="rgb", resident_mb=1, work=None)
        said = str(error.value)
        assert "\n" not in said and any(name in said and bad[name] in said for name in expected)
        assert (f"and {len(expected) - 1} more" in said) == (len(expected) > 1)


def test_images_of_different_sizes_need_one(tmp_path):
    tree(tmp_path, cat=3, dog=3)
    save(tmp_path / "dog/big.png", side=20)
    with pytest.raises(InputError, match="differ in size.*set --config.dataset.image_size"):
        load(tmp_path)
    loaded = load(tmp_path, **{"dataset.image_size": 4, "dataset.color": "gray"})
    assert loaded.test.images.shape[1:] == (4, 4, 1)


def test_images_that_are_in_both_sets_are_counted(tmp_path):
    said = []
    for i, path in enumerate(["train/a/0", "train/b/0", "test/a/0", "test/b/0"]):
        save(tmp_path / f"{path}.png", seed=i % 3)  # the last is the first
    load(tmp_path, said)
    assert len(said) == 1 and "1 of 2 test images" in said[0] and "test/b/0.png" in said[0]


def test_a_changed_folder_is_other_data(tmp_path):
    tree(tmp_path, cat=4, dog=4)
    before = [load(tmp_path, **{"dataset.resident_mb": mb}).fingerprint for mb in (0, 1)]
    again = [load(tmp_path, **{"dataset.resident_mb": mb}).fingerprint for mb in (0, 1)]
    assert again == before
    save(tmp_path / "cat/0.png", seed=99)
    for mb, seen in enumerate(before):
        assert load(tmp_path, **{"dataset.resident_mb": mb}).fingerprint != seen


@pytest.mark.parametrize("size", [0, 6])
def test_a_streamed_folder_has_the_same_images(tmp_path, size):
    tree(tmp_path, cat=5, dog=5)
    changes, said = {"dataset.image_size": size}, []
    known = load(tmp_path, **changes)
    found = load(tmp_path, said, **changes, **{"dataset.resident_mb": 0})
    assert isinstance(found.train.images, Streamed)
    assert found.train.images.shape == known.train.images.shape
    for ours, theirs in ((found.train, known.train), (found.test, known.test)):
        np.testing.assert_array_equal(ours.images, theirs.images)
        np.testing.assert_array_equal(ours.labels, theirs.labels)
    assert "images are decoded as they are needed, train 0.0 GiB, test 0.0 GiB" in said[-1]


def test_files_of_a_streamed_folder_are_named_when_their_turn_comes(tmp_path):
    tree(tmp_path, cat=5, dog=5)
    (tmp_path / "cat/0.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"0.png cannot be read: it is empty"):
        load(tmp_path, **{"dataset.resident_mb": 0, "dataset.image_size": 4})
    (tmp_path / "cat/0.png").write_bytes(b"no image")
    changes = {"dataset.resident_mb": 0, "dataset.image_size": 4}
    found = load(tmp_path, **changes)
    with pytest.raises(InputError, match=r"0.png cannot be read: it is none of JPEG"):
        for split in (found.train, found.test):
            list(streaming.ahead(split.images, [slice(None)]))
    save(tmp_path / "cat/0.png", side=20)
    found = load(tmp_path, **{"dataset.resident_mb": 0})
    with pytest.raises(InputError, match=r"differ in size.*set --config.dataset.image_size"):
        for split in (found.train, found.test):
            np.asarray(split.images)


def test_what_is_no_file_is_named_and_never_waited_for(tmp_path):
    tree(tmp_path, cat=5, dog=5)
    path = tmp_path / "cat/0.png"
    for make in (os.mkfifo, lambda path: path.symlink_to("nowhere")):
        path.unlink()
        make(path)
        for mb in (0, 1):
            with pytest.raises(InputError, match="cat/0.png cannot be read: it is no file; "):
                load(tmp_path, **{"dataset.resident_mb": mb, "dataset.image_size": 4})
        with pytest.raises(InputError, match="cat/0.png cannot be read: it is no file; "):
            load(tmp_path)  # whose size is that of an image that can be read


def test_what_pillow_warns_of_is_kept_to_itself_by_streamed_images_too(tmp_path, monkeypatch):
    def warned(*args):
        module = "PIL.TiffImagePlugin"
        warnings.warn_explicit("Corrupt EXIF data", UserWarning, f"{module}.py", 1, module=module)
        return decode(*args)

    decode = folders.decode
    monkeypatch.setattr(folders, "decode", warned)
    tree(tmp_path, cat=5, dog=5)
    images = load(tmp_path, **{"dataset.resident_mb": 0}).train.images
    assert sum(map(len, streaming.ahead(images, [slice(None)]))) == 8


def test_a_part_that_fits_in_memory_is_decoded_of_a_folder_that_does_not(tmp_path):
    tree(tmp_path, cat=60, dog=60)
    size, said = {"dataset.image_size": 64}, []
    fits = 2**20 // (64 * 64 * 3)  # 85 of the 96 to train on
    part = {**size, "dataset.train": f"train[:{fits}]", "dataset.validation": f"train[{fits}:]"}
    found = load(tmp_path, said, **part, **{"dataset.resident_mb": 1})
    assert not any("decoded as they are needed" in line for line in said)
    known = load(tmp_path, **part)
    assert found.fingerprint == known.fingerprint
    for ours, theirs in ((found.train, known.train), (found.validation, known.validation)):
        assert isinstance(ours.images, np.ndarray)
        np.testing.assert_array_equal(ours.images, theirs.images)
    load(tmp_path, said, **size, **{"dataset.resident_mb": 1})
    assert "images are decoded as they are needed, train 0.0 GiB of pixels" in said[-1]


def test_progress_counts_every_file(tmp_path):
    import contextlib

    done = []

    class Bar:
        advance = staticmethod(done.append)

    @contextlib.contextmanager
    def work(name, total):
        done.append(-total)
        yield Bar

    folder = find(tree(tmp_path, cat=4, dog=4))
    folders.read(folder, "train", image_size=0, color="rgb", resident_mb=1, work=work)
    assert done[0] == -6 and sum(done[1:]) == 6


# Beside TFDS


@pytest.mark.parametrize("size", [0, 64])
def test_a_folder_of_a_data_sets_own_images_is_that_data_set(size, cifar10, tmp_path):
    given, names, _ = cifar10
    for i, (image, label) in enumerate(zip(given(0).images, given(0).labels, strict=True)):
        split = "train" if i < len(given(0)) // 2 else "test"
        save(tmp_path / split / names[label] / f"{i}.png", image)
    said = []
    found = load(tmp_path, said, **{"dataset.image_size": size})
    assert found.classes == tuple(names) and found.num_classes == len(names)
    assert not any("among the training images" in line for line in said)
    folder = find(tmp_path)
    numbers = [
        int(path.rpartition("/")[2].removesuffix(".png"))
        for split in ("train", "test")
        for path, _ in folder.splits[split]
    ]
    assert sorted(numbers) == list(range(len(given(0))))
    expected = given(size)
    for part in ("images", "labels"):
        ours = np.concatenate([getattr(found.train, part), getattr(found.test, part)])
        np.testing.assert_array_equal(ours, getattr(expected, part)[numbers])


def test_a_jpeg_file_is_decoded_exactly_which_tfds_does_faster(cifar10, tmp_path):
    import tensorflow as tf

    given, _, files = cifar10
    for i, (file, fast) in enumerate(zip(files, given(0).images, strict=True)):
        (tmp_path / "a.jpg").write_bytes(file)
        found = folders.decode(tmp_path / "a.jpg", 0, "rgb")
        exact = tf.io.decode_jpeg(file, channels=3, dct_method="INTEGER_ACCURATE").numpy()
        np.testing.assert_array_equal(found, exact, str(i))
        assert np.abs(found.astype(int) - fast).max() <= 6


# The whole way


def test_a_folder_is_trained_compressed_exported_and_reported(tmp_path):
    rng = np.random.default_rng(0)
    for name, color in {"Kätzchen": (220, 40, 40), "dog": (40, 40, 220)}.items():
        for i in range(20):
            noise = rng.integers(-30, 30, (12, 16, 3))
            save(tmp_path / "photos" / name / f"{i}.png", (color + noise).astype(np.uint8))
    config = config_lib.defaults()
    config.dataset.folder, config.dataset.image_size = str(tmp_path / "photos"), 12
    for section in (config.teacher, config.student):
        section.update({"model": "simplenet_v1", "epochs": 8, "batch_size": 8})
        section.learning_rate = 1e-2
    config.compress = ({"method": "magnitude", "amount": 0.2},)
    config.fine_tune.epochs = 1
    config.export.formats = "int8"
    workdir = tmp_path / "run"
    results = pipeline.run(config, workdir, Display())
    assert results["dataset"] == "photos"
    assert results["models"]["student"]["accuracy"] == 1.0
    exported = bundle.read(workdir / "export" / "int8")
    assert exported.labels == ["Kätzchen", "dog"]
    assert results["export"]["int8"]["accuracy_read"] == 1.0
    assert len(json.loads((workdir / "split.json").read_text())["test"]) == 8
    assert (workdir / "report.md").is_file()

    save(tmp_path / "photos/dog/0.png", seed=1, side=12)  # another photo: other data
    config.stages, before = "evaluate", (workdir / "split.json").read_bytes()
    with pytest.raises(InputError, match="was trained on other images"):
        pipeline.run(config, workdir, Display())
    assert (workdir / "split.json").read_bytes() == before
