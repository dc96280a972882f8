"""The checks of chapter 5 accept right answers, however written, and know the common mistakes."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
from answers import (
    test_common_mistakes_get_their_hint,  # noqa: F401
    test_every_exercise_has_answers_to_test,  # noqa: F401
    test_no_hint_tells_the_answer,  # noqa: F401
    test_right_answers_are_accepted,  # noqa: F401
)
from scipy.special import gamma, gammaln, poch
from scipy.stats import chi, norm

from rslib import certificates
from rslib.exercises import EXERCISES, check

check("05.1")
CHAPTER = sorted(name for name in EXERCISES if name.startswith("05."))


def by_logarithms(d):
    return np.sqrt(2) * np.exp(gammaln((d + 1) / 2) - gammaln(d / 2))


def by_rising_factorial(d):
    return np.sqrt(2) * poch(d / 2, 0.5)


def by_series_from_100(d):
    if d < 100:
        return np.sqrt(2) * gamma((d + 1) / 2) / gamma(d / 2)
    return np.sqrt(d) * (1 - 1 / (4 * d) + 1 / (32 * d**2))


def by_recursion(d):
    """m_{d+2} = m_d (d + 1) / d, from m_1 or m_2; the product in logarithms."""
    first = 1 if d % 2 else 2
    start = np.sqrt(2 / np.pi) if d % 2 else np.sqrt(np.pi / 2)
    return start * np.exp(np.sum(np.log1p(1 / np.arange(first, d, 2))))


def overflowing(d):
    with np.errstate(all="ignore"):
        return np.sqrt(2) * np.float64(gamma((d + 1) / 2)) / gamma(d / 2)


def sampled(d):
    rng = np.random.default_rng(0)
    return np.linalg.norm(rng.standard_normal((4000, min(d, 1000))), axis=1).mean()


def off_by_one(d):
    return by_logarithms(d + 1)


def upside_down(d):
    return np.sqrt(2) * np.exp(gammaln(d / 2) - gammaln((d + 1) / 2))


def far_step(points):
    return np.where(points > 0.5, 1, -1)


RIGHT = {
    "05.1": [
        3 / 4 * np.sqrt(2 * np.pi),
        1.88,
        Decimal("1.8800"),
        certificates.expected_norm(4),
        sp.sqrt(2) * sp.gamma(sp.Rational(5, 2)) / sp.gamma(2),
        chi.mean(4),
    ],
    "05.2": [10, 10.0, Fraction(10), certificates.jensen_gradient_bound(100, 0.5) / 2],
    "05.3": [
        np.sqrt(3) / 4 * norm.pdf(0),
        0.1727,
        sp.sqrt(3) / (4 * sp.sqrt(2 * sp.pi)),
        Fraction(1727, 10_000),
    ],
    "05.4": [by_logarithms, by_rising_factorial, by_series_from_100, by_recursion, chi.mean],
    "05.5": [
        np.sign,
        lambda points: -np.sign(points),
        lambda points: np.tanh(3 * points),
        far_step,
    ],
    "05.6": [10 * norm.pdf(0), 3.989, Decimal("3.99"), 10 / sp.sqrt(2 * sp.pi)],
}
# Each wrong answer with a word of the hint that it must get.
WRONG = {
    "05.1": [
        (2, "square"),
        (1.3293, "factor"),
        (1.5958, "another dimension"),
        (certificates.expected_norm(5), "another dimension"),
        (0.5319, "above"),
        (4.0, "insert"),
    ],
    "05.2": [
        (20, "without the trick"),
        (5, "worst case"),
        (0.5, "this is c"),
        (0, "slip"),
        (0.7979, "best bound"),
        (7, "largest value"),
    ],
    "05.3": [
        (0.0997, "one component"),
        (0.2992, "sum"),
        (0.3989, "how likely"),
        (0.0864, "counted already"),
        (0.125, "E[z_1 f]"),
    ],
    "05.4": [
        (overflowing, "logarithms"),
        (np.sqrt, "square"),
        (lambda d: by_logarithms(d) / np.sqrt(2), "factor"),
        (upside_down, "above"),
        (off_by_one, "one dimension more"),
        (sampled, "six digits"),
        (lambda d: d, "d = 1"),
        (lambda: 1.0, "raised TypeError"),
    ],
    "05.5": [
        (lambda points: (points > 0).astype(float), "whole range"),
        (lambda points: np.tanh(0.3 * points), "whole range"),
        (np.cos, "whole range"),
        (lambda points: 2 * np.sign(points), "lie in"),
        (lambda points: 1.0, "one value a point"),
    ],
    "05.6": [
        (0.3989, "l2 length"),
        (39.89, "at once"),
        (10, "best bound"),
        (1.0, "which vector"),
    ],
}
TELLS = {"05.1": "1.88", "05.2": "10.0", "05.3": "0.17", "05.6": "3.9"}


def test_the_answers_follow_from_the_library():
    """The numbers that the checks hold are those of the functions that the chapter teaches."""
    assert certificates.expected_norm(4) == pytest.approx(chi.mean(4))
    assert certificates.expected_norm(1) / 2 == pytest.approx(
        certificates.global_gradient_bound(1.0)
    )
