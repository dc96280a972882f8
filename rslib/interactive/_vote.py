"""The vote: noisy copies of an input of the plane, their bounds, and the disc that they certify."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import numpy as np

from rslib import _checks
from rslib.certificates import certified_radius
from rslib.confidence import runner_up_bounds
from rslib.interactive import stills
from rslib.interactive.figure import Figure, assemble, normals, rounded_down, rounded_up

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MplFigure

NAMES = ("blue", "orange", "green")
ALPHA = 0.001
#: Copies that choose the class; no other copies do, and these do not count in its bounds.
SELECTION = 100
#: The most votes that the figure counts, and how many copies it shows.
MOST, SHOWN = 10_000, 300
#: How far x goes from the origin in each coordinate.
REACH = 1.4
SEED = 8
#: Where the cracks stand, how wide they are, and the class inside.
CRACKS = ((-1.25, 0.05, 1), (-0.55, 0.06, 2), (0.18, 0.05, 1), (0.6, 0.06, 1))


def regions() -> list[tuple[int, np.ndarray]]:
    """The classifier: polygons, each with its class; the last that contains a point decides.

    Where there is none the answer is blue. Two wavy borders, and cracks that stand for adversarial
    examples: too thin to win a vote.
    """
    along = np.arange(-6.5, 6.55, 0.1)
    upper = np.stack([along, 0.8 + 0.28 * np.sin(4 * along)], axis=1)
    right = np.stack([1.0 + 0.3 * np.sin(3.4 * along), along], axis=1)
    cracks = []
    height = np.arange(-6.5, 6.55, 0.25)
    for centre, width, label in CRACKS:
        middle = centre + 0.13 * np.sin(2.6 * height + 7 * centre)
        left = np.stack([middle - width / 2, height], axis=1)
        cracks.append((label, np.concatenate([left, left[::-1] + np.array([width, 0])])))
    corners = [[6.5, 6.5], [-6.5, 6.5]]
    beyond = [[6.5, 6.5], [6.5, -6.5]]
    found = [*cracks, (1, np.concatenate([upper, corners])), (2, np.concatenate([right, beyond]))]
    return [(label, polygon.round(2)) for label, polygon in found]


def labels(points: np.ndarray, polygons: list[tuple[int, np.ndarray]]) -> np.ndarray:
    """Class of each point, shape (N, 2): the even-odd rule, as in the script."""
    answer = np.zeros(len(points), dtype=int)
    a, b = points.T
    for label, polygon in polygons:
        before = np.roll(polygon, 1, axis=0)
        odd = np.zeros(len(points), dtype=bool)
        for (xi, yi), (xj, yj) in zip(polygon, before, strict=True):
            crosses = (yi > b) != (yj > b)
            with np.errstate(divide="ignore", invalid="ignore"):
                odd ^= crosses & (a < (xj - xi) * (b - yi) / (yj - yi) + xi)
        answer[odd] = label
    return answer


def vote(sigma: float = 0.5, n: int = 1000, x: tuple[float, float] = (-0.2, -0.1)) -> Figure:
    """Noisy copies of an input vote, and the vote certifies a disc.

    The reader moves the input and the noise, counts more votes and sees the bounds tighten, and
    draws other regions. The class is chosen by 100 copies of its own; the two bounds are those of
    `confidence.runner_up_bounds` at 0.001 together, the radius that of Theorem 1.

    Parameters
    ----------
    sigma : float
        Standard deviation of the noise at first, in input units, from 0.1 to 1.
    n : int
        Votes at first, from 10 to 10,000.
    x : pair of float
        The input at first, in input units; each from -1.4 to 1.4.

    Returns
    -------
    Figure
        The radius in it is an :math:`\\ell_2` radius in input units, true with probability 0.999.

    Raises
    ------
    ValueError
        If an argument is out of its range.
    TypeError
        If it is no number.

    References
    ----------
    cohen2019, Theorem 1. Chapter 8.

    Examples
    --------
    >>> "R = 0.4" in vote(0.5, 1000).html
    True
    """
    sigma = _checks.real("sigma", sigma, lambda s: 0.1 <= s <= 1, "lie from 0.1 to 1")
    n = _checks.whole("n", n, 10, MOST)
    inside = f"lie from {-REACH} to {REACH} in each coordinate"
    x1, x2 = (_checks.real("x", value, lambda v: abs(v) <= REACH, inside) for value in x)
    polygons = regions()
    noise = normals(SEED, MOST + SELECTION)
    answers = labels([x1, x2] + sigma * noise, polygons)
    top = int(np.bincount(answers[MOST:], minlength=3).argmax())
    counts = np.bincount(answers[:n], minlength=3)
    lower, upper = runner_up_bounds(counts, top, ALPHA)
    radius = float(certified_radius(lower, sigma, upper))
    scale = 170 / max(1.5 + sigma, max(abs(x1), abs(x2)) + 1.06 * max(0.0, radius))
    reach = max(0.0, radius) * scale
    centre = np.array([170 + x1 * scale, 170 - x2 * scale])
    shown = centre + noise[: min(n, SHOWN)] * [sigma * scale, -sigma * scale]
    dots = [shown[answers[: len(shown)] == label] for label in range(3)]
    values = {
        "state": json.dumps(
            {
                "x": [x1, x2],
                "sigma": sigma,
                "n": n,
                "seed": SEED,
                "alpha": ALPHA,
                "most": MOST,
                "reach": REACH,
                "selection": SELECTION,
                "shown": SHOWN,
            }
        ),
        "scale": f"{scale:.3f}",
        "regions": "\n".join(_region(label, polygon) for label, polygon in polygons),
        "dots": "\n".join(_dots(label, points) for label, points in enumerate(dots)),
        "x": f"{centre[0]:.1f}",
        "y": f"{centre[1]:.1f}",
        "x1": f"{x1:.2f}",
        "x2": f"{x2:.2f}",
        "disc": f"{reach:.1f}",
        "spoke": f"M{centre[0]:.1f} {centre[1]:.1f}l{reach * 0.8:.1f} {reach * 0.6:.1f}",
        "unit": f"M12 331v-5m0 2.5h{scale:.1f}m0 2.5v-5",
        "bars": "\n".join(
            _bar(label, int(counts[label]), n, lower if label == top else upper, label == top)
            for label in range(3)
        ),
        "lower": rounded_down(lower, 4),
        "upper": rounded_up(upper, 4),
        "radius": f"R = {rounded_down(radius, 3)}" if radius > 0 else "abstain",
        "meaning": f"Inside the circle the vote stays {NAMES[top]}."
        if radius > 0
        else "The two bounds do not separate.",
        "sigma": f"{sigma:.2f}",
        "n_place": round(100 * math.log10(n / 10)),
        "n": f"{n:,}",
    }

    def still(figure: MplFigure) -> None:
        stills.vote(figure, polygons, (x1, x2), 170 / scale, radius, sigma * noise[:SHOWN], answers)
        bounds = [lower if label == top else upper for label in range(3)]
        stills.bars(figure.axes[1], NAMES, counts / n, bounds, f"n = {n:,}, {values['radius']}")

    return assemble("vote", values, still)


def _region(label: int, polygon: np.ndarray) -> str:
    line = "L".join(f"{a:g} {b:g}" for a, b in polygon)
    return f'<path class="rsi-fill rsi-c{label}" data-class="{label}" d="M{line}Z"/>'


def _dots(label: int, points: np.ndarray) -> str:
    line = "".join(f"M{a:.0f} {b:.0f}h0" for a, b in points)
    return f'<path class="rsi-stroke rsi-c{label}" data-part="dots-{label}" d="{line}"/>'


def _bar(label: int, count: int, n: int, bound: float, is_top: bool) -> str:
    share, y = count / n, 6 + 36 * label
    low, span = min(share, bound), abs(share - bound)
    dashes = "5 3" if is_top else "1 3.5"
    return (
        f'<g class="rsi-c{label}"><text x="0" y="{y + 14}">{NAMES[label]}</text>'
        f'<rect x="64" y="{y}" width="220" height="18" rx="2" style="fill:var(--rsi-wash)"/>'
        f'<rect data-part="share-{label}" x="64" y="{y}" width="{220 * share:.1f}" height="18"'
        ' rx="2" class="rsi-fill"/>'
        f'<rect data-part="doubt-{label}" x="{64 + 220 * low:.1f}" y="{y}" width="{220 * span:.1f}"'
        ' height="18" style="fill:currentColor" fill-opacity="0.28"/>'
        f'<path data-part="bound-{label}" d="M{64 + 220 * bound:.1f} {y - 4}v26" class="rsi-ink"'
        f' stroke-width="2" stroke-linecap="round" stroke-dasharray="{dashes}"/>'
        f'<text data-part="count-{label}" x="340" y="{y + 14}" text-anchor="end">{count:,}</text>'
        "</g>"
    )
