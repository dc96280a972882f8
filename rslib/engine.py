"""The engine: run a base classifier on noisy copies of one example and count its answers.

Certifying costs n forward passes an example, so the network is prepared once: evaluation mode, no
gradients, frozen and optimised for inference where that gives the same scores, buffers that are
reused. Everything that can change a score in its last bits is fixed by a `Plan`, which is chosen
once and recorded: the noise of an example is always the same, its counts are the same under one
plan.
"""

from __future__ import annotations

import copy
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, asdict, dataclass, replace
from numbers import Integral

import numpy as np
import torch
from torch import Tensor, nn

from rslib.backends import BACKENDS, DTYPES, Backend
from rslib.noise import NoiseStream

__all__ = ["Engine", "Plan"]


@dataclass(frozen=True)
class Plan:
    """How a base classifier is run; two runs under one plan give the same counts.

    `rslib.plans` has the default plan and the fastest one.

    Attributes
    ----------
    backend : {"callable", "eager", "frozen", "compiled", "onnxruntime"}
        ``callable`` calls the base classifier as it is; ``eager`` a copy in evaluation mode;
        ``frozen`` a traced, frozen copy; ``compiled`` one compiled by `torch.compile`, which needs
        a C++ compiler on the CPU; ``onnxruntime`` one exported to ONNX and run by ONNX Runtime, in
        float32 on a CPU.
    dtype : {"float32", "bfloat16", "float16"}
        Number type of weights and inputs. Another type is another base classifier.
    rows : int
        Noisy copies in one forward pass; the last pass is padded to as many.
    threads : int
        Threads of one operation on the CPU.
    device : str
        ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ...

    Raises
    ------
    ValueError
        If a field is out of range, or the backend is not for that number type and device.
    """

    backend: str
    dtype: str = "float32"
    _: KW_ONLY
    rows: int
    threads: int = 1
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name, known in (("backend", BACKENDS), ("dtype", DTYPES)):
            if getattr(self, name) not in known:
                found = getattr(self, name)
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {found!r}")
        for name in ("rows", "threads"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
        try:
            torch.device(self.device)
        except (RuntimeError, TypeError):
            raise ValueError(f"device must name a torch device, got {self.device!r}") from None
        if reason := BACKENDS[self.backend].usable(self.dtype, self.device):
            raise ValueError(reason)

    def to_dict(self) -> dict:
        """The plan as a manifest holds it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict) -> Plan:
        """The plan that a manifest holds.

        Raises
        ------
        ValueError
            If a field is missing, unknown or out of range.
        """
        expected = set(cls.__dataclass_fields__)
        if not isinstance(fields, dict) or set(fields) != expected:
            raise ValueError(f"plan must have the fields {sorted(expected)}, got {fields!r}")
        return cls(**fields)


class Engine:
    """A base classifier made ready for many forward passes over one shape of input.

    Parameters
    ----------
    base : callable
        From a float batch (B, \\*shape) to scores (B, num_classes). A `torch.nn.Module` is copied:
        the copy is put in evaluation mode and prepared, the module itself is never changed.
        Changed parameters or buffers are noticed, and the module is copied again; a change of its
        code or of plain attributes is not.
    num_classes : int
        Width K of the scores.
    shape : tuple of int
        Shape of one example.
    plan : Plan
        For one, `rslib.plans.default_plan`. A module that cannot be frozen, compiled or exported
        faithfully (its trace warns, or it gives other scores on random inputs) runs with the
        backend ``eager``; see the attribute ``plan``. Ask for ``eager`` where a module branches on
        rare inputs: no trace shows that. What becomes of a NaN or an infinity *inside* the network
        may differ too (a ReLU or a maximum can drop it): it is the network as prepared that
        answers.

    Attributes
    ----------
    plan : Plan
        What is in force.
    rows_are_independent_of_place : bool
        Whether a trial found a row's scores to be the same, to the last bit, wherever it stands
        in the batch. Where they are not, several jobs do not share forward passes, or the counts
        of a job would depend on its neighbours. A plain function is taken at its word.
    """

    def __init__(
        self,
        base: Callable[[Tensor], Tensor],
        num_classes: int,
        shape: tuple[int, ...],
        plan: Plan,
    ) -> None:
        self.base, self.num_classes, self.shape = base, num_classes, tuple(shape)
        if not isinstance(base, nn.Module):
            functions = (name for name, one in BACKENDS.items() if one.for_functions)
            plan = replace(plan, backend=next(functions))
        self.plan = plan
        self.device = torch.device(self.plan.device)
        self._asked = self.plan
        self._lock, self._counting = threading.RLock(), False
        self._prepare()

    def _prepare(self) -> None:
        """Make ready, or raise and change nothing: what was stale is then still known to be."""
        plan, backend = self._asked, BACKENDS[self._asked.backend]
        dtype = getattr(torch, backend.dtypes[plan.dtype])
        noisy = torch.zeros((plan.rows, *self.shape), dtype=torch.float32, device=self.device)
        if not isinstance(self.base, nn.Module):
            self.plan, self._noisy, self._copy = plan, noisy, None
            self.rows_are_independent_of_place = True
            self._forward = lambda batch: self.base(batch.to(dtype))
            return
        for name, module in self.base.named_modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is None:
                raise ValueError(
                    f"base must answer each row by itself, got batch statistics in {name or 'base'}"
                )
        if backend.for_functions:
            raise ValueError(f"backend {backend.name!r} is for plain functions, got a torch module")
        if reason := backend.missing():
            raise ValueError(reason)
        copied = copy.deepcopy(self.base)
        ready = copy.deepcopy(copied).to(self.device, dtype).eval().requires_grad_(False)
        with _threads(plan.threads):
            faster = None
            if backend.is_recorded and not backend.channels_last:
                faster = _recorded(backend, ready, noisy, plan.threads)
            if faster is None and len(self.shape) == 3 and self.shape[0] > 1:
                # What torch's convolutions want; with one channel it is the same.
                ready = ready.to(memory_format=torch.channels_last)
                noisy = noisy.to(memory_format=torch.channels_last)
            if backend.is_recorded and backend.channels_last:
                faster = _recorded(backend, ready, noisy.to(dtype), plan.threads)
            if faster is None:
                plan, faster = replace(plan, backend="eager"), ready

            def forward(batch: Tensor) -> Tensor:
                return faster(batch.to(dtype))

            independent = _answers_rows_alike(forward, noisy)
        self.plan, self._noisy, self._copy, self._forward = plan, noisy, copied, forward
        self.rows_are_independent_of_place = independent

    def _is_stale(self) -> bool:
        """Whether the module's parameters and buffers are no longer those that were copied."""
        if self._copy is None:
            return False
        now, then = ({**dict(m.named_parameters()), **dict(m.named_buffers())}
                     for m in (self.base, self._copy))  # fmt: skip
        return now.keys() != then.keys() or not all(torch.equal(now[k], then[k]) for k in now)

    def forward(self) -> Tensor:
        """One forward pass over the buffer as it stands: scores (rows, K), checked for shape."""
        with torch.inference_mode(), _threads(self.plan.threads):
            return self._scores()

    def _scores(self) -> Tensor:
        scores = self._forward(self._noisy)
        expected = (self.plan.rows, self.num_classes)
        if not isinstance(scores, Tensor) or tuple(scores.shape) != expected:
            found = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
            raise ValueError(
                f"num_classes is {self.num_classes}: the base classifier must return scores of "
                f"shape {expected}, got {found}"
            )
        return scores

    def count(self, stream: NoiseStream, n: int) -> np.ndarray:
        """Classify n noisy copies and count the answers.

        Parameters
        ----------
        stream : rslib.noise.NoiseStream
            Where the noisy copies come from.
        n : int
            How many.

        Returns
        -------
        numpy.ndarray
            Int64 (K,), summing to n. The answer of a copy is the class of the highest score, the
            lowest such class where scores tie.

        Raises
        ------
        ValueError
            If a score is not finite (dropping such a copy would bias the counts), or the scores
            have the wrong shape.
        """
        return self.count_each([(stream, n)])[0]

    def count_each(self, jobs: Sequence[tuple[NoiseStream, int]]) -> np.ndarray:
        """Count the answers of several streams, packed into the same forward passes.

        Parameters
        ----------
        jobs : sequence of (NoiseStream, int)
            A stream and the number of copies wanted from it, see `count`.

        Returns
        -------
        numpy.ndarray
            Int64 (len(jobs), K), a row of counts for each job.

        Raises
        ------
        ValueError
            As `count`.
        """
        return self._checked_count(jobs).cpu().numpy()

    def answers_each(self, jobs: Sequence[tuple[NoiseStream, int]]) -> list[np.ndarray]:
        """Classify noisy copies, as `count_each` does, and give the answers one by one.

        A sequential run looks at them on the way. The answers are those that `count` would have
        counted, however many calls they are taken in, and whatever they are packed with; where
        ``rows_are_independent_of_place`` is False, only if n is a multiple of ``plan.rows`` in all
        calls but the last.

        Parameters
        ----------
        jobs : sequence of (NoiseStream, int)
            A stream and the number of copies wanted from it. Whole forward passes are run: ask for
            a multiple of ``plan.rows`` in all.

        Returns
        -------
        list of numpy.ndarray
            Int64 (n,) for each job, the classes in the order of the draws.

        Raises
        ------
        ValueError
            As `count`.
        """
        sizes = [n for _, n in jobs]
        answers = torch.empty(sum(sizes), dtype=torch.int64, device=self.device)
        self._checked_count(jobs, answers)
        return np.split(answers.cpu().numpy(), np.cumsum(sizes)[:-1])

    def _checked_count(
        self, jobs: Sequence[tuple[NoiseStream, int]], answers: Tensor | None = None
    ) -> Tensor:
        """Count with nobody else using the buffers, and refuse scores that are not finite."""
        with self._lock:
            if self._counting:
                raise RuntimeError("base must not certify with the classifier that calls it")
            self._counting = True
            try:
                counts, finite = self._count(jobs, answers)
            finally:
                self._counting = False
        if not finite:
            raise ValueError("base must return finite scores, got NaN or infinity under noise")
        return counts

    def _count(
        self, jobs: Sequence[tuple[NoiseStream, int]], answers: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Counts of every job, and whether all scores were finite; one caller at a time.

        All answers go to ``answers``, one after another, if it is given.
        """
        if self._is_stale():
            self._prepare()
        counts = torch.zeros(len(jobs), self.num_classes, dtype=torch.int64, device=self.device)
        ones = torch.ones(self.plan.rows, dtype=torch.int64, device=self.device)
        lowest, highest = torch.zeros(2, device=self.device)
        done = 0
        with torch.inference_mode(), _threads(self.plan.threads):
            for parts in _passes(
                [n for _, n in jobs], self.plan.rows, self.rows_are_independent_of_place
            ):
                # The rows that a short last pass leaves over keep older noise and are not counted.
                for job, start, stop in parts:
                    jobs[job][0].fill(self._noisy[start:stop])
                scores = self._scores()[: parts[-1][2]]
                # Both carry a NaN on; on the CPU this is eight times as fast as isfinite.
                low, high = scores.float().aminmax()
                lowest, highest = torch.minimum(lowest, low), torch.maximum(highest, high)
                found = scores.argmax(1)
                for job, start, stop in parts:
                    counts[job].scatter_add_(0, found[start:stop], ones[start:stop])
                if answers is not None:
                    answers[done : done + len(found)] = found
                    done += len(found)
        return counts, torch.isfinite(lowest) & torch.isfinite(highest)


def _passes(
    sizes: Sequence[int], rows: int, packed: bool = True
) -> Iterator[list[tuple[int, int, int]]]:
    """Cut jobs of these sizes into forward passes of so many rows: (job, first row, last row + 1).

    >>> list(_passes([3, 4], 5))
    [[(0, 0, 3), (1, 3, 5)], [(1, 0, 2)]]
    >>> list(_passes([3, 4], 5, packed=False))
    [[(0, 0, 3)], [(1, 0, 4)]]
    """
    parts, used = [], 0
    for job, left in enumerate(sizes):
        while left:
            take = min(left, rows - used)
            parts.append((job, used, used + take))
            left, used = left - take, used + take
            if used == rows or (not packed and not left):
                yield parts
                parts, used = [], 0
    if parts:
        yield parts


def _answers_rows_alike(forward: Callable[[Tensor], Tensor], example: Tensor) -> bool:
    """Whether the scores of a row are the same, bit for bit, wherever it stands in the batch."""
    generator = torch.Generator(example.device).manual_seed(0)
    probe = torch.empty_like(example).uniform_(generator=generator)
    moved = torch.empty_like(example).copy_(probe.roll(1, 0))
    with torch.inference_mode():
        here, there = forward(probe), forward(moved)
    if not isinstance(here, Tensor) or here.dim() != 2:
        return True  # that is refused where scores are used
    return torch.equal(here.roll(1, 0), there)


_TRACING = threading.RLock()  # warnings are recorded for the whole process


def _recorded(backend: Backend, ready: nn.Module, example: Tensor, threads: int) -> Callable | None:
    """The module as this backend runs it, or None where it is not the same function then.

    A trace is a recording: a module that branches on its input makes the tracer warn, one that
    draws random numbers outside torch gives other scores the next time. Both stay eager.
    """
    generator = torch.Generator(example.device).manual_seed(0)
    probes = [
        draw(example.shape, generator=generator, device=example.device).to(example)
        for draw in (torch.rand, torch.randn, torch.rand, torch.randn)
    ]
    # Larger, and whole numbers: on a grid values tie, and a tie may be broken in another way.
    probes[2:] = [(4 * probe).round() for probe in probes[2:]]
    with _TRACING, torch.no_grad(), warnings.catch_warnings(record=True) as caught:
        # As an error the warning may get lost on its way out of the tracer.
        warnings.simplefilter("always")
        try:
            faster = backend.prepare(ready, example, threads)
            if any(issubclass(one.category, torch.jit.TracerWarning) for one in caught):
                return None
            for probe in probes:
                # As in use: a compiled function would be compiled anew without.
                with torch.inference_mode():
                    expected, found = ready(probe).float(), faster(probe).float()
                tolerance = 1e-4 if example.dtype == torch.float32 else 5e-2
                if not (expected - found).abs().max() <= tolerance * expected.abs().max():
                    return None
        except torch.OutOfMemoryError:
            raise
        except Exception:  # whatever keeps the module from being followed, eager mode still works
            return None
    return faster


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    if before == count:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
