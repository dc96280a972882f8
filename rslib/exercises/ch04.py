"""Checks for chapter 4, the gradient of the smoothed classifier."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import norm

from rslib.exercises import WrongType, close, exercise, expression, function, number
from rslib.exercises.line import Smoothed, values_of

A_NUMBER = "a number, such as 0.25"


@exercise("04.1", kind="by hand", expects=A_NUMBER)
def slope_of_a_step(answer: object) -> str | None:
    """Slope at 0 of the smoothed step, sigma = 0.25."""
    value = number(answer)
    sigma, top = 0.25, norm.pdf(0)
    if close(value, top / sigma):
        return None
    if close(value, -top / sigma):
        return "a step upwards: look at the sign."
    if close(value, top):
        return "a slope is per input unit: how does the noise level enter?"
    if close(value, top * sigma):
        return "less noise makes a steeper slope: look at where sigma stands."
    if close(value, top / sigma**2):
        return "one power of sigma too many."
    if close(value, 0.5 / sigma):
        return "this is E[h] / sigma; the noise z itself is a factor in the expectation, too."
    if close(value, 2 * top / sigma):
        return "this is E|z| / sigma; for which z is h equal to 0?"
    if close(value, 0.0):
        return "E[z] is 0, but only half of all z are multiplied with 1."
    return "for which z is h(sigma z) = 1? Integrate t phi(t) over these."


@exercise("04.2", kind="by hand", expects=A_NUMBER)
def slope_of_an_interval(answer: object) -> str | None:
    """Slope at 0.5 of the smoothed indicator of [-1, 1], sigma = 0.5."""
    value = number(answer)
    sigma, slope = 0.5, (norm.pdf(3) - norm.pdf(1)) / 0.5
    if close(value, slope, 3e-3):  # the values of phi are given to four digits
        return None
    if close(value, -slope, 3e-3):
        return "look at the sign: does a step to the right lead into the interval, or out of it?"
    if close(value, slope * sigma, 3e-3):
        return "a slope is per input unit: a factor that depends on sigma is missing."
    if close(value, slope * sigma**2, 3e-3):
        return "sigma stands on the wrong side of the fraction."
    if close(value, -(norm.pdf(1) + norm.pdf(3)) / sigma, 3e-3):
        return "the two ends of the interval do not pull in the same direction."
    if close(value, -norm.pdf(1) / sigma, 3e-3):
        return "very near: this is one end of the interval; it has a second one."
    if close(value, (norm.cdf(1) - norm.cdf(-3)) / sigma):
        return "this is the value of the smoothed function, divided by sigma."
    return "between which two values of z does x + sigma z lie in the interval?"


@exercise("04.3", kind="by hand", expects="a SymPy expression in a symbol named z, or a function")
def second_derivative(answer: object) -> str | None:
    """The polynomial z^2 - 1."""
    polynomial = expression(answer, "z")
    points = np.linspace(-5, 5, 21).tolist()
    values = np.array([polynomial(point) for point in points])

    def agrees(formula: Callable) -> bool:
        return np.allclose(values, [formula(point) for point in points], rtol=1e-6, atol=1e-9)

    if agrees(lambda z: z**2 - 1):
        return None
    if agrees(lambda z: 1 - z**2):
        return "the sign is turned: the substitution brings two minus signs, or none."
    if agrees(lambda z: z**2):
        return "test it with h = 1: its second derivative is 0. The product rule has two terms."
    if agrees(lambda z: z):
        return "this belongs to the first derivative."
    if (
        abs(np.mean([polynomial(point) for point in norm.ppf((np.arange(2000) + 0.5) / 2000)]))
        > 0.1
    ):
        return "test it with h = 1: then the mean of q(z) must be 0."
    return "differentiate the density twice; the second time the product rule has two terms."


@exercise("04.4", kind="by code", expects="a function of (h, x, sigma, z)")
def gradient_from_noise(answer: object) -> str | None:
    """Stein's estimate for half-spaces in three and five dimensions, against exact gradients."""
    estimate = function(answer)
    rng = np.random.default_rng(44)
    case = _half_space(np.array([0.5, -0.2, 0.6]), 0.4)
    z = rng.standard_normal((200_000, 3))
    found = _gradient(estimate, case, z)
    hint = _gradient_hint(case, found, len(z))
    if hint:
        return hint
    if not np.array_equal(found, _gradient(estimate, case, z)):
        return "the same z, another answer: the noise is to be the z that is handed in."
    fresh = rng.standard_normal(z.shape)
    if np.array_equal(found, _gradient(estimate, case, fresh)):
        return "another z, the same answer: the noise is to be the z that is handed in."
    other = _half_space(np.array([0.1, 0.4, -0.3, 0.2, 0.0]), 1.5)
    more = rng.standard_normal((200_000, 5))
    if _gradient_hint(other, _gradient(estimate, other, more), len(more)):
        return (
            "right for one input; at another one it fails. Does everything come from the "
            "arguments, the noise level and the dimension too?"
        )
    between = replace(other, low=0.2, high=0.7)
    if _gradient_hint(between, _gradient(estimate, between, more), len(more)):
        return "right for an h of zeros and ones; but h may have any values, and they all count."
    return None


