"""Which plan to run a network under: the default one, and the fastest of those that were timed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from rslib._outputs import BaseFailed, UnfitError, is_from_base
from rslib.backends import BACKENDS, Backend, device_type, number_type, offered
from rslib.engine import Engine, Plan
from rslib.noise import FloatGaussian, Purpose

__all__ = ["default_plan", "fastest_plan", "fewer_rows"]

# Values in one forward pass: large enough to keep a core busy, small enough for its cache.
_VALUES_PER_PASS = 2**16
# No more is tried: what a pass costs beside its rows is then next to nothing, and what the last,
# padded pass wastes grows.
_MOST_ROWS, _LONGEST_PASS = 2**12, 0.1  # seconds


def default_plan(
    base: Callable,
    shape: tuple[int, ...],
    device: str = "cpu",
    threads: int | None = None,
    dtype: str = "float32",
    backend: str | None = None,
) -> Plan:
    """The plan that is used when none is given; nothing is timed for it.

    Parameters
    ----------
    base : callable
        The base classifier. A module is frozen on the CPU; anything else is called as it is.
    shape : tuple of int
        Shape of one example.
    device : str
        Where it runs.
    threads : int, optional
        Threads of one operation on the CPU; default: as many as torch uses now.
    dtype : str
        Number type, see `rslib.engine.Plan`.
    backend : str, optional
        To be kept.

    Returns
    -------
    Plan

    Raises
    ------
    ValueError
        If the base classifier cannot be run in that number type there, or with that backend.

    Examples
    --------
    >>> default_plan(nn.Flatten(), (3, 32, 32), threads=1)
    Plan(backend='frozen', dtype='float32', rows=21, threads=1, device='cpu')
    """
    kind = device_type(device)
    rows = max(16, min(4096, _VALUES_PER_PASS // max(1, math.prod(shape))))
    if kind != "cpu":
        rows = max(rows, 1024)
    choice, dtype = _offered(base, dtype, device, backend)
    best = max(choice, key=lambda one: kind in one.default_on)
    return Plan(
        best.name,
        dtype,
        rows=rows,
        threads=torch.get_num_threads() if threads is None else threads,
        device=device,
    )


def _offered(
    base: Callable, dtype: str, device: str, backend: str | None
) -> tuple[list[Backend], str]:
    """The backends for a base classifier, or the one that was asked for, and its number type."""
    is_function = not isinstance(base, nn.Module)
    choice, dtype = offered(is_function, number_type(base), dtype, device)
    if backend is None:
        return choice, dtype
    if not (chosen := [one for one in choice if one.name == backend]):
        names = " or ".join(one.name for one in choice)
        hint = ""
        if BACKENDS[backend].brings_its_type:
            hint = ": an int8 network is a file of its own that `rslib quantize` writes"
        raise ValueError(f"backend must be {names} for this network, got {backend!r}{hint}")
    if reason := chosen[0].missing():
        raise ValueError(reason)
    return chosen, dtype


def fastest_plan(
    base: Callable,
    num_classes: int,
    shape: tuple[int, ...],
    device: str = "cpu",
    dtype: str = "float32",
    threads: int | None = None,
    repeats: int = 3,
    backend: str | None = None,
) -> Plan:
    """Time the backends on the given shape, then larger batches for the fastest of them.

    Those of an eight-bit network round differently: which function is certified is then decided by
    the machine, unless ``backend`` is given.

    Parameters
    ----------
    base, num_classes, shape, device
        As for `rslib.engine.Engine`.
    dtype : str
        As in `rslib.engine.Plan`; it is kept, not chosen.
    threads : int, optional
        As for `default_plan`; it is kept, not chosen.
    repeats : int
        Least number of timed runs of each candidate, after one that is not counted; the median
        counts. A second's worth is run, up to 15 times.
    backend : str, optional
        As for `default_plan`; it is kept, not chosen.

    Returns
    -------
    Plan
        The choice depends on the machine and its load: record it, and reuse it for every run that
        has to give the same counts. Where base fails on large batches, it is among those that
        work.

    Raises
    ------
    ValueError
        If the base classifier fails in a batch of any size, or is refused, see
        `rslib.engine.Engine`.
    """
    start = default_plan(base, shape, device, threads, dtype, backend)
    choice, dtype = _offered(base, dtype, device, backend)
    candidates = [one for one in choice if backend or one.is_candidate(dtype, device)]
    backends = [one.name for one in candidates if backend or not one.is_slow_to_make]
    slow_to_make = [one.name for one in candidates if one.name not in backends]
    trials = _Trials(base, num_classes, shape, repeats, start)
    best, each, sizes = None, math.inf, [start.rows // 2, *_below(start.rows // 2)]
    for rows in sizes:
        best, each = trials.fastest(
            [replace(start, backend=backend, rows=rows) for backend in backends]
        )
        if best is not None:
            break
    if best is None:
        if trials.refused:
            raise _failed(trials.refused, shape)
        # What was asked for may give way to another; else whoever uses it is told.
        return start if backend else replace(start, rows=1)
    while True:
        sizes = [factor * best.rows for factor in (2, 4)]
        sizes = [size for size in sizes if size <= _MOST_ROWS and size * each <= _LONGEST_PASS]
        sizes = [size for size in sizes if size not in trials.refused]
        larger = [replace(best, rows=size) for size in sizes]
        found, seconds = trials.fastest([best, *larger]) if larger else (best, each)
        if found is None or found == best:
            break
        best, each = found, seconds
    if slow_to_make:
        best = trials.fastest([best, *(replace(best, backend=name) for name in slow_to_make)])[0]
    return best or replace(start, rows=1)


def _below(rows: int) -> list[int]:
    """The powers of two below, descending: a network that takes few batches mostly takes one.

    >>> _below(21)
    [16, 8, 4, 2, 1]
    """
    return [2**k for k in reversed(range((rows - 1).bit_length()))]


def _failed(refused: Mapping[int, Exception], shape: tuple[int, ...]) -> Exception:
    """The error of a base classifier that fails whatever the size of the batch."""
    error = refused[min(refused)]
    if not is_from_base(error):
        return error  # in the library's words
    sizes = ", ".join(map(str, sorted(refused, reverse=True)))
    failed = BaseFailed(
        f"base must take examples of shape {tuple(shape)}; in batches of {sizes} it raised "
        f"{type(error).__name__}: {error}"
    )
    failed.__cause__ = error
    return failed


def fewer_rows(base: Callable, num_classes: int, shape: tuple[int, ...], plan: Plan) -> int | None:
    """How many rows a base classifier takes that fails on those of a plan; None if none do.

    Parameters
    ----------
    base, num_classes, shape, plan
        As for `rslib.engine.Engine`.

    Returns
    -------
    int or None
        The largest power of two below ``plan.rows`` that works.
    """
    for rows in _below(plan.rows):
        try:
            Engine(base, num_classes, shape, replace(plan, rows=rows))
            return rows
        except Exception:  # this is asked about one that fails
            continue
    return None


class _Trials:
    """Plans for one base classifier, timed against each other.

    ``refused`` are the sizes of batches on which the base classifier itself raised, and what.
    """

    def __init__(
        self,
        base: Callable,
        num_classes: int,
        shape: tuple[int, ...],
        repeats: int,
        start: Plan,
    ) -> None:
        self._base, self._num_classes, self._shape, self._repeats = (
            base, num_classes, shape, repeats,
        )  # fmt: skip
        self._default, device = start.backend, start.device
        self.refused: dict[int, Exception] = {}
        self._takes_turns = device_type(device) == "cpu"
        # With noise: it shares the processor's cache with the network, which favours larger
        # batches.
        self._stream = FloatGaussian(1).stream(torch.zeros(shape), 0, Purpose.TRAINING, 0, device)

    def fastest(self, plans: Sequence[Plan]) -> tuple[Plan | None, float]:
        """Of those that can be run, and its seconds a copy.

        What else a CPU does comes and goes: there they take turns.
        """
        times: dict[Plan, float] = {}
        for group in [plans] if self._takes_turns else [[plan] for plan in plans]:
            engines = [engine for engine in map(self._ready, group) if engine]
            copies = max(plan.rows for plan in plans)
            began = time.perf_counter()
            turns: list[list[float]] = []
            while len(turns) < self._repeats or (
                len(turns) < 15 and time.perf_counter() - began < 1
            ):
                turns.append([self._seconds_a_copy(engine, copies) for engine in engines])
            for engine, taken in zip(engines, zip(*turns)):
                if max(taken) < math.inf:
                    times[engine.plan] = float(np.median(taken))
            engines.clear()  # their memory is the next one's
        best = min(times, key=lambda plan: times[plan], default=None)
        return best, times[best] if best else math.inf

    def _ready(self, plan: Plan) -> Engine | None:
        """Warmed up; None where it cannot be kept, memory does not suffice, or base fails."""
        if plan.rows in self.refused:
            return None
        try:
            engine = Engine(self._base, self._num_classes, self._shape, plan)
            if engine.plan.backend == plan.backend:
                engine.count(self._stream, plan.rows)
                return engine
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
        except Exception as error:
            self._refuse(plan, error)
        return None

    def _refuse(self, plan: Plan, error: Exception) -> None:
        """Remember what base raised. What the library refuses, it refuses in any batch.

        Where the default backend works, it is not base that fails in another.
        """
        if plan.backend != self._default:
            return
        causes = [one for one in (error, error.__cause__) if isinstance(one, Exception)]
        if isinstance(error, (UnfitError, MemoryError)) or not any(map(is_from_base, causes)):
            raise error
        self.refused[plan.rows] = error

    def _seconds_a_copy(self, engine: Engine, copies: int) -> float:
        began = time.perf_counter()
        try:
            engine.count(self._stream, copies)
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            return math.inf
        except Exception as error:
            self._refuse(engine.plan, error)
            return math.inf
        return (time.perf_counter() - began) / copies
