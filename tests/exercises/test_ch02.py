"""The checks of chapter 2 accept right answers, however written, and know the common mistakes."""

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

from rslib import certificates
from rslib.exercises import EXERCISES, check

check("02.1")
CHAPTER = sorted(name for name in EXERCISES if name.startswith("02."))
p_a, p_b, L, q = sp.symbols("p_a p_b L q")


# --- 2.5: certify a network


def scores(network, x, relu=True, last_relu=False, bias=True):
    for place, (W, b) in enumerate(network, start=1):
        x = W @ x + b * bias
        if (relu and place < len(network)) or (last_relu and place == len(network)):
            x = np.maximum(x, 0)
    return x


def lead(values):
    ordered = sorted(values, reverse=True)
    return ordered[0] - ordered[1]


def norms(network, order=2):
    return [np.linalg.norm(W, order) for W, _ in network]


def radius(network, x):
    return lead(scores(network, x)) / (np.sqrt(2) * np.prod(norms(network)))


def radius_svd(network, x):
    """Singular values, and the batch convention x @ W.T."""
    bound, y = 1.0, np.asarray(x)[None]
    for W, b in network[:-1]:
        y = np.clip(y @ W.T + b, 0, None)
        bound = bound * np.linalg.svd(W, compute_uv=False)[0]
    W, b = network[-1]
    y = (y @ W.T + b)[0]
    bound *= np.sqrt(np.linalg.eigvalsh(W @ W.T)[-1])
    top = y.argmax()
    return min(y[top] - y[k] for k in range(len(y)) if k != top) / bound / 2**0.5


def radius_recursive(network, x):
    def through(layers, y):
        (W, b), *rest = layers
        y = W @ y + b
        return through(rest, y * (y > 0)) if rest else y

    second, first = np.partition(through(network, x), -2)[-2:]
    return np.float64((first - second) * 0.5**0.5) / np.exp(np.sum(np.log(norms(network))))


def radius_library(network, x):
    """By the library, on scores scaled into [0, 1]: the radius does not depend on the scale."""
    values = scores(network, x)
    scale = np.ptp(values)
    first, second = sorted((values - values.min()) / scale, reverse=True)[:2]
    bound = np.prod(norms(network)) / scale
    return certificates.lipschitz_radius(min(first, 1.0), second, bound, "vector")


def with_two(network, x):
    return radius(network, x) / np.sqrt(2)


def with_one(network, x):
    return radius(network, x) * np.sqrt(2)


def frobenius(network, x):
    return lead(scores(network, x)) / (np.sqrt(2) * np.prod(norms(network, "fro")))


def collapsed(network, x):
    product = np.eye(len(x))
    for W, _ in network:
        product = W @ product
    return lead(scores(network, x)) / (np.sqrt(2) * np.linalg.norm(product, 2))


def added(network, x):
    return lead(scores(network, x)) / (np.sqrt(2) * np.sum(norms(network)))


def of_softmax(network, x):
    odds = np.exp(scores(network, x))
    return lead(odds / odds.sum()) / (np.sqrt(2) * np.prod(norms(network)))


def to_the_last(network, x):
    return np.ptp(scores(network, x)) / (np.sqrt(2) * np.prod(norms(network)))


def no_relu(network, x):
    return lead(scores(network, x, relu=False)) / (np.sqrt(2) * np.prod(norms(network)))


def relu_at_the_end(network, x):
    return lead(scores(network, x, last_relu=True)) / (np.sqrt(2) * np.prod(norms(network)))


def no_bias(network, x):
    return lead(scores(network, x, bias=False)) / (np.sqrt(2) * np.prod(norms(network)))


# --- 2.6: a map of norm 1

SHARED = np.array([[-1.0, 1.0], [1.0, -1.0]]) / 2
ROTATION = np.array([[-1.0, 1.0], [1.0, 1.0]]) / np.sqrt(2)


# --- 2.7: a dip that is not seen


def dip(t):
    return 0.9 - 0.8 * np.exp(-(((t - 0.05) / 0.01) ** 2))


def jump(t):
    return 0.0 if 0.02 < t < 0.08 else 1.0


def triangle(t):
    return max(abs(t + 0.05) * 40, 0.1) if abs(t + 0.05) < 0.02 else 0.9


def fast_cosine(t):
    """Flat at every multiple of 0.125, and so at -1, 0 and 1."""
    return sp.Float(0.5 + 0.4 * np.cos(2 * np.pi * 8 * t))


