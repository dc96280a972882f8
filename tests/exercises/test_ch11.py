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

# More answers, drawn from the text of the exercises alone.


def any_hint(*answers):
    """Wrong answers that no hint was written for."""
    return [(answer, "Hint: ") for answer in answers]


def distance_sorted(w, b, x, p):
    """The dual norm by hand, scaled so that no power overflows."""
    size = np.abs(w).max()
    if p == 1:
        return abs(float(w.dot(x)) + b) / size
    q = 1.0 if np.isinf(p) else p / (p - 1.0)
    return abs(np.sum(w * x) + b) / (size * np.sum((np.abs(w) / size) ** q) ** (1 / q))


def distance_in_one_formula(w, b, x, p):
    with np.errstate(divide="ignore"):
        q = np.divide(1, 1 - np.divide(1, p))
    return abs(np.linalg.norm(w, q) ** -1 * (x @ w + b))


def distance_by_scipy(w, b, x, p):
    """Minimise the length of a multiple of the step that attains equality, over its scale."""
    step = np.eye(len(w))[np.abs(w).argmax()] if p == 1 else np.ones(len(w))
    if p not in (1, np.inf):
        step = np.abs(w) ** (1 / (p - 1))
    step = np.sign(w) * step
    return np.linalg.norm((w @ x + b) / (w @ step) * step, p)


def dual_of_the_wrong_end(w, b, x, p):
    q = 1 if p == 1 else np.inf if np.isinf(p) else p / (p - 1)
    return abs(w @ x + b) / np.linalg.norm(w, q)


def squared(w, b, x, p):
    return distance(w, b, x, p) ** 2


def not_divided(w, b, x, p):
    return abs(w @ x + b)


def minus_b(w, b, x, p):
    return distance(w, -b, x, p)


def conjugate_by_sum(w, b, x, p):
    q = np.inf if p == 1 else 1 if np.isinf(p) else p / (p + 1)
    return abs(w @ x + b) / np.linalg.norm(w, q)


def multiplied(w, b, x, p):
    q = np.inf if p == 1 else 1 if np.isinf(p) else p / (p - 1)
    return abs(w @ x + b) * np.linalg.norm(w, q)


def converted_up(w, b, x, p):
    return euclidean(w, b, x, p) * len(w) ** (0.5 - 1 / p)


def of_the_point(w, b, x, p):
    return np.linalg.norm(x, p)


