"""Checks for chapter 5, the Jensen bound."""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln
from scipy.stats import norm

from rslib import certificates
from rslib.exercises import WrongType, close, exercise, function, number, numeric_function
from rslib.exercises.line import Smoothed, values_of

A_NUMBER = "a number, such as 0.25"


@exercise("05.1", kind="by hand", expects=A_NUMBER)
def four_dimensions(answer: object) -> str | None:
    """The mean length of z at d = 4."""
    value = number(answer)
    if close(value, certificates.expected_norm(4)):
        return None
    if close(value, 2.0):
        return "this is the root of the mean of the square; the mean length is smaller."
    if close(value, certificates.expected_norm(4) / np.sqrt(2)):
        return "a factor in front of the two Gamma functions is missing."
    if any(close(value, certificates.expected_norm(d)) for d in (3, 5)):
        return "this is the mean length in another dimension; look at the arguments of Gamma."
    if close(value, 4 * np.sqrt(2) / (3 * np.sqrt(np.pi))) or close(value, 1 / 1.88):
        return "which Gamma function is above the other?"
    return "insert d = 4 into formula (2); Gamma(5/2) is 3/2 times 1/2 times Gamma(1/2)."


@exercise("05.2", kind="by hand", expects=A_NUMBER)
def half_of_jensen(answer: object) -> str | None:
    """The Jensen bound with f - 1/2, at d = 100, sigma = 0.5."""
    value = number(answer)
    jensen = np.sqrt(100) / 0.5
    if close(value, jensen / 2):
        return None
    if close(value, certificates.jensen_gradient_bound(100, 0.5) / 2, 1e-3):
        return "true, and a little better; the exercise asks for the root of d at the end."
    if close(value, jensen):
        return "this is the bound without the trick; how large is |f - c| for the best c?"
    if close(value, jensen / 4):
        return "how large is |f - c| in the worst case, and where does sigma stand?"
    if close(value, 0.5):
        return "this is c; the question is for the bound on the gradient."
    if close(value, 0.0):
        return "this is the slip again: the weight f - c may not be dropped inside the norm."
    if close(value, certificates.global_gradient_bound(0.5)):
        return "this is the best bound; the trick does not reach it in 100 dimensions."
    return "bound |f - c| by its largest value, then choose c so that this is small."


@exercise("05.3", kind="by hand", expects=A_NUMBER)
def corner(answer: object) -> str | None:
    """The length of the gradient of a smoothed octant at its corner."""
    value = number(answer)
    component = norm.pdf(0) / 4
    if close(value, np.sqrt(3) * component):
        return None
    if close(value, component):
        return "this is one component; the length takes all three."
    if close(value, 3 * component):
        return "this is the sum of the components, not their length."
    if close(value, norm.pdf(0)) or close(value, np.sqrt(3) * norm.pdf(0)):
        return "the other two coordinates must be positive, too: how likely is that?"
    if close(value, np.sqrt(3) * component / 2) or close(value, component / 2):
        return "the sign of z_1 is counted already in the mean of max(z_1, 0)."
    return "compute E[z_1 f] first: the three coordinates are independent."


@exercise("05.4", kind="by code", expects="a function of d")
def length_without_overflow(answer: object) -> str | None:
    """The mean length of z for d up to a million."""
    mean_length = numeric_function(answer)
    small = [1, 2, 3, 10, 101]
    large = [140, 171, 172, 200, 250, 300, 341, 342, 343, 344, 500, 3072, 99_999, 1_000_000]
    with np.errstate(all="ignore"):
        values = np.array([mean_length(d) for d in small])
    exact = certificates.expected_norm(np.array(small))

    def agrees(targets: object, relative: float = 1e-6) -> bool:
        return np.allclose(values, targets, rtol=relative, atol=0)

    d = np.array(small)
    if _six_digits(values, exact):
        return _large(mean_length, large)
    if agrees(np.sqrt(d)):
        return "this is the root of the mean of the square."
    if agrees(exact / np.sqrt(2)):
        return "a factor in front of the two Gamma functions is missing."
    if agrees(np.sqrt(2) * np.exp(gammaln(d / 2) - gammaln((d + 1) / 2))):
        return "which Gamma function is above the other?"
    if agrees(certificates.expected_norm(d + 1)):
        return "this is the length in one dimension more."
    if agrees(exact, 0.05):
        return "close, but six digits are asked for: use formula (2)."
    return "try d = 1, where the mean of |z| is the root of 2/pi."


def _six_digits(values: object, exact: np.ndarray) -> bool:
    """Whether the values are right within a millionth, or rounded to six significant digits."""
    rounded = [float(f"{value:.6g}") for value in exact]
    right = np.isclose(values, exact, 1e-6, 0) | np.isclose(values, rounded, 1e-12, 0)
    return bool(np.all(right))


def _large(mean_length, dimensions: list[int]) -> str | None:
    """A hint if the function fails where Gamma overflows."""
    try:
        with np.errstate(all="ignore"):
            values = [mean_length(d) for d in dimensions]
    except WrongType:
        values = [np.nan]
    if len(values) == len(dimensions) and _six_digits(
        values, certificates.expected_norm(np.array(dimensions))
    ):
        return None
    return "right for small d; for large d the Gamma functions overflow. Take logarithms first."


@exercise(
    "05.5", kind="break it", expects="a function from an array of points to values in [-1, 1]"
)
def another_range(answer: object) -> str | None:
    """A function with values in [-1, 1] whose smoothed version has a slope above 0.6 at 0."""
    slope = abs(Smoothed(values_of(function(answer), -1, 1), -12, 12).slope(0.0, 1.0))
    if slope < 0.6 - 1e-9:
        return (
            f"the slope at 0 is {slope:.3f}; use the whole range, and think of the weight that "
            "each noise value should get."
        )
    return None


@exercise("05.6", kind="open", expects=A_NUMBER)
def sum_of_slopes(answer: object) -> str | None:
    """The largest l1 norm of the gradient at d = 100, sigma = 1."""
    value = number(answer)
    if close(value, 10 * norm.pdf(0)):
        return None
    if close(value, norm.pdf(0)):
        return "this is the largest l2 length; a vector has a larger sum of absolute values."
    if close(value, 100 * norm.pdf(0)):
        return "not every component can be as large as that at once: their squares add up."
    if close(value, 10.0) or close(value, 100 * np.sqrt(2 / np.pi)):
        return "start from the best bound on the l2 length, not from the Jensen bound."
    return "for a given l2 length, which vector has the largest sum of absolute values?"
