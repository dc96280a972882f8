"""The checks of chapter 7 accept right answers, however written, and know the common mistakes."""

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
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit, ndtr, ndtri
from scipy.stats import logistic, norm

from rslib import certificates
from rslib.exercises import EXERCISES, check

check("07.1")
CHAPTER = sorted(name for name in EXERCISES if name.startswith("07."))
p = sp.symbols("p")


def vote_range(p, sigma, distance):
    return norm.cdf(norm.ppf(p) - distance / sigma), norm.cdf(norm.ppf(p) + distance / sigma)


def vote_range_special(p, sigma, distance):
    return list(ndtr(ndtri(p) + np.array([-1, 1]) * distance / sigma))


def vote_range_by_library(p, sigma, distance):
    """Through the complement above one half, and with the constant cases apart."""
    if p in (0, 1):
        return p, p
    step = sp.Float(distance) / sigma
    here = -certificates.psi(1 - p) if p > 0.5 else certificates.psi(p)
    return np.array([norm.sf(float(step) - here), norm.sf(-float(step) - here)])


def vote_range_sympy(p, sigma, distance):
    from statistics import NormalDist

    if not 0 < p < 1:
        return Fraction(p), Fraction(p)
    bell = NormalDist()
    return tuple(bell.cdf(bell.inv_cdf(p) + sign * distance / sigma) for sign in (-1, 1))


def swapped(p, sigma, distance):
    return vote_range(p, sigma, distance)[::-1]


def without_sigma(p, sigma, distance):
    return vote_range(p, 1.0, distance)


def times_sigma(p, sigma, distance):
    return vote_range(p, 1 / sigma, distance)


def one_sided(p, sigma, distance):
    return vote_range(p, sigma, distance)[0], 1.0


def global_cone(p, sigma, distance):
    change = distance * certificates.global_gradient_bound(sigma)
    return max(p - change, 0), min(p + change, 1)


def narrow_cone(p, sigma, distance):
    change = distance * certificates.local_gradient_bound(p, sigma)
    return p - change, p + change


def on_the_scale(p, sigma, distance):
    return norm.ppf(p) - distance / sigma, norm.ppf(p) + distance / sigma


def edges_forgotten(p, sigma, distance):
    return vote_range(p, sigma, distance) if 0 < p < 1 else (0.0, 1.0)


def half_line(w):
    return (w >= 0).astype(float)


def never_clear(w):
    return [0.9 if point > 0 else 0.2 for point in w]


LEAST = 0.8362888


def vote_range_interval(p, sigma, distance):
    """By the standard library's error function."""
    if p in (0, 1) or distance == 0:
        return p, p
    z = norm.isf(1 - p) if p <= 0.5 else -norm.isf(p)
    return tuple(0.5 * math.erfc(-(z + s * distance / sigma) / math.sqrt(2)) for s in (-1, 1))


def vote_range_scaled(p, sigma, distance):
    here = sigma * norm.ppf(p)
    return norm.cdf([here - distance, here + distance], scale=sigma)


def vote_range_complement(p, sigma, distance):
    step = distance / sigma
    return norm.sf(norm.isf(p) + step), norm.sf(norm.isf(p) - step)


def ramp(w):
    return np.clip(0.5 + w / 4, 0, 1)


def others(*answers):
    """Wrong answers that no hint is written for."""
    return [(answer, "") for answer in answers]