DRAWN_RIGHT = {
    "11.1": [
        0.13114,
        0.5 * 3072 ** (-1 / 6),
        Fraction(1311, 10_000),
        np.float32(0.1311),
        sp.Float("0.13114"),
        0.5 / 3072**0.5 * 3072 ** (1 / 3),
    ],
    "11.2": [
        1.5968,
        4 / 255 * 387.98 / 3.8115,
        6.086 / 3.8115,
        Decimal("1.597"),
        sp.Rational(4, 255) * sp.sqrt(150_528) / sp.Float("3.8115"),
        1.5967520,
    ],
    "11.3": [distance_sorted, distance_in_one_formula, distance_by_scipy]
    + [
        lambda w, b, x, p, of=of: np.float64(of(-w, -b, x, p))
        for of in (distance, distance_by_cases, distance_by_the_attack)
    ],
    "11.4": [
        (E1, E1),
        (5 * E1, 6.4 * E1),
        (-3 * np.eye(100)[99], -0.641 * np.eye(100)[99]),
        (E1[None, :], 0.65 * E1[None, :]),
        (E1 + 0.1 * ONES, 6 * E1),
        (list(1.0 / np.arange(1, 101)), list(6.3 * E1)),
    ],
    "11.5": [
        lambda p_a, h, d: 2 * h - 2 * h * (3 / 2 - p_a) ** (1 / d),
        lambda p_a, h, d: 2 * h * (1 - np.exp(np.log1p(0.5 - p_a) / d)),
        h * 2 * (1 - sp.root(sp.Rational(3, 2) - p_a, d)),
        2 * h * (1 - sp.exp(sp.log(1.5 - p_a) / d)),
        sp.simplify(2 * h * (1 - ((3 - 2 * p_a) / 2) ** (1 / d))),
        lambda share, width, dimension: width * 2 * (1 - (1 - (share - 0.5)) ** dimension**-1),
    ],
    "11.6": [
        (2 + 10) ** 0.5,
        3.4641,
        np.float32(3.4641),
        Fraction(34_641, 10_000),
        sp.sqrt(2 + 1 / (1 - sp.Rational(9, 10))),
        np.hypot(np.sqrt(2), np.sqrt(10)),
    ],
}
DRAWN_WRONG = {
    "11.1": any_hint(
        0.5 / 3072 ** (5 / 6),
        0.5 / 3072**3,
        0.5 / 3072 ** (1 / 12),
        0.5 / 3072,
        0.0090,
        3.8126,
        1 / 3.8126,
        0.25,
        0.132,
        0.125,
        -0.1311,
        1.906,
    ),
    "11.2": any_hint(
        3.8115,
        0.0157,
        8 / 255 * ROOT_D / CAP,
        4 / 255 * ROOT_D / 3.0902,
        4 / 255 * 55.43 / CAP,
        387.98,
        0.0411,
        2.0,
        1.58,
        1.61,
        407.2,
        -1.597,
    ),
    "11.3": any_hint(
        dual_of_the_wrong_end,
        squared,
        not_divided,
        minus_b,
        conjugate_by_sum,
        multiplied,
        converted_up,
        of_the_point,
        lambda w, b, x, p: 0.0,
        lambda w, b, x, p: distance(w, b, x, 2),
        lambda w, b, x, p: -distance(w, b, x, p),
    ),
    "11.4": any_hint(
        (E1, 0.64 * E1),
        (E1, 0.0 * E1),
        (E1, -0.65 * E1),
        (-E1, 0.65 * E1),
        (E1, 7 * E1),
        (ONES, 0.064 * ONES),
        (ONES, 6.4 * E1),
        (E1, 0.65 * np.eye(100)[1]),
        (E1, 0.064 * ONES),
        (E1, E1, E1),
        (E1, 0.65),
        0.65,
        (np.full(100, np.inf), E1),
    ),
    "11.5": any_hint(
        2 * h * (1 - (1 - p_a) ** (1 / d)),
        2 * h * (1 - (p_a - sp.Rational(1, 2)) ** (1 / d)),
        2 * h * (sp.Rational(3, 2) - p_a) ** (1 / d),
        h * (2 * p_a - 1) / sp.sqrt(d),
        2 * h * (p_a - sp.Rational(1, 2)) ** (1 / d),
        2 * h * (1 - (sp.Rational(3, 2) - p_a)) / d,
        2 * h * (1 - (2 - 2 * p_a) ** (1 / d)),
        2 * h * (1 - (sp.Rational(3, 2) - p_a) ** d),
        2 * h * (1 - (sp.Rational(3, 2) - p_a) ** (1 / (d + 1))),
        2 * (1 - (sp.Rational(3, 2) - p_a) ** (1 / d)),
        0.5,
        lambda p_a, h, d: 2 * h * (1 - (1.5 - p_a) ** (1 / 64)),
    ),
    "11.6": any_hint(
        np.sqrt(10),
        np.sqrt(11),
        np.sqrt(2 + 1 / 0.9),
        np.sqrt(2 + 9),
        1 + np.sqrt(10),
        np.sqrt(2) + np.sqrt(10),
        2.887,
        3.0,
        3.5,
        2.0,
        4.0,
        -3.464,
    ),
}
for _name in RIGHT:
    RIGHT[_name] += DRAWN_RIGHT[_name]
    WRONG[_name] += DRAWN_WRONG[_name]

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
