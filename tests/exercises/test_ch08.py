"""The checks of chapter 8 accept right answers, however written, and know the common mistakes."""

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
from scipy.stats import beta, binom, norm

from rslib import certificates, confidence
from rslib.exercises import EXERCISES, check

check("08.1")
CHAPTER = sorted(name for name in EXERCISES if name.startswith("08."))
p_a, p_b, s = sp.symbols("p_a p_b s")
erfinv_half = sp.sqrt(2) * sp.erfinv(sp.Rational(4, 5))


def two_sided(counts, label, alpha, sigma):
    a, b = confidence.runner_up_bounds(counts, label, alpha)
    return max(0.0, float(certificates.certified_radius(a, sigma, b)))


def two_sided_scipy(counts, label, alpha, sigma):
    counts = [int(count) for count in counts]
    n, k, rival = sum(counts), counts[label], max(counts[:label] + counts[label + 1 :])
    a = beta.ppf(alpha / 2, k, n - k + 1) if k else 0.0
    b = beta.isf(alpha / 2, rival + 1, n - rival) if rival < n else 1.0
    return np.float64(sigma / 2 * (norm.ppf(a) - norm.ppf(b))) if a > b else 0


def two_sided_search(counts, label, alpha, sigma):
    """The bounds by bisection on the binomial tail."""
    from scipy.optimize import brentq

    n, k, rival = int(sum(counts)), int(counts[label]), int(max(np.delete(counts, label)))
    if k <= rival:
        return 0.0
    a = brentq(lambda p: binom.sf(k - 1, n, p) - alpha / 2, 1e-12, 1 - 1e-12, xtol=1e-14)
    b = brentq(lambda p: binom.cdf(rival, n, p) - alpha / 2, 1e-12, 1 - 1e-12, xtol=1e-14)
    return max(sigma * (norm.ppf(a) + norm.isf(b)) / 2, 0)


def two_sided_all_rivals(counts, label, alpha, sigma):
    a = confidence.lower_bound(counts[label], counts.sum(), alpha / 2)
    b = confidence.upper_bound(np.delete(counts, label), counts.sum(), alpha / 2).max()
    return sp.Float(certificates.certified_radius(a, sigma, b)) if a > b else sp.Integer(0)


def not_clipped(counts, label, alpha, sigma):
    a, b = confidence.runner_up_bounds(counts, label, alpha)
    return certificates.certified_radius(a, sigma, b)


def alpha_not_split(counts, label, alpha, sigma):
    return two_sided(counts, label, 2 * alpha, sigma)


def one_sided(counts, label, alpha, sigma):
    a = confidence.lower_bound(counts[label], counts.sum(), alpha)
    return max(0.0, certificates.certified_radius(a, sigma))


def bonferroni(counts, label, alpha, sigma):
    return two_sided(counts, label, 2 * alpha / len(counts), sigma)


def frequencies(counts, label, alpha, sigma):
    share = counts / counts.sum()
    with np.errstate(all="ignore"):
        radius = sigma / 2 * (norm.ppf(share[label]) - norm.ppf(np.delete(share, label).max()))
    return max(0.0, radius)


def no_factor_half(counts, label, alpha, sigma):
    return 2 * two_sided(counts, label, alpha, sigma)


def edge_cases_forgotten(counts, label, alpha, sigma):
    return two_sided(counts, label, alpha, sigma) if counts.min() > 0 else 0.0


def worst(points):
    return np.where(points <= norm.ppf(0.7), 0, np.where(points >= norm.isf(0.2), 1, 2))


def worst_mirrored(points):
    return worst(-points)


def worst_other_names(points):
    return [(0, 2, 1)[label] for label in worst(points)]


def worst_digitised(points):
    return np.array([0, 2, 1])[np.digitize(points, [norm.ppf(0.7), norm.ppf(0.8)])]


def winner_in_the_middle(points):
    """The shares are right, but the vote is not the worst."""
    return np.where(points < norm.ppf(0.2), 1, np.where(points < norm.ppf(0.9), 0, 2))


def rival_in_the_middle(points):
    return np.digitize(points, [norm.ppf(0.7), norm.ppf(0.9)])


def one_half_space(points):
    return (points > norm.ppf(0.7)).astype(int)


def too_few_votes(points):
    return np.where(points <= norm.ppf(0.6), 0, np.where(points >= norm.isf(0.2), 1, 2))


TAIL = binom.sf(58, 100, 0.5)


