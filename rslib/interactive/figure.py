"""What the interactive figures share: how one is put together, and numbers equal to its script's.

A figure is one element: a picture of its first state, controls, its style and its script. It needs
no kernel, no network and no name of its own, so it can stand several times on a page.
"""

from __future__ import annotations

import base64
import importlib.util
import io
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from string import Template
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MplFigure


class Figure:
    """A piece of HTML that notebooks display, and a picture of it for paper.

    Parameters
    ----------
    html : str
        A complete element, its style and script inside. No line of it is empty, so it can be put
        into a page of Markdown as it is.
    still : callable
        Draws the first state on a figure of matplotlib, for what is printed.
    """

    def __init__(self, html: str, still: Callable[[MplFigure], None]) -> None:
        self.html = html
        self._still = still

    def png(self) -> bytes:
        """The first state as a picture, PNG; needs matplotlib.

        Examples
        --------
        >>> from rslib import interactive
        >>> interactive.worst_case().png()[1:4]
        b'PNG'
        """
        import matplotlib as mpl
        from matplotlib.figure import Figure as MplFigure

        with mpl.rc_context(mpl.rcParamsDefault | {"font.size": 10.0}):
            figure = MplFigure(figsize=(7.0, 3.4), dpi=144, layout="constrained")
            self._still(figure)
            buffer = io.BytesIO()
            figure.savefig(buffer, format="png", metadata={"Software": None})
        return buffer.getvalue()

    def _repr_html_(self) -> str:
        return self.html

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        """Pages and notebooks show the HTML; where there is none, as in print, the picture."""
        found = {"text/html": self.html, "text/plain": repr(self)}
        if importlib.util.find_spec("matplotlib"):
            found["image/png"] = base64.b64encode(self.png()).decode()
        return found

    def __repr__(self) -> str:
        return "<interactive figure: open the page in a browser>"


def asset(name: str) -> str:
    """The text of a file of ``rslib/interactive/assets``."""
    return resources.files("rslib.interactive").joinpath("assets", name).read_text("utf-8")


def assemble(name: str, values: Mapping[str, object], still: Callable[[MplFigure], None]) -> Figure:
    """The figure of a name: its template with these values, its style, its script.

    Parameters
    ----------
    name : str
        Of ``NAME.html`` and ``NAME.js`` among the assets.
    values : mapping
        What the template's ``$placeholders`` stand for; all of them.
    still : callable
        Draws the picture for paper.
    """
    body = Template(asset(f"{name}.html")).substitute(values)
    style = lean(asset("figure.css"), "/*")
    script = lean(asset("common.js") + asset(f"{name}.js"), "//")
    style, script = (
        f"<style>\n{style}\n</style>",
        f"<script>\n(() => {{\n{script}\n}})();\n</script>",
    )
    head, end = body.rstrip().rsplit("</figure>", 1)
    return Figure(f"{lean(head, '<!--')}\n{style}\n{script}\n</figure>{end}", still)


def lean(text: str, comment: str) -> str:
    """Text without indentation, empty lines and lines that are comments."""
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith(comment))


def path(xs: Sequence[float] | np.ndarray, ys: Sequence[float] | np.ndarray) -> str:
    """A line through points as SVG writes it, to a tenth of a unit."""
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in zip(xs, ys, strict=True))


def signed(value: float, digits: int) -> str:
    """A number as the scripts write it, with a minus sign that is none of the keyboard's."""
    text = f"{abs(value):.{digits}f}"
    return ("−" if value < 0 and float(text) != 0 else "") + text


def rounded_down(value: float, digits: int) -> str:
    """A lower bound or a radius as it may be shown: never to nearest."""
    return signed(np.floor(value * 10**digits) / 10**digits, digits)


def rounded_up(value: float, digits: int) -> str:
    """An upper bound as it may be shown: never to nearest."""
    return signed(np.ceil(value * 10**digits) / 10**digits, digits)


def _words(seed: int, count: int) -> np.ndarray:
    """The first words of the scripts' generator, shape (count,)."""
    with np.errstate(over="ignore"):
        h = np.uint32(seed) + np.arange(count, dtype=np.uint32) * np.uint32(0x9E3779B9)
        h = (h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B)
        h = (h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return h ^ (h >> np.uint32(16))


def normals(seed: int, count: int) -> np.ndarray:
    """The scripts' standard normal pairs, shape (count, 2): to be seen, never to certify with."""
    words = _words(seed, 2 * count).astype(np.float64)
    r = np.sqrt(-2 * np.log((words[0::2] + 0.5) / 2**32))
    angle = 2 * np.pi * (words[1::2] / 2**32)
    return np.stack([r * np.cos(angle), r * np.sin(angle)], axis=1)
