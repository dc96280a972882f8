"""Checks for chapter 12, sound certificates."""

from __future__ import annotations

from functools import lru_cache

import mpmath
import numpy as np
from scipy.stats import beta, norm

from rslib import certificates, confidence
from rslib.exercises import WrongType, close, exercise, function, number

A_NUMBER = "a number, such as 0.25"
TOP = 2**63
PROMISES_TOO_MUCH = "near, but above what is certain: in this chapter a radius is rounded down."


def _above(value: float, limit: float, tolerance: float = 1e-6) -> bool:
    """Whether a number claims more than its limit allows; six digits on the way are enough."""
    return value > limit * (1 + tolerance)


@exercise("12.1", kind="by hand", expects=A_NUMBER)
def price_of_rounding(answer: object) -> str | None:
    """What is left of R = 0.5 for real-valued CIFAR-10 images rounded to steps of 1/255."""
    value = number(answer)
    radius, step, d = 0.5, 1 / 255, 3 * 32 * 32
    cost = step * np.sqrt(d) / 2
    if close(value, radius - cost):
        return PROMISES_TOO_MUCH if _above(value, radius - cost) else None
    if close(value, cost):
        return "that is the price; the question asks what is left."
    if close(value, radius - 2 * cost):
        return "how far is a number from the nearest grid point, at most?"
    if close(value, radius - step / 2):
        return "that is what one coordinate can move; all of them can."
    if close(value, radius - step * np.sqrt(32 * 32) / 2):
        return "how many numbers does a colour image have?"
    if value < 0:
        return "the moves of the coordinates do not add up: lengths are l2 norms."
    if close(value, radius):
        return "the rounded image can be further away than the image that was sent."
    return "how far can rounding move one coordinate, and the whole vector in the l2 norm?"


@exercise("12.2", kind="by hand", expects=A_NUMBER)
def dropped_votes(answer: object) -> str | None:
    """The radius claimed if NaN (probability 0.2) is redrawn: p_0 = 0.45, p_1 = 0.35."""
    value = number(answer)
    if close(value, norm.ppf(0.45 / 0.8)):
        return None
    if close(value, norm.ppf(0.45)) or value == 0:
        return "this would be honest. The tool sees only the copies that it keeps."
    if close(value, norm.ppf(0.65)):
        return "the NaN copies do not count for class 0: they are replaced by new draws."
    if close(value, 0.45 / 0.8):
        return "this is the share that the tool sees; turn it into a distance."
    if close(value, (norm.ppf(0.45 / 0.8) - norm.ppf(0.35)) / 2):
        return "the share of class 1 grows as well; and the one-sided form does not need it."
    return "which share does class 0 have among the copies that are kept?"


@lru_cache
def _threshold(k: int, ratio: int | float, shift: float = 0.5) -> int:
    with mpmath.workdps(40):
        return int(mpmath.nint(TOP * mpmath.ncdf((k + mpmath.mpf(shift)) / ratio)))


def _cell(u: int, ratio: int | float, shift: float = 0.5, strict: bool = True) -> int:
    """The smallest k with u < T_k (with u <= T_k if not strict), by bisection."""
    low, high = -int(12 * ratio) - 2, int(12 * ratio) + 2  # T_low = 0, T_high = 2^63
    while high - low > 1:
        middle = (low + high) // 2
        threshold = _threshold(middle, ratio, shift)
        if u < threshold or (not strict and u == threshold):
            high = middle
        else:
            low = middle
    return high


