"""The two drawings of the front page: the vote, and the map of the course.

Both are SVG that stands in the page itself. So their text is text, their colours follow the page in
light and dark, and they weigh a few kilobytes. What they show is computed where it is drawn.
"""

from html import escape
from textwrap import wrap
from typing import NamedTuple

import numpy as np

from rslib import certificates, confidence

# Okabe and Ito's colours, and lighter ones of the same hue on dark ground.
_STYLE = """\
<style>
.front-picture {{ --a: #0072b2; --b: #d55e00; --c: #007d5b; color: inherit;
  display: block; width: 100%; max-width: {width}; margin: 0.5rem auto 1rem; }}
html[data-theme="dark"] .front-picture {{ --a: #56b4e9; --b: #f0884d; --c: #35c79b; }}
.front-picture text {{ fill: currentColor; }}
.front-picture a, .front-picture a:hover {{ color: inherit; text-decoration: none; }}
.front-picture a:hover rect, .front-picture a:focus rect {{ stroke-width: 3; }}
</style>"""


class Vote(NamedTuple):
    """What the first picture shows: noisy copies, their classes, and what follows."""

    points: np.ndarray
    classes: np.ndarray
    counts: np.ndarray
    p_a_lower: float
    radius: float


def classify(points: np.ndarray) -> np.ndarray:
    """The base classifier of the picture, in units of sigma around x: classes 0, 1 and 2.

    Class 2 is a sliver close to x: the base classifier is not robust there.
    """
    u, v = points[..., 0], points[..., 1]
    along, across = 0.8 * (u - 0.55) + 0.6 * (v + 0.45), 0.8 * (v + 0.45) - 0.6 * (u - 0.55)
    found = np.where(u > 1.35 + 0.3 * np.sin(1.6 * v), 1, 0)
    return np.where((along / 0.75) ** 2 + (across / 0.16) ** 2 < 1, 2, found)


def vote(n: int = 1000, alpha: float = 0.001) -> Vote:
    """The vote of n noisy copies, the bound that it gives and the radius, in units of sigma."""
    points = np.random.default_rng(8).standard_normal((n, 2))
    classes = classify(points)
    counts = np.bincount(classes, minlength=3)
    bound = confidence.lower_bound(int(counts[0]), n, alpha)
    radius = float(certificates.certified_radius(bound, 1.0))
    return Vote(points, classes, counts, bound, radius)


def _outline(curve: np.ndarray) -> str:
    return "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in curve)


def _mark(kind: int, x: float, y: float) -> str:
    """A vote: a dot, a square or a triangle, in the colour of its class."""
    if kind == 0:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="1.7" fill="var(--a)"/>'
    if kind == 1:
        return (
            f'<rect x="{x - 1.7:.1f}" y="{y - 1.7:.1f}" width="3.4" height="3.4" fill="var(--b)"/>'
        )
    corners = f"{x:.1f},{y - 2.3:.1f} {x + 2.1:.1f},{y + 1.6:.1f} {x - 2.1:.1f},{y + 1.6:.1f}"
    return f'<polygon points="{corners}" fill="var(--c)"/>'


