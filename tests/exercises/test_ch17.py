"""The checks of chapter 17 accept right answers, however written, and know the common mistakes."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import sympy as sp
from answers import (
    test_common_mistakes_get_their_hint,  # noqa: F401
    test_every_exercise_has_answers_to_test,  # noqa: F401
    test_no_hint_tells_the_answer,  # noqa: F401
    test_right_answers_are_accepted,  # noqa: F401
)

from rslib.exercises import EXERCISES, check
from rslib.exercises.ch17 import DIMENSION

check("17.1")
CHAPTER = sorted(name for name in EXERCISES if name.startswith("17."))


def inside(classify, mean, std):
    mean, std = np.array(mean), np.array(std)
    return lambda batch: classify((batch - mean[:, None, None]) / std[:, None, None])


def inside_by_loop(classify, mean, std):
    def of_pixels(batch):
        normal = np.empty(batch.shape)
        for c in range(batch.shape[1]):
            normal[:, c] = (batch[:, c] - mean[c]) / std[c]
        return classify(normal)

    return of_pixels


def inside_axes_moved(classify, mean, std):
    return lambda batch: classify(np.moveaxis((np.moveaxis(batch, 1, -1) - mean) / std, -1, 1))


def inside_by_torch(classify, mean, std):
    import torch

    m, s = (torch.tensor(numbers)[:, None, None] for numbers in (mean, std))
    return lambda batch: classify(((torch.as_tensor(batch) - m) / s).numpy())


def in_place(classify, mean, std):
    def of_pixels(batch):
        batch -= np.array(mean)[:, None, None]
        batch /= np.array(std)[:, None, None]
        return classify(batch)

    return of_pixels


def by_batch_mean(batch):
    return ((batch - batch.mean(axis=0))[:, 0] > 0).astype(int)


def by_rank(batch):
    """1 for the rows of the larger half, by their sum."""
    sums = batch.sum(axis=1)
    return (sums >= np.median(sums)).astype(int)


def by_norm_of_all(batch):
    return np.full(len(batch), int(np.abs(batch).max() > 3))


def by_standardised(batch):
    spread = batch.std(axis=0) + 1e-9
    return ((batch - batch.mean(axis=0)) / spread).argmax(axis=1)


RIGHT = {
    "17.1": [0.336, 1.5 * 0.224, Fraction(336, 1000), Decimal("0.336"), sp.Rational(42, 125)],
    "17.2": [inside, inside_by_loop, inside_axes_moved, inside_by_torch],
    "17.3": [
        387_980,
        math.ceil(1000 * math.sqrt(DIMENSION)),
        sp.ceiling(1000 * sp.sqrt(150528)),
        np.int64(387_980),
        387_980.0,
    ],
    "17.4": [by_batch_mean, by_rank, by_norm_of_all, by_standardised],
}
# Each wrong answer with a word of the hint that it must get.
WRONG = {
    "17.1": [
        (1.5 * 0.229, "stretched the most"),
        (1.5 * 0.226, "stretched the most"),
        (1.5 / 0.224, "smaller, not larger"),
        (1.5, "as printed"),
        (1.5 * 0.229 * 0.224 * 0.225, "not to be combined"),
        (0.3363, "round a radius up"),
        (0.1, "how long"),
        ("0.336", "a number"),
    ],
    "17.2": [
        (lambda f, m, s: lambda x: f((x - np.array(m)) / np.array(s)), "the width"),
        (
            lambda f, m, s: (
                lambda x: f((x - np.array(m)[:, None, None]) * np.array(s)[:, None, None])
            ),
            "divides",
        ),
        (
            lambda f, m, s: (
                lambda x: f(x / np.array(s)[:, None, None] - np.array(m)[:, None, None])
            ),
            "first the mean",
        ),
        (lambda f, m, s: f, "channel by channel"),
        (lambda f, m, s: lambda x: x.sum(axis=(1, 2, 3)), "never asks"),
        (lambda f, m, s: lambda x: f(x.reshape(len(x), -1)), "of shape (4, 27)"),
        (lambda f, m, s: lambda x: inside(f, m, s)(x).argmax(), "return what it answers"),
        (lambda f, m, s: 3, "should return a function"),
        (in_place, "of the caller"),
        (0.2, "function"),
    ],
    "17.3": [
        (387_979, "large enough"),
        (1000 * math.sqrt(DIMENSION), "large enough"),
        (193_990, "there are two"),
        (224_000, "three numbers a pixel"),
        (150_528_000, "square root"),
        (1 / 387_980, "how many of them"),
        (255, "what is d"),
        ("many", "whole number"),
    ],
    "17.4": [
        (lambda batch: (batch[:, 0] > 0).astype(int), "does not mind"),
        (lambda batch: (batch[:, 0] > batch[0, 0]).astype(int), "found out"),
        (lambda batch: np.arange(len(batch)), "found out"),
        (lambda batch: np.zeros(len(batch), int), "does not mind"),
        (lambda batch: batch - batch.mean(axis=0), "one label a row"),
        (lambda batch: batch.mean(axis=1), "whole numbers"),
        (3, "function"),
    ],
}
TELLS = {"17.1": "0.336", "17.3": "387980"}
