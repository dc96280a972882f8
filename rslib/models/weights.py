"""A network's parameters and buffers on disk.

The project's own files are safetensors, which hold numbers alone. Other people's checkpoints are
read with torch's reader that executes nothing, and fitted: what fits is loaded whole, what was
done to make it fit is said, and what does not fit is listed.
"""

from __future__ import annotations

import copy
import hashlib
import pickle
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as _load_tensors
from safetensors.torch import save as _save_tensors
from torch import Tensor, nn

from rslib import _checks, _files

__all__ = ["fit_weights", "load_weights", "save_weights", "state_sha256"]

_UNREADABLE = (OSError, SafetensorError, KeyError, ValueError, MemoryError)
# What training tools put around a network, and around its tensors' names.
_WRAPPERS = {"module", "_orig_mod", "model", "net", "network", "student", "teacher", "ema",
             "ema_model", "model_ema"}  # fmt: skip
# Counters that batch normalisation keeps for training; old checkpoints lack them.
_COUNTER = "num_batches_tracked"
_LISTED = 5


def save_weights(network: nn.Module, path: str | Path, dtype: str | None = None) -> None:
    """Write a network's parameters and buffers as safetensors, whole or not at all.

    Parameters
    ----------
    network : torch.nn.Module
        Any network. Tied weights are written under each of their names.
    path : str or Path
        The file; folders are created.
    dtype : {"float32", "bfloat16", "float16"}, optional
        Number type of the floats in the file; default: as they are. A network that is certified
        in half precision is stored in it: the certificates then hold for exactly the numbers in
        the file.

    Raises
    ------
    ValueError
        For another ``dtype``, a tensor with a value that is not finite in it, and what the format
        cannot hold, by name: extra state that is no tensor; tensors that are sparse, quantised or
        without values, or of a number type that it does not know.
    """
    if dtype not in (None, "float32", "bfloat16", "float16"):
        raise ValueError(f"dtype must be float32, bfloat16 or float16, got {dtype!r}")
    state = {}
    for name, value in network.state_dict().items():
        tensor = _storable(name, value)
        if dtype is not None and tensor.is_floating_point():
            tensor = tensor.to(getattr(torch, dtype))
            if not torch.isfinite(tensor).all():
                raise ValueError(f"tensor {name!r} holds a value that is not finite in {dtype}")
        state[name] = tensor
    data = _save_tensors(state)
    _files.replace(path, lambda file: file.write(data))


def _storable(name: str, value: object) -> Tensor:
    """A tensor as the format holds it, sharing memory with no other."""
    if not isinstance(value, Tensor):
        raise ValueError(
            f"{name!r} is a {type(value).__name__}, and safetensors holds tensors alone: let the "
            "network make it anew, or keep it beside the file"
        )
    if nn.parameter.is_lazy(value) or value.is_meta:
        raise ValueError(f"tensor {name!r} has no values yet: run the network once")
    if value.layout != torch.strided or value.is_quantized:
        kind = "quantised" if value.is_quantized else f"stored as {value.layout}"
        raise ValueError(f"tensor {name!r} is {kind}, which safetensors cannot hold: make it dense")
    plain = value.detach().cpu().resolve_conj().resolve_neg()
    plain = plain.clone(memory_format=torch.contiguous_format)
    try:
        _save_tensors({"one": plain[..., :0] if plain.dim() else plain})
    except (KeyError, ValueError, SafetensorError):
        raise ValueError(
            f"tensor {name!r} is {value.dtype}, which safetensors cannot hold"
        ) from None
    return plain


def load_weights(network: nn.Module, path: str | Path) -> nn.Module:
    """Load safetensors into a network, in place; nothing in the file is executed.

    Parameters
    ----------
    network : torch.nn.Module
        Must have exactly the tensors of the file, by name, shape and kind of number.
    path : str or Path
        A file that `save_weights` wrote.

    Returns
    -------
    torch.nn.Module
        The same network. It is unchanged if the file does not fit.

    Raises
    ------
    ValueError
        Names the file, and the tensor that is missing, unknown, misshapen or not finite, or that
        the network ties to another and the file does not.
    """
    try:
        state = _load_tensors(Path(path).read_bytes())
    except _UNREADABLE as error:
        raise ValueError(f"{path}: not a readable safetensors file: {error}") from None
    expected = network.state_dict()
    for name in sorted(expected.keys() | state.keys()):
        if name not in state:
            raise ValueError(f"{path}: tensor {name!r} is missing")
        if name not in expected:
            raise ValueError(f"{path}: tensor {name!r} is not one of this network's")
        if _differ(state[name], expected[name]):
            raise ValueError(f"{path}: tensor {_in_words(name, state[name], expected[name])}")
    _put(network, state, path)
    return network


def _kind(tensor: Tensor) -> tuple:
    return tuple(tensor.shape), tensor.layout, tensor.is_floating_point(), tensor.is_complex()


def _differ(found: object, wanted: object) -> bool:
    """Whether one cannot stand in the other's place: another shape or kind of number."""
    if not (isinstance(found, Tensor) and isinstance(wanted, Tensor)):
        return isinstance(found, Tensor) != isinstance(wanted, Tensor)
    return not nn.parameter.is_lazy(wanted) and _kind(found) != _kind(wanted)


