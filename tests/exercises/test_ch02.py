"""The checks of chapter 2 accept right answers, however written, and know the common mistakes."""

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


RIGHT = {
    "02.1": [
        0.55 / (np.sqrt(2) * 4),
        0.0972,
        Fraction(972, 10000),
        Decimal("0.0972"),
        certificates.lipschitz_radius(0.7, 0.15, 4.0, metric="vector"),
        sp.Rational(11, 80) / sp.sqrt(2),
    ],
    "02.2": [0.1, 0.5 / 5, Fraction(1, 10), sp.Rational(1, 10), min(0.3 / 2, 0.5 / 5)],
    "02.3": [
        (p_a - p_b) / (2 ** (1 - 1 / q) * L),
        2 ** (1 / q) * (p_a - p_b) / (2 * L),
        (sp.Symbol("p_a", positive=True) - p_b) / L * sp.exp((1 / q - 1) * sp.log(2)),
        lambda p_a, p_b, L, q: (p_a - p_b) / L / 2 * 2 ** (1 / q),
        sp.Lambda((p_a, p_b, L, q), (p_a - p_b) / (2 ** ((q - 1) / q) * L)),
        lambda p_a, p_b, L, q: (p_a - p_b) / (L * np.linalg.norm([1, 1], q / (q - 1 + 1e-12))),
    ],
    "02.4": [0.5, 1 / 2, Fraction(1, 2), sp.Rational(1, 2), np.sqrt(2) ** 2 / 4],
    "02.5": [radius, radius_svd, radius_recursive, radius_library],
    "02.6": [
        (SHARED, np.array([0.11, -0.11])),
        [[[-0.5, 0.5], [0.5, -0.5]], [0.12, -0.12]],
        (ROTATION, [0.15, 0.0]),
        (sp.Matrix([[-1, 0], [0, 1]]), sp.Matrix([sp.Rational(11, 100), sp.Rational(11, 100)])),
        (np.eye(2), (-0.13, 0.13)),
    ],
    "02.7": [dip, jump, triangle, fast_cosine],
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
    ],
    "02.2": [
        (0.15, "first"),
        (0.0375, "highest speed"),
        (0.06, "mixes"),
        (0.125, "falls as well"),
        (0.3 / np.sqrt(2), "in full"),
        (0.5, "class 2"),
    ],
    "02.3": [
        ((p_a - p_b) / (2 ** (1 / q) * L), "one budget"),
        ((p_a - p_b) / (2 * L), "does not use q"),
        ((p_a - p_b) / (sp.sqrt(2) * L), "q = 2 only"),
        ((p_a - p_b) / L, "q = 1 only"),
        (lambda p_a, p_b, L, q: (p_a - p_b) / (2 ** (q - 1) * L), "root"),
        ((p_a - p_b) / (q * L), "how large"),
        ((p_a - p_b) / sp.Symbol("lipschitz"), "lipschitz"),
    ],
    "02.4": [
        (1, "smallest"),
        (0.25, "own score"),
        (np.sqrt(2) / 4, "one coordinate"),
        (1 / np.sqrt(2), "square"),
        (0, "positive"),
        (2, "variance"),
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
    ],
    "02.6": [
        ((2 * SHARED, [0.11, -0.11]), "at most 1"),
        ((SHARED, [0.15, -0.15]), "shorter"),
        ((SHARED, [0.11, 0.11]), "stretch"),
        ((np.eye(2), [-0.19, 0.0]), "Which two"),
        ((np.eye(2), [-0.185, 0.01]), "share"),
        ((SHARED, [0.09, -0.09]), "share"),
        ((np.eye(3), [0.1, 0.1]), "shape"),
    ],
    "02.7": [
        (slope_at_zero, "only"),
        (dip_too_far, "not look"),
        (wrong_at_zero, "must win"),
        (outside, "[0, 1]"),
        (lambda t: 0.9, "not look"),
        (lambda t: [0.9], "one number"),
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
