"""The checks of chapter 12 accept right answers, however written, and know the common mistakes.

And the table of the chapter links tests that exist.
"""

import re
from bisect import bisect_left, bisect_right
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import mpmath
import numpy as np
import sympy as sp
from answers import (
    test_common_mistakes_get_their_hint,  # noqa: F401
    test_every_exercise_has_answers_to_test,  # noqa: F401
    test_no_hint_tells_the_answer,  # noqa: F401
    test_right_answers_are_accepted,  # noqa: F401
)
from scipy.stats import beta, norm

from rslib import certificates, confidence
from rslib.exercises import EXERCISES, check

check("12.1")
CHAPTER = sorted(name for name in EXERCISES if name.startswith("12."))
ROOT = Path(__file__).resolve().parents[2]
TOP = 2**63


# --- 12.3: from a uniform integer to the noise


@lru_cache
def thresholds(ratio, shift=0.5):
    """T_k for k from -reach on, where T_k is 0 at first and 2^63 at the end."""
    reach = int(12 * ratio)
    with mpmath.workdps(40):
        return reach, [
            int(mpmath.nint(TOP * mpmath.ncdf((k + mpmath.mpf(shift)) / ratio)))
            for k in range(-reach, reach + 1)
        ]


def draw_bisect(u, ratio):
    reach, table = thresholds(ratio)
    return bisect_right(table, u) - reach


def draw_loop(u, ratio):
    k = -int(12 * ratio)
    with mpmath.workdps(40):
        while u >= int(mpmath.nint(TOP * mpmath.ncdf((k + 0.5) / mpmath.mpf(ratio)))):
            k += 1
    return np.int64(k)


def draw_count(u, ratio):
    """Count the thresholds that are not above u."""
    reach, table = thresholds(ratio)
    return sp.Integer(sum(threshold <= u for threshold in table) - reach)


def draw_mirrored(u, ratio):
    """The upper tail by erfc, the lower by symmetry: T_(-k-1) = 2^63 - T_k."""
    with mpmath.workdps(30):
        k = 0
        if u >= TOP // 2:
            while True:
                x = (mpmath.mpf(k) + mpmath.mpf(1) / 2) / ratio
                if TOP - u > int(mpmath.nint(TOP * mpmath.erfc(x / mpmath.sqrt(2)) / 2)):
                    return k
                k += 1
        while True:
            x = (mpmath.mpf(k) + mpmath.mpf(1) / 2) / ratio
            if u >= int(mpmath.nint(TOP * mpmath.erfc(x / mpmath.sqrt(2)) / 2)):
                return -k
            k += 1


def draw_too_low(u, ratio):
    reach, table = thresholds(ratio)
    return bisect_left(table, u) - reach  # u <= T_k


def draw_floor(u, ratio):
    reach, table = thresholds(ratio, shift=1)
    return bisect_right(table, u) - reach


def draw_no_half(u, ratio):
    reach, table = thresholds(ratio, shift=0)
    return bisect_right(table, u) - reach


def draw_in_floats(u, ratio):
    z = norm.ppf(min(max(u, 1) / TOP, 1 - 2**-53))
    return int(np.floor(ratio * z + 0.5))


# --- 12.4: half precision


def in_halves_whole(points):
    scaled = points.astype(np.float64) * 2**11
    return np.where(np.all(scaled == np.round(scaled), axis=1), 0, 1)


def in_halves_modulo(points):
    return np.any(np.mod(points.astype(float), 2.0**-11) != 0, axis=1).astype(int)


def in_halves_two_values(points):
    """Two coordinates are enough: 0.53 squared is below one half."""
    residues = np.modf(points[:, :2].astype(np.float32) * 2048)[0]
    return [int(fine) for fine in np.abs(residues).max(axis=1) > 0]


def in_halves_bits(points):
    """By the bits: a size below 1/2 whose last digits are not all zero."""
    exponents = np.frexp(points.astype(float))[1]  # |v| in [2^(e-1), 2^e)
    bits = np.ascontiguousarray(points).view(np.uint16).astype(int)
    dropped = np.clip(-exponents, 0, 10)
    fine = (bits & ((1 << dropped) - 1)) != 0
    return fine.any(axis=1).astype(np.int8)


