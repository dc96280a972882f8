"""Checks for chapter 17, certifying a classifier of one's own."""

from __future__ import annotations

import math

import numpy as np

from rslib.exercises import WrongType, close, exercise, function, number, rounded_up

STD = (0.229, 0.224, 0.225)  # ImageNet's, as everybody uses them
PRINTED = 1.5
DIMENSION = 3 * 224 * 224
LOSS = 0.001


@exercise("17.1", kind="by hand", expects="a number, such as 0.25")
def radius_in_pixels(answer: object) -> str | None:
    """What a radius that was certified after normalisation is worth before it."""
    value = number(answer)
    truth = PRINTED * min(STD)
    if close(value, truth):
        return "do not round a radius up." if rounded_up(value, truth) else None
    if close(value, PRINTED / min(STD)) or close(value, PRINTED / max(STD)):
        return "normalising stretches every distance: in pixels the ball is smaller, not larger."
    if any(close(value, PRINTED * s) for s in (max(STD), sum(STD) / 3, STD[2])):
        return "an attacker may change one channel alone: which one is stretched the most?"
    if close(value, PRINTED * math.prod(STD)) or close(value, PRINTED * math.hypot(*STD)):
        return "the three are not to be combined: bound the length of the stretched change."
    if close(value, PRINTED):
        return "that is the radius as printed, in units of normalised values."
    return "how long can a change become when it is divided by the standard deviations?"


@exercise("17.2", kind="by code", expects="a function of (classify, mean, std)")
def normalisation_inside(answer: object) -> str | None:
    """A classifier of pixels around a classifier of normalised values."""
    put = function(answer)
    rng = np.random.default_rng(17)
    mean, std = [0.5, 0.4, 0.3], [0.2, 0.25, 0.5]
    batch = rng.integers(0, 256, (4, 3, 3, 3)) / 255
    given: list[np.ndarray] = []

    def classify(normalised: np.ndarray) -> np.ndarray:
        given.append(np.array(normalised, dtype=float))
        return given[-1].reshape(len(given[-1]), -1).sum(axis=1)

    wrapped = put(classify, mean, std)
    if not callable(wrapped):
        raise WrongType("put_inside should return a function of a batch of pixels.")
    before = batch.copy()
    returned = function(wrapped)(batch)
    if not np.array_equal(batch, before):
        return "it changes the batch that it is given: the images of the caller."
    if not given:
        return "the function that it returns never asks the classifier."
    if given[-1].shape != batch.shape:
        return f"the classifier got an array of shape {given[-1].shape}, not that of the batch."
    m, s = (np.array(numbers)[:, None, None] for numbers in (mean, std))
    if np.allclose(given[-1], (batch - m) / s, rtol=1e-5, atol=1e-6):
        if np.shape(returned) != (4,) or not np.allclose(returned, classify((batch - m) / s)):
            return "the classifier gets the right values; return what it answers."
        return None
    if np.allclose(given[-1], (batch - mean) / std):
        return "NumPy lines up axes from the last one, which here is the width, not the channels."
    if np.allclose(given[-1], (batch - m) * s):
        return "the standard deviation divides."
    if np.allclose(given[-1], batch / s - m) or np.allclose(given[-1], (batch + m) / s):
        return "first the mean is subtracted, then the rest is divided."
    return "the classifier should get (pixels - mean) / std, channel by channel."


@exercise("17.3", kind="by hand", expects="a whole number, such as 255")
def steps_that_are_enough(answer: object) -> str | None:
    """The smallest k for which rounding to a grid of step 1/k costs at most 0.001."""
    value = number(answer)
    least = math.sqrt(DIMENSION) / LOSS
    if value == math.ceil(least):
        return None
    if close(value, least, 1e-6):
        return "close: the smallest whole number that is large enough."
    if close(value, least / 2):
        return "that pays for one half diagonal, and there are two: of the image and of the attack."
    if close(value, math.sqrt(DIMENSION / 3) / LOSS):
        return "a colour image has three numbers a pixel."
    if close(value, DIMENSION / LOSS):
        return "the diagonal of a cell grows with the square root of the dimension."
    if close(value, LOSS / math.sqrt(DIMENSION)):
        return "that is the step; the question is how many of them make up 1."
    return "what is d, and for which k is the square root of d, divided by k, small enough?"


@exercise("17.4", kind="break it", expects="a function of a batch, an array (B, d)")
def minds_its_neighbours(answer: object) -> str | None:
    """A classifier that no shuffling finds out, and whose rows depend on each other."""
    classify = function(answer)
    rng = np.random.default_rng(17)
    changed = False
    for size in (2, 5, 8):
        batch = rng.standard_normal((size, 6))
        labels = _labels(classify, batch)
        for _ in range(3):
            order = rng.permutation(size)
            if not np.array_equal(_labels(classify, batch[order]), labels[order]):
                return "shuffling the rows changes an answer: it would be found out."
        for _ in range(20):
            others = rng.standard_normal((size - 1, 6)) * rng.uniform(0.5, 5)
            among = _labels(classify, np.vstack([batch[:1], others]))
            changed |= bool(among[0] != labels[0])
    if not changed:
        return "the first row kept its label among many different companions: it does not mind."
    return None


def _labels(classify, batch: np.ndarray) -> np.ndarray:
    found = np.asarray(classify(batch.copy()))
    if found.shape != (len(batch),):
        raise WrongType(
            f"your function should return one label a row: for {len(batch)} rows it returned an "
            f"array of shape {found.shape}."
        )
    if found.dtype.kind not in "iub":
        raise WrongType(f"labels should be whole numbers (got {found.dtype}).")
    return found.astype(int)
