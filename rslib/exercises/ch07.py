"""Checks for chapter 7, the scale psi."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

from rslib.exercises import (
    ROUNDED_UP,
    WrongType,
    close,
    exercise,
    expression,
    function,
    number,
    rounded_up,
)
from rslib.exercises.line import Smoothed, values_of

A_NUMBER = "a number, such as 0.25"


@exercise("07.1", kind="by hand", expects=A_NUMBER)
def least_distance(answer: object) -> str | None:
    """Values 0.9 and 0.2 at sigma = 0.5."""
    value = number(answer)
    a, b, sigma = norm.ppf(0.9), norm.ppf(0.2), 0.5
    if close(value, sigma * (a - b)):
        return ROUNDED_UP if rounded_up(value, sigma * (a - b)) else None
    if close(value, sigma / 2 * (a - b)):
        return "one function moves here, from one value to the other: nothing is shared by two."
    if close(value, a - b):
        return "this is in units of the noise level; the distance is in input units."
    if close(value, sigma * (a + b)):
        return "look at the sign of the scale below one half."
    if close(value, sigma * np.sqrt(2 * np.pi) * 0.7):
        return "this is the global slope bound; the scale psi gives more."
    if close(value, (a - b) / sigma):
        return "solve the inequality of the theorem for the distance."
    return "write the theorem for the two points, and insert the two values."


@exercise(
    "07.2", kind="by hand", expects="a SymPy expression in a symbol named p, or a function of p"
)
def scale_of_logistic_noise(answer: object) -> str | None:
    """psi' = 1/(p(1 - p)), psi(1/2) = 0."""
    psi = expression(answer, "p")
    grid = np.array([0.02, 0.1, 0.3, 0.45, 0.5, 0.55, 0.7, 0.9, 0.98])
    try:
        values = np.array([psi(p) for p in grid.tolist()])
    except WrongType as error:
        if "not a real number" in str(error):
            raise WrongType(
                f"{error} In an antiderivative from SymPy, turn p - 1 into 1 - p; then choose the "
                "constant so that psi(1/2) = 0."
            ) from error
        raise
    logit = np.log(grid / (1 - grid))
    if np.allclose(values, logit, rtol=1e-6, atol=1e-8):
        return None
    if np.ptp(values - logit) < 1e-7:
        return "the derivative is right; now choose the constant so that psi(1/2) = 0."
    if np.allclose(values, -logit, rtol=1e-6, atol=1e-8):
        return "a scale must increase: look at the sign."
    if np.allclose(values, 1 / (grid * (1 - grid)), rtol=1e-6):
        return "this is the derivative of the scale; integrate it."
    if np.allclose(values, grid * (1 - grid), rtol=1e-6):
        return "this is the slope bound; the scale's derivative is one over it."
    if np.allclose(values, norm.ppf(grid), rtol=1e-6, atol=1e-8):
        return "this is the scale of the Gaussian; here the slope bound is another function of p."
    if np.allclose(values, 1 / (1 + np.exp(-grid)), rtol=1e-6):
        return "this is the distribution function itself. Which function undoes it?"
    return "which derivative must psi have, so that psi'(p) times the bound p(1 - p)/s is 1/s?"


