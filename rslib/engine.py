"""The engine: run a base classifier on noisy copies of one example and count its answers.

Certifying costs n forward passes an example, so the network is prepared once: evaluation mode, no
gradients, frozen and optimised for inference where that gives the same scores, buffers that are
reused. Everything that can change a score in its last bits is fixed by a `Plan`, which is chosen
once and recorded: the noise of an example is always the same, its counts are the same under one
plan.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, asdict, dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from rslib import _checks
from rslib._modules import tensors
from rslib._outputs import answers as answers_of
from rslib._outputs import read_scores
from rslib._preparation import function_made_ready, module_made_ready, torch_threads
from rslib.backends import BACKENDS, DTYPES, number_type, offered
from rslib.noise import NoiseStream

__all__ = ["Engine", "Plan", "read_scores"]


@dataclass(frozen=True)
class Plan:
    """How a base classifier is run; two runs under one plan give the same counts.

    `rslib.plans` has the default plan and the fastest one.

    Attributes
    ----------
    backend : {"callable", "quantized", "openvino", "eager", "frozen", "compiled", "onnxruntime"}
        ``callable`` calls the base classifier as it is; ``quantized`` one that `rslib.quantization`
        wrote, run by ONNX Runtime on a CPU, ``openvino`` the same file, run by OpenVINO: it rounds
        otherwise here and there, so it is another base classifier; ``eager`` a copy in evaluation
        mode;
        ``frozen`` a traced, frozen copy; ``compiled`` one compiled by `torch.compile`, which needs
        a C++ compiler on the CPU; ``onnxruntime`` one exported to ONNX and run by ONNX Runtime, in
        float32 on a CPU.
    dtype : {"float32", "int8", "bfloat16", "float16"}
        Number type of weights and inputs. Another type is another base classifier. ``int8`` stands
        in the file of a network and cannot be asked of another (`rslib.quantization`): its inputs
        are float32.
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
    TypeError
        If ``rows`` or ``threads`` is no whole number.
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
            _checks.whole(name, getattr(self, name))
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
        try:
            return cls(**fields)
        except TypeError as error:
            raise ValueError(str(error)) from None


