"""Checks for chapter 14, the engine."""

from __future__ import annotations

import math

import numpy as np

from rslib.exercises import close, exercise, number, numeric_function

A_NUMBER = "a number, such as 0.25"


@exercise("14.1", kind="by hand", expects=A_NUMBER)
def what_is_left_to_gain(answer: object) -> str | None:
    """The largest speed-up left where the forward pass takes 0.8 of the time."""
    value = number(answer)
    if close(value, 1.25):
        return None
    if close(value, 0.25):
        return "this is what is added to 1; the question asks how many times as fast."
    if close(value, 1.2):
        return "the whole becomes shorter by 0.2; is the speed then higher by 0.2?"
    if close(value, 5):
        return "the forward pass stays; what would be gone is the rest."
    if close(value, 0.8) or close(value, 0.2):
        return "this is a share of the time. How many times shorter is the whole without the rest?"
    return "divide the time of today by the time that is left when only the forward pass remains."


@exercise("14.2", kind="by code", expects="a function of (images, seconds, ranks)")
def hours_of_a_test_set(answer: object) -> str | None:
    """Hours until the last of several ranks has certified its share of the images."""
    hours = numeric_function(answer)
    cases = [(500, 110.0, 1), (500, 110.0, 8), (10, 360.0, 4), (3, 3600.0, 8), (64, 1.5, 64)]
    cases += [(m, 90.0, g) for g in (4, 5, 7) for m in range(1, 3 * g + 1)]  # every remainder
    found = [hours(*case) for case in cases]
    if all(
        close(f, math.ceil(m / g) * s / 3600) for f, (m, s, g) in zip(found, cases, strict=True)
    ):
        return None
    if all(close(f, m / g * s / 3600) for f, (m, s, g) in zip(found, cases, strict=True)):
        return "an image is not split: with 10 images on 4 ranks, who has how many?"
    if all(close(f, m // g * s / 3600) for f, (m, s, g) in zip(found, cases, strict=True)):
        return "some rank has to do the images that are left over."
    if all(close(f, math.ceil(m / g) * s) for f, (m, s, g) in zip(found, cases, strict=True)):
        return "these are seconds."
    if all(
        close(f, math.ceil(m * s / g) / 3600) for f, (m, s, g) in zip(found, cases, strict=True)
    ):
        return "it is the images that come in whole numbers, not the seconds."
    return "how many images does the busiest rank have, and how long does it take for each?"


@exercise("14.3", kind="break it", expects="a function of (n, ranks)")
def shared_seeds(answer: object) -> str | None:
    """How many of n draws are different where every rank starts from the same seed."""
    different = numeric_function(answer)
    cases = [(100_000, 8), (1_000, 1), (640, 64), (12, 4), (9, 9), (100, 2), (30, 5)]
    found = [different(n, ranks) for n, ranks in cases]
    if all(close(f, n / ranks) for f, (n, ranks) in zip(found, cases, strict=True)):
        return None
    if all(close(f, n) for f, (n, _) in zip(found, cases, strict=True)):
        return "that would be right with a stream for each rank. Here all start from one seed."
    if all(close(f, n / np.sqrt(ranks)) for f, (n, ranks) in zip(found, cases, strict=True)):
        return "that is how the error would have to be counted; the question asks for the draws."
    if all(close(f, n - ranks) for f, (n, ranks) in zip(found, cases, strict=True)):
        return "not only the first draw of each rank is the same."
    return "what are the first n / ranks draws of the first rank, and those of the second?"