def vote_svg(shown: int = 220) -> str:
    """The first picture: a plane with decision regions, the votes, the certified disc, the bars."""
    found = vote()
    n, size, scale = int(found.counts.sum()), 210, 35

    def place(points: np.ndarray) -> np.ndarray:
        return size / 2 + scale * np.array([1, -1]) * points

    v = np.linspace(3, -3, 49)
    edge = place(np.column_stack([1.35 + 0.3 * np.sin(1.6 * v), v]))
    left = _outline(np.vstack([edge, [[0, size], [0, 0]]]))
    right = _outline(np.vstack([edge, [[size, size], [size, 0]]]))
    t = np.linspace(0, 2 * np.pi, 49)
    along, across = 0.75 * np.cos(t), 0.16 * np.sin(t)
    sliver = np.column_stack(
        [0.55 + 0.8 * along - 0.6 * across, -0.45 + 0.6 * along + 0.8 * across]
    )
    inside = np.flatnonzero(np.abs(found.points).max(axis=1) < 2.9)[:shown]
    marks = [_mark(found.classes[i], *place(found.points[i])) for i in inside]
    share, disc = found.counts / n, scale * found.radius
    bars = []
    for c, (name, tint) in enumerate((("A", "a"), ("B", "b"), ("C", "c"))):
        y, length = 52 + 40 * c, 92 * share[c]
        bars.append(
            f'<text x="228" y="{y + 4}">{name}</text>'
            f'<rect x="244" y="{y - 9}" width="{length:.1f}" height="18" fill="var(--{tint})"/>'
            f'<text x="{249 + length:.1f}" y="{y + 4}">{"" if c == 0 else f"{share[c]:.1%}"}</text>'
        )
    bound = 244 + 92 * found.p_a_lower
    title = "A vote among noisy copies, and how far it carries"
    description = (
        f"A plane with the regions of three classes. Most of {n} noisy copies of the input x fall "
        f"into the region of class A, {share[0]:.1%} of them, and certify A in a disc of "
        f"{found.radius:.2f} sigma around x. A sliver of class C lies inside the disc: there the "
        "base classifier answers otherwise, and the vote does not."
    )
    return f"""{_STYLE.format(width="38rem")}
<svg class="front-picture" viewBox="0 0 350 {size}" role="img" aria-labelledby="vote-t vote-d"
 font-size="12">
<title id="vote-t">{title}</title><desc id="vote-d">{description}</desc>
<clipPath id="vote-plane"><rect width="{size}" height="{size}" rx="6"/></clipPath>
<g clip-path="url(#vote-plane)">
<path d="{left} Z" fill="var(--a)" fill-opacity="0.16"/>
<path d="{right} Z" fill="var(--b)" fill-opacity="0.2"/>
<path d="{_outline(place(sliver))} Z" fill="var(--c)" fill-opacity="0.35"/>
{"".join(marks)}
<circle cx="105" cy="105" r="{disc:.1f}" fill="none" stroke="currentColor" stroke-width="2.2"/>
</g>
<circle cx="105" cy="105" r="3" fill="currentColor"/>
<text x="92" y="101" font-style="italic" font-weight="bold" paint-order="stroke"
 stroke="var(--pst-color-background, #fff)" stroke-width="4">x</text>
<text x="228" y="26" font-weight="bold">{n:,} votes</text>
{"".join(bars)}
<line x1="{bound:.1f}" x2="{bound:.1f}" y1="38" y2="66" stroke="currentColor" stroke-width="2"/>
<text x="228" y="172">A: at least {found.p_a_lower:.1%},</text>
<text x="228" y="190">so A within {found.radius:.2f} σ</text>
</svg>
"""


class Stop(NamedTuple):
    """A chapter on the map: its number, its short title, its page, and whether it is on the route
    of an hour."""

    number: int
    title: str
    page: str
    hour: bool


_BOX, _ROW = 164, 44
#: Letters of a title that fit into a line of its box; there are two lines.
LONGEST = 23


def map_svg(columns: dict[str, list[Stop]]) -> str:
    """The map: a column of chapters for each part, in the order in which they are read."""
    parts, height = [], 40 + _ROW * max(map(len, columns.values()))
    for place, (heading, stops) in enumerate(columns.items()):
        left, tint = 6 + 182 * place, "ab"[place % 2]
        parts.append(f'<text x="{left}" y="18" font-weight="bold">{escape(heading)}</text>')
        middle = left + 14
        if place == 0:  # read from top to bottom; later parts need not be
            parts.append(
                f'<line x1="{middle}" x2="{middle}" y1="32" y2="{26 + _ROW * len(stops) - 8}" '
                f'stroke="var(--{tint})" stroke-width="2"/>'
            )
        parts += [_stop(stop, left, 28 + _ROW * row, tint) for row, stop in enumerate(stops)]
    listed = "; ".join(
        f"{heading}: " + ", ".join(f"{stop.number} {stop.title}" for stop in stops)
        for heading, stops in columns.items()
    )
    return f"""{_STYLE.format(width="38rem")}
<svg class="front-picture" viewBox="0 0 358 {height}" role="group"
 aria-labelledby="map-t map-d" font-size="11.5">
<title id="map-t">Map of the course</title>
<desc id="map-d">{escape(listed)}. A star marks the chapters of the route of an hour.</desc>
{"".join(parts)}
<text x="6" y="{height - 3}" font-size="11">★ on the route of an hour</text>
</svg>
"""


def _stop(stop: Stop, left: int, top: int, tint: str) -> str:
    """A box that leads to its chapter."""
    lines = wrap(stop.title, LONGEST)
    first = top + 22 - 7 * (len(lines) - 1)
    text = "".join(
        f'<tspan x="{left + 32}" y="{first + 14 * k}">{escape(line)}</tspan>'
        for k, line in enumerate(lines)
    )
    star = f'<text x="{left + _BOX - 14}" y="{top + 13}">★</text>' if stop.hour else ""
    return (
        f'<a href="{stop.page}"><rect x="{left}" y="{top}" width="{_BOX}" height="{_ROW - 8}" '
        f'rx="6" fill="var(--pst-color-background, #fff)" stroke="var(--{tint})" '
        'stroke-width="1.5"/>'
        f'<text x="{left + 14}" y="{top + 22}" text-anchor="middle" font-weight="bold">'
        f"{stop.number}</text><text>{text}</text>{star}</a>"
    )
