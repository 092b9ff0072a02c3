import json

import pytest

from distill import config as config_lib
from distill.errors import InputError

BAD_VALUES = [
    ("teacher.epochs", 0, "a whole number from 1 to 1000000"),
    ("student.epochs", -1, "a whole number from 1 to 1000000"),
    ("student.steps", 0, "a whole number from 1 to 2147483647, or None"),
    ("student.batch_size", 0, "a whole number from 1 to 2147483647"),
    ("teacher.learning_rate", 0.0, "a number, more than 0"),
    ("student.learning_rate", float("nan"), "a number, more than 0"),
    ("student.weight_decay", -0.1, "a number, 0 or more"),
    ("student.clip_norm", -1.0, "a number, 0 or more"),
    ("student.warmup_epochs", -1.0, "a number, 0 or more"),
    ("student.warmup_steps", -1, "a whole number from 0 to 2147483647"),
    ("student.coupled_decay", float("nan"), "a number, 0 or more"),
    ("student.ema_decay", 1.0, "a number between 0 and 1, without 1"),
    ("student.mixup", -0.2, "a number from 0 to 100"),
    ("teacher.cutmix", float("inf"), "a number from 0 to 100"),
    ("teacher.members", 0, "a whole number from 1 to 1000"),
    ("loss.temperature", 0.0, "a number from 1e-06 to 1e+06"),
    ("loss.alpha", -0.1, "a number from 0 to 1"),
    ("loss.alpha", 1.5, "a number from 0 to 1"),
    ("dataset.labelled_fraction", 0.0, "a number above 0, at most 1"),
    ("dataset.labelled_fraction", 1.1, "a number above 0, at most 1"),
    ("dataset.image_size", -1, "a whole number from 0 to 8192"),
    ("dataset.std", (0.5, 0.0), "numbers above 0, one for each channel or one for all"),
    ("seed", -1, "a whole number from 0 to 2147483647"),
    ("seed", 5_000_000_000, "a whole number from 0 to 2147483647"),
    ("sweep.seeds", ("a",), "whole numbers from 0 to 2147483647"),
    ("sweep.seeds", (0, 0.5), "whole numbers from 0 to 2147483647"),
    ("sweep.seeds", (0, 2**31), "whole numbers from 0 to 2147483647"),
    ("sweep.seeds", (True,), "whole numbers from 0 to 2147483647"),
]


def test_defaults_are_valid():
    config_lib.check_values(config_lib.defaults())


@pytest.mark.parametrize("key, value, accepted", BAD_VALUES)
def test_a_bad_value_is_named_with_what_is_accepted(key, value, accepted):
    config = config_lib.defaults()
    config.update_from_flattened_dict({key: value})
    with pytest.raises(InputError) as caught:
        config_lib.check_values(config)
    assert str(caught.value) == f"{key} is {value}; it must be {accepted}"


def test_the_seeds_of_all_members_are_seeds():
    config = config_lib.defaults()
    config.teacher.members, config.seed = 3, 2**31 - 3
    config_lib.check_values(config)
    config.seed += 1
    with pytest.raises(InputError, match="^seed is 2147483646; .* from 0 to 2147483645$"):
        config_lib.check_values(config)


def test_unknown_schedule():
    config = config_lib.defaults()
    config.student.schedule = "cosin"
    with pytest.raises(InputError, match="^unknown schedule 'cosin'; did you mean 'cosine'?"):
        config_lib.check_values(config)


def test_steps_take_the_place_of_epochs():
    config = config_lib.defaults()
    config.student.epochs, config.student.steps = 0, 5
    config_lib.check_values(config)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"warmup_epochs": 1.0, "warmup_steps": 5},
            "student.warmup_epochs is 1.0 and student.warmup_steps is 5; give one of them",
        ),
        (
            {"warmup_epochs": 11.0},
            "student.warmup_epochs is 11.0, more than the 10 of the training; lower it",
        ),
        (
            {"warmup_steps": 5, "steps": 4},
            "student.warmup_steps is 5, more than the 4 of the training; lower it",
        ),
        (
            {"weight_decay": 0.1, "coupled_decay": 0.2},
            "student.weight_decay is 0.1 and student.coupled_decay is 0.2; give one of them",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(given, message):
    config = config_lib.defaults()
    config.student.update(given)
    with pytest.raises(InputError) as caught:
        config_lib.check_values(config)
    assert str(caught.value) == message


def test_training_takes_overrides():
    section = config_lib.training("teacher", epochs=3)
    assert (section.model, section.epochs, section.batch_size) == ("teacher", 3, 100)


@pytest.mark.parametrize(
    "arg, expected", [(None, set()), ("", set()), ("a, b", {"a", "b"}), ("b,,", {"b"})]
)
def test_variants(arg, expected):
    assert config_lib.variants(arg, ("a", "b")) == expected


def test_unknown_variant():
    with pytest.raises(InputError, match="unknown configuration argument 'quik'.*'quick'"):
        config_lib.variants("quik", ("quick", "baseline"))


def _stages(text):
    config = config_lib.defaults()
    config.stages = text
    return config_lib.stages(config)


def test_stages_run_in_their_order():
    assert _stages(" report, teacher ,teacher") == ["teacher", "report"]


@pytest.mark.parametrize(
    "text, message",
    [
        ("techer", "unknown stage 'techer'; did you mean 'teacher'?"),
        (" , ", "stages is empty; name some of teacher,student,compress,evaluate,export,report"),
    ],
)
def test_bad_stages(text, message):
    with pytest.raises(InputError) as caught:
        _stages(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "a, b, expected",
    [
        ({"x": 1}, {"x": 1}, None),
        ({"x": {"y": 1, "z": 2}}, {"x": {"y": 1, "z": 3}}, ("x.z", 2, 3)),
        ({"b": 1, "a": 1}, {"b": 2, "a": 2}, ("a", 1, 2)),
        ({"x": {}}, {"x": {"new": 0}}, ("x.new", None, 0)),
        ({"x": {"y": 1}}, {"x": 1}, ("x", {"y": 1}, 1)),
    ],
)
def test_first_difference(a, b, expected):
    assert config_lib.first_difference(a, b) == expected


def test_to_dict_is_plain_json():
    config = config_lib.defaults()
    plain = config_lib.to_dict(config)
    assert plain == json.loads(json.dumps(plain))
    assert plain["dataset"]["mean"] == [0.0] and plain["student"]["steps"] is None


def test_digest_depends_on_values_and_not_on_order():
    assert config_lib.digest({"a": 1, "b": [2]}) == config_lib.digest({"b": [2], "a": 1})
    assert config_lib.digest({"a": 1}) == "015abd7f5cc5"
    assert config_lib.digest({"a": 1}) != config_lib.digest({"a": 2})
