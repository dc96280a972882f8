"""The machinery of the exercises: verdicts, hints and answers of every kind."""

import math
import re
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import mpmath
import numpy as np
import pytest
import sympy as sp
from scipy.stats import norm

from rslib import exercises
from rslib.exercises import (
    EXERCISES,
    WrongType,
    check,
    close,
    exercise,
    expression,
    function,
    number,
    numeric_function,
    rounded_up,
)
from rslib.exercises.line import Smoothed, values_of

for path in Path(exercises.__file__).parent.glob("ch[0-9][0-9].py"):
    exercises.check(f"{path.stem[2:]}.1")  # loads the chapter
CHAPTERS = sorted(EXERCISES)


class Hostile:
    """An answer on which everything fails."""

    def __float__(self):
        raise RuntimeError("no")

    def __eq__(self, other):
        raise RuntimeError("no")

    __hash__ = None

    def __repr__(self):
        raise RuntimeError("no")


WEIRD = [
    "0.3658",
    b"x",
    True,
    float("nan"),
    -np.inf,
    1j,
    [],
    [0.3, 0.4],
    {},
    np.zeros(3),
    np.array(["a"]),
    sp.Symbol("q"),
    object(),
    Hostile(),
    int,
    print,
    lambda: None,
    lambda *arguments: 1 / 0,
    lambda *arguments: None,
    lambda *arguments: "text",
    lambda *arguments: Hostile(),
    lambda *arguments: np.full(3, np.nan),
]


@pytest.fixture
def scratch():
    """Whatever a test registers is gone afterwards."""
    before = dict(EXERCISES)
    yield
    EXERCISES.clear()
    EXERCISES.update(before)


@pytest.mark.parametrize("exercise_id", CHAPTERS)
@pytest.mark.parametrize("answer", [None, ...])
def test_without_an_answer_the_verdict_says_so(exercise_id, answer, capsys):
    verdict = check(exercise_id, answer)
    assert not verdict.correct
    assert re.fullmatch(r"Exercise \d+\.\d+: no answer yet\.\n", capsys.readouterr().out)


@pytest.mark.parametrize("exercise_id", CHAPTERS)
@pytest.mark.parametrize("place", range(len(WEIRD)))
def test_weird_answers_get_a_hint_and_never_raise(exercise_id, place, capsys):
    verdict = check(exercise_id, WEIRD[place])
    assert not verdict.correct
    last_line = capsys.readouterr().out.splitlines()[-1]  # an answer such as print may write, too
    assert re.fullmatch(r"Exercise \d+\.\d+: not yet\. Hint: \S.*[.?]", last_line)


@pytest.mark.parametrize("exercise_id", CHAPTERS)
def test_an_answer_of_the_wrong_type_learns_what_is_expected(exercise_id):
    assert EXERCISES[exercise_id].expects in check(exercise_id, {"a": 1}).message


def test_the_verdict_is_what_was_printed_and_shows_nothing_more(capsys):
    verdict = check("08.1", 0.1)
    assert capsys.readouterr().out == verdict.message + "\n"
    assert verdict.exercise_id == "08.1"
    assert verdict._ipython_display_() is None
    assert capsys.readouterr().out == ""


def test_identifiers_work_with_and_without_the_leading_zero():
    assert check("8.1").exercise_id == check("08.1").exercise_id == "08.1"


@pytest.mark.parametrize("exercise_id", ["08.99", "99.1", "8", "", "ch08.1", 8.1, None, "8.1\n"])
def test_an_unknown_exercise_is_an_error(exercise_id):
    with pytest.raises(ValueError, match=re.escape(repr(exercise_id))):
        check(exercise_id, 1.0)


def test_a_chapter_that_cannot_be_imported_is_not_reported_as_unknown(monkeypatch):
    def broken(name):
        raise ModuleNotFoundError("No module named 'flint'", name="flint")

    monkeypatch.setattr(exercises, "import_module", broken)
    with pytest.raises(ModuleNotFoundError, match="flint"):
        check("08.1")


def test_a_registered_check_is_used_and_named(scratch, monkeypatch, capsys):
    monkeypatch.setattr(exercises, "import_module", lambda name: None)

    @exercise("03.12", kind="by code", expects="the number 2")
    def two(answer):
        return None if number(answer) == 2 else "one more than 1."

    assert check("03.12", 2).correct
    assert capsys.readouterr().out == "Exercise 3.12: right.\n"
    assert not check("3.12", 3).correct
    assert capsys.readouterr().out == "Exercise 3.12: not yet. Hint: one more than 1.\n"
    assert two(2) is None  # the decorator leaves the function as it is


