"""The checks of chapter 13 accept right answers, however written, and know the common mistakes."""

import math
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp

from rslib.exercises import EXERCISES, check

check("13.1")
CHAPTER = sorted(name for name in EXERCISES if name.startswith("13."))


def by_loop(k, m, q, stakes):
    total = 0.0
    for u in stakes:
        purse = 1.0
        for _ in range(k):
            purse = purse - u * purse + u * purse / q
        for _ in range(m):
            purse -= u * purse
        total += purse
    return total / len(stakes)


def in_logarithms(k, m, q, stakes):
    u = np.clip(np.array(stakes, dtype=float), 0, 1 - 1e-15)
    logs = k * np.log1p(u * (1 / q - 1)) + m * np.log1p(-u)
    return np.exp(np.logaddexp.reduce(logs) - np.log(len(u)))


def exact(k, m, q, stakes):
    q = Fraction(q).limit_denominator(1000)
    parts = [Fraction(u).limit_denominator(1000) for u in stakes]
    return sp.Rational(sum((1 + u * (1 - q) / q) ** k * (1 - u) ** m for u in parts) / len(parts))


def arrays(k, m, q, stakes):
    u = np.asarray(stakes)
    return np.average((1 - u + u / q) ** k * (1 - u) ** m)


GOOD_LOOKS = [5, 8, 18, 37, 62, 147, 289, 506, 1118, 1760]

RIGHT = [
    ("13.1", 66),
    ("13.1", 66.0),
    ("13.1", math.ceil(math.log(1000) / -math.log(0.9))),
    ("13.1", sp.Integer(66)),
    ("13.2", by_loop),
    ("13.2", in_logarithms),
    ("13.2", exact),
    ("13.2", arrays),
    ("13.4", 456),
    ("13.4", np.int64(456)),
    ("13.4", Fraction(456)),
    ("13.5", 1.4),
    ("13.5", Fraction(7, 5)),
    ("13.5", sp.Rational(7, 5)),
]

WRONG = [
    ("13.1", 65, "just too few"),
    ("13.1", 65.56, "whole"),
    ("13.1", 3, "not by 10"),
    ("13.1", 10, "against 1/2"),
    ("13.1", 50, "one success multiply"),
    ("13.2", lambda k, m, q, s: by_loop(k, m, q, s) * len(s), "divided"),
    ("13.2", lambda k, m, q, s: by_loop(m, k, q, s), "k counts the successes"),
    ("13.2", lambda k, m, q, s: by_loop(k, m, 1 - q, s), "swap q and 1 - q"),
    ("13.2", lambda k, m, q, s: by_loop(k, m, q, [sum(s) / len(s)]), "mean stake"),
    ("13.2", lambda k, m, q, s: math.log(by_loop(k, m, q, s)), "logarithm"),
    (
        "13.2",
        lambda k, m, q, s: np.prod([by_loop(k, m, q, [u]) for u in s]),
        "added, not multiplied",
    ),
    (
        "13.2",
        lambda k, m, q, s: np.mean([(1 + u / q) ** k * (1 - u) ** m for u in s]),
        "had been paid",
    ),
    ("13.2", lambda k, m, q, s: 1.0, "formula (1)"),
    ("13.3", list(range(200, 2001, 200)), "is little new seen"),
    ("13.3", list(range(1, 2001)), "ten looks at most"),
    ("13.3", [10, 3000], "from 1 to 2000"),
    ("13.3", [10, 10], "looking twice"),
    ("13.4", 457, "still do"),
    ("13.4", 556, "still to come"),
    ("13.4", 501, "may be better"),
    ("13.5", 3, "how many games"),
    ("13.5", 1, "whatever any of them gives"),
    ("13.5", 2.6, "spent anew"),
    ("13.5", 0.0014, "multiple of alpha"),
    ("13.5", 2, "count how often"),
]


@pytest.mark.parametrize(("exercise", "answer"), RIGHT)
def test_right(exercise, answer, capsys):
    assert check(exercise, answer).correct
    assert "right." in capsys.readouterr().out


@pytest.mark.parametrize("as_kind", [list, tuple, set, np.array, lambda t: t[::-1]])
def test_right_looks(as_kind):
    assert check("13.3", as_kind(GOOD_LOOKS)).correct


@pytest.mark.parametrize(("exercise", "answer", "words"), WRONG)
def test_wrong(exercise, answer, words):
    verdict = check(exercise, answer)
    assert not verdict.correct and words in verdict.message


@pytest.mark.parametrize("exercise", CHAPTER)
@pytest.mark.parametrize("answer", ["many", object(), [None], {"a": 1}])
def test_another_kind_of_answer(exercise, answer):
    verdict = check(exercise, answer)
    assert not verdict.correct and "answer should be" in verdict.message


def test_every_exercise_is_tested():
    assert CHAPTER == [f"13.{place}" for place in range(1, 6)]
    tested = {name for name, _ in RIGHT} | {"13.3"}
    assert tested == set(CHAPTER) == {name for name, *_ in WRONG}