def _uniforms(ratio: int | float) -> list[int]:
    """Integers in both tails, at the borders of cells and between."""
    rng = np.random.default_rng(123)
    borders = [_threshold(k, ratio) for k in range(-3, 3)]
    return [
        *(int(u) for u in rng.integers(0, TOP, 10)),
        *(border - 1 for border in borders),
        *borders,
        *(0, 1, 1000, TOP // 2, TOP - 100_000, TOP - 1000, TOP - 2, TOP - 1),
    ]


@exercise("12.3", kind="by code", expects="a function of (u, ratio) that returns an integer")
def draw_k(answer: object) -> str | None:
    """The inverse of the distribution function of K, in 63-bit integers."""
    call = function(answer)
    cases = [(u, ratio) for ratio in (1, 2.5, 3, 4, 7.5) for u in _uniforms(ratio)]
    values = []
    for u, ratio in cases:
        returned = call(u, ratio)
        if number(returned) != int(returned):
            raise WrongType(f"K is a whole number (got {returned}).")
        values.append(int(returned))

    def agrees(shift: float = 0.5, strict: bool = True, sign: int = 1) -> bool:
        return all(
            value == sign * _cell(u, ratio, shift, strict)
            for (u, ratio), value in zip(cases, values, strict=True)
            if strict or u > 0  # u <= T_k at u = 0 holds for every k
        )

    if agrees():
        return None
    if agrees(strict=False):
        return "look at u equal to a threshold: the condition is u < T_k."
    if agrees(shift=0.0) or agrees(shift=1.0):
        return "the borders of the cells lie halfway between the integers: look at the 1/2."
    if agrees(sign=-1):
        return "the sign is turned round: a large u belongs to a large K."
    wrong = [
        (u, ratio)
        for (u, ratio), value in zip(cases, values, strict=True)
        if value != _cell(u, ratio)
    ]
    u, ratio = wrong[0]
    if all(min(u, TOP - u) < 10**6 or u in _edges(ratio) for u, ratio in wrong):
        return (
            f"right in the middle, wrong for {len(wrong)} integers, such as u = {u} at "
            f"ratio {ratio}: does a float64 hold all the digits of u?"
        )
    return f"wrong for {len(wrong)} of {len(cases)} integers, such as u = {u} at ratio {ratio}."


def _edges(ratio: int | float) -> set[int]:
    """Integers next to a threshold, which floats cannot tell from it."""
    borders = [_threshold(k, ratio) for k in range(-3, 3)]
    return {border - 1 for border in borders} | set(borders)


@exercise(
    "12.4",
    kind="break it",
    expects="a function from a float16 array of shape (n, 3) to n classes 0 or 1",
)
def half_precision(answer: object) -> str | None:
    """A base classifier with a false certificate under float16 noise."""
    base = function(answer)
    rng = np.random.default_rng(124)
    n, sigma = 100_000, np.float16(0.5)
    noise = sigma * rng.standard_normal((n, 3)).astype(np.float16)

    def zeros(x: float) -> int:
        points = np.float16(x) + noise
        labels = np.asarray(base(points))
        if labels.shape != (n,):
            raise WrongType(
                f"the function must return one class a point: {points.shape} in, "
                f"{labels.shape} out."
            )
        if not np.isin(labels, [0, 1]).all():
            raise WrongType("the classes must be 0 and 1.")
        return int(np.sum(labels == 0))

    here, there = zeros(1.0), zeros(0.0)
    parts = [np.float16(x) + noise[:50] for x in (1.0, 0.0)]
    alone = [np.concatenate([np.asarray(base(row[None])) for row in part]) for part in parts]
    together = [np.asarray(base(part)) for part in parts]
    if zeros(1.0) != here or not np.array_equal(alone, together):
        return "a base classifier is a function of one point, whatever was asked before or beside."
    bound = float(confidence.lower_bound(here, n, 0.001))
    radius = float(certificates.certified_radius(bound, 0.5)) if bound > 0 else -np.inf
    if radius <= 0:
        return f"class 0 is not certified at (1, 1, 1): it has {here} of {n} votes there."
    if radius <= np.sqrt(3):
        return (
            f"the radius at (1, 1, 1) is {radius:.3f}, which does not reach the origin: which "
            "values can a float16 near 1 not have?"
        )
    if there >= n / 2:
        return (
            f"class 0 still has {there} of {n} votes at the origin: which values are reached from "
            "0, but not from 1?"
        )
    return None


@exercise("12.5", kind="by hand", expects=A_NUMBER)
def published_radii(answer: object) -> str | None:
    """The factor that makes radii of three digits, rounded to nearest, safe."""
    value = number(answer)
    if 0.995 <= value and not _above(value, 1.005 / 1.01, 1e-12):
        return None
    if close(value, 1.005 / 1.01, 1e-4):
        return "this close to the answer half of all roundings are unsafe. Which way did you round?"
    if close(value, 0.9995, 1e-5):
        return "that is enough for a printed 1.00; look at its neighbour above."
    if close(value, 0.99, 1e-5):
        return "safe, but rounding to nearest is off by half a unit of the last digit at most."
    if value > 1.005 / 1.01:
        return "not safe: for which printed r is half a unit of the last digit the largest share?"
    return "safe, but not the largest: for which printed r is the error the largest share?"


@exercise("12.6", kind="open", expects=A_NUMBER)
def unreliable_votes(answer: object) -> str | None:
    """The radius for 100,000 of 100,000 votes if up to 10 of them may be wrong."""
    value = number(answer)

    def radius(k: int, alpha: float = 0.001) -> float:
        return float(certificates.certified_radius(confidence.lower_bound(k, 100_000, alpha), 1.0))

    if close(value, radius(99_990), 1e-3):
        exact = float(norm.ppf(beta.ppf(0.001, 99_990, 11)))
        return PROMISES_TOO_MUCH if _above(value, exact) else None
    if close(value, radius(100_000), 1e-3):
        return "this trusts every vote."
    if close(value, radius(99_980), 1e-3):
        return "10 wrong votes lower the count by 10."
    if close(value, float(norm.ppf(0.9999)), 1e-3):
        return "the count is lowered, but a frequency is not a bound."
    if close(value, radius(99_990, 0.0005), 1e-3):
        return "the label is given, so all of alpha belongs to one bound."
    return "how many votes has the class at least? The lower bound increases with the count."
