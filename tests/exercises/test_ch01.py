"""The checks of chapter 1 accept right answers, however written, and know the common mistakes."""

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
from scipy.optimize import linprog
from scipy.stats import beta, norm
from scipy.stats import t as student

from rslib.exercises import EXERCISES, check

check("01.1")
CHAPTER = sorted(name for name in EXERCISES if name.startswith("01."))


def linf(weights, bias, x):
    scores = weights @ x + bias
    top = scores.argmax()
    gaps = np.delete(scores[top] - scores, top)
    rates = np.delete(np.abs(weights[top] - weights).sum(axis=1), top)
    if gaps.min() == 0:
        return 0.0
    return min((g / r for g, r in zip(gaps, rates, strict=True) if r > 0), default=np.inf)


def linf_arrays(weights, bias, x):
    scores = weights @ x + bias
    order = np.argsort(scores)
    if scores[order[-1]] == scores[order[-2]]:
        return 0
    with np.errstate(divide="ignore"):
        radii = (scores.max() - scores[order[:-1]]) / np.linalg.norm(
            weights[order[-1]] - weights[order[:-1]], 1, axis=1
        )
    return radii.min()


def linf_by_linear_program(weights, bias, x):
    """The smallest t such that some |delta_i| <= t makes a rival catch up."""
    scores = weights @ x + bias
    top, d = int(scores.argmax()), len(x)
    best = np.inf
    for j in set(range(len(scores))) - {top}:
        v = weights[top] - weights[j]
        above = np.hstack([np.eye(d), -np.ones((d, 1))])
        below = np.hstack([-np.eye(d), -np.ones((d, 1))])
        catch_up = np.append(v, 0.0)[None]
        answer = linprog(
            np.append(np.zeros(d), 1.0),
            A_ub=np.vstack([above, below, catch_up]),
            b_ub=np.append(np.zeros(2 * d), scores[j] - scores[top]),
            bounds=[(None, None)] * d + [(0, None)],
        )
        best = min(best, answer.fun if answer.success else np.inf)
    return best


def linf_exact(weights, bias, x):
    """With fractions: a float is one."""
    rows = [[Fraction(w) for w in row] for row in weights.tolist()]
    point = [Fraction(value) for value in x.tolist()]
    scores = [
        sum(w * value for w, value in zip(row, point, strict=True)) + Fraction(b)
        for row, b in zip(rows, bias.tolist(), strict=True)
    ]
    top = max(range(len(scores)), key=lambda j: scores[j])
    radii = [float("inf")]
    for j in range(len(scores)):
        rate = sum(abs(a - b) for a, b in zip(rows[top], rows[j], strict=True))
        if j != top and (rate or scores[j] == scores[top]):
            radii.append((scores[top] - scores[j]) / rate if rate else 0)
    return min(radii)


def l2(weights, bias, x):
    return by_norm(weights, bias, x, 2)


def largest_entry(weights, bias, x):
    return by_norm(weights, bias, x, np.inf)


def by_norm(weights, bias, x, order):
    scores = weights @ x + bias
    top = scores.argmax()
    with np.errstate(all="ignore"):
        radii = (scores[top] - scores) / np.linalg.norm(weights[top] - weights, order, axis=1)
    return np.nanmin(np.delete(radii, top), initial=np.inf)


def edge_cases_forgotten(weights, bias, x):
    return max(by_norm(weights, bias, x, 1), 1e-3)


def runner_up_only(weights, bias, x):
    scores = weights @ x + bias
    second, top = np.argsort(scores)[-2:]
    rate = np.abs(weights[top] - weights[second]).sum()
    return (scores[top] - scores[second]) / rate if rate else np.inf


def winner_included(weights, bias, x):
    return 0.0


def hole(points):
    return (np.hypot(points[:, 0] - 0.05, points[:, 1]) < 1e-3).astype(int)


def ray(points):
    return np.where((points[:, 1] == 0) & (points[:, 0] > 0), 7, 3)


def single_point(points):
    return [int(tuple(point) == (0.0, 0.1)) for point in points]


def thin_ring(points):
    return np.abs(np.linalg.norm(points, axis=1) - 0.05) < 1e-7


def half_plane(points):
    return (points[:, 0] > 0.05).astype(int)


def others(*answers):
    """Wrong answers that no hint is written for."""
    return [(answer, "") for answer in answers]


def linf_loop(weights, bias, x):
    scores = [float(w @ x + b) for w, b in zip(weights, bias, strict=True)]
    top = scores.index(max(scores))
    best = float("inf")
    for j, score in enumerate(scores):
        rate = sum(abs(p - q) for p, q in zip(weights[top], weights[j], strict=True))
        if j == top:
            continue
        if score == scores[top]:
            return 0
        if rate:
            best = min(best, (scores[top] - score) / rate)
    return best


