"""What arguments must be: what passes, what comes back, and the words of what does not pass."""

import math
import re
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from rslib import _checks


def refuses(error, message, call, *arguments):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        call(*arguments)


@pytest.mark.parametrize("value", [3, np.int8(3), np.uint64(3)])
def test_whole_numbers(value):
    found = _checks.whole("n", value, 3, 3)
    assert type(found) is int and found == 3
    assert _checks.whole("n", 1) == 1 and _checks.whole("n", 10**30) == 10**30


@pytest.mark.parametrize("value", [True, np.True_, 3.0, "3", None, Fraction(3), np.array([3])])
def test_what_is_no_whole_number(value):
    refuses(TypeError, f"n must be a whole number, got {value!r}", _checks.whole, "n", value)


def test_whole_numbers_out_of_range():
    refuses(ValueError, "n must be at least 1, got 0", _checks.whole, "n", 0)
    refuses(ValueError, "n must be at least -2, got -3", _checks.whole, "n", -3, -2)
    refuses(ValueError, "n must be at most 5, got 6", _checks.whole, "n", 6, 1, 5)


@pytest.mark.parametrize("value", [0.5, np.float32(0.5), Fraction(1, 2)])
def test_real_numbers(value):
    found = _checks.real("alpha", value, lambda a: 0 < a < 1, "lie in (0, 1)")
    assert type(found) is float and found == 0.5


@pytest.mark.parametrize("value", [True, "0.5", 1j, Decimal("0.5"), np.array([0.5])])
def test_what_is_no_real_number(value):
    message = f"alpha must be a number, got {value!r}"
    refuses(TypeError, message, _checks.real, "alpha", value, lambda a: True, "")


@pytest.mark.parametrize("value", [0, 1.0, math.nan])
def test_real_numbers_that_are_not_valid(value):
    message = f"alpha must lie in (0, 1), got {value!r}"
    refuses(ValueError, message, _checks.real, "alpha", value, lambda a: 0 < a < 1, "lie in (0, 1)")


@pytest.mark.parametrize("value", [0.25, [0, 1], [[1], [0.5]], Fraction(1, 2), [], np.float32(1)])
def test_probabilities(value):
    found = _checks.probabilities("p", value)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, np.asarray(value, dtype=float))


@pytest.mark.parametrize("value", [-1e-300, 1.0000001, math.nan, math.inf])
def test_what_is_no_probability(value):
    message = f"p must lie in [0, 1], got {value}"
    refuses(ValueError, message, _checks.probabilities, "p", [0.5, value, -2])


def test_positive_numbers():
    assert _checks.positives("s", [5e-324, 1e308]).tolist() == [5e-324, 1e308]
    for value in (0.0, -1.0, math.inf, math.nan):
        message = f"s must be positive and finite, got {value}"
        refuses(ValueError, message, _checks.positives, "s", value)


def test_arrays_of_whole_numbers():
    found = _checks.wholes("k", [0, 7.0, 10], 0, 10, "10")
    assert found.dtype == np.float64 and found.tolist() == [0, 7, 10]
    for value in (-1, 11, 2.5, math.nan, math.inf):
        message = f"k must be a whole number from 0 to ten, got {np.array([3, value])[1]}"
        refuses(ValueError, message, _checks.wholes, "k", [3, value], 0, 10, "ten")


@pytest.mark.parametrize("value", ["1", True, [True], 1j, object, [[1], [1, 2]], b"1"])
def test_arrays_of_what_is_no_number(value):
    message = f"p must be a real number or an array of them, got {value!r}"
    refuses(TypeError, message, _checks.probabilities, "p", value)


def test_arguments_are_not_changed():
    given = np.array([0.5, 0.25])
    _checks.probabilities("p", given)[0] = 9
    assert given.tolist() == [0.5, 0.25]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        ("é", r'"\u00e9"'),
        ("a" * 58, f'"{"a" * 58}"'),
        ("a" * 59, f'"{"a" * 56}...'),
        (list(range(100)), "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16..."),
    ],
)
def test_what_an_error_shows_of_a_value(value, text):
    assert _checks.shown(value) == text and len(text) <= 60
