"""Checks for chapter 6, the local bound."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.stats import norm

from rslib.exercises import close, exercise, expression, function, number, numeric_function
from rslib.exercises.line import Smoothed, values_of

A_NUMBER = "a number, such as 0.25"


@exercise("06.1", kind="by hand", expects=A_NUMBER)
def one_slope(answer: object) -> str | None:
    """The bound at p = Phi(1), sigma = 0.5."""
    value = number(answer)
    sigma, p = 0.5, norm.cdf(1)
    if close(value, norm.pdf(1) / sigma):
        return None
    if close(value, norm.pdf(1)):
        return "a slope has the unit 1/length: where does the noise level enter?"
    if close(value, norm.pdf(1) * sigma):
        return "more noise at the same p makes a flatter vote: on which side does sigma stand?"
    if close(value, norm.pdf(p) / sigma) or close(value, norm.pdf(p)):
        return "phi wants a distance in standard deviations, not a probability."
    if close(value, 1 / (sigma * np.sqrt(2 * np.pi))):
        return "this is the global bound; use the value of the vote at x."
    if close(value, (p - 0.5) / sigma) or close(value, 1 / sigma):
        return "no lead is needed and no bend: insert p into the theorem."
    return "turn the probability into a distance first, then apply phi, then mind the unit."


@exercise("06.2", kind="by hand", expects=A_NUMBER)
def steepest_noise_level(answer: object) -> str | None:
    """The largest phi(a/sigma)/sigma over sigma, at a = 2."""
    value = number(answer)
    if close(value, norm.pdf(1) / 2):
        return None
    if close(value, 2.0):
        return "that is the noise level; the question is for the slope at this level."
    if close(value, norm.pdf(1)):
        return "this is the largest slope at the distance 1; how does it scale with a?"
    if close(value, norm.pdf(2)):
        return "this is the slope at noise level 1; another level gives more."
    if close(value, norm.pdf(0)) or close(value, norm.pdf(0) / 2):
        return "phi(0) belongs to a point on the border; x stays at the distance 2 from it."
    return "write the slope as a function of sigma and set its derivative to zero."


@exercise("06.3", kind="by hand", expects=A_NUMBER)
def another_range(answer: object) -> str | None:
    """Values in [-1, 1], smoothed value 0.6, sigma = 1."""
    value = number(answer)
    if close(value, 2 * norm.pdf(norm.ppf(0.8))):
        return None
    if close(value, norm.pdf(norm.ppf(0.8))):
        return "the rescaled function has this slope; undo the rescaling."
    if close(value, norm.pdf(norm.ppf(0.6))) or close(value, 2 * norm.pdf(norm.ppf(0.6))):
        return "0.6 of a range from -1 to 1 is not the share 0.6."
    if close(value, norm.pdf(norm.ppf(0.3))) or close(value, 2 * norm.pdf(norm.ppf(0.3))):
        return "the interval [-1, 1] is shifted as well as stretched."
    if close(value, 2 * norm.pdf(0)):
        return "this holds for every value; 0.6 allows less."
    return "which linear map takes [-1, 1] to [0, 1], and what does it do to a slope?"


@exercise("06.4", kind="by hand", expects="a SymPy expression in p, or a function of p")
def uniform_bathtub(answer: object) -> str | None:
    """The largest E[t h(t)] for t uniform on [-1, 1] and E h = p."""
    formula = expression(answer, "p")
    shares = np.linspace(0.03, 0.97, 21)
    values = np.array([formula(float(p)) for p in shares])

    def agrees(target: Callable) -> bool:
        return np.allclose(values, target(shares), rtol=1e-6, atol=1e-9)

    if agrees(lambda p: p * (1 - p)):
        return None
    if agrees(lambda p: 2 * p * (1 - p)):
        return "twice too large: what is the density of t on [-1, 1]?"
    if agrees(lambda p: norm.pdf(norm.ppf(p))):
        return "phi and Phi belong to the normal distribution; this t is uniform."
    if agrees(lambda p: p * (2 - p) / 4) or agrees(lambda p: p * (2 - p) / 2):
        return "find the level first: the part of [-1, 1] beyond it has the probability p."
    if agrees(lambda p: p * (p - 1)):
        return "look at the sign: pour where t is large."
    return "which interval of [-1, 1] is filled, and what is the integral of t over it?"


@exercise("06.5", kind="by code", expects="a function of (t, w, p)")
def fill_from_the_top(answer: object) -> str | None:
    """The largest sum of w t h over 0 <= h <= 1 with sum of w h equal to p."""
    fill = numeric_function(answer)
    rng = np.random.default_rng(65)
    whole, parts, unsorted = [], [], []
    for size in (4, 5, 10, 40):
        w = rng.dirichlet(np.ones(size))
        t = np.sort(rng.standard_normal(size))[::-1]
        whole.append((t, w, float(w[:2].sum())))
        parts += [(t, w, 0.3), (t, w, 0.77)]
        places = rng.permutation(size)
        unsorted += [(t[places], w[places], 0.3), (t[::-1], w[::-1], 0.6)]
    ends = [(parts[0][0], parts[0][1], 0.0), (parts[0][0], parts[0][1], 1.0)]
    special = [
        (np.array([1.0, 2.0, 2.0, -1.0, 1.0]), np.array([0.2, 0.1, 0.3, 0.25, 0.15]), 0.45),
        (np.array([0.5, 3.0, -2.0]), np.array([0.6, 0.0, 0.4]), 0.3),
        (np.array([-4.0, -1.0, -3.0]), np.array([0.5, 0.2, 0.3]), 0.6),
        (np.array([1.5]), np.array([1.0]), 0.7),
        (np.array([1, 0, -1]), np.array([0.25, 0.5, 0.25]), 0.5),
    ]
    everything = whole + parts + unsorted + ends + special
    values = [[fill(t.copy(), w.copy(), p) for t, w, p in cases] for cases in (whole, everything)]

    def agrees(target: Callable, cases: list, found: list) -> bool:
        return np.allclose(found, [target(*case) for case in cases], rtol=1e-6, atol=1e-6)

    if agrees(_fill, everything, values[1]):
        return None
    if agrees(lambda t, w, p: _fill(-t, w, p), everything, values[1]) or agrees(
        lambda t, w, p: -_fill(-t, w, p), everything, values[1]
    ):
        return "this pours where t is smallest."
    if agrees(lambda t, w, p: p * np.sum(w * t), everything, values[1]):
        return "this pours everywhere alike; the mean of h may be concentrated where t is large."
    if agrees(_fill, whole, values[0]):
        return "right for sorted t and some amounts p; try others, by hand, with three values."
    return "where does one unit of the amount p bring most? And what if it runs out midway?"


def _fill(t: np.ndarray, w: np.ndarray, p: float) -> float:
    order = np.argsort(t)[::-1]
    before = np.cumsum(w[order]) - w[order]
    return float(np.sum(t[order] * np.clip(p - before, 0, w[order])))


@exercise("06.6", kind="break it", expects="a function from an array of points to values in [0, 1]")
def steep_later(answer: object) -> str | None:
    """A function whose vote moves ten times as fast as the slope bound at 0 says."""
    vote = Smoothed(values_of(function(answer)), -16.5, 16.5)

    def smoothed(x: float) -> float:
        return vote.value(x, 1.0)

    p = smoothed(0.0)
    if not 0.001 <= p <= 0.999:
        return f"the vote at 0 must lie between 0.001 and 0.999; it is {p:.4f}."
    allowed = 10 * norm.pdf(norm.ppf(p))
    chords = [abs(smoothed(y) - p) / abs(y) for y in np.linspace(-4, 4, 321) if abs(y) > 0.01]
    if max(chords) <= allowed:
        return (
            f"the steepest chord has the slope {max(chords):.3f}, and the friend allows "
            f"{allowed:.3f}. Where is the bound small, and where does a vote fall fast?"
        )
    return None


@exercise("06.7", kind="open", expects=A_NUMBER)
def true_local_constant(answer: object) -> str | None:
    """The steepest chord of Phi from the point 2."""
    value = number(answer)
    r = np.linspace(0.01, 10, 100_000)
    target = float(np.max((norm.cdf(2) - norm.cdf(2 - r)) / r))
    if close(value, target):
        return None
    if close(value, norm.pdf(2)):
        return "this is the slope at x; the definition asks about every y."
    if close(value, norm.pdf(0)):
        return "this is the global constant; chords that start at x are flatter."
    if close(value, (norm.cdf(2) - 0.5) / 2):
        return "this is the chord to the point where the vote ties; another one is steeper."
    return "draw the chords of Phi that start at 2, and look for the steepest."