@pytest.mark.parametrize(
    ("exercise_id", "kind", "message"),
    [
        ("8.1", "by hand", "must look like"),
        ("08.x", "by hand", "must look like"),
        ("08.1", "by hand", "must be new"),
        ("99.1", "by magic", "'by magic'"),
    ],
)
def test_a_malformed_registration_is_an_error(exercise_id, kind, message, scratch):
    with pytest.raises(ValueError, match=message):
        exercise(exercise_id, kind=kind, expects="a number")


@pytest.mark.parametrize(
    "answer",
    [
        0.25,
        np.float32(0.25),
        np.array(0.25),
        Fraction(1, 4),
        Decimal("0.25"),
        sp.Rational(1, 4),
        sp.sqrt(sp.Rational(1, 16)),
        mpmath.mpf("0.25"),
    ],
)
def test_numbers_of_every_kind_are_read(answer):
    value = number(answer)
    assert type(value) is float
    assert value == 0.25


@pytest.mark.parametrize("answer", ["0.25", True, 1j, [0.25], float("inf"), sp.Symbol("a"), len])
def test_what_is_no_number_is_refused(answer):
    with pytest.raises(WrongType):
        number(answer)


def test_a_function_that_fails_is_named_with_its_arguments():
    with pytest.raises(WrongType, match=r"ZeroDivisionError on the arguments \(7, 0\)"):
        function(lambda p, q: p / q)(7, 0)
    with pytest.raises(WrongType, match="raised ValueError: could not convert"):
        function(float)("x" * 1000)
    with pytest.raises(WrongType):
        function(3)
    assert function(max)(2, 3) == 3


@pytest.mark.parametrize("step", [lambda t: 1 if t > 0 else 0, lambda t: math.exp(t)])
def test_a_function_of_one_number_learns_that_it_gets_an_array(step):
    with pytest.raises(WrongType, match=r"whole array.*np\.where.*np\.vectorize"):
        function(step)(np.linspace(-1, 1, 5))
    assert function(np.vectorize(step))(np.array([0.0, 0.0])).shape == (2,)
    with pytest.raises(WrongType, match=r"raised ValueError on the arguments \(3\)"):
        function(lambda t: bool(np.zeros(t)))(3)  # the array is the reader's own


@pytest.mark.parametrize(
    ("exercise_id", "answer"),
    [("02.1", 0.097), ("03.1", 0.95), ("04.1", 1.6), ("11.2", 1.6), ("12.1", 0.39)],
)
def test_a_rounded_answer_is_asked_for_more_digits(exercise_id, answer):
    verdict = check(exercise_id, answer)
    assert not verdict.correct
    assert verdict.message.endswith("not yet. Hint: close: give more digits.")


@pytest.mark.parametrize("kind", ["by hand", "open", "by code", "break it"])
def test_more_digits_are_asked_for_only_where_they_are_missing(kind, scratch, monkeypatch):
    monkeypatch.setattr(exercises, "import_module", lambda name: None)

    @exercise("03.13", kind=kind, expects="a number or a pair")
    def grade(answer):
        value, other = answer if isinstance(answer, tuple) else (answer, 2.0)
        if close(number(value), 0.10345) and close(number(other), 2.0):
            return None
        return "the square." if close(value, 0.104, 1e-6) else "think."

    def hint(answer):
        return check("03.13", answer).message.partition("Hint: ")[2]

    by_number = kind in ("by hand", "open")
    for answer in (0.1, 0.103, Fraction(103, 1000), (0.103, 2.01)):
        assert hint(answer) == ("close: give more digits." if by_number else "think.")
    assert hint(0.104) == "the square."  # a wrong idea that the check knows
    # Too far away, of the wrong sign, or with all the digits that a wrong formula gives.
    for answer in (0.106, 0.11, -0.103, 1e300, 0.1041234, (0.103, 2.2), (0.103, -2.0)):
        assert hint(answer) == "think."
    assert check("03.13", 0.1034).correct
    assert close(0.1034, 0.10345)
    assert not close(0.103, 0.10345)  # nothing of the second look is left


def test_where_many_digits_are_the_point_a_rounded_answer_keeps_its_hint(scratch, monkeypatch):
    monkeypatch.setattr(exercises, "import_module", lambda name: None)

    @exercise("03.14", kind="by hand", expects="a number")
    def grade(answer):
        return None if close(number(answer), 0.99505, 6e-5) else "the largest one."

    assert check("03.14", 0.99).message.endswith("Hint: the largest one.")


