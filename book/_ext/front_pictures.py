"""The map of the course, as it is drawn on the front page.

It is SVG that stands in the page itself. So its text is text, its colours follow the page in light
and dark, and it weighs a few kilobytes.
"""

from html import escape
from textwrap import wrap
from typing import NamedTuple

# Okabe and Ito's colours, and lighter ones of the same hue on dark ground.
_STYLE = """\
<style>
.front-picture {{ --a: #0072b2; --b: #d55e00; color: inherit;
  display: block; width: 100%; max-width: {width}; margin: 0.5rem auto 1rem; }}
html[data-theme="dark"] .front-picture {{ --a: #56b4e9; --b: #f0884d; }}
.front-picture text {{ fill: currentColor; }}
.front-picture a, .front-picture a:hover {{ color: inherit; text-decoration: none; }}
.front-picture a:hover rect, .front-picture a:focus rect {{ stroke-width: 3; }}
</style>"""


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
