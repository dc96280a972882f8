"""Which noisy copies of which examples share a forward pass, and runs that may stop.

A forward pass has a fixed number of rows, and costs the same whether they are used or not. Where
one example's copies would leave it half empty, examples share it. None of this changes a count: the
noise of an example depends on nothing else, and rows share a pass only where the engine finds that
a row's scores do not depend on where it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rslib import sequential
from rslib._outputs import BaseFailed, UnfitError, is_from_base
from rslib.decisions import Rule
from rslib.engine import Engine
from rslib.noise import NoiseStream, Purpose

__all__ = ["Example", "count_all", "count_until_stopped", "naming_x"]

# A group that shares forward passes fills this many: little of the last one is lost.
_PASSES_SHARED = 8
_MOST_TOGETHER = 1024
# Runs share a pass only while each gets this many rows of it: looking costs time, too.
_LEAST_SHARE = 1024


@dataclass(frozen=True, eq=False)
class Example:
    """An example made ready, and where its answers come from.

    Attributes
    ----------
    prepared : Tensor
        As the noise wants it.
    cost : float
        Radius that rounding it to the grid costs.
    engine : callable
        Gives the engine for examples of its shape.
    stream : callable
        Gives its noisy copies for a purpose, from the first on.
    """

    prepared: Tensor
    cost: float
    engine: Callable[[], Engine]
    stream: Callable[[Purpose], NoiseStream]


@contextmanager
def naming_x(shape: tuple[int, ...]) -> Iterator[None]:
    """What the base classifier raises on copies of x becomes a ValueError that names x.

    Most often it is the first to notice that x has a batch axis, or channels that it does not
    take. What the library itself raises stays as it is, and so does want of memory.
    """
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError, UnfitError):
        raise
    except Exception as error:
        if not is_from_base(error):
            raise
        raise BaseFailed(
            "x must be one example, without a batch axis, that base takes, got one of shape "
            f"{tuple(shape)}, on whose copies it raised {type(error).__name__}: {error}"
        ) from error


def count_all(
    examples: Iterator[Example], *wanted: tuple[Purpose, int]
) -> Iterator[tuple[Example, np.ndarray]]:
    """Count the answers on so many noisy copies of every example, for each purpose.

    Parameters
    ----------
    examples : iterator of Example
        Not read further than what belongs together.
    *wanted : (Purpose, int)
        Number of copies for each purpose; they share forward passes too.

    Yields
    ------
    Example, numpy.ndarray
        Every example, in order, with its counts: int64 (len(wanted), K). Where one fails, those
        before it come first, then its error.
    """
    group: list[Example] = []
    errors: list[Exception] = []
    for example in _up_to_an_error(examples, errors):
        if group and example.prepared.shape != group[0].prepared.shape:
            yield from _count_together(group, wanted)
            group = []
        group.append(example)
        rows = example.engine().plan.rows
        full = len(group) * sum(n for _, n in wanted) >= _PASSES_SHARED * rows
        if full or len(group) == _MOST_TOGETHER:
            yield from _count_together(group, wanted)
            group = []
    yield from _count_together(group, wanted)
    if errors:
        raise errors[0]


def _count_together(
    group: list[Example], wanted: Sequence[tuple[Purpose, int]]
) -> Iterator[tuple[Example, np.ndarray]]:
    if not group:
        return
    jobs = [(one.stream(purpose), n) for one in group for purpose, n in wanted]
    try:
        with naming_x(group[0].prepared.shape):
            counts = group[0].engine().count_each(jobs)
    except ValueError:
        if len(group) == 1:
            raise
        for one in group:  # those before the one that the error is about
            yield from _count_together([one], wanted)
        return
    yield from zip(group, counts.reshape(len(group), len(wanted), -1), strict=True)


def count_until_stopped(
    examples: Iterator[Example], n0: int, n: int, rule: Callable[[Example], Rule]
) -> Iterator[tuple[Example, np.ndarray, np.ndarray, int]]:
    """Count the answers on n0 selection copies of every example, and on others until a rule stops.

    Runs go side by side where the forward passes are wide enough for several: each takes its
    share of a pass, and where one stops the next begins.

    Parameters
    ----------
    examples : iterator of Example
        Read no further than four times as many as go side by side.
    n0, n : int
        Selection copies; estimation copies at most.
    rule : callable
        Gives, for an example, the rule of its run.

    Yields
    ------
    Example, numpy.ndarray, numpy.ndarray, int
        Every example, in order, with the counts of its selection and of its estimation, int64 (K,)
        each, and how many estimation copies were drawn: the first of n, up to the look at which
        the rule says to stop. The counts are those at the last look that showed more; of all drawn
        where none did.
    """
    active: list[_Run] = []
    waiting: list[_Run] = []  # in order; the first is the next to be handed out
    errors: list[Exception] = []
    examples, more = _up_to_an_error(examples, errors), True
    while more or waiting:
        while more and (not active or len(active) < active[0].side_by_side):
            # Not far ahead of the first that is not done, or a break would lose much.
            if len(waiting) >= 4 * (active[0].side_by_side if active else 1):
                break
            example = next(examples, None)
            if more := example is not None:
                run = _Run(example, n0, n, rule(example))
                active.append(run)
                waiting.append(run)
        # One engine at a time: the runs of other shapes wait.
        together = [run for run in active if run.engine is active[0].engine]
        jobs = [run.jobs(len(together)) for run in together]
        answers: Iterator[np.ndarray] = iter(())
        if together:
            with naming_x(together[0].example.prepared.shape):
                found = together[0].engine.answers_each([job for one in jobs for job in one])
            answers = iter(found)
        for run, asked in zip(together, jobs, strict=True):
            run.take([next(answers) for _ in asked])
        active = [run for run in active if not run.done]
        while waiting and waiting[0].done:
            run = waiting.pop(0)
            yield run.example, run.selection, run.rests_on, int(run.counts.sum())
    if errors:
        raise errors[0]


def _up_to_an_error(examples: Iterator[Example], errors: list[Exception]) -> Iterator[Example]:
    """Examples until one is refused: the error waits in the list, for those before it to end."""
    try:
        yield from examples
    except Exception as error:
        errors.append(error)


class _Run:
    """A run of one example that may stop: what it asks for, and what it makes of the answers."""

    def __init__(self, example: Example, n0: int, n: int, rule: Rule) -> None:
        self.example, self.engine = example, example.engine()
        none = np.zeros(self.engine.num_classes, dtype=np.int64)
        self.selection = self.counts = none  # of all copies that were drawn
        self.rests_on = none  # at the last look that showed more
        self.done = False
        self._streams = [example.stream(of) for of in (Purpose.SELECTION, Purpose.ESTIMATION)]
        self._n0, self._n, self._rule = n0, n, rule
        self._looks, self._drawn = sequential.looking_times(n), 0

    @property
    def side_by_side(self) -> int:
        """How many runs like this one go side by side."""
        return (
            max(1, self.engine.plan.rows // _LEAST_SHARE)
            if self.engine.rows_are_independent_of_place
            else 1
        )

    def jobs(self, runs: int) -> list[tuple[NoiseStream, int]]:
        """What it wants from passes that are shared by so many runs."""
        rows = self.engine.plan.rows
        share = max(1, rows // runs) if self.engine.rows_are_independent_of_place else rows
        selection, estimation = self._streams
        if self._drawn:
            # Alone, no more than lies between two looks; among others its share of one pass.
            passes = max(1, self._drawn // (100 * rows)) if runs == 1 else 1
            return [(estimation, min(passes * share, self._n - self._drawn))]
        wanted = share - self._n0 % share if self.engine.rows_are_independent_of_place else rows
        return [(selection, self._n0), (estimation, min(wanted, self._n))]

    def take(self, answers: list[np.ndarray]) -> None:
        """Count the answers, up to the first look at which the rule says to stop."""
        if not self._drawn:
            self.selection = self._counted(answers.pop(0))
        (found,) = answers
        label, end = np.argmax(self.selection), self._drawn + len(found)
        looks = self._looks[(self._looks > self._drawn) & (self._looks <= end)]
        k = self.counts[label] + np.cumsum(found == label)[looks - self._drawn - 1]
        stops, more = self._rule(k, looks) if len(looks) else (looks > 0, looks > 0)
        if stops.any():
            found = found[: looks[stops][0] - self._drawn]
        shown = looks[more & (looks <= self._drawn + len(found))]
        if len(shown):
            self.rests_on = self.counts + self._counted(found[: shown[-1] - self._drawn])
        self.counts = self.counts + self._counted(found)
        self.done = bool(stops.any()) or end == self._n
        self._drawn = end
        if self.done and not self.rests_on.any():
            self.rests_on = self.counts

    def _counted(self, answers: np.ndarray) -> np.ndarray:
        return np.bincount(answers, minlength=self.engine.num_classes)
