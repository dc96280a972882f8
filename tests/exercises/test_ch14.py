"""The checks of chapter 14 accept right answers, however written, and know the common mistakes."""

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

from rslib.exercises import EXERCISES, check

check("14.1")
CHAPTER = sorted(name for name in EXERCISES if name.startswith("14."))


def hours_by_counting(images, seconds, ranks):
    shares = [len(range(rank, images, ranks)) for rank in range(ranks)]
    return max(shares) * seconds / 60 / 60


def hours_by_queue(images, seconds, ranks):
    """Each image goes to the rank that is free first."""
    free = [0.0] * ranks
    for _ in range(images):
        free[free.index(min(free))] += seconds
    return max(free) / 3600


def draws_of_generators(n, ranks):
    drawn = [np.random.default_rng(7).random(n // ranks) for _ in range(ranks)]
    return len(set(np.concatenate(drawn)))


def any_hint(*answers):
    """Wrong answers that no hint was written for."""
    return [(answer, "Hint: ") for answer in answers]


RIGHT = {
    "14.1": [
        1.25,
        Fraction(5, 4),
        1 / 0.8,
        sp.Rational(10, 8),
        Decimal("1.25"),
        np.float32(1.25),
        1 / (1 - 0.2),
        100 / 80,
        sp.Float(1.25),
        np.array(1.25),
    ],
    "14.2": [
        lambda images, seconds, ranks: math.ceil(images / ranks) * seconds / 3600,
        lambda m, s, g: -(-m // g) * s / 3600,
        hours_by_counting,
        lambda m, s, g: np.float64((m + g - 1) // g) * (s / 3600),
        lambda m, s, g: (m // g + (m % g > 0)) * s / 3600,
        lambda m, s, g: sp.ceiling(sp.Rational(m, g)) * s / 3600,
        hours_by_queue,
        lambda m, s, g: s * len(range(0, m, g)) / 3600,
        lambda m, s, g: np.ceil(np.divide(m, g)) * s / 3600,
        lambda m, s, g: max(len(np.arange(m)[r::g]) for r in range(g)) * s / 3600,
    ],
    "14.3": [
        lambda n, ranks: n / ranks,
        lambda n, ranks: n // ranks,
        lambda n, ranks: len(set(range(n // ranks)) | set(range(n // ranks))),
        lambda n, ranks: np.unique(np.tile(np.arange(n // ranks), ranks)).size,
        lambda n, ranks: Fraction(n, ranks),
        lambda n, ranks: sp.Integer(n) / ranks,
        lambda n, ranks: int(n * (1 / ranks) + 0.5),
        draws_of_generators,
        lambda n, ranks: len(range(0, n, ranks)),
        lambda n, ranks: n - (ranks - 1) * (n // ranks),
    ],
}
# Each wrong answer with a word of the hint that it must get.
WRONG = {
    "14.1": [
        (0.25, "added to 1"),
        (1.2, "shorter by 0.2"),
        (5, "forward pass stays"),
        (0.8, "share of the time"),
        (0.2, "share of the time"),
        (2, "divide the time"),
        *any_hint(1.8, 4, 1.0, 1.5, 125, 1.3, 0, -1.25, 1.24, 1.26, 0.125),
    ],
    "14.2": [
        (lambda m, s, g: m * s / g / 3600, "not split"),
        (lambda m, s, g: m // g * s / 3600, "left over"),
        (lambda m, s, g: math.ceil(m / g) * s, "seconds"),
        (lambda m, s, g: math.ceil(m * s / g) / 3600, "whole numbers"),
        (lambda m, s, g: m * s / 3600, "busiest rank"),
        *any_hint(
            lambda m, s, g: (m // g + (m % g > 1)) * s / 3600,
            lambda m, s, g: round(m / g) * s / 3600,
            lambda m, s, g: math.floor(m / g + 0.5) * s / 3600,
            lambda m, s, g: (m // g + 1) * s / 3600,
            lambda m, s, g: math.ceil(m / g) * s / 60,
            lambda m, s, g: math.ceil(m / g * s / 3600),
            lambda m, s, g: max(1, round(m / g + 0.25)) * s / 3600,
            lambda m, s, g: math.ceil(g / m) * s / 3600,
            lambda m, s, g: math.ceil(m / (g + 1)) * s / 3600,
            lambda m, s, g: math.ceil(m / g) * 110 / 3600,
            lambda m, s, g: math.ceil(m / 8) * s / 3600,
            lambda m, s, g: m % g * s / 3600,
        ),
    ],
    "14.3": [
        (lambda n, ranks: n, "one seed"),
        (lambda n, ranks: n / np.sqrt(ranks), "error"),
        (lambda n, ranks: n - ranks, "first draw"),
        (lambda n, ranks: n * ranks, "what are the first"),
        *any_hint(
            lambda n, ranks: 1,
            lambda n, ranks: ranks,
            lambda n, ranks: n - n // ranks,
            lambda n, ranks: n // ranks + 1,
            lambda n, ranks: n - ranks + 1,
            lambda n, ranks: n // ranks**2,
            lambda n, ranks: n // 8,
            lambda n, ranks: n // (ranks + 1),
            lambda n, ranks: np.sqrt(n / ranks),
            lambda n, ranks: 2 * n // ranks,
            lambda n, ranks: n // ranks if ranks > 2 else n,
        ),
    ],
}
TELLS = {"14.1": "1.25", "14.2": "ceil", "14.3": "n/R"}