def _in_words(name: str, found: object, wanted: object) -> str:
    one, other = (
        f"{v.dtype} {tuple(v.shape)}{_layout(v)}" if isinstance(v, Tensor) else type(v).__name__
        for v in (found, wanted)
    )
    return f"{name!r} is {one}, the network needs {other}"


def _layout(tensor: Tensor) -> str:
    """How a tensor that is not dense is stored, in words."""
    if tensor.layout == torch.strided:
        return ""
    return f", stored as {tensor.layout} (save it dense: .to_dense())"


def _put(network: nn.Module, state: dict, path: str | Path) -> None:
    """Load what fits, and see that the network then holds it; otherwise it stays as it was."""
    for name, tensor in state.items():
        if isinstance(tensor, Tensor) and _layout(tensor):
            raise ValueError(f"{path}: tensor {name!r} is not dense{_layout(tensor)}")
        floats = isinstance(tensor, Tensor) and (tensor.is_floating_point() or tensor.is_complex())
        if floats and not torch.isfinite(tensor).all():
            raise ValueError(f"{path}: tensor {name!r} holds a value that is not finite")
    before = copy.deepcopy({**network.state_dict()})
    try:
        network.load_state_dict(state)
        for name, held in network.state_dict().items():
            # Two names of one tensor take two values from the file, and the second wins.
            wanted = state[name]
            if isinstance(held, Tensor) and not torch.equal(held.cpu(), wanted.to(held.dtype)):
                raise ValueError(
                    f"{path}: tensor {name!r} is tied to another in the network, and has other "
                    "values in the file"
                )
    except Exception as error:
        network.load_state_dict(before)
        if isinstance(error, ValueError):
            raise
        raise ValueError(f"{path}: the network does not take it: {error}") from error


def state_sha256(network: nn.Module) -> str:
    """SHA-256 of a network's parameters and buffers: names, shapes, number types and values.

    Parameters
    ----------
    network : torch.nn.Module
        Any. Extra state that is no tensor, and buffers that are not persistent, are left out.

    Returns
    -------
    str
        In hexadecimal; the same wherever the network lies in memory.
    """
    found = hashlib.sha256(b"rslib-state/1\n")
    for name, value in sorted(network.state_dict().items()):
        if isinstance(value, Tensor) and value.layout == torch.strided and not value.is_quantized:
            found.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
            plain = value.detach().cpu().resolve_conj().resolve_neg().contiguous()
            found.update(plain.flatten().view(torch.uint8).numpy().data)
    return found.hexdigest()


# ------------------------------------------------------------------------ anybody's checkpoints


@dataclass(frozen=True)
class _Candidate:
    """A dictionary of tensors out of a checkpoint, under the names that the network may use."""

    entry: str  # where it lies: keys of the file, and the prefix that was taken off, joined by dots
    tensors: dict
    notes: tuple[str, ...]


def fit_weights(network: nn.Module, path: str | Path, entry: str | None = None) -> tuple[str, ...]:
    """Load anybody's weights into a network, in place; nothing in the file is executed.

    Parameters
    ----------
    network : torch.nn.Module
        Gets every one of its tensors from the file, or stays as it is.
    path : str or Path
        ``*.safetensors``, or a checkpoint of `torch.save`, read with ``weights_only=True``: the
        dictionary of tensors itself, or one that lies in it at any key (``state_dict``,
        ``model``, ...). A prefix that all names share, or that training tools put there
        (``module.``, ``_orig_mod.``, ``model.``, ...), is taken off where that makes it fit.
    entry : str, optional
        Which dictionary to take where several fit, as the error names them.

    Returns
    -------
    tuple of str
        What was done to make the file fit, in words; empty where nothing was.

    Raises
    ------
    ValueError
        Names the file, and why: it cannot be read without executing it, what is missing,
        unexpected or misshapen, not finite, or several dictionaries that differ fit.
    """
    expected = network.state_dict()
    candidates = list(_candidates(_read(path)))
    if entry is not None:
        named = [one for one in candidates if one.entry == entry]
        if not named:
            known = ", ".join(dict.fromkeys(repr(one.entry) for one in candidates))
            raise ValueError(f"{path}: entry must be one of {known}, got {entry!r}")
        candidates = named
    if not candidates:
        raise ValueError(f"{path}: holds no dictionary of tensors by name")
    fitting = [one for one in candidates if not any(_misfits(expected, one.tensors).values())]
    if not fitting:
        nearest = min(
            candidates, key=lambda one: sum(map(len, _misfits(expected, one.tensors).values()))
        )
        where = f", entry {nearest.entry!r}," if nearest.entry else ""
        listed = [
            f"{kind}: {', '.join(found[:_LISTED])}"
            + (f", ... ({len(found)} in all)" if len(found) > _LISTED else "")
            for kind, found in _misfits(expected, nearest.tensors).items()
            if found
        ]
        raise ValueError(f"{path}{where} does not fit the network; {'; '.join(listed)}")
    first = fitting[0]
    others = [one.entry for one in fitting[1:] if not _same(one.tensors, first.tensors)]
    if others:
        raise ValueError(
            f"{path}: several that differ fit the network: "
            f"{', '.join(map(repr, dict.fromkeys([first.entry, *others])))}; "
            "name one of them as entry"
        )
    state = {name: first.tensors.get(name, value) for name, value in expected.items()}
    notes = [*first.notes, *_changes(expected, first.tensors)]
    _put(network, state, path)
    return tuple(notes)


