"""The checks of chapter 5 accept right answers, however written, and know the common mistakes."""

import math
from decimal import Decimal
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import sympy as sp
from answers import (
    test_common_mistakes_get_their_hint,  # noqa: F401
    test_every_exercise_has_answers_to_test,  # noqa: F401
    test_no_hint_tells_the_answer,  # noqa: F401
    test_right_answers_are_accepted,  # noqa: F401
)
from scipy.special import betaln, gamma, gammaln, poch
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


def gamma_ratio(d):
    from scipy.special import gammaln as log_gamma

    return math.sqrt(2) * math.exp(log_gamma((d + 1) / 2) - log_gamma(d / 2))


def by_lgamma(d):
    return math.exp(0.5 * math.log(2) + math.lgamma((d + 1) / 2) - math.lgamma(d / 2))


def by_mpmath(d):
    return mpmath.sqrt(2) * mpmath.gammaprod([mpmath.mpf(d + 1) / 2], [mpmath.mpf(d) / 2])


def by_beta(d):
    """E|z| = sqrt(2 pi) / B(d/2, 1/2)."""
    return np.sqrt(2 * np.pi) / np.exp(betaln(d / 2, 0.5))


def crude_from_150(d):
    return by_lgamma(d) if d < 150 else math.sqrt(d - 0.5)


def crude_from_340(d):
    if d > 343:
        return math.sqrt(d)
    return math.sqrt(2) * gamma((d + 1) / 2) / gamma(d / 2)


def others(*answers):
    """Wrong answers that no hint is written for."""
    return [(answer, "") for answer in answers]


