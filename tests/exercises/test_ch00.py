"""The checks of the refresher accept right answers, however written, and know the mistakes."""

import math
import statistics
from fractions import Fraction

import numpy as np
import sympy as sp
from answers import (
    test_common_mistakes_get_their_hint,  # noqa: F401
    test_every_exercise_has_answers_to_test,  # noqa: F401
    test_no_hint_tells_the_answer,  # noqa: F401
    test_right_answers_are_accepted,  # noqa: F401
)
from scipy.integrate import quad
from scipy.stats import norm, sem

from rslib.exercises import EXERCISES, check

check("00.1")
CHAPTER = sorted(name for name in EXERCISES if name.startswith("00."))


def by_hand(values):
    n = len(values)
    mean = sum(values) / n
    variance = sum((value - mean) ** 2 for value in values) / (n - 1)
    return mean, (variance / n) ** 0.5


def step(x):
    return np.where(x > 0, 1.0, 0.0)


def saw(x):
    return x - np.floor(x)


def list_step(x):
    return [0.25 if value < 1 else 0.75 for value in x]


def steep_ramp(x):
    return np.clip(10 * x, 0, 1)


def stairs(x):
    return np.clip(np.floor(3 * x) / 4, 0, 1)


def sigmoid_at(place, sharpness):
    return lambda x: 0.5 + 0.5 * np.tanh(sharpness * (np.asarray(x) - place))


def two_pass(values):
    total = 0.0
    for value in values:
        total += value
    mean = total / len(values)
    spread = sum((value - mean) ** 2 for value in values)
    return mean, math.sqrt(spread / (len(values) * (len(values) - 1)))


def needs_an_array(values):
    return values.mean(), values.std(ddof=1) / np.sqrt(len(values))


def others(*answers):
    """Wrong answers that no hint is written for."""
    return [(answer, "") for answer in answers]


