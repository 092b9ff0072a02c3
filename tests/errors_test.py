import pytest

from distill import errors


def test_unknown_names_the_nearest():
    error = errors.unknown("model", "simplenet_v9", ["teacher", "simplenet_v1"])
    assert str(error) == "unknown model 'simplenet_v9'; did you mean 'simplenet_v1'?"


def test_unknown_lists_all_in_order_when_nothing_is_near():
    error = errors.unknown("model", "xyz", ["teacher", "simplenet"])
    assert str(error) == "unknown model 'xyz'; known: simplenet, teacher"


@pytest.mark.parametrize(
    "message, expected",
    [
        ("{{function_node __wrapped__Op}} no such file [Op:ReadFile] name:", "no such file"),
        ("first\nsecond", "first"),
        ("\n  padded\nrest", "padded"),
        ("", "KeyError"),
    ],
)
def test_one_line(message, expected):
    error = KeyError() if not message else RuntimeError(message)
    assert errors.one_line(error) == expected


def test_input_error_is_a_value_error():
    assert issubclass(errors.InputError, ValueError)
