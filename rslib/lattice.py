r"""The radii that n samples can give, and what a list of printed radii says about n and alpha.

A certificate in the one-sided form has a radius of :math:`\sigma\,\Phi^{-1}(L(k))`, where L(k) is
the Clopper-Pearson bound for k of n votes at failure probability alpha. So only n + 1 radii exist,
one for each number f = n - k of votes against: a **lattice**, coarse at its top (one stray vote
among 100,000 costs a tenth of sigma) and fine below. Where its steps are wider than the last
printed digit, a printed radius tells whether it can come from these n and alpha. A single one that
cannot excludes them, however the votes fell.

Everything here reads radii as they were printed: a :class:`Printing` says with how many digits,
and radii rounded to nearest and rounded down are both tried.

References
----------
clopper1934; cohen2019, section 3.2.2. The chapter on reading certificates.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from itertools import product

import numpy as np

from rslib import confidence
from rslib.certificates import certified_radius

__all__ = [
    "CANDIDATES",
    "Fingerprint",
    "Fit",
    "Printing",
    "fingerprint",
    "fit",
    "printing",
    "radii_of",
    "stray_votes",
]

#: The (n, alpha) that a fingerprint is sought among, unless others are given.
CANDIDATES = tuple(
    product(
        (1_000, 10_000, 100_000, 1_000_000),
        ("0.05", "0.01", "0.005", "0.002", "0.001", "0.0005", "0.0001"),
    )
)

# As deep as a fingerprint looks: so many votes against.
_DEPTH = 2000
# Two programs' radii for the same counts differ by less than this share.
_SLACK = 1e-8
# A lattice that no radius contradicts is named only if values of another coarse lattice would be
# this unlikely to fit it, and radii of a fine one a thousand times less likely than its own.
_CHANCE = 0.05
_ODDS = math.log(1000)
# A lattice that some radii contradict is named if it is at most this share, and all other
# candidates are contradicted by so many more.
_STRAY_SHARE = 0.01
_STRAY_LEAD = 3


@lru_cache(maxsize=128)
def radii_of(n: int, alpha: str | float, depth: int | None = None) -> np.ndarray:
    """The radii that n samples can give, in units of sigma, from unanimous votes downwards.

    Parameters
    ----------
    n : int
        Number of samples, from 1 to 10^9.
    alpha : str or float
        Failure probability of a certificate.
    depth : int, optional
        Votes against up to which to go; default all that still certify something.

    Returns
    -------
    ndarray of float64, not to be written to
        Entry f is for f votes against. All are positive, and they fall.

    Examples
    --------
    >>> radii_of(100_000, "0.001", 3).round(4).tolist()
    [3.8115, 3.7391, 3.6896, 3.651]
    """
    last = n // 2 if depth is None else min(depth, n // 2)
    votes = n - np.arange(last + 1)
    bounds = np.atleast_1d(confidence.lower_bound(votes, n, float(alpha)))
    radii = np.atleast_1d(certified_radius(bounds, 1.0))
    radii = radii[radii > 0]
    radii.setflags(write=False)
    return radii


@dataclass(frozen=True)
class Printing:
    """How radii were printed: with so many significant digits, or so many decimals.

    Attributes
    ----------
    digits, decimals : int or None
        Exactly one is given.
    """

    digits: int | None = None
    decimals: int | None = None

    def unit(self, value: float) -> float:
        """The step of the last printed digit at a value."""
        if self.decimals is not None:
            return 10.0**-self.decimals
        assert self.digits is not None  # exactly one is given
        return 10.0 ** (math.floor(math.log10(value)) - self.digits + 1)

    def of(self, value: float, down: bool) -> Decimal:
        """The value as printed, rounded down or to nearest."""
        exact = Decimal(value)
        if self.digits is not None:
            place = exact.adjusted() - self.digits + 1
        else:
            assert self.decimals is not None  # exactly one is given
            place = -self.decimals
        rounding = ROUND_DOWN if down else ROUND_HALF_EVEN
        return exact.quantize(Decimal(1).scaleb(place), rounding)


def printing(radii: Iterable[Decimal]) -> Printing:
    """How a file's radii were printed, from the digits they show.

    Equal numbers of decimals everywhere, more than three, are decimals; else the most significant
    digits that any radius shows (a program drops the zeros at the end).

    >>> printing([Decimal("0.951234"), Decimal("1.250000")])
    Printing(digits=None, decimals=6)
    >>> printing([Decimal("0.165"), Decimal("1.9"), Decimal("2.0")])
    Printing(digits=3, decimals=None)
    """
    shown = [radius.as_tuple() for radius in radii if radius > 0]
    if not shown:
        return Printing(digits=3)
    places = {-int(one.exponent) for one in shown}
    if len(places) == 1 and 3 < min(places) < 12:
        return Printing(decimals=places.pop())
    digits = max(len("".join(map(str, one.digits)).strip("0")) for one in shown)
    return Printing(digits=min(max(digits, 2), 15))


@dataclass(frozen=True)
class Fit:
    """How a file's largest radii fit the lattice of one (n, alpha).

    Attributes
    ----------
    n, alpha
        alpha as text.
    fits, of : int
        Of the radii that can tell (they lie where the lattice is coarser than the printing, or
        above its top) so many are on the lattice.
    distinct : int
        Different printed values among those that fit.
    above : int
        Radii, among those that fit, that are printed above the exact one.
    beyond : int
        Radii above the largest possible one by more than rounding explains.
    chance : float
        Probability that the printed values that fit would all have done so, had they come from
        another coarse lattice: the product of the shares of values that this lattice reaches
        there, each printed value counted once. 1 where nothing fits.
    log_odds : float
        The same in logarithms with every radius counted: how likely radii would be to fit that
        come, one by one, from a lattice too fine to be seen.
    rounding : {"nearest", "down"}
        The way of rounding under which most radii fit.
    """

    n: int
    alpha: str
    fits: int
    of: int
    distinct: int
    above: int
    beyond: int
    chance: float
    log_odds: float
    rounding: str

    def __str__(self) -> str:
        return f"n = {self.n}, alpha = {self.alpha}"


def fit(
    radii: Iterable[Decimal],
    sigma: float,
    n: int,
    alpha: str,
    style: Printing | None = None,
) -> Fit:
    """How printed radii fit the lattice of n and alpha.

    Parameters
    ----------
    radii : iterable of Decimal
        As printed, in input units; zeros are left aside.
    sigma : float
        Standard deviation of the noise, in input units.
    n, alpha
        Number of samples and failure probability; alpha as text.
    style : Printing, optional
        Default: as :func:`printing` finds it.

    Returns
    -------
    Fit

    Examples
    --------
    >>> top = [Decimal(text) for text in ("1.96", "1.91", "1.91", "1.88", "1.86")]
    >>> found = fit(top, 0.5, 100_000, "0.01")
    >>> found.fits, found.of, fit(top, 0.5, 100_000, "0.001").fits
    (5, 5, 2)
    """
    counted = Counter(radius for radius in radii if radius > 0)
    style = style or printing(counted)
    found = [_fit(counted, float(sigma), int(n), alpha, style, down) for down in (False, True)]
    return max(found, key=lambda one: one.fits)


@dataclass(frozen=True)
class _Lattice:
    """A lattice as it is printed.

    ``exact`` are its radii, falling; ``wide`` says where the step to the next one is wider than the
    printing. ``reached`` maps a printed value to the largest exact one that prints so, and to the
    share of the values around it that the lattice reaches. None above ``ceiling`` is possible.
    """

    exact: np.ndarray
    wide: np.ndarray
    reached: dict[Decimal, tuple[float, float]]
    ceiling: float

    def tells(self, radius: float) -> bool:
        """Whether the lattice is coarse where a radius lies (or ends below it)."""
        above = int(np.searchsorted(-self.exact, -radius, side="right"))  # so many are >= it
        if above == 0:
            return True
        return above < len(self.exact) and bool(self.wide[above - 1])


@lru_cache(maxsize=512)
def _lattice(sigma: float, n: int, alpha: str, style: Printing, down: bool) -> _Lattice:
    exact = sigma * radii_of(n, alpha, _DEPTH)
    if not len(exact):  # so few samples certify nothing at all
        return _Lattice(exact, np.zeros(0, dtype=bool), {}, 0.0)
    steps = exact - np.append(exact[1:], 0.0)
    units = np.array([style.unit(value) for value in exact])
    reached: dict[Decimal, tuple[float, float]] = {}
    for value, step, unit in zip(exact, steps, units, strict=True):
        for shaken in (value, value * (1 + _SLACK), value * (1 - _SLACK)):
            reached.setdefault(style.of(shaken, down), (value, min(1.0, unit / step)))
    ceiling = exact[0] * (1 + _SLACK) + units[0] * (0 if down else 0.5)
    return _Lattice(exact, steps > units, reached, ceiling)


def _fit(counted: Counter, sigma: float, n: int, alpha: str, style: Printing, down: bool) -> Fit:
    made = _lattice(sigma, n, alpha, style, down)
    fits = of = distinct = above = beyond = 0
    chance = log_odds = 0.0
    for radius, count in counted.items():
        if not made.tells(float(radius)):
            continue
        of += count
        beyond += count * bool(float(radius) > made.ceiling)
        if radius in made.reached:
            value, share = made.reached[radius]
            fits, distinct = fits + count, distinct + (share < 1)
            above += count * bool(float(radius) > value * (1 + _SLACK))
            chance += math.log(share)
            log_odds += count * math.log(share)
    rounding = "down" if down else "nearest"
    return Fit(n, alpha, fits, of, distinct, above, beyond, math.exp(chance), log_odds, rounding)


@dataclass(frozen=True)
class Fingerprint:
    """Which (n, alpha) a file's printed radii fit.

    Attributes
    ----------
    found : Fit or None
        The one candidate that is left, where chance is a poor explanation of its fit; else None.
    left : tuple of Fit
        All candidates that no radius contradicts (or hardly any, where all are contradicted).
    """

    found: Fit | None
    left: tuple[Fit, ...]


def fingerprint(
    radii: Iterable[Decimal],
    sigma: float,
    candidates: Sequence[tuple[int, str]] = CANDIDATES,
) -> Fingerprint:
    """Which n and alpha the printed radii of a file fit.

    Parameters
    ----------
    radii : iterable of Decimal
        As printed, in input units.
    sigma : float
        Standard deviation of the noise, in input units.
    candidates : sequence of (n, alpha)
        What to choose among; alpha as text.

    Returns
    -------
    Fingerprint
        A candidate is **excluded** by a single radius near the top of the file that is not on its
        lattice: this is certain, provided the file is what a program with the one-sided bound of
        Clopper and Pearson printed for this sigma. The candidates that are left may include some
        with a lattice so fine where the radii lie that nothing could contradict them. One is
        **named** if its fit is 1,000 times less likely to be luck than that of any other that is
        left, and if the values of an unknown coarse lattice would fit it with probability at most
        0.05 (each printed value counted once: a hundred radii at the top are one piece of
        evidence for alpha, and one value alone never names a candidate). Where all are excluded,
        as by a damaged row, one is named that at most 1% of the radii contradict, if all others
        are contradicted by at least three more.

    Raises
    ------
    ValueError
        If sigma is not positive.

    Examples
    --------
    >>> top = [Decimal(text) for text in ("0.978", "0.955", "0.941", "0.941", "0.92")]
    >>> print(fingerprint(top, 0.25).found)
    n = 100000, alpha = 0.01
    """
    if not sigma > 0:
        raise ValueError(f"sigma must be positive, got {sigma!r}")
    radii = [radius for radius in radii if radius > 0]
    if not radii:
        return Fingerprint(None, ())
    style = printing(radii)
    fitted = [fit(radii, sigma, n, alpha, style) for n, alpha in candidates]
    left = tuple(one for one in fitted if one.fits == one.of)
    best = min(left, key=lambda one: one.log_odds, default=None)
    if best is not None and _named(best, 0, [one for one in left if one is not best]):
        return Fingerprint(best, left)
    best = min(fitted, key=lambda one: (one.of - one.fits or math.inf, one.log_odds))
    strays = best.of - best.fits
    others = [one for one in fitted if one is not best and one.fits == one.of]
    alone = all(
        one.of - one.fits >= strays + _STRAY_LEAD
        for one in fitted
        if one is not best and one.fits < one.of
    )
    if 0 < strays <= _STRAY_SHARE * best.of and alone and _named(best, strays, others):
        return Fingerprint(best, (best,))
    return Fingerprint(None, left)


def _named(best: Fit, strays: int, others: Sequence[Fit]) -> bool:
    """Whether luck is a poor explanation, for this and next to what is not contradicted."""
    odds = best.log_odds + strays * _ODDS
    ahead = all(one.log_odds - odds >= _ODDS for one in others)
    return best.distinct > 1 and best.chance <= _CHANCE and odds <= -_ODDS and ahead


def stray_votes(
    radii: Iterable[Decimal], sigma: float, n: int, alpha: str, style: Printing | None = None
) -> list[tuple[int, int] | None]:
    """How many votes were against, for each printed radius: the fewest and the most.

    Parameters
    ----------
    radii, sigma, n, alpha, style
        As :func:`fit`.

    Returns
    -------
    list of (int, int) or None
        All numbers of votes against whose radius prints so, rounded to nearest or down; None for
        a radius of 0 and for one that no number of votes gives.

    Examples
    --------
    >>> stray_votes([Decimal("1.96"), Decimal("1.5"), Decimal("0.0")], 0.5, 100_000, "0.01")
    [(0, 0), (101, 112), None]
    """
    radii = list(radii)
    style = style or printing(radii)
    exact = float(sigma) * radii_of(int(n), alpha)
    found: list[tuple[int, int] | None] = []
    for radius in radii:
        if radius <= 0:
            found.append(None)
            continue
        unit = style.unit(float(radius))
        low, high = float(radius) - unit / 2, float(radius) + unit
        fewest = int(np.searchsorted(-exact, -high * (1 + _SLACK)))
        most = int(np.searchsorted(-exact, -low * (1 - _SLACK), side="right")) - 1
        found.append((fewest, most) if fewest <= most else None)
    return found
