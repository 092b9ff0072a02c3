"""What names directories and students: the same JSON, to the byte, whatever reads it."""

import dataclasses
import json

import pytest

from distill import config as configs
from distill.training import description, recipe
from distill.training.description import Description

DATA = {
    "dataset": "mnist5k", "splits": {"train": "train", "validation": "", "test": "test"},
    "transfer": None, "fingerprint": "f" * 16, "input_shape": (28, 28, 1), "num_classes": 10,
}  # fmt: skip


def described(teacher=None, init=None):
    config = configs.defaults()
    config.student.model, config.student.args = "simplenet_v4", {"filters": (7,)}
    loss = recipe.loss_section(config.loss)
    return recipe.describe(config.student, loss, [3], config.dataset, DATA, teacher, init)


def test_the_json_is_what_it_always_was():
    """Directories are named by it; a later field is not there while it is not used."""
    found = described()
    assert list(found.json()) == [
        "recipe", "loss", "seeds", "dataset", "splits", "transfer", "fingerprint", "input_shape",
        "num_classes", "mean", "std", "teacher",
    ]  # fmt: skip
    assert (found.digest, described(teacher=found).digest) == ("144a86c5a506", "52b8ec4b2bd1")
    assert described(init="a" * 8).json()["init"] == "a" * 8


def test_what_is_read_back_is_equal():
    found = dataclasses.replace(
        described(teacher=described()), constraints={}, compression={"a": 1}
    )
    assert description.from_json(json.loads(json.dumps(found.json()))) == found
    assert found.json()["constraints"] == {} and found.input_shape == (28, 28, 1)
    assert found.teacher.args == {"filters": [7]}


def test_what_would_begin_as_another_has_random_numbers_of_its_own():
    one = described()
    second, third = described(teacher=one), described(teacher=described(teacher=one))
    elsewhere = dataclasses.replace(second, seeds=[4, 3])
    other = dataclasses.replace(one, recipe={**one.recipe, "args": {"filters": [8]}})
    rounds = [dataclasses.replace(one, compression={"round": i}) for i in (0, 1)]
    assert one.streams == described(teacher=other).streams == [0]
    assert elsewhere.streams == [0, *second.streams]
    own = [about.streams[0] for about in (second, third, *rounds)]
    assert len({0, *own}) == 5 and min(own) > 0 and max(own) < 2**28


@pytest.mark.parametrize("change", [{"seeds": None}, {"colour": "red"}])
def test_json_of_another_program_is_refused(change):
    found = described().json()
    for name, value in change.items():
        if value is None:
            del found[name]
        else:
            found[name] = value
    with pytest.raises(ValueError, match=f"{name} is not as this program describes it"):
        description.from_json(found)


def test_students_of_one_program_are_described_together():
    one = described()
    loss = {**one.loss, "temperature": 9.0}
    other = dataclasses.replace(one, loss=loss, seeds=[4])
    both = description.together([one, other])
    assert both.seeds == [3, 4]
    assert both.loss == {**loss, "temperature": [one.loss["temperature"], 9.0]}
    assert (
        description.apart(one)
        == description.apart(other)
        != description.apart(dataclasses.replace(other, recipe={**one.recipe, "epochs": 7}))
    )
    assert isinstance(both, Description)