@dataclass(frozen=True)
class _Case:
    """A step across the half-space normal.y > 0.3, seen from x under noise of level sigma."""

    x: np.ndarray
    sigma: float
    normal: np.ndarray
    low: float = 0.0
    high: float = 1.0

    def values(self, points: np.ndarray) -> np.ndarray:
        points, d = np.asarray(points), len(self.x)
        if points.ndim != 2 or points.shape[1] != d:
            raise WrongType(f"h takes points of shape (m, d); it got the shape {points.shape}.")
        return np.where(points @ self.normal > 0.3, self.high, self.low)

    def gradient(self, x: np.ndarray, sigma: float) -> np.ndarray:
        height = self.high - self.low
        return height * norm.pdf((0.3 - x @ self.normal) / sigma) / sigma * self.normal


def _half_space(x: np.ndarray, sigma: float) -> _Case:
    normal = np.resize([2.0, -1.0, 2.0], len(x))
    return _Case(x, sigma, normal / np.linalg.norm(normal))


def _gradient(estimate: Callable, case: _Case, z: np.ndarray) -> np.ndarray:
    """What the reader's function returns, as a vector."""
    found = estimate(case.values, case.x.copy(), case.sigma, z.copy())
    d = len(case.x)
    try:
        found = np.array(found, dtype=float)
    except (TypeError, ValueError) as error:
        raise WrongType(
            f"your function should return an array of shape (d,) (got {type(found).__name__})."
        ) from error
    if found.size != d or found.ndim > 2:
        raise WrongType(
            f"the gradient has one entry a coordinate, here {d}; the shape is {found.shape}."
        )
    if not np.isfinite(found).all():
        raise WrongType("the gradient has entries that are not finite numbers.")
    return found.ravel()


def _gradient_hint(case: _Case, found: np.ndarray, n: int) -> str | None:
    sigma, x = case.sigma, case.x
    exact = case.gradient(x, sigma)
    # One term has a standard deviation of at most 1 / sigma: five standard errors, which a right
    # estimate exceeds less than once in a million seeds.
    slack = 5 / (sigma * np.sqrt(n))

    def near(target: np.ndarray, scale: float = 1.0) -> bool:
        return bool(np.all(np.abs(found - target) <= scale * slack))

    if near(exact):
        return None
    if near(-exact):
        return "the gradient points the other way."
    if near(n * exact, n):
        return "this is a sum over the noise; the expectation is an average."
    if near(sigma * exact, sigma):
        return "a factor that depends on sigma is missing."
    if near(exact / sigma, 1 / sigma):
        return "one division by sigma too many."
    if near(sigma**2 * exact, sigma**2):
        return "where does sigma stand: above or below the fraction line?"
    at_unit_noise = case.gradient(x, 1.0)
    if near(at_unit_noise) or near(at_unit_noise / sigma, 1 / sigma):
        return "h is to be asked at x + sigma z."
    if near(case.gradient(0 * x, sigma)):
        return "h is to be asked around x, not around 0."
    if near(0 * exact):
        return "this is 0 within its error: slopes of h itself see no jump. Use its values and z."
    return "Stein's identity is a mean over z. What becomes of it with the z that you have?"


@exercise("04.5", kind="break it", expects="a function from an array of points to their values")
def hidden_slope(answer: object) -> str | None:
    """Smoothed at 0.1, flat at all whole numbers and steep somewhere between them."""
    smoothed, sigma = Smoothed(values_of(function(answer)), -11.5, 11.5, 0.01), 0.1
    at_whole = max(abs(smoothed.slope(float(x), sigma)) for x in range(-10, 11))
    if at_whole > 0.001:
        return f"at a whole number the slope must be at most 0.001; at one it is {at_whole:.3g}."
    coarse = np.linspace(-10, 10, 2001)
    best = coarse[np.argmax([abs(smoothed.slope(x, sigma)) for x in coarse])]
    fine = np.clip(best + np.linspace(-0.01, 0.01, 41), -10, 10)
    between = max(abs(smoothed.slope(x, sigma)) for x in fine)
    if between < 3.9:
        return f"the steepest slope that was found is {between:.3g}, below 3.9. What is steepest?"
    return None


@exercise("04.6", kind="open", expects=A_NUMBER)
def variance_ratio(answer: object) -> str | None:
    """Variance of z h over that of z (h - 1/2), for the step at its border."""
    value = number(answer)
    mean_squared = 1 / (2 * np.pi)
    before, after = 1 / 2 - mean_squared, 1 / 4 - mean_squared
    if close(value, before / after):
        return None
    if close(value, after / before):
        return "the factor asked for is above 1: the old variance over the new one."
    if close(value, np.sqrt(before / after)):
        return "this compares standard deviations; the question is about variances."
    if close(value, 2.0):
        return "this compares second moments; a variance also has the squared mean taken off."
    if close(value, 1.0):
        return "b does change the variance: write down E[z^2 (h - b)^2] as a function of b."
    if close(value, before) or close(value, after) or close(value, 0.5):
        return "this is one part of the answer; the question is by which factor they differ."
    return "find the b that makes E[z^2 (h - b)^2] smallest, then compare the two variances."
