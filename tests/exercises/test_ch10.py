"""The checks of chapter 10 accept right answers, however written, and know the common mistakes."""

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
from scipy.stats import beta, norm

from rslib import certificates, confidence
from rslib.exercises import EXERCISES, check

check("10.1")
CHAPTER = sorted(name for name in EXERCISES if name.startswith("10."))


def recertify(selection, estimation, alpha, sigma):
    most = max(selection.values())
    label = min(c for c, votes in selection.items() if votes == most)
    n = sum(estimation.values())
    p_a = confidence.lower_bound(estimation.get(label, 0), n, alpha)
    if p_a <= 0.5:
        return -1, 0.0
    return label, float(certificates.certified_radius(p_a, sigma))


def recertify_scipy(selection, estimation, alpha, sigma):
    label = sorted(selection, key=lambda c: (-selection[c], c))[0]
    k, n = estimation.get(label, 0), sum(estimation.values())
    p_a = beta.ppf(alpha, k, n - k + 1) if k else 0
    return [label, sigma * norm.ppf(p_a)] if p_a > 0.5 else [-1, 0]


def recertify_rounded(selection, estimation, alpha, sigma):
    """Arrays of counts, and a radius cut to six decimals as in the files."""
    chosen, votes = np.zeros(10, int), np.zeros(10, int)
    for into, counts in ((chosen, selection), (votes, estimation)):
        for c, count in counts.items():
            into[c] = count
    label = int(chosen.argmax())
    p_a = confidence.lower_bound(votes[label], votes.sum(), alpha)
    radius = sigma * norm.ppf(p_a)
    return np.array([label, np.floor(radius * 1e6) / 1e6]) if radius > 0 else np.array([-1.0, 0.0])


def recertify_bisection(selection, estimation, alpha, sigma):
    from scipy.optimize import brentq
    from scipy.stats import binom

    label = min(sorted(selection), key=lambda c: -selection[c])
    k, n = estimation.get(label, 0), sum(estimation.values())
    if 2 * k <= n:
        return sp.Integer(-1), sp.Integer(0)
    p_a = brentq(lambda p: binom.sf(k - 1, n, p) - alpha, 0.01, 1 - 1e-12, xtol=1e-15)
    return (label, sp.Float(sigma * norm.ppf(p_a))) if p_a > 0.5 else (-1, 0.0)


def class_from_estimation(selection, estimation, alpha, sigma):
    return recertify(estimation, estimation, alpha, sigma)


def always_one_in_a_thousand(selection, estimation, alpha, sigma):
    return recertify(selection, estimation, 0.001, sigma)


def two_sided_level(selection, estimation, alpha, sigma):
    return recertify(selection, estimation, alpha / 2, sigma)


def frequency(selection, estimation, alpha, sigma):
    label = min(selection, key=lambda c: (-selection[c], c))
    share = estimation.get(label, 0) / sum(estimation.values())
    return (label, sigma * norm.ppf(share)) if share > 0.5 else (-1, 0.0)


def never_abstains(selection, estimation, alpha, sigma):
    label = min(selection, key=lambda c: (-selection[c], c))
    k = estimation.get(label, 0)
    if not k:
        return -1, 0.0
    return label, sigma * norm.ppf(confidence.lower_bound(k, sum(estimation.values()), alpha))


def absent_class_forgotten(selection, estimation, alpha, sigma):
    label = min(selection, key=lambda c: (-selection[c], c))
    estimation = {label: 1, **estimation} if label in estimation else {label: 900, 9: 100}
    return recertify({label: 100}, estimation, alpha, sigma)


def last_of_a_tie(selection, estimation, alpha, sigma):
    label = max(selection, key=lambda c: (selection[c], c))
    return recertify({label: 100}, estimation, alpha, sigma)


def radius_without_sigma(selection, estimation, alpha, sigma):
    label, radius = recertify(selection, estimation, alpha, sigma)
    return label, radius / sigma


