import math

import pytest

from distill import values
from distill.errors import InputError


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e39, 1e-39, 10**400, True, "1", None])
def test_what_float32_lacks_is_no_number(value):
    assert not values.is_number(value)


@pytest.mark.parametrize("value", [0, 0.0, -1, 3.3e38, 1.3e-38, 2**31])
def test_numbers(value):
    assert values.is_number(value)


def test_ranges_hold_their_ends():
    kind = values.whole(1, 3)
    assert [kind.fits(value) for value in (0, 1, 3, 4, 1.0, True)] == [
        False, True, True, False, False, False,
    ]  # fmt: skip
    assert values.SHARE.fits(0) and values.SHARE.fits(1) and not values.SHARE.fits(1.0001)


def test_sequences_have_a_kind_and_lengths():
    kind = values.each(values.SHARE, "shares", range(1, 3))
    assert kind.fits([0, 1]) and kind.fits((0.5,))
    for value in ((), (0, 0, 0), ("a",), (math.nan,), (None,), "a", None, {0: 1}):
        assert not kind.fits(value)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a", "'a'"),
        (10**30, "1" + "0" * 30),
        (10**200, "a number of 201 digits"),
        (10**5000, "a number of 5001 digits"),
        ([10**5000], "a list"),
        ("x" * 200, "'" + "x" * 99 + "…"),
        ("\x1b[31m", r"'\x1b[31m'"),
    ],
    ids=range(7),  # pytest would write out the numbers
)
def test_a_value_is_shown_in_a_line(value, shown):
    assert values.shown(value) == shown


@pytest.mark.parametrize("value", [{"a": math.nan}, [math.inf], {"a": object()}, {(1,): 2}])
def test_what_is_no_json_is_refused(value):
    with pytest.raises(InputError, match="^x is .*; it must be made of finite numbers"):
        values.require_plain("x", value)


def test_what_is_nested_too_deep_is_refused():
    value: list = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(InputError, match="^x is a list; it must be made of"):
        values.require_plain("x", value)
