"""The checks of chapter 4 accept right answers, however written, and know the common mistakes."""

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
from scipy.stats import norm

from rslib import certificates
from rslib.exercises import EXERCISES, check

check("04.1")
CHAPTER = sorted(name for name in EXERCISES if name.startswith("04."))
z = sp.symbols("z")


def stein(h, x, sigma, z):
    return (h(x + sigma * z)[:, None] * z).mean(axis=0) / sigma


def stein_product(h, x, sigma, z):
    return (h(x + sigma * z) @ z / (sigma * z.shape[0])).tolist()


def stein_centred(h, x, sigma, z):
    values = h(x + sigma * z)
    return np.average(z / sigma, axis=0, weights=values - 0.3) * np.mean(values - 0.3)


def stein_antithetic(h, x, sigma, z):
    difference = h(x + sigma * z) - h(x - sigma * z)
    return sp.Matrix((z * difference[:, None]).mean(axis=0) / (2 * sigma))


def finite_differences(h, x, sigma, z):
    t = 0.05
    return [
        np.mean(h(x + t * e + sigma * z) - h(x - t * e + sigma * z)) / (2 * t)
        for e in np.eye(len(x))
    ]


def turned(h, x, sigma, z):
    return -stein(h, x, sigma, z)


def summed(h, x, sigma, z):
    return len(z) * stein(h, x, sigma, z)


def without_sigma(h, x, sigma, z):
    return sigma * stein(h, x, sigma, z)


def variance_below(h, x, sigma, z):
    return stein(h, x, sigma, z) / sigma


def sigma_above(h, x, sigma, z):
    return sigma**2 * stein(h, x, sigma, z)


def unit_noise(h, x, sigma, z):
    return (h(x + z)[:, None] * z).mean(axis=0) / sigma


def around_zero(h, x, sigma, z):
    return stein(h, 0 * x, sigma, z)


def slopes_of_h(h, x, sigma, z):
    t = 1e-9
    return [np.mean(h(x + t * e + sigma * z) - h(x + sigma * z)) / t for e in np.eye(3)]


def shuffled(h, x, sigma, z):
    return np.mean(h(x + sigma * z)) * np.abs(z).mean(axis=0)


def step(points):
    return (points >= 0.5).astype(float)


def step_down(points):
    return [1.0 if point < -3.5 else 0.0 for point in points]


def many_steps(points):
    return np.floor(points + 0.5).astype(int) % 2


def steep_ramp(points):
    return np.clip((points - 0.49) / 0.02, 0, 1)


VARIANCES = (0.5 - 1 / (2 * np.pi), 0.25 - 1 / (2 * np.pi))
SLOPE = (norm.pdf(3) - norm.pdf(1)) / 0.5


def own_noise(h, x, sigma, z):
    return stein(h, x, sigma, np.random.default_rng().standard_normal(z.shape))


def noise_of_a_fixed_seed(h, x, sigma, z):
    return stein(h, x, sigma, np.random.default_rng(1).standard_normal(z.shape))


def sigma_of_the_test(h, x, sigma, z):
    return stein(h, x, 0.4, z)


def three_dimensions(h, x, sigma, z):
    return [np.mean(z[:, i] * h(x + sigma * z)) / sigma for i in range(3)]


def one_by_one(h, x, sigma, z):
    answers = h(x + sigma * z)
    return [np.mean(z[:, i] * answers) / sigma for i in range(len(x))]


def in_batches(h, x, sigma, z):
    parts = [stein(h, x, sigma, part) for part in np.array_split(z, 10)]
    return np.mean(parts, axis=0)


def with_einsum(h, x, sigma, z):
    return np.einsum("ij,i->j", z, h(x + sigma * z)) / len(z) / sigma


def from_the_points(h, x, sigma, z):
    points = x + sigma * z
    return ((points - x) * h(points)[:, None]).mean(axis=0) / sigma**2


def sine(points):
    return 0.5 + 0.5 * np.sin(np.pi * points)


def others(*answers):
    """Wrong answers that no hint is written for."""
    return [(answer, "") for answer in answers]