def test_a_function_must_return_a_number():
    assert numeric_function(max)(2, 3) == 3.0
    assert numeric_function(lambda: -np.inf)() == -np.inf
    with pytest.raises(WrongType, match=r"one number \(got NoneType\)"):
        numeric_function(lambda: None)()
    with pytest.raises(WrongType, match=r"one number \(got nan\)"):
        numeric_function(lambda: np.nan)()
    with pytest.raises(WrongType, match=r"one number \(got ndarray\)"):
        numeric_function(lambda: np.full(3, np.nan))()


@pytest.mark.parametrize(
    "answer",
    [
        2 * sp.Symbol("a") + sp.Symbol("b"),
        2 * sp.Symbol("a", positive=True) + sp.Symbol("b", real=True),
        sp.Lambda(sp.symbols("x y"), 2 * sp.Symbol("x") + sp.Symbol("y")),
        lambda a, b: 2 * a + b,
        lambda first, second: sp.Integer(2) * first + second,
    ],
)
def test_a_formula_is_read_however_it_is_written(answer):
    assert expression(answer, "a", "b")(1.0, 0.5) == 2.5


def test_what_is_no_formula_in_these_symbols_is_refused():
    a, b, c = sp.symbols("a b c")
    for answer in (0.5, "a + b", [a, b], None):
        with pytest.raises(WrongType):
            expression(answer, "a", "b")
    with pytest.raises(WrongType, match="may use a, b and c only; it has d, e"):
        expression(sp.Symbol("e") + a + sp.Symbol("d"), "a", "b", "c")
    with pytest.raises(WrongType, match="may use a only; it has b"):
        expression(a + b, "a")
    with pytest.raises(WrongType, match="not a real number at a = -1, b = 2"):
        expression(sp.log(a) * b, "a", "b")(-1.0, 2.0)
    with pytest.raises(WrongType):
        expression(lambda a: c, "a")(1.0)  # a function that returns a symbol


def test_a_distance_may_be_rounded_to_four_digits_but_not_up_to_three():
    assert not rounded_up(0.3658, 0.36580065)
    assert not rounded_up(0.09723, 0.0972272)  # to nearest, though this rounds up
    assert rounded_up(0.366, 0.36580065) and rounded_up(0.0973, 0.0972272)
    assert not rounded_up(0.6, 0.6) and rounded_up(0.6001, 0.6)
    assert not rounded_up(0.365, 0.36580065)


@pytest.mark.parametrize("x", [-3.0, 0.0, 0.1234, 0.5, 9.0])
@pytest.mark.parametrize("sigma", [0.1, 1.0])
def test_smoothing_on_the_line_is_exact_for_steps(x, sigma):
    """A step, a thin slab and their odds, against the closed forms."""
    z = (x - 0.1234) / sigma
    step = Smoothed(lambda t: t >= 0.1234, -15, 15)
    assert step.value(x, sigma) == pytest.approx(norm.cdf(z), rel=1e-9, abs=1e-15)
    assert step.slope(x, sigma) == pytest.approx(norm.pdf(z) / sigma, rel=1e-9, abs=1e-15)
    slab = Smoothed(lambda t: np.abs(t - 0.1234) < 0.01, -15, 15)
    inside = norm.cdf(z + 0.01 / sigma) - norm.cdf(z - 0.01 / sigma)
    assert slab.value(x, sigma) == pytest.approx(inside, rel=1e-9, abs=1e-13)


def test_smoothing_on_the_line_is_exact_far_away_and_for_smooth_functions():
    step = Smoothed(lambda t: t >= 0, -60, 60)
    for x in (2.0, 9.0, 30.0):
        assert step.log_odds(x, 1.0) == pytest.approx(norm.logcdf(x) - norm.logsf(x), rel=1e-9)
    soft = Smoothed(lambda t: norm.cdf(t / 0.02), -15, 15)
    assert soft.slope(0.3, 1.0) == pytest.approx(norm.pdf(0.3, scale=np.hypot(1, 0.02)), rel=1e-6)
    assert Smoothed(np.ones_like, -15, 15).log_odds(1.0, 1.0) == np.inf


def test_values_of_another_shape_or_out_of_range_are_refused():
    points = np.linspace(0, 1, 3)
    assert np.array_equal(values_of(lambda t: [0, True, 0.5])(points), [0, 1, 0.5])
    with pytest.raises(WrongType, match=r"one value a point: \(3,\) in, \(\) out"):
        values_of(lambda t: 1.0)(points)
    for wrong in (2.0, -0.1, np.nan):
        with pytest.raises(WrongType, match=r"lie in \[0, 1\]"):
            values_of(lambda t, wrong=wrong: t * 0 + wrong)(points)
