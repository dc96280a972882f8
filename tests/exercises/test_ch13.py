"""The checks of chapter 13 accept right answers, however written, and know the common mistakes."""

import math
import statistics
from decimal import Decimal
from fractions import Fraction

import numpy as np
import sympy as sp
from answers import (
    test_common_mistakes_get_their_hint,  # noqa: F401
    test_every_exercise_has_answers_to_test,  # noqa: F401
    test_no_hint_tells_the_answer,  # noqa: F401
    test_right_answers_are_accepted,  # noqa: F401
)

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


def by_powers(k, m, q, stakes):
    return [(1 + u * (1 - q) / q) ** k * (1 - u) ** m for u in stakes]


def by_comprehension(k, m, q, stakes):
    return sum(by_powers(k, m, q, stakes)) / len(stakes)


def with_statistics(k, m, q, stakes):
    return statistics.fmean(by_powers(k, m, q, stakes))


def by_votes(k, m, q, stakes):
    """Vote by vote, all bettors at once."""
    purse = np.ones(len(stakes))
    for vote in [True] * k + [False] * m:
        stake = np.array(stakes) * purse
        purse = purse - stake + (stake / q if vote else 0)
    return purse.mean()


def any_hint(*answers):
    """Wrong answers that no hint was written for."""
    return [(answer, "Hint: ") for answer in answers]


GOOD_LOOKS = [5, 8, 18, 37, 62, 147, 289, 506, 1118, 1760]

