"""Checks for chapter 3, smoothing as convolution."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.stats import norm

from rslib.exercises import WrongType, close, exercise, expression, function, number

A_NUMBER = "a number, such as 0.25"


@exercise("03.1", kind="by hand", expects=A_NUMBER)
def smoothed_interval(answer: object) -> str | None:
    """Smoothed indicator of [-1, 1] at 0, sigma = 0.5."""
    value = number(answer)
    sigma = 0.5
    if close(value, 2 * norm.cdf(1 / sigma) - 1):
        return None
    if close(value, norm.cdf(1 / sigma)):
        return "this counts everything to the left of 1. The interval has two ends."
    if close(value, 2 * norm.cdf(1) - 1):
        return "this is the answer for another noise level: sigma is not 1 here."
    if close(value, 2 * norm.cdf(sigma) - 1):
        return "count the distance to the ends in standard deviations: divide by sigma."
    if close(value, 1.0):
        return "h(0) is 1, but a noisy copy of 0 may leave the interval."
    return "write the share as a probability for z, then use Phi at both ends of the interval."


@exercise("03.2", kind="by hand", expects="a whole number, such as 1000")
def votes_for_three_digits(answer: object) -> str | None:
    """The least k with 1 / (2 sqrt(k)) <= 0.001."""
    value = number(answer)
    if close(value, 250_000, 1e-9):
        return None
    if close(value, 250_000):
        return "very near, but the least k is a whole number that can be found exactly."
    if close(value, 1_000_000):
        return "enough, but not the least: how large can p(1 - p) be?"
    if close(value, 500):
        return "that is the square root of k."
    if close(value, 250) or close(value, 1000):
        return "the standard deviation falls with the square root of k: mind the square."
    if close(value, 62_500):
        return "look at the largest value of p(1 - p) again, and at its square root."
    return "which p makes the standard deviation largest? Put it in and solve for k."


@exercise(
    "03.3",
    kind="by hand",
    expects="a SymPy expression in symbols named s_1 and s_2, or a function of (s_1, s_2)",
)
def smoothed_twice(answer: object) -> str | None:
    """One noise level that equals two smoothings."""
    level = expression(answer, "s_1", "s_2")
    rng = np.random.default_rng(33)
    cases = [tuple(pair) for pair in rng.uniform(0.2, 3.0, (20, 2)).tolist()]
    values = np.array([level(*case) for case in cases])

    def agrees(formula: Callable) -> bool:
        return np.allclose(values, [formula(*case) for case in cases], rtol=1e-6)

    if agrees(lambda a, b: np.hypot(a, b)):
        return None
    if agrees(lambda a, b: a**2 + b**2):
        return "this is a variance; a noise level is a standard deviation."
    if agrees(lambda a, b: a + b):
        return "standard deviations of independent variables do not add. What does?"
    if agrees(max):
        return "the weaker noise is not lost: the sum varies more than either part."
    if agrees(lambda a, b: a * b):
        return "the noise vectors are added, not multiplied."
    return "what is the distribution of s_1 z_1 + s_2 z_2, for independent z_1 and z_2?"


@exercise("03.4", kind="by code", expects="a function of (base, x, sigma, num_classes, k, rng)")
def estimate_shares(answer: object) -> str | None:
    """Shares of the classes in k votes, against exact shares of a corner in three dimensions."""
    estimate = function(answer)
    asked = 0

    def base(points: np.ndarray) -> np.ndarray:
        nonlocal asked
        asked += len(points)
        return _corner(points)

    def found(case: tuple, seed: int) -> np.ndarray:
        nonlocal asked
        asked = 0
        x, sigma, num_classes, k = case
        returned = estimate(base, np.array(x), sigma, num_classes, k, np.random.default_rng(seed))
        try:
            shares = np.array(returned, dtype=float)
        except (TypeError, ValueError) as error:
            raise WrongType(
                f"your function should return an array of shares (got {type(returned).__name__})."
            ) from error
        if shares.shape != (num_classes,):
            raise WrongType(
                f"there are {num_classes} classes here, so there are {num_classes} shares, also "
                f"for a class that gets no vote; the shape is {shares.shape}."
            )
        return shares

    case = ((0.3, -0.4, 0.2), 0.7, 4, 20_000)
    hint = _shares_hint(case, found(case, 34))
    if hint:
        return hint
    if asked != case[-1]:
        return f"the number of votes is to be {case[-1]}; base was asked about {asked} points."
    if np.array_equal(found(case, 34), found(case, 35)):
        return "another rng, the same votes: does the noise come from the rng that is handed in?"
    if not np.array_equal(found(case, 34), found(case, 34)):
        return "equal rngs, different votes: the noise must come from the rng that is handed in."
    for other in (((-0.2, 0.1, 0.6), 1.3, 3, 5_000), ((0.5, 0.5, -1.0), 0.25, 5, 40_000)):
        if _shares_hint(other, found(other, 36)):
            return (
                "right for one input; at another one it fails. Does everything come from the "
                "arguments, the noise level and the number of votes too?"
            )
    return None


def _corner(points: np.ndarray) -> np.ndarray:
    """2 if the first two coordinates are positive, else 1 if the third is, else 0."""
    points = np.asarray(points)
    if points.ndim != 2 or points.shape[1] != 3:
        raise WrongType(f"base takes points of shape (k, d); it got the shape {points.shape}.")
    corner = (points[:, 0] > 0) & (points[:, 1] > 0)
    return np.where(corner, 2, np.where(points[:, 2] > 0, 1, 0))


def _corner_shares(x: tuple, sigma: float, num_classes: int) -> np.ndarray:
    first, second, third = norm.cdf(np.array(x) / sigma)
    corner = first * second
    shares = [(1 - corner) * (1 - third), (1 - corner) * third, corner]
    return np.append(shares, np.zeros(num_classes - 3))


def _shares_hint(case: tuple, found: np.ndarray) -> str | None:
    x, sigma, num_classes, k = case

    def near(target: np.ndarray) -> bool:
        # Five standard errors and one vote: a right answer fails once in about a million seeds.
        slack = 5 * np.sqrt(np.maximum(target * (1 - target), 0) / k) + 1 / k
        return bool(np.all(np.abs(found - target) <= slack))

    if near(_corner_shares(x, sigma, num_classes)):
        whole = np.allclose(found * k, np.round(found * k), rtol=0, atol=1e-6)
        return None if whole else "k votes were asked for; these are shares of another number."
    if np.isclose(found.sum(), k):
        return "these are counts; a share is a count divided by something."
    if np.isin(found, [0.0, 1.0]).all():
        return "all votes are equal: draw fresh noise for every vote."
    if any(near(_corner_shares(x, wrong, num_classes)) for wrong in (1.0, sigma**2, sigma**0.5)):
        return "the noise has another size: sigma is its standard deviation."
    if near(_corner_shares((0, 0, 0), sigma, num_classes)):
        return "these are the shares at 0; the noise is to be added to x."
    return "these are not the shares at x. Has every coordinate noise of its own, with mean 0?"


@exercise("03.5", kind="break it", expects="a function from an array of points to their classes")
def right_nearby(answer: object) -> str | None:
    """A base classifier in 100 dimensions: 0 within a distance of 9, and class 1 wins the vote."""
    base = function(answer)
    rng = np.random.default_rng(35)

    def labels(points: np.ndarray) -> np.ndarray:
        found = np.asarray(base(points.copy()))
        if found.shape != (len(points),):
            raise WrongType(
                f"the function must return one class a point: {points.shape} in, {found.shape} out."
            )
        if not np.isin(found, [0, 1]).all():
            raise WrongType("the classes must be 0 and 1.")
        return found

    # Lengths up to just below 9, so that a boundary written with < or <= makes no difference.
    for directions in _directions(rng):
        lengths = np.linspace(0, 9 - 1e-9, len(directions))[:, None]
        if labels(directions * lengths).any() or labels(directions * (9 - 1e-9)).any():
            return "the answer must be 0 at every point within a distance of 9; it is 1 at some."
    votes = np.concatenate([labels(rng.standard_normal((10_000, 100))) for _ in range(10)])
    share, error = votes.mean(), 0.5 / np.sqrt(len(votes))
    if share <= 0.5 + 4 * error:
        near = " too near to one half to tell" if share > 0.5 - 4 * error else ""
        return f"class 1 has {share:.2f} of the vote{near}. How long is the noise, typically?"
    return None


def _directions(rng: np.random.Generator) -> list[np.ndarray]:
    """Unit vectors of many shapes: a function may count coordinates, or look at the largest."""
    found = [rng.standard_normal((4000, 100)), np.eye(100), -np.eye(100)]
    for size in (2, 3, 5, 10, 20, 30, 50, 75, 100):
        signs = rng.choice([-1.0, 1.0], (200, 100))
        first = np.arange(100) < size
        anywhere = np.argsort(rng.random((200, 100)), axis=1) < size
        found += [signs * first, np.abs(signs[:1]) * first, -np.abs(signs[:1]) * first]
        found += [signs * anywhere, np.abs(rng.standard_normal((200, 100))) * anywhere]
        found += [np.abs(signs[:1]) * first[::-1], -np.abs(signs[:1]) * first[::-1]]
    return [part / np.linalg.norm(part, axis=1, keepdims=True) for part in found]


@exercise("03.6", kind="open", expects=A_NUMBER)
def wave(answer: object) -> str | None:
    """The factor exp(-omega^2 sigma^2 / 2) for omega = pi, sigma = 1."""
    value = number(answer)
    if close(value, np.exp(-(np.pi**2) / 2)):
        return None
    if close(value, np.exp(-(np.pi**2))):
        return "check the mean of cos(omega z): the exponent is too large."
    if close(value, np.exp(-np.pi / 2)) or close(value, np.exp(-0.5)):
        return "how does omega enter the exponent?"
    if close(value, np.exp(-(np.pi**2) / 2) / 2):
        return "the factor compares the heights of the two waves; both have the 1/2 in front."
    if close(value, 0.0):
        return "small, but not zero: the Gaussian mean of a cosine has a closed form."
    return "split sin(a + b): one of the two means is 0, and SymPy knows the integral of the other."