RIGHT = {
    "00.1": [
        norm.cdf(1),
        0.8413,
        (1 + sp.erf(1 / sp.sqrt(2))) / 2,
        1 - norm.sf(1),
        Fraction(8413, 10_000),
        norm(1, 5).cdf(6),
        norm.cdf(6, 1, 5),
        0.84134475,
        0.5 + math.erf(2**-0.5) / 2,
        sp.N(sp.erf(sp.sqrt(2) / 2) / 2 + 0.5),
    ],
    "00.2": [
        8 * (2 * np.pi) ** 1.5,
        126.0,
        (8 * sp.pi) ** sp.Rational(3, 2),
        norm.pdf(0, scale=2) ** -3,
        (8 * math.pi) ** 1.5,
        125.99,
        np.float64(126),
        (2 * np.sqrt(2 * np.pi)) ** 3,
        sp.sqrt(512) * sp.pi ** sp.Rational(3, 2),
        16 * math.sqrt(2) * math.pi**1.5,
    ],
    "00.3": [
        lambda x, sigma: norm.cdf((1 - x) / sigma) - norm.cdf((-1 - x) / sigma),
        lambda x, sigma: norm.cdf((x + 1) / sigma) - norm.cdf((x - 1) / sigma),
        lambda x, sigma: norm.cdf(1, x, sigma) - norm.cdf(-1, x, sigma),
        lambda x, sigma: (
            sp.integrate(
                sp.exp(-(sp.Symbol("w") ** 2) / 2),
                (sp.Symbol("w"), (-1 - x) / sigma, (1 - x) / sigma),
            ).evalf()
            / np.sqrt(2 * np.pi)
        ),
        lambda x, s: norm.sf((-1 - x) / s) - norm.sf((1 - x) / s),
        lambda x, s: round(float(norm.cdf((1 - x) / s) - norm.cdf((-1 - x) / s)), 6),
        lambda x, s: 1 - norm.cdf((x - 1) / s) - norm.sf((x + 1) / s),
        lambda x, s: (math.erf((1 - x) / s / 2**0.5) + math.erf((1 + x) / s / 2**0.5)) / 2,
        lambda x, s: float(np.diff(norm(x, s).cdf([-1, 1]))[0]),
        lambda x, s: norm(loc=x, scale=s).cdf(1) - norm(loc=x, scale=s).cdf(-1),
        lambda x, s: quad(lambda w: norm.pdf(x - w, scale=s), -1, 1, points=[max(-1, min(x, 1))])[
            0
        ],
    ],
    "00.4": [
        by_hand,
        lambda values: (np.mean(values), np.std(values, ddof=1) / len(values) ** 0.5),
        lambda values: [np.mean(values), sem(values)],
        lambda values: (
            statistics.fmean(values),
            statistics.stdev(map(float, values)) / np.sqrt(len(values)),
        ),
        two_pass,
        lambda values: (np.mean(values), np.sqrt(np.cov(values) / len(values))),
        lambda values: (np.average(values), np.std(values) / np.sqrt(len(values) - 1)),
        lambda values: np.array([np.mean(values), sem(values)]),
        lambda values: (statistics.mean(map(float, values)), float(sem(values, ddof=1))),
        lambda values: (sum(values) / len(values), np.sqrt(np.var(values, ddof=1) / len(values))),
    ],
    "00.5": [
        (step, -0.1, 0.1),
        (saw, 0.99, 1),
        (list_step, 1.0, 0.9),
        (step, Fraction(1, 9), 0),
        (lambda x: np.heaviside(x, 0.5), -0.2, 0.2),
        (lambda x: (np.sign(x) + 1) / 2, 0.0, 1e-3),
        (stairs, 0.3, 0.4),
        (lambda x: np.where(x < 0, 0.2, 0.9), -1e-6, 1e-6),
        (lambda x: x % 1, 0.999, 1.001),
        (lambda x: np.where(np.abs(x) < 1, np.abs(x) / 2, 0), 1.01, 0.99),
        (lambda x: np.clip(x, 0, 1) * (x < 0.7), 0.69, 0.71),
    ],
    "00.6": [
        40_000,
        40_000.0,
        sp.Integer(40_000),
        Fraction(2, Fraction(1, 100)) ** 2,
        (4 * 0.5 / 0.01) ** 2,
        np.int64(40_000),
        4e4,
        16 * 0.25 / 0.01**2,
        sp.Integer(200) ** 2,
        (2 / 0.01) ** 2,
    ],
}
# Each wrong answer with a word of the hint that it must get.
WRONG = {
    "00.1": [
        (1, "standard deviations"),
        (norm.cdf(5 / 7), "add up"),
        (norm.cdf(0.2), "not by the variance"),
        (norm.cdf(5), "spread"),
        (norm.cdf(1.2), "mean"),
        (norm.sf(1), "other side"),
        (0.5, "find its mean"),
        *others(0.8, 0.68, 0.9772, 0.5793, 0.8849, -1, 5, 0.6915, 0.2, norm.pdf(1), 0.95),
    ],
    "00.2": [
        ((2 * np.pi) ** 1.5, "volume"),
        (2 * (2 * np.pi) ** 1.5, "each coordinate"),
        ((2 * np.pi) ** 1.5 / 8, "upside down"),
        (8 * (2 * np.pi) ** 3, "power"),
        (1, "constant is missing"),
        (8, "compare"),
        *others(2, 15.75, 31.5, 63.0, 50.27, 100.5, 248.05, 1984.4, 12.57, np.pi**1.5, 5.01),
    ],
    "00.3": [
        (lambda x, sigma: norm.cdf((-1 - x) / sigma) - norm.cdf((1 - x) / sigma), "negative"),
        (lambda x, sigma: norm.cdf(1 - x) - norm.cdf(-1 - x), "where is sigma"),
        (
            lambda x, sigma: norm.cdf((1 - x) / sigma**2) - norm.cdf((-1 - x) / sigma**2),
            "already",
        ),
        (lambda x, sigma: norm.cdf((1 - x) / sigma), "lower end"),
        (lambda x, sigma: norm.cdf((1 - x) * sigma) - norm.cdf((-1 - x) * sigma), "flatter"),
        (lambda x, sigma: 0.5, "for which z"),
        (0.5, "function"),
        *others(
            lambda x, s: norm.cdf(1 / s) - norm.cdf(-1 / s),
            lambda x, s: 2 * norm.cdf((1 - x) / s) - 1,
            lambda x, s: norm.cdf((1 - abs(x)) / s),
            lambda x, s: norm.cdf(x / s),
            lambda x, s: norm.pdf((1 - x) / s) - norm.pdf((-1 - x) / s),
            lambda x, s: float(abs(x) <= 1),
            lambda x, s: norm.cdf(x + 1, 0, s) + norm.cdf(x - 1, 0, s),
            lambda x, s: norm.cdf((x + 1) / s) * norm.cdf((1 - x) / s),
            lambda x, s: norm.cdf((1 - x) / 0.5) - norm.cdf((-1 - x) / 0.5),
            lambda x, s: np.exp(-(x**2) / 2 / s**2),
        ),
    ],
    "00.4": [
        (lambda values: (np.median(values), sem(values)), "first number"),
        (lambda values: (np.mean(values), np.std(values, ddof=1)), "one value"),
        (lambda values: (np.mean(values), np.var(values, ddof=1) / len(values)), "variance"),
        (lambda values: (np.mean(values), np.std(values) / np.sqrt(len(values))), "default"),
        (lambda values: (np.mean(values), np.std(values, ddof=1) / len(values)), "ten times"),
        (lambda values: (np.mean(values), 0.0), "compared with"),
        (lambda values: np.mean(values), "pair"),
        (needs_an_array, "AttributeError"),
        (lambda values: needs_an_array(np.sort(values)[1:] if len(values) > 2 else values), ""),
        *others(
            lambda values: (np.mean(values), sem(values, ddof=0)),
            lambda values: (np.mean(values), np.std(values, ddof=1) / np.sqrt(len(values) - 1)),
            lambda values: (sem(values), np.mean(values)),
            lambda values: (np.mean(values), np.std(values, ddof=1) / np.sqrt(100)),
            lambda values: (np.sum(values), sem(values)),
            lambda values: (np.mean(values), np.ptp(values) / np.sqrt(len(values))),
            lambda values: (np.mean(values), np.abs(values - np.mean(values)).mean()),
            lambda values: (np.mean(values), sem(values), len(values)),
            lambda values: (np.mean(values), 1 / np.sqrt(len(values))),
        ),
    ],
    "00.5": [
        ((steep_ramp, 0, 0.1), "more than a few"),
        ((step, 0.1, 0.2), "not steep enough"),
        ((lambda x: 5 * step(x), -0.1, 0.1), "lie in [0, 1]"),
        ((lambda x: 0.5, -0.1, 0.1), "one value a point"),
        (step, "triple"),
        ((sigmoid_at(0, 1e4), -0.1, 0.1), "large derivative"),
        ((sigmoid_at(0.5, 1e6), 0.49, 0.51), "large derivative"),
        *others(
            (sigmoid_at(0.3, 10), 0.2, 0.4),
            (lambda x: np.clip(1e6 * x, 0, 1), 0, 1e-6),
            (lambda x: np.clip(1e9 * (x - 0.3), 0, 1), 0.29, 0.31),
            (lambda x: np.sqrt(np.minimum(np.abs(x), 1)), 0, 0.01),
            (lambda x: np.cbrt(np.clip(x, -1, 1)) / 2 + 0.5, -0.001, 0.001),
            (lambda x: (np.sin(1000 * x) + 1) / 2, 0, 0.001),
            (lambda x: norm.cdf(x / 1e-5), -1e-4, 1e-4),
            (lambda x: np.exp(-((x / 1e-3) ** 2)), 0, 0.01),
            (lambda x: np.floor(1000 * x) % 2, 0.0005, 0.0015),
            (step, 0, 0),
            (lambda x: np.clip(np.abs(x), 0, 1), -0.1, 0.1),
            (lambda x: x, 0, 1),
        ),
    ],
    "00.6": [
        (2_500, "not one"),
        (160_000, "largest variance"),
        (200, "square root"),
        (400, "not like one over n"),
        (1_000, "worst share"),
        *others(39_999, 40_001, 39_990, 10_000, 20_000, 100, 25_000, 1_600, 4_000, 0.01, 400_000),
    ],
}
TELLS = {"00.1": "0.84", "00.2": "126", "00.6": "40"}
