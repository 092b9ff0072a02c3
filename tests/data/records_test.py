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


def number(value):
    """Writes a number seven bits a byte, the lowest first."""
    value %= 2**64
    low = [value >> 7 * i & 127 for i in range(10)]
    last = max((i for i, bits in enumerate(low) if bits), default=0)
    return bytes([bits | 128 for bits in low[:last]] + [low[last]])


def field(index, content):
    return number(index << 3 | 2) + number(len(content)) + content


def example(image, label):
    """Returns a `tf.train.Example` as TensorFlow writes it."""
    features = {
        b"id": field(1, field(1, b"a name")),
        b"image": field(1, field(1, image) + field(1, b"another")),
        b"label": field(3, field(1, number(label))),
        b"weight": field(2, field(1, struct.pack("<f", 1.5))),
    }
    entries = (field(1, name) + field(2, feature) for name, feature in features.items())
    return field(1, b"".join(field(1, entry) for entry in entries))


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


def test_a_damaged_index_is_made_again(tmp_path):
    paths = [write(tmp_path / "a", "tfrecord", [0, 1, 2])]
    records.find(paths, "tfrecord")
    (kept,) = (tmp_path / "cache" / "records").iterdir()
    whole = kept.read_bytes()
    for damaged in (b"", b"not an archive", whole[: len(whole) // 2]):
        kept.write_bytes(damaged)
        assert records.find(paths, "tfrecord").labels.tolist() == LABELS[:3]
        assert kept.read_bytes() == whole


def test_other_files_are_other_data(tmp_path):
    one, other = (write(tmp_path / name, "tfrecord", [1, 2]) for name in "ab")
    assert records.find([one], "tfrecord").identity != records.find([other], "tfrecord").identity
    before = records.find([one], "tfrecord").identity
    write(one, "tfrecord", [2, 1])
    assert records.find([one], "tfrecord").identity != before


def test_an_index_is_of_files_as_they_are_now(tmp_path):
    """Of large files the contents are not read again, and their beginning may stay as it was."""
    images = [bytes(2**17), b"b"]
    path = tmp_path / "a"

    def labels(last):
        found = [example(images[0], 1), example(images[1], last)]
        path.write_bytes(
            b"".join(struct.pack("<QI", len(r), 0) + r + struct.pack("<I", 0) for r in found)
        )
        return records.find([path], "tfrecord").labels.tolist()

    assert labels(3) == [1, 3]
    assert labels(4) == [1, 4]


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
    with pytest.raises(ValueError, match="a record has no image"):
        records.image(field(1, field(1, field(1, b"label") + field(2, field(3, b"\x08\x01")))))


def test_a_record_that_ends_too_early_is_damaged():
    record = example(IMAGES[1], LABELS[2])
    for length in range(1, len(record)):
        with pytest.raises(ValueError, match="a record"):
            records.image(record[:length])


def test_unpacked_labels_are_read_too():
    feature = field(3, number(1 << 3) + number(300))
    entries = [field(1, b"image") + field(2, field(1, field(1, b"")))]
    entries.append(field(1, b"label") + field(2, feature))
    assert records._label(field(1, b"".join(field(1, entry) for entry in entries))) == 300


def test_numbers_are_read_as_they_are_written():
    written = {0: b"\0", 300: b"\xac\x02", 2**63: b"\x80" * 9 + b"\x01"}
    for value, data in written.items():
        assert number(value) == data
        assert records._varint(memoryview(data), 0) == (value, len(data))
