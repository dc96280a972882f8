"""Normalisation and odd outputs, put around anybody's classifier."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rslib._outputs import UnfitError, parts

__all__ = ["wrap"]


def wrap(
    base: Callable,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    *,
    input_range: tuple[float, float] | None = None,
    output: str | int | Callable | None = None,
) -> Callable:
    """A classifier of images in [0, 1] around one that wants them otherwise.

    Noise, grid and radius are then in pixel units; what the network needs is done inside.

    Parameters
    ----------
    base : callable
        A torch module or any function of a batch.
    mean, std : float or sequence of float, optional
        Subtracted, and divided by: one number, or one a channel. Default 0 and 1.
    input_range : (float, float), optional
        What the values 0 and 1 become before that; ``mean`` and ``std`` are in these units:
        (0, 255) for a network that wants pixels from 0 to 255.
    output : str, int or callable, optional
        Which part of what ``base`` returns are the scores: the name of an attribute or key, a
        place in a tuple, or a function of it. Not needed for tensors, arrays, ``.logits``, the
        first tensor of a tuple, or whole labels (B,).

    Returns
    -------
    callable
        A `torch.nn.Module` around a module, which can be prepared as any; a plain function
        otherwise; ``base`` itself where nothing is asked for.

    Raises
    ------
    ValueError, TypeError
        Names the argument and its value. Where called: images with another number of channels
        than ``mean`` and ``std`` have; an output without the part.

    Examples
    --------
    >>> network = wrap(nn.Flatten(), mean=[0.5, 0.5], std=[0.25, 0.5])
    >>> network(torch.ones(1, 2, 1, 1)).tolist()
    [[2.0, 1.0]]
    """
    if not callable(base):
        raise TypeError(f"base must be callable, got {base!r}")
    if output is not None and not callable(output) and type(output) not in (str, int):
        raise TypeError(f"output must be a name, a place or a function, got {output!r}")
    low, high = _range(input_range)
    mean, std = _numbers("mean", mean, 0.0), _numbers("std", std, 1.0)
    if not all(s > 0 for s in std):
        raise ValueError(f"std must be positive, got {std!r}")
    if 1 not in (len(mean), len(std)) and len(mean) != len(std):
        raise ValueError(f"std must have one number a channel of mean, got {mean!r} and {std!r}")
    asks_nothing = (low, high, mean, std) == (0.0, 1.0, [0.0], [1.0])
    if asks_nothing and output is None:
        return base
    prepare = nn.Identity() if asks_nothing else _Scale(low, high, mean, std, _type_of(base))
    if isinstance(base, nn.Module):
        return _WrappedModule(prepare, base, output)
    return _WrappedFunction(prepare, base, output)


def _range(value: tuple[float, float] | None) -> tuple[float, float]:
    if value is None:
        return 0.0, 1.0
    try:
        low, high = map(float, value)
    except (TypeError, ValueError):
        raise ValueError(f"input_range must be two numbers, got {value!r}") from None
    if not (math.isfinite(low) and math.isfinite(high) and low != high):
        raise ValueError(f"input_range must be two different finite numbers, got {value!r}")
    return low, high


def _numbers(name: str, value: object, default: float) -> list[float]:
    if value is None:
        return [default]
    try:
        found = torch.as_tensor(value, dtype=torch.float64).flatten().tolist()
    except (TypeError, ValueError, RuntimeError):
        found = []
    if not found or not all(map(math.isfinite, found)):
        raise ValueError(f"{name} must be a finite number, or one a channel, got {value!r}")
    return found


def _type_of(base: Callable) -> torch.dtype:
    """The number type of a network's weights; float32 where there is no single one."""
    tensors = [*base.parameters(), *base.buffers()] if isinstance(base, nn.Module) else []
    types = {tensor.dtype for tensor in tensors if tensor.is_floating_point()}
    return types.pop() if len(types) == 1 else torch.float32


class _Scale(nn.Module):
    """From [0, 1] to what a network wants; numbers one a channel stand along the first axis."""

    mean: Tensor
    std: Tensor

    def __init__(self, low, high, mean, std, dtype) -> None:
        super().__init__()
        self.low, self.width = low, high - low
        self.channels = max(len(mean), len(std))
        for name, numbers in (("mean", mean), ("std", std)):
            tensor = torch.tensor(numbers, dtype=dtype)
            self.register_buffer(name, tensor.view(-1, 1, 1) if len(numbers) > 1 else tensor[0])

    def forward(self, x: Tensor) -> Tensor:
        # Numbers that are broadcast would turn a grey image into a coloured one without a word.
        if self.channels > 1 and not torch.jit.is_tracing():
            if x.dim() != 4 or x.shape[1] != self.channels:
                # Of images, the number of channels is; of anything else the image is wrong.
                raise (UnfitError if x.dim() == 4 else ValueError)(
                    f"mean and std have {self.channels} values, one a channel; a batch of images "
                    f"must be (B, {self.channels}, height, width), got {tuple(x.shape)}"
                )
        x = x.to(self.mean.dtype)
        if (self.low, self.width) != (0.0, 1.0):
            x = x * self.width + self.low
        return (x - self.mean) / self.std


def _part(found: Any, output: str | int | Callable | None) -> object:
    if output is None:
        return found
    if callable(output):
        return output(found)
    try:
        if isinstance(output, int) or (isinstance(found, Mapping) and output in found):
            return found[output]
        return getattr(found, output)
    except (AttributeError, LookupError, TypeError):
        name = type(found).__name__
        if isinstance(found, (Tensor, np.ndarray)):
            remedy = f"a {name}: leave output out (--output)"
        else:
            remedy = f"a {name} of {parts(found) or 'nothing'}: name one of these (--output)"
        raise UnfitError(
            f"output {output!r} is no part of what the base classifier returns, {remedy}"
        ) from None


class _WrappedModule(nn.Module):
    def __init__(self, prepare: nn.Module, base: nn.Module, output) -> None:
        super().__init__()
        self.prepare, self.base, self.output = prepare, base, output
        self.training = base.training  # train() would change the modes of its parts

    def forward(self, x: Tensor):
        return _part(self.base(self.prepare(x)), self.output)


class _WrappedFunction:
    def __init__(self, prepare: nn.Module, base: Callable, output) -> None:
        self.prepare, self.base, self.output = prepare, base, output
        self.number_type = getattr(base, "number_type", None)  # a file may bring one
        if hasattr(base, "run_by"):
            self.run_by = self._run_by

    def __call__(self, x: Tensor):
        return _part(self.base(self.prepare.to(x.device)(x)), self.output)

    def _run_by(self, run: Callable) -> Callable:
        """The same function where ``run`` runs the network's file, see `rslib.backends`."""
        return _WrappedFunction(self.prepare, self.base.run_by(run), self.output)  # type: ignore[attr-defined]