def bright(points):
    return (points.mean(axis=1) < 0.5).astype(int)


def bits_of_float32(points):
    scaled = points.astype(np.float64) * 2**24
    return np.where(np.all(scaled == np.round(scaled), axis=1), 0, 1)


def one_bit_too_few(points):
    scaled = points.astype(np.float64) * 2**10
    return np.where(np.all(scaled == np.round(scaled), axis=1), 0, 1)


def one_coordinate(points):
    """0.53 of the votes at the origin are still for class 0."""
    return (points[:, 0].astype(float) * 2048 % 1 != 0).astype(int)


RIGHT = {
    "12.1": [
        0.5 - np.sqrt(3072) / 510,
        0.3913,
        Decimal("0.391"),
        sp.Rational(1, 2) - sp.sqrt(3072) / 510,
        Fraction(3913, 10000),
    ],
    "12.2": [norm.ppf(0.5625), 0.1573, -norm.ppf(0.4375), sp.sqrt(2) * sp.erfinv(0.125)],
    "12.3": [draw_bisect, draw_loop, draw_count, draw_mirrored],
    "12.4": [in_halves_whole, in_halves_modulo, in_halves_two_values, in_halves_bits],
    "12.5": [1.005 / 1.01, 0.995, Fraction(1005, 1010), 1 - 0.005 / 1.01],
    "12.6": [
        certificates.certified_radius(confidence.lower_bound(99_990, 100_000, 0.001), 1.0),
        norm.ppf(beta.ppf(0.001, 99_990, 11)),
        3.49,
        Decimal("3.4902"),
    ],
}
# Each wrong answer with a word of the hint that it must get.
WRONG = {
    "12.1": [
        (np.sqrt(3072) / 510, "left"),
        (0.5 - np.sqrt(3072) / 255, "nearest"),
        (0.5 - 1 / 510, "one coordinate"),
        (0.5 - 32 / 510, "colour"),
        (0.5 - 3072 / 510, "add up"),
        (0.5, "further away"),
        (0.4, "how far"),
    ],
    "12.2": [
        (norm.ppf(0.45), "honest"),
        (0, "honest"),
        (norm.ppf(0.65), "new draws"),
        (0.5625, "distance"),
        ((norm.ppf(0.5625) - norm.ppf(0.35)) / 2, "one-sided"),
        (0.1, "kept"),
    ],
    "12.3": [
        (draw_too_low, "u < T_k"),
        (draw_floor, "1/2"),
        (draw_no_half, "1/2"),
        (lambda u, ratio: -draw_bisect(u, ratio), "sign"),
        (draw_in_floats, "float64"),
        (lambda u, ratio: round(norm.ppf(u / TOP) * ratio), "raised OverflowError"),
        (lambda u, ratio: 0, "wrong for"),
        (lambda u, ratio: 0.5, "whole number"),
    ],
    "12.4": [
        (bright, "does not reach"),
        (bits_of_float32, "at the origin"),
        (one_bit_too_few, "does not reach"),
        (one_coordinate, "at the origin"),
        (lambda points: np.ones(len(points)), "not certified"),
        (lambda points: np.zeros(len(points)), "at the origin"),
        (lambda points: 0, "one class a point"),
        (lambda points: points[:, 0], "0 and 1"),
    ],
    "12.5": [
        (0.9995, "neighbour"),
        (0.99, "half a unit"),
        (1.0, "not safe"),
        (0.997, "not safe"),
        (0.9, "not the largest"),
    ],
    "12.6": [
        (norm.ppf(beta.ppf(0.001, 100_000, 1)), "trusts"),
        (norm.ppf(beta.ppf(0.001, 99_980, 21)), "by 10"),
        (norm.ppf(0.9999), "frequency"),
        (norm.ppf(beta.ppf(0.0005, 99_990, 11)), "all of alpha"),
        (3.0, "at least"),
    ],
}

# More answers, drawn from the text of the exercises alone.


def any_hint(*answers):
    """Wrong answers that no hint was written for."""
    return [(answer, "Hint: ") for answer in answers]