@exercise("07.3", kind="by code", expects="a function of (p, sigma, distance)")
def vote_range(answer: object) -> str | None:
    """The range of values at a distance, when the value here is known."""
    call = function(answer)
    rng = np.random.default_rng(73)
    cases = [
        (float(rng.uniform(0.02, 0.98)), float(rng.uniform(0.1, 2)), float(rng.uniform(0.05, 1.5)))
        for _ in range(20)
    ]
    edges = [(0.0, 1.0, 0.5), (1.0, 0.5, 0.5), (0.3, 0.25, 0.0), (0.0, 0.5, 0.0), (1.0, 2.0, 0.0)]
    pairs = []
    for case in cases + edges:
        returned = call(*case)
        try:
            low, high = returned
        except (TypeError, ValueError) as error:
            raise WrongType("your function should return a pair (lowest, highest).") from error
        # A NaN at the edge values is a mistake with its own hint, not an unreadable answer.
        pairs.append((float(low), float(high)))
    ordinary, at_edges = np.array(pairs[: len(cases)]), np.array(pairs[len(cases) :])

    def agrees(formula: Callable, place: slice | None = None) -> bool:
        targets = np.array([formula(*case) for case in cases])
        if place is None:
            return np.allclose(ordinary, targets, rtol=1e-6, atol=1e-9)
        return np.allclose(ordinary[:, place], targets[:, place], rtol=1e-6, atol=1e-9)

    if agrees(_range):
        targets = np.array([_range(*case) for case in edges])
        if np.allclose(at_edges, targets, rtol=1e-6, atol=1e-9):
            return None
        return "right for ordinary values; try p = 0, p = 1 and the distance 0."
    if np.all(ordinary[:, 0] > ordinary[:, 1]):
        return "the lowest value comes first."
    if agrees(lambda p, sigma, distance: _range(p, 1.0, distance)):
        return "the noise level must matter: more noise, less change."
    if agrees(lambda p, sigma, distance: _range(p, 1 / sigma, distance)):
        return "more noise must mean less change: divide the distance, do not multiply it."
    if agrees(_range, slice(0, 1)):
        return "the lowest value is right; look at the highest."
    if agrees(_range, slice(1, 2)):
        return "the highest value is right; look at the lowest."
    if agrees(_global_cone) or agrees(lambda *case: np.clip(_global_cone(*case), 0, 1)):
        return "this is the cone of the global slope bound; a smaller range is true."
    if agrees(_narrow_cone) or agrees(lambda *case: np.clip(_narrow_cone(*case), 0, 1)):
        return "the slope bound at x does not hold on the way; walk on the scale psi instead."
    if agrees(lambda *case: norm.ppf(_range(*case))):
        return "these are values on the scale psi; go back to probabilities."
    return "go to the scale psi, walk, and come back."


def _range(p: float, sigma: float, distance: float) -> tuple[float, float]:
    here, step = norm.ppf(p), distance / sigma
    return float(norm.cdf(here - step)), float(norm.cdf(here + step))


def _global_cone(p: float, sigma: float, distance: float) -> np.ndarray:
    change = distance / (sigma * np.sqrt(2 * np.pi))
    return np.array([p - change, p + change])


def _narrow_cone(p: float, sigma: float, distance: float) -> np.ndarray:
    change = distance * norm.pdf(norm.ppf(p)) / sigma
    return np.array([p - change, p + change])


@exercise("07.4", kind="break it", expects="a tuple (f, x, y): a function and two numbers")
def logit_is_not_lipschitz(answer: object) -> str | None:
    """An f on the line and two points between which the logit has a slope above 2."""
    if not isinstance(answer, tuple | list) or len(answer) != 3:
        raise WrongType
    f, x, y = function(answer[0]), number(answer[1]), number(answer[2])
    if x == y:
        return "the two points must differ."
    if max(abs(x), abs(y)) > 100:
        return "take two points between -100 and 100; the check looks no further."
    # Far enough for the few votes that are left in the tails.
    low, high = min(x, y, 0.0) - 40, max(x, y, 0.0) + 40
    smoothed = Smoothed(values_of(f), low, high)
    here, there = smoothed.log_odds(x, 1.0), smoothed.log_odds(y, 1.0)
    if not (np.isfinite(here) and np.isfinite(there)):
        return "at one of your points the vote is unanimous: f must take two values."
    slope = abs(here - there) / abs(x - y)
    error = 1e-11 / abs(x - y)
    if slope > 2 + error:
        return None
    return (
        f"between your points the slope is {slope:.4g}. Where is the logit steep compared to psi?"
    )


@exercise("07.5", kind="open", expects=A_NUMBER)
def two_values(answer: object) -> str | None:
    """The least value at 0, if the values at -1 and 1 are 0.9, for sigma = 1."""
    value = number(answer)
    r = brentq(lambda r: norm.cdf(r + 1) - norm.cdf(1 - r) - 0.1, 0.0, 1.0)
    if close(value, 2 * norm.sf(r), 1e-3):
        return None
    if close(value, norm.cdf(norm.ppf(0.9) - 1)):
        return "true, but it uses one of the two values at a time. Use both at once."
    if close(value, 0.9):
        return "it can be smaller: lower f where it counts more at 0 than at the two points."
    if close(value, 2 * norm.sf(0.1)) or close(value, norm.cdf(norm.ppf(0.9) - 0.5)):
        return "which set, taken away from f = 1, costs exactly 0.1 at each of the two points?"
    return "compare the density at 0 with the sum of the densities at -1 and 1: where to cut?"
