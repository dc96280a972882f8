"""The checks of chapter 11 accept right answers, however written, and know the common mistakes."""

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
from scipy.optimize import linprog, minimize_scalar
from scipy.stats import norm

from rslib import certificates
from rslib.exercises import EXERCISES, check

check("11.1")
CHAPTER = sorted(name for name in EXERCISES if name.startswith("11."))
p_a, h, d = sp.symbols("p_a h d")
CAP = certificates.max_certified_radius(100_000, 0.001, 1.0)
ROOT_D = np.sqrt(150_528)
DISTANCE = 0.5 * norm.ppf(0.9)
E1, ONES = np.eye(100)[0], np.ones(100)


def distance(w, b, x, p):
    q = np.inf if p == 1 else 1 if p == np.inf else p / (p - 1)
    return abs(w @ x + b) / np.linalg.norm(w, q)


def distance_by_cases(w, b, x, p):
    gap = abs(sum(wi * xi for wi, xi in zip(w, x, strict=True)) + b)
    if p == 1:
        return gap / max(abs(w))
    if p == float("inf"):
        return gap / sum(abs(w))
    q = 1 / (1 - 1 / p)
    return gap / sum(abs(w) ** q) ** (1 / q)


def distance_by_the_attack(w, b, x, p):
    """The length of the step that attains Hölder's inequality."""
    gap = -(np.dot(w, x) + b)
    if p == 1:
        step = np.eye(len(w))[np.argmax(np.abs(w))] * np.sign(w)
    elif p == np.inf:
        step = np.sign(w)
    else:
        step = np.sign(w) * np.abs(w) ** (1 / (p - 1))
    return np.linalg.norm(step * gap / (w @ step), p)


def distance_as_sympy(w, b, x, p):
    return sp.Float(distance(w, b, x, p))


def signed(w, b, x, p):
    q = np.inf if p == 1 else 1 if p == np.inf else p / (p - 1)
    return (w @ x + b) / np.linalg.norm(w, q)


def same_norm(w, b, x, p):
    return abs(w @ x + b) / np.linalg.norm(w, p)


def euclidean(w, b, x, p):
    return abs(w @ x + b) / np.linalg.norm(w)


def converted(w, b, x, p):
    return certificates.lp_radius(euclidean(w, b, x, p), len(w), float(p))


def without_b(w, b, x, p):
    return distance(w, 0.0, x, p)


def cube(p_a, h, d):
    return 2 * h * (1 - (1.5 - p_a) ** (1 / d))


def cube_by_logarithms(p_a, h, d):
    return -2 * h * np.expm1(np.log(1.5 - p_a) / d)


