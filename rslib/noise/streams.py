"""The noisy copies of an example, drawn in blocks that anyone can draw again.

The noise of an example comes in blocks of a fixed number of rows, each from generators keyed by
(seed, purpose, index, block). It depends on nothing else: not on the batch size, the order of the
examples, the threads, or how the rows are cut into calls. It is identical on one type of device
(float noise but for its last bits); the noise on CUDA differs from that on the CPU, and may differ
between GPU models.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from enum import IntEnum
from fractions import Fraction

import numpy as np
import torch

from rslib import _checks
from rslib.noise.thresholds import LOW_BITS, guide_table, thresholds_of

EXACT = 2**24  # float32 holds every integer up to here

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


def seed_sequence(*parts: int) -> np.random.SeedSequence:
    """Return the seed sequence of a tuple of integers below 2^64.

    Each takes two 32-bit words, so that different tuples never spell the same words. NumPy itself
    takes as many as a number needs: to it, [5 + 2**32, 3] and [5, 1, 3] are one key.
    """
    words = [word for part in parts for word in (part & 0xFFFFFFFF, part >> 32)]
    return np.random.SeedSequence(words)


def checked_key(seed: int, purpose: int, index: int) -> tuple[int, int, int]:
    """What a stream is keyed by, in the order in which it is spelt."""
    seed = _checks.whole("seed", seed, 0, 2**63 - 1)
    index = _checks.whole("index", index, 0, 2**63 - 1)
    return seed, int(Purpose(purpose)), index


class GridValues:
    """The one float32 value that a network sees for each grid coordinate.

    For step 1/L it is k/L correctly rounded; for other steps the float32 nearest to the float64
    product of k and step.
    """

    def __init__(self, step: Fraction) -> None:
        inverse = 1 / step
        whole = inverse.denominator == 1 and inverse.numerator <= EXACT
        self.step, self.levels = float(step), int(inverse) if whole else None

    def write(self, k: np.ndarray, out: np.ndarray) -> None:
        """Write the values of the coordinates k, whole float32 numbers, into out (k itself too)."""
        if self.levels:
            np.divide(k, np.float32(self.levels), out=out)
        else:
            np.copyto(out, k.astype(np.float64) * self.step, casting="same_kind")


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


class HostGridStream(NoiseStream):
    """Grid noise on the CPU: lazy bits, guide table, NumPy."""

    def __init__(
        self, ratio: Fraction, values: GridValues, m: torch.Tensor, key: tuple[int, int, int]
    ) -> None:
        super().__init__(m, key, torch.device("cpu"))
        self._thresholds, self._guide = thresholds_of(ratio), guide_table(ratio)
        self._reach = len(self._thresholds) // 2
        self._values = values
        self._m = m.numpy().astype(np.float32)
        self._open_entry = np.iinfo(self._guide.dtype).min
        self._k = np.empty((0, *self.shape), self._guide.dtype)
        self._top, self._unsettled = np.empty(0, np.intp), np.empty(0, bool)

    def _open(self, block: int) -> None:
        self._first = self._last = 0  # the rows of the block whose K are in self._k
        self._top_bits, self._low_bits = (
            np.random.SFC64(seed_sequence(*self._key, block, part)) for part in (0, 1)
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
            self._values.write(to, to)
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


class DeviceGridStream(NoiseStream):
    """Grid noise on another device: whole blocks of 63-bit integers, searched there.

    Nothing is read back, so a fill never waits for the device. A block is drawn as a whole because
    the values of a CUDA generator depend on the size of the launch.
    """

    def __init__(
        self,
        ratio: Fraction,
        values: GridValues,
        m: torch.Tensor,
        key: tuple[int, int, int],
        device: torch.device,
    ) -> None:
        super().__init__(m, key, device)
        self._thresholds = torch.tensor(thresholds_of(ratio), device=device)
        self._reach = len(self._thresholds) // 2
        self._values = values
        self._m = m.to(device=device, dtype=torch.float32)
        self._most_rows = self._block_rows
        size = self._block_rows * self._size
        self._u = torch.empty(size, dtype=torch.int64, device=device)
        self._cell = torch.empty(size, dtype=torch.int32, device=device)
        self._k = torch.empty(self._block_rows, *self.shape, device=device)
        self._divisor = torch.tensor(float(values.levels or 1), device=device)
        self._generator = torch.Generator(device)

    def _open(self, block: int) -> None:
        seed = int(seed_sequence(*self._key, block, 0).generate_state(1, np.uint64)[0])
        self._generator.manual_seed(seed)
        self._u.random_(generator=self._generator)  # all of [0, 2^63 - 1]
        torch.bucketize(self._u, self._thresholds, right=True, out_int32=True, out=self._cell)
        self._k.copy_(self._cell.view_as(self._k)).sub_(self._reach).add_(self._m)

    def _write(self, out: torch.Tensor, row: int) -> None:
        k = self._k[row : row + len(out)]
        if self._values.levels:
            # A divisor on the host would be turned into a multiplication by its reciprocal.
            torch.div(k, self._divisor, out=out)
        else:
            out.copy_(k.double().mul_(self._values.step))


class HostFloatStream(NoiseStream):
    """Float noise on the CPU: the transform of Box and Muller, NumPy, piece by piece of a block."""

    def __init__(self, sigma: float, x: torch.Tensor, key: tuple[int, int, int]) -> None:
        super().__init__(x, key, torch.device("cpu"))
        self._x, self._sigma = x.numpy().copy(), np.float32(sigma)
        self._piece_rows = max(1, PIECE_VALUES // self._size)
        pairs = -(-self._piece_rows * self._size // 2)
        self._z = np.empty((2, pairs), np.float32)
        self._radius, self._angle = np.empty((2, pairs), np.float32)

    def _open(self, block: int) -> None:
        self._bits = np.random.SFC64(seed_sequence(*self._key, block, 0))
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


class DeviceFloatStream(NoiseStream):
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
        seed = int(seed_sequence(*self._key, block, 0).generate_state(1, np.uint64)[0])
        self._generator.manual_seed(seed)
        self._z.normal_(generator=self._generator)

    def _write(self, out: torch.Tensor, row: int) -> None:
        torch.add(self._x, self._z[row : row + len(out)], alpha=self._sigma, out=out)
