"""The bent scale: a smoothed function along a line, and the inverse of Phi of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from scipy.stats import norm

from rslib import _checks
from rslib.certificates import local_gradient_bound, psi
from rslib.interactive import stills
from rslib.interactive.figure import Figure, assemble, path, signed

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MplFigure

Array = np.ndarray
Place = TypeVar("Place", float, Array)


def shares(t: Array, jumps: Sequence[float], sigma: float) -> tuple[Array, Array]:
    """Probability of the values 0 and 1 of f at t + sigma z, both with their digits.

    ``f`` is 0 at first and changes at every jump. Every piece is a difference of the tails on the
    side where they are small.
    """
    u = [np.full_like(t, -np.inf), *((jump - t) / sigma for jump in jumps), np.full_like(t, np.inf)]
    found = (np.zeros_like(t), np.zeros_like(t))
    for j, (a, b) in enumerate(pairwise(u)):
        right, left = norm.sf(a) - norm.sf(b), norm.cdf(b) - norm.cdf(a)
        both = 1 - norm.sf(b) - norm.cdf(a)
        found[j % 2][:] += np.where(a > 0, right, np.where(b < 0, left, both))
    return found


def bent(t: Array, jumps: Sequence[float], sigma: float) -> Array:
    """The smoothed function on the bent scale."""
    zero, one = shares(t, jumps, sigma)
    return np.where(one < zero, psi(np.minimum(one, 0.5)), -psi(np.minimum(zero, 0.5)))


def slope(t: Array, jumps: Sequence[float], sigma: float) -> Array:
    """Derivative of the smoothed function, per input unit."""
    signs = np.resize([1, -1], len(jumps))
    return norm.pdf((t[..., None] - np.asarray(jumps)) / sigma) @ signs / sigma


def bent_scale(
    sigma: float = 0.5, x: float = 0.9, jumps: Sequence[float] = (-1.6, -0.5, 0.4)
) -> Figure:
    """A smoothed function beside its picture on the scale of the inverse of Phi.

    The reader moves x, the noise and the jumps of f. On the bent scale the slope is at most
    1/sigma, so the value at x allows a cone with straight sides; as probabilities it is the range
    of the corollary of chapter 7. The straight cone of `certificates.local_gradient_bound` is
    drawn too: the curve may leave it.

    Parameters
    ----------
    sigma : float
        Standard deviation of the noise at first, in input units, from 0.25 to 1.
    x : float
        Where the cone stands at first, in input units, from -3 to 3.
    jumps : sequence of float
        Where f changes between 0 and 1, ascending, from -2.9 to 2.9; one to six of them. Left of
        the first it is 0.

    Returns
    -------
    Figure
        Slopes in it are per input unit.

    Raises
    ------
    ValueError
        If an argument is out of its range, or the jumps do not ascend.
    TypeError
        If it is no number.

    References
    ----------
    salman2019, appendix A. Chapter 7.

    Examples
    --------
    >>> "2.000" in bent_scale(0.5).html
    True
    """
    sigma = _checks.real("sigma", sigma, lambda s: 0.25 <= s <= 1, "lie from 0.25 to 1")
    x = _checks.real("x", x, lambda v: abs(v) <= 3, "lie from -3 to 3")
    inside = "lie from -2.9 to 2.9 each"
    jumps = [_checks.real("jumps", jump, lambda v: abs(v) <= 2.9, inside) for jump in jumps]
    if not 1 <= len(jumps) <= 6 or sorted(set(jumps)) != jumps:
        raise ValueError(f"jumps must be one to six ascending numbers, got {jumps!r}")

    at = np.array([x])
    p, level = float(shares(at, jumps, sigma)[1][0]), float(bent(at, jumps, sigma)[0])
    steepness = float(slope(at, jumps, sigma)[0])
    roof = float(local_gradient_bound(norm.cdf(level), sigma))
    t = np.arange(-60, 61) / 20
    away = np.abs(t - x) / sigma
    low, high = _height(norm.cdf(level - away)), _height(norm.cdf(level + away))
    ends = [*jumps, 3.0] if len(jumps) % 2 else jumps
    values = {
        "state": json.dumps({"x": x, "sigma": sigma, "jumps": jumps}),
        "ones": "".join(
            f"M{_across(a):.1f} 26.5H{_across(b):.1f}V226.5H{_across(a):.1f}Z"
            for a, b in zip(ends[::2], ends[1::2], strict=True)
        ),
        "range": path(
            np.concatenate([_across(t), _across(t)[::-1]]), np.concatenate([low, high[::-1]])
        )
        + "Z",
        "false_cone": _fan(x, lambda v: _height(p + v), roof),
        "curve": path(_across(t), _height(shares(t, jumps, sigma)[1])),
        "sides": _fan(x, lambda v: _bent_height(level + v), 1 / sigma),
        "cone": "".join(
            f"M{_across(x):.1f} {_bent_height(level):.1f}"
            f"L{_across(end):.0f} {_bent_height(level - abs(end - x) / sigma):.1f}"
            f"V{_bent_height(level + abs(end - x) / sigma):.1f}Z"
            for end in (-3, 3)
        ),
        "bent": path(_across(t), _bent_height(np.clip(bent(t, jumps, sigma), -50, 50))),
        "jumps": "".join(_jump(jump) for jump in jumps),
        "x": f"{_across(x):.1f}",
        "y": f"{_height(p):.1f}",
        "bent_y": f"{_bent_height(min(3.0, max(-3.0, level))):.1f}",
        "t": f"{x:.2f}",
        "value": f"{p:.4f}",
        "bent_value": signed(level, 3),
        "slope": signed(steepness, 4),
        "bent_slope": signed(steepness / float(norm.pdf(level)), 3),
        "limit": f"{roof:.4f}",
        "bent_limit": f"{1 / sigma:.3f}",
        "sigma": f"{sigma:.2f}",
    }

    def still(figure: MplFigure) -> None:
        left, right = stills.panels(figure)
        for ax, scale in ((left, norm.cdf), (right, lambda F: F)):
            ax.fill_between(t, scale(level - away), scale(level + away), color="0.88")
            ax.plot(t, scale(bent(t, jumps, sigma)), color=stills.COLOURS[0])
            ax.plot(x, scale(level), "ko", markersize=5)
            ax.set(xlabel="input", xlim=(-3, 3))
        for sign in (-1, 1):
            left.axline((x, p), slope=sign * roof, color=stills.COLOURS[3], linestyle=":")
        left.set(ylim=(0, 1), title=f"probability, slope {values['slope']} at x")
        right.set(ylim=(-3, 3), title=f"bent scale, slope {values['bent_slope']} at x")

    return assemble("bent_scale", values, still)


def _across(t: Place) -> Place:
    return 184 + 50 * t


def _height(p: Place) -> Place:
    return 226.5 - 200 * p


def _bent_height(level: Place) -> Place:
    return 126.5 - 100 / 3 * level


def _fan(x: float, y: Callable[[float], float], rise: float) -> str:
    """Four straight lines from x: up and down, to both sides."""
    return "".join(
        f"M{_across(x):.1f} {y(0):.1f}L{_across(end):.1f} {y(sign * rise * abs(end - x)):.1f}"
        for end in (-3, 3)
        for sign in (-1, 1)
    )


def _jump(jump: float) -> str:
    return (
        f'<g class="rsi-handle" transform="translate({_across(jump):.1f} 226.5)" tabindex="0"'
        ' role="slider" aria-label="Jump of f: arrow keys move it" aria-valuemin="-2.9"'
        f' aria-valuemax="2.9" aria-valuenow="{jump:.2f}" aria-valuetext="jump at {jump:.2f}">'
        '<rect class="rsi-hit" x="-14" y="-16" width="28" height="40"/>'
        '<circle class="rsi-ring" cy="7" r="12"/><path class="rsi-grip" d="M0 0L7 12H-7Z"/></g>'
    )
