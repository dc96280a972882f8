"""What a base classifier may return, read in one place: scores, or labels."""

from __future__ import annotations

from collections.abc import Mapping
from traceback import walk_tb

import numpy as np
import torch
from torch import Tensor

_LISTED = 6
_NAME_IT = "name the part that holds the scores (output of rslib.models.wrap, --output)"


class UnfitError(ValueError):
    """A base classifier is not what an argument says of it; the message names the argument."""


class BaseFailed(ValueError):
    """A base classifier raised, whatever it was; its error is the cause."""


def is_from_base(error: Exception) -> bool:
    """Whether it came out of a call of the base classifier, not of what is done to prepare one."""
    names = [
        (frame.f_globals.get("__name__", ""), frame.f_code.co_name)
        for frame, _ in walk_tb(error.__traceback__)
    ]
    ours = [
        module.startswith("rslib.") and not module.startswith("rslib.models") for module, _ in names
    ]
    below = names[len(ours) - ours[::-1].index(True) :] if any(ours) else []
    if not below:
        return False
    module, function = below[0]
    others = ("torch", "numpy", "copy")
    called = ("_wrapped_call_impl", "forward")  # how a module is called, whoever wrote it
    return function in called or module.split(".")[0] not in others


def read_scores(output: object, num_classes: int) -> Tensor:
    """The scores, or the labels, in what a base classifier returned.

    Parameters
    ----------
    output : Tensor, numpy.ndarray, or an object that holds one
        A tensor or an array is taken as it is. Of anything else: what its attribute or key
        ``logits`` holds, if it has one, also where it is a tuple; else the first tensor or array
        of a tuple or list.
    num_classes : int
        Number of classes K.

    Returns
    -------
    Tensor
        Scores (B, K) of a real number type, or labels (B,) in int64, each from 0 to K - 1.

    Raises
    ------
    ValueError
        If it is neither.

    Examples
    --------
    >>> read_scores(np.array([2, 0]), num_classes=3)
    tensor([2, 0])
    >>> read_scores((torch.tensor([[0.5, 1.5]]), "hidden"), num_classes=2)
    tensor([[0.5000, 1.5000]])
    """
    found = as_tensor(output)
    if found is not None and not found.dtype.is_complex and found.dtype != torch.bool:
        if found.dim() == 2 and found.shape[1] == num_classes:
            return found
        if found.dim() == 1 and not found.dtype.is_floating_point:
            return _checked_labels(found.long(), num_classes)
    raise UnfitError(
        f"num_classes is {num_classes}: the base classifier must return scores of shape "
        f"(rows, {num_classes}), or whole numbers of shape (rows,), got {_shown(output, found)}"
    )


def parts(output: object) -> str:
    """The parts of what a base classifier returned, by key or place; empty where it has none.

    >>> parts({"out": torch.zeros(2, 3), "aux": 0})
    "'out' (2, 3), 'aux' int"
    """
    if isinstance(output, Mapping):
        named = list(output.items())
    elif isinstance(output, (tuple, list)):
        named = list(enumerate(output))
    elif hasattr(output, "__dict__") and not isinstance(output, Tensor):
        named = [(name, value) for name, value in vars(output).items() if name[:1] != "_"]
    else:
        return ""
    listed = [
        f"{name!r} {tuple(v.shape) if isinstance(v, (Tensor, np.ndarray)) else type(v).__name__}"
        for name, v in named[:_LISTED]
    ]
    return ", ".join(listed) + (", ..." if len(named) > _LISTED else "")


def _shown(output: object, found: Tensor | None) -> str:
    """What was returned instead of scores or labels, and what to do about it."""
    held = isinstance(output, (Mapping, tuple, list)) or found is not output
    if isinstance(output, (tuple, list)) and found is None:
        inner = ", ".join(dict.fromkeys(type(one).__name__ for one in output))
        return f"{type(output).__name__} of {inner or 'nothing'}: return a tensor or an array"
    if isinstance(output, np.ndarray):
        if found is None:
            return (
                f"ndarray of {output.dtype} {output.shape}: return the numbers of the classes, "
                "from 0 on, in whole numbers"
            )
        held = False
    if found is None:
        if not (of := parts(output)):
            return f"{type(output).__name__}: return a tensor or an array"
        return f"{type(output).__name__} of {of}: {_NAME_IT}"
    shape = str(tuple(found.shape))
    if held and (of := parts(output)):
        return f"{shape}, out of a {type(output).__name__} of {of}: {_NAME_IT}"
    if found.dtype.is_complex or found.dtype == torch.bool:
        wanted = "whole numbers" if found.dtype == torch.bool and found.dim() == 1 else "floats"
        return f"{found.dtype} of shape {shape}: cast it to {wanted}"
    if found.dim() == 1 and found.dtype.is_floating_point:
        return f"{shape} in {found.dtype}: labels must be of an integer type"
    return shape


def answers(scores: Tensor) -> Tensor:
    """The class of each row of what `read_scores` gave; the lowest where scores tie."""
    return scores if scores.dim() == 1 else scores.argmax(1)


def as_tensor(output: object) -> Tensor | None:
    """The tensor in what a base classifier returned, unchecked; None where there is none."""
    if isinstance(output, Tensor):
        return output
    if isinstance(output, np.ndarray):
        return _from_array(output)
    logits = output.get("logits") if isinstance(output, Mapping) else None
    logits = getattr(output, "logits", None) if logits is None else logits
    if isinstance(logits, (Tensor, np.ndarray)):
        return as_tensor(logits)
    if isinstance(output, (tuple, list)):
        for part in output:
            if isinstance(part, (Tensor, np.ndarray)):
                return as_tensor(part)
    return None


def _from_array(array: np.ndarray) -> Tensor | None:
    if array.dtype.kind not in "fiuc":
        return None
    if array.dtype.kind == "u":
        array = array.astype(np.int64)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype == np.longdouble:
        array = array.astype(np.float64)
    # A copy where torch could not share the memory: read-only arrays and negative strides.
    return torch.from_numpy(np.require(array, requirements=["C", "W"]))


def _checked_labels(labels: Tensor, num_classes: int) -> Tensor:
    if len(labels):
        low, high = (int(end) for end in labels.aminmax())
        if low < 0 or high >= num_classes:
            raise UnfitError(
                f"num_classes is {num_classes}: the base classifier must return labels from 0 to "
                f"{num_classes - 1}, got {low if low < 0 else high}"
            )
    return labels
