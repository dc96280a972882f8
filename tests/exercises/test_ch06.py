"""The checks of chapter 6 accept right answers, however written, and know the common mistakes."""

import math
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
from scipy.optimize import linprog
from scipy.stats import norm

from rslib import certificates
from rslib.exercises import EXERCISES, check

check("06.1")
CHAPTER = sorted(name for name in EXERCISES if name.startswith("06."))
p, t_ = sp.symbols("p t")


def by_sorting(t, w, p):
    order = np.argsort(-t)
    before = np.cumsum(w[order]) - w[order]
    return np.sum(t[order] * np.clip(p - before, 0, w[order]))


def by_loop(t, w, p):
    total, left = 0.0, p
    for value, share in sorted(zip(t, w, strict=True), reverse=True):
        take = min(left, share)
        total, left = total + take * value, left - take
    return total


def by_linear_program(t, w, p):
    return -linprog(-w * t, A_eq=w[None, :], b_eq=[p], bounds=(0, 1)).fun


def by_levels(t, w, p):
    """The dual: the least of tau p + E max(t - tau, 0) over the levels that occur."""
    return min(level * p + np.sum(w * np.maximum(t - level, 0)) for level in t)


def from_the_bottom(t, w, p):
    return -by_sorting(-t, w, p)


def everywhere_alike(t, w, p):
    return p * np.sum(w * t)


def whole_values_only(t, w, p):
    order = np.argsort(t)[::-1]
    full = np.cumsum(w[order]) <= p + 1e-12
    return np.sum(w[order][full] * t[order][full])


def not_sorted(t, w, p):
    before = np.cumsum(w) - w
    return np.sum(t * np.clip(p - before, 0, w))


def weights_forgotten(t, w, p):
    return np.sum(np.sort(t)[::-1][: int(p * len(t))])


def far_border(points):
    return (points >= -3).astype(float)


def far_border_right(points):
    return np.where(points < 2.9, 1, 0)


def rare(points):
    return points > 3


def soft(points):
    return norm.cdf(20 * (points - 3))


ROOF = 2 * norm.pdf(norm.ppf(0.8))
r = np.linspace(0.01, 10, 100_000)
CHORD = np.max((norm.cdf(2) - norm.cdf(2 - r)) / r)


def by_recursion(t, w, p):
    if len(t) == 0 or p <= 0:
        return 0.0
    best = int(np.argmax(t))
    take = min(p, w[best])
    return take * t[best] + by_recursion(np.delete(t, best), np.delete(w, best), p - take)


def by_integral(t, w, p):
    """The integral of the quantile function over the top share p."""
    order = np.argsort(t)
    edges = np.concatenate([[0.0], np.cumsum(w[order])])
    lengths = np.clip(np.minimum(edges[1:], 1) - np.maximum(edges[:-1], 1 - p), 0, None)
    return float(lengths @ t[order])


def by_the_rest(t, w, p):
    """All that there is, less what the smallest values would hold."""
    return np.sum(w * t) + by_sorting(-t, w, 1 - p)


def with_zip(t, w, p):
    total = 0.0
    for value, share in sorted(zip(t.tolist(), w.tolist(), strict=True), key=lambda pair: -pair[0]):
        part = max(0.0, min(share, p))
        total += value * part
        p -= part
    return total


def one_value_split_wrongly(t, w, p):
    order = np.argsort(t)[::-1]
    full = np.cumsum(w[order]) <= p + 1e-12
    rest = p - w[order][full].sum()
    nxt = t[order][~full]
    return np.sum(w[order][full] * t[order][full]) + (rest * nxt[0] / 2 if len(nxt) else 0)


def positive_values_only(t, w, p):
    return by_sorting(np.maximum(t, 0), w, p)


def by_product(t, w, p):
    order = np.argsort(t * w)[::-1]
    before = np.cumsum(w[order]) - w[order]
    return np.sum(t[order] * np.clip(p - before, 0, w[order]))


def others(*answers):
    """Wrong answers that no hint is written for."""
    return [(answer, "") for answer in answers]


