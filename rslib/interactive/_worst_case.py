"""The worst case: a set of given Gaussian probability, and the slope of its smoothed indicator."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import norm

from rslib import _checks
from rslib.certificates import local_gradient_bound, psi
from rslib.interactive import stills
from rslib.interactive.figure import Figure, assemble, path, signed

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MplFigure

#: Columns, and rows, of tiles; each tile holds 1/400 of the noise.
N = 20
#: The part of the plane that is shown: each coordinate of z from -VIEW to VIEW.
VIEW = 2.7
EDGES = np.asarray(psi(np.arange(N + 1) / N))
PIXELS = np.clip(170 + EDGES * (170 / VIEW), 0, 340)


def cloud(size: int) -> list[int]:
    """The tiles nearest to a point right of the middle, the farthest first."""
    centre = np.asarray(psi((np.arange(N) + 0.5) / N))
    distance = (centre - 0.75) ** 2 + (centre[:, None] - 0.25) ** 2  # rows, columns
    order = np.argsort(distance.ravel(), kind="stable")[:size]
    return order[::-1].tolist()


def column_counts(tiles: list[int]) -> np.ndarray:
    """How many tiles of each column are in the set."""
    return np.bincount(np.asarray(tiles) % N, minlength=N)


def slope(counts: np.ndarray) -> float:
    """Slope at 0 to the right of the smoothed indicator, times sigma: E[z_1; the set]."""
    return float(counts / N @ -np.diff(norm.pdf(EDGES)))


def along(counts: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """The smoothed indicator where the input has moved to the right, in units of sigma."""
    return np.diff(norm.cdf(EDGES - shifts[:, None]), axis=1) @ (counts / N)


def worst_case(p: float = 0.3) -> Figure:
    """Shape a set of given Gaussian probability by hand, and watch its slope.

    The plane of the noise is cut into 400 tiles of equal probability. The reader paints; the set
    keeps its number of tiles. The slope of its smoothed indicator at 0, to the right, stands beside
    that of the half-space, `certificates.local_gradient_bound`, which nothing exceeds. A button
    exchanges tiles one by one until the set is that half-space.

    Parameters
    ----------
    p : float
        Probability of the set at first: a multiple of 0.05 from 0.05 to 0.95.

    Returns
    -------
    Figure
        Slopes in it are times sigma, per input unit of the Euclidean norm.

    Raises
    ------
    ValueError
        If `p` is not one of these multiples.
    TypeError
        If it is no number.

    References
    ----------
    lecture2023, the bound on the slope. Chapter 6.

    Examples
    --------
    >>> "0.3477" in worst_case(0.3).html
    True
    """
    filled = round(N * _checks.real("p", p, lambda v: 0.05 <= v <= 0.95, "lie from 0.05 to 0.95"))
    if abs(filled / N - p) > 1e-9:
        raise ValueError(f"p must be a multiple of 0.05, got {p!r}")
    p = filled / N
    tiles = cloud(N * filled)
    counts = column_counts(tiles)
    steepness, limit = slope(counts), float(local_gradient_bound(p, 1.0))
    shifts = np.arange(-40, 41) / 20
    x = 184 + 75 * shifts
    lines = np.concatenate([[f"M{v:.1f} 0v340", f"M0 {v:.1f}h340"] for v in PIXELS[1:-1]])
    values = {
        "state": json.dumps({"tiles": tiles}).replace(" ", ""),
        "set": _tiles(tiles),
        "grid": "".join(lines),
        "columns": "".join(
            f"M{PIXELS[i]:.1f} 395V{395 - 2 * count:.1f}H{PIXELS[i + 1] - 0.8:.1f}V395Z"
            for i, count in enumerate(counts)
            if count
        ),
        "roof": path(x, 200 - 188 * norm.cdf(psi(p) + shifts)),
        "curve": path(x, 200 - 188 * along(counts, shifts)),
        "tangent": f"M72 {200 - 188 * (p - 1.5 * steepness):.1f}"
        f"L296 {200 - 188 * (p + 1.5 * steepness):.1f}",
        "dot": f"{200 - 188 * p:.1f}",
        "percent": f"{signed(round(100 * steepness / limit), 0)}%",
        "percent_width": f"{100 * max(0.0, min(1.0, steepness / limit)):.1f}",
        "slope": signed(steepness, 4),
        "limit": signed(limit, 4),
        "columns_filled": filled,
        "p": f"{p:.2f}",
    }

    def still(figure: MplFigure) -> None:
        left, right = stills.panels(figure)
        edges = np.clip(EDGES, -VIEW, VIEW)
        filled = np.isin(np.arange(N * N), tiles).reshape(N, N)
        left.pcolormesh(edges, edges, filled, cmap=stills.tints(), edgecolors="0.8", linewidth=0.4)
        left.annotate("", (0.8, 0), (0, 0), arrowprops={"arrowstyle": "->"})
        left.set(aspect="equal", xlabel="$z_1$", ylabel="$z_2$", title=f"a set of probability {p}")
        right.plot(shifts, along(counts, shifts), color=stills.COLOURS[0], label="this set")
        right.plot(shifts, norm.cdf(psi(p) + shifts), "k--", label="half-space")
        right.axline((0, p), slope=steepness, color=stills.COLOURS[3], label="tangent")
        right.set(xlabel=r"shift to the right / $\sigma$", ylim=(0, 1))
        right.set_title(f"slope {values['slope']}/σ of at most {values['limit']}/σ")
        right.legend()

    return assemble("worst_case", values, still)


def _tiles(tiles: list[int]) -> str:
    """The set as a path: one rectangle for each run of tiles in a row."""
    filled = np.zeros((N, N + 2), dtype=int)  # rows from the bottom, with a margin
    for tile in tiles:
        filled[tile // N, 1 + tile % N] = 1
    found = []
    for row, change in enumerate(np.diff(filled, axis=1)):
        top, bottom = PIXELS[N - row - 1], PIXELS[N - row]
        for first, last in zip(np.flatnonzero(change > 0), np.flatnonzero(change < 0)):
            found.append(
                f"M{PIXELS[first]:.1f} {top:.1f}H{PIXELS[last]:.1f}V{bottom:.1f}"
                f"H{PIXELS[first]:.1f}Z"
            )
    return "".join(found)
