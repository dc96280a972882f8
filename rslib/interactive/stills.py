"""Pictures of the figures' first states, for paper: matplotlib in, nothing of a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure as MplFigure

#: Okabe and Ito's, in the order of the figures' style sheet.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00")


def panels(figure: MplFigure) -> tuple[Axes, Axes]:
    """Two panels side by side."""
    left, right = figure.subplots(1, 2)
    return left, right


def tints() -> ListedColormap:
    """White for what is not in a set, blue for what is."""
    from matplotlib.colors import ListedColormap

    return ListedColormap(["#FFFFFF", "#5B9DC9"])


def vote(
    figure: MplFigure,
    regions: Sequence[tuple[int, np.ndarray]],
    x: tuple[float, float],
    half_width: float,
    radius: float,
    steps: np.ndarray,
    answers: np.ndarray,
) -> None:
    """The plane with its regions, the first noisy copies of x, and the certified disc."""
    from matplotlib.patches import Circle

    left, _ = panels(figure)
    blend = {label: _tint(colour) for label, colour in enumerate(COLOURS)}
    left.set_facecolor(blend[0])
    for label, polygon in regions:
        left.fill(*polygon.T, color=blend[label], linewidth=0)
    points = np.array(x) + steps
    colours = [COLOURS[label] for label in answers[: len(points)]]
    left.scatter(points[:, 0], points[:, 1], c=colours, s=3)
    if radius > 0:
        left.add_patch(Circle(x, radius, fill=False, linewidth=1.6))
    left.plot(*x, "ko", markersize=4)
    left.set(xlim=(-half_width, half_width), ylim=(-half_width, half_width), aspect="equal")
    left.set(xlabel="$x_1$ (input units)", ylabel="$x_2$ (input units)")


def bars(
    ax: Axes, names: Sequence[str], shares: np.ndarray, bounds: Sequence[float], title: str
) -> None:
    """The classes' shares of the votes, each with its bound."""
    places = np.arange(len(names))[::-1]
    ax.barh(places, shares, color=COLOURS[: len(names)], height=0.6)
    for place, bound in zip(places, bounds, strict=True):
        ax.plot([bound, bound], [place - 0.4, place + 0.4], "k--", linewidth=1.5)
    ax.set(yticks=places, yticklabels=list(names), xlim=(0, 1), xlabel="share of the votes")
    ax.set_title(title)


def _tint(colour: str) -> tuple[float, float, float]:
    """A colour as it stands behind the copies: 28% of it on white."""
    from matplotlib.colors import to_rgb

    red, green, blue = (0.72 + 0.28 * channel for channel in to_rgb(colour))
    return red, green, blue
