"""Smoothing on the line to ten digits, for checks of functions that readers hand in.

A sum over a grid has the error of one grid step at every jump, which is more than some exercises
can bear. Here the jumps are found first, each between two neighbouring floats, and the function is
integrated between them.

>>> step = Smoothed(lambda points: points >= 0.1, -1, 1)
>>> round(step.value(0.1, 0.5), 10)
0.5
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import logsumexp
from scipy.stats import norm

from rslib.exercises import WrongType

__all__ = ["Smoothed", "bisected", "values_of"]

Values = Callable[[np.ndarray], np.ndarray]
NODES, WEIGHTS = np.polynomial.legendre.leggauss(4)
CHANGE = 0.02  # a larger change within one cell is looked at closely
REACH = 12.0  # standard deviations after which the normal density is below 1e-31


def values_of(f: Callable, low: float = 0.0, high: float = 1.0) -> Values:
    """The reader's function as one from arrays to arrays of floats between ``low`` and ``high``.

    It raises WrongType where the values are of another shape, not numbers, or out of range.
    """

    def values(points: np.ndarray) -> np.ndarray:
        found = np.asarray(f(points.copy()), dtype=float)
        if found.shape != points.shape:
            raise WrongType(
                f"the function must return one value a point: {points.shape} in, {found.shape} out."
            )
        if not np.all((found >= low) & (found <= high)):
            raise WrongType(f"the values must lie in [{low:g}, {high:g}].")
        return found

    return values


def bisected(f: Values, left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Neighbouring floats within [left, right], always on the side where f changes more."""
    left, right = left.copy(), right.copy()
    at_left, at_right = f(left), f(right)
    while True:
        middle = (left + right) / 2
        inside = (left < middle) & (middle < right)
        if not inside.any():
            return left, right
        at_middle = f(middle)
        first = np.abs(at_middle - at_left) >= np.abs(at_right - at_middle)
        goes_right, goes_left = inside & ~first, inside & first
        left, at_left = (
            np.where(goes_right, middle, left),
            np.where(goes_right, at_middle, at_left),
        )
        right, at_right = (
            np.where(goes_left, middle, right),
            np.where(goes_left, at_middle, at_right),
        )


def _density(z: np.ndarray) -> np.ndarray:
    return np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)


class Smoothed:
    """The smoothed version of a function on the line.

    Parameters
    ----------
    f : callable
        From arrays to arrays of numbers, smooth but for jumps at least ``step`` apart.
    low, high : float
        The interval on which f is looked at. Outside it is taken for constant.
    step : float
        Width of the cells.
    """

    def __init__(self, f: Values, low: float, high: float, step: float = 0.002) -> None:
        edges = np.linspace(low, high, round((high - low) / step) + 1)
        at_edges = np.asarray(f(edges), dtype=float)
        steep = np.flatnonzero(np.abs(np.diff(at_edges)) > CHANGE)
        if len(steep):
            _, jumps = bisected(
                lambda t: np.asarray(f(t), dtype=float), edges[steep], edges[steep + 1]
            )
            edges = np.sort(np.concatenate([edges, jumps]))
        half = np.diff(edges) / 2
        self._nodes = ((edges[:-1] + edges[1:]) / 2 + np.multiply.outer(NODES, half)).T.ravel()
        self._weights = np.multiply.outer(WEIGHTS, half).T.ravel()
        self._values = np.asarray(f(self._nodes), dtype=float)
        self._ends = (low, high), (at_edges[0], at_edges[-1])

    def _near(self, x: float, sigma: float) -> slice:
        start, stop = np.searchsorted(self._nodes, [x - REACH * sigma, x + REACH * sigma])
        return slice(start, stop)

    def value(self, x: float, sigma: float) -> float:
        """Mean of f(x + sigma z) for a standard normal z."""
        near = self._near(x, sigma)
        density = _density((self._nodes[near] - x) / sigma) / sigma
        (low, high), (first, last) = self._ends
        tails = first * norm.cdf((low - x) / sigma) + last * norm.sf((high - x) / sigma)
        return float(np.sum(self._weights[near] * self._values[near] * density) + tails)

    def slope(self, x: float, sigma: float) -> float:
        """Derivative of `value` by x."""
        near = self._near(x, sigma)
        z = (self._nodes[near] - x) / sigma
        terms = self._weights[near] * self._values[near] * z * _density(z) / sigma**2
        (low, high), (first, last) = self._ends
        tails = last * norm.pdf((high - x) / sigma) - first * norm.pdf((low - x) / sigma)
        return float(np.sum(terms) + tails / sigma)

    def log_odds(self, x: float, sigma: float) -> float:
        """Logarithm of `value` over 1 - `value`, also where either is tiny; may be infinite."""
        logs = np.log(np.maximum(self._weights, 1e-300))
        logs = logs + norm.logpdf((self._nodes - x) / sigma) - np.log(sigma)
        (low, high), (first, last) = self._ends
        logs = np.append(logs, [norm.logcdf((low - x) / sigma), norm.logsf((high - x) / sigma)])
        values = np.append(self._values, [first, last])
        with np.errstate(divide="ignore"):
            return float(logsumexp(logs, b=values) - logsumexp(logs, b=1 - values))
