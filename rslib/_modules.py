"""Torch modules as they come: copied whatever they hold, their number types, their state kept."""

from __future__ import annotations

import copy
import io
import pickle
import random
import threading
import types
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin

_ATOMS = (type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType)


def copied(module: nn.Module) -> nn.Module:
    """A copy that shares with the module only what cannot be copied, such as a lock.

    `copy.deepcopy` refuses tensors that were computed from parameters, which weight norm, spectral
    norm and modules that keep their features hold after training. Their values are copied here.

    Raises
    ------
    Exception
        Whatever the module raises where it cannot be copied at all.
    """
    with suppress(Exception):
        return copy.deepcopy(module)
    file = io.BytesIO()
    pickler = _Pickler(file)
    pickler.dump(module)
    file.seek(0)
    return _Unpickler(file, pickler.others).load()


class _Pickler(pickle.Pickler):
    """Writes the structure of a module; what is no structure is kept beside, in ``others``."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self.others: list[object] = []
        self._places: dict[int, int] = {}
        self._alive: list[object] = []  # an id names an object as long as it lives
        self._memo: dict = {}

    def persistent_id(self, found: object) -> int | None:
        if id(found) in self._places:
            return self._places[id(found)]
        if isinstance(found, Tensor):
            other: object = (
                copy.deepcopy(found, self._memo) if found.is_leaf else found.detach().clone()
            )
        elif isinstance(found, _ATOMS):
            other = found
        elif hasattr(found, "__deepcopy__"):
            other = copy.deepcopy(found, self._memo)
        elif _can_be_taken_apart(found):
            return None
        else:
            other = found
        self._places[id(found)] = len(self.others)
        self._alive.append(found)
        self.others.append(other)
        return self._places[id(found)]


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, others: list[object]) -> None:
        super().__init__(file)
        self._others = others

    def persistent_load(self, place: int) -> object:
        return self._others[place]


def _can_be_taken_apart(found: object) -> bool:
    if type(found).__module__ == "builtins":
        return type(found) not in (types.GeneratorType, types.CoroutineType)
    try:
        found.__reduce_ex__(4)
    except TypeError:  # as locks, sockets and sessions say it
        return False
    return True


def in_evaluation_mode(module: nn.Module) -> nn.Module:
    """The module itself, in evaluation mode; what torch.export made has no other mode."""
    with suppress(NotImplementedError):
        module.eval()
    return module


def is_in_training(module: nn.Module) -> bool:
    """Whether some part of the module is in training mode."""
    return any(getattr(part, "training", False) for part in module.modules())


def moved(module: nn.Module, *to: Any, **how: Any) -> nn.Module:
    """The module after its own `to`, which may return nothing where somebody wrote it anew."""
    module.to(*to, **how)
    return module


def tensors(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, also those that are not saved."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def number_types(module: nn.Module) -> dict[torch.dtype, list[str]]:
    """The floating and complex types of a module's tensors, and the names of those of each."""
    found = defaultdict(list)
    for name, tensor in tensors(module).items():
        if tensor.dtype.is_floating_point or tensor.dtype.is_complex:
            found[tensor.dtype].append(name)
    return dict(found)


def attributes(module: nn.Module) -> dict[tuple[str, str], tuple[int, int]]:
    """What the modules keep besides parameters, buffers and modules: which objects, and how long.

    Two answers are equal if nothing was put there, or taken away, between them.
    """
    found = {}
    for name, part in module.named_modules():
        for key, value in vars(part).items():
            if key not in ("_parameters", "_buffers", "_modules", "training"):
                size = len(value) if isinstance(value, list | dict | set) else 0
                found[name, key] = id(value), size
    return found


@dataclass
class Watched:
    """What `state_kept` saw: the modules that were called, and what they did to themselves."""

    modules: list[nn.Module] = field(default_factory=list)
    #: Tensors of modules in training mode that a call changed.
    changed_in_training: list[str] = field(default_factory=list)

    def in_training(self) -> bool:
        return any(map(is_in_training, self.modules))


