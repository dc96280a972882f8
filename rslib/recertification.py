"""The same votes at another failure probability, without the network.

A file with counts is certified again exactly. A log holds no counts, but its radii are those of a
lattice (:mod:`rslib.lattice`), and a printed radius gives the votes back, as far as its digits go.

References
----------
clopper1934; cohen2019, section 3.2.2. The chapter on reading certificates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_DOWN, Decimal
from fractions import Fraction

import numpy as np

from rslib import confidence, lattice
from rslib._results import manifest_of
from rslib.certificates import certified_radius
from rslib.records import CertificateFile, Row

__all__ = ["Recertified", "recertify"]

# A stored radius is below the computed one by this much, then cut to six decimals.
_MARGIN = 1e-9
_PLACES = Decimal("1e-6")


@dataclass(frozen=True)
class Recertified:
    """A file's certificates at another alpha.

    Attributes
    ----------
    low, high : tuple of Row
        What the votes give, at least and at most. The two are equal where the votes are known; for
        a log they are the ends of what the printed digits allow. Rows that the votes leave open
        have their smallest possible radius in ``low`` and the largest in ``high``.
    exact : bool
        Whether every row is known.
    unknown : int
        Rows of a log whose radius no number of votes gives: they abstain in ``low`` and keep their
        printed radius in ``high``. And, where alpha grows, a log's abstentions might have become
        certificates: of those nothing is known, and they stay as they are.
    """

    low: tuple[Row, ...]
    high: tuple[Row, ...]
    exact: bool
    unknown: int = 0


def recertify(
    file: CertificateFile,
    alpha: str | float,
    sigma: str | float | None = None,
    n: int | None = None,
    made_with: str | float | None = None,
) -> Recertified:
    """The certificates of a file at another failure probability, without the network.

    Parameters
    ----------
    file : CertificateFile
        With counts: exact, by the bound on the counts. A log: the votes are found again from the
        printed radius, as far as its digits allow.
    alpha : str or float
        The failure probability wanted.
    sigma, n, made_with
        For a log: noise level, number of samples, and the alpha with which it was made (as
        :func:`rslib.audit.audit_file` finds them).

    Returns
    -------
    Recertified
        From counts, radii as this library stores them: rounded down to six decimals.

    Raises
    ------
    ValueError
        If the file's run may have stopped before its n-th sample in a way that its bound depends
        on alpha (its votes say nothing at another one), or a log's settings are not given.

    Notes
    -----
    A certificate at an alpha that was chosen in sight of the result has that alpha's guarantee for
    every alpha fixed in advance; whoever tries many and keeps the best pays for all of them.

    Examples
    --------
    >>> row = Row(0, 7, 7, Decimal("1.96"), True, 0.1)
    >>> log = CertificateFile("log", None, (row,))
    >>> found = recertify(log, "0.001", sigma="0.5", n=100_000, made_with="0.01")
    >>> float(round(found.low[0].radius, 4)), float(round(found.high[0].radius, 4)), found.exact
    (1.9057, 1.9057, True)
    """
    if not 0 < float(alpha) < 1:
        raise ValueError(f"alpha must lie between 0 and 1, got {alpha!r}")
    manifest = manifest_of(file)
    if manifest is not None:
        rows = tuple(_recounted(row, manifest, float(alpha)) for row in file.rows)
        return Recertified(rows, rows, exact=True)
    if file.asked is not None:
        raise ValueError(f"{file.path}: must hold radii, not predictions, to be certified again")
    if sigma is None or n is None or made_with is None:
        raise ValueError(
            f"sigma, n and made_with must be given for a log, got {sigma!r}, {n!r}, {made_with!r}"
        )
    return _from_printed(file.rows, str(alpha), float(sigma), int(n), str(made_with))


def _recounted(row: Row, manifest: Mapping, alpha: float) -> Row:
    method = (manifest.get("method") or {"name": "fixed"})["name"]
    n = manifest["n"]
    if method not in ("fixed", "early-abstain"):
        raise ValueError(
            f"file must hold votes of a run without a stopping rule, got method {method!r}: its "
            "bound belongs to the alpha that it was run with"
        )
    label = min(row.selection, key=lambda label: (-row.selection[label], label))
    votes, total = row.estimation.get(label, 0), sum(row.estimation.values())
    variation = float(Fraction(manifest["noise"]["total_variation"]))
    lower, upper = 0.0, None
    if total == n and manifest["two_sided"]:
        counts = [row.estimation.get(c, 0) for c in range(manifest["dataset"]["num_classes"])]
        lower, upper = confidence.runner_up_bounds(counts, label, alpha)
        upper = min(1.0, float(upper) + variation)
    elif total == n:  # fewer: the run gave up, and made no claim at any alpha
        lower = float(confidence.lower_bound(votes, n, alpha))
    # One rounding may favour the certificate here; the margin covers it.
    lower, exact = max(0.0, lower - variation), 0.0
    if lower > 0 and upper != 1.0:
        exact = float(certified_radius(lower, float(Fraction(manifest["sigma"])), upper))
    radius = Decimal(max(exact - _MARGIN, 0.0)).quantize(_PLACES, ROUND_DOWN)
    predict = label if exact > 0 else -1
    return replace(row, predict=predict, radius=radius, correct=predict == row.label)


def _from_printed(
    rows: Sequence[Row], alpha: str, sigma: float, n: int, made_with: str
) -> Recertified:
    votes = lattice.stray_votes([row.radius for row in rows], sigma, n, made_with)
    radii = sigma * np.append(lattice.radii_of(n, alpha), 0.0)
    low, high, unknown = [], [], 0
    for row, found in zip(rows, votes, strict=True):
        if row.predict == -1 or row.radius <= 0:
            low.append(row)
            high.append(row)
        elif found is None:
            unknown += 1
            low.append(replace(row, predict=-1, radius=Decimal(0), correct=row.label == -1))
            high.append(row)
        else:
            fewest, most = (min(one, len(radii) - 1) for one in found)
            low.append(_with_radius(row, float(radii[most])))
            high.append(_with_radius(row, float(radii[fewest])))
    exact = not unknown and all(a.radius == b.radius for a, b in zip(low, high, strict=True))
    return Recertified(tuple(low), tuple(high), exact, unknown)


def _with_radius(row: Row, radius: float) -> Row:
    predict = row.predict if radius > 0 else -1
    return replace(row, predict=predict, radius=Decimal(repr(radius)), correct=predict == row.label)