def slope_at_zero(t):
    return float(np.clip(0.6 - 2 * t, 0, 1))


def dip_too_far(t):
    return dip(t - 0.3)


def wrong_at_zero(t):
    return 1 - dip(t)


def outside(t):
    return 1.5 - 1.5 * np.exp(-(((t - 0.05) / 0.01) ** 2))


def radius_in_place(network, x):
    bound, y = 1, np.array(x)
    for i, (W, b) in enumerate(network):
        y = W @ y + b
        if i < len(network) - 1:
            y[y < 0] = 0
        bound *= np.linalg.svd(W)[1].max()
    y = np.sort(y)[::-1]
    return (y[0] - y[1]) / bound / np.sqrt(2)


def radius_margin(network, x):
    """The margin form: larger, true, and not what is asked for."""
    y, last = scores(network, x), network[-1][0]
    top = y.argmax()
    before = np.prod(norms(network[:-1]))
    return min(
        (y[top] - y[k]) / np.linalg.norm(last[top] - last[k]) / before
        for k in range(len(y))
        if k != top
    )


def divided_by(value):
    return lambda network, x: radius(network, x) / value


def cosine_of_one(t):
    return 0.55 + 0.44 * math.cos(40 * math.pi * t)


def one_point(t):
    return 0.2 if t == 0.037 else 0.8


def plateau(t):
    return 0.1 if 0.061 <= abs(t) <= 0.0612 else 0.7


def others(*answers):
    """Wrong answers that no hint is written for."""
    return [(answer, "") for answer in answers]