class Engine:
    """A base classifier made ready for many forward passes over one shape of input.

    Parameters
    ----------
    base : callable
        From a float batch (B, \\*shape) to scores (B, num_classes) or labels (B,), in anything
        that `read_scores` reads. A `torch.nn.Module` is copied: the copy is put in evaluation mode
        and prepared where that leaves its scores as they are, the module itself is never changed.
        One that cannot be copied runs itself, if it is in evaluation mode. Changed parameters or
        buffers are noticed, and the module is copied again; a change of its code or of plain
        attributes is not.
    num_classes : int
        Width K of the scores.
    shape : tuple of int
        Shape of one example.
    plan : Plan
        For one, `rslib.plans.default_plan`. A module that cannot be frozen, compiled or exported
        faithfully (its trace warns, or it gives other scores on random inputs) runs with the
        backend ``eager``; see the attribute ``plan``. Likewise a module of another number type
        than float32 is cast only if all its tensors are of one type and its scores stay the same.
        Ask for ``eager`` where a module branches on rare inputs: no trace shows that. What becomes
        of a NaN or an infinity *inside* the network may differ too (a ReLU or a maximum can drop
        it): it is the network as prepared that answers.

    Attributes
    ----------
    plan : Plan
        What is in force.
    rows_are_independent_of_place : bool
        Whether a trial found a row's scores to be the same, to the last bit, wherever it stands
        in the batch. Where they are not, several jobs do not share forward passes, or the counts
        of a job would depend on its neighbours.

    Raises
    ------
    ValueError
        If the base classifier, asked about random rows, is found not to answer each row by
        itself: the same row gets other scores among other rows or in another place, or the rows of
        a batch share their randomness. A base classifier that is random, with fresh randomness for
        each row, is refused with a probability of at most 10^-6. A network in training mode behind
        a function is refused; it gets back the state that it had. Also if the scores do not fit
        ``num_classes``, and if the tensors of a module are of number types that do not go together.
        Also if the plan's backend is not installed or cannot run this network.
    TypeError
        If a module can be neither copied nor run as it is; the error says what to do.
    """

    def __init__(
        self,
        base: Callable[[Tensor], Tensor],
        num_classes: int,
        shape: tuple[int, ...],
        plan: Plan,
    ) -> None:
        self.base, self.num_classes, self.shape = base, num_classes, tuple(shape)
        self.plan = plan if isinstance(base, nn.Module) else _for_function(base, plan)
        self.device = torch.device(self.plan.device)
        self._asked = self.plan
        self._lock, self._counting = threading.RLock(), False
        self._prepare()

    def _prepare(self) -> None:
        """Make ready, or raise and change nothing: what was stale is then still known to be."""
        plan, backend = self._asked, BACKENDS[self._asked.backend]
        example = torch.zeros((plan.rows, *self.shape), dtype=torch.float32, device=self.device)
        copied_from = None
        with _preparing(self.base), torch_threads(plan.threads):
            if isinstance(self.base, nn.Module) and backend.for_functions:
                kind = (
                    "networks in files of their own"
                    if backend.brings_its_type
                    else "plain functions"
                )
                raise ValueError(f"backend {backend.name!r} is for {kind}, got a torch module")
            if reason := backend.missing():
                raise ValueError(reason)
            if isinstance(self.base, nn.Module):
                copied_from = {k: t.detach().clone() for k, t in tensors(self.base).items()}
                ready = module_made_ready(
                    self.base, example, self.num_classes, backend, plan.dtype, plan.threads
                )
                independent = ready.rows_are_independent_of_place()
                copied_from = copied_from if ready.is_copy else None
            else:
                ready, independent = function_made_ready(
                    self.base, example, self.num_classes, backend, plan.dtype, plan.threads
                )
        name = str(ready.dtype).removeprefix("torch.")
        if plan.dtype == "float32" and name in DTYPES:
            plan = replace(plan, dtype=name)  # a module that a cast would change keeps its own
        self.plan = replace(plan, backend=ready.backend.name)
        self._ready, self._noisy, self._copied_from = ready, ready.example, copied_from
        self.rows_are_independent_of_place = independent

    def _is_stale(self) -> bool:
        """Whether the module's parameters and buffers are no longer those that were copied."""
        if self._copied_from is None or not isinstance(self.base, nn.Module):
            return False
        now, then = tensors(self.base), self._copied_from
        return now.keys() != then.keys() or not all(_same(now[k], then[k]) for k in now)

    def forward(self) -> Tensor:
        """One forward pass over the buffer as it stands: scores (rows, K), checked for shape."""
        with self._ready.mode(), torch_threads(self.plan.threads):
            return self._ready.scores(self._given())

    def _given(self) -> Tensor:
        """What the next pass is given: a tensor of its own, where Python code may keep it.

        A cache by object or address would answer all passes over one buffer as it did the first.
        """
        if self._ready.backend.is_recorded:
            return self._noisy
        return self._noisy.clone(memory_format=torch.preserve_format)

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
        alone = not self.rows_are_independent_of_place
        with self._ready.mode(), torch_threads(self.plan.threads):
            for parts in _passes([n for _, n in jobs], self.plan.rows, not alone):
                # The rows that a short last pass leaves over are not counted.
                for job, start, stop in parts:
                    jobs[job][0].fill(self._noisy[start:stop])
                if alone:
                    self._noisy[parts[-1][2] :] = 0  # or they would be another job's
                scores = self._ready.scores(self._given()).to(self.device)[: parts[-1][2]]
                if scores.dtype.is_floating_point:
                    # Both carry a NaN on; on the CPU this is eight times as fast as isfinite.
                    low, high = scores.float().aminmax()
                    lowest, highest = torch.minimum(lowest, low), torch.maximum(highest, high)
                found = answers_of(scores)
                for job, start, stop in parts:
                    counts[job].scatter_add_(0, found[start:stop], ones[start:stop])
                if answers is not None:
                    answers[done : done + len(found)] = found
                    done += len(found)
        return counts, torch.isfinite(lowest) & torch.isfinite(highest)


def _same(now: Tensor, then: Tensor) -> bool:
    """Whether two tensors hold the same values; a NaN is the same as a NaN."""
    return torch.equal(now, then) or (
        now.shape == then.shape
        and now.dtype == then.dtype
        and not bool(((now != then) & ~((now != now) & (then != then))).any())
    )


def _for_function(base: Callable, plan: Plan) -> Plan:
    """The plan, with a backend that is for such a function.

    Raises
    ------
    ValueError
        If the plan's number type or device is not for it.
    """
    found, dtype = offered(True, number_type(base), plan.dtype, plan.device)
    names = [one.name for one in found]
    backend = plan.backend if plan.backend in names else names[0]
    return replace(plan, backend=backend, dtype=dtype)


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


# The base classifiers that this thread is asking what they answer, so as to make them ready.
_ASKED = threading.local()


@contextmanager
def _preparing(base: Callable) -> Iterator[None]:
    asked = vars(_ASKED).setdefault("bases", set())
    if id(base) in asked:
        raise RuntimeError("base must not certify with the classifier that calls it")
    asked.add(id(base))
    try:
        yield
    finally:
        asked.remove(id(base))
