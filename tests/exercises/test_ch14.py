"""The checks of chapter 14 accept right answers, however written, and know the common mistakes."""

import math
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp

from rslib.exercises import EXERCISES, check

check("14.1")
CHAPTER = sorted(name for name in EXERCISES if name.startswith("14."))


def hours_by_counting(images, seconds, ranks):
    shares = [len(range(rank, images, ranks)) for rank in range(ranks)]
    return max(shares) * seconds / 60 / 60


RIGHT = [
    ("14.1", 1.25),
    ("14.1", Fraction(5, 4)),
    ("14.1", 1 / 0.8),
    ("14.1", sp.Rational(10, 8)),
    ("14.2", lambda images, seconds, ranks: math.ceil(images / ranks) * seconds / 3600),
    ("14.2", lambda m, s, g: -(-m // g) * s / 3600),
    ("14.2", hours_by_counting),
    ("14.2", lambda m, s, g: np.float64((m + g - 1) // g) * (s / 3600)),
    ("14.3", lambda n, ranks: n / ranks),
    ("14.3", lambda n, ranks: n // ranks),
    ("14.3", lambda n, ranks: len(set(range(n // ranks)) | set(range(n // ranks)))),
    ("14.3", lambda n, ranks: np.unique(np.tile(np.arange(n // ranks), ranks)).size),
]
WRONG = [
    ("14.1", 0.25, "added to 1"),
    ("14.1", 5, "forward pass stays"),
    ("14.1", 0.8, "share of the time"),
    ("14.1", 0.2, "share of the time"),
    ("14.1", 2, "divide the time"),
    ("14.2", lambda m, s, g: m * s / g / 3600, "not split"),
    ("14.2", lambda m, s, g: (m // g) * s / 3600, "left over"),
    ("14.2", lambda m, s, g: math.ceil(m / g) * s, "seconds"),
    ("14.2", lambda m, s, g: math.ceil(m * s / g) / 3600, "whole numbers"),
    ("14.2", lambda m, s, g: m * s / 3600, "busiest rank"),
    ("14.3", lambda n, ranks: n, "one seed"),
    ("14.3", lambda n, ranks: n / np.sqrt(ranks), "error"),
    ("14.3", lambda n, ranks: n - ranks, "first draw"),
    ("14.3", lambda n, ranks: n * ranks, "what are the first"),
]


@pytest.mark.parametrize(("name", "answer"), RIGHT)
def test_right_answers(name, answer):
    verdict = check(name, answer)
    assert verdict.correct, verdict.message


@pytest.mark.parametrize(("name", "answer", "hint"), WRONG)
def test_wrong_answers(name, answer, hint):
    verdict = check(name, answer)
    assert not verdict.correct
    assert hint in verdict.message


@pytest.mark.parametrize("name", CHAPTER)
def test_every_check_is_tried_both_ways(name):
    assert sum(case[0] == name for case in RIGHT) >= 4
    assert sum(case[0] == name for case in WRONG) >= 3
