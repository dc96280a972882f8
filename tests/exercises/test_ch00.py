"""The checks of the refresher accept right answers, however written, and know the mistakes."""

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


RIGHT = {
    "00.1": [norm.cdf(1), 0.8413, (1 + sp.erf(1 / sp.sqrt(2))) / 2, 1 - norm.sf(1)],
    "00.2": [
        8 * (2 * np.pi) ** 1.5,
        126.0,
        (8 * sp.pi) ** sp.Rational(3, 2),
        norm.pdf(0, scale=2) ** -3,
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
    ],
    "00.4": [
        by_hand,
        lambda values: (np.mean(values), np.std(values, ddof=1) / len(values) ** 0.5),
        lambda values: [np.mean(values), sem(values)],
        lambda values: (
            statistics.fmean(values),
            statistics.stdev(map(float, values)) / np.sqrt(len(values)),
        ),
    ],
    "00.5": [(step, -0.1, 0.1), (saw, 0.99, 1), (list_step, 1.0, 0.9), (step, Fraction(1, 9), 0)],
    "00.6": [40_000, 40_000.0, sp.Integer(40_000), Fraction(2, Fraction(1, 100)) ** 2],
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
    ],
    "00.2": [
        ((2 * np.pi) ** 1.5, "volume"),
        (2 * (2 * np.pi) ** 1.5, "each coordinate"),
        ((2 * np.pi) ** 1.5 / 8, "upside down"),
        (8 * (2 * np.pi) ** 3, "power"),
        (1, "constant is missing"),
        (8, "compare"),
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
    ],
    "00.4": [
        (lambda values: (np.median(values), sem(values)), "first number"),
        (lambda values: (np.mean(values), np.std(values, ddof=1)), "one value"),
        (lambda values: (np.mean(values), np.var(values, ddof=1) / len(values)), "variance"),
        (lambda values: (np.mean(values), np.std(values) / np.sqrt(len(values))), "default"),
        (lambda values: (np.mean(values), np.std(values, ddof=1) / len(values)), "ten times"),
        (lambda values: (np.mean(values), 0.0), "square root"),
        (lambda values: np.mean(values), "pair"),
    ],
    "00.5": [
        ((steep_ramp, 0, 0.1), "more than a few"),
        ((step, 0.1, 0.2), "not steep enough"),
        ((lambda x: 5 * step(x), -0.1, 0.1), "between 0 and 1"),
        ((lambda x: 0.5, -0.1, 0.1), "one value a number"),
        (step, "triple"),
    ],
    "00.6": [
        (2_500, "not one"),
        (160_000, "largest variance"),
        (200, "square root"),
        (400, "not like one over n"),
        (1_000, "worst share"),
    ],
}
TELLS = {"00.1": "0.84", "00.2": "126", "00.6": "40"}
