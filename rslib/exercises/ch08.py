"""Checks for chapter 8, Theorem 1."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.stats import binom, norm

from rslib import certificates, confidence
from rslib.exercises import (
    ROUNDED_UP,
    WrongType,
    close,
    exercise,
    expression,
    function,
    number,
    numeric_function,
    rounded_up,
)
from rslib.exercises.line import Smoothed

A_NUMBER = "a number, such as 0.25"


@exercise("08.1", kind="by hand", expects=A_NUMBER)
def two_sided_radius(answer: object) -> str | None:
    """P_A >= 0.9, P_B <= 0.05, sigma = 0.25."""
    value = number(answer)
    p_a, p_b, sigma = 0.9, 0.05, 0.25
    a, b = norm.ppf(p_a), norm.ppf(p_b)
    if close(value, sigma / 2 * (a - b)):
        return ROUNDED_UP if rounded_up(value, sigma / 2 * (a - b)) else None
    if close(value, sigma * (a - b)):
        return "P_A falls while P_B rises, so the two share the way: look at the factor in front."
    if close(value, (a - b) / 2):
        return "the radius is in input units: it must grow with the noise level."
    if close(value, sigma * a):
        return "this uses P_A alone; the bound on P_B is better than 1 - P_A here."
    if close(value, sigma / 2 * (a + b)):
        return "look at the sign of the second term (and at the sign of its value)."
    if close(value, sigma / 2 * (norm.cdf(p_a) - norm.cdf(p_b))):
        return "the function that turns a probability into a distance is the inverse of Phi."
    if close(value, sigma * np.sqrt(2 * np.pi) / 2 * (p_a - p_b)):
        return "this is Theorem 0 for the smoothed function; Theorem 1 gives more."
    return "insert the two bounds into the formula of Theorem 1, term by term."


@exercise("08.2", kind="by hand", expects="a whole number, such as 1000")
def samples_for_three_sigma(answer: object) -> str | None:
    """The least n for which n votes out of n certify R >= 3 sigma at alpha = 0.001."""
    value = number(answer)

    def least(alpha: float, rate: float) -> int:
        return int(np.ceil(np.log(alpha) / rate))

    rate = norm.logcdf(3.0)
    if value == least(0.001, rate):
        return None
    if value != int(value) and abs(value - np.log(0.001) / rate) < 1:
        return "a number of samples is a whole number; think about which way to round."
    if value == least(0.001, rate) - 1:
        return "just too few: round the other way."
    if value == least(0.001, -norm.sf(3.0)):
        return "very near: the logarithm of Phi(3) is not quite Phi(3) - 1."
    if value == least(0.0005, rate):
        return "the one-sided certificate spends all of alpha on one bound."
    if value == least(0.01, rate):
        return "look at the value of alpha again."
    return "write down the lower bound for n votes out of n, and ask that it reaches Phi(3)."


@exercise(
    "08.3",
    kind="by hand",
    expects="a SymPy expression in symbols named p_a, p_b and s, or a function of (p_a, p_b, s)",
)
def uniform_noise(answer: object) -> str | None:
    """Certified radius for uniform noise on [-s, s] in one dimension."""
    radius = expression(answer, "p_a", "p_b", "s")
    rng = np.random.default_rng(83)
    p_a = rng.uniform(0.4, 0.9, 20)
    p_b = rng.uniform(0.0, 1 - p_a) * 0.6
    s = rng.uniform(0.2, 3.0, 20)
    cases = list(zip(p_a.tolist(), p_b.tolist(), s.tolist(), strict=True))
    cases += [(0.4, 0.4, 1.0), (0.41, 0.4, 0.5), (0.98, 0.01, 2.0)]
    values = np.array([radius(*case) for case in cases])

    def agrees(formula: Callable) -> bool:
        return np.allclose(values, [formula(*case) for case in cases], rtol=1e-6, atol=1e-9)

    if agrees(lambda p_a, p_b, s: s * (p_a - p_b)):
        return None
    if agrees(lambda p_a, p_b, s: s / 2 * (p_a - p_b)):
        return "too small by a factor: how long is the interval [-s, s], and what is its density?"
    if agrees(lambda p_a, p_b, s: 2 * s * (p_a - p_b)):
        return "too large: while P_A falls, P_B rises as fast."
    if agrees(lambda p_a, p_b, s: s / 2 * (norm.ppf(p_a) - norm.ppf(p_b))):
        return "Phi belongs to the Gaussian. What does the vote lose when the window slides by t?"
    if agrees(lambda p_a, p_b, s: s * (2 * p_a - 1)):
        return "this is the one-sided radius; use the bound on P_B as well."
    return "slide the window [x - s, x + s] by t: what share of it is new, and what share is lost?"


@exercise("08.4", kind="by code", expects="a function of (counts, label, alpha, sigma)")
def radius_from_counts(answer: object) -> str | None:
    """The two-sided radius that vote counts give, at failure probability alpha."""
    radius = numeric_function(answer)
    rng = np.random.default_rng(84)
    cases = [
        (np.array([1000, 0, 0]), 0, 0.001, 1.0),
        (np.array([0, 0, 500]), 2, 0.01, 0.5),
        (np.array([30, 70]), 0, 0.05, 1.0),
        (np.array([50, 50, 0]), 1, 0.05, 1.0),
        (np.array([0, 100]), 0, 0.01, 1.0),
    ]
    edge_cases = len(cases)
    for _ in range(30):
        label = int(rng.integers(0, 4))
        weights = np.roll([8.0, 2.0, 1.0, 1.0, 1.0][: int(rng.integers(label + 1, 6))], label)
        shares = rng.dirichlet(weights) if len(weights) > 1 else np.array([0.7, 0.3])
        alpha, sigma = float(rng.choice([0.001, 0.01, 0.05])), float(rng.uniform(0.1, 2.0))
        counts = rng.multinomial(int(rng.integers(50, 5000)), shares) + 1
        cases.append((counts, label, alpha, sigma))
    values = [radius(counts.copy(), *rest) for counts, *rest in cases]

    def agrees(formula: Callable, clipped: bool = True) -> bool:
        with np.errstate(all="ignore"):
            targets = np.array([formula(*case) for case in cases], dtype=float)
        targets = np.maximum(targets, 0.0) if clipped else targets
        return np.allclose(values, targets, rtol=1e-6, atol=1e-9)

    if agrees(_two_sided):
        return None
    if agrees(_two_sided, clipped=False):
        return "a radius below zero certifies nothing: return 0.0 there."
    if agrees(lambda counts, label, alpha, sigma: _two_sided(counts, label, 2 * alpha, sigma)):
        return "two bounds, each wrong with probability alpha, may be wrong with 2 alpha."
    if agrees(_one_sided):
        return "this is the one-sided radius; the counts also say that the rival is weak."
    if agrees(
        lambda counts, label, alpha, sigma: _two_sided(
            counts, label, 2 * alpha / len(counts), sigma
        )
    ) or agrees(_two_sided_of_many_rivals):
        return "safe but too small: the largest rival count needs no correction for its choice."
    if agrees(_from_frequencies):
        return "frequencies are not bounds: they are too large about half the time."
    targets = np.maximum([_two_sided(*case) for case in cases], 0.0)
    if np.allclose(values[edge_cases:], targets[edge_cases:], rtol=1e-6, atol=1e-9):
        return "right for ordinary counts; try all votes for one class, and a label without votes."
    if agrees(_two_sided_of_the_winner):
        return "the label was chosen before these votes: it need not be the class with the most."
    return "which two bounds does Theorem 1 need, and how much of alpha may each cost?"


def _two_sided_of_many_rivals(counts: np.ndarray, label: int, alpha: float, sigma: float) -> float:
    """Half of alpha for the label, the other half shared by all its rivals."""
    p_a, _ = confidence.runner_up_bounds(counts, label, alpha)
    _, p_b = confidence.runner_up_bounds(counts, label, alpha / (len(counts) - 1))
    return float(certificates.certified_radius(p_a, sigma, p_b))


def _two_sided(counts: np.ndarray, label: int, alpha: float, sigma: float) -> float:
    p_a, p_b = confidence.runner_up_bounds(counts, label, alpha)
    return float(certificates.certified_radius(p_a, sigma, p_b))


def _two_sided_of_the_winner(counts: np.ndarray, label: int, alpha: float, sigma: float) -> float:
    return _two_sided(counts, int(np.argmax(counts)), alpha, sigma)


def _one_sided(counts: np.ndarray, label: int, alpha: float, sigma: float) -> float:
    p_a = confidence.lower_bound(counts[label], counts.sum(), alpha)
    return float(certificates.certified_radius(p_a, sigma))


def _from_frequencies(counts: np.ndarray, label: int, alpha: float, sigma: float) -> float:
    shares = counts / counts.sum()
    return float(sigma / 2 * (norm.ppf(shares[label]) - norm.ppf(np.delete(shares, label).max())))


@exercise("08.5", kind="break it", expects="a function from an array of points to their classes")
def worst_base_classifier(answer: object) -> str | None:
    """A base classifier on the line with P_A >= 0.7, P_B <= 0.2 whose vote turns at 1.01 R."""
    base = function(answer)
    p_a, p_b = 0.7, 0.2
    radius = (norm.ppf(p_a) - norm.ppf(p_b)) / 2

    def labels(points: np.ndarray) -> np.ndarray:
        found = np.asarray(base(points.copy()))
        if found.shape != points.shape:
            raise WrongType(
                f"the function must return one class a point: {points.shape} in, {found.shape} out."
            )
        if not np.isin(found, [0, 1, 2]).all():
            raise WrongType("the classes must be 0, 1 and 2.")
        return found

    smoothed = [Smoothed(lambda points, c=c: labels(points) == c, -13, 13) for c in range(3)]

    def shares(x: float) -> np.ndarray:
        return np.array([one.value(x, 1.0) for one in smoothed])

    here = shares(0.0)
    if here[0] < p_a - 1e-9:
        return f"class 0 must win at least {p_a} of the vote at x = 0; it has {here[0]:.6f}."
    if here[1:].max() > p_b + 1e-9:
        return f"no other class may have more than {p_b} at x = 0; one has {here[1:].max():.6f}."
    if all(shares(sign * 1.01 * radius).argmax() == 0 for sign in (-1, 1)):
        return "the vote at 1.01 R is still class 0. Where does class 0 lose fastest as x moves?"
    return None


@exercise("08.6", kind="break it", expects=A_NUMBER)
def selection_on_the_same_sample(answer: object) -> str | None:
    """Two classes of probability 1/2, n = 100, alpha = 0.05, class chosen on the same sample."""
    value = number(answer)
    counts = np.arange(101)
    certified = confidence.lower_bound(counts, 100, 0.05) > 0.5
    one = binom.pmf(counts, 100, 0.5)[certified].sum()
    if close(value, 2 * one):
        return None
    if close(value, one, 5e-3):
        return "that is how often class 0 is certified. Who else can be?"
    if close(value, 0.05, 5e-3) or close(value, 0.1, 5e-3):
        return "alpha is a limit, not the rate: counts are whole numbers. Find the least count."
    return "which counts k of 100 have a lower bound above 1/2, and how likely are they?"


@exercise("08.7", kind="open", expects=A_NUMBER)
def whole_vector(answer: object) -> str | None:
    """The largest radius that the probabilities (0.6, 0.2, 0.2) allow at sigma = 1."""
    value = number(answer)
    if close(value, (norm.ppf(0.6) - norm.ppf(0.2)) / 2):
        return ROUNDED_UP if rounded_up(value, (norm.ppf(0.6) - norm.ppf(0.2)) / 2) else None
    if close(value, norm.ppf(0.6)):
        return "that is safe, but a third class takes votes that the runner-up does not get."
    if close(value, norm.ppf(0.6) - norm.ppf(0.2)):
        return "the winner falls while the runner-up rises."
    return "draw the worst base classifier for these three probabilities."
