"""Checks for chapter 15, experiments at full size."""

from __future__ import annotations

import math

from scipy.stats import norm

from rslib import certificates
from rslib.exercises import WrongType, close, exercise, number, numeric_function

TWO_NUMBERS = "two numbers, such as (0.25, 0.5)"


def _pair(answer: object) -> tuple[float, float]:
    """Read an answer as two finite numbers, in order."""
    if isinstance(answer, str | bytes | dict | set):
        raise WrongType
    try:
        first, second = answer
    except (TypeError, ValueError):
        raise WrongType from None
    return number(first), number(second)


@exercise("15.1", kind="by hand", expects="a whole number, such as 1000")
def fewest_samples(answer: object) -> str | None:
    """The fewest samples that can certify r = 1.25 at sigma = 0.5 and alpha = 0.001."""
    value = number(answer)

    def fewest(ratio: float, alpha: float = 0.001) -> int:
        return math.ceil(math.log(alpha) / norm.logcdf(ratio))

    if value == fewest(2.5):
        return None
    if value != int(value):
        return "samples come in whole numbers; think about which way to round."
    if value == fewest(2.5) - 1:
        return "just too few: round the other way."
    if value == fewest(2.5) + 1:
        return "one sample fewer would do as well."
    if abs(value - fewest(1.25)) <= 1:
        return "the formula has the radius in units of sigma."
    if abs(value - fewest(2.5, 0.0005)) <= 1:
        return "the bound is one-sided: all of alpha is for it."
    if abs(value - math.log(0.001) / math.log(norm.sf(2.5))) <= 1:
        return "the share that the votes must reach is close to 1, not to 0."
    if abs(value - math.log10(0.001) / norm.logcdf(2.5)) <= 1:
        return "both logarithms must be of the same base."
    return "set p to the share that the radius needs, and solve p^n = alpha for n."


@exercise("15.2", kind="by hand", expects=TWO_NUMBERS)
def radius_of_the_original(answer: object) -> str | None:
    """Copy with radius 2.30 at distance 1.64: radius left, and largest distance that leaves 1."""
    left, farthest = _pair(answer)
    radius, distance = 2.30, 1.64
    if close(left, radius - 1) and close(farthest, radius - distance):
        return "look again at which question comes first."
    if not close(left, radius - distance):
        second = "the second is right; " if close(farthest, radius - 1) else ""
        if close(left, radius):
            return second + "for the first: the image is not at the centre of the ball."
        if close(left, radius + distance):
            return second + "for the first: moving the centre cannot make the ball larger."
        if close(left, 0):
            return second + "for the first: the image lies inside the ball, so something is left."
        if close(left, math.sqrt(radius**2 - distance**2)):
            return second + "for the first: the worst direction lies along the line to the copy."
        return second + "for the first: how far is the image from the edge of the copy's ball?"
    if close(farthest, radius - 1):
        return None
    if close(farthest, radius):
        return "the first is right; at that distance nothing is left, and a radius of 1 is wanted."
    return "the first is right; for the second solve the same equation for the distance."


@exercise("15.3", kind="by code", expects="a function of the depth")
def work_of_a_network(answer: object) -> str | None:
    """Multiply-adds of the residual network of depth 6k + 2 for 32 x 32 images."""
    work = numeric_function(answer)
    depths = tuple(range(8, 111, 6))
    found = [work(depth) for depth in depths]

    def agrees(formula) -> bool:  # whole numbers, so exactly
        return all(close(f, formula(d), 1e-9) for f, d in zip(found, depths, strict=True))

    if agrees(_work):
        return None
    if agrees(lambda depth: 2 * _work(depth)):
        return "a multiplication and the addition after it count as one."
    if agrees(lambda depth: _work(depth, halved=False)):
        return "the second and the third stage work on smaller images."
    if agrees(lambda depth: _work(depth) - _FIRST):
        return "the first convolution, from 3 to 16 channels, is missing."
    if agrees(lambda depth: _work(depth, narrow=False)):
        return "the first convolution of a stage has the channels of the stage before as input."
    if agrees(_parameters):
        return "these are the weights; each is used once for every pixel of the output."
    if agrees(lambda depth: _work(depth, kernel=1)):
        return "every output value looks at 3 x 3 pixels."
    if agrees(lambda depth: _work(depth) - 640):
        return "the linear layer at the end is missing."
    if agrees(lambda depth: _work(2 * depth - 2)):
        return "a block has two convolutions: how many blocks does a stage have at depth 20?"
    return "add up, over the layers, output values times inputs that each of them looks at."