def _read(path: str | Path) -> dict:
    if Path(path).suffix == ".safetensors":
        try:
            return _load_tensors(Path(path).read_bytes())
        except _UNREADABLE as error:
            raise ValueError(f"{path}: not a readable safetensors file: {error}") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and what it reads with raise what they like here
        raise ValueError(f"{path}: {_why_unreadable(error)}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path}: holds a {type(found).__name__}, not a dictionary of tensors")
    return found


def _why_unreadable(error: Exception) -> str:
    """What keeps a checkpoint from being read, in one line; torch's own advises to execute it."""
    why, said = "no checkpoint of torch.save", str(error)
    if named := re.search(r"\bGLOBAL ([\w.]+)", said):
        why = f"holds a {named[1]} beside tensors"
    elif named := re.search(r"WeightsUnpickler error: (.+)", said):
        why = named[1].strip()
    elif not isinstance(error, pickle.UnpicklingError):
        why = f"{why}, {_checks.first_line(error, named=True)}"
    return (
        f"cannot be read without executing it: {why} (torch.save a network's state_dict(), not "
        "the network, and nothing but tensors, numbers and text beside it)"
    )


def _candidates(found: dict, place: tuple[str, ...] = ()) -> Iterator[_Candidate]:
    """Every dictionary of tensors in a checkpoint, with and without its prefixes."""
    tensors = {
        name: value
        for name, value in found.items()
        if isinstance(name, str) and (isinstance(value, Tensor) or name.endswith("_extra_state"))
    }
    if tensors:
        yield from _readings(tensors, place)
    for key, value in found.items():
        if isinstance(value, dict):
            yield from _candidates(value, (*place, str(key)))


def _readings(tensors: dict, place: tuple[str, ...]) -> Iterator[_Candidate]:
    """The tensors under each name that the network may have for them, the plainest first."""
    plain = [_without(prefix, tensors, place) for prefix in _prefixes(list(tensors))]
    yield from plain
    for one in plain:
        for part in ("_orig_mod", "module"):  # around parts of a network
            inner = {
                ".".join(p for p in name.split(".") if p != part): value
                for name, value in one.tensors.items()
            }
            if len(inner) == len(one.tensors) and inner.keys() != one.tensors.keys():
                yield _Candidate(one.entry, inner, (*one.notes, f"'{part}.' taken out of names"))


def _without(prefix: str, tensors: dict, place: tuple[str, ...]) -> _Candidate:
    """What begins with a prefix, without it."""
    inside = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    outside = [name for name in tensors if not name.startswith(prefix)]
    notes = [f"taken from the entry {'.'.join(place)!r}"] if place else []
    if prefix:
        notes.append(f"prefix {prefix!r} taken off")
    if outside:
        more = ", ..." if len(outside) > _LISTED else ""
        notes.append(f"left out, beside {prefix!r}: {', '.join(outside[:_LISTED])}{more}")
    return _Candidate(".".join((*place, *prefix.split(".")[:-1])), inside, tuple(notes))


def _prefixes(names: list[str]) -> list[str]:
    """Nothing; what all names begin with; and what tools put before the names of a network."""
    found = [""]
    paths = [name.split(".")[:-1] for name in names]
    common = 0
    while all(len(path) > common and path[common] == paths[0][common] for path in paths):
        common += 1
        found.append(".".join(paths[0][:common]) + ".")
    for path in paths:
        for length, part in enumerate(path, 1):
            if part not in _WRAPPERS:
                break
            found.append(".".join(path[:length]) + ".")
    return list(dict.fromkeys(found))


def _misfits(expected: dict, tensors: dict) -> dict[str, list[str]]:
    return {
        "missing": [n for n in expected if n not in tensors and n.split(".")[-1] != _COUNTER],
        "unexpected": [name for name in tensors if name not in expected],
        "misshapen": [
            _in_words(name, tensors[name], expected[name])
            for name in expected
            if name in tensors and _differ(tensors[name], expected[name])
        ],
    }


def _same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(
        torch.equal(one[name], other[name]) if isinstance(one[name], Tensor) else True
        for name in one
    )


def _changes(expected: dict, tensors: dict) -> list[str]:
    """What loading does to the numbers."""
    notes = []
    if len(tensors) < len(expected):
        notes.append(f"{_COUNTER} is missing: only training uses it")
    types = {
        (tensors[name].dtype, value.dtype)
        for name, value in expected.items()
        if name in tensors and isinstance(value, Tensor) and tensors[name].dtype != value.dtype
    }
    for found, wanted in sorted(types, key=str):
        notes.append(f"{found} in the file becomes {wanted} in the network")
    return notes