def linf_dual(weights, bias, x):
    """The worst change for each rival is -sign(v)."""
    scores = weights @ x + bias
    top = int(np.argmax(scores))
    radii = [np.inf]
    for j in set(range(len(bias))) - {top}:
        v = weights[top] - weights[j]
        fall = v @ np.sign(v)
        if scores[top] == scores[j]:
            radii.append(0.0)
        elif fall > 0:
            radii.append((scores[top] - scores[j]) / fall)
    return min(radii)


def linf_divided_by(factor):
    return lambda weights, bias, x: linf(weights, bias, x) / factor(len(x))


def coin(points):
    return np.random.default_rng().integers(0, 2, len(points))


def by_the_number_of_points(points):
    return np.full(len(points), int(len(points) == 1))


def by_the_place_in_the_array(points):
    found = np.zeros(len(points), dtype=int)
    found[0] = 1 - (points[0] == 0).all()
    return found


CHANCE = beta.sf(0.25, 0.5, 31.5) / 2
RIGHT = {
    "01.1": [
        0.6,
        Fraction(3, 5),
        sp.Rational(3, 5),
        3 / np.hypot(3, 4),
        np.float32(0.6),
        Decimal("0.6"),
        0.59999,
        min(2 / 2, 3 / 5),
        np.float64(3) / 5,
        sp.Integer(3) / 5,
        0.599,
    ],
    "01.2": [
        (0.25, 0.625),
        [Fraction(2, 8), Fraction(5, 8)],
        np.array([2, 5]) / 8,
        sp.Matrix([sp.Rational(1, 4), sp.Rational(5, 8)]),
        (1 / 4, 5 / 8),
        np.array([0.25, 0.625]),
        (sp.Rational(1, 4), 0.625),
        [Decimal("0.25"), Decimal("0.625")],
        (np.float32(0.25), np.float32(0.625)),
        (2 / 8, 0.6250),
    ],
    "01.3": [
        linf,
        linf_arrays,
        linf_by_linear_program,
        linf_exact,
        linf_loop,
        linf_dual,
        lambda weights, bias, x: np.float64(linf(weights, bias, x)),
        lambda weights, bias, x: np.array(linf_loop(weights, bias, x)),
        lambda W, b, point: min(linf(W, b, point), linf_dual(W, b, point)),
        lambda weights, bias, x: linf_dual(weights, bias - bias[0], x),
    ],
    "01.4": [
        ((0.249, 0.5), (0.002, 0)),
        (np.array([0.5, 0.25]), np.array([0.0, -0.005])),
        ([0.745, 0.0], [0.006, 0.008]),
        (sp.Matrix([0.2499, 0.6]), sp.Matrix([0.001, 0])),
        ((0.25, 0.5), (-0.001, 0.0)),
        ((0.7499, 0.0), (0.0002, 0)),
        ((0, 0.7499), (0, 0.0101 - 1e-3)),
        ((0.2499, 0.7), (0.0066, -0.0)),
        ([-0.2501, 1.0], [0.0002, 0.0]),
        (np.array([0.5, 0.2491]), np.array([0.001, 0.0012])),
    ],
    "01.5": [
        (hole, (0.05, 0)),
        (ray, [0.1, 0.0]),
        (single_point, np.array([0.0, 0.1])),
        (thin_ring, (0.03, 0.04)),
        (lambda p: (p[:, 0] == 0.05) & (p[:, 1] == 0), (0.05, 0)),
        (lambda p: np.where(np.hypot(p[:, 0], p[:, 1] - 0.02) < 1e-4, "b", "a"), (0, 0.02)),
        (lambda p: (np.abs(p - [0.06, 0.06]).max(axis=1) < 1e-4).astype(int), (0.06, 0.06)),
        (lambda p: np.where((np.abs(p[:, 1] - 0.03) < 1e-6), 4, 1), (0.0, 0.03)),
        (lambda p: np.isclose(p, [0.1, 0], atol=1e-9).all(axis=1).astype(float), (0.1, 0.0)),
        (hole, np.array([0.0505, 0.0])),
    ],
    "01.6": [
        1 / CHANCE,
        89_788,
        2 / beta.sf(1 / 4, 1 / 2, 63 / 2),
        # u_1 / sqrt((1 - u_1^2) / 63) has Student's distribution with 63 degrees of freedom
        1 / student.sf(0.5 / np.sqrt(0.75 / 63), 63),
        89_790,
        89_800,
        8.979e4,
        Fraction(89_788),
        1 / (beta.cdf(0.75, 31.5, 0.5) / 2),
        sp.Float(89_788.5),
    ],
}
# Each wrong answer with a word of the hint that it must get.
WRONG = {
    "01.1": [
        (1.0, "runner-up"),
        (2, "how fast"),
        (3, "how fast"),
        (3 / 7, "Euclidean"),
        (0.3, "factor 2"),
        (0.592, "sum of the lengths"),
        (2 / np.sqrt(5), "difference of their weights"),
        (0.5, "with each rival"),
        *others(0.66, 0.7, 3 / np.sqrt(8), 0.4, 0.2, 5, 3 / 25, 2 / 4, 1.5, 0.0, 0.601, 0.6011),
    ],
    "01.2": [
        ((0.625, 0.25), "smaller one"),
        ((2, 5), "share"),
        ((0.375, 0.625), "wrong answer"),
        ((0.25, 0.75), "wrong answer"),
        ((1 / 3, 5 / 6), "not of those"),
        ((0.125, 0.625), "exactly r covers"),
        ((0.25, 0.5), "too small"),
        ((0.25, 0.375), "finds nothing"),
        ((0.25, 1.0), "lower bound is right"),
        ((0.0, 1.0), "proved"),
        (0.25, "pair"),
        *others(
            (0.25, 0.75),
            (0.375, 0.5),
            (0.5, 0.625),
            (0.25, 0.7),
            (0.0, 0.625),
            (0.25, 0.25),
            (0.25, 0.6),
            (0.2, 0.6),
            (1 / 3, 0.625),
            (0.25, 5 / 6),
            (0.3, 0.3),
            [0.25],
        ),
    ],
    "01.3": [
        (l2, "Euclidean"),
        (largest_entry, "add up"),
        (runner_up_only, "second-best"),
        (winner_included, "winner itself"),
        (edge_cases_forgotten, "ordinary weights"),
        (lambda weights, bias, x: 1.0, "between -r and r"),
        (lambda x: 0.0, "raised TypeError"),
        *others(
            linf_divided_by(lambda d: 2),
            linf_divided_by(lambda d: d),
            linf_divided_by(lambda d: d**0.5),
            linf_divided_by(lambda d: -1),
            lambda weights, bias, x: linf(weights, 0 * bias, x),
            lambda weights, bias, x: linf(weights, bias, 0 * x),
            lambda weights, bias, x: np.ptp(weights @ x + bias),
            lambda weights, bias, x: l2(weights, bias, x) / np.sqrt(len(x)),
            lambda weights, bias, x: np.abs(weights).sum(axis=1).min(),
            lambda weights, bias, x: min(linf(weights, bias, x), 10.0),
            lambda weights, bias, x: linf(weights, bias, x) or 1e-9,
        ),
    ],
    "01.4": [
        (((0.1, 0.5), (0.005, 0.0)), "same one"),
        (((0.2, 0.5), (0.1, 0.0)), "too long"),
        (((0.249, 0.0), (0.002, 0.0)), "look at the sum"),
        (((0.249,), (0.002,)), "two finite numbers"),
        (0.249, "pair"),
        *others(
            ((0.249, 0.5), (0.02, 0.0)),
            ((0.0, 0.0), (0.01, 0)),
            ((0.249, 0.5), (0.0005, 0.0)),
            ((0.7501, 0.0), (0.005, 0.0)),
            ((0.249, 0.249), (0.002, 0.0)),
            ((1, 1), (-0.01, 0)),
            ((0.74, 0.0), (0.008, 0.008)),
            ((0.249, 0.5), 0.002),
            ((0.2, 0.5), (0.0, 0.0)),
            ((0.7499, 0.7), (0.001, 0.0)),
        ),
    ],
    "01.5": [
        ((half_plane, (0.08, 0)), "colleague"),
        ((hole, (0.02, 0)), "same as at x"),
        ((ray, (0.5, 0)), "too long"),
        ((lambda points: 0, (0.05, 0)), "one class a point"),
        ((hole, 0.05), "two finite numbers"),
        (hole, "pair"),
        ((coin, (0.05, 0)), ""),
        ((by_the_number_of_points, (0.05, 0)), ""),
        ((by_the_place_in_the_array, (0.05, 0)), "two answers"),
        *others(
            (lambda p: (p[:, 0] > 0.7).astype(int), (0.1, 0)),
            (lambda p: (np.hypot(*p.T) > 0.09).astype(int), (0.1, 0)),
            (lambda p: np.zeros(len(p)), (0.05, 0)),
            (lambda p: (np.hypot(*p.T) > 0.81).astype(int), (0.1, 0)),
            (hole, (0.05, 0.09)),
            (lambda p: (np.abs(p[:, 1]) < 0.01).astype(int) - 1, (0, 0.05)),
            (ray, (0.0, 0.1)),
        ),
    ],
    "01.6": [
        (CHANCE, "how many tries"),
        (2 * CHANCE, "how many tries"),
        (0.5 / CHANCE, "point away"),
        (1 / norm.sf(4), "Beta"),
        (3, "plane"),
        (1000, "which u_1"),
        *others(89_000, 91_000, 90_500, 44_894, 179_577, 31_574, 64, 2**64, 100, 1e6, 4, 0.5),
    ],
}
TELLS = {"01.1": "0.6", "01.2": "0.625", "01.3": "sum", "01.4": "0.25", "01.6": "89"}


def test_the_random_points_do_not_favour_an_answer():
    """A hole of radius 0.05 is found: 1,000 points miss it with probability 0.02 only."""
    big_hole = lambda points: (np.hypot(points[:, 0] - 0.06, points[:, 1]) < 0.05).astype(int)  # noqa: E731
    assert not check("01.5", (big_hole, (0.06, 0.0))).correct
