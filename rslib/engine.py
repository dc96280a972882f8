"""The engine: run a base classifier on noisy copies of one example and count its answers.

Certifying costs n forward passes an example, so the network is prepared once: evaluation mode, no
gradients, frozen and optimised for inference where that gives the same scores, buffers that are
reused. Everything that can change a score in its last bits is fixed by a `Plan`, which is chosen
once and recorded: the noise of an example is always the same, its counts are the same under one
plan.
"""

from __future__ import annotations

import copy
import io
import math
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from numbers import Integral

import numpy as np
import torch
from torch import Tensor, nn

from rslib.noise import FloatGaussian, NoiseStream, Purpose

__all__ = ["BACKENDS", "Engine", "Plan", "default_plan", "fastest_plan"]

BACKENDS = ("callable", "eager", "frozen", "compiled", "onnxruntime")
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# Values in one forward pass: large enough to keep a core busy, small enough for its cache.
_VALUES_PER_PASS = 2**16
# No more is tried: what a pass costs beside its rows is then next to nothing, and what the last,
# padded pass wastes grows.
_MOST_ROWS, _LONGEST_PASS = 2**12, 0.1  # seconds


@dataclass(frozen=True)
class Plan:
    """How a base classifier is run; two runs under one plan give the same counts.

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
    """

    backend: str = "frozen"
    dtype: str = "float32"
    rows: int = 1024
    threads: int = 1
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, got {self.backend!r}")
        if self.dtype not in _DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(_DTYPES)}, got {self.dtype!r}")
        for name in ("rows", "threads"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
        try:
            torch.device(self.device)
        except (RuntimeError, TypeError):
            raise ValueError(f"device must name a torch device, got {self.device!r}") from None
        where = (self.dtype, torch.device(self.device).type)
        if self.backend == "onnxruntime" and where != ("float32", "cpu"):
            raise ValueError(f"backend 'onnxruntime' is for float32 on the cpu, got {where}")

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


def default_plan(base: Callable, shape: tuple[int, ...], device: str = "cpu") -> Plan:
    """The plan that is used when none is given; nothing is timed for it.

    Parameters
    ----------
    base : callable
        The base classifier. A module is frozen on the CPU; anything else is called as it is.
    shape : tuple of int
        Shape of one example.
    device : str
        Where it runs.

    Returns
    -------
    Plan
    """
    if not isinstance(base, nn.Module):
        backend = "callable"
    else:
        backend = "frozen" if torch.device(device).type == "cpu" else "eager"
    rows = max(16, min(4096, _VALUES_PER_PASS // max(1, math.prod(shape))))
    if torch.device(device).type != "cpu":
        rows = max(rows, 1024)
    return Plan(backend, "float32", rows, torch.get_num_threads(), device)


def fastest_plan(
    base: Callable,
    num_classes: int,
    shape: tuple[int, ...],
    device: str = "cpu",
    dtype: str = "float32",
    repeats: int = 3,
) -> Plan:
    """Time the backends on the given shape, then larger batches for the fastest of them.

    Parameters
    ----------
    base, num_classes, shape, device
        As for `Engine`.
    dtype : str
        As in `Plan`; it is kept, not chosen.
    repeats : int
        Least number of timed runs of each candidate, after one that is not counted; the median
        counts. A second's worth is run, up to 15 times.

    Returns
    -------
    Plan
        The choice depends on the machine and its load: record it, and reuse it for every run that
        has to give the same counts.
    """
    start = replace(default_plan(base, shape, device), dtype=dtype)
    on_cpu = torch.device(device).type == "cpu"
    backends = ["callable"] if start.backend == "callable" else ["eager", "frozen"]
    if "frozen" in backends and on_cpu and dtype == "float32" and _has_onnx():
        backends.append("onnxruntime")
    # With noise: it shares the processor's cache with the network, which favours larger batches.
    stream = FloatGaussian(1).stream(torch.zeros(shape), 0, Purpose.TRAINING, 0, start.device)

    def ready(plan: Plan) -> Engine | None:
        """Warmed up; None where the plan cannot be kept, or the memory does not suffice."""
        try:
            engine = Engine(base, num_classes, shape, plan)
            if engine.plan.backend == plan.backend:
                engine.count(stream, plan.rows)
                return engine
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
        return None

    def once(engine: Engine, copies: int) -> float:
        began = time.perf_counter()
        try:
            engine.count(stream, copies)
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            return math.inf
        return (time.perf_counter() - began) / copies

    def fastest(plans: list[Plan]) -> tuple[Plan | None, float]:
        """Of those that can be run, and its seconds a copy.

        What else a CPU does comes and goes: there they take turns.
        """
        times = {}
        for group in [plans] if on_cpu else [[plan] for plan in plans]:
            engines = [engine for engine in map(ready, group) if engine]
            copies = max(plan.rows for plan in plans)
            began, turns = time.perf_counter(), []
            while len(turns) < repeats or (len(turns) < 15 and time.perf_counter() - began < 1):
                turns.append([once(engine, copies) for engine in engines])
            for engine, taken in zip(engines, zip(*turns)):
                if max(taken) < math.inf:
                    times[engine.plan] = float(np.median(taken))
            engines.clear()  # their memory is the next one's
        best = min(times, key=times.get, default=None)
        return best, times.get(best, math.inf)

    rows = max(1, start.rows // 2)
    best, each = fastest([replace(start, backend=backend, rows=rows) for backend in backends])
    while best is None and rows > 1:
        rows = max(1, rows // 2)
        best, each = fastest([replace(start, backend=backend, rows=rows) for backend in backends])
    if best is None:
        return replace(start, rows=1)  # whoever uses it is told
    while True:
        sizes = [factor * best.rows for factor in (2, 4)]
        sizes = [size for size in sizes if size <= _MOST_ROWS and size * each <= _LONGEST_PASS]
        larger = [replace(best, rows=size) for size in sizes]
        found, seconds = fastest([best, *larger]) if larger else (best, each)
        if found in (best, None):
            break
        best, each = found, seconds
    if best.backend != "callable" and not on_cpu:
        # It takes a minute to compile, so at one size only; and pays on a GPU at most.
        best = fastest([best, replace(best, backend="compiled")])[0] or best
    return best


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
    plan : Plan, optional
        Default: `default_plan`. A module that cannot be frozen, compiled or exported faithfully
        (its trace warns, or it gives other scores on random inputs) runs with the backend
        ``eager``; see the attribute ``plan``. Ask for ``eager`` where a module branches on rare
        inputs: no trace shows that. What becomes of a NaN or an infinity *inside* the network may
        differ too (a ReLU or a maximum can drop it): it is the network as prepared that answers.

    Attributes
    ----------
    plan : Plan
        What is in force.
    packs : bool
        Whether noisy copies of several jobs share forward passes: where a trial shows that a row's
        scores depend, in their last bits, on where it stands in the batch, they do not, or the
        counts of a job would depend on its neighbours. A plain function is taken at its word.
    """

    def __init__(
        self,
        base: Callable[[Tensor], Tensor],
        num_classes: int,
        shape: tuple[int, ...],
        plan: Plan | None = None,
    ) -> None:
        self.base, self.num_classes, self.shape = base, num_classes, tuple(shape)
        self.plan = plan or default_plan(base, self.shape)
        if not isinstance(base, nn.Module):
            self.plan = replace(self.plan, backend="callable")
        self.device = torch.device(self.plan.device)
        self._asked = self.plan
        self._lock, self._counting = threading.RLock(), False
        self._prepare()

    def _prepare(self) -> None:
        """Make ready, or raise and change nothing: what was stale is then still known to be."""
        plan, dtype = self._asked, _DTYPES[self._asked.dtype]
        noisy = torch.zeros((plan.rows, *self.shape), dtype=torch.float32, device=self.device)
        if not isinstance(self.base, nn.Module):
            self.plan, self._noisy, self._copy, self.packs = plan, noisy, None, True
            self._forward = lambda batch: self.base(batch.to(dtype))
            return
        for name, module in self.base.named_modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is None:
                raise ValueError(
                    f"base must answer each row by itself, got batch statistics in {name or 'base'}"
                )
        if plan.backend == "callable":
            raise ValueError("backend 'callable' is for plain functions, got a torch module")
        if plan.backend == "onnxruntime" and not _has_onnx():
            raise ValueError(
                "backend 'onnxruntime' needs the packages onnx and onnxruntime: pip install them, "
                "or choose another"
            )
        copied = copy.deepcopy(self.base)
        ready = copy.deepcopy(copied).to(self.device, dtype).eval().requires_grad_(False)
        faster = None
        with _threads(plan.threads):
            if plan.backend == "onnxruntime":
                faster = _faithful(_to_onnx, ready, noisy)
            if faster is None and len(self.shape) == 3 and self.shape[0] > 1:
                # What torch's convolutions want; with one channel it is the same.
                ready = ready.to(memory_format=torch.channels_last)
                noisy = noisy.to(memory_format=torch.channels_last)
            if plan.backend in _WAYS:
                faster = _faithful(_WAYS[plan.backend], ready, noisy.to(dtype))
            if faster is None:
                plan, faster = replace(plan, backend="eager"), ready

            def forward(batch: Tensor) -> Tensor:
                return faster(batch.to(dtype))

            packs = _answers_rows_alike(forward, noisy)
        self.plan, self._noisy, self._copy, self.packs = plan, noisy, copied, packs
        self._forward = forward

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
        ``packs`` is False, only if n is a multiple of ``plan.rows`` in all calls but the last.

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
            for parts in _passes([n for _, n in jobs], self.plan.rows, self.packs):
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


def _freeze(ready: nn.Module, example: Tensor) -> Callable[[Tensor], Tensor]:
    traced = torch.jit.trace(ready, example, check_trace=False)
    return torch.jit.optimize_for_inference(torch.jit.freeze(traced))


def _compile(ready: nn.Module, example: Tensor) -> Callable[[Tensor], Tensor]:
    compiled = torch.compile(ready, fullgraph=True, dynamic=False, options={"freezing": True})
    with torch.inference_mode():
        compiled(example)
    return compiled


_WAYS = {"frozen": _freeze, "compiled": _compile}
_TRACING = threading.RLock()  # warnings are recorded for the whole process


def _has_onnx() -> bool:
    return all(find_spec(name) for name in ("onnx", "onnxruntime"))


def _to_onnx(ready: nn.Module, example: Tensor) -> Callable[[Tensor], Tensor]:
    """The module in ONNX Runtime, with as many threads as torch has now."""
    import onnxruntime

    exported = io.BytesIO()
    torch.onnx.export(ready, (example,), exported, dynamo=False, input_names=["x"])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(
        exported.getvalue(), options, providers=["CPUExecutionProvider"]
    )
    return lambda batch: torch.from_numpy(session.run(None, {"x": batch.numpy()})[0])


def _faithful(way: Callable, ready: nn.Module, example: Tensor) -> Callable | None:
    """The module made faster in this way, or None where it is not the same function then.

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
            faster = way(ready, example)
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