RIGHT = {
    "13.1": [
        66,
        66.0,
        math.ceil(math.log(1000) / -math.log(0.9)),
        sp.Integer(66),
        np.int64(66),
        Fraction(66),
        Decimal(66),
        1 + math.floor(65.56),
        int(np.argmax(0.9 ** -np.arange(100.0) >= 1000)),
        np.array(66),
    ],
    "13.2": [
        by_loop,
        in_logarithms,
        exact,
        arrays,
        by_comprehension,
        with_statistics,
        lambda k, m, q, s: sum((1 - u + u / q) ** k * (1 - u) ** m for u in s) / len(s),
        lambda k, m, q, s: np.mean([by_loop(k, m, q, [u]) for u in s]),
        by_votes,
        lambda k, m, q, s: np.dot(np.full(len(s), 1 / len(s)), by_powers(k, m, q, s)),
    ],
    "13.3": [
        GOOD_LOOKS,
        tuple(GOOD_LOOKS),
        set(GOOD_LOOKS),
        np.array(GOOD_LOOKS),
        GOOD_LOOKS[::-1],
        [float(t) for t in GOOD_LOOKS],
        [sp.Integer(t) for t in GOOD_LOOKS],
        [5, 8, 18, 37, 62, 147, 289, 506, 1118, 1995],
        [5, 13, 23, 49, 93, 147, 289, 506, 1118, 1760],
        iter(GOOD_LOOKS[:]) and [Fraction(t) for t in GOOD_LOOKS],
    ],
    "13.4": [
        456,
        np.int64(456),
        Fraction(456),
        557 - 101,
        456.0,
        sp.Integer(456),
        max(k for k in range(901) if k + 100 < 557),
        Decimal("456"),
        np.float32(456),
        np.array(456),
    ],
    "13.5": [
        1.4,
        Fraction(7, 5),
        sp.Rational(7, 5),
        0.8 + 0.6,
        Decimal("1.4"),
        np.float32(1.4),
        0.8 + 3 * 0.2,
        sp.Float("1.4"),
        np.array(1.4),
        7 / 5,
    ],
}
# Each wrong answer with a word of the hint that it must get.
WRONG = {
    "13.1": [
        (65, "just too few"),
        (65.56, "whole"),
        (67, "not needed"),
        (3, "factor"),
        (10, "against 1/2"),
        (29, "0.05"),
        (50, "refutes"),
        *any_hint(1000, 6907, 7, 656, 132, 44, 0, -66, 64, 70, 0.001),
    ],
    "13.2": [
        (lambda k, m, q, s: by_loop(k, m, q, s) * len(s), "divided"),
        (lambda k, m, q, s: by_loop(m, k, q, s), "k counts the successes"),
        (lambda k, m, q, s: by_loop(k, m, 1 - q, s), "swap q and 1 - q"),
        (lambda k, m, q, s: by_loop(k, m, q, [sum(s) / len(s)]), "mean stake"),
        (lambda k, m, q, s: math.log(by_loop(k, m, q, s)), "logarithm"),
        (lambda k, m, q, s: np.prod([by_loop(k, m, q, [u]) for u in s]), "added, not multiplied"),
        (lambda k, m, q, s: np.mean([(1 + u / q) ** k * (1 - u) ** m for u in s]), "had been paid"),
        (lambda k, m, q, s: 1.0, "formula (1)"),
        *any_hint(
            lambda k, m, q, s: by_loop(k, m, q, s[:1]),
            lambda k, m, q, s: max(by_powers(k, m, q, s)),
            lambda k, m, q, s: np.median(by_powers(k, m, q, s)),
            lambda k, m, q, s: by_loop(k, m, q, sorted(set(s))),
            lambda k, m, q, s: by_loop(k, m, 0.5, s),
            lambda k, m, q, s: by_loop(k, 0, q, s),
            lambda k, m, q, s: np.mean([(1 + u) ** k * (1 - u) ** m for u in s]),
            lambda k, m, q, s: math.comb(k + m, k) * by_loop(k, m, q, s),
            lambda k, m, q, s: np.exp(np.mean(np.log(np.array(by_powers(k, m, q, s)) + 1e-300))),
            lambda k, m, q, s: np.mean([k * (1 - u + u / q) + m * (1 - u) for u in s]),
            lambda k, m, q, s: by_powers(k, m, q, s),
            lambda k, m, q, s: by_loop(k, m, q, s) - 1,
        ),
    ],
    "13.3": [
        (list(range(200, 2001, 200)), "nearly the same"),
        (list(range(1, 2001)), "ten times"),
        (GOOD_LOOKS[:9], "ten times"),
        ([*GOOD_LOOKS[:9], 3000], "from 1 to 2000"),
        ([*GOOD_LOOKS[:9], GOOD_LOOKS[0]], "looking twice"),
        ([1, 2, 3, 4, 10, 20, 50, 100, 500, 2000], "whole"),
        *any_hint(
            list(range(1991, 2001)),
            list(range(1, 11)),
            [2**j for j in range(1, 11)],
            [0, *GOOD_LOOKS[:9]],
            [-5, *GOOD_LOOKS[:9]],
            [t + 0.5 for t in GOOD_LOOKS],
            [*GOOD_LOOKS, 2000],
            [t + 2 for t in GOOD_LOOKS],
            [100, 200, 300, 400, 500, 600, 700, 800, 1000, 2000],
            [10, 18, 32, 58, 105, 190, 342, 617, 1111, 2000],
            [],
        ),
    ],
    "13.4": [
        (457, "exactly as many"),
        (455, "not the largest"),
        (556, "still to come"),
        (557, "still to come"),
        (501, "may be better"),
        (456.5, "whole"),
        *any_hint(900, 899, 0, 100, 343, 443, 400, 656, 458, 450, -456),
    ],
    "13.5": [
        (3, "how many games"),
        (1, "whatever any of them gives"),
        (2.6, "spent anew"),
        (0.0014, "multiple of alpha"),
        (1.2, "last looks"),
        (2, "count how often"),
        *any_hint(0.6, 0.8, 0.2, 2.4, 1.6, 1.5, 4.2, 7, 0.14, -1.4, 1.39, 1.8),
    ],
}
TELLS = {
    "13.1": "66",
    "13.2": "(1 - q) / q",
    "13.3": "logarithm",
    "13.4": "456",
    "13.5": "1.4",
}


def test_the_looks_that_are_called_good_are(monkeypatch):
    """The check's probability against a simulation of the fair coin, with 4 standard errors."""
    from rslib import confidence
    from rslib.exercises import ch13

    rng, runs = np.random.default_rng(133), 20_000
    votes = rng.random((runs, 2000), dtype=np.float32) < 0.5
    counts = np.cumsum(votes, axis=1, dtype=np.int32)[:, np.array(GOOD_LOOKS) - 1]
    wrong = (confidence.lower_bound(counts, np.array(GOOD_LOOKS), 0.05) > 0.5).any(axis=1)
    exact_probability = ch13._ever_wrong(GOOD_LOOKS)
    error = np.sqrt(exact_probability * (1 - exact_probability) / runs)
    assert abs(wrong.mean() - exact_probability) < 4 * error  # false alarms: 6e-5
    assert exact_probability >= 0.22
