"""Checks for chapter 16, reading other people's certificates."""

from __future__ import annotations

import math

import numpy as np

from rslib import lattice, paired
from rslib.exercises import WrongType, close, exercise, function, number

SIGMA, N = 0.25, 100_000
_HEADER = "idx\tlabel\tpredict\tradius\tcorrect\ttime"
_SETTINGS = {  # name -> (seed of the model, seed of the votes, alpha)
    "alder": (1, 11, "0.001"),
    "birch": (2, 12, "0.01"),
    "cedar": (3, 13, "0.001"),
    "elm": (1, 14, "0.001"),
    "fir": (4, 15, "0.001"),
}


def made_logs() -> dict[str, str]:
    r"""Six small logs for the exercises, all made up: 120 images of 10 classes, sigma = 0.25.

    Returns
    -------
    dict of str
        Name -> text of the log. The same on every machine.

    Examples
    --------
    >>> sorted(made_logs())
    ['alder', 'birch', 'cedar', 'dogwood', 'elm', 'fir']
    >>> made_logs()["alder"].splitlines()[1].split("\t")[:5]
    ['0', '9', '9', '0.35', '1']
    """
    rows = {name: _rows(*settings) for name, settings in _SETTINGS.items()}
    # Dogwood is fir with the times changed, and five rows drawn again.
    again = _rows(4, 16, "0.001")
    rows["dogwood"] = [again[i] if i % 24 == 7 else row for i, row in enumerate(rows["fir"])]
    top = SIGMA * lattice.radii_of(N, "0.001", 0)[0]
    rows["cedar"] = [(idx, label, 3, f"{top:.3}") for idx, label, _, _ in rows["cedar"]]
    return {name: _text(name, rows[name]) for name in sorted(rows)}


def _rows(model: int, votes: int, alpha: str) -> list[tuple[int, int, int, str]]:
    m = 120
    labels = np.random.default_rng(99).integers(0, 10, m)
    rng = np.random.default_rng(model)
    predicted = np.where(rng.random(m) < 0.75, labels, (labels + rng.integers(1, 10, m)) % 10)
    against = rng.beta(0.35, 3.0, m)
    strays = np.random.default_rng(votes).binomial(N, against)
    radii = SIGMA * lattice.radii_of(N, alpha)
    return [
        (20 * i, int(labels[i]), int(predicted[i]), f"{radii[f]:.3}")
        if f < len(radii)
        else (20 * i, int(labels[i]), -1, "0.0")
        for i, f in enumerate(strays)
    ]


def _text(name: str, rows: list[tuple[int, int, int, str]]) -> str:
    times = np.random.default_rng(sum(map(ord, name))).uniform(14.1, 14.9, len(rows))
    lines = [
        f"{idx}\t{label}\t{predict}\t{radius}\t{int(label == predict)}\t0:00:{time:.6f}"
        for (idx, label, predict, radius), time in zip(rows, times, strict=True)
    ]
    return "\n".join([_HEADER, *lines]) + "\n"


def _names(answer: object) -> set[str]:
    """One name or several, as words in lower case."""
    if isinstance(answer, dict):
        raise WrongType
    parts = [answer] if isinstance(answer, str) else answer
    try:
        found = {part.strip().lower() for part in parts}
    except (AttributeError, TypeError):
        raise WrongType from None
    if unknown := found - {*_SETTINGS, "dogwood"}:
        raise WrongType(f"{sorted(unknown)[0]!r} is none of the six logs.")
    return found


@exercise(
    "16.1", kind="by hand", expects='an alpha, such as 0.05, or a name with it, ("alder", 0.05)'
)
def which_log_and_alpha(answer: object) -> str | None:
    """The one of the six logs that was made at another alpha, and that alpha."""
    if isinstance(answer, str | bytes | dict | set):
        raise WrongType
    try:
        name, alpha = answer
    except (TypeError, ValueError):
        raise WrongType from None
    # The chapter's functions take alpha as text, so here it may be text as well.
    found, value = _names(name), number(float(alpha) if isinstance(alpha, str) else alpha)
    if found == {"cedar"}:
        return "one value, however often, tells little: look at logs with several radii at the top."
    if found != {"birch"}:
        return "hold each log's largest radii against both lattices: one log fits the other."
    if close(value, 0.01):
        return None
    if close(value, 0.001):
        return "the log is right; the largest radius of this alpha would be printed as 0.953."
    return "the log is right; which alpha gives a largest radius that prints so, with p^n = alpha?"


@exercise("16.2", kind="by code", expects="a function of (printed, sigma, n, made_with, stated)")
def at_the_stated_alpha(answer: object) -> str | None:
    """A lower bound on the radius at another alpha, from a radius printed with three digits."""
    call = function(answer)
    cases = _printed_cases()
    values = [number(call(*case)) for case in cases]

    def agrees(formula) -> bool:
        return np.allclose(values, [formula(*case) for case in cases], rtol=2e-6, atol=1e-9)

    if agrees(_least):
        return None
    if agrees(lambda *case: _least(*case, end=0)):
        return "several numbers of votes print so: a bound from below takes the most votes against."
    if agrees(lambda *case: _least(*case[:4], case[3])):
        return "you found the votes; now the bound at the alpha that was stated."
    if agrees(lambda printed, sigma, n, made, stated: printed):
        return "the printed radius is the one that was made with the other alpha."
    if agrees(_scaled):
        return "the radii do not shrink in proportion: find the votes first."
    if any(v > 0 for v, case in zip(values, cases, strict=True) if _least(*case) == 0):
        return "some votes certify at one alpha and at a smaller one nothing: then it is 0."
    if any(v > _least(*case) * (1 + 1e-6) for v, case in zip(values, cases, strict=True)):
        return "for some printed radius your value is above what the votes may give."
    return "your bound holds, but it is not the best: which votes against print so at all?"


