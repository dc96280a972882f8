"""A base classifier made ready to run: every preparation is a candidate, none is forced.

What runs gives the scores that the user's own module gives, uncast and unprepared, in evaluation
mode; a preparation that gives others, or that cannot be made, is not used.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from rslib import _modules, _probes
from rslib._modules import GlobalGenerators, state_kept
from rslib._outputs import as_tensor, read_scores
from rslib.backends import BACKENDS, Backend, CannotRun

# Warnings are recorded for the whole process.
_RECORDING = threading.RLock()


@dataclass(frozen=True)
class Ready:
    """A base classifier, and how it is to be called.

    ``run`` takes a batch in float32 whose layout is that of ``example``, under ``mode``, and
    computes in ``dtype``. ``module`` is what runs, if it is a module and not yet recorded.
    """

    run: Callable[[Tensor], object]
    example: Tensor
    num_classes: int
    dtype: torch.dtype
    backend: Backend
    mode: Callable[[], AbstractContextManager] = torch.no_grad
    module: nn.Module | None = None
    is_copy: bool = False

    def scores(self, batch: Tensor) -> Tensor:
        """Scores (B, K) or labels (B,) of a batch; the caller has set the mode.

        Raises
        ------
        ValueError
            If they have another shape.
        """
        found = read_scores(self.run(batch), self.num_classes).detach()
        if len(found) != len(batch):
            raise ValueError(
                f"num_classes is {self.num_classes}: the base classifier must return scores of "
                f"shape {(len(batch), self.num_classes)}, got {tuple(found.shape)}"
            )
        return found

    def probed(self, batch: Tensor) -> Tensor:
        """The scores of a batch that the base classifier may change, in a tensor of their own."""
        with self.mode():
            return self.scores(batch.clone(memory_format=torch.preserve_format)).clone()

    def rows_are_independent_of_place(self) -> bool:
        """See `rslib._probes.check_rows`, which refuses some."""
        return _probes.check_rows(
            self.probed,
            self.example,
            self.num_classes,
            self.dtype,
            watch=not self.backend.is_recorded,
        )


def function_made_ready(
    base: Callable,
    example: Tensor,
    num_classes: int,
    backend: Backend,
    number_type: str,
    threads: int,
) -> tuple[Ready, bool]:
    """A function as its backend runs it, and whether its rows are independent of their place.

    It runs without gradients, and with them where it needs them; never in inference mode, since
    the tensors that it keeps would be of no use for training.
    """
    dtype = getattr(torch, backend.dtypes[number_type])
    answers = backend.prepare(base, example, threads)

    def run(batch: Tensor) -> object:
        return answers(batch.to(dtype))

    ready = Ready(run, example, num_classes, dtype, backend)
    if answers is not base:
        itself = replace(ready, run=lambda batch: base(batch.to(dtype)))
        if not _probes.agree_as_programs(_scores_of(itself), _scores_of(ready)):
            raise CannotRun(
                f"backend {backend.name!r} computes another function than the network does by "
                "itself: choose another backend"
            )
    try:
        return ready, ready.rows_are_independent_of_place()
    except (ValueError, torch.OutOfMemoryError):
        raise
    except Exception as without:
        ready = replace(ready, mode=torch.enable_grad)
        try:
            return ready, ready.rows_are_independent_of_place()
        except ValueError:
            raise
        except Exception:
            raise without from None


def module_made_ready(
    base: nn.Module,
    example: Tensor,
    num_classes: int,
    backend: Backend,
    number_type: str,
    threads: int,
) -> Ready:
    """A module, as its backend runs it where that gives the same scores.

    Raises
    ------
    TypeError
        If it cannot be copied and is in training mode.
    ValueError
        If its number types do not go together, or not with the one that is asked for.
    """
    for name, part in base.named_modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.running_mean is None:
            raise ValueError(
                f"base must answer each row by itself, got batch statistics in {name or 'base'}"
            )
    plain, is_copy = _plain(base, example.device)
    asked = getattr(torch, backend.dtypes[number_type])
    dtype = _input_type(plain, asked, number_type, is_copy)

    def fresh() -> nn.Module:
        copy, _ = _plain(base, example.device)
        return _modules.moved(copy, dtype) if number_type != "float32" else copy

    if number_type != "float32" and is_copy:
        plain = _modules.moved(plain, dtype)  # another base classifier, and the user's choice
    before = _modules.attributes(plain)
    generators = GlobalGenerators(example.device)
    try:
        with state_kept():
            ready, expected = _reference(plain, example, num_classes, dtype, is_copy)
            generators.restore()
            if is_copy and _modules.attributes(plain) != before:
                _check_forgets(ready, expected, fresh)
                generators.restore()
            if is_copy and number_type == "float32" and not _answers_alike(base, ready, expected):
                return _as_it_is(base, example, num_classes, dtype, is_copy=False)
        if not is_copy:
            return ready
        if number_type == "float32" and len(_modules.number_types(plain)) == 1:
            ready = _cast(ready, expected, asked) or ready
        found = None
        if not backend.channels_last:
            found = _recorded(backend, ready, expected, threads)
        if found is None:
            ready = _channels_last(ready, expected) or ready
            if backend.channels_last:
                found = _recorded(backend, ready, expected, threads)
        return found or ready
    finally:
        generators.restore()


def _plain(base: nn.Module, device: torch.device) -> tuple[nn.Module, bool]:
    """An uncast copy in evaluation mode, or the module itself, and whether it is a copy."""
    try:
        plain = _modules.in_evaluation_mode(_modules.copied(base))
    except Exception as error:
        if _modules.is_in_training(base):
            raise TypeError(
                f"base cannot be copied ({error}), and is in training mode: call its .eval() "
                "first, then it is run itself, as it is"
            ) from error
        places = {tensor.device.type for tensor in _modules.tensors(base).values()}
        if places - {device.type}:
            raise TypeError(
                f"base cannot be copied ({error}), and is on {' and '.join(places)}: move it to "
                f"{device} first, then it is run itself, as it is"
            ) from error
        return base, False
    if any(tensor.device != device for tensor in _modules.tensors(plain).values()):
        plain = _modules.moved(plain, device)
    return plain, True


def _input_type(
    plain: nn.Module, asked: torch.dtype, number_type: str, is_copy: bool
) -> torch.dtype:
    """What the inputs are cast to: the one real number type of a module, or float32."""
    types = _modules.number_types(plain)
    if number_type == "float32":
        one = next(iter(types)) if len(types) == 1 else asked
        return asked if one.is_complex else one
    if types.keys() - {asked} and not is_copy:
        raise TypeError(f"base cannot be copied, so not be run in {number_type}: cast it first")
    if len(types) > 1 or any(one.is_complex for one in types):
        raise ValueError(
            f"dtype {number_type!r} is for a base of one real number type, got {_shown(types)}"
        )
    return asked


def _shown(types: dict[torch.dtype, list[str]]) -> str:
    return ", ".join(
        f"{str(one).removeprefix('torch.')} in {', '.join(names[:2])}"
        + (" and others" if len(names) > 2 else "")
        for one, names in types.items()
    )


def _as_it_is(
    module: nn.Module, example: Tensor, num_classes: int, dtype: torch.dtype, is_copy: bool
) -> Ready:
    def run(batch: Tensor) -> object:
        return module(batch.to(dtype))

    eager = BACKENDS["eager"]
    return Ready(run, example, num_classes, dtype, eager, module=module, is_copy=is_copy)


def _reference(
    plain: nn.Module, example: Tensor, num_classes: int, dtype: torch.dtype, is_copy: bool
) -> tuple[Ready, list[Tensor]]:
    """The module run plainly, and its scores, which all that runs in its place must give."""
    types = _modules.number_types(plain)
    tried = [dtype]
    if len(types) > 1:
        tried += [one for one in types if one != dtype and not one.is_complex]
    errors = []
    for one in tried:
        ready = _as_it_is(plain, example, num_classes, one, is_copy)
        for mode in (torch.no_grad, torch.enable_grad):
            ready = replace(ready, mode=mode)
            try:
                return ready, _scores_of(ready)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:
                errors.append(error)
    if len(types) <= 1:
        raise errors[0]
    raise ValueError(
        f"base must run on inputs in {' or '.join(str(one) for one in tried)}, its tensors are "
        f"{_shown(types)}: give them one number type, or cast where they meet ({errors[0]})"
    ) from errors[0]


def _scores_of(ready: Ready) -> list[Tensor]:
    return [ready.probed(one) for one in _probes.probes(ready.example)]


def _check_forgets(ready: Ready, expected: list[Tensor], fresh: Callable[[], nn.Module]) -> None:
    """Refuse a module that answers by what it was asked first.

    Fresh copies of it are asked another batch first. What differs is kept from there, if each copy
    gives the same twice: randomness would not.
    """

    def same(one: Tensor, another: Tensor) -> bool:
        return _probes.agree([one], [another], ready.dtype)

    for probe, once in zip(_probes.probes(ready.example)[1:], expected[1:], strict=True):
        other = _as_it_is(fresh(), ready.example, ready.num_classes, ready.dtype, is_copy=True)
        other = replace(other, mode=ready.mode)
        first = other.probed(probe)
        if (
            not same(once, first)
            and same(once, ready.probed(probe))
            and same(first, other.probed(probe))
        ):
            raise ValueError(
                "base must give a row the same scores whatever it was asked before, got others "
                "after another first batch: what does it keep in an attribute? Let it compute that "
                "anew, or run it on data of yours until it is settled"
            )


def _answers_alike(base: nn.Module, ready: Ready, expected: list[Tensor]) -> bool:
    """Whether the module, if it is in evaluation mode too, gives the scores of its copy."""
    places = {tensor.device for tensor in _modules.tensors(base).values()}
    if _modules.is_in_training(base) or places - {ready.example.device}:
        return True
    itself = replace(ready, run=lambda batch: base(batch.to(ready.dtype)))
    first = _probes.probes(ready.example)[0]
    return _probes.agree(expected[:1], [itself.probed(first)], ready.dtype)


def _cast(ready: Ready, expected: list[Tensor], dtype: torch.dtype) -> Ready | None:
    if ready.dtype == dtype or ready.module is None:
        return None

    def change(module: nn.Module) -> nn.Module:
        return _modules.moved(module, dtype)

    return _changed(ready, expected, change, ready.example, dtype)


def _channels_last(ready: Ready, expected: list[Tensor]) -> Ready | None:
    """As torch's convolutions want colour images; with one channel it is the same."""
    if ready.example.dim() != 4 or ready.example.shape[1] == 1:
        return None

    def change(module: nn.Module) -> nn.Module:
        return _modules.moved(module, memory_format=torch.channels_last)

    example = ready.example.to(memory_format=torch.channels_last)
    return _changed(ready, expected, change, example, ready.dtype)