@contextmanager
def state_kept() -> Iterator[Watched]:
    """Give every module that this thread calls inside the state back that it had before.

    Tensors, attributes and generators of the module and of its parts; by whatever way a function
    comes to call it.
    """
    thread, states, watched = threading.get_ident(), {}, Watched()

    def before_it_runs(module: nn.Module, inputs: object) -> None:
        if threading.get_ident() != thread or id(module) in states:
            return
        watched.modules.append(module)
        for name, part in module.named_modules():
            if id(part) not in states:
                states[id(part)] = _State(name or type(part).__name__, part)

    handle = nn.modules.module.register_module_forward_pre_hook(before_it_runs)
    try:
        yield watched
    finally:
        handle.remove()
        for state in states.values():
            watched.changed_in_training += state.restore()


class _State:
    """A module's own state, without that of its parts."""

    def __init__(self, name: str, module: nn.Module) -> None:
        self._name, self._module = name, module
        # A lazy module becomes another when it is first called.
        lazy = isinstance(module, LazyModuleMixin) and module.has_uninitialized_params()
        self._tables = []
        if not lazy and not isinstance(module, torch.jit.ScriptModule):
            own = vars(module)
            self._tables = [own, own["_parameters"], own["_buffers"]]
        self._before = [dict(table) for table in self._tables]
        held = [value for table in self._before for value in table.values()]
        if isinstance(module, torch.jit.ScriptModule):
            held = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
        self._tensors = [(value, value.detach().clone()) for value in held if _has_values(value)]
        self._generators = [
            (value, _generator_state(value)) for value in held if _generator_state(value)
        ]

    def restore(self) -> list[str]:
        """Set everything back; returns the name if a tensor changed in training mode."""
        changed = False
        for table, before in zip(self._tables, self._before, strict=True):
            for key in table.keys() - before.keys():
                del table[key]
            for key, value in before.items():
                if table.get(key) is not value:
                    changed |= isinstance(value, Tensor)
                    table[key] = value
        for tensor, value in self._tensors:
            if not torch.equal(tensor.detach(), value):
                changed = True
                with torch.no_grad(), torch.inference_mode(tensor.is_inference()):
                    tensor.copy_(value)
        for generator, state in self._generators:
            _set_generator_state(generator, state)
        # Running statistics are buffers of a part that is in training mode itself.
        return [self._name] if changed and getattr(self._module, "training", False) else []


def _has_values(value: object) -> bool:
    return (
        isinstance(value, Tensor)
        and not nn.parameter.is_lazy(value)
        and value.device.type != "meta"
    )


def _generator_state(value: object) -> Any:
    if isinstance(value, np.random.Generator):
        return value.bit_generator.state
    if isinstance(value, np.random.RandomState):
        return value.get_state()
    if isinstance(value, random.Random):
        return value.getstate()
    if isinstance(value, torch.Generator):
        return [value.get_state()]
    return None


def _set_generator_state(value: object, state: Any) -> None:
    if isinstance(value, np.random.Generator):
        value.bit_generator.state = state
    elif isinstance(value, np.random.RandomState):
        value.set_state(state)
    elif isinstance(value, random.Random):
        value.setstate(state)
    elif isinstance(value, torch.Generator):
        value.set_state(state[0])


class GlobalGenerators:
    """The state of the generators that a process has: of torch, of NumPy and of Python."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.save()

    def save(self) -> None:
        self._torch = torch.get_rng_state()
        self._cuda = torch.cuda.get_rng_state(self._device) if self._on_cuda() else None
        self._numpy, self._python = np.random.get_state(), random.getstate()  # noqa: NPY002

    def restore(self) -> None:
        torch.set_rng_state(self._torch)
        if self._cuda is not None:
            torch.cuda.set_rng_state(self._cuda, self._device)
        np.random.set_state(self._numpy)  # noqa: NPY002
        random.setstate(self._python)

    def _on_cuda(self) -> bool:
        return self._device.type == "cuda"