_FIRST = 3 * 16 * 9 * 32**2


def _work(depth: int, *, halved: bool = True, narrow: bool = True, kernel: int = 9) -> int:
    """Multiply-adds, or what a common slip makes of them."""
    per_stage, total, inner = (depth - 2) // 6 * 2, 3 * 16 * kernel * 32**2, 16
    for stage, outer in enumerate((16, 32, 64)):
        pixels = (32 // 2**stage) ** 2 if halved else 32**2
        first = (inner if narrow else outer) * outer
        total += kernel * pixels * (first + (per_stage - 1) * outer * outer)
        inner = outer
    return total + 64 * 10


def _parameters(depth: int) -> int:
    per_stage, total, inner = (depth - 2) // 6 * 2, 3 * 16 * 9, 16
    for outer in (16, 32, 64):
        total += 9 * (inner * outer + (per_stage - 1) * outer * outer)
        inner = outer
    return total + 64 * 10


@exercise("15.4", kind="break it", expects="two numbers (x_1, d), such as (0.45, -0.1)")
def a_borrowed_radius(answer: object) -> str | None:
    """A lossless image near the copy at 0.5, and a change below 0.5 that turns g's answer."""
    image, change = _pair(answer)
    copy, radius, reach = 0.5, 0.5, 0.4
    if abs(image - copy) > reach * (1 + 1e-9):
        return f"this image is {abs(image - copy):.3g} away from its copy, more than {reach}."
    if abs(change) >= radius:
        return "the change must be smaller than the radius that the colleague claims."
    if image + change > 0:
        return "g still answers 1 there."
    if image + change == 0:
        return "exactly on the boundary the two classes tie: go a little further."
    return None


@exercise("15.5", kind="open", expects=TWO_NUMBERS)
def an_hour_of_gpu(answer: object) -> str | None:
    """Half width of the band for 240 images; cliff in sigma for 48,000 samples."""
    width, cliff = _pair(answer)
    limit, at_n = _cliff(48_000), _cliff(100_000)
    if not close(width, _half_width(240), 1e-3):
        second = "the second is right; " if close(cliff, limit, 1e-3) else ""
        return f"{second}for the first: {_fault_of_the_width(width)}"
    if close(cliff, limit, 1e-3):
        return None
    if close(cliff, at_n, 1e-3):
        return "the first is right; the second has fewer samples for each image."
    if close(cliff, _cliff(24_000), 1e-3) or close(cliff, _cliff(50_000), 1e-3):
        return "the first is right; for the second: share the hour among 500 images, exactly."
    if close(cliff, 0.48 * at_n, 1e-3):
        return "the first is right; the cliff does not fall in proportion to the samples."
    return "the first is right; for the second: which n fits, and where is its cliff?"


def _cliff(n: int) -> float:
    return certificates.max_certified_radius(n, 0.001, 1.0)


def _half_width(images: int, level: float = 40) -> float:
    return math.sqrt(math.log(level) / (2 * images))


def _fault_of_the_width(width: float) -> str:
    if close(width, _half_width(500), 1e-3):
        return "the hour ends before image 500."
    if close(width, 2 * _half_width(240), 1e-3):
        return "the width on each side is asked for."
    if close(width, _half_width(240, 20), 1e-3):
        return "the curve can leave the band on two sides."
    if close(width, 1.96 * 0.5 / math.sqrt(240), 1e-3):
        return "the band should hold at all radii at once."
    return "how many images fit into an hour? Then Massart's inequality."
