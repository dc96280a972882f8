"""The checks of chapter 3 accept right answers, however written, and know the common mistakes."""

import math
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


def with_own_generator(base, x, sigma, num_classes, k, rng):
    return shares(base, x, sigma, num_classes, k, np.random.default_rng())


def with_a_fixed_seed(base, x, sigma, num_classes, k, rng):
    return shares(base, x, sigma, num_classes, k, np.random.default_rng(0))


def with_the_chapters_sigma(base, x, sigma, num_classes, k, rng):
    return shares(base, x, 0.7, num_classes, k, rng)


def with_a_number_of_its_own(base, x, sigma, num_classes, k, rng):
    return shares(base, x, sigma, num_classes, 10_000, rng)


def four_classes(base, x, sigma, num_classes, k, rng):
    return np.bincount(base(x + sigma * rng.standard_normal((k, 3))), minlength=4) / k


def half_the_votes(base, x, sigma, num_classes, k, rng):
    z = rng.standard_normal((k // 2, len(x)))
    both = np.concatenate([base(x + sigma * z), base(x - sigma * z)])
    return np.bincount(both, minlength=num_classes) / k


def shares_one_by_one(base, x, sigma, num_classes, k, rng):
    found = np.zeros(num_classes)
    for _ in range(10):
        found += shares(base, x, sigma, num_classes, k // 10, rng)
    return found / 10


def votes_with_numpys_unique(base, x, sigma, num_classes, k, rng):
    classes, counts = np.unique(base(x + rng.normal(0, sigma, (k, len(x)))), return_counts=True)
    found = np.zeros(num_classes)
    found[classes] = counts
    return found / counts.sum()


def shares_as_fractions(base, x, sigma, num_classes, k, rng):
    labels = base(x + sigma * rng.standard_normal((k, len(x))))
    return [Fraction(int(np.sum(labels == c)), k) for c in range(num_classes)]


def by_the_sum_of_sizes(points):
    return (np.abs(points).sum(axis=1) > 75).astype(int)


def by_the_first_half(points):
    return (np.linalg.norm(points[:, :50], axis=1) > 6.9).astype(int)


def by_the_third_largest(points):
    return (np.sort(np.abs(points), axis=1)[:, -3] > 2.1).astype(int)


def by_the_number_of_large(points):
    return (np.sum(np.abs(points) > 0.9, axis=1) > 30).astype(int)


def beyond(points):
    return (np.linalg.norm(points, axis=1) > 9).astype(int)


def beyond_by_squares(points):
    return np.where((points**2).sum(axis=1) > 81, 1, 0)


def beyond_in_a_loop(points):
    return [int(np.sqrt(point @ point) >= 9.2) for point in points]


def shell(points):
    lengths = np.sqrt(np.einsum("ij,ij->i", points, points))
    return ((lengths > 9) & (lengths < 12)).astype(np.int8)


def others(*answers):
    """Wrong answers that no hint is written for."""
    return [(answer, "") for answer in answers]


RIGHT = {
    "03.1": [
        2 * norm.cdf(2) - 1,
        0.9545,
        Fraction(9544, 10000),
        Decimal("0.954"),
        sp.erf(sp.sqrt(2)),
        0.95450,
        norm.cdf(2) - norm.cdf(-2),
        math.erf(2**0.5),
        1 - 2 * norm.sf(2),
        0.9544,
        sp.N(sp.erf(sp.sqrt(2))),
    ],
    "03.2": [
        250_000,
        250_000.0,
        1 / (4 * 0.001**2),
        sp.Integer(500) ** 2,
        Fraction(500**2),
        500**2,
        2.5e5,
        np.int64(250_000),
        (1 / 0.002) ** 2,
        0.25 / 0.001**2,
        Decimal(250_000),
    ],
    "03.3": [
        sp.sqrt(s_1**2 + s_2**2),
        np.hypot,
        lambda a, b: (a * a + b * b) ** 0.5,
        sp.Lambda((s_1, s_2), sp.sqrt(s_1**2 + s_2**2)),
        sp.sqrt(sp.Symbol("s_1", positive=True) ** 2 + s_2**2),
        (s_1**2 + s_2**2) ** 0.5,
        lambda s_1, s_2: math.sqrt(s_1**2 + s_2**2),
        lambda a, b: np.linalg.norm([a, b]),
        abs(sp.Symbol("s_1", positive=True) + sp.I * sp.Symbol("s_2", positive=True)),
        s_1 * sp.sqrt(1 + (s_2 / s_1) ** 2),
        lambda a, b: abs(complex(a, b)),
    ],
    "03.4": [
        shares,
        shares_by_comparison,
        shares_in_a_loop,
        shares_by_covariance,
        votes_with_numpys_unique,
        shares_one_by_one,
        shares_as_fractions,
        lambda base, x, s, K, k, rng: shares(base, x, -s, K, k, rng),
        lambda *arguments: shares(*arguments).tolist(),
        lambda base, x, sigma, num_classes, k, rng: (
            np.bincount(base(x + rng.normal(scale=sigma, size=(k, x.size))), minlength=num_classes)
            / k
        ),
    ],
    "03.5": [
        beyond,
        beyond_by_squares,
        beyond_in_a_loop,
        shell,
        lambda points: np.linalg.norm(points, axis=1) > 9.5,
        lambda points: (np.linalg.norm(points, axis=1) >= 9).astype(float),
        lambda points: 1 - (np.sum(points**2, axis=1) <= 81),
        lambda points: (np.hypot.reduce(points, axis=1) > 9).astype(int),
        lambda points: np.where(np.linalg.norm(points, axis=-1) < 9.0001, 0, 1),
        lambda points: (np.sqrt(np.mean(points**2, axis=1)) > 0.92).astype(int),
    ],
    "03.6": [
        np.exp(-(np.pi**2) / 2),
        0.00719,
        sp.exp(-(sp.pi**2) / 2),
        Decimal("0.007192"),
        math.exp(-(math.pi**2) / 2),
        7.19e-3,
        0.007192,
        norm.pdf(np.pi) / norm.pdf(0),
        sp.N(sp.exp(-(sp.pi**2) / 2)),
        float(sp.exp(-(sp.pi**2) / 2)),
    ],
}
# Each wrong answer with a word of the hint that it must get.
WRONG = {
    "03.1": [
        (norm.cdf(2), "two ends"),
        (0.6827, "another noise level"),
        (2 * norm.cdf(0.5) - 1, "divide"),
        (1, "may leave"),
        (0.5, "both ends"),
        *others(0.8413, 0.6915, 0.9772, 0.383, 0.9545**2, 0.84, 0.0228, 0.9973, 2, 0.8664, 0.4772),
    ],
    "03.2": [
        (1_000_000, "not the least"),
        (500, "square root of k"),
        (250, "mind the square"),
        (1000, "mind the square"),
        (62_500, "largest value"),
        (249_000, "which p"),
        (249_999, "exactly"),
        *others(
            250_001, 249_900, 2_500, 25_000, 2_500_000, 125_000, 62_500, 1, 0.001, 333_333, 251_000
        ),
    ],
    "03.3": [
        (s_1 + s_2, "do not add"),
        (s_1**2 + s_2**2, "variance"),
        (max, "not lost"),
        (s_1 * s_2, "added"),
        ((s_1 + s_2) / 2, "distribution"),
        (sp.Symbol("sigma"), "sigma"),
        *others(
            sp.sqrt(s_1 + s_2),
            sp.sqrt(s_1 * s_2),
            sp.sqrt(s_1**2 + s_2**2) / 2,
            s_1,
            s_2,
            sp.sqrt(2) * s_1,
            1 / sp.sqrt(1 / s_1**2 + 1 / s_2**2),
            sp.sqrt((s_1**2 + s_2**2) / 2),
            (s_1**3 + s_2**3) ** sp.Rational(1, 3),
            sp.Abs(s_1 - s_2),
            min,
            s_1**2 * s_2**2,
        ),
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
        (missing_class, "4 classes"),
        (lambda *arguments: "many", "array of shares"),
        (lambda base, x, *rest: base(x), "takes points of shape"),
        (with_own_generator, "rng"),
        (with_a_fixed_seed, "rng"),
        (with_the_chapters_sigma, "noise level"),
        (with_a_number_of_its_own, "number of votes"),
        (four_classes, "classes"),
        (
            lambda base, x, sigma, K, k, rng: shares(base, x, sigma, K, k // 2, rng),
            "base was asked about",
        ),
        *others(
            lambda base, x, sigma, K, k, rng: shares(base, x + 0.1, sigma, K, k, rng),
            lambda base, x, sigma, K, k, rng: shares(base, x, 2 * sigma, K, k, rng),
            lambda base, x, sigma, K, k, rng: shares(base, -x, sigma, K, k, rng),
            lambda base, x, sigma, K, k, rng: shares(base, x, sigma, K, k, rng).argmax(),
            lambda base, x, sigma, K, k, rng: shares(base, x, sigma, K, k, rng)[::-1],
            lambda base, x, sigma, K, k, rng: np.full(K, 1 / K),
            lambda base, x, sigma, K, k, rng: shares(base, x, sigma, K, k + 1, rng),
        ),
    ],
    "03.5": [
        (lambda points: np.zeros(len(points), dtype=int), "How long"),
        (lambda points: np.ones(len(points), dtype=int), "within a distance of 9"),
        (lambda points: (np.linalg.norm(points, axis=1) > 10.5).astype(int), "How long"),
        (lambda points: (np.abs(points).max(axis=1) > 2).astype(int), "within a distance of 9"),
        (lambda points: 2 * beyond(points), "must be 0 and 1"),
        (lambda points: 1, "one class a point"),
        (by_the_sum_of_sizes, "within a distance of 9"),
        (by_the_first_half, "within a distance of 9"),
        (by_the_third_largest, "within a distance of 9"),
        (by_the_number_of_large, "within a distance of 9"),
        *others(
            lambda points: (points[:, 0] > 0).astype(int),
            lambda points: (np.linalg.norm(points, axis=1) > 8.9).astype(int),
            lambda points: (np.linalg.norm(points, axis=1) > 9.98).astype(int),
            lambda points: (np.linalg.norm(points, axis=1) < 9).astype(int),
            lambda points: (np.sum(points**2, axis=1) > 9).astype(int),
            lambda points: (np.linalg.norm(points, axis=1) > 90).astype(int),
            lambda points: (np.abs(points) > 9).any(axis=1).astype(int),
            lambda points: (np.linalg.norm(points[:, 1:], axis=1) > 8.9).astype(int),
            lambda points: (np.mean(np.abs(points), axis=1) > 0.75).astype(int),
        ),
    ],
    "03.6": [
        (np.exp(-(np.pi**2)), "too large"),
        (np.exp(-np.pi / 2), "omega"),
        (np.exp(-0.5), "omega"),
        (np.exp(-(np.pi**2) / 2) / 2, "heights"),
        (0, "not zero"),
        (0.5, "split"),
        *others(1, 0.0432, 0.2079, 0.0846, 7.2, 0.00359, 1e-3, 0.0072**2, 0.0144, -0.00719, 0.085),
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
