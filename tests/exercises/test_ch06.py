"""The checks of chapter 6 accept right answers, however written, and know the common mistakes."""

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
RIGHT = {
    "06.1": [
        norm.pdf(1) / 0.5,
        0.4839,
        Decimal("0.484"),
        certificates.local_gradient_bound(norm.cdf(1), 0.5),
        2 * sp.exp(-sp.Rational(1, 2)) / sp.sqrt(2 * sp.pi),
    ],
    "06.2": [norm.pdf(1) / 2, 0.121, Fraction(121, 1000), sp.exp(-0.5) / sp.sqrt(8 * sp.pi)],
    "06.3": [
        ROOF,
        0.5599,
        Decimal("0.56"),
        2 * certificates.local_gradient_bound(0.8, 1.0),
        certificates.local_gradient_bound(0.8, 0.5),
    ],
    "06.4": [
        p * (1 - p),
        p - p**2,
        sp.integrate(t_ / 2, (t_, 1 - 2 * sp.Symbol("p", positive=True), 1)),
        lambda p: p * (1 - p),
        (1 - (1 - 2 * p) ** 2) / 4,
    ],
    "06.5": [by_sorting, by_loop, by_linear_program, by_levels],
    "06.6": [far_border, far_border_right, rare, soft],
    "06.7": [CHORD, 0.2736, Fraction(2736, 10_000), sp.Float(0.2735)],
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
    ],
    "06.2": [
        (2, "noise level"),
        (0.242, "scale"),
        (norm.pdf(2), "another level"),
        (0.3989, "border"),
        (0.5, "derivative"),
    ],
    "06.3": [
        (0.28, "undo"),
        (norm.pdf(norm.ppf(0.6)), "not the share"),
        (2 * norm.pdf(norm.ppf(0.6)), "not the share"),
        (norm.pdf(norm.ppf(0.3)), "shifted"),
        (0.7979, "every value"),
        (1.2, "linear map"),
    ],
    "06.4": [
        (2 * p * (1 - p), "density"),
        (lambda p: norm.pdf(norm.ppf(p)), "normal"),
        (p * (2 - p) / 4, "level"),
        (-p * (1 - p), "sign"),
        (p / 2, "interval"),
        (sp.Symbol("q") * p, "it has q"),
    ],
    "06.5": [
        (from_the_bottom, "smallest"),
        (lambda t, w, p: by_sorting(-t, w, p), "smallest"),
        (everywhere_alike, "alike"),
        (whole_values_only, "full value"),
        (not_sorted, "full value"),
        (weights_forgotten, "in part"),
        (lambda t: 0.0, "raised TypeError"),
    ],
    "06.6": [
        (lambda points: (points >= 0).astype(float), "steepest chord"),
        (lambda points: (points >= -1).astype(float), "steepest chord"),
        (lambda points: np.full(points.shape, 0.5), "steepest chord"),
        (lambda points: (points >= -8).astype(float), "between 0.001"),
        (lambda points: 3 * (points >= -3), "lie in"),
        (lambda points: 1.0, "one value a point"),
    ],
    "06.7": [
        (norm.pdf(2), "every y"),
        (0.3989, "global"),
        ((norm.cdf(2) - 0.5) / 2, "ties"),
        (0.5, "draw"),
    ],
}
TELLS = {"06.1": "0.48", "06.2": "0.12", "06.3": "0.56", "06.4": "p * (1", "06.7": "0.27"}


def test_the_answers_follow_from_the_library():
    """The numbers that the checks hold are those of the functions that the chapter teaches."""
    sigma = np.linspace(0.1, 10, 1000)
    slopes = certificates.local_gradient_bound(norm.cdf(2 / sigma), sigma)
    assert np.max(slopes) == pytest.approx(norm.pdf(1) / 2, rel=1e-5)
    assert CHORD > certificates.local_gradient_bound(norm.cdf(2), 1.0)
