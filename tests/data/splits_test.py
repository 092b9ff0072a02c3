import numpy as np
import pytest

from distill.data import splits
from distill.errors import InputError

SPECS = ["train", "train[:7]", "train[3:]", "train[-3:]", "train[:-2]", "train[-5:-1]"]
PERCENTAGES = [f"train[{spec}]" for p in range(1, 100) for spec in (f":{p}%", f"{p}%:", f"-{p}%:")]


@pytest.fixture(scope="module")
def in_tfds():
    """What TFDS makes of a split of some size, as `(start, stop)`."""
    import tensorflow_datasets as tfds

    def bounds(spec, size):
        info = tfds.core.splits.SplitInfo(name="train", shard_lengths=[size], num_bytes=0)
        part = tfds.core.ReadInstruction.from_spec(spec).to_absolute({"train": info})[0]
        return part.from_ or 0, size if part.to is None else part.to

    return bounds


@pytest.mark.parametrize("size", [8, 50, 99, 150, 1000, 60000])
def test_bounds_are_those_of_tfds(size, in_tfds):
    for spec in SPECS + PERCENTAGES:
        start, stop = in_tfds(spec, size)
        if start < stop:
            assert splits.bounds(spec, {"train": size}) == slice(start, stop, 1), spec


def test_percentages_cover_a_split_without_overlap():
    parts = [splits.bounds(f"train[{p}%:{p + 7}%]", {"train": 150}) for p in range(0, 98, 7)]
    assert [a.stop for a in parts[:-1]] == [b.start for b in parts[1:]]


def test_spaces_are_allowed():
    assert splits.bounds(" test[ 1 : 50% ] ", {"test": 10}) == slice(1, 5, 1)


@pytest.mark.parametrize(
    "spec, message",
    [
        ("train[5]", "split 'train[5]' is not written like train, train[:55000] or train[90%:]"),
        ("train+test", "split 'train+test' is not written like"),
        ("train[::2]", "split 'train[::2]' is not written like"),
        ("tran", "unknown split 'tran'; did you mean 'train'?"),
        (
            "train[:11]",
            "split 'train[:11]' reaches beyond the 10 examples of train; leave the bound",
        ),
        ("train[-11:]", "split 'train[-11:]' reaches beyond the 10 examples of train"),
        ("train[:200%]", "split 'train[:200%]' reaches beyond the 10 examples of train"),
        ("test[99:]", "split 'test[99:]' reaches beyond the 5 examples of test"),
        ("train[10:]", "split 'train[10:]' selects nothing from 10 examples"),
        ("train[6:3]", "split 'train[6:3]' selects nothing from 10 examples"),
    ],
)
def test_bad_specs(spec, message):
    with pytest.raises(InputError) as caught:
        splits.bounds(spec, {"train": 10, "test": 5})
    assert str(caught.value).startswith(message)


def _split(n=20):
    return splits.Split(np.arange(n * 4, dtype=np.uint8).reshape(n, 2, 2, 1), np.arange(n) % 3)


@pytest.mark.parametrize("fraction, kept", [(1.0, 20), (0.5, 10), (0.001, 1)])
def test_hidden_labels_are_overwritten(fraction, kept):
    split = _split()
    hidden = splits.hide_labels(split, fraction, seed=0)
    known = hidden.labels != splits.HIDDEN
    assert known.sum() == kept
    np.testing.assert_array_equal(hidden.labels[known], split.labels[known])
    np.testing.assert_array_equal(split.labels, np.arange(20) % 3)  # the original is untouched


def test_result_does_not_depend_on_the_labels_that_are_hidden():
    split = _split()
    hidden = splits.hide_labels(split, 0.3, seed=1)
    others = np.where(hidden.labels == splits.HIDDEN, 2 - split.labels, split.labels)
    again = splits.hide_labels(splits.Split(split.images, others), 0.3, seed=1)
    np.testing.assert_array_equal(hidden.labels, again.labels)


def test_seed_chooses_which_labels_are_hidden():
    chosen = [splits.hide_labels(_split(), 0.5, seed).labels for seed in (0, 0, 1)]
    np.testing.assert_array_equal(chosen[0], chosen[1])
    assert (chosen[0] != chosen[2]).any()


def test_labelled_keeps_image_and_label_together():
    split = _split()
    known = splits.labelled(splits.hide_labels(split, 0.4, seed=0))
    assert len(known) == 8
    rows = known.images[:, 0, 0, 0] // 4
    np.testing.assert_array_equal(known.labels, split.labels[rows])


def test_fingerprint_sees_one_pixel_one_label_and_the_shape():
    split = _split()
    original = splits.fingerprint(*_arrays(split))
    assert original == splits.fingerprint(*_arrays(_split()))
    images, labels = split.images.copy(), split.labels.copy()
    images[13, 1, 0, 0] += 1
    labels[4] += 1
    changed = [
        (images, split.labels),
        (split.images, labels),
        (split.images.reshape(20, 4, 1, 1), split.labels),
        (split.images[:-1], split.labels[:-1]),
    ]
    assert len({original, *(splits.fingerprint(*arrays) for arrays in changed)}) == 5


def _arrays(split):
    return split.images, split.labels


def test_parts_that_overlap_are_found_by_their_ranges():
    ranges = {
        "train": ("train", slice(0, 60)),
        "validation": ("train", slice(50, 80)),
        "transfer": ("train", slice(60, 70)),
        "test": ("test", slice(0, 60)),
    }
    assert splits.overlapping(ranges) == [
        ("train", "validation", 10), ("validation", "transfer", 10),
    ]  # fmt: skip