ONE = [(3, 3, 0.6)]
ABSTAINED = [(5, -1, 0.0)]
RIGHT = {
    "10.1": [
        (3 / 8, 3.24 / 8),
        [0.375, 0.405],
        np.array([0.375, 0.405]),
        (Fraction(3, 8), Decimal("0.405")),
        sp.Tuple(sp.Rational(3, 8), sp.Rational(81, 200)),
    ],
    "10.2": [4612, 4612.0, np.int64(4612), sp.ceiling(sp.log(40) / (2 * sp.Rational(1, 50) ** 2))],
    "10.3": [recertify, recertify_scipy, recertify_rounded, recertify_bisection],
    "10.4": [
        0.01,
        norm.cdf(3.91) ** 100_000,
        np.exp(-4.615),
        Fraction(1, 100),
        sp.exp(-sp.Float("4.615")),
    ],
    "10.5": [
        ONE + 9 * ABSTAINED,
        np.array(ONE + 9 * ABSTAINED),
        9 * ABSTAINED + [[0, 0, 0.5]],
        tuple(2 * ONE + 20 * [(1, -1, 0)]),
        9 * [(1, 1, 2.0)] + [(1, 2, 0.7)] + 90 * ABSTAINED,
    ],
    "10.6": [
        (0.4, 1.1),
        [Fraction(2, 5), Fraction(11, 10)],
        np.array([0.4, 1.1]),
        (sp.Rational(2, 5), Decimal("1.1")),
    ],
}
# Each wrong answer with a word of the hint that it must get.
WRONG = {
    "10.1": [
        ((0.25, 0.405), "exactly"),
        ((0.5, 0.405), "wrong class"),
        ((3 / 7, 0.405), "all eight"),
        ((0.5001, 0.405), "wrong class"),
        ((3, 0.405), "share"),
        ((0.1, 0.405), "count"),
        ((0.375, 4.15 / 8), "radius 0"),
        ((0.375, 3.24 / 7), "over all"),
        ((0.375, 0.54), "over all"),
        ((0.375, 0.1), "add the radii"),
        (0.375, "two numbers"),
        ("ab", "two numbers"),
        ((0.375, 0.405, 0), "two numbers"),
    ],
    "10.2": [
        (4611, "other way"),
        (4611.1, "whole"),
        (2401, "one radius"),
        (3745, "two sides"),
        (18445, "each side"),
        (1153, "half width"),
        (500, "Massart"),
    ],
    "10.3": [
        (class_from_estimation, "choose the class"),
        (always_one_in_a_thousand, "argument"),
        (two_sided_level, "one bound"),
        (frequency, "half the time"),
        (never_abstains, "certifies nothing"),
        (absent_class_forgotten, "most rows"),
        (last_of_a_tie, "most rows"),
        (radius_without_sigma, "from the selection"),
        (lambda selection, estimation, alpha, sigma: 0.5, "a pair"),
        (lambda selection, estimation, alpha, sigma: estimation[4], "raised KeyError"),
    ],
    "10.4": [
        (0.001, "3.81"),
        (4.615e-5, "together"),
        (0.99, "confidence"),
        (4.615, "step is missing"),
        (0.02, "one-sided"),
        (0.05, "all n votes"),
    ],
    "10.5": [
        (5 * ONE + 5 * ABSTAINED, "above 0.1"),
        (ONE + 8 * ABSTAINED, "at least ten"),
        (10 * ABSTAINED, "divides by zero"),
        (ONE + 9 * [(5, 4, 0.6)], "only 0.100"),
        ([(3, 3, 0.4)] + 9 * ABSTAINED, "only 0.000"),
        (ONE + 9 * [(5, -1, 0.6)], "abstains"),
        (ONE + 9 * [(5.5, -1, 0)], "whole numbers"),
        (10 * [(1, 2)], "three fields"),
        ([1, 2, 3], "list of rows"),
    ],
    "10.6": [
        ((1.1, 0.4), "first"),
        ((0.4, 0.4), "one wrong class"),
        ((1.1, 1.1), "only if both"),
        ((0.4, 1.5), "add up"),
        ((0.75, 1.1), "both say"),
        ((0.4, 0.7), "still says"),
    ],
}

# More answers, drawn from the text of the exercises alone.


def any_hint(*answers):
    """Wrong answers that no hint was written for."""
    return [(answer, "Hint: ") for answer in answers]


def recertify_library(selection, estimation, alpha, sigma):
    """Counts as arrays, and the library's rounding."""
    classes = sorted({*selection, *estimation})
    votes = [selection.get(c, 0) for c in classes]
    label = classes[int(np.argmax(votes))]
    k, n = estimation.get(label, 0), sum(estimation.values())
    bound = confidence.lower_bound(k, n, alpha)
    if bound > 0.5:
        return label, certificates.certified_radius(bound, sigma)
    return (-1, 0.0)