RIGHT = {
    "05.1": [
        3 / 4 * np.sqrt(2 * np.pi),
        1.88,
        Decimal("1.8800"),
        certificates.expected_norm(4),
        sp.sqrt(2) * sp.gamma(sp.Rational(5, 2)) / sp.gamma(2),
        chi.mean(4),
        math.gamma(2.5) * 2**0.5,
        1.8799712,
        3 * math.sqrt(2 * math.pi) / 4,
        by_lgamma(4),
        sp.Rational(3, 4) * sp.sqrt(2 * sp.pi),
        1.8799,
    ],
    "05.2": [
        10,
        10.0,
        Fraction(10),
        sp.Integer(10),
        math.sqrt(100) / (2 * 0.5),
        np.float64(10),
        Decimal(10),
        20 / 2,
        sp.sqrt(100),
        1e1,
    ],
    "05.3": [
        np.sqrt(3) / 4 * norm.pdf(0),
        0.1727,
        sp.sqrt(3) / (4 * sp.sqrt(2 * sp.pi)),
        Fraction(1727, 10_000),
        math.sqrt(3 / (32 * math.pi)),
        0.17275,
        Decimal("0.1727"),
        np.linalg.norm(3 * [norm.pdf(0) / 4]),
        sp.N(sp.sqrt(3) / 4 / sp.sqrt(2 * sp.pi)),
        0.1728,
    ],
    "05.4": [
        by_logarithms,
        by_rising_factorial,
        by_series_from_100,
        by_recursion,
        chi.mean,
        gamma_ratio,
        by_lgamma,
        by_mpmath,
        by_beta,
        lambda d: chi(d).mean(),
        lambda d: np.array(by_logarithms(float(d))),
        lambda d: float(f"{by_logarithms(d):.6g}"),
    ],
    "05.5": [
        np.sign,
        lambda points: -np.sign(points),
        lambda points: np.tanh(3 * points),
        far_step,
        lambda t: np.where(t > 0, 1.0, -1.0),
        lambda t: np.clip(10 * t, -1, 1),
        lambda t: 2 * (t > 0.1) - 1,
        lambda t: 2 / (1 + np.exp(-20 * t)) - 1,
        np.sin,  # exp(-1/2) = 0.6065
        lambda t: np.sign(t) * (np.abs(t) > 0.5),
        lambda t: [1 if point < 0 else -1 for point in t],
    ],
    "05.6": [
        10 * norm.pdf(0),
        3.989,
        Decimal("3.99"),
        10 / sp.sqrt(2 * sp.pi),
        math.sqrt(100 / (2 * math.pi)),
        3.9894,
        5 * math.sqrt(2 / math.pi),
        Fraction(3989, 1000),
        certificates.global_gradient_bound(0.1),
        sp.N(10 / sp.sqrt(2 * sp.pi)),
    ],
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
        *others(1.7725, 1.2533, 1.7321, 2.6587, 0.94, 3.76, 1.5, 1.6, 1.0, 0.75, 2.13, 1.87),
    ],
    "05.2": [
        (certificates.jensen_gradient_bound(100, 0.5) / 2, "at the end"),
        (20, "without the trick"),
        (5, "worst case"),
        (0.5, "this is c"),
        (0, "slip"),
        (0.7979, "best bound"),
        (7, "largest value"),
        *others(0.1, 40, 9.9, 10.1, 100, 2.5, 15, 1.0, 10**0.5, -10, 14.14, 0.4),
    ],
    "05.3": [
        (0.0997, "one component"),
        (0.2992, "sum"),
        (0.3989, "how likely"),
        (0.0864, "counted already"),
        (0.125, "E[z_1 f]"),
        *others(0.1995, 0.3455, 0.2165, 0.5, 0.6910, 0.0499, 0.1411, 0.4, 0.1, 0.15, 0.1729 * 2),
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
        (crude_from_150, "large d"),
        (crude_from_340, "large d"),
        *others(
            lambda d: np.sqrt(d - 0.5),
            lambda d: np.sqrt(d) * (1 - 1 / (4 * d)),
            lambda d: d**0.5 - 0.25,
            lambda d: np.sqrt(2 / np.pi) * np.sqrt(d),
            lambda d: by_logarithms(d) ** 2,
            lambda d: 1 / by_logarithms(d),
            lambda d: by_logarithms(d - 0.5),
            lambda d: chi.median(d),
            lambda d: float(gamma((d + 1) / 2) / gamma(d / 2) * 2**0.5),
            lambda d: round(by_lgamma(d), 3),
            lambda d: float(f"{by_lgamma(d):.5g}"),
        ),
    ],
    "05.5": [
        (lambda points: (points > 0).astype(float), "whole range"),
        (lambda points: np.tanh(0.3 * points), "whole range"),
        (np.cos, "whole range"),
        (lambda points: 2 * np.sign(points), "lie in"),
        (lambda points: 1.0, "one value a point"),
        *others(
            lambda t: t * 0,
            lambda t: np.tanh(0.9 * t),
            lambda t: 0.98 * np.sin(t),
            lambda t: np.clip(t, -1, 1) / 2,
            lambda t: np.abs(np.sign(t)),
            lambda t: np.sign(t - 1),
            lambda t: 0.7 * np.sign(t),
            lambda t: np.sign(t) * (np.abs(t) > 1),
            lambda t: np.clip(t, -1, 1) * 0.85,
            lambda t: np.where(np.abs(t) < 1, 1, -1),
            lambda t: t,
            lambda t: 1.01 * np.sign(t),
        ),
    ],
    "05.6": [
        (0.3989, "l2 length"),
        (39.89, "at once"),
        (10, "best bound"),
        (1.0, "which vector"),
        *others(0.3989 * 50, 100, 0.04, 7.979, 1.995, 79.79, 5, 3.9, 4.1, 0.1, 31.6, 12.6),
    ],
}
TELLS = {"05.1": "1.88", "05.2": "10.0", "05.3": "0.17", "05.6": "3.9"}


def test_the_answers_follow_from_the_library():
    """The numbers that the checks hold are those of the functions that the chapter teaches."""
    assert certificates.expected_norm(4) == pytest.approx(chi.mean(4))
    assert certificates.expected_norm(1) / 2 == pytest.approx(
        certificates.global_gradient_bound(1.0)
    )
