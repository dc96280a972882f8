"""Checks for chapter 11, other norms and the curse of dimensionality."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.stats import norm

from rslib import certificates
from rslib.exercises import WrongType, close, exercise, expression, number, numeric_function

A_NUMBER = "a number, such as 0.25"


@exercise("11.1", kind="by hand", expects=A_NUMBER)
def l3_radius(answer: object) -> str | None:
    """The l_3 radius that the l_2 radius 0.5 implies in 3,072 dimensions."""
    value = number(answer)
    radius, d = 0.5, 3072
    if close(value, radius / d ** (1 / 6)):
        return None
    if close(value, radius * d ** (1 / 6)):
        return "an l_3 ball of that size sticks out of the l_2 ball: multiply or divide?"
    if close(value, radius / d ** (1 / 2)):
        return "this is the radius for p = infinity; compute the exponent for p = 3."
    if close(value, radius / d ** (1 / 3)):
        return "the exponent is a difference of two fractions: this is one of the two."
    if close(value, radius):
        return "that would be right for p of at most 2."
    return "which power of d stands in the denominator, for p = 3?"


@exercise("11.2", kind="by hand", expects=A_NUMBER)
def least_noise(answer: object) -> str | None:
    """The least sigma that can give the l_inf radius 4/255 at d = 150,528."""
    value = number(answer)
    radius, d = 4 / 255, 150_528
    cap = certificates.max_certified_radius(100_000, 0.001, 1.0)
    if close(value, radius * np.sqrt(d) / cap):
        return None
    if close(value, radius * np.sqrt(d)):
        return "this is the l_2 radius that is needed; which part of it does one sigma give?"
    if close(value, 4 * np.sqrt(d) / cap):
        return "sigma is in input units, where a pixel goes from 0 to 1."
    if close(value, radius / cap):
        return "this forgets the dimension: convert the radius to l_2 first."
    if close(value, radius * d / cap):
        return "look at the exponent of d for p = infinity."
    if close(value, radius * np.sqrt(d) * cap):
        return "a unanimous vote gives a multiple of sigma; solve for sigma."
    return "convert the wanted radius to l_2, and compare it with that of a unanimous vote."


@exercise("11.3", kind="by code", expects="a function of (w, b, x, p)")
def lp_distance(answer: object) -> str | None:
    """The l_p distance from x to the hyperplane w.y + b = 0."""
    distance = numeric_function(answer)
    rng = np.random.default_rng(113)
    orders = (2, 1, np.inf, 1.5, 3, 4)
    cases = [
        (rng.standard_normal(n), float(rng.standard_normal()), rng.standard_normal(n), p)
        for p in orders
        for n in (1, 2, 7, 40)
    ]
    values = [distance(w.copy(), b, x.copy(), p) for w, b, x, p in cases]

    def agrees(formula: Callable) -> bool:
        targets = [formula(*case) for case in cases]
        return np.allclose(values, targets, rtol=1e-6, atol=1e-9)

    def gap(w: np.ndarray, b: float, x: np.ndarray) -> float:
        return w @ x + b

    def dual(p: float) -> float:
        return np.inf if p == 1 else 1 / (1 - 1 / p)

    if agrees(lambda w, b, x, p: abs(gap(w, b, x)) / np.linalg.norm(w, dual(p))):
        return None
    if agrees(lambda w, b, x, p: gap(w, b, x) / np.linalg.norm(w, dual(p))):
        return "a distance is never negative."
    if agrees(lambda w, b, x, p: abs(gap(w, b, x)) / np.linalg.norm(w, p)):
        return "the norm of w in Hölder's inequality is not the norm of the step."
    if agrees(lambda w, b, x, p: abs(gap(w, b, x)) / np.linalg.norm(w)):
        return "this is the l_2 distance for every p."
    if agrees(
        lambda w, b, x, p: certificates.lp_radius(
            abs(gap(w, b, x)) / np.linalg.norm(w), len(w), float(p)
        )
    ):
        return "this is the converted l_2 distance: a lower bound; here the truth can be had."
    if agrees(lambda w, b, x, p: abs(w @ x) / np.linalg.norm(w, dual(p))):
        return "the border does not pass through the origin: what about b?"
    return "how large must w.delta be to reach the border, and what does Hölder say about it?"


@exercise("11.4", kind="break it", expects="a pair (u, delta) of arrays of 100 numbers each")
def printed_formula_below_two(answer: object) -> str | None:
    """A half-space and a step that refute formula (1) for p = 1, d = 100."""
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        raise WrongType
    try:
        u, delta = (np.asarray(part, dtype=float).ravel() for part in answer)
    except (TypeError, ValueError) as error:
        raise WrongType from error
    if u.shape != (100,) or delta.shape != (100,):
        raise WrongType
    if not (np.isfinite(u).all() and np.isfinite(delta).all() and np.any(u)):
        return "all numbers must be finite, and u must not be the zero vector."
    distance = 0.5 * norm.ppf(0.9)
    if np.abs(delta).sum() >= distance * 10:
        return f"the l_1 norm of delta is {np.abs(delta).sum():.4g}: not below the friend's radius."
    if u @ delta / np.linalg.norm(u) > distance:
        return None
    if u @ delta <= 0:
        return "this step does not lead towards the border of the half-space."
    if np.ptp(np.abs(u)) < 1e-9:
        return "c_A keeps its majority. For this u the formula happens to be right; try another u."
    return "c_A keeps its majority. Where is a small l_1 budget spent best, and for which u?"


@exercise(
    "11.5",
    kind="by hand",
    expects="a SymPy expression in symbols named p_a, h and d, or a function of (p_a, h, d)",
)
def uniform_noise_in_a_cube(answer: object) -> str | None:
    """The l_inf radius that a share certifies for noise that is uniform on [-h, h]^d."""
    radius = expression(answer, "p_a", "h", "d")
    rng = np.random.default_rng(115)
    cases = [
        (float(rng.uniform(0.51, 0.999)), float(rng.uniform(0.2, 3.0)), d)
        for d in (1, 2, 3, 5, 10, 64, 1000)
        for _ in range(3)
    ]
    values = np.array([radius(*case) for case in cases])

    def agrees(formula: Callable) -> bool:
        return np.allclose(values, [formula(*case) for case in cases], rtol=1e-6, atol=1e-9)

    def exact(p_a: float, h: float, d: int) -> float:
        return 2 * h * (1 - (1.5 - p_a) ** (1 / d))

    if agrees(exact):
        return None
    if agrees(lambda p_a, h, d: exact(p_a, h, d) / 2) or agrees(
        lambda p_a, h, d: 2 * exact(p_a, h, d)
    ):
        return "wrong by a factor: how long is an edge of the cube?"
    if agrees(lambda p_a, h, d: h * (2 * p_a - 1)):
        return "that is right in one dimension; how does the overlap depend on d?"
    if agrees(lambda p_a, h, d: h * (2 * p_a - 1) / d):
        return "a little too small: the overlap is a product over the coordinates, not a sum."
    if agrees(lambda p_a, h, d: -2 * h * np.log(1.5 - p_a) / d):
        return "very near for large d; the exact value needs no logarithm."
    if agrees(lambda p_a, h, d: 2 * h * (1 - p_a ** (1 / d))) or agrees(
        lambda p_a, h, d: 2 * h * (1 - (1 - p_a) ** (1 / d))
    ):
        return "how much of the vote may c_A lose before it has only one half?"
    if agrees(lambda p_a, h, d: h / np.sqrt(3 * d) * norm.ppf(p_a)):
        return "this is the radius of Gaussian noise of the same variance."
    return (
        "which share of the cube is left when all coordinates move by r, and how much may be lost?"
    )


@exercise("11.6", kind="open", expects=A_NUMBER)
def best_factor(answer: object) -> str | None:
    """The largest distance of the two quantiles at variance 1 and p_A = 0.9."""
    value = number(answer)
    p_a = 0.9
    best = np.sqrt(2 + 1 / (1 - p_a))
    if close(value, best):
        return None
    if close(value, 1 + np.sqrt(p_a / (1 - p_a))):
        return "this is Cantelli's inequality used twice; the two cannot be attained together."
    if close(value, norm.ppf(p_a)):
        return (
            "this is the Gaussian; other distributions of variance 1 put the points further apart."
        )
    if close(value, best**2):
        return "that is its square."
    if value > 1 + np.sqrt(p_a / (1 - p_a)):
        return "this is more than the theorem allows."
    if value < best:
        return "there is a distribution of variance 1 with the two points further apart."
    return "smaller than Cantelli's factor, but not the smallest: how many values does S need?"