RIGHT = {
    "11.1": [
        0.5 / 3.8126,
        0.1311,
        certificates.lp_radius(0.5, 3072, 3),
        Decimal("0.1311"),
        sp.Rational(1, 2) / sp.Integer(3072) ** sp.Rational(1, 6),
    ],
    "11.2": [4 / 255 * ROOT_D / CAP, 1.597, Fraction(1597, 1000), np.float32(1.5968)],
    "11.3": [distance, distance_by_cases, distance_by_the_attack, distance_as_sympy],
    "11.4": [
        (E1, 0.65 * E1),
        [3 * np.eye(100)[7], 0.7 * np.eye(100)[7]],
        (list(-E1), list(-6 * E1)),
        (np.eye(100)[2] + np.eye(100)[3], 2.0 * np.eye(100)[3]),
        (0.9 ** np.arange(100), 6.0 * E1),
    ],
    "11.5": [
        2 * h * (1 - (sp.Rational(3, 2) - p_a) ** (1 / d)),
        sp.Symbol("h", positive=True) * (2 - 2 * (1.5 - sp.Symbol("p_a", real=True)) ** (1 / d)),
        cube,
        cube_by_logarithms,
        sp.Lambda((p_a, h, d), 2 * h - 2 * h * sp.exp(sp.log(sp.Rational(3, 2) - p_a) / d)),
    ],
    "11.6": [np.sqrt(12), 3.464, sp.sqrt(12), 2 * sp.sqrt(3), Decimal("3.4641")],
}
# Each wrong answer with a word of the hint that it must get.
WRONG = {
    "11.1": [
        (0.5 * 3.8126, "divide"),
        (0.5 / np.sqrt(3072), "infinity"),
        (0.5 / 3072 ** (1 / 3), "two fractions"),
        (0.5, "at most 2"),
        (0.2, "power of d"),
    ],
    "11.2": [
        (6.086, "one sigma"),
        (4 * ROOT_D / CAP, "input units"),
        (4 / 255 / CAP, "dimension"),
        (4 / 255 * 150_528 / CAP, "exponent"),
        (4 / 255 * ROOT_D * CAP, "solve"),
        (1.0, "unanimous"),
    ],
    "11.3": [
        (signed, "never negative"),
        (same_norm, "not the norm"),
        (euclidean, "every p"),
        (converted, "lower bound"),
        (without_b, "what about b"),
        (lambda w, b, x, p: 1.0, "Hölder"),
        (lambda w, x: 1.0, "raised TypeError"),
    ],
    "11.4": [
        (
            (ONES, 1.01 * DISTANCE / 10 * ONES),
            "not below",
        ),
        ((E1, 6.5 * E1), "not below"),
        ((E1, -0.7 * E1), "towards"),
        ((E1, 0.5 * E1), "spent best"),
        ((ONES, 6.4 * E1), "another u"),
        ((0 * E1, E1), "zero vector"),
        ((E1[:5], E1[:5]), "pair"),
    ],
    "11.5": [
        (h * (1 - (sp.Rational(3, 2) - p_a) ** (1 / d)), "edge"),
        (h * (2 * p_a - 1), "one dimension"),
        (h * (2 * p_a - 1) / d, "product"),
        (-2 * h * sp.log(sp.Rational(3, 2) - p_a) / d, "logarithm"),
        (2 * h * (1 - p_a ** (1 / d)), "one half"),
        (lambda p_a, h, d: h / np.sqrt(3 * d) * norm.ppf(p_a), "Gaussian"),
        (sp.Symbol("s") * p_a, "s."),
        (h * p_a, "all coordinates"),
    ],
    "11.6": [
        (4.0, "Cantelli"),
        (norm.ppf(0.9), "Gaussian"),
        (12.0, "square"),
        (5.0, "more than"),
        (3.0, "further apart"),
        (3.8, "how many values"),
    ],
}
TELLS = {"11.1": "0.131", "11.2": "1.59", "11.4": "one entry", "11.5": "1 / d", "11.6": "3.46"}


def test_the_radius_in_the_cube_is_where_the_overlap_leaves_one_half():
    """Exercise 11.5 against its definition: the share that is left after the worst step."""
    for d in (1, 3, 20):
        r = cube(0.9, 0.7, d)
        lost = 1 - (1 - r / 1.4) ** d
        assert np.isclose(0.9 - lost, 0.5)


def test_the_best_factor_solves_the_optimisation_problem():
    """Exercise 11.6 against a linear program over distributions on a grid.

    For a given gap the least variance is found over all distributions on 201 points with median
    at most a = 0 and the upper share at b = 1; the factor is gap / standard deviation.
    """
    points = np.linspace(-2, 3, 201)

    def least_second_moment(mean):
        at_most_a, at_least_b = points <= 1e-12, points >= 1 - 1e-12
        return linprog(
            (points - mean) ** 2,
            A_ub=-np.array([at_most_a, at_least_b], dtype=float),
            b_ub=[-0.5, -0.1],
            A_eq=np.array([np.ones_like(points), points]),
            b_eq=[1.0, mean],
        ).fun

    best = minimize_scalar(least_second_moment, bounds=(0.05, 0.5), method="bounded")
    assert np.isclose(1 / np.sqrt(best.fun), np.sqrt(12), rtol=2e-3)