def half_of_alpha_for_all_rivals(counts, label, alpha, sigma):
    p_a = confidence.lower_bound(counts[label], sum(counts), alpha / 2)
    rival, share = max(np.delete(counts, label)), alpha / 2 / (len(counts) - 1)
    p_b = min(confidence.upper_bound(rival, sum(counts), share), 1 - p_a)
    return max(0.0, sigma / 2 * (norm.ppf(p_a) - norm.ppf(p_b)))


def two_sided_of_the_leader(counts, label, alpha, sigma):
    return two_sided(counts, int(np.argmax(counts)), alpha, sigma)


def two_sided_of_class_0(counts, label, alpha, sigma):
    return two_sided(counts, 0, alpha, sigma)


def all_rivals_together(counts, label, alpha, sigma):
    n = counts.sum()
    a = confidence.lower_bound(counts[label], n, alpha / 2)
    b = confidence.upper_bound(n - counts[label], n, alpha / 2)
    return max(0.0, float(certificates.certified_radius(a, sigma, b))) if a > b else 0.0


def lower_bound_of_the_rival(counts, label, alpha, sigma):
    n, rival = counts.sum(), np.delete(counts, label).max()
    a = confidence.lower_bound(counts[label], n, alpha / 2)
    b = confidence.lower_bound(rival, n, alpha / 2)
    return max(0.0, float(certificates.certified_radius(a, sigma, b))) if a > b else 0.0


def normal_bounds(counts, label, alpha, sigma):
    n = counts.sum()
    shares = np.array([counts[label], np.delete(counts, label).max()]) / n
    a, b = shares + np.array([-1, 1]) * norm.isf(alpha / 2) * np.sqrt(shares * (1 - shares) / n)
    return max(0.0, sigma / 2 * (norm.ppf(a) - norm.ppf(b))) if 0 < b < a < 1 else 0.0


def two_sided_loop(counts, label, alpha, sigma):
    n = int(np.sum(counts))
    a = float(confidence.lower_bound(int(counts[label]), n, alpha / 2))
    uppers = [
        float(confidence.upper_bound(int(count), n, alpha / 2))
        for c, count in enumerate(counts)
        if c != label
    ]
    b = min(max(uppers), 1 - a)
    return sigma * (norm.ppf(a) - norm.ppf(b)) / 2 if a > b else 0.0


def rounded_edges(points):
    """0.524 is below the quantile 0.5244: class 0 has a little less than 0.7."""
    return np.where(points <= 0.524, 0, np.where(points >= 0.842, 1, 2))


def rounded_edges_safely(points):
    return np.where(points <= 0.5245, 0, np.where(points >= 0.8417, 1, 2))


def worst_by_probability(points):
    shares = norm.cdf(points)
    return np.where(shares <= 0.7, 0, np.where(shares < 0.8, 2, 1))


def worst_with_less_in_the_middle(points):
    """Class 0 has 0.701: the vote turns within 1.01 R all the same."""
    return np.where(points <= norm.ppf(0.701), 0, np.where(points >= norm.isf(0.2), 1, 2))


def others(*answers):
    """Wrong answers that no hint is written for."""
    return [(answer, "") for answer in answers]


