"""The checks of chapter 15 accept right answers, however written, and know the common mistakes."""

import math
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import numpy as np
import sympy as sp
from answers import (
    test_common_mistakes_get_their_hint,  # noqa: F401
    test_every_exercise_has_answers_to_test,  # noqa: F401
    test_no_hint_tells_the_answer,  # noqa: F401
    test_right_answers_are_accepted,  # noqa: F401
)
from scipy.stats import norm

from rslib import certificates, models
from rslib.exercises import EXERCISES, check

check("15.1")
CHAPTER = sorted(name for name in EXERCISES if name.startswith("15."))


def work(depth):
    k, total, inner = (depth - 2) // 6, 9 * 3 * 16 * 32**2, 16
    for outer, side in ((16, 32), (32, 16), (64, 8)):
        total += 9 * (inner * outer + (2 * k - 1) * outer * outer) * side**2
        inner = outer
    return total + 640


def work_in_closed_form(depth):
    return 442_368 + (depth - 2) * 2_359_296 - 2 * 1_179_648 + 640


def work_layer_by_layer(depth):
    channels = [3, 16] + [c for c in (16, 32, 64) for _ in range((depth - 2) // 3)]
    sides = {16: 32, 32: 16, 64: 8}
    layers = [9 * a * b * sides[b] ** 2 for a, b in pairwise(channels)]
    return np.sum(layers) + np.prod([64, 10])


def work_in_fractions(depth):
    k = Fraction(depth - 2, 6)
    stage = 9 * 16 * 16 * 32 * 32
    return sp.Rational(9 * 48 * 1024 + stage * (6 * k - 1) + 640)


def without_halving(depth):
    k, total, inner = (depth - 2) // 6, 9 * 48, 16
    for outer in (16, 32, 64):
        total += 9 * (inner * outer + (2 * k - 1) * outer * outer)
        inner = outer
    return total * 1024 + 640


def weights(depth):
    k, total, inner = (depth - 2) // 6, 9 * 48, 16
    for outer in (16, 32, 64):
        total += 9 * (inner * outer + (2 * k - 1) * outer * outer)
        inner = outer
    return total + 640


def every_stage_alike(depth):
    return 442_368 + (depth - 2) * 2_359_296 + 640


RIGHT = {
    "15.1": [
        1109,
        1109.0,
        np.int64(1109),
        sp.ceiling(sp.log(sp.Rational(1, 1000)) / sp.log(sp.Float("0.9937903"))),
        int(np.ceil(np.log(0.001) / norm.logcdf(2.5))),
    ],
    "15.2": [
        (0.66, 1.30),
        [2.30 - 1.64, 2.30 - 1],
        np.array([0.66, 1.3]),
        (Fraction(33, 50), Decimal("1.3")),
        sp.Tuple(sp.Rational(33, 50), sp.Rational(13, 10)),
    ],
    "15.3": [work, work_in_closed_form, work_layer_by_layer, work_in_fractions],
    "15.4": [
        (0.2, -0.3),
        [0.1, -0.2],
        np.array([0.45, -0.499]),
        (Fraction(1, 4), Decimal("-0.4")),
        (sp.Rational(3, 10), sp.Rational(-31, 100)),
    ],
    "15.5": [
        (0.0877, 3.626),
        [np.sqrt(np.log(40) / 480), certificates.max_certified_radius(48_000, 0.001, 1.0)],
        np.array([0.08767, 3.626]),
        (sp.sqrt(sp.log(40) / 480), norm.ppf(0.001 ** (1 / 48_000))),
        (Decimal("0.0877"), Fraction(3626, 1000)),
    ],
}
# Each wrong answer with a word of the hint that it must get.
WRONG = {
    "15.1": [
        (1108, "other way"),
        (1108.96, "whole"),
        (int(np.ceil(np.log(0.001) / norm.logcdf(1.25))), "units of sigma"),
        (int(np.ceil(np.log(0.0005) / norm.logcdf(2.5))), "one-sided"),
        (1, "close to 1"),
        (482, "same base"),
        (100_000, "solve p^n"),
        ("many", "whole number"),
    ],
    "15.2": [
        ((1.30, 0.66), "comes first"),
        ((2.30, 1.30), "not at the centre"),
        ((3.94, 1.30), "cannot make the ball larger"),
        ((0, 1.30), "inside the ball"),
        ((np.sqrt(2.3**2 - 1.64**2), 1.30), "along the line"),
        ((0.82, 1.30), "edge"),
        ((0.66, 2.30), "nothing is left"),
        ((0.66, 0.64), "same equation"),
        (0.66, "two numbers"),
    ],
    "15.3": [
        (lambda depth: 2 * work(depth), "count as one"),
        (without_halving, "smaller images"),
        (lambda depth: work(depth) - 442_368, "first convolution"),
        (every_stage_alike, "stage before"),
        (weights, "every pixel"),
        (lambda depth: (work(depth) - 640) / 9 + 640, "3 x 3"),
        (lambda depth: work(2 * depth - 2), "two convolutions"),
        (lambda depth: depth, "add up"),
        (lambda depth: "much", "one number"),
        (40_551_040, "function"),
    ],
    "15.4": [
        ((0.0, -0.1), "more than 0.4"),
        ((0.2, -0.5), "smaller than the radius"),
        ((0.2, -0.1), "still answers 1"),
        ((0.2, 0.3), "still answers 1"),
        ((0.25, -0.25), "boundary"),
        (0.2, "two numbers"),
    ],
    "15.5": [
        ((0.0607, 3.626), "before image 500"),
        ((0.1753, 3.626), "each side"),
        ((np.sqrt(np.log(20) / 480), 3.626), "two sides"),
        ((0.0633, 3.626), "all radii"),
        ((0.5, 3.626), "fit into an hour"),
        ((0.0877, 3.8115), "fewer samples"),
        ((0.0877, 0.48 * 3.8115), "proportion"),
        ((0.0877, 2.0), "which n fits"),
    ],
}

# More answers, drawn from the text of the exercises alone.


def any_hint(*answers):
    """Wrong answers that no hint was written for."""
    return [(answer, "Hint: ") for answer in answers]


def work_by_stages(depth):
    blocks = (depth - 2) // 6
    stage = 2 * blocks * 9 * 16 * 16 * 1024
    return 27 * 16 * 1024 + 3 * stage - 2 * 9 * 16 * 16 * 1024 // 2 + 64 * 10


def work_as_float(depth):
    return float(work(depth))


def work_by_table(depth):
    layers = [(3, 16, 1024)]
    for inner, outer, pixels in ((16, 16, 1024), (16, 32, 256), (32, 64, 64)):
        layers.append((inner, outer, pixels))
        layers += [(outer, outer, pixels)] * ((depth - 2) // 3 - 1)
    return sum(9 * a * b * p for a, b, p in layers) + 640


def work_by_numpy(depth):
    channels = np.repeat([16, 32, 64], (depth - 2) // 3)
    inner = np.concatenate([[16], channels[:-1]])
    pixels = (32 * 16 / channels) ** 2
    return np.sum(9 * inner * channels * pixels) + 9 * 3 * 16 * 32**2 + 640


def input_sizes(depth):
    """The first convolution of a stage counted at the size of its input."""
    k, total, inner, before = (depth - 2) // 6, 9 * 3 * 16 * 32**2, 16, 32
    for outer, side in ((16, 32), (32, 16), (64, 8)):
        total += 9 * (inner * outer * before**2 + (2 * k - 1) * outer * outer * side**2)
        inner, before = outer, side
    return total + 640


def k_convolutions(depth):
    k, total, inner = (depth - 2) // 6, 9 * 3 * 16 * 32**2, 16
    for outer, side in ((16, 32), (32, 16), (64, 8)):
        total += 9 * (inner * outer + (k - 1) * outer * outer) * side**2
        inner = outer
    return total + 640


DRAWN_RIGHT = {
    "15.1": [
        math.ceil(1108.96),
        Fraction(1109),
        Decimal("1109"),
        np.float64(1109),
        sp.Integer(1109),
        -int(-6.907755 // np.log(0.9937903)) * -1 + 1,
    ],
    "15.2": [
        (0.6600, 1.3000),
        (round(2.3 - 1.64, 2), 1.3),
        [Decimal("0.66"), Decimal("1.30")],
        (np.float32(0.66), np.float32(1.3)),
        np.array([2.3, 2.3]) - np.array([1.64, 1]),
        (0.66 + 1e-9, 1.3),
    ],
    "15.3": [work_by_stages, work_as_float, work_by_table, work_by_numpy]
    + [lambda depth, of=of: sp.Integer(int(of(depth))) for of in (work, work_by_stages)],
    "15.4": [
        (0.1, -0.11),
        (0.3, -0.4),
        (0.45, -0.49),
        (0.2, -0.2 - 1e-9),
        [0.11, -0.2],
        (np.float32(0.25), np.float32(-0.3)),
    ],
    "15.5": [
        (0.08767, 3.626),
        [0.0877, 3.6260],
        (np.sqrt(3.6889 / 480), 3.6261),
        (math.sqrt(math.log(40) / 2 / 240), norm.isf(-np.expm1(np.log(0.001) / 48_000))),
        (np.float32(0.08766), np.float32(3.626)),
        (Fraction(877, 10_000), Decimal("3.626")),
    ],
}
DRAWN_WRONG = {
    "15.1": [
        (1110, "fewer"),
        *any_hint(
            1102,
            int(np.ceil(np.log(0.001) / norm.logcdf(5))),
            301,
            40,
            1200,
            1000,
            2218,
            554,
            6.9,
            11090,
            -1109,
            0,
        ),
    ],
    "15.2": [
        ((1.64, 1.3), "the second is right"),
        *any_hint(
            (0.66, 0.66),
            (1.3, 1.3),
            (0.66, 1.64),
            (0.66, 3.3),
            (0.64, 1.3),
            (0.66, 1.0),
            (0.46, 1.3),
            (0.66, 0.3),
            (-0.66, 1.3),
            (0.66, 2.64),
            (1.66, 1.3),
            (0.66, 1.64 - 1),
        ),
    ],
    "15.3": any_hint(
        input_sizes,
        k_convolutions,
        lambda depth: work(depth) - 640,
        lambda depth: work(depth) + 640,
        lambda depth: work(depth) * 1.00005,
        lambda depth: work(20) * depth / 20,
        lambda depth: 40_551_040,
        lambda depth: work(depth) - 9 * 16 * 16 * 1024,
        lambda depth: work(depth) // 9,
        lambda depth: work(depth + 6),
        lambda depth: work(20) + (work(110) - work(20)) * (depth - 20) / 90 + 10_000,
    ),
    "15.4": any_hint(
        (0.05, -0.1),
        (0.2, -0.19),
        (0.2, 0.2),
        (0.95, -0.99),
        (0.5, -0.5),
        (0.2, -0.6),
        (0.1, -0.1),
        (0.5, 0.4),
        (0.3, 0.0),
        (-0.1, 0.0),
        (0.3, -0.5),
        (0.2, float("-inf")),
    ),
    "15.5": [
        ((0.0607, 3.626), "the second is right"),
        ((0.0877, 3.6366), "exactly"),
        *any_hint(
            (0.0877, 3.4429),
            (0.0877, 3.1986),
            (0.0877, 3.75),
            (0.0877, 3.6),
            (0.0862, 3.626),
            (0.09, 3.626),
            (0.0439, 3.626),
            (0.12, 3.626),
            (3.626, 0.0877),
            (0.0877, 48000),
            (240, 3.626),
            (0.08, 3.6),
        ),
    ],
}
for _name in RIGHT:
    RIGHT[_name] += DRAWN_RIGHT[_name]
    WRONG[_name] += DRAWN_WRONG[_name]

TELLS = {"15.1": "1109", "15.2": "0.66", "15.5": "0.0877"}


def test_the_answers_follow_from_the_library():
    """The numbers that the checks hold are those of the functions that the chapter teaches."""
    assert certificates.max_certified_radius(1109, 0.001, 0.5) >= 1.25 - 1e-6
    assert certificates.max_certified_radius(1108, 0.001, 0.5) < 1.25
    network = models.build("resnet20", (3, 32, 32), 10)
    layers = [m for m in network.modules() if hasattr(m, "weight") and m.weight.dim() > 1]
    assert len(layers) == 20 and sum(m.weight.numel() for m in layers) == weights(20)
