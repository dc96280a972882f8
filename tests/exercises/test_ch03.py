"""The checks of chapter 3 accept right answers, however written, and know the common mistakes."""

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
from scipy.stats import chi, norm

from rslib.exercises import EXERCISES, check

check("03.1")
CHAPTER = sorted(name for name in EXERCISES if name.startswith("03."))
s_1, s_2 = sp.symbols("s_1 s_2")


def shares(base, x, sigma, num_classes, k, rng):
    return (
        np.bincount(base(x + sigma * rng.standard_normal((k, len(x)))), minlength=num_classes) / k
    )


def shares_by_comparison(base, x, sigma, num_classes, k, rng):
    labels = base(rng.normal(x, sigma, size=(k, len(x))))
    return [np.mean(labels == c) for c in range(num_classes)]


def shares_in_a_loop(base, x, sigma, num_classes, k, rng):
    total = sp.zeros(1, num_classes)
    for _ in range(k // 1000):
        z = rng.standard_normal((1000, x.size))
        total += sp.Matrix(np.eye(num_classes, dtype=int)[base(x - sigma * z)].sum(axis=0)).T
    return np.array(total).ravel() / k


def shares_by_covariance(base, x, sigma, num_classes, k, rng):
    points = rng.multivariate_normal(x, sigma**2 * np.eye(len(x)), size=k)
    return (base(points)[:, None] == np.arange(num_classes)).mean(axis=0)


def counts(base, x, sigma, num_classes, k, rng):
    return k * shares(base, x, sigma, num_classes, k, rng)


def one_draw(base, x, sigma, num_classes, k, rng):
    z = np.repeat(rng.standard_normal((1, len(x))), k, axis=0)
    return np.bincount(base(x + sigma * z), minlength=num_classes) / k


def without_sigma(base, x, sigma, num_classes, k, rng):
    return shares(base, x, 1.0, num_classes, k, rng)


def variance_for_deviation(base, x, sigma, num_classes, k, rng):
    return shares(base, x, sigma**2, num_classes, k, rng)


def root_for_deviation(base, x, sigma, num_classes, k, rng):
    return shares(base, x, sigma**0.5, num_classes, k, rng)


def without_x(base, x, sigma, num_classes, k, rng):
    return shares(base, 0 * x, sigma, num_classes, k, rng)


def one_number_a_vote(base, x, sigma, num_classes, k, rng):
    return np.bincount(base(x + sigma * rng.standard_normal((k, 1))), minlength=num_classes) / k


def uniform_noise(base, x, sigma, num_classes, k, rng):
    return np.bincount(base(x + sigma * rng.random((k, len(x)))), minlength=num_classes) / k


def missing_class(base, x, sigma, num_classes, k, rng):
    return np.bincount(base(x + sigma * rng.standard_normal((k, len(x))))) / k


def beyond(points):
    return (np.linalg.norm(points, axis=1) > 9).astype(int)


def beyond_by_squares(points):
    return np.where((points**2).sum(axis=1) > 81, 1, 0)


def beyond_in_a_loop(points):
    return [int(np.sqrt(point @ point) >= 9.2) for point in points]


def shell(points):
    lengths = np.sqrt(np.einsum("ij,ij->i", points, points))
    return ((lengths > 9) & (lengths < 12)).astype(np.int8)


RIGHT = {
    "03.1": [
        2 * norm.cdf(2) - 1,
        0.9545,
        Fraction(9544, 10000),
        Decimal("0.954"),
        sp.erf(sp.sqrt(2)),
    ],
    "03.2": [250_000, 250_000.0, 1 / (4 * 0.001**2), sp.Integer(500) ** 2, Fraction(500**2)],
    "03.3": [
        sp.sqrt(s_1**2 + s_2**2),
        np.hypot,
        lambda a, b: (a * a + b * b) ** 0.5,
        sp.Lambda((s_1, s_2), sp.sqrt(s_1**2 + s_2**2)),
        sp.sqrt(sp.Symbol("s_1", positive=True) ** 2 + s_2**2),
    ],
    "03.4": [shares, shares_by_comparison, shares_in_a_loop, shares_by_covariance],
    "03.5": [beyond, beyond_by_squares, beyond_in_a_loop, shell],
    "03.6": [np.exp(-(np.pi**2) / 2), 0.00719, sp.exp(-(sp.pi**2) / 2), Decimal("0.007192")],
}
# Each wrong answer with a word of the hint that it must get.
WRONG = {
    "03.1": [
        (norm.cdf(2), "two ends"),
        (0.6827, "another noise level"),
        (2 * norm.cdf(0.5) - 1, "divide"),
        (1, "may leave"),
        (0.5, "both ends"),
    ],
    "03.2": [
        (1_000_000, "not the least"),
        (500, "square root of k"),
        (250, "mind the square"),
        (1000, "mind the square"),
        (62_500, "largest value"),
        (249_000, "which p"),
    ],
    "03.3": [
        (s_1 + s_2, "do not add"),
        (s_1**2 + s_2**2, "variance"),
        (max, "not lost"),
        (s_1 * s_2, "added"),
        ((s_1 + s_2) / 2, "distribution"),
        (sp.Symbol("sigma"), "sigma"),
    ],
    "03.4": [
        (counts, "counts"),
        (one_draw, "fresh"),
        (without_sigma, "another size"),
        (variance_for_deviation, "another size"),
        (root_for_deviation, "another size"),
        (without_x, "shares at 0"),
        (one_number_a_vote, "every coordinate"),
        (uniform_noise, "mean 0"),
        (missing_class, "four classes"),
        (lambda *arguments: "many", "array of shares"),
        (lambda base, x, *rest: base(x), "takes points of shape"),
    ],
    "03.5": [
        (lambda points: np.zeros(len(points), dtype=int), "How long"),
        (lambda points: np.ones(len(points), dtype=int), "within a distance of 9"),
        (lambda points: (np.linalg.norm(points, axis=1) > 10.5).astype(int), "How long"),
        (lambda points: (np.abs(points).max(axis=1) > 2).astype(int), "within a distance of 9"),
        (lambda points: 2 * beyond(points), "must be 0 and 1"),
        (lambda points: 1, "one class a point"),
    ],
    "03.6": [
        (np.exp(-(np.pi**2)), "too large"),
        (np.exp(-np.pi / 2), "omega"),
        (np.exp(-0.5), "omega"),
        (np.exp(-(np.pi**2) / 2) / 2, "heights"),
        (0, "not zero"),
        (0.5, "split"),
    ],
}
TELLS = {"03.1": "0.95", "03.2": "250", "03.3": "sqrt", "03.6": "0.007"}


def test_the_answers_hold_in_a_simulation():
    """Smoothing twice and the share beyond nine; false alarm below 1e-6 (five standard errors)."""
    rng = np.random.default_rng(3)
    twice = 3 * rng.standard_normal(100_000) + 4 * rng.standard_normal(100_000)
    assert abs(np.mean(twice > 5) - norm.sf(1)) < 5 * np.sqrt(0.16 * 0.84 / 100_000)
    far = beyond(rng.standard_normal((10_000, 100))).mean()
    assert abs(far - chi.sf(9, 100)) < 5 * np.sqrt(0.08 * 0.92 / 10_000)