def draw_linear(u, ratio):
    reach, table = thresholds(ratio)
    return next((k for k, t in enumerate(table) if u < t), len(table)) - reach


def draw_in_60_digits(u, ratio):
    with mpmath.workdps(60):
        k = int(mpmath.floor(-12 * ratio))
        while mpmath.mpf(u) >= mpmath.nint(
            mpmath.mpf(2) ** 63 * mpmath.erfc(-(k + mpmath.mpf("0.5")) / ratio / mpmath.sqrt(2)) / 2
        ):
            k += 1
    return mpmath.mpf(k)


def draw_from_the_middle(u, ratio):
    reach, table = thresholds(ratio)
    low, high = 0, len(table)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if u < table[middle] else (middle + 1, high)
    return low - reach


def draw_numpy(u, ratio):
    reach, table = thresholds(ratio)
    return np.searchsorted(np.array(table, dtype=object), u, side="right") - reach


def short_range(u, ratio):
    """Right while K lies within 20 of 0."""
    return int(np.clip(draw_bisect(u, ratio), -20, 20))


def only_upper(u, ratio):
    return max(0, draw_bisect(u, ratio))


def threshold_floor(u, ratio):
    """T_k rounded down, not to the nearest integer."""
    with mpmath.workdps(40):
        k = -int(12 * ratio)
        while u >= int(TOP * mpmath.ncdf((k + 0.5) / mpmath.mpf(ratio))):
            k += 1
    return k


def in_long_double(u, ratio):
    return int(np.floor(ratio * norm.ppf(float(np.longdouble(u + 0.5) / TOP)) + 0.5))


def ratio_ignored(u, ratio):
    return draw_bisect(u, 1)


def ratio_as_whole_number(u, ratio):
    return draw_bisect(u, int(ratio))


def in_halves_remainder(points):
    fine = np.fmod(points.astype(np.float64), 1 / 2048)
    return (np.abs(fine).sum(axis=1) > 0).astype(int)


def in_halves_as_integers(points):
    scaled = points.astype(np.float32) * 2048
    return 1 - (scaled == np.trunc(scaled)).all(axis=1)


def in_halves_round_trip(points):
    again = (points.astype(np.float32) + 4096) - 4096  # keeps multiples of 2^-11
    return np.any(again != points, axis=1).astype(np.int64)


def by_the_batch(points):
    """All answers depend on all points."""
    scaled = points.astype(float) * 2048
    return np.full(len(points), int(np.any(scaled != np.round(scaled))))


class ByTurns:
    """Class 0 at the first call, class 1 at the second."""

    def __init__(self):
        self.calls = 0

    def __call__(self, points):
        self.calls += 1
        return np.full(len(points), 1 - self.calls % 2)


def by_chance(points):
    return np.random.default_rng(len(points)).integers(0, 2, len(points))


def near_one(points):
    return (np.abs(points.astype(float) - 1).max(axis=1) > 0.5).astype(int)


def length(points):
    return (np.linalg.norm(points.astype(float), axis=1) < 1).astype(int)


def turned_round(points):
    return 1 - in_halves_whole(points)


