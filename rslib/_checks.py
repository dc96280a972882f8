"""What arguments must be, in one wording: an error names the argument and its value.

Everything here returns the value in the type that the caller goes on with.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike


def whole(name: str, value: object, least: int = 1, most: float = math.inf) -> int:
    """A single whole number; booleans are mistakes.

    >>> whole("n", 3)
    3
    >>> whole("n", 0)
    Traceback (most recent call last):
    ValueError: n must be at least 1, got 0
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    found = int(value)
    if found < least:
        raise ValueError(f"{name} must be at least {least}, got {value!r}")
    if found > most:
        raise ValueError(f"{name} must be at most {most}, got {value!r}")
    return found


def real(name: str, value: object, valid: Callable[[Any], bool], requirement: str) -> float:
    """A single real number that is valid, or an error that says what is required of it.

    >>> real("alpha", 2.0, lambda a: 0 < a < 1, "lie in (0, 1)")
    Traceback (most recent call last):
    ValueError: alpha must lie in (0, 1), got 2.0
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if not valid(value):
        raise ValueError(f"{name} must {requirement}, got {value!r}")
    return float(value)


def shown(value: object) -> str:
    """A JSON value as an error shows it: its text, cut where it is long.

    >>> shown([None, "a" * 70])
    '[null, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...'
    """
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def first_line(error: BaseException | None, named: bool = False) -> str:
    r"""The first line of an error's text, without what would steer a terminal.

    ``named`` puts its type before it; an error without a text is its type alone.

    >>> error = OSError("\n\x1b[1mno\x1b[0m disk\nat all")
    >>> first_line(error), first_line(error, named=True)
    ('no disk', 'OSError: no disk')
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    kind = type(error).__name__
    if not lines:
        return kind
    text = re.sub(r"\x1b\[[0-9;]*m", "", lines[0])
    return f"{kind}: {text}" if named else text


def array(
    name: str, value: ArrayLike, valid: Callable[[np.ndarray], np.ndarray], requirement: str
) -> np.ndarray:
    """``value`` as float64, or an error that names the argument and the first offending value."""
    try:
        raw = np.asarray(value)
        if raw.dtype.kind not in "fiuO":  # booleans, complex numbers and text are mistakes
            raise TypeError
        found = raw.astype(np.float64)
    except (TypeError, ValueError):
        message = f"{name} must be a real number or an array of them, got {value!r}"
        raise TypeError(message) from None
    bad = ~valid(found)
    if bad.any():
        raise ValueError(f"{name} must {requirement}, got {raw[bad][0]}")
    return found


def probabilities(name: str, value: ArrayLike) -> np.ndarray:
    """Float64 in [0, 1]."""
    return array(name, value, lambda p: (p >= 0) & (p <= 1), "lie in [0, 1]")


def positives(name: str, value: ArrayLike) -> np.ndarray:
    """Float64, positive and finite."""
    return array(name, value, lambda x: (x > 0) & (x < np.inf), "be positive and finite")


def wholes(name: str, value: ArrayLike, least: int, most: int, words: str) -> np.ndarray:
    """Float64 that are whole numbers from least to most; ``words`` says how most is written."""
    return array(
        name,
        value,
        lambda x: (x >= least) & (x <= most) & (x == np.floor(x)),
        f"be a whole number from {least} to {words}",
    )
