"""Records of the files that TFDS prepares, found without reading the images."""

import struct

import pytest
from array_record.python.array_record_module import ArrayRecordWriter

from distill.data import records
from distill.errors import InputError

LABELS = [0, 1, 300, -1, 7]
IMAGES = [bytes([i]) * 50 * i for i in range(5)]


@pytest.fixture(autouse=True)
def _cache(monkeypatch, tmp_path):
    monkeypatch.setenv("DISTILL_CACHE_DIR", str(tmp_path / "cache"))


def example(image, label):
    import tensorflow as tf

    feature = {
        "id": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"a name"])),
        "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image, b"another"])),
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
        "weight": tf.train.Feature(float_list=tf.train.FloatList(value=[1.5])),
    }
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def write(path, kind, numbers):
    found = [example(IMAGES[i], LABELS[i]) for i in numbers]
    if kind == "array_record":
        writer = ArrayRecordWriter(str(path), "group_size:1")
        for record in found:
            writer.write(record)
        writer.close()
        return path
    with path.open("wb") as file:
        for record in found:
            file.write(struct.pack("<QI", len(record), 0) + record + struct.pack("<I", 0))
    return path


@pytest.mark.parametrize("kind", ["tfrecord", "array_record"])
def test_images_and_labels_are_found_in_any_order(kind, tmp_path, monkeypatch):
    paths = [write(tmp_path / "a", kind, [0, 1, 2]), write(tmp_path / "b", kind, [3, 4])]
    found = records.find(paths, kind)
    assert found.labels.tolist() == LABELS
    assert [records.image(found.read(i)) for i in (4, 0, 2)] == [IMAGES[i] for i in (4, 0, 2)]
    monkeypatch.setattr(records, "_label", None)  # what is known is not looked for again
    again = records.find(paths, kind)
    assert again.labels.tolist() == LABELS and again.identity == found.identity
    assert records.image(again.read(3)) == IMAGES[3]


def test_other_files_are_other_data(tmp_path):
    one, other = (write(tmp_path / name, "tfrecord", [1, 2]) for name in "ab")
    assert records.find([one], "tfrecord").identity != records.find([other], "tfrecord").identity
    before = records.find([one], "tfrecord").identity
    write(one, "tfrecord", [2, 1])
    assert records.find([one], "tfrecord").identity != before


def test_damage_is_named(tmp_path):
    path = write(tmp_path / "a", "tfrecord", [1, 2])
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="a is cut off or damaged"):
        records.find([path], "tfrecord")
    path.write_bytes(b"123")
    with pytest.raises(ValueError, match="a is cut off"):
        records.find([path], "tfrecord")
    with pytest.raises(InputError, match=r"is prepared as riegeli.*prepare it as array_record"):
        records.find([path], "riegeli")


def test_records_without_images_are_refused():
    import tensorflow as tf

    empty = tf.train.Example().SerializeToString()
    with pytest.raises(ValueError, match="a record has no image"):
        records.image(empty)


def test_numbers_are_read_as_they_are_written():
    written = {0: b"\0", 300: b"\xac\x02", 2**63: b"\x80" * 9 + b"\x01"}
    for value, data in written.items():
        assert records._varint(memoryview(data), 0) == (value, len(data))