RIGHT = {
    "08.1": [
        0.125 * (norm.ppf(0.9) - norm.ppf(0.05)),
        0.3658,
        Fraction(3658, 10000),
        certificates.certified_radius(0.9, 0.25, p_b=0.05),
        (erfinv_half + sp.sqrt(2) * sp.erfinv(sp.Rational(9, 10))) / 8,
        0.36580,
        0.3657,
        0.36580065,
        0.25 / 2 * (1.2816 + 1.6449),
        norm.ppf(0.9) / 8 + norm.ppf(0.95) / 8,
        Decimal("0.3658"),
        sp.Rational(36580, 100_000),
        0.36575,
    ],
    "08.2": [
        5114,
        5114.0,
        np.int64(5114),
        sp.Integer(5114),
        math.ceil(math.log(0.001) / math.log(norm.cdf(3))),
        Fraction(5114),
        Decimal(5114),
        int(5113.79) + 1,
        np.ceil(5113.8),
        5_114,
    ],
    "08.3": [
        s * (p_a - p_b),
        s * p_a - s * p_b,
        sp.Symbol("s", positive=True) * (sp.Symbol("p_a", real=True) - p_b),
        lambda p_a, p_b, s: s * (p_a - p_b),
        sp.Lambda((p_a, p_b, s), s * (p_a - p_b)),
        (p_a - p_b) / 2 / (1 / (2 * s)),
        -s * (p_b - p_a),
        (s * p_a**2 - s * p_b**2) / (p_a + p_b),
        2 * s * (p_a / 2 - p_b / 2),
        lambda a, b, half: half * a - half * b,
        sp.factor(s * p_a - s * p_b),
        lambda a, b, w: w * (a - b),
    ],
    "08.4": [
        two_sided,
        two_sided_scipy,
        two_sided_search,
        two_sided_all_rivals,
        two_sided_loop,
        lambda *case: np.array(two_sided(*case)),
        lambda *case: np.float64(two_sided(*case)),
        lambda counts, label, alpha, sigma: sigma * two_sided(counts, label, alpha, 1.0),
        lambda counts, label, alpha, sigma: two_sided(np.array(counts), int(label), alpha, sigma),
        lambda counts, label, alpha, sigma: (
            0 if counts[label] < counts.max() else two_sided_loop(counts, label, alpha, sigma)
        ),
    ],
    "08.5": [
        worst,
        worst_mirrored,
        worst_other_names,
        worst_digitised,
        worst_by_probability,
        rounded_edges_safely,
        worst_with_less_in_the_middle,
        lambda t: np.select([t <= norm.ppf(0.7), t >= -norm.ppf(0.2)], [0, 1], 2),
        lambda t: 2 * (t > norm.ppf(0.7)) - (t >= norm.ppf(0.8)).astype(int),
        lambda t: np.where(t >= norm.ppf(0.3), 0, np.where(t <= norm.ppf(0.2), 2, 1)),
    ],
    "08.6": [
        2 * TAIL,
        0.0886,
        2 * (1 - binom.cdf(58, 100, 0.5)),
        Fraction(886, 10000),
        0.08863,
        2 * 0.0443130,
        2 * binom.sf(58, 100, 0.5),
        Decimal("0.0886"),
        binom.sf(58, 100, 0.5) + binom.cdf(41, 100, 0.5),
        8.86e-2,
    ],
    "08.7": [
        (norm.ppf(0.6) - norm.ppf(0.2)) / 2,
        0.5475,
        sp.Rational(5475, 10000),
        0.54748,
        0.5474,
        0.547,
        (0.25335 + 0.84162) / 2,
        norm.ppf(0.6) / 2 + norm.ppf(0.8) / 2,
        certificates.certified_radius(0.6, 1.0, p_b=0.2),
        Fraction(5474, 10_000),
        np.float64(0.547484),
    ],
}
# Each wrong answer with a word of the hint that it must get.
WRONG = {
    "08.1": [
        (0.7316, "factor"),
        (1.4632, "noise level"),
        (0.3204, "P_A alone"),
        (-0.0454, "sign"),
        (0.125 * (norm.cdf(0.9) - norm.cdf(0.05)), "inverse"),
        (0.2663, "Theorem 0"),
        (0.36, "term by term"),
        (0.366, "rounded down"),
        (0.365, "more digits"),
        *others(0.37, 0.1829, 0.4112, 0.85, 0.2125, 0.0454, 2.9265, 0.33, 0.25, 0.7, 0.106, 0.41),
    ],
    "08.2": [
        (5113, "other way"),
        (5113.79, "whole"),
        (5118, "logarithm"),
        (5627, "one-sided"),
        (3410, "alpha"),
        (100_000, "lower bound"),
        *others(5115, 5110, 6908, 5120, 2218, 1000, 3.2, 0.5, 5114.5, 740, 9_999, 5_000, 51_140),
    ],
    "08.3": [
        (s / 2 * (p_a - p_b), "too small"),
        (2 * s * (p_a - p_b), "too large"),
        (lambda p_a, p_b, s: s / 2 * (norm.ppf(p_a) - norm.ppf(p_b)), "Gaussian"),
        (s * (2 * p_a - 1), "one-sided"),
        (s * (p_a + p_b), "slide"),
        (sp.Symbol("sigma") * (p_a - p_b), "sigma"),
        (p_a - p_b, "slide"),
        *others(
            s * p_a,
            p_a - p_b,
            s * (p_a - p_b) / 4,
            s * (p_a - sp.Rational(1, 2)),
            s**2 * (p_a - p_b),
            (p_a - p_b) / s,
            s * (p_a - p_b) ** 2,
            s * p_a * (1 - p_b),
            lambda a, b, w: max(w * (a - b), 0.01),
            s * (1 - p_a - p_b),
            s,
            2 * s * p_a - s,
            (p_a - p_b) / (2 * s),
        ),
    ],
    "08.4": [
        (not_clipped, "below zero"),
        (alpha_not_split, "2 alpha"),
        (one_sided, "one-sided"),
        (bonferroni, "too small"),
        (half_of_alpha_for_all_rivals, "too small"),
        (frequencies, "half the time"),
        (edge_cases_forgotten, "ordinary counts"),
        (no_factor_half, "how much of alpha"),
        (lambda counts: 0.0, "raised TypeError"),
        (two_sided_of_the_leader, ""),
        (two_sided_of_class_0, ""),
        *others(
            all_rivals_together,
            lower_bound_of_the_rival,
            normal_bounds,
            lambda counts, label, alpha, sigma: two_sided(counts, label, alpha / 2, sigma),
            lambda counts, label, alpha, sigma: two_sided(counts, label, alpha, 1.0),
            lambda counts, label, alpha, sigma: two_sided(counts, label, alpha, 0.5),
            lambda counts, label, alpha, sigma: two_sided(counts, label, 0.001, sigma),
            lambda counts, label, alpha, sigma: 1.001 * two_sided(counts, label, alpha, sigma),
            lambda counts, label, alpha, sigma: two_sided(counts + 1, label, alpha, sigma),
            lambda counts, label, alpha, sigma: min(two_sided(counts, label, alpha, sigma), 1.0),
        ),
    ],
    "08.5": [
        (winner_in_the_middle, "still class 0"),
        (rival_in_the_middle, "still class 0"),
        (one_half_space, "more than"),
        (too_few_votes, "at least"),
        (lambda points: points, "classes must be"),
        (lambda points: 0, "one class a point"),
        (rounded_edges, "at least 0.7"),
        *others(
            lambda t: np.where(t <= norm.ppf(0.7), 0, 2),
            lambda t: np.where(t <= norm.ppf(0.75), 0, 1),
            lambda t: np.where(t <= norm.ppf(0.72), 0, np.where(t >= norm.ppf(0.8), 1, 2)),
            lambda t: np.where(t <= norm.ppf(0.699), 0, np.where(t >= norm.isf(0.2), 1, 2)),
            lambda t: np.where(t <= norm.ppf(0.7), 0, np.where(t >= norm.isf(0.201), 1, 2)),
            lambda t: np.where(np.abs(t) <= norm.ppf(0.85), 0, np.where(t > 0, 1, 2)),
            lambda t: np.where(t <= norm.ppf(0.7), 0, np.where(t >= norm.isf(0.15), 1, 2)),
            lambda t: np.zeros(len(t), dtype=int),
            lambda t: np.ones(len(t), dtype=int),
            lambda t: (t > 0).astype(int),
            lambda t: np.where(t <= norm.ppf(0.7), 1, np.where(t >= norm.isf(0.2), 0, 2)),
        ),
    ],
    "08.6": [
        (TAIL, "Who else"),
        (0.05, "rate"),
        (0.1, "rate"),
        (0.5, "lower bound"),
        *others(0.0891, 0.0876, 0.0352, 0.0568, 0.1336, 0.025, 0.0176, 0.04, 0.95, 0.09, 0.0878, 1),
    ],
    "08.7": [
        (norm.ppf(0.6), "third class"),
        (norm.ppf(0.6) - norm.ppf(0.2), "runner-up rises"),
        (0.6, "draw"),
        (0.4, "draw"),
        (0.548, "rounded down"),
        *others(0.2533, 1.0949, 0.42, 0.55, 0.5, 0.8416, 0.3, 0.2, 0.2942, 0.674, 0.127, 0.54),
    ],
}
TELLS = {"08.1": "0.36", "08.2": "511", "08.3": "p_a - p_b", "08.6": "0.08", "08.7": "0.54"}


def test_the_answers_follow_from_the_library():
    """The numbers that the checks hold are those of the functions that the chapter teaches."""
    assert certificates.max_certified_radius(5114, 0.001, 1.0) >= 3
    assert certificates.max_certified_radius(5113, 0.001, 1.0) < 3
    assert confidence.lower_bound(58, 100, 0.05) < 0.5 < confidence.lower_bound(59, 100, 0.05)
