"""Checks for the refresher."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.stats import norm

from rslib.exercises import WrongType, close, exercise, function, number, numeric_function
from rslib.exercises.line import Values, bisected, values_of

A_NUMBER = "a number, such as 0.25"


@exercise("00.1", kind="by hand", expects=A_NUMBER)
def linear_map(answer: object) -> str | None:
    """P(3 z1 - 4 z2 + 1 <= 6)."""
    value = number(answer)
    if close(value, norm.cdf(1)):
        return None
    if value == 1.0:
        return "a probability, not the number of standard deviations."
    if close(value, norm.cdf(5 / 7)):
        return "variances add up, standard deviations do not."
    if close(value, norm.cdf(1 / 5)):
        return "divide by the standard deviation, not by the variance."
    if close(value, norm.cdf(5)):
        return "Y has more spread than z: what is the length of (3, -4)?"
    if close(value, norm.cdf(6 / 5)):
        return "mind the mean of Y."
    if close(value, norm.sf(1)):
        return "that is the probability of the other side."
    return "Y is normal: find its mean and its standard deviation, then use Phi."


@exercise("00.2", kind="by hand", expects=A_NUMBER)
def gaussian_integral(answer: object) -> str | None:
    """The integral of exp(-|w|^2 / 8) over three dimensions."""
    value = number(answer)
    sigma, d = 2.0, 3
    one = (2 * np.pi) ** (d / 2)
    if close(value, sigma**d * one):
        return None
    if close(value, one):
        return "the substitution w = sigma z changes the volume."
    if close(value, sigma * one):
        return "the volume changes by one factor for each coordinate."
    if close(value, one / sigma**d):
        return "the Jacobian is upside down: the bump is wider than the standard one."
    if close(value, sigma**d * (2 * np.pi) ** d) or close(value, (2 * np.pi) ** d):
        return "look at the power of 2 pi in the density."
    if close(value, 1.0):
        return "a density has the integral 1, but its constant is missing here."
    return "compare with the density of N(0, sigma^2 I) in three dimensions: what is its constant?"


@exercise("00.3", kind="by hand", expects="a function of (x, sigma)")
def smoothed_interval(answer: object) -> str | None:
    """The indicator of [-1, 1], convolved with the normal density."""
    value = numeric_function(answer)
    rng = np.random.default_rng(3)
    cases = list(
        zip(rng.uniform(-3, 3, 30).tolist(), rng.uniform(0.2, 2, 30).tolist(), strict=True)
    )
    cases += [(0.0, 1.0), (1.0, 0.5), (-1.0, 2.0), (5.0, 0.3), (0.5, 20.0)]
    values = np.array([value(*case) for case in cases])

    def agrees(formula: Callable[[float, float], float]) -> bool:
        return np.allclose(values, [formula(*case) for case in cases], rtol=1e-6, atol=1e-6)

    if agrees(lambda x, sigma: norm.cdf((1 - x) / sigma) - norm.cdf((-1 - x) / sigma)):
        return None
    if agrees(lambda x, sigma: norm.cdf((-1 - x) / sigma) - norm.cdf((1 - x) / sigma)):
        return "a probability is not negative: which end of the interval is the larger one?"
    if agrees(lambda x, sigma: norm.cdf(1 - x) - norm.cdf(-1 - x)):
        return "where is sigma?"
    if agrees(lambda x, sigma: norm.cdf((1 - x) / sigma**2) - norm.cdf((-1 - x) / sigma**2)):
        return "sigma is the standard deviation already."
    if agrees(lambda x, sigma: norm.cdf((1 - x) / sigma)):
        return "that is the probability to be below the upper end; mind the lower end."
    if agrees(lambda x, sigma: norm.cdf((1 - x) * sigma) - norm.cdf((-1 - x) * sigma)):
        return "more noise must make the curve flatter, not steeper."
    return "for which z does x + sigma z fall into the interval?"


@exercise("00.4", kind="by code", expects="a function that takes values and returns a pair")
def mean_and_error(answer: object) -> str | None:
    """The mean of a sample and its standard error."""
    call = function(answer)
    rng = np.random.default_rng(4)
    samples = [rng.normal(3.0, 2.0, int(n)) for n in (2, 3, 10, 1000)]
    samples += [np.array([0, 1, 1, 1]), np.array([5.0, 5.0])]
    pairs = np.array([_number_pair(call(sample.copy())) for sample in samples])
    lists = np.array([_number_pair(call(sample.tolist())) for sample in samples])
    means = np.array([sample.mean() for sample in samples])
    deviations = np.array([sample.std(ddof=1) for sample in samples])
    sizes = np.array([len(sample) for sample in samples])

    def errors_are(errors: np.ndarray) -> bool:
        return np.allclose(pairs[:, 1], errors, rtol=1e-9, atol=1e-12)

    if not np.allclose(pairs[:, 0], means, rtol=1e-9, atol=1e-12):
        return "the first number should be the mean of the values."
    if errors_are(deviations / np.sqrt(sizes)):
        same = np.allclose(lists, pairs, rtol=1e-9, atol=1e-12)
        return None if same else "right for arrays; the values may also come as a list."
    if errors_are(deviations):
        return "that is the spread of one value; the mean of n values varies less."
    if errors_are(deviations**2 / sizes):
        return "that is the variance of the mean."
    if errors_are(deviations * np.sqrt((sizes - 1) / sizes) / np.sqrt(sizes)):
        return "NumPy's default divides by n; the exercise asks for n - 1."
    if errors_are(deviations / sizes):
        return "a hundred times as many values make the error ten times smaller."
    return "how much does the mean of n values vary, compared with one of them?"


def _number_pair(returned: object) -> tuple[float, float]:
    try:
        first, second = returned
        return number(first), number(second)
    except Exception as error:
        raise WrongType(
            f"the function should return a pair of numbers (got {type(returned).__name__})."
        ) from error


@exercise("00.5", kind="break it", expects="a triple (f, a, b): a function and two numbers")
def small_derivative(answer: object) -> str | None:
    """A function into [0, 1] with a small derivative but for a few points, and a steep chord."""
    try:
        f, a, b = answer
    except Exception as error:
        raise WrongType from error
    values, a, b = values_of(function(f)), number(a), number(b)
    reach = 2 * max(1.0, abs(a), abs(b))
    points = np.union1d(np.linspace(-reach, reach, 4001), [a, b])
    # Random points miss the few places where f has no derivative.
    probes, h = np.random.default_rng(5).uniform(-reach, reach, 2000), 1e-7
    steep = np.abs(values(probes + h) - values(probes - h)) / (2 * h) > 1 + 1e-6
    if steep.sum() > 1 or not _steep_at_few_jumps(values, points):
        return (
            "the derivative is larger than 1 at more than a few points: a steep slope is a "
            "large derivative, however short it is."
        )
    at = values(np.array([a, b]))
    if not abs(at[0] - at[1]) > 2 * abs(a - b):
        return "the chord from a to b is not steep enough."
    return None


def _steep_at_few_jumps(f: Values, points: np.ndarray, most: int = 20) -> bool:
    """Whether every steep chord between neighbouring points comes from one of a few jumps.

    A jump is a change that is left between two neighbouring floats; a steep but continuous
    function changes by next to nothing there.
    """
    left, right = points[:-1], points[1:]
    jumps = 0
    while True:
        rise = np.abs(f(right) - f(left))
        steep = rise > (1 + 1e-6) * (right - left) + 1e-12
        if not steep.any():
            return True
        left, right = left[steep], right[steep]
        jumps += len(left)
        if jumps > most:
            return False
        before, after = bisected(f, left, right)
        if np.any(np.abs(f(after) - f(before)) < 1e-6):
            return False
        left, right = np.concatenate([left, after]), np.concatenate([before, right])


@exercise("00.6", kind="open", expects="a whole number, such as 1000")
def how_many_votes(answer: object) -> str | None:
    """The least n with four standard errors of at most 0.01 for every share."""
    value = number(answer)
    if close(value, 40_000, 1e-9):
        return None
    if close(value, 40_000):
        return "very near, but the least n is a whole number that can be found exactly."
    if close(value, 2_500):
        return "four standard errors, not one."
    if close(value, 160_000):
        return "what is the largest variance that one vote can have?"
    if close(value, 200):
        return "that is the square root of n."
    if close(value, 400):
        return "the error falls like one over the square root of n, not like one over n."
    return "write down four standard errors of a frequency, for the worst share p."