def _printed_cases() -> list[tuple[float, float, int, str, str]]:
    cases = []
    for sigma, n, made, stated in (
        (0.5, 100_000, "0.01", "0.001"),
        (0.12, 100_000, "0.01", "0.001"),
        (1.0, 10_000, "0.001", "0.0001"),
        (0.25, 10_000, "0.001", "0.01"),
    ):
        radii = sigma * lattice.radii_of(n, made)
        places = (0, 1, 7, 60, n // 50, n // 5)
        cases += [(float(f"{radii[f]:.3}"), sigma, n, made, stated) for f in places]
    # So many votes against that at the stated alpha nothing is certain.
    radii = 0.25 * lattice.radii_of(1000, "0.01")
    return [*cases, (float(f"{radii[-1]:.3}"), 0.25, 1000, "0.01", "0.001")]


def _least(printed: float, sigma: float, n: int, made: str, stated: str, end: int = 1) -> float:
    made, stated = (f"{float(alpha):g}" for alpha in (made, stated))
    radii = sigma * lattice.radii_of(n, made)
    near = np.flatnonzero(np.abs(radii / printed - 1) < 0.01).tolist()
    strays = [f for f in near if float(f"{radii[f]:.3}") == printed]
    again = sigma * lattice.radii_of(n, stated)
    most = strays[-1] if end else strays[0]
    return float(again[most]) if most < len(again) else 0.0


def _scaled(printed: float, sigma: float, n: int, made: str, stated: str) -> float:
    return printed * float(lattice.radii_of(n, stated, 0)[0] / lattice.radii_of(n, made, 0)[0])


@exercise("16.3", kind="by code", expects='two names, such as ("alder", "birch")')
def the_copied_log(answer: object) -> str | None:
    """Which two of the six logs have the same votes in almost every row."""
    found = _names(answer)
    if found == {"dogwood", "fir"}:
        return None
    if len(found) != 2:
        return "two of the logs are meant."
    if found == {"alder", "elm"}:
        return (
            "these two agree in every class, as two runs of one model do; a copy agrees in the "
            "radii as well."
        )
    if "cedar" in found:
        return "where all radii are the same, agreeing with them is no sign of anything."
    return (
        "compare class and radius row by row, apart from abstentions: in which pair do most agree?"
    )


@exercise("16.4", kind="by code", expects="a name")
def the_collapsed_model(answer: object) -> str | None:
    """Which of the six logs is of a constant classifier."""
    found = _names(answer)
    if found == {"cedar"}:
        return None
    if len(found) != 1:
        return "one of the logs is meant."
    return "look at the column predict alone: how many different classes does each log name?"


@exercise("16.5", kind="break it", expects="four whole numbers, such as (200, 20, 10, 270)")
def inside_the_band(answer: object) -> str | None:
    """(both, only A, only B, neither) of 500 images: within the band, and p at most 0.001."""
    if isinstance(answer, str | bytes | dict | set):
        raise WrongType
    try:
        cells = [number(cell) for cell in answer]
    except TypeError:
        raise WrongType from None
    if len(cells) != 4:
        raise WrongType
    if any(cell < 0 or cell != int(cell) for cell in cells):
        return "the four are numbers of images."
    if sum(cells) != 500:
        return f"the four must add up to 500 (they add up to {sum(cells):g})."
    _, only_a, only_b, _ = map(int, cells)
    difference = abs(only_a - only_b) / 500
    if difference >= math.sqrt(math.log(40) / 1000):
        return f"a difference of {difference:.3f} is outside the band: the colleague would see it."
    p_value = paired.mcnemar_pvalue(only_a, only_b)
    if p_value > 0.001:
        if not min(only_a, only_b):
            return f"the exact test gives p = {p_value:.2g}: let the gap be wider."
        return f"the exact test gives p = {p_value:.2g}: let fewer images differ for the same gap."
    return None


@exercise("16.6", kind="by hand", expects="a whole number, such as 1000")
def images_for_two_points(answer: object) -> str | None:
    """Images for a difference of 0.02 where 0.1 differ: level 0.05, power 0.8."""
    value = number(answer)
    exact = paired.images_needed(0.02, 0.1)
    if abs(value - exact) <= 0.06 * exact:  # the normal approximation is 4% below
        return None
    if close(value, 2.8**2 * 0.5 / 0.02**2, 0.1) or close(value, 2.8**2 * 0.25 / 0.02**2, 0.1):
        return "only images on which the two differ have a say: 0.1 of them, not all."
    if close(value, 1.96**2 * 0.1 / 0.02**2, 0.05):
        return "with so many the difference is as often missed as seen: where is the power?"
    if close(value, 2.8**2 * 0.1 / 0.02, 0.06):
        return "the standard error falls with the root of m: look at the square."
    if close(value, 0.1 * exact, 0.08):
        return "these are the images that differ; how many images does it take to have so many?"
    return "the difference must be 1.96 + 0.84 standard errors, sqrt(s / m) each."
