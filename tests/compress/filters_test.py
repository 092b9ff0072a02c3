"""Filter pruning: literal choices, per layer and of all layers."""

import dataclasses

import numpy as np
import pytest

from distill.compress import network as networks
from distill.compress.filters import filters
from distill.compress.methods import COMPRESSORS, check
from distill.errors import InputError
from experiments.sensitivity import sensitivity

IMAGES = np.zeros((2, 8, 8, 1), np.uint8)


@pytest.fixture
def found(network):
    """Filters of conv0 have the L1 norms 25, 50, 75, 100, those of conv1 half of 1, …, 5."""
    made = network("teacher")
    params = dict(made.params)
    params["conv0/kernel"] = np.ones((5, 5, 1, 4), np.float32) * np.arange(1, 5, dtype=np.float32)
    params["conv1/kernel"] = np.ones((5, 5, 4, 5), np.float32) * np.array(
        [5, 1, 4, 2, 3], np.float32
    )
    return dataclasses.replace(made, params=params)


def widths(found):
    return [*found.args["filters"], found.args["hidden"]]


def test_the_lowest_of_each_layer_go(found, context):
    pruned = filters(found, context(found, IMAGES), amount=0.4, layers="conv*")
    assert widths(pruned) == [2, 3, 7]
    np.testing.assert_array_equal(pruned.params["conv0/kernel"][0, 0, 0], [3, 4])
    np.testing.assert_array_equal(pruned.params["conv1/kernel"][0, 0, 0], [5, 4, 3])
    assert "filters" in COMPRESSORS
    check({"method": "filters", "score": "l1", "amount": 0.4})


def test_the_amount_counts_from_the_beginning_of_the_step(found, context):
    begun = context(found, IMAGES)
    once = filters(found, begun, amount=0.2, layers="conv1")
    assert widths(once) == [4, 4, 7]
    assert widths(filters(once, begun, amount=0.2, layers="conv1")) == [4, 4, 7]
    assert widths(filters(once, begun, amount=0.4, layers="conv1")) == [4, 3, 7]


def test_amounts_may_differ(found, context):
    pruned = filters(found, context(found, IMAGES), amount={"conv*": 0.5, "conv1": 0.2})
    assert widths(pruned) == [2, 4, 7]


def test_scores_of_all_layers_are_compared_after_division_by_their_norm(found, context):
    """1, 2, 3, 4 have the norm 5.48 and 1, …, 5 the norm 7.42: 1/7.42 is least, then 1/5.48."""
    options = {"scope": "global", "layers": "conv*"}
    begun = context(found, IMAGES)
    assert widths(filters(found, begun, amount=1 / 9, **options)) == [4, 4, 7]
    assert widths(filters(found, begun, amount=2 / 9, **options)) == [3, 4, 7]
    assert widths(filters(found, begun, amount=3 / 9, **options)) == [3, 3, 7]


def test_a_layer_keeps_its_best_and_says_so(found, context):
    said = []
    begun = context(found, IMAGES, say=said.append)
    pruned = filters(found, begun, amount=0.9, layers="conv0")
    assert widths(pruned) == [1, 5, 7] and pruned.params["conv0/kernel"][0, 0, 0] == [4]
    assert said == ["conv0 would be empty; its best channel of 4 is kept"]
    pruned = filters(found, begun, amount=0.98, scope="global", layers="conv*")
    assert widths(pruned) == [1, 1, 7] and len(said) == 3


@pytest.mark.parametrize(
    "options, message",
    [
        ({"score": "l3"}, "unknown score 'l3'; did you mean 'l[12]'"),
        ({"scope": "all"}, "unknown scope 'all'"),
        ({"amount": 1.0}, "amount is 1.0; it must be at least 0 and below 1"),
        ({"amount": {"conv9": 0.1}}, "amount='conv9' matches nothing"),
        ({"layers": "dense"}, "layers='dense' matches nothing"),
        ({"amount": {"conv0": 0.1}, "scope": "global"}, "scope='global' takes one number"),
        ({"images": 0, "score": "mean"}, "images is 0; it must be 1 or more"),
    ],
)
def test_what_cannot_be_done_is_said(found, options, message, context):
    with pytest.raises(InputError, match=message):
        filters(found, context(found, IMAGES), **options)


def test_taylor_looks_at_images_with_labels_only(found, context, rng):
    images = rng.integers(0, 256, (6, 8, 8, 1)).astype(np.uint8)
    begun = context(found, images)
    labels = np.array([0, -1, 1, -1, 2, -1], np.int32)
    hidden = dataclasses.replace(begun, labels=labels)
    known = dataclasses.replace(begun, images=images[::2], labels=labels[::2])
    options = {"score": "taylor", "amount": 0.5}
    pruned, wanted = (filters(found, c, **options, images=3) for c in (hidden, known))
    for path, kernel in wanted.params.items():
        np.testing.assert_array_equal(pruned.params[path], kernel)
    nothing = dataclasses.replace(begun, labels=np.full(6, -1, np.int32))
    with pytest.raises(InputError, match="score 'taylor' needs labels, and no training image has"):
        filters(found, nothing, **options)
    assert widths(filters(found, nothing, amount=0.5)) == [2, 3, 3]


def test_channels_that_nothing_reads_are_refused(found, monkeypatch, context):
    channels = found.channels()
    lonely = [channels.groups[0]._replace(readers=()), *channels.groups[1:]]
    monkeypatch.setattr(networks.Network, "channels", lambda _: channels._replace(groups=lonely))
    with pytest.raises(InputError, match=r"no layer of teacher reads conv0.*layers='\*,!conv0'"):
        filters(found, context(found, IMAGES))


def test_sensitivity_removes_from_one_layer_at_a_time(found, context):
    """What is evaluated has the shapes of the network, and zeros."""
    seen = []

    def evaluate(masked):
        seen.append({p: int((masked.params[p] != 0).any((0, 1, 2)).sum()) for p in convs})
        return 0.5

    convs = ["conv0/kernel", "conv1/kernel"]
    rows = sensitivity(found, context(found, IMAGES), "l1", (0.0, 0.5), evaluate)
    assert [(row["group"], row["amount"], row["removed"]) for row in rows] == [
        ("conv0", 0.0, 0), ("conv0", 0.5, 2), ("conv1", 0.0, 0), ("conv1", 0.5, 2),
        ("hidden", 0.0, 0), ("hidden", 0.5, 4),
    ]  # fmt: skip
    assert [tuple(found.values()) for found in seen] == [
        (4, 5), (2, 5), (4, 5), (4, 3), (4, 5), (4, 5)
    ]  # fmt: skip
    assert rows[0]["accuracy"] == 0.5