RIGHT = {
    "06.1": [
        norm.pdf(1) / 0.5,
        0.4839,
        Decimal("0.484"),
        certificates.local_gradient_bound(norm.cdf(1), 0.5),
        2 * sp.exp(-sp.Rational(1, 2)) / sp.sqrt(2 * sp.pi),
        0.48394,
        0.484,
        2 * norm.pdf(1),
        Fraction(484, 1000),
        2 * 0.2420,
        math.sqrt(2 / math.pi / math.e),
    ],
    "06.2": [
        norm.pdf(1) / 2,
        0.121,
        Fraction(121, 1000),
        sp.exp(-0.5) / sp.sqrt(8 * sp.pi),
        0.12099,
        0.1210,
        norm.pdf(1, scale=1) / 2,
        norm.pdf(2, scale=2),
        Decimal("0.121"),
        math.exp(-0.5) / math.sqrt(8 * math.pi),
    ],
    "06.3": [
        ROOF,
        0.5599,
        Decimal("0.56"),
        2 * certificates.local_gradient_bound(0.8, 1.0),
        certificates.local_gradient_bound(0.8, 0.5),
        0.55992,
        2 * 0.28,
        sp.sqrt(2 / sp.pi) * sp.exp(-(sp.erfinv(sp.Rational(3, 5)) ** 2)),
        norm.pdf(norm.ppf(0.2)) * 2,
        0.56,
        Fraction(56, 100),
    ],
    "06.4": [
        p * (1 - p),
        p - p**2,
        sp.integrate(t_ / 2, (t_, 1 - 2 * sp.Symbol("p", positive=True), 1)),
        lambda p: p * (1 - p),
        (1 - (1 - 2 * p) ** 2) / 4,
        sp.Rational(1, 4) - (p - sp.Rational(1, 2)) ** 2,
        lambda x: x - x * x,
        (1 - p) * p,
        sp.integrate(1 - 2 * t_, (t_, 0, p)),
        lambda p: 0.25 * (1 - (1 - 2 * p) ** 2),
        -p * (p - 1),
    ],
    "06.5": [
        by_sorting,
        by_loop,
        by_linear_program,
        by_levels,
        by_recursion,
        by_integral,
        by_the_rest,
        with_zip,
        lambda t, w, p: np.array(by_sorting(t, w, p)),
        lambda t, w, p: max(by_sorting(t, w, p), by_loop(t, w, p)),
    ],
    "06.6": [
        far_border,
        far_border_right,
        rare,
        soft,
        lambda t: np.where(np.abs(t) < 3, 1, 0),
        lambda t: (t > 2.5).astype(float),
        lambda t: norm.cdf(5 * (t + 3)),
        lambda t: (t < -3).astype(int),
        lambda t: 1 - np.heaviside(t - 3, 0),
        lambda t: [0.0 if point < -2.9 else 1.0 for point in t],
    ],
    "06.7": [
        CHORD,
        0.2736,
        Fraction(2736, 10_000),
        sp.Float(0.2735),
        0.27358,
        0.2735,
        Decimal("0.2736"),
        max((norm.cdf(2) - norm.cdf(2 - r)) / r),
        0.274,
        (norm.cdf(2) - norm.cdf(-0.87)) / 2.87,
    ],
}
# Each wrong answer with a word of the hint that it must get.
WRONG = {
    "06.1": [
        (0.242, "unit"),
        (0.121, "which side"),
        (norm.pdf(0.8413) / 0.5, "distance"),
        (norm.pdf(0.8413), "distance"),
        (0.7979, "global"),
        (2.0, "insert p"),
        (1.0, "then mind"),
        *others(0.3989, 0.8413, 0.4207, 0.1587, 0.05, 0.6826, 0.56, 0.482, 0.968, 4.84, 0.25, 0.4),
    ],
    "06.2": [
        (2, "noise level"),
        (0.242, "scale"),
        (norm.pdf(2), "another level"),
        (0.3989, "border"),
        (0.5, "derivative"),
        *others(0.054, 0.1995, 0.4, 0.2, 1, 4, 0.06, 0.0605, 0.108, 0.125, 0.25, 0.12 / 2),
    ],
    "06.3": [
        (0.28, "undo"),
        (norm.pdf(norm.ppf(0.6)), "not the share"),
        (2 * norm.pdf(norm.ppf(0.6)), "not the share"),
        (norm.pdf(norm.ppf(0.3)), "shifted"),
        (0.7979, "every value"),
        (1.2, "linear map"),
        *others(0.3863 / 2, 0.14, 0.6, 0.8, 0.3332, 0.4, 0.32, 0.96, 0.3477, 0.55, 0.64, 1.12),
    ],
    "06.4": [
        (2 * p * (1 - p), "density"),
        (lambda p: norm.pdf(norm.ppf(p)), "normal"),
        (p * (2 - p) / 4, "level"),
        (-p * (1 - p), "sign"),
        (p / 2, "interval"),
        (sp.Symbol("q") * p, "it has q"),
        *others(
            p,
            1 - p,
            p**2,
            p * (1 - p) / 2,
            4 * p * (1 - p),
            sp.sqrt(p * (1 - p)),
            p * (1 - 2 * p),
            1 - 2 * p,
            (1 - p**2) / 2,
            sp.Rational(1, 4),
            p - p**3,
            lambda p: p * (1 - p) if p > 0.5 else p,
        ),
    ],
    "06.5": [
        (from_the_bottom, "smallest"),
        (lambda t, w, p: by_sorting(-t, w, p), "smallest"),
        (everywhere_alike, "alike"),
        (whole_values_only, "three values"),
        (not_sorted, "three values"),
        (weights_forgotten, "bring most"),
        (lambda t: 0.0, "raised TypeError"),
        *others(
            one_value_split_wrongly,
            positive_values_only,
            by_product,
            lambda t, w, p: p * np.max(t),
            lambda t, w, p: by_sorting(t, w, p) / p if p else 0.0,
            lambda t, w, p: by_sorting(t, w, 1 - p),
            lambda t, w, p: by_sorting(t, np.full(len(w), 1 / len(w)), p),
            lambda t, w, p: np.sum(w * t * (t > np.quantile(t, 1 - p))),
            lambda t, w, p: np.sum(t),
            lambda t, w, p: by_sorting(np.abs(t), w, p),
            lambda t, w, p: np.dot(t, w),
        ),
    ],
    "06.6": [
        (lambda points: (points >= 0).astype(float), "steepest chord"),
        (lambda points: (points >= -1).astype(float), "steepest chord"),
        (lambda points: np.full(points.shape, 0.5), "steepest chord"),
        (lambda points: (points >= -8).astype(float), "between 0.001"),
        (lambda points: 3 * (points >= -3), "lie in"),
        (lambda points: 1.0, "one value a point"),
        *others(
            lambda t: (t >= -1.5).astype(float),
            lambda t: (t > 0.5).astype(float),
            lambda t: norm.cdf(t),
            lambda t: norm.cdf(0.5 * (t + 3)),
            lambda t: np.zeros(len(t)),
            lambda t: np.ones(len(t)),
            lambda t: (t > 5).astype(float),
            lambda t: 0.5 + 0.5 * np.sin(t),
            lambda t: (np.abs(t) < 1).astype(float),
            lambda t: 0.999 - 0.001 * (t < -3),
            lambda t: (t > -4.5).astype(float),
            lambda t: np.clip(t, 0, 1),
        ),
    ],
    "06.7": [
        (norm.pdf(2), "every y"),
        (0.3989, "global"),
        ((norm.cdf(2) - 0.5) / 2, "ties"),
        (0.5, "draw"),
        *others(0.2386, 0.3, 0.2, 0.9772, 0.27, 0.2718, 0.0228, 1.745, 2.87, 0.1, 0.3413, 0.35),
    ],
}
TELLS = {"06.1": "0.48", "06.2": "0.12", "06.3": "0.56", "06.4": "p * (1", "06.7": "0.27"}


def test_the_answers_follow_from_the_library():
    """The numbers that the checks hold are those of the functions that the chapter teaches."""
    sigma = np.linspace(0.1, 10, 1000)
    slopes = certificates.local_gradient_bound(norm.cdf(2 / sigma), sigma)
    assert np.max(slopes) == pytest.approx(norm.pdf(1) / 2, rel=1e-5)
    assert CHORD > certificates.local_gradient_bound(norm.cdf(2), 1.0)