def recertify_by_the_tail(selection, estimation, alpha, sigma):
    label = max(sorted(selection), key=lambda c: selection[c])
    n, k = sum(estimation.values()), estimation.get(label, 0)
    missed = beta.isf(alpha, n - k + 1, k) if k else 1.0
    radius = sigma * norm.isf(missed)
    return {True: (label, radius), False: (-1, 0.0)}[bool(radius > 0)]


def rounded_to_nearest(selection, estimation, alpha, sigma):
    label, radius = recertify(selection, estimation, alpha, sigma)
    return label, round(radius, 6)


def rounded_up(selection, estimation, alpha, sigma):
    label, radius = recertify(selection, estimation, alpha, sigma)
    return label, np.ceil(radius * 1e6) / 1e6


def of_all_votes(selection, estimation, alpha, sigma):
    total = {c: selection.get(c, 0) + estimation.get(c, 0) for c in {*selection, *estimation}}
    return recertify(selection, total, alpha, sigma)


def of_100_000(selection, estimation, alpha, sigma):
    label = min(selection, key=lambda c: (-selection[c], c))
    p_a = confidence.lower_bound(estimation.get(label, 0), 100_000, alpha)
    return (label, sigma * norm.ppf(p_a)) if p_a > 0.5 else (-1, 0.0)


def sigma_half(selection, estimation, alpha, sigma):
    label, radius = recertify(selection, estimation, alpha, sigma)
    return label, radius / sigma * 0.5


def normal_interval(selection, estimation, alpha, sigma):
    label = min(selection, key=lambda c: (-selection[c], c))
    n = sum(estimation.values())
    share = estimation.get(label, 0) / n
    p_a = share - norm.isf(alpha) * np.sqrt(share * (1 - share) / n)
    return (label, sigma * norm.ppf(p_a)) if p_a > 0.5 else (-1, 0.0)


def two_sided_form(selection, estimation, alpha, sigma):
    label = min(selection, key=lambda c: (-selection[c], c))
    counts = [estimation.get(c, 0) for c in range(10)]
    p_a, p_b = confidence.runner_up_bounds(counts, label, alpha)
    radius = sigma / 2 * (norm.ppf(p_a) - norm.ppf(p_b))
    return (label, radius) if radius > 0 else (-1, 0.0)


def class_kept_when_abstaining(selection, estimation, alpha, sigma):
    label, radius = recertify(selection, estimation, alpha, sigma)
    return (min(selection, key=lambda c: (-selection[c], c)), 0.0) if label < 0 else (label, radius)


def upper(selection, estimation, alpha, sigma):
    label = min(selection, key=lambda c: (-selection[c], c))
    n = sum(estimation.values())
    p_a = confidence.upper_bound(estimation.get(label, 0), n, alpha)
    return (label, sigma * norm.ppf(p_a)) if p_a > 0.5 else (-1, 0.0)


def first_of_the_dictionary(selection, estimation, alpha, sigma):
    return recertify({next(iter(selection)): 100}, estimation, alpha, sigma)


