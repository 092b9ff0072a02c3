import numpy as np
import pytest

from experiments import significance
from experiments.thesis import comparisons
from experiments.thesis.rows import DISTILLED, LABELS, Group

V1, V2, V4 = (
    Group("simplenet_v1", DISTILLED, 1.0),
    Group("simplenet_v2", DISTILLED, 3.0),
    Group("simplenet_v4", DISTILLED, 3.0),
)


@pytest.mark.parametrize(
    "a, b, compared",
    [
        (V1, Group("simplenet_v1", LABELS), True),
        (Group("simplenet_v1", LABELS), V1, False),  # a pair is compared one way
        (V1._replace(temperature=10.0), V1, True),
        (V1, V1._replace(temperature=10.0), False),
        (V4, V2, True),
        (V4, V2._replace(temperature=1.0), False),
        (V4, V1._replace(temperature=3.0), False),
        (Group("simplenet_v4", LABELS), Group("simplenet_v2", LABELS), True),
        (Group("simplenet_v1", f"{DISTILLED} corrected", 1.0), V1, True),
        (Group("simplenet_v1", "kl", 3.0), V1, False),
        (Group("simplenet_v1", "kl", 3.0), Group("simplenet_v1", "kl", 1.0), True),
        (
            Group("simplenet_v1", f"{DISTILLED} 10% unlabelled", 1.0),
            Group("simplenet_v1", f"{LABELS} 10% unlabelled"),
            True,
        ),
        (
            Group("simplenet_v1", f"{DISTILLED} 10% unlabelled", 1.0),
            Group("simplenet_v1", f"{LABELS} 50% unlabelled"),
            False,
        ),
        (V1._replace(method=f"{DISTILLED} recipe"), Group("simplenet_v1", LABELS), False),
        (
            V1._replace(method=f"{DISTILLED} cifar10"),
            Group("simplenet_v1", f"{LABELS} cifar10"),
            True,
        ),
        (Group("simplenet_v1", f"{DISTILLED} corrected", 3.0), V1, True),
        (Group("simplenet_v2", f"{DISTILLED} learned", 1.0), V2, False),
        (
            Group("simplenet_v2", f"{DISTILLED} learned", 1.0),
            Group("simplenet_v2", f"{DISTILLED} selection", 3.0),
            True,
        ),
        (
            Group("simplenet_v2", f"{DISTILLED} selection", 3.0),
            Group("simplenet_v2", LABELS),
            False,
        ),
        (V1, Group("teacher", LABELS), False),
    ],
)
def test_pairs(a, b, compared):
    assert ((a, b) in comparisons.pairs([a, b])) == compared


def test_counts_literal():
    right = {
        V1: {0: np.array([1, 1, 1, 0], bool), 1: np.array([1, 1, 0, 0], bool)},
        Group("simplenet_v1", LABELS): {
            0: np.array([0, 1, 1, 1], bool),
            1: np.array([0, 0, 1, 0], bool),
            2: np.array([0, 0, 0, 0], bool),
        },
    }
    table = comparisons.counts(right)
    assert table.to_numpy().tolist() == [
        ["simplenet_v1 soft_squared_error T=1", "simplenet_v1 cross_entropy", *rest]
        for rest in (["0", 1, 1, 4], ["1", 2, 1, 4], ["all", 2, 2, 4])
    ]


def test_without_pairs_the_columns_are_there():
    assert list(comparisons.counts({}).columns) == comparisons.COLUMNS


@pytest.mark.parametrize("gain, word", [(0.004, "better"), (-0.004, "worse"), (0.0, "open")])
def test_judge(make_study, tmp_path, gain, word):
    study = make_study(
        tmp_path, lambda model, method, t: 0.95 + (gain if method == DISTILLED else 0)
    )
    pairs = [(Group(f"simplenet_v{i}", DISTILLED, 1.0), Group(f"simplenet_v{i}", LABELS))
             for i in range(1, 6)]  # fmt: skip
    verdicts = comparisons.judge(study, pairs)
    assert [v.word for v in verdicts] == [word] * 5
    for v in verdicts:
        assert v.difference.mean == pytest.approx(gain, abs=3e-4)
        assert (v.p_images < 0.05 and v.p_seeds < 0.05) == (word != "open")


def test_judge_needs_both_tests(make_study, tmp_path):
    study = make_study(tmp_path, lambda model, method, t: 0.95 + 0.004 * (method == DISTILLED))
    pair = (V1, Group("simplenet_v1", LABELS))
    assert comparisons.judge(study, [pair])[0].word == "better"
    study.counts.clear()
    found = comparisons.judge(study, [pair])[0]
    assert np.isnan(found.p_images) and found.word == "open"


def test_judge_of_one_seed_is_open(make_study, tmp_path):
    study = make_study(tmp_path, lambda _, method, t: 0.8 + 0.1 * (method == DISTILLED), seeds=[0])
    (found,) = comparisons.judge(study, [(V1, Group("simplenet_v1", LABELS))])
    assert found.p_images < 1e-9 and np.isnan(found.p_seeds) and found.word == "open"


def test_judge_corrects_for_the_number_of_comparisons(make_study, tmp_path):
    study = make_study(tmp_path, lambda _, method, t: 0.95 + 0.004 * (method == DISTILLED))
    pair = (V1, Group("simplenet_v1", LABELS))
    alone, *_ = comparisons.judge(study, [pair])
    among, *_ = comparisons.judge(study, [pair] * 3)
    assert among.p_images == pytest.approx(min(1, 3 * alone.p_images))
    assert alone.p_images == significance.mcnemar(*study.counts[tuple(map(str, pair))])


def test_groups_without_common_seeds_are_open(make_study, tmp_path):
    study = make_study(tmp_path, lambda *_: 0.9)
    (found,) = comparisons.judge(study, [(V1, Group("simplenet_v1", "kl", 1.0))])
    assert found.difference.n == 0 and found.word == "open"
