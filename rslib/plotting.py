"""The figures' one style, and the drawings that more than one chapter needs.

Colours are those of Okabe and Ito, which readers with any kind of colour vision can tell apart;
every line also has a dash pattern of its own, so a figure survives a black-and-white printer.
Figures stand on white, so they stay readable on a page in dark mode.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import cycle
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler
from scipy.stats import norm

import rslib
from rslib import _files
from rslib._results import asked_radii
from rslib.records import CertificateFile, read_certificates

__all__ = [
    "COLOURS",
    "LINE_STYLES",
    "certified_accuracy_curve",
    "decision_regions",
    "figure1",
    "normal_density_and_distribution",
    "use_style",
    "write_curve",
]

COLOURS = {
    "blue": "#0072B2",
    "orange": "#E69F00",
    "green": "#009E73",
    "red": "#D55E00",
    "purple": "#CC79A7",
    "sky": "#56B4E9",
    "black": "#000000",
}
LINE_STYLES = ["-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1))]
FIGURE_SIZE = (7.0, 3.6)  # inches; every figure of the book is this wide


def use_style() -> None:
    """Set the book's style for all figures that follow.

    The same code then writes the same bytes twice, as PNG and (given no date) as SVG.

    Examples
    --------
    >>> use_style()
    >>> mpl.rcParams["svg.hashsalt"]
    'rslib'
    """
    mpl.rcdefaults()
    mpl.rcParams.update(
        {
            "axes.prop_cycle": cycler(color=list(COLOURS.values())) + cycler(linestyle=LINE_STYLES),
            "axes.grid": True,
            "axes.axisbelow": True,
            "axes.spines.right": False,
            "axes.spines.top": False,
            "axes.titlesize": "medium",
            "figure.constrained_layout.use": True,
            "figure.dpi": 144,
            "figure.facecolor": "white",
            "figure.figsize": FIGURE_SIZE,
            "font.size": 10.0,
            "grid.alpha": 0.3,
            "legend.framealpha": 1.0,
            "lines.linewidth": 1.8,
            "savefig.facecolor": "white",
            "svg.hashsalt": "rslib",
        }
    )


def _tint(colour: str, amount: float) -> tuple[float, float, float]:
    """Mix a colour with white; amount 0 leaves it, 1 gives white."""
    red, green, blue = (amount + (1 - amount) * channel for channel in to_rgb(colour))
    return red, green, blue


def _class_colours(num_classes: int) -> list[str]:
    names = cycle(list(COLOURS.values())[:-1])
    return [next(names) for _ in range(num_classes)]


def decision_regions(
    ax: plt.Axes,
    labels: np.ndarray,
    extent: tuple[float, float, float, float],
    num_classes: int,
) -> None:
    """Colour a plane by class.

    Parameters
    ----------
    ax : Axes
    labels : ndarray of int, shape (rows, columns)
        Class at each point of a regular grid; row 0 is the smallest second coordinate.
    extent : (left, right, bottom, top)
        Edges of the grid in input units.
    num_classes : int
        Class c always has the colour number c, whichever classes occur.
    """
    tints = ListedColormap([_tint(colour, 0.55) for colour in _class_colours(num_classes)])
    ax.imshow(
        labels,
        origin="lower",
        extent=extent,
        cmap=tints,
        vmin=-0.5,
        vmax=num_classes - 0.5,
        interpolation="nearest",
    )
    ax.grid(False)
    ax.set(xlabel="$x_1$ (input units)", ylabel="$x_2$ (input units)", aspect="equal")


def figure1(
    base: Callable[[np.ndarray], np.ndarray],
    x: Sequence[float],
    sigma: float,
    probabilities: Sequence[float],
    *,
    p_a_lower: float,
    p_b_upper: float,
    class_names: Sequence[str] | None = None,
    half_width: float | None = None,
) -> plt.Figure:
    """Draw what smoothing does at one input of the plane (Figure 1 of Cohen et al.).

    Left: the decision regions of the base classifier, and circles of radius sigma, 2 sigma and
    3 sigma around x, level sets of N(x, sigma^2 I). Right: how often each class is the answer
    under that noise, with a lower bound for the top class and one upper bound for all others.

    Parameters
    ----------
    base : callable
        Maps points, shape (..., 2), to classes 0 .. K-1, shape (...).
    x : pair of floats
        The input, in input units.
    sigma : float
        Standard deviation of the noise in each coordinate, input units.
    probabilities : sequence of K floats
        P(f(x + noise) = c) for each class c.
    p_a_lower, p_b_upper : float
        Bounds on the largest probability from below and on all others from above.
    class_names : sequence of K strings, optional
        Default "class 0", "class 1", ...
    half_width : float, optional
        Half the side of the square drawn around x; default 3.4 sigma.

    Returns
    -------
    Figure

    References
    ----------
    cohen2019, Figure 1. Chapters 3 and 8.
    """
    shares = np.asarray(probabilities, dtype=float)
    num_classes, top = len(shares), int(shares.argmax())
    names = class_names or [f"class {c}" for c in range(num_classes)]
    reach = half_width or 3.4 * sigma
    offsets = np.linspace(-reach, reach, 401)
    points = np.stack(np.meshgrid(x[0] + offsets, x[1] + offsets), axis=-1)
    extent = (x[0] - reach, x[0] + reach, x[1] - reach, x[1] + reach)

    figure, (left, right) = plt.subplots(1, 2)
    decision_regions(left, base(points), extent, num_classes)
    centre = (x[0], x[1])
    for k in (1, 2, 3):
        left.add_patch(plt.Circle(centre, k * sigma, fill=False, linestyle=":", linewidth=1.2))
    left.plot(*x, "k.", markersize=8)
    left.annotate("$x$", x, xytext=(5, 5), textcoords="offset points")
    left.set_title(r"base classifier $f$; circles at $\sigma, 2\sigma, 3\sigma$")

    colours = [_tint(colour, 0.3) for colour in _class_colours(num_classes)]
    right.bar(names, shares, color=colours, edgecolor="black", linewidth=0.8)
    for c in range(num_classes):
        bound = p_a_lower if c == top else p_b_upper
        right.hlines(bound, c - 0.4, c + 0.4, color="black", linestyle="--" if c == top else ":")
    right.annotate(
        r"$\underline{p_A}$", (top + 0.4, p_a_lower), xytext=(3, -4), textcoords="offset points"
    )
    runner_up = int(np.argsort(shares)[-2])
    right.annotate(
        r"$\overline{p_B}$", (runner_up, p_b_upper), xytext=(-4, 5), textcoords="offset points"
    )
    right.set(ylim=(0, 1), ylabel="probability under noise", title=r"the vote $f(x+\varepsilon)$")
    right.grid(axis="x", visible=False)
    return figure


def normal_density_and_distribution() -> plt.Figure:
    """Draw the standard normal density and its distribution function, side by side.

    Returns
    -------
    Figure
        One shaded area under the density and the same number as a height of the distribution
        function, so that the two graphs can be read together.
    """
    t, mark = np.linspace(-4, 4, 401), 1.0
    figure, (left, right) = plt.subplots(1, 2)
    left.plot(t, norm.pdf(t))
    inside = t <= mark
    left.fill_between(t[inside], norm.pdf(t[inside]), alpha=0.25)
    left.annotate(f"area $\\Phi(1)$\n= {norm.cdf(mark):.3f}", (-0.2, 0.1), ha="center")
    left.set(xlabel="$t$ (standard deviations)", ylabel=r"$\varphi(t)$", ylim=(0, 0.45))
    left.set_title(r"density $\varphi$")
    right.plot(t, norm.cdf(t), color=COLOURS["red"])
    right.vlines(mark, 0, norm.cdf(mark), color="black", linestyle=":", linewidth=1.2)
    right.hlines(norm.cdf(mark), -4, mark, color="black", linestyle=":", linewidth=1.2)
    right.annotate(rf"$\Phi(1)={norm.cdf(mark):.3f}$", (-3.9, norm.cdf(mark) + 0.03))
    right.set(xlabel="$t$ (standard deviations)", ylabel=r"$\Phi(t)$", ylim=(0, 1.05))
    right.set_title(r"distribution function $\Phi$")
    return figure


def certified_accuracy_curve(
    ax: plt.Axes,
    files: Sequence,
    labels: Sequence[str] | None = None,
    *,
    radii: Sequence[float] | None = None,
    band: bool = True,
    confidence: float = 0.95,
    max_radius: bool = True,
) -> None:
    """Draw certified accuracy against radius, one line a certificate file.

    Parameters
    ----------
    ax : Axes
    files : sequence of CertificateFile, or of lists of rows
        As ``records.read_certificates`` returns them.
    labels : sequence of str, optional
        Legend entries, in which pairs of ``$`` enclose mathematics as elsewhere in Matplotlib;
        default the noise level of each manifest, or the place in the sequence.
    radii : sequence of float, optional
        Where to evaluate, l2 radii in input units, ascending. Default: every radius that
        occurs, and a little beyond the largest, which gives the curve exactly. A file in which
        only some radii were decided is drawn at those, with a mark at each.
    band : bool
        Shade the confidence band of ``evaluation.accuracy_band`` at level `confidence`.
    max_radius : bool
        Mark the largest radius that the file's number of samples can give with a dot on the
        radius axis. Needs the manifest; files without one get no dot.

    Raises
    ------
    ValueError
        If `files` is empty, or one of them is, or `labels` has another length.

    References
    ----------
    cohen2019, Figure 6. Chapter 10.
    """
    if not files:
        raise ValueError(f"files must hold at least one certificate file, got {files!r}")
    if labels is not None and len(labels) != len(files):
        raise ValueError(f"labels must have one entry a file ({len(files)}), got {len(labels)}")
    manifests = [getattr(file, "manifest", None) for file in files]
    all_rows = [getattr(file, "rows", file) for file in files]
    for place, rows in enumerate(all_rows):
        if not rows:
            raise ValueError(f"files[{place}] must have rows, got none")
    if labels is None:
        labels = [
            rf"$\sigma$ = {manifest['sigma']}" if manifest else f"file {place}"
            for place, manifest in enumerate(manifests, start=1)
        ]
    if radii is None:
        occurring = {float(row.radius) for rows in all_rows for row in rows}
        everywhere = sorted({0.0, *occurring, 1.05 * max(occurring) or 1.0})
    else:
        everywhere = list(radii)

    lines = []
    for file, manifest, label in zip(files, manifests, labels, strict=True):
        asked = asked_radii(file)
        at = everywhere if asked is None or radii is not None else sorted(map(float, asked))
        # Accuracy at r counts radii >= r: the curve is continuous from the left.
        accuracy = rslib.evaluation.certified_accuracy(file, at)
        mark = None if asked is None else "."
        (line,) = ax.plot(at, accuracy, label=label, drawstyle="steps-pre", marker=mark)
        lines.append(line)
        if band:
            lower, upper = rslib.evaluation.accuracy_band(file, at, confidence=confidence)
            ax.fill_between(
                at, lower, upper, step="pre", color=line.get_color(), alpha=0.15, linewidth=0
            )
        if max_radius and manifest:
            limit = float(
                rslib.certificates.max_certified_radius(
                    manifest["n"], float(manifest["alpha"]), float(manifest["sigma"])
                )
            )
            ax.plot(
                [limit], [0], marker="o", clip_on=False, color=line.get_color(), linestyle="none"
            )
    ax.set(xlabel=r"$\ell_2$ radius $r$ (input units)", ylabel="certified accuracy", ylim=(0, 1))
    ax.set_xlim(left=0)
    _legend(ax, lines, labels)


def _legend(ax: plt.Axes, lines: Sequence[plt.Line2D], labels: Sequence[str]) -> None:
    """A legend of what was drawn before, and of lines under any labels.

    Matplotlib leaves out entries that begin with an underscore, or are empty, so these get their
    text once they stand there.
    """
    before = [
        (handle, label)
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)
        if handle not in lines
    ]
    handles = [*(handle for handle, _ in before), *lines]
    texts = [*(label for _, label in before), *labels]
    legend = ax.legend(handles, [f"entry {place}" for place in range(len(handles))])
    for entry, text in zip(legend.get_texts(), texts, strict=True):
        entry.set_text(text)


def write_curve(
    files: Iterable[CertificateFile | str | os.PathLike],
    out: str | os.PathLike,
    labels: Sequence[str] | None = None,
    *,
    confidence: float | None = 0.95,
) -> None:
    """Draw certified accuracy against radius into a file, in the book's style.

    Parameters
    ----------
    files : iterable of CertificateFile or paths
        As for :func:`rslib.evaluation.table`.
    out : path
        ``.png``, ``.svg`` or ``.pdf``. Folders are created; the same files give the same bytes.
    labels : sequence of str, optional
        Legend entries, drawn as they are; default the noise levels, or the files where these do
        not tell them apart.
    confidence : float, optional
        Of the band of :func:`rslib.evaluation.accuracy_band`; None draws none.

    Raises
    ------
    ValueError
        If a file cannot be read or has no rows, there are not as many labels as files, or ``out``
        ends otherwise.
    """
    out = Path(out)
    kind = out.suffix.lower().removeprefix(".")
    if kind not in ("png", "svg", "pdf"):
        raise ValueError(f"out must end in .png, .svg or .pdf, got {str(out)!r}")
    read = [
        file if isinstance(file, CertificateFile) else read_certificates(file) for file in files
    ]
    for file in read:
        if not file.rows:
            raise ValueError(f"{file.path}: holds no certificates")
    with mpl.rc_context():
        use_style()
        figure = Figure()  # not of pyplot: no window, whatever the environment says
        certified_accuracy_curve(
            figure.subplots(),
            read,
            _names(read) if labels is None else [_literal(label) for label in labels],
            band=confidence is not None,
            confidence=confidence or 0.95,
        )
        no_date = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
        _files.replace(out, lambda file: figure.savefig(file, format=kind, metadata=no_date))


def _names(files: Sequence[CertificateFile]) -> list[str]:
    """What tells files apart in a legend."""
    names = [
        rf"$\sigma$ = {file.manifest['sigma']}" if file.manifest else _literal(file.path.name)
        for file in files
    ]
    often = Counter(names)
    return [
        name if often[name] == 1 else f"{name}, {_literal(str(file.path))}"
        for name, file in zip(names, files, strict=True)
    ]


def _literal(name: str) -> str:
    """A name as Matplotlib draws it, without looking for mathematics in it."""
    return name.replace("$", r"\$")
