r"""Two classifiers on the same images: what the images on which they differ can show.

Of m images, let b be right under A alone and c under B alone. Everything else is equal under both
and says nothing about the difference. Two facts carry all of this module. The number of images
that differ, N = b + c, is binomial with some probability s, and *given* N, b is binomial with some
probability q; the difference of the two accuracies is

.. math:: d = s\,(2q - 1) .

So whether there is a difference is a question about a coin (McNemar): is q = 1/2? The band of one
curve, in which each image counts anew, has nothing to do with it.

The images are taken to be independent draws from one population. Nothing here says what another
training run of A or B would give: the two networks are fixed.

References
----------
mcnemar1947, clopper1934, holm1979. The chapter on reading certificates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import special, stats

from rslib import _checks, confidence

__all__ = [
    "difference_interval",
    "holm",
    "images_needed",
    "mcnemar_pvalue",
    "mean_interval",
    "power",
]

# The share of the error of an interval for d that bounds s; the rest bounds q, which decides
# whether the interval contains 0.
_SHARE_OF_S = 0.2
# Numbers of differing images that are less likely than this together are left out of a power.
_TAIL = 1e-9


def _counts(only_a: int, only_b: int) -> tuple[int, int]:
    return _checks.whole("only_a", only_a, 0), _checks.whole("only_b", only_b, 0)


def _between(name: str, value: float, low: float, high: float) -> float:
    if not low < value < high:
        raise ValueError(f"{name} must lie between {low:g} and {high:g}, got {value!r}")
    return float(value)


def mcnemar_pvalue(only_a: int, only_b: int) -> float:
    """Exact two-sided p-value of "A and B are right equally often", rounded up.

    Parameters
    ----------
    only_a, only_b : int
        Images that are right under A alone, and under B alone.

    Returns
    -------
    float
        That of a fair coin that fell ``only_a`` times one way and ``only_b`` times the other; 1
        where the two agree everywhere. At most p with probability at most p if the hypothesis is
        true, for any number of images.

    References
    ----------
    mcnemar1947, in the exact form.

    Examples
    --------
    >>> round(float(mcnemar_pvalue(15, 4)), 4)
    0.0192
    """
    a, b = _counts(only_a, only_b)
    return float(confidence.hung_fithian_pvalue(max(a, b), min(a, b)))


def holm(pvalues: Sequence[float]) -> np.ndarray:
    """p-values that hold together (Holm): at most p anywhere with probability at most p.

    Parameters
    ----------
    pvalues : sequence of float
        One for each question. They may depend on each other in any way.

    Returns
    -------
    ndarray of float64
        The smallest times the number of questions, the next times one less, and so on, none below
        the one before, none above 1.

    References
    ----------
    holm1979.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(pvalues, dtype=np.float64)
    if values.ndim != 1 or np.any(~((values >= 0) & (values <= 1))):
        raise ValueError(f"pvalues must be a list of numbers in [0, 1], got {pvalues!r}")
    order = np.argsort(values, kind="stable")
    left = np.arange(len(values), 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * left), 1.0)
    return adjusted


def difference_interval(
    only_a: int, only_b: int, images: int, confidence_level: float = 0.95
) -> tuple[float, float]:
    r"""An interval for the difference of two accuracies, from paired counts.

    Parameters
    ----------
    only_a, only_b : int
        Images that are right under A alone, and under B alone.
    images : int
        All of them, m.
    confidence_level : float
        Probability, at least, with which the interval holds the difference A - B in the population
        that the images are drawn from, whatever the truth and for any m.

    Returns
    -------
    low, high : float
        Within [-1, 1].

    Notes
    -----
    Clopper-Pearson bounds for s (with a fifth of the error) and, given the number of images that
    differ, for q; the interval is the range of s (2q - 1) over both. It contains 0 if and only if
    the exact test does not reject at four fifths of the error.

    Examples
    --------
    >>> low, high = difference_interval(30, 12, 500)
    >>> round(low, 4), round(high, 4)
    (0.0052, 0.0842)
    """
    (a, b), m = _counts(only_a, only_b), _checks.whole("images", images)
    if a + b > m:
        raise ValueError(f"images must be at least only_a + only_b = {a + b}, got {m}")
    error = 1 - _between("confidence_level", confidence_level, 0, 1)
    of_s, of_q = _SHARE_OF_S * error / 2, (1 - _SHARE_OF_S) * error / 2
    s_low = float(confidence.lower_bound(a + b, m, of_s))
    s_high = float(confidence.upper_bound(a + b, m, of_s))
    if a + b == 0:
        return -s_high, s_high
    lean_low = 2 * float(confidence.lower_bound(a, a + b, of_q)) - 1
    lean_high = 2 * float(confidence.upper_bound(a, a + b, of_q)) - 1
    low = lean_low * (s_low if lean_low > 0 else s_high)
    high = lean_high * (s_high if lean_high > 0 else s_low)
    return low, high