DRAWN_RIGHT = {
    "12.1": [
        0.39132,
        0.3912,
        0.5 - 0.1087,
        0.5 - 55.4256 / 510,
        np.float32(0.3913),
        np.float64(0.391),
    ],
    "12.2": [
        0.15731,
        norm.ppf(9 / 16),
        Decimal("0.1573"),
        np.float32(0.15731),
        Fraction(1573, 10_000),
        norm.isf(0.4375),
    ],
    "12.3": [
        draw_linear,
        draw_in_60_digits,
        draw_from_the_middle,
        draw_numpy,
        lambda u, ratio: Fraction(draw_bisect(u, ratio)),
        lambda u, ratio: float(draw_bisect(u, ratio)),
    ],
    "12.4": [
        in_halves_as_integers,
        in_halves_round_trip,
        in_halves_remainder,
        lambda points: in_halves_whole(points).astype(float),
        lambda points: in_halves_whole(points).tolist(),
        lambda points: in_halves_whole(points) > 0,
    ],
    "12.5": [
        0.9950,
        0.99504,
        Decimal("0.995"),
        np.float64(0.9950495),
        sp.Rational(201, 202),
        np.nextafter(1.005 / 1.01, 0),
    ],
    "12.6": [
        3.490,
        3.4902,
        Fraction(349, 100),
        np.float32(3.4902),
        norm.isf(beta.isf(0.001, 11, 99_990)),
        3.4897,
    ],
}
DRAWN_WRONG = {
    "12.1": [
        (0.392, "above"),
        (0.3914, "above"),
        *any_hint(
            0.1087,
            0.5 - np.sqrt(3072) / 256,
            0.5 - 3072 / 255,
            0.498,
            0.5 - np.sqrt(1024) / 510,
            0.6087,
            0.25,
            0.3,
            0.5 - 2 * np.sqrt(3072) / 255,
            0.5 * (1 - 0.1087),
            -0.3913,
        ),
    ],
    "12.2": any_hint(
        norm.ppf(0.55),
        norm.ppf(0.45 / 0.55),
        norm.ppf(0.35 / 0.8),
        norm.ppf(0.8),
        norm.ppf(0.45) - norm.ppf(0.35),
        (norm.ppf(0.5625) - norm.ppf(0.4375)),
        0.45,
        0.36,
        0.16,
        0.2,
        1.0,
        -0.1573,
    ),
    "12.3": any_hint(
        short_range,
        only_upper,
        threshold_floor,
        in_long_double,
        ratio_ignored,
        ratio_as_whole_number,
        lambda u, ratio: draw_bisect(u, ratio) + 1,
        lambda u, ratio: draw_bisect(u, 1 / ratio),
        lambda u, ratio: abs(draw_bisect(u, ratio)),
        lambda u, ratio: u,
        lambda u, ratio: round(ratio * (u / TOP - 0.5)),
    ),
    "12.4": [
        (by_the_batch, "one point"),
        (ByTurns(), "one point"),
        (by_chance, "one point"),
        *any_hint(
            near_one,
            length,
            turned_round,
            lambda points: (points[:, 0] < 0.5).astype(int),
            lambda points: np.zeros(len(points), int),
            lambda points: np.ones(len(points), int),
            lambda points: in_halves_whole(points)[:, None],
            lambda points: in_halves_whole(points)[:-1],
            lambda points: in_halves_whole(points.astype(float) / 4),
        ),
    ],
    "12.5": [
        (0.99505, "unsafe"),
        (0.9951, "unsafe"),
        *any_hint(
            0.9949, 0.994, 0.99, 0.9, 0.999, 0.9995, 0.9975, 0.996, 1.005, 1.0, 1.01 / 1.005, 0.005
        ),
    ],
    "12.6": [
        (3.491, "above"),
        (3.4903, "above"),
        (3.493, "above"),
        *any_hint(
            norm.ppf(beta.ppf(0.001, 99989, 12)),
            norm.ppf(beta.ppf(0.001, 99991, 10)),
            norm.ppf(beta.ppf(0.001, 99990, 1)),
            3.81,
            3.719,
            norm.ppf(0.99976),
            3.367,
            0.99976,
            3.5,
            3.4,
            1.745,
        ),
    ],
}
for _name in RIGHT:
    RIGHT[_name] += DRAWN_RIGHT[_name]
    WRONG[_name] += DRAWN_WRONG[_name]

TELLS = {"12.1": "0.39", "12.2": "0.15", "12.4": "11", "12.5": "1.01", "12.6": "3.4"}


# --- the table of the chapter


def test_every_linked_test_exists():
    text = (ROOT / "book/12_sound.ipynb").read_text(encoding="utf-8")
    links = re.findall(
        r"\[(test_\w+)\]\(https://github\.com/randomized-smoothing/course/blob/main/(tests/[\w/]+\.py)\)",
        text,
    )
    assert len(links) >= 20
    assert len(links) == text.count("/blob/main/tests/")
    for name, file in links:
        assert f"\ndef {name}(" in (ROOT / file).read_text(encoding="utf-8"), (name, file)