RIGHT = {
    "02.1": [
        0.55 / (np.sqrt(2) * 4),
        0.0972,
        Fraction(972, 10000),
        Decimal("0.0972"),
        certificates.lipschitz_radius(0.7, 0.15, 4.0, metric="vector"),
        sp.Rational(11, 80) / sp.sqrt(2),
        0.09722,
        0.09723,
        0.0972272,
        0.55 / 32**0.5,
        sp.sqrt(2) * sp.Rational(11, 160),
        Fraction(9722, 100_000),
    ],
    "02.2": [
        0.1,
        0.5 / 5,
        Fraction(1, 10),
        sp.Rational(1, 10),
        min(0.3 / 2, 0.5 / 5),
        0.5 / (1 + 4),
        Decimal("0.1"),
        0.0999,
        np.float32(0.1),
        sp.Float(0.1),
        min(0.15, 0.1),
    ],
    "02.3": [
        (p_a - p_b) / (2 ** (1 - 1 / q) * L),
        2 ** (1 / q) * (p_a - p_b) / (2 * L),
        (sp.Symbol("p_a", positive=True) - p_b) / L * sp.exp((1 / q - 1) * sp.log(2)),
        lambda p_a, p_b, L, q: (p_a - p_b) / L / 2 * 2 ** (1 / q),
        sp.Lambda((p_a, p_b, L, q), (p_a - p_b) / (2 ** ((q - 1) / q) * L)),
        lambda p_a, p_b, L, q: (p_a - p_b) / (L * np.linalg.norm([1, 1], q / (q - 1 + 1e-12))),
        (p_a - p_b) * 2 ** (1 / q - 1) / L,
        lambda a, b, lip, q: (a - b) / (lip * 2 ** (1 - 1 / q)),
        (p_a - p_b) / (2 * L * 2 ** (-1 / q)),
        lambda a, b, lip, q: (a - b) / lip * np.exp2(1 / q) / 2,
        (p_a - p_b) / (L * 2 ** ((q - 1) / q)),
        sp.exp(sp.log(2) / q) * (p_a / 2 - p_b / 2) / L,
    ],
    "02.4": [
        0.5,
        1 / 2,
        Fraction(1, 2),
        sp.Rational(1, 2),
        np.sqrt(2) ** 2 / 4,
        Decimal("0.5"),
        np.float64(0.5),
        sp.Float(0.5),
        2 / 4,
        np.linalg.norm([[0.25, -0.25], [-0.25, 0.25]], 2),
        0.500000001,
    ],
    "02.5": [
        radius,
        radius_svd,
        radius_recursive,
        radius_library,
        radius_in_place,
        lambda network, x: np.array(radius(network, x)),
        lambda net, point: radius_svd(net, list(point)),
        lambda network, x: float(radius_recursive(network, x)),
        lambda network, x: lead(scores(network, x)) * 0.5**0.5 / math.prod(norms(network)),
        lambda network, x: (
            radius([(2 * W, 2 * b) for W, b in network[:1]] + list(network[1:]), x)
            if len(network) == 1
            else radius(network, x)
        ),
    ],
    "02.6": [
        (SHARED, np.array([0.11, -0.11])),
        [[[-0.5, 0.5], [0.5, -0.5]], [0.12, -0.12]],
        (ROTATION, [0.15, 0.0]),
        (sp.Matrix([[-1, 0], [0, 1]]), sp.Matrix([sp.Rational(11, 100), sp.Rational(11, 100)])),
        (np.eye(2), (-0.13, 0.13)),
        (SHARED, (0.101, -0.101)),
        (-np.eye(2), (0.12, -0.12)),
        (np.eye(2), (-0.101, 0.101)),
        (np.array([[0, 1], [1, 0]]), np.array([0.11, -0.11])),
        (SHARED, np.array([[0.13], [-0.13]])),
        (ROTATION, (0.1999, 0.0)),
    ],
    "02.7": [
        dip,
        jump,
        triangle,
        fast_cosine,
        cosine_of_one,
        one_point,
        plateau,
        lambda t: 0.6 if abs(t - 0.05) > 1e-3 else 0.4,
        lambda t: float(t < 0.01 or t > 0.02),
        lambda t: (
            np.float64(0.75 + 0.25 * np.cos(1000 * np.pi * t))
            if abs(t) < 1e-9
            else 0.45 + 0.3 * (abs(t) > 0.09 or abs(t) < 0.001)
        ),
    ],
}
# Each wrong answer with a word of the hint that it must get.
WRONG = {
    "02.1": [
        (0.06875, "each coordinate"),
        (0.1375, "rise"),
        (0.55 / (np.sqrt(3) * 4), "third"),
        (0.55 * 4, "faster"),
        (0.7 / (np.sqrt(2) * 4), "lead"),
        (1.0, "vector"),
        (0.0973, "rounded down"),
        *others(0.0794, 0.1945, 0.388, 0.0486, 0.1, 0.55, 2.2, 0.09, 0.0917, 0.175, 0.12),
    ],
    "02.2": [
        (0.15, "first"),
        (0.0375, "highest speed"),
        (0.06, "mixes"),
        (0.125, "falls as well"),
        (0.3 / np.sqrt(2), "in full"),
        (0.5, "class 2"),
        (0.1002, "rounded down"),
        *others(0.05, 0.3 / 4, 0.5 / 8, 0.25, 0.167, 0.075, 0.6, 0.2, 0.0625, 0.12, 0.3 / 6),
    ],
    "02.3": [
        ((p_a - p_b) / (2 ** (1 / q) * L), "one budget"),
        ((p_a - p_b) / (2 * L), "does not use q"),
        ((p_a - p_b) / (sp.sqrt(2) * L), "q = 2 only"),
        ((p_a - p_b) / L, "q = 1 only"),
        (lambda p_a, p_b, L, q: (p_a - p_b) / (2 ** (q - 1) * L), "root"),
        ((p_a - p_b) / (q * L), "how large"),
        ((p_a - p_b) / sp.Symbol("lipschitz"), "lipschitz"),
        *others(
            (p_a - p_b) / (2 ** (1 + 1 / q) * L),
            (p_a - p_b) / (q ** (1 / q) * L),
            (p_a - p_b) * L / 2 ** (1 - 1 / q),
            (p_a + p_b) / (2 ** (1 - 1 / q) * L),
            p_a / (2 ** (1 - 1 / q) * L),
            (p_a - p_b) / (2**q * L),
            (p_a - p_b) / (2 * L) ** (1 - 1 / q),
            ((p_a - p_b) / (2 * L)) ** (1 / q),
            (p_a - p_b) / ((1 + 1 / q) * L),
            (p_a - p_b) ** q / (2 * L),
            lambda a, b, lip, q: (a - b) / lip / 2 ** (1 - q),
            (p_a - p_b) / L * 2 ** (1 / q),
        ),
    ],
    "02.4": [
        (1, "smallest"),
        (0.25, "own score"),
        (np.sqrt(2) / 4, "one coordinate"),
        (1 / np.sqrt(2), "square"),
        (0, "positive"),
        (2, "variance"),
        (0.4999, "very near"),
        *others(0.501, 0.4997, 2, 0.3, 0.75, 1.5, -0.5, 0.354, 0.433, 4, 0.125, 0.49),
    ],
    "02.5": [
        (with_two, "vector of scores"),
        (with_one, "too large"),
        (frobenius, "spectral"),
        (collapsed, "no single matrix"),
        (added, "multiplies"),
        (of_softmax, "softmax"),
        (to_the_last, "second largest"),
        (no_relu, "between the layers"),
        (relu_at_the_end, "after the last"),
        (no_bias, "vectors b"),
        (lambda network, x: 1.0, "compute"),
        (lambda network: 0.0, "raised TypeError"),
        *others(
            radius_margin,
            divided_by(1.0001),
            divided_by(3),
            divided_by(-1),
            lambda network, x: lead(scores(network, x)),
            lambda network, x: radius(network, 0 * x),
            lambda network, x: max(scores(network, x)) / (2**0.5 * np.prod(norms(network))),
            lambda network, x: lead(scores(network, x)) / (2**0.5 * max(norms(network))),
            lambda network, x: lead(scores(network, x)) / (2**0.5 * np.prod(norms(network, 1))),
            lambda network, x: lead(scores(network, x)) / (2**0.5 * np.prod(norms(network[1:]))),
            lambda network, x: lead(scores(network, x)) * np.prod(norms(network)),
            lambda network, x: (
                lead(scores(network, x)) / (2**0.5 * np.prod(np.maximum(norms(network), 1)))
            ),
            lambda network, x: (
                lead(np.abs(scores(network, x))) / (2**0.5 * np.prod(norms(network)))
            ),
        ),
    ],
    "02.6": [
        ((2 * SHARED, [0.11, -0.11]), "at most 1"),
        ((SHARED, [0.15, -0.15]), "shorter"),
        ((SHARED, [0.11, 0.11]), "stretch"),
        ((np.eye(2), [-0.19, 0.0]), "Which two"),
        ((np.eye(2), [-0.185, 0.01]), "share"),
        ((SHARED, [0.09, -0.09]), "share"),
        ((np.eye(3), [0.1, 0.1]), "shape"),
        ((np.eye(2), (-0.1, 0.1)), "tie"),
        *others(
            (ROTATION, (0.2 / np.sqrt(2), 0)),
            (ROTATION, (0.2, 0)),
            (SHARED, (-0.11, 0.11)),
            (np.eye(2), (0.11, -0.11)),
            (np.eye(2), (-0.2, 0.0)),
            (1.01 * np.eye(2), (-0.12, 0.12)),
            (np.ones((2, 2)), (0.1, 0.1)),
            (SHARED, (0.14, 0.14)),
            (np.zeros((2, 2)), (0.1, 0.1)),
            (-np.eye(2), (0.19, 0.0)),
            ([[0, -1], [1, 0]], (0.1, 0.1)),
            (np.eye(2), (0.19, 0.05)),
        ),
    ],
    "02.7": [
        (slope_at_zero, "only"),
        (dip_too_far, "not look"),
        (wrong_at_zero, "must win"),
        (outside, "[0, 1]"),
        (lambda t: 0.9, "not look"),
        (lambda t: [0.9], "one number"),
        *others(
            lambda t: 1 - 0.9 * abs(t),
            lambda t: 0.9 if t < 0.15 else 0.1,
            lambda t: 0.5,
            lambda t: 0.7 if t != 0.0 else 0.5,
            lambda t: 0.6 + 0.3 * np.cos(t),
            lambda t: 0.51,
            lambda t: -0.1 if abs(t - 0.05) < 0.01 else 0.9,
            lambda t: np.exp(-(t**2)),
            lambda t: 0.9 - 0.5 * (0.2 < abs(t) < 0.3),
            lambda t: 0.6 - 3 * t * (abs(t) < 0.1),
            lambda t: 0.4 if abs(t) < 0.1 else 0.9,
            lambda t: 1.2 if t == 0 else 0.2,
        ),
    ],
}
TELLS = {"02.1": "0.09", "02.2": "0.1 ", "02.3": "1 - 1/q", "02.4": "1/2", "02.6": "0.14"}


def test_a_network_is_handed_over_as_a_copy():
    """A solution that works in place does not spoil the cases of the check."""

    def in_place(network, x):
        value = radius([(W.copy(), b) for W, b in network], x)
        for W, b in network:
            W *= 0
            b *= 0
        x *= 0
        return value

    assert check("02.5", in_place).correct