def mean_interval(
    differences: Sequence[float], confidence_level: float = 0.95
) -> tuple[float, float, float]:
    """Mean of paired differences, with the interval of Student's t.

    Parameters
    ----------
    differences : sequence of float
        One for each image; at least two.
    confidence_level : float

    Returns
    -------
    mean, low, high : float
        The interval is approximate: exact for normal differences, and close to its level for
        hundreds of bounded ones (the tests measure it).

    Examples
    --------
    >>> mean, low, high = mean_interval([0.0, 0.1, 0.2, 0.1])
    >>> round(mean, 3), round(low, 3), round(high, 3)
    (0.1, -0.03, 0.23)
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(f"differences must be at least two numbers, got {len(values)}")
    _between("confidence_level", confidence_level, 0, 1)
    mean, deviation = float(values.mean()), float(values.std(ddof=1))
    factor = float(special.stdtrit(len(values) - 1, (1 + confidence_level) / 2))
    width = factor * deviation / math.sqrt(len(values))
    return mean, mean - width, mean + width


def power(images: int, difference: float, differing: float, level: float = 0.05) -> float:
    """Probability that the exact paired test sees a difference.

    Parameters
    ----------
    images : int
        Number of images, m.
    difference : float
        The true difference of the two accuracies, as a share: 0.02 for two points.
    differing : float
        The share s of images that are right under one of the two alone; at least the difference.
    level : float
        The test rejects where its p-value is at most this.

    Returns
    -------
    float
        To within 1e-9.

    Examples
    --------
    >>> round(power(500, 0.02, 0.1), 3), round(power(10_000, 0.02, 0.1), 3)
    (0.25, 1.0)
    """
    m = _checks.whole("images", images)
    _between("level", level, 0, 1)
    d = abs(_between("difference", difference, -1, 1))
    if not d <= differing <= 1 or differing <= 0:
        raise ValueError(
            f"differing must be positive, at least the difference {d:g} and at most 1, "
            f"got {differing!r}"
        )
    low, high = stats.binom.ppf([_TAIL / 2, 1 - _TAIL / 2], m, differing)
    total = np.arange(int(low), int(high) + 1)
    q = (1 + d / differing) / 2
    # The least number of one side at which the test rejects: P(Bin(N, 1/2) >= k) <= level / 2.
    critical = stats.binom.isf(level / 2, total, 0.5) + 1
    rejects = stats.binom.sf(critical - 1, total, q) + stats.binom.cdf(total - critical, total, q)
    return float(np.sum(stats.binom.pmf(total, m, differing) * rejects))


def images_needed(
    difference: float, differing: float, level: float = 0.05, power_wanted: float = 0.8
) -> int:
    """The least number of images with which the exact paired test sees a difference often enough.

    Parameters
    ----------
    difference, differing, level
        As :func:`power`; the difference is not 0.
    power_wanted : float
        Probability with which the test is to reject.

    Returns
    -------
    int
        By bisection: this many are enough and one fewer are not. (The power of an exact test goes
        up and down by a hair as m grows, so a few fewer could be enough as well.)

    Examples
    --------
    >>> images_needed(0.02, 0.1)
    2043
    """
    if difference == 0:
        raise ValueError("difference must not be 0: no number of images shows it")
    _between("power_wanted", power_wanted, 0, 1)
    high = 8
    while power(high, difference, differing, level) < power_wanted:
        high *= 2
        if high > 10**8:
            raise ValueError(f"difference must be larger: {difference!r} takes over 10^8 images")
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        enough = power(middle, difference, differing, level) >= power_wanted
        low, high = (low, middle) if enough else (middle, high)
    return high
