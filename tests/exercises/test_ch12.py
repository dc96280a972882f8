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
    "12.5": [1.005 / 1.01, 0.995, 0.99505, Fraction(1005, 1010), 1 - 0.005 / 1.01],
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
