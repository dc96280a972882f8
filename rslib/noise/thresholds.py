r"""How an integer K is made of uniform bits, and how far its law can be from the ideal one.

Notation as in :mod:`rslib.noise`: :math:`K = \lfloor \sigma z / \Delta + \tfrac12 \rfloor` with
z standard normal.

**The law of K.** Put :math:`s = \sigma/\Delta`. Then
:math:`P(K \le k) = P(\sigma z/\Delta + \tfrac12 < k + 1) = \Phi(x_k)` with
:math:`x_k = (k + \tfrac12)/s`. Let :math:`T_k` be :math:`2^{63} \Phi(x_k)` rounded to an integer,
let U be uniform on :math:`\{0, \dots, 2^{63} - 1\}`, and let K be the smallest k with
:math:`U < T_k`. Then :math:`P(K \le k) = P(U < T_k) = 2^{-63} T_k`, exactly.

**Lazy bits.** Write :math:`U = 2^{47} G + L` with G of 16 bits and L of 47. G and L are independent
and uniform, so it is the same U whether L is drawn at once or later, as long as its being drawn
depends on G alone. All U with a given G fill the interval
:math:`[2^{47} G, 2^{47}(G + 1) - 1]`. Where no threshold cuts it, K is the same for every L: a
table of 65,536 entries holds it, and L need not be drawn. Where one does, L is drawn and K is
searched among the thresholds. K is the same function of U in both cases, so its law is the one
above. G comes from one generator, four values from each 64-bit word, and L from another, one word a
value, both in row-major order.

**Total variation.** Let :math:`e_k = 2^{-63} T_k - \Phi(x_k)` be the error of the distribution
function. The thresholds are computed to within :math:`2^{-30}` of a unit before they are rounded,
so :math:`|e_k| \le h = 2^{-64}(1 + 2^{-29})` wherever :math:`T_k` is neither 0 nor
:math:`2^{63}`. Let R be the first :math:`k \ge 0` with :math:`T_k = 2^{63}`; then K takes the
:math:`N = 2R + 1` values :math:`-R, \dots, R`, and these have the N + 1 boundaries
:math:`x_{-R-1}, \dots, x_R`. At the outer two :math:`|e_k| = \Phi(-x_R) \le h` as well, because the
rounding gave :math:`2^{63}`. The distance from the law of K to the ideal one is

.. math::

   \tfrac12 \sum_{k \in \mathbb{Z}} |e_k - e_{k-1}|
   \le \tfrac12 \Bigl( 2 \sum_{k=-R}^{R-1} |e_k| + |e_{-R-1}| + |e_R| \Bigr)
   + \tfrac12 \bigl( |e_{-R-1}| + |e_R| \bigr) \le (N + 1) h .

The first bracket is the N cells, the second the two ideal tails beyond them, which the sampler
never reaches: there :math:`e_k` is monotone and falls to 0, so that its steps add up to
:math:`|e_R|` and :math:`|e_{-R-1}|`. A noise vector has d independent coordinates, and the
total variation of a product is at most the sum: :math:`d (N + 1) h`. This is what
:meth:`GridGaussian.total_variation` returns, rounded up; N is close to 18.2 s. It takes the bit
generator's words as uniform and independent, as every sampler does.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

import numpy as np
from flint import arb, ctx, fmpq

BITS = 63  # of the uniform U; thresholds then fit in int64
GUIDE_BITS = 16  # of U that index the guide table; a 64-bit word holds four
LOW_BITS = BITS - GUIDE_BITS

MIN_RATIO = Fraction(1, 20)  # here Phi(-x_0) = Phi(-10) < 2^-64: every draw would be 0
MAX_RATIO = Fraction(100_000)  # 1.8 million thresholds; |K| < 2^20, far below float32's 2^24

# Bits of the arithmetic beyond those of the integer that is rounded: as many as the bound on the
# total variation allows, and some for the function itself.
_GUARD_BITS = 42  # of the interval arithmetic, beyond those of the integer to be rounded to
_AT_ONCE = 4096  # integers computed with as many bits as the first of them takes


def _upper_tail_integers(ratio: Fraction) -> list[int]:
    r"""Return 2^63 Q((k + 1/2)/ratio), rounded, for k = 0, 1, ... up to the first that is 0.

    Q = 1 - Phi, in interval arithmetic (Arb), which encloses its own error: an integer is taken
    only where all of the interval rounds to it, and more bits are asked for where it does not. So
    it is the nearest one on every machine, within the :math:`2^{-30}` of a unit that the bound on
    the total variation allows.
    """
    tails: list[int] = []
    scale, half = arb(2**62), arb(0.5)  # erfc(x / sqrt(2)) is 2 Q(x)
    more, before = 0, ctx.prec
    try:
        while not tails or tails[-1]:
            ctx.prec = (tails[-1].bit_length() if tails else BITS) + _GUARD_BITS + more
            step = arb(fmpq(ratio.denominator, 2 * ratio.numerator)) / arb(2).sqrt()
            first = len(tails)
            for odd in range(2 * first + 1, 2 * (first + _AT_ONCE), 2):
                tail = (scale * (step * odd).erfc() + half).floor().unique_fmpz()
                if tail is None:
                    break
                tails.append(int(tail))
                if tail == 0:
                    break
            more = 0 if len(tails) > first else more + 64
    finally:
        ctx.prec = before
    return tails


@lru_cache(maxsize=32)
def thresholds_of(ratio: Fraction) -> np.ndarray:
    """Return T_k for k = -R, ..., R - 1: int64, ascending, strictly between 0 and 2^63.

    K = searchsorted(T, U, side="right") - R. The lower half is the mirror image of the upper:
    T_{-k-1} = 2^63 - T_k holds exactly.
    """
    tails = np.array(_upper_tail_integers(ratio)[:-1], dtype=np.int64)
    thresholds = np.concatenate([tails[::-1], (np.int64(2**62) - tails) + np.int64(2**62)])
    thresholds.flags.writeable = False
    return thresholds


@lru_cache(maxsize=32)
def guide_table(ratio: Fraction) -> np.ndarray:
    """Return K for each value of the top 16 bits; the type's lowest value where it is not settled.

    In the narrowest type of integers that holds it: the table is to stay in the processor's cache.
    """
    thresholds = thresholds_of(ratio)
    first = np.arange(2**GUIDE_BITS, dtype=np.int64) << LOW_BITS
    lowest = np.searchsorted(thresholds, first, side="right")
    highest = np.searchsorted(thresholds, first + (2**LOW_BITS - 1), side="right")
    reach = len(thresholds) // 2
    kind = next(kind for kind in (np.int8, np.int16, np.int32) if reach <= np.iinfo(kind).max)
    guide = np.where(lowest == highest, lowest - reach, np.iinfo(kind).min).astype(kind)
    guide.flags.writeable = False
    return guide