RIGHT = {
    "07.1": [
        0.5 * (norm.ppf(0.9) - norm.ppf(0.2)),
        1.0616,
        Fraction(10616, 10000),
        Decimal("1.06"),
        (sp.erfinv(sp.Rational(4, 5)) + sp.erfinv(sp.Rational(3, 5))) / sp.sqrt(2),
        1.06158,
        1.0615864,
        1.061,
        0.5 * (1.2816 + 0.8416),
        norm.ppf(0.9) / 2 + norm.ppf(0.8) / 2,
        norm.ppf(0.9, scale=0.5) - norm.ppf(0.2, scale=0.5),
    ],
    "07.2": [
        sp.log(p / (1 - p)),
        sp.log(p) - sp.log(1 - p),
        -sp.log(1 / sp.Symbol("p", positive=True) - 1),
        logit,
        lambda p: 2 * np.arctanh(2 * p - 1),
        sp.Lambda(p, sp.log(p / (1 - p))),
        -sp.log((1 - p) / p),
        2 * sp.atanh(2 * p - 1),
        lambda p: math.log(p) - math.log1p(-p),
        sp.log(p) + sp.log(1 / (1 - p)),
        sp.log(2 * p) - sp.log(2 - 2 * p),
        logistic.ppf,
    ],
    "07.3": [
        vote_range,
        vote_range_special,
        vote_range_by_library,
        vote_range_sympy,
        vote_range_interval,
        vote_range_scaled,
        vote_range_complement,
        lambda p, sigma, distance: np.array(vote_range(p, sigma, distance)),
        lambda p, s, r: (ndtr(ndtri(p) - r / s), ndtr(ndtri(p) + r / s)),
        lambda p, s, r: sorted(vote_range(p, s, r)),
    ],
    "07.4": [
        (half_line, 2.0, 3.0),
        (half_line, -3, -2),
        [lambda w: np.where(w < 1, 1, 0), sp.Integer(4), 5.5],
        (lambda w: (w > 0) & (w < 50), 2.5, np.float64(2.6)),
        (half_line, 9.0, 10.0),
        (half_line, 2.0, 30.0),
        (half_line, 40.0, 90.0),
        (half_line, 2.0, 2.0001),
        (half_line, 1.7, 1.70001),
        (lambda w: w > 1, 4.0, 3.0),
        (lambda w: np.where(np.abs(w) < 1, 1, 0), 4.0, 5.0),
        (lambda w: norm.cdf(20 * w), 3.0, 4.0),
    ],
    "07.5": [
        LEAST,
        0.836,
        Fraction(836, 1000),
        sp.Float("0.83629"),
        0.8363,
        0.83629,
        Decimal("0.836"),
        1 - (2 * norm.cdf(0.20664) - 1),
        2 * norm.sf(0.20664),
        sp.Float(0.8363),
    ],
}
# Each wrong answer with a word of the hint that it must get.
WRONG = {
    "07.1": [
        (0.5308, "nothing is shared"),
        (2.1232, "input units"),
        (0.22, "sign"),
        (0.8773, "global"),
        (4.2463, "solve"),
        (0.7, "insert"),
        (1.063, "rounded down"),
        *others(0.61, 0.4233, 0.64, 0.35, 1.4, 0.175, 1.5, 0.9, 1.2816, 2.5, 0.42, 1.07),
    ],
    "07.2": [
        (sp.log(p / (1 - p)) + 1, "constant"),
        (sp.log((1 - p) / p), "increase"),
        (1 / (p * (1 - p)), "integrate"),
        (p * (1 - p), "one over"),
        (norm.ppf, "Gaussian"),
        (expit, "undoes"),
        (sp.log(p), "which derivative"),
        (sp.integrate(1 / (p * (1 - p)), p), "not a real"),
        (sp.log(p) - sp.log(p - 1) + sp.I * sp.pi + 1, "constant"),
        (sp.log(p / (1 - p)) / sp.Symbol("s"), "it has s"),
        *others(
            sp.log(p / (1 - p)) / 2,
            2 * sp.log(p / (1 - p)),
            sp.log(p / (1 - p)) - 1,
            sp.log(1 - p),
            1 / p - 1 / (1 - p),
            p - sp.Rational(1, 2),
            2 * p - 1,
            sp.atanh(2 * p - 1),
            sp.log(p) + 1,
            sp.asin(2 * p - 1),
            lambda p: 1 / p + 1 / (1 - p),
            sp.tan(sp.pi * (p - sp.Rational(1, 2))),
        ),
    ],
    "07.3": [
        (swapped, "first"),
        (without_sigma, "noise level"),
        (times_sigma, "do not multiply"),
        (one_sided, "highest"),
        (global_cone, "global"),
        (narrow_cone, "on the way"),
        (on_the_scale, "back to probabilities"),
        (edges_forgotten, "ordinary values"),
        (lambda p, sigma, distance: p, "pair"),
        (lambda p: (0, 1), "raised TypeError"),
        (lambda p, sigma, distance: (p, p), "come back"),
        *others(
            lambda p, s, r: (0.0, 1.0),
            lambda p, s, r: (p - r / s, p + r / s),
            lambda p, s, r: (vote_range(p, s, r)[0], p),
            lambda p, s, r: (p, vote_range(p, s, r)[1]),
            lambda p, s, r: vote_range(p, s, r / 2),
            lambda p, s, r: vote_range(p, s, 2 * r),
            lambda p, s, r: vote_range(p, s**2, r),
            lambda p, s, r: vote_range(1 - p, s, r),
            lambda p, s, r: tuple(np.clip(vote_range(p, s, r), 0.01, 0.99)),
            lambda p, s, r: (norm.cdf(norm.ppf(p) - r / s),),
            lambda p, s, r: vote_range(min(max(p, 1e-3), 1 - 1e-3), s, r),
        ),
    ],
    "07.4": [
        ((half_line, 0.0, 1.0), "steep"),
        ((lambda w: norm.cdf(w), 2.0, 3.0), "steep"),
        ((never_clear, 2.0, 4.0), "steep"),
        ((half_line, 2.0, 2.0), "differ"),
        ((lambda w: np.ones(len(w)), 2.0, 30.0), "unanimous"),
        ((half_line, 2.0, 130.0), "no further"),
        ((lambda w: 2 * half_line(w), 2.0, 3.0), "[0, 1]"),
        ((lambda w: 1.0, 2.0, 3.0), "one value a point"),
        (half_line, "tuple"),
        *others(
            (half_line, 1.0, 1.0001),
            (half_line, 1.0, 1.0002),
            (half_line, 0.5, 2.0),
            (half_line, 1.3, 1.0),
            (ramp, 2.0, 3.0),
            (lambda w: norm.cdf(2 * w), 1.0, 2.0),
            (lambda w: 0.5 + 0.5 * np.sin(w), 0.0, 1.0),
            (lambda w: (np.abs(w) < 1).astype(float), 0, 1),
            (lambda w: 0.001 + 0.998 * half_line(w), 3.0, 4.0),
            (lambda w: 0 * w, 1.0, 2.0),
            (half_line, 0.0),
            (lambda w: -half_line(w), 2.0, 3.0),
            (half_line, 1.2, 1.2000001),
        ),
    ],
    "07.5": [
        (0.6109, "both at once"),
        (0.9, "smaller"),
        (norm.cdf(norm.ppf(0.9) - 0.5), "which set"),
        (0.7, "densities"),
        *others(0.8, 0.5, 0.85, 0.81, 0.838 + 0.005, 0.73, 0.2, 0.2066, 0.95, 0.1637, 0.99, 0.834),
    ],
}
TELLS = {"07.1": "1.06", "07.2": "log", "07.3": "cdf", "07.5": "0.83"}


def test_the_least_value_is_the_least():
    """Exercise 7.5 by another road: a dual bound, from no knowledge of the worst f."""
    w = np.linspace(-12, 12, 48_001)
    step = w[1] - w[0]
    at_zero, at_two = norm.pdf(w), norm.pdf(w - 1) + norm.pdf(w + 1)

    def lower_bound(factor):
        return 1.8 * factor + step * np.minimum(at_zero - factor * at_two, 0).sum()

    best = minimize_scalar(lambda factor: -lower_bound(factor), bounds=(0, 2), method="bounded")
    assert abs(-best.fun - LEAST) < 1e-4
