"""Checks for chapter 3, smoothing as convolution."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.stats import norm

from rslib.exercises import WrongType, close, exercise, function, number, numeric_function

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
    if close(value, 250_000, 1e-6):
        return None
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
    level = _of_two_symbols(answer)
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


def _of_two_symbols(answer: object) -> Callable[..., float]:
    """The answer as a function of (s_1, s_2)."""
    if callable(answer):
        return numeric_function(answer)
    symbols = getattr(answer, "free_symbols", None)
    if symbols is None:
        raise WrongType
    unknown = sorted({symbol.name for symbol in symbols} - {"s_1", "s_2"})
    if unknown:
        raise WrongType(f"the answer may use s_1 and s_2 only; it has {', '.join(unknown)}.")

    # Symbols count by name: whether the reader declared them positive does not matter.
    def call(*case: float) -> float:
        values = dict(zip(("s_1", "s_2"), case, strict=True))
        return number(answer.subs({symbol: values[symbol.name] for symbol in symbols}))

    return call


@exercise("03.4", kind="by code", expects="a function of (base, x, sigma, num_classes, k, rng)")
def estimate_shares(answer: object) -> str | None:
    """Shares of the classes in k votes, against exact shares of a corner in three dimensions."""
    estimate = function(answer)
    k, sigma, x = 20_000, 0.5, np.array([0.3, -0.4, 0.2])

    def base(points: np.ndarray) -> np.ndarray:
        """2 if the first two coordinates are positive, else 1 if the third is, else 0."""
        points = np.asarray(points)
        if points.ndim != 2 or points.shape[1] != 3:
            raise WrongType(f"base takes points of shape (k, d); it got the shape {points.shape}.")
        corner = (points[:, 0] > 0) & (points[:, 1] > 0)
        return np.where(corner, 2, np.where(points[:, 2] > 0, 1, 0))

    def shares(x: np.ndarray, scale: float) -> np.ndarray:
        first, second, third = norm.cdf(x / scale)
        corner = first * second
        return np.array([(1 - corner) * (1 - third), (1 - corner) * third, corner, 0.0])

    found = estimate(base, x.copy(), sigma, 4, k, np.random.default_rng(34))
    try:
        found = np.array(found, dtype=float)
    except (TypeError, ValueError) as error:
        raise WrongType(
            f"your function should return an array of shares (got {type(found).__name__})."
        ) from error
    if found.shape != (4,):
        return (
            "there are four classes here, so there are four shares, also for a class that "
            f"gets no vote; the shape is {found.shape}."
        )

    def near(target: np.ndarray) -> bool:
        # Five standard errors and one vote: a right answer fails once in about a million seeds.
        slack = 5 * np.sqrt(np.maximum(target * (1 - target), 0) / k) + 1 / k
        return bool(np.all(np.abs(found - target) <= slack))

    if near(shares(x, sigma)):
        return None
    if np.isclose(found.sum(), k):
        return "these are counts; a share is a count divided by something."
    if np.isin(found, [0.0, 1.0]).all():
        return "all votes are equal: draw fresh noise for every vote."
    if near(shares(x, 1.0)) or near(shares(x, sigma**2)) or near(shares(x, np.sqrt(sigma))):
        return "the noise has another size: sigma is its standard deviation."
    if near(shares(np.zeros(3), sigma)):
        return "these are the shares at 0; the noise is to be added to x."
    return "these are not the shares at x. Has every coordinate noise of its own, with mean 0?"


@exercise("03.5", kind="break it", expects="a function from an array of points to their classes")
def right_nearby(answer: object) -> str | None:
    """A base classifier in 100 dimensions: 0 within a distance of 9, and class 1 wins the vote."""
    base = function(answer)
    rng = np.random.default_rng(35)
    z = rng.standard_normal((4000, 100))
    directions = z / np.linalg.norm(z, axis=1, keepdims=True)

    def labels(points: np.ndarray) -> np.ndarray:
        found = np.asarray(base(points))
        if found.shape != (len(points),):
            raise WrongType(
                f"the function must return one class a point: {points.shape} in, {found.shape} out."
            )
        if not np.isin(found, [0, 1]).all():
            raise WrongType("the classes must be 0 and 1.")
        return found

    # Lengths up to just below 9, so that a boundary written with < or <= makes no difference.
    lengths = np.linspace(0, 9 - 1e-9, len(z))[:, None]
    along_axes = np.vstack([np.eye(100), -np.eye(100)])
    wrong = np.concatenate([labels(directions * lengths), labels(8.999 * along_axes)])
    if wrong.any():
        return "the answer must be 0 at every point within a distance of 9; it is 1 at some."
    share = labels(rng.standard_normal((4000, 100))).mean()
    if share <= 0.5:
        return f"class 1 has {share:.2f} of the vote. How long is the noise vector, typically?"
    return None


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
    return (
        "split sin(a + b). For m(omega) = E cos(omega z), differentiate by omega and integrate by "
        "parts: m' = -omega m, m(0) = 1. Or let SymPy integrate."
    )