DRAWN_RIGHT = {
    "10.1": [
        (0.375, 0.4050),
        [3 / 8, (0.72 + 0.5 + 0.31 + 0.49 + 0.85 + 0.37) / 8],
        np.array([3, 3.24]) / 8,
        (Decimal("0.375"), Fraction(81, 200)),
        (np.float32(0.375), np.float32(0.405)),
        sp.Matrix([sp.Rational(3, 8), sp.Float("0.405")]),
    ],
    "10.2": [
        int(np.ceil(np.log(40) / 0.0008)),
        np.ceil(4611.1),
        Fraction(4612),
        Decimal(4612),
        sp.Integer(4612),
        -int(-np.log(2 / 0.05) // (2 * 0.02**2)),
    ],
    "10.3": [recertify_library, recertify_by_the_tail]
    + [
        lambda s, e, alpha, sigma, of=of: tuple(of(s, e, alpha, sigma))
        for of in (recertify, recertify_scipy, recertify_rounded, recertify_bisection)
    ],
    "10.4": [
        0.0099,
        1e-2,
        (1 - 4.615e-5) ** 100_000,
        Decimal("0.01"),
        np.float32(0.01),
        sp.Rational(1, 100),
    ],
    "10.5": [
        [(0, 0, 1.0)] + 9 * [(1, -1, 0)],
        [[7, 7, 0.5]] + 19 * [[7, -1, 0.0]],
        np.array([[2, 2, 0.9]] + [[2, -1, 0.0]] * 9),
        [(3, 3, Fraction(1, 2))] + 9 * [(3, -1, 0)],
        [(3, 3, 0.6), (4, 4, 0.7)] + 18 * [(5, -1, 0.0)],
        ([4, 4, sp.Rational(3, 5)], *([4, -1, 0],) * 11),
    ],
    "10.6": [
        [0.4, 1.1],
        (0.40, 1.10),
        {1: 0.4, 2: 1.1}.values(),
        (min(0.4, 1.1), max(0.4, 1.1)),
        (Decimal("0.4"), Fraction(11, 10)),
        (np.float32(0.4), np.float64(1.1)),
    ],
}
DRAWN_WRONG = {
    "10.1": [
        ((0.5, 0.405), "the average is right"),
        ((3 / 6, 3.24 / 6), "fewer than all"),
        ((5 / 8, 0.405), "the average is right"),
        *any_hint(
            (0.405, 0.375),
            (0.375, 0.5187),
            (0.375, 0.4629),
            (0.375, 0.54),
            (4 / 7, 0.405),
            (0.375, 0.345),
            (37.5, 0.405),
            (0.3, 0.4),
            (0.375, 3.24),
        ),
    ],
    "10.2": [
        (4613, "fewer"),
        *any_hint(46112, 9222, 5000, 461, 2500, 1500, 2766, 4600, 1537, -4612, 4612.5),
    ],
    "10.3": [
        (rounded_to_nearest, "cut the digits"),
        (rounded_up, "cut the digits"),
        *any_hint(
            of_all_votes,
            of_100_000,
            sigma_half,
            normal_interval,
            two_sided_form,
            class_kept_when_abstaining,
            upper,
            first_of_the_dictionary,
            lambda s, e, alpha, sigma: (max(s, key=s.get), 0.5),
        ),
    ],
    "10.4": any_hint(
        0.0095, 0.0105, 0.05, 0.1, 0.005, 0.0001, 0.0046, 0.99, 3.91, 0.015, 0.002, 1.0, -0.01
    ),
    "10.5": any_hint(
        10 * [(5, -1, 0.0)],
        10 * [(3, 3, 0.6)],
        [(3, 3, 0.6)] + 9 * [(3, 4, 0.0)],
        [(3, 3, 0.6)] + 9 * [(3, -1, 0.7)],
        [(3, 3, 0.49)] + 9 * [(5, -1, 0.0)],
        2 * [(3, 3, 0.6)] + 9 * [(5, -1, 0.0)],
        [(3, 3, 0.6), (3, 4, 0.6)] + 18 * [(5, -1, 0.0)],
        [(3, 3, 0.6)] + 9 * [(5, -2, 0.0)],
        [(-1, -1, 0.6)] + 9 * [(5, -1, 0.0)],
        [(3, 3, 0.6)],
        [],
        [(3, 3, float("inf"))] + 9 * [(5, -1, 0.0)],
    ),
    "10.6": [
        ((1.1, 1.1), "the second is right"),
        ((0.75, 1.1), "the second is right"),
        *any_hint(
            (1.1, 0.4),
            (0.4, 0.4),
            (0.4, 1.5),
            (0.4, 0.7),
            (0.0, 1.1),
            (0.4, float("inf")),
            (0.4, 0.75),
            (0.44, 1.1),
            (0.7, 1.5),
            (0.4, 1.0),
        ),
    ],
}
for _name in RIGHT:
    RIGHT[_name] += DRAWN_RIGHT[_name]
    WRONG[_name] += DRAWN_WRONG[_name]

TELLS = {"10.1": "0.405", "10.2": "4612", "10.4": "0.01", "10.6": "0.4"}


def test_the_answers_follow_from_the_library():
    """The numbers that the checks hold are those of the functions that the chapter teaches."""
    assert abs(certificates.max_certified_radius(100_000, 0.01, 1.0) - 3.91) < 0.005
    assert abs(certificates.max_certified_radius(100_000, 0.001, 1.0) - 3.81) < 0.005
    from rslib.evaluation import accuracy_band
    from rslib.records import Row

    def half_width(images):
        rows = [Row(i, i % 2, 0, Decimal("0.5"), i % 2 == 0, 0.1) for i in range(images)]
        lower, upper = accuracy_band(rows, [0.25])
        return (upper - lower)[0] / 2

    assert half_width(4612) <= 0.02 < half_width(4611)