RIGHT = {
    "04.1": [
        norm.pdf(0) / 0.25,
        1.596,
        Fraction(3989, 2500),
        4 / sp.sqrt(2 * sp.pi),
        certificates.global_gradient_bound(0.25),
        Decimal("1.5958"),
        4 * norm.pdf(0),
        1.5957691,
        Decimal("1.596"),
        math.sqrt(8 / math.pi),
        4 / math.sqrt(2 * math.pi),
        norm.pdf(0, scale=0.25),
    ],
    "04.2": [
        SLOPE,
        -0.475,
        -0.4752,
        sp.Rational(-475, 1000),
        (0.0044 - 0.2420) * 2,
        2 * (norm.pdf(-3) - norm.pdf(1)),
        -0.4751,
        -0.47507,
        Decimal("-0.475"),
        Fraction(-4752, 10_000),
        norm.pdf(-1.5, scale=0.5) - norm.pdf(0.5, scale=0.5),
    ],
    "04.3": [
        z**2 - 1,
        (z - 1) * (z + 1),
        lambda z: z * z - 1,
        sp.Symbol("z", real=True) ** 2 - 1,
        sp.Lambda(z, z**2 - 1),
        np.polynomial.Polynomial([-1, 0, 1]),
        -(1 - z**2),
        z * z - sp.Integer(1),
        lambda t: t**2 - 1,
        lambda t: (t - 1) * (t + 1),
        sp.expand((z + 1) ** 2 - 2 * z - 2),
        sp.diff(z**3 / 3 - z, z),
    ],
    "04.4": [
        stein,
        stein_product,
        stein_centred,
        stein_antithetic,
        finite_differences,
        one_by_one,
        in_batches,
        with_einsum,
        from_the_points,
        lambda h, x, sigma, z: np.mean(z.T * h(x + sigma * z), axis=1) / sigma,
        lambda h, x, sigma, z: sp.Matrix(stein(h, x, sigma, z)).T,
    ],
    "04.5": [
        step,
        step_down,
        many_steps,
        steep_ramp,
        lambda t: np.where(t > 3.5, 1, 0),
        lambda t: (np.abs(t) < 6.5).astype(float),
        lambda t: norm.cdf((t + 0.5) / 0.01),
        lambda t: np.heaviside(t - 0.45, 1),
        lambda t: (t < 0.41).astype(int),
        lambda t: np.round(t).astype(int) % 2 == 0,
    ],
    "04.6": [
        VARIANCES[0] / VARIANCES[1],
        3.752,
        3.75,
        (sp.pi - 1) / (sp.pi / 2 - 1),
        Fraction(3752, 1000),
        (np.pi - 1) / (np.pi / 2 - 1),
        3.7519,
        Decimal("3.752"),
        0.34085 / 0.09085,
        2 * (math.pi - 1) / (math.pi - 2),
        (0.5 - norm.pdf(0) ** 2) / (0.25 - norm.pdf(0) ** 2),
    ],
}
# Each wrong answer with a word of the hint that it must get.
WRONG = {
    "04.1": [
        (-1.596, "sign"),
        (0.3989, "per input unit"),
        (0.0997, "where sigma stands"),
        (6.383, "too many"),
        (2, "E[h]"),
        (3.192, "E|z|"),
        (0, "half"),
        (1, "Integrate"),
        *others(0.7979, 4, 0.1, 0.5, 0.25, 1.0, -0.4, 0.2, 3.989, 0.798, 16),
    ],
    "04.2": [
        (0.475, "sign"),
        (-0.2376, "missing"),
        (-0.1188, "wrong side"),
        (-0.4928, "same direction"),
        (-0.4839, "second one"),
        (2 * (norm.cdf(1) - norm.cdf(-3)), "value"),
        (0.3, "between"),
        *others(0.2376, -0.9504, 0.0044, -0.242, -0.2464, 0.8, -1.9, -0.49, 0.9, -0.11, 0.0),
    ],
    "04.3": [
        (1 - z**2, "sign"),
        (z**2, "h = 1"),
        (z, "first"),
        (z**2 + 1, "h = 1"),
        (lambda z: (z**2 - 1) / 2, "two terms"),
        (sp.Symbol("sigma") * z, "sigma"),
        *others(
            z**2 - 2,
            2 * z**2 - 1,
            z**3 - z,
            z - 1,
            -(z**2),
            z**4 - 1,
            lambda z: min(z**2 - 1, 8.0),
            (z - 1) ** 2,
            sp.Integer(1),
            lambda t: t**2 - t,
            lambda t: abs(t) - 1,
            sp.exp(-(z**2) / 2),
            lambda t: 0.0,
        ),
    ],
    "04.4": [
        (turned, "other way"),
        (summed, "average"),
        (without_sigma, "missing"),
        (variance_below, "too many"),
        (sigma_above, "fraction line"),
        (unit_noise, "x + sigma z"),
        (around_zero, "around 0"),
        (slopes_of_h, "no jump"),
        (shuffled, "mean over z"),
        (lambda h, x, sigma, z: 1.0, "one entry a coordinate"),
        (lambda h, x, sigma, z: [np.inf] * 3, "finite"),
        (lambda h, x, sigma, z: h(x), "shape (m, d)"),
        (lambda h, x, sigma, z: "up", "array of shape"),
        (own_noise, "handed in"),
        (noise_of_a_fixed_seed, "handed in"),
        (sigma_of_the_test, "noise level"),
        (three_dimensions, "one entry a coordinate"),
        (lambda h, x, sigma, z: stein(lambda p: h(p) > 0.5, x, sigma, z), "zeros and ones"),
        *others(
            lambda h, x, sigma, z: stein(h, x, sigma, z[:10]),
            lambda h, x, sigma, z: stein(h, x, sigma, np.abs(z)),
            lambda h, x, sigma, z: np.linalg.norm(stein(h, x, sigma, z)),
            lambda h, x, sigma, z: z.mean(axis=0) * h(x + sigma * z).mean() / sigma,
            lambda h, x, sigma, z: 2 * stein(h, x, sigma, z),
            lambda h, x, sigma, z: stein(lambda p: 1 - h(p), x, sigma, z),
            lambda h, x, sigma, z: h(x + sigma * z)[:, None] * z / sigma,
            lambda h, x, sigma, z: stein(h, x, sigma, z) / np.linalg.norm(stein(h, x, sigma, z)),
        ),
    ],
    "04.5": [
        (lambda points: (points >= 0).astype(float), "at a whole number"),
        (lambda points: np.zeros(len(points)), "below 3.9"),
        (lambda points: np.clip(5 * points - 2, 0, 1), "below 3.9"),
        (lambda points: 2 * step(points), "lie in"),
        (lambda points: 1.0, "one value a point"),
        ((lambda t: (t >= 0.38).astype(float)), "at a whole number"),
        *others(
            lambda t: (t >= 0.3).astype(float),
            lambda t: (t >= 0.4).astype(float),
            sine,
            lambda t: norm.cdf((t - 0.5) / 0.1),
            lambda t: np.clip(2 * (t - 0.25), 0, 1),
            lambda t: (t >= 0.1).astype(float),
            lambda t: 0.9 * (t >= 0.5),
            lambda t: t * 0 + 0.5,
            lambda t: ((t > 0.45) & (t < 0.55)).astype(float),
            lambda t: (t > 12.5).astype(float),
            lambda t: 1.5 * (t > 0.5) - 0.2,
            lambda t: np.clip((t - 0.4) / 0.2, 0, 1),
        ),
    ],
    "04.6": [
        (VARIANCES[1] / VARIANCES[0], "above 1"),
        (1.937, "standard deviations"),
        (2, "squared mean"),
        (1, "does change"),
        (0.5, "one part"),
        (4, "smallest"),
        *others(3, 3.5, 0.3408, 0.0908, 0.75, 2.5, 1.5, 8, 3.78, 0.4, 5.5),
    ],
}
TELLS = {"04.1": "1.59", "04.2": "0.47", "04.3": "z^2 - 1", "04.5": "0.5", "04.6": "3.7"}


def test_the_answers_hold_in_a_simulation():
    """Stein's identity and its second order; false alarm below 1e-5 (five standard errors)."""
    noise = np.random.default_rng(4).standard_normal(400_000)
    inside = np.abs(0.5 + 0.5 * noise) <= 1
    for weight, sigma, exact in (
        (noise, 0.5, SLOPE),
        (noise**2 - 1, 0.25, (-norm.pdf(1) - 3 * norm.pdf(3)) / 0.25),
    ):
        terms = weight * inside / sigma
        assert abs(terms.mean() - exact) < 5 * terms.std() / np.sqrt(len(terms))
    half = noise >= 0
    ratio = np.var(noise * half) / np.var(noise * (half - 0.5))
    assert abs(ratio - VARIANCES[0] / VARIANCES[1]) < 0.05