def _changed(
    ready: Ready,
    expected: list[Tensor],
    change: Callable[[nn.Module], nn.Module],
    example: Tensor,
    dtype: torch.dtype,
) -> Ready | None:
    """The module changed in this way, or None where it is not the same function then."""
    assert ready.module is not None
    try:
        module = change(_modules.copied(ready.module))
        found = _as_it_is(module, example, ready.num_classes, dtype, is_copy=True)
        found = replace(found, mode=ready.mode)
        with state_kept():
            return found if _probes.agree(expected, _scores_of(found), dtype) else None
    except torch.OutOfMemoryError:
        raise
    except Exception:  # whatever keeps it from being changed, it still runs as it is
        return None


class _OneTensor(nn.Module):
    """A module of which only the tensor of scores or labels is returned."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.training = False  # what torch.export made must not be told
        self.module = module

    def forward(self, x: Tensor) -> Tensor | None:
        return as_tensor(self.module(x))


def _recorded(backend: Backend, ready: Ready, expected: list[Tensor], threads: int) -> Ready | None:
    """The module as this backend runs it, or None where it is not the same function then.

    A trace is a recording: a module that branches on its input makes the tracer warn, one that
    draws random numbers outside torch gives other scores the next time. Both stay eager.
    """
    if not backend.is_recorded or ready.module is None:
        return None
    dtype = ready.dtype
    with _RECORDING, torch.no_grad(), warnings.catch_warnings(record=True) as caught:
        # As an error the warning may get lost on its way out of the tracer.
        warnings.simplefilter("always")
        try:
            # Nothing is watched here: torch.compile does not follow a module that hooks look at.
            faster = backend.prepare(_OneTensor(ready.module), ready.example.to(dtype), threads)
            if any(issubclass(one.category, torch.jit.TracerWarning) for one in caught):
                return None
            found = replace(
                ready,
                run=lambda batch: faster(batch.to(dtype)),
                backend=backend,
                mode=torch.inference_mode,
                module=None,
            )
            return found if _probes.agree(expected, _scores_of(found), dtype) else None
        except torch.OutOfMemoryError:
            raise
        except Exception:  # whatever keeps the module from being followed, eager mode still works
            return None


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """So many threads of one operation inside, as many as before after."""
    before = torch.get_num_threads()
    if before == count:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
