r"""Gaussian noise for smoothing: exact on a grid (the default), or in floating point by name.

The theorem that a certificate rests on speaks of real Gaussian noise. In float32 the rounding of
``x + noise`` depends on ``x``, and a classifier that looks at the low bits can read the input off
it: its certificates are then false. :class:`GridGaussian` closes this. Let the input lie on a grid,
:math:`x = \Delta m` with integers :math:`m`. The sampler draws the integers

.. math:: K = \lfloor \sigma z / \Delta + \tfrac12 \rfloor, \qquad z \sim N(0, 1),

and the network sees one fixed float32 value for each integer :math:`m + K`. Since rounding to the
grid commutes with adding :math:`m`, this samples the smoothed version of the classifier "round to
the grid, then f", and the theorem applies to it as it stands. :class:`FloatGaussian` is the usual
noise, with the same interface and without that guarantee.

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

**Reproducible blocks.** The noise of an example comes in blocks of a fixed number of rows, each
from generators keyed by (seed, purpose, index, block). It depends on nothing else: not on the batch
size, the order of the examples, the threads, or how the rows are cut into calls. It is identical on
one type of device (float noise but for its last bits); the noise on CUDA differs from that on the
CPU, and may differ between GPU models.

Derived in chapter 12, "Sound certificates".

References
----------
cohen2019, Theorem 1; jin2022 (float noise leaks the input); voracek2023 (smoothing on a grid).
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from functools import lru_cache

import mpmath
import numpy as np
import torch

__all__ = ["FloatGaussian", "GridGaussian", "NoiseStream", "Purpose"]

BITS = 63  # of the uniform U; thresholds then fit in int64
GUIDE_BITS = 16  # of U that index the guide table; a 64-bit word holds four
LOW_BITS = BITS - GUIDE_BITS

MIN_RATIO = Fraction(1, 20)  # here Phi(-x_0) = Phi(-10) < 2^-64: every draw would be 0
MAX_RATIO = Fraction(100_000)  # 1.8 million thresholds; |K| < 2^20, far below float32's 2^24
EXACT = 2**24  # float32 holds every integer up to here
LARGEST_EXPONENT = 30  # of sigma and step: their products with integers stay within float32
OFF_GRID = 1e-3  # in steps; k * (1/255) in float32 is within 2e-5 for pixels

# Part of what fixes the noise of an example: never change it.
BLOCK_VALUES = 2**20
PIECE_VALUES = 2**15  # of a block of float noise on the CPU
# Does not affect the noise. Values worked on at once, so that they stay in the processor's cache.
CHUNK_VALUES = 2**15


class Purpose(IntEnum):
    """What noise is drawn for. Different purposes never share a draw."""

    SELECTION = 0
    ESTIMATION = 1
    PREDICTION = 2
    TRAINING = 3


# --- thresholds ----------------------------------------------------------------------------------

_PRECISION = 128  # fractional bits of the fixed-point arithmetic
_ANCHORS = 16  # Taylor anchors a unit of x
_DEGREE = 14


def _upper_tail_series(anchor: int) -> list[int]:
    r"""Taylor coefficients of Q = 1 - Phi at ``anchor / 16``, in units of 2^-128.

    :math:`Q^{(n)}(a) = (-1)^n He_{n-1}(a) \varphi(a)` for :math:`n \ge 1`.
    """
    with mpmath.workprec(_PRECISION + 64):
        a = mpmath.mpf(anchor) / _ANCHORS
        density = mpmath.exp(-a * a / 2) / mpmath.sqrt(2 * mpmath.pi)
        series = [mpmath.erfc(a / mpmath.sqrt(2)) / 2]
        hermite, following = mpmath.mpf(1), a
        for n in range(1, _DEGREE + 1):
            series.append((-1) ** n * hermite * density / mpmath.factorial(n))
            hermite, following = following, a * following - n * hermite
        return [int(mpmath.nint(mpmath.ldexp(c, _PRECISION))) for c in series]


def _upper_tail_integers(ratio: Fraction) -> list[int]:
    r"""Return 2^63 Q((k + 1/2)/ratio), rounded, for k = 0, 1, ... up to the first that is 0.

    Each comes from the Taylor polynomial of degree 14 at the nearest multiple a of 1/16, in integer
    arithmetic, and so is the same on every machine. With |h| <= 1/32, the remainder is at most
    :math:`\max|Q^{(15)}| h^{15}/15!`, and by Cramér's inequality
    :math:`|He_n(x)| \varphi(x) \le 0.44 \sqrt{n!}`: below :math:`2^{-98}`. Rounding the
    coefficients and the products adds less than :math:`2^{-120}`. Together that is below
    :math:`2^{-34}` units of :math:`2^{-63}`, where the bound on the total variation allows
    :math:`2^{-30}`.
    """
    p, q = ratio.numerator, ratio.denominator  # x_k = (2k + 1) q / (2p)
    half = 1 << (_PRECISION - BITS - 1)
    tails: list[int] = []
    for anchor in itertools.count():
        # Those k whose x_k is nearest to this anchor, all at once in Python's integers.
        stop = -(-(p * (2 * anchor + 1) - q * _ANCHORS) // (2 * q * _ANCHORS))
        if stop <= len(tails):
            continue
        odd = np.arange(2 * len(tails) + 1, 2 * stop, 2).astype(object)
        h = ((odd * (q * _ANCHORS) - 2 * p * anchor) << _PRECISION) // (2 * p * _ANCHORS)
        total = 0
        for coefficient in reversed(_upper_tail_series(anchor)):
            total = ((total * h) >> _PRECISION) + coefficient
        tails.extend((total + half) >> (_PRECISION - BITS))
        if tails[-1] == 0:
            return tails[: tails.index(0) + 1]


@lru_cache(maxsize=32)
def _thresholds(ratio: Fraction) -> np.ndarray:
    """Return T_k for k = -R, ..., R - 1: int64, ascending, strictly between 0 and 2^63.

    K = searchsorted(T, U, side="right") - R. The lower half is the mirror image of the upper:
    T_{-k-1} = 2^63 - T_k holds exactly.
    """
    tails = np.array(_upper_tail_integers(ratio)[:-1], dtype=np.int64)
    thresholds = np.concatenate([tails[::-1], (np.int64(2**62) - tails) + np.int64(2**62)])
    thresholds.flags.writeable = False
    return thresholds


@lru_cache(maxsize=32)
def _guide(ratio: Fraction) -> np.ndarray:
    """Return K for each value of the top 16 bits; the type's lowest value where it is not settled.

    In the narrowest type of integers that holds it: the table is to stay in the processor's cache.
    """
    thresholds = _thresholds(ratio)
    first = np.arange(2**GUIDE_BITS, dtype=np.int64) << LOW_BITS
    lowest = np.searchsorted(thresholds, first, side="right")
    highest = np.searchsorted(thresholds, first + (2**LOW_BITS - 1), side="right")
    reach = len(thresholds) // 2
    kind = next(kind for kind in (np.int8, np.int16, np.int32) if reach <= np.iinfo(kind).max)
    guide = np.where(lowest == highest, lowest - reach, np.iinfo(kind).min).astype(kind)
    guide.flags.writeable = False
    return guide


# --- keys ----------------------------------------------------------------------------------------


def _key(*parts: int) -> np.random.SeedSequence:
    """Return the seed sequence of a tuple of integers below 2^64.

    Each takes two 32-bit words, so that different tuples never spell the same words. NumPy itself
    takes as many as a number needs: to it, [5 + 2**32, 3] and [5, 1, 3] are one key.
    """
    words = [word for part in parts for word in (part & 0xFFFFFFFF, part >> 32)]
    return np.random.SeedSequence(words)


def _check_key(seed: int, purpose: int, index: int) -> tuple[int, int, int]:
    for name, value in (("seed", seed), ("index", index)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise TypeError(f"{name} must be an integer, got {value!r}")
        if not 0 <= value < 2**63:
            raise ValueError(f"{name} must be in [0, 2**63), got {value}")
    return int(seed), int(Purpose(purpose)), int(index)


# --- arguments -----------------------------------------------------------------------------------


def _positive_fraction(name: str, value: float | str | Fraction) -> Fraction:
    number, text = Fraction(0), str(value)
    try:
        # An exponent of millions would fill the memory as a fraction.
        if "/" in text or abs(Decimal(text).adjusted()) <= LARGEST_EXPONENT:
            number = Fraction(text)
    except (ArithmeticError, ValueError):
        pass  # no number, which is refused with the rest
    if not 0 < number < 10**LARGEST_EXPONENT:
        raise ValueError(f"{name} must be positive and finite, got {value}")
    return number


def _as_step(value: float | str | Fraction) -> Fraction:
    step = _positive_fraction("step", value)
    levels = round(1 / step)
    if levels >= 1 and abs(1 / step - levels) <= Fraction(1, 10**9):
        return Fraction(1, levels)
    return step


def _as_finite_example(x: np.ndarray | torch.Tensor, remedy: str) -> torch.Tensor:
    """Return one example as a CPU tensor of its own floating dtype, all values finite."""
    if isinstance(x, torch.Tensor):
        x = x.detach().cpu()
    else:
        x = torch.from_numpy(np.array(x, order="C"))
    if not x.is_floating_point():
        dtype = str(x.dtype).removeprefix("torch.")
        raise TypeError(f"x must be of a floating dtype, got {dtype}; {remedy}")
    if x.numel() == 0:
        raise ValueError(f"x must not be empty, got shape {tuple(x.shape)}")
    finite = torch.isfinite(x)
    if not finite.all():
        where = tuple((~finite).nonzero()[0].tolist())
        raise ValueError(f"x must be finite, got {x[where].item()} at position {where}")
    return x


# --- streams -------------------------------------------------------------------------------------


class NoiseStream(ABC):
    """The endless sequence of noisy copies of one example, read in order by :meth:`fill`.

    Made by :meth:`GridGaussian.stream` and :meth:`FloatGaussian.stream`. The sequence is fixed by
    (seed, purpose, index) and the noise; it does not depend on how it is cut into fills, nor on the
    memory format of ``out``.
    """

    def __init__(
        self, prepared: torch.Tensor, key: tuple[int, int, int], device: torch.device
    ) -> None:
        self.shape = tuple(prepared.shape)
        self.device = device
        self._key = key
        self._size = prepared.numel()
        self._block_rows = max(1, BLOCK_VALUES // self._size)
        self._most_rows = max(1, CHUNK_VALUES // self._size)
        self._row = 0

    def fill(self, out: torch.Tensor) -> torch.Tensor:
        """Write the next ``len(out)`` noisy copies into ``out`` and return it.

        Parameters
        ----------
        out : tensor, float32, shape (rows, *shape)
            On the stream's device, in any memory format.

        Raises
        ------
        ValueError
            If shape, dtype or device of ``out`` do not fit.
        """
        if tuple(out.shape[1:]) != self.shape or out.dim() != len(self.shape) + 1:
            raise ValueError(
                f"out must have shape (rows, {', '.join(map(str, self.shape))}), "
                f"got {tuple(out.shape)}"
            )
        if out.dtype != torch.float32 or out.device.type != self.device.type:
            raise ValueError(
                f"out must be float32 on {self.device.type}, got {out.dtype} on {out.device}"
            )
        done = 0
        while done < len(out):
            block, row = divmod(self._row, self._block_rows)
            if row == 0:
                self._open(block)
            rows = min(len(out) - done, self._block_rows - row, self._most_rows)
            self._write(out[done : done + rows], row)
            done += rows
            self._row += rows
        return out

    @abstractmethod
    def _open(self, block: int) -> None:
        """Start the generators of a block."""

    @abstractmethod
    def _write(self, out: torch.Tensor, row: int) -> None:
        """Write rows ``row``, ``row + 1``, ... of the open block into ``out``."""


class _HostGridStream(NoiseStream):
    """Grid noise on the CPU: lazy bits, guide table, NumPy."""

    def __init__(self, noise: GridGaussian, m: torch.Tensor, key: tuple[int, int, int]) -> None:
        super().__init__(m, key, torch.device("cpu"))
        self._thresholds, self._guide = _thresholds(noise.ratio), _guide(noise.ratio)
        self._reach = len(self._thresholds) // 2
        self._to_float = noise._to_float
        self._m = m.numpy().astype(np.float32)
        self._open_entry = np.iinfo(self._guide.dtype).min
        self._k = np.empty((0, *self.shape), self._guide.dtype)
        self._top, self._unsettled = np.empty(0, np.intp), np.empty(0, bool)

    def _open(self, block: int) -> None:
        self._first = self._last = 0  # the rows of the block whose K are in self._k
        self._top_bits, self._low_bits = (
            np.random.SFC64(_key(*self._key, block, part)) for part in (0, 1)
        )
        self._left = np.empty(0, np.uint16)

    def _write(self, out: torch.Tensor, row: int) -> None:
        values, done = out.numpy(), 0
        while done < len(values):
            if row == self._last:
                self._draw_ahead(row, len(values) - done)
            rows = min(len(values) - done, self._last - row)
            k = self._k[row - self._first : row - self._first + rows]
            to = values[done : done + rows]
            np.add(k, self._m, out=to, dtype=np.float32, casting="unsafe")  # exact, below 2^24
            self._to_float(to, to)
            done, row = done + rows, row + rows

    def _draw_ahead(self, row: int, least: int) -> None:
        """Draw K for the rows from ``row`` on: twice as many as last time, within the block.

        A network run in between throws the guide table out of the processor's cache: fetching it
        again is paid for once in so many values.
        """
        rows = min(max(least, 2 * len(self._k)), self._block_rows - row)
        if rows > len(self._k):
            self._k = np.empty((rows, *self.shape), self._guide.dtype)
            values = min(self._k.size, CHUNK_VALUES)
            self._top, self._unsettled = np.empty(values, np.intp), np.empty(values, bool)
        flat = self._k[:rows].reshape(-1)
        for start in range(0, flat.size, CHUNK_VALUES):
            self._draw(flat[start : start + CHUNK_VALUES])
        self._first, self._last = row, row + rows

    def _draw(self, k: np.ndarray) -> None:
        """Write the next ``len(k)`` values of K."""
        n, left = len(k), self._left
        words = self._top_bits.random_raw(-(-(n - len(left)) // 4)) if n > len(left) else left[:0]
        fresh = words.view(np.uint16)
        top = self._top[:n]
        kept = min(n, len(left))
        top[:kept] = left[:kept]
        top[kept:] = fresh[: n - kept]
        self._left = np.concatenate([left[kept:], fresh[n - kept :]])

        np.take(self._guide, top, out=k, mode="wrap")
        unsettled = np.flatnonzero(np.equal(k, self._open_entry, out=self._unsettled[:n]))
        if len(unsettled):
            low = self._low_bits.random_raw(len(unsettled)) >> np.uint64(64 - LOW_BITS)
            u = (top[unsettled] << LOW_BITS) | low.view(np.int64)
            k[unsettled] = np.searchsorted(self._thresholds, u, side="right") - self._reach


class _DeviceGridStream(NoiseStream):
    """Grid noise on another device: whole blocks of 63-bit integers, searched there.

    Nothing is read back, so a fill never waits for the device. A block is drawn as a whole because
    the values of a CUDA generator depend on the size of the launch.
    """

    def __init__(
        self,
        noise: GridGaussian,
        m: torch.Tensor,
        key: tuple[int, int, int],
        device: torch.device,
    ) -> None:
        super().__init__(m, key, device)
        self._thresholds = torch.tensor(_thresholds(noise.ratio), device=device)
        self._reach = len(self._thresholds) // 2
        self._noise = noise
        self._m = m.to(device=device, dtype=torch.float32)
        self._most_rows = self._block_rows
        values = self._block_rows * self._size
        self._u = torch.empty(values, dtype=torch.int64, device=device)
        self._cell = torch.empty(values, dtype=torch.int32, device=device)
        self._k = torch.empty(self._block_rows, *self.shape, device=device)
        self._generator = torch.Generator(device)
        self._divisor = torch.tensor(float(noise._levels or 1), device=device)

    def _open(self, block: int) -> None:
        seed = int(_key(*self._key, block, 0).generate_state(1, np.uint64)[0])
        self._generator.manual_seed(seed)
        self._u.random_(generator=self._generator)  # all of [0, 2^63 - 1]
        torch.bucketize(self._u, self._thresholds, right=True, out_int32=True, out=self._cell)
        self._k.copy_(self._cell.view_as(self._k)).sub_(self._reach).add_(self._m)

    def _write(self, out: torch.Tensor, row: int) -> None:
        k = self._k[row : row + len(out)]
        if self._noise._levels:
            # A divisor on the host would be turned into a multiplication by its reciprocal.
            torch.div(k, self._divisor, out=out)
        else:
            out.copy_(k.double().mul_(float(self._noise.step)))


class _HostFloatStream(NoiseStream):
    """Float noise on the CPU: the transform of Box and Muller, NumPy, piece by piece of a block."""

    def __init__(self, sigma: float, x: torch.Tensor, key: tuple[int, int, int]) -> None:
        super().__init__(x, key, torch.device("cpu"))
        self._x, self._sigma = x.numpy().copy(), np.float32(sigma)
        self._piece_rows = max(1, PIECE_VALUES // self._size)
        pairs = -(-self._piece_rows * self._size // 2)
        self._z = np.empty((2, pairs), np.float32)
        self._radius, self._angle = np.empty((2, pairs), np.float32)

    def _open(self, block: int) -> None:
        self._bits = np.random.SFC64(_key(*self._key, block, 0))
        self._last = 0  # the row after those that are in self._z

    def _write(self, out: torch.Tensor, row: int) -> None:
        values, z, done = out.numpy(), self._z.reshape(-1), 0
        while done < len(values):
            if row == self._last:
                self._draw()
                self._last += self._piece_rows
            first = row - self._last + self._piece_rows
            rows = min(len(values) - done, self._piece_rows - first)
            piece = z[first * self._size : (first + rows) * self._size]
            np.add(piece.reshape(rows, *self.shape), self._x, out=values[done : done + rows])
            done, row = done + rows, row + rows

    def _draw(self) -> None:
        """Draw the next piece of sigma z, the cosines of all pairs before their sines.

        A pair is sqrt(-2 log u) cos(2 pi v) and sqrt(-2 log u) sin(2 pi v), with u in (0, 1] from
        one 32-bit word and v in [0, 1] from another.
        """
        radius, angle = self._radius, self._angle
        words = self._bits.random_raw(len(radius)).view(np.uint32).reshape(2, -1)
        np.multiply(words[0], np.float32(2**-32), out=radius, dtype=np.float32, casting="unsafe")
        np.add(radius, np.float32(2**-33), out=radius)
        np.log(radius, out=radius)
        np.sqrt(np.multiply(radius, np.float32(-2), out=radius), out=radius)
        turn = np.float32(2 * math.pi * 2**-32)
        np.multiply(words[1], turn, out=angle, dtype=np.float32, casting="unsafe")
        np.multiply(radius, np.cos(angle, out=self._z[0]), out=self._z[0])
        np.multiply(radius, np.sin(angle, out=self._z[1]), out=self._z[1])
        np.multiply(self._z, self._sigma, out=self._z)


class _DeviceFloatStream(NoiseStream):
    """Float noise on another device."""

    def __init__(
        self, sigma: float, x: torch.Tensor, key: tuple[int, int, int], device: torch.device
    ) -> None:
        super().__init__(x, key, device)
        self._x, self._sigma = x.to(device, copy=True), sigma
        self._most_rows = self._block_rows
        self._z = torch.empty(self._block_rows, *self.shape, device=device)
        self._generator = torch.Generator(device)

    def _open(self, block: int) -> None:
        seed = int(_key(*self._key, block, 0).generate_state(1, np.uint64)[0])
        self._generator.manual_seed(seed)
        self._z.normal_(generator=self._generator)

    def _write(self, out: torch.Tensor, row: int) -> None:
        torch.add(self._x, self._z[row : row + len(out)], alpha=self._sigma, out=out)


# --- the two kinds of noise ----------------------------------------------------------------------


class GridGaussian:
    r"""Gaussian noise of standard deviation sigma, exact on the grid of a given step.

    An example is :math:`x = \Delta m` with integers m. Its noisy copies are the float32 values of
    :math:`\Delta (m + K)`, with :math:`K = \lfloor \sigma z/\Delta + 1/2 \rfloor` drawn by inverse
    distribution function on 63-bit integers (see the module's text for the law, its proof and the
    bound on the total variation).

    Parameters
    ----------
    sigma : float, str or Fraction
        Standard deviation, in input units. A float stands for its shortest decimal: 0.12 is 12/100.
    step : float, str or Fraction
        Step of the grid, in input units: "1/255" for 8-bit images, "1/16" for the digits. A step
        whose inverse is within 1e-9 of an integer is the inverse of that integer.

    Attributes
    ----------
    name : str
        "grid".
    sigma, step, ratio : Fraction
        ratio is sigma/step, exactly.

    Raises
    ------
    ValueError
        If sigma or step is not positive and finite, or sigma/step is outside [0.05, 100000]. Below
        0.05 every draw would be 0: :math:`\Phi(-10) < 2^{-64}`.

    Examples
    --------
    >>> noise = GridGaussian(sigma=0.25, step="1/16")
    >>> noise.ratio
    Fraction(4, 1)
    >>> noise.total_variation(64) < 1e-15
    True
    >>> m = noise.prepare(torch.full((1, 8, 8), 0.5))
    >>> out = noise.stream(m, seed=0, purpose=Purpose.PREDICTION, index=7).fill(
    ...     torch.empty(3, 1, 8, 8)
    ... )
    >>> bool((out * 16 == (out * 16).round()).all())
    True
    """

    name = "grid"

    def __init__(self, sigma: float | str | Fraction, step: float | str | Fraction) -> None:
        self.sigma = _positive_fraction("sigma", sigma)
        self.step = _as_step(step)
        self.ratio = self.sigma / self.step
        if not MIN_RATIO <= self.ratio <= MAX_RATIO:
            raise ValueError(
                f"sigma / step must be in [{float(MIN_RATIO)}, {MAX_RATIO}], "
                f"got {float(self.ratio):.4g} (sigma {self.sigma}, step {self.step})"
            )
        inverse = 1 / self.step
        self._levels = (
            int(inverse) if inverse.denominator == 1 and inverse.numerator <= EXACT else None
        )

    def __repr__(self) -> str:
        return f"GridGaussian(sigma='{self.sigma}', step='{self.step}')"

    @property
    def reach(self) -> int:
        """Return the largest absolute value of K that the sampler can draw, near 9.1 sigma/step."""
        return len(_thresholds(self.ratio)) // 2

    def total_variation(self, d: int) -> float:
        r"""Return a bound on the total variation from ideal grid noise in ``d`` coordinates.

        It is :math:`d (N + 1) 2^{-64} (1 + 2^{-29})`, rounded up, with N the number of values that
        K can take. The probability of any event under the sampler differs from the ideal one by at
        most this.
        """
        if d < 1:
            raise ValueError(f"d must be at least 1, got {d}")
        bound = d * (2 * self.reach + 2) * (1 + Fraction(1, 2**29)) / 2**64
        return math.nextafter(float(bound), math.inf)

    @property
    def thresholds(self) -> np.ndarray:
        """The integers T_k, k from -reach to reach - 1; K is the smallest k with U < T_k.

        Int64, shape (2 reach,), read-only. U is uniform on the integers from 0 to 2^63 - 1.
        """
        return _thresholds(self.ratio)

    def nearest(self, x: np.ndarray | torch.Tensor) -> tuple[torch.Tensor, float]:
        """Return the nearest grid point of one example, and how far away it is.

        Returns
        -------
        m : int32 tensor, shape of x
        distance : float
            The largest ``|x/step - m|``, in steps.

        Raises
        ------
        TypeError
            If x is not of a floating dtype.
        ValueError
            If x is empty, not finite, or too large for m + K to be exact in float32.
        """
        remedy = "divide by 255 and use step=1/255 for 8-bit images"
        x = _as_finite_example(x, remedy)
        in_steps = x.double() / float(self.step)
        m = in_steps.round()
        self._check_range(m)
        return m.to(torch.int32), (in_steps - m).abs().max().item()

    def _check_range(self, m: torch.Tensor) -> None:
        largest, limit = float(m.double().abs().max()), EXACT - self.reach
        if largest > limit:
            raise ValueError(
                f"x is too large for its step: |x / step| must be at most {limit}, "
                f"got {largest:.0f}"
            )

    def prepare(self, x: np.ndarray | torch.Tensor) -> torch.Tensor:
        """Check one example and return its grid coordinates.

        Parameters
        ----------
        x : array or tensor of a floating dtype, any shape, no batch axis

        Returns
        -------
        int32 tensor, shape of x
            The integers m with x = step * m.

        Raises
        ------
        TypeError, ValueError
            As :meth:`nearest`, and if x is further than 1e-3 steps from the grid.
        """
        m, distance = self.nearest(x)
        if distance > OFF_GRID:
            raise ValueError(
                f"x must lie on the grid of step {self.step}: the largest |x/step - m| is "
                f"{distance:.3g}, above {OFF_GRID}; give the step that the data lie on, or round x "
                "to the grid and count the distance moved against the radius"
            )
        return m

    def from_grid(self, m: np.ndarray | torch.Tensor) -> torch.Tensor:
        """Return the float32 values that a network sees for grid coordinates ``m``.

        For step 1/L it is m/L correctly rounded, as ``numpy.float32(m / L)``; for other steps the
        float32 nearest to the float64 product of m and step.
        """
        k = torch.as_tensor(m).cpu().numpy().astype(np.float32)
        out = np.empty_like(k)
        self._to_float(k, out)
        return torch.from_numpy(out)

    def _to_float(self, k: np.ndarray, out: np.ndarray) -> None:
        if self._levels:
            np.divide(k, np.float32(self._levels), out=out)
        else:
            np.copyto(out, k.astype(np.float64) * float(self.step), casting="same_kind")

    def stream(
        self,
        prepared: torch.Tensor,
        seed: int,
        purpose: Purpose,
        index: int,
        device: str | torch.device = "cpu",
    ) -> NoiseStream:
        """Return the noisy copies of an example prepared by :meth:`prepare`.

        Parameters
        ----------
        prepared : int32 tensor
        seed : int in [0, 2**63)
        purpose : Purpose
        index : int in [0, 2**63)
            Number of the example in its data set.
        device : str or torch.device
        """
        key = _check_key(seed, purpose, index)
        if not isinstance(prepared, torch.Tensor) or prepared.dtype != torch.int32:
            raise TypeError("prepared must be an int32 tensor made by prepare")
        device = torch.device(device)
        self._check_range(prepared)
        if device.type == "cpu":
            return _HostGridStream(self, prepared, key)
        return _DeviceGridStream(self, prepared, key, device)


class FloatGaussian:
    r"""Gaussian noise in float32: :math:`x + \sigma z`, as most implementations draw it.

    **It does not make a certificate valid.** The sum is rounded to float32, the rounding depends on
    x, and a classifier can be made to see it: it is then certified with radii that are false. The
    sampler of z is not exact either (Box and Muller's transform in float32, no value beyond 6.8).
    Nothing is claimed about the distance to the ideal law, and :meth:`total_variation` returns 0.0
    only for the sake of the common interface. The last bits are those of NumPy's logarithm and
    cosine, and may differ between types of processors.

    Parameters
    ----------
    sigma : float, str or Fraction
        Standard deviation, in input units.

    Attributes
    ----------
    name : str
        "float".
    sigma : Fraction
    step, ratio : None
    """

    name = "float"
    step = None
    ratio = None

    def __init__(self, sigma: float | str | Fraction) -> None:
        self.sigma = _positive_fraction("sigma", sigma)

    def __repr__(self) -> str:
        return f"FloatGaussian(sigma='{self.sigma}')"

    def total_variation(self, d: int) -> float:
        """Return 0.0. It is not a bound: none is known for float noise."""
        return 0.0

    def prepare(self, x: np.ndarray | torch.Tensor) -> torch.Tensor:
        """Check one example and return it as a float32 tensor.

        Raises
        ------
        TypeError
            If x is not of a floating dtype.
        ValueError
            If x is empty or not finite.
        """
        x = _as_finite_example(x, "convert it and scale it as in training")
        return x.to(torch.float32).contiguous()

    def stream(
        self,
        prepared: torch.Tensor,
        seed: int,
        purpose: Purpose,
        index: int,
        device: str | torch.device = "cpu",
    ) -> NoiseStream:
        """Return the noisy copies of an example, as :meth:`GridGaussian.stream` does."""
        key = _check_key(seed, purpose, index)
        if not isinstance(prepared, torch.Tensor) or prepared.dtype != torch.float32:
            raise TypeError("prepared must be a float32 tensor made by prepare")
        device = torch.device(device)
        if device.type == "cpu":
            return _HostFloatStream(float(self.sigma), prepared, key)
        return _DeviceFloatStream(float(self.sigma), prepared, key, device)
