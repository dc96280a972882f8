"""Two sets of certificates on the same images, compared in pairs.

A difference between two curves is judged on the images on which they differ, and on those alone:
the band of each curve, made for one of them by itself, is the wrong measure by far. Reached as
:func:`rslib.evaluation.compare`; the statistics are those of :mod:`rslib.paired`.

References
----------
mcnemar1947, holm1979, clopper1934. The chapter on reading certificates.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal

import numpy as np

from rslib import paired
from rslib._results import Results, checked_radii, manifest_of, scored
from rslib._tables import check_format, laid_out, percent
from rslib.records import CertificateFile, Row, read_certificates

__all__ = ["DEFAULT_RADII", "Comparison", "PairedAccuracy", "PairedRadius", "compare"]

DEFAULT_RADII = ("0", "0.25", "0.5", "0.75", "1", "1.5", "2")


@dataclass(frozen=True)
class PairedAccuracy:
    """Certified accuracy of A and B at one radius, on the same images.

    Attributes
    ----------
    radius : str
        As asked for.
    accuracy_a, accuracy_b, difference : float
        The difference is A - B.
    low, high : float
        An interval for the difference in the population; those of all radii of a comparison hold
        together with its confidence.
    both, only_a, only_b, neither : int
        Images that are certified correctly by both, by one alone, by none.
    p_value, p_holm : float
        Of the exact McNemar test at this radius, and with Holm's correction over all radii of the
        comparison.
    power : float
        Probability with which a test at all radii (each at its share of the error) sees a true
        difference of ``Comparison.at`` with so many images, if as many of them differ as did here.
    images_needed : int
        How many images would make that probability 80%.
    """

    radius: str
    accuracy_a: float
    accuracy_b: float
    difference: float
    low: float
    high: float
    both: int
    only_a: int
    only_b: int
    neither: int
    p_value: float
    p_holm: float
    power: float
    images_needed: int


@dataclass(frozen=True)
class PairedRadius:
    """Average certified radius of A and B, the difference A - B and its interval (Student's t)."""

    average_a: float
    average_b: float
    difference: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """Two sets of certificates on the same images, compared in pairs.

    Attributes
    ----------
    a, b : str
        What was compared.
    images : int
        How many images both have.
    confidence : float
        Of the intervals at all radii together, and of the one for the radius.
    at : float
        The difference for which powers are given.
    accuracies : tuple of PairedAccuracy
        One for each radius.
    radius : PairedRadius or None
        None where one of the two decided some radii only.
    notes : tuple of str
        What a reader should know: settings in which the two differ, rows left out.
    """

    a: str
    b: str
    images: int
    confidence: float
    at: float
    accuracies: tuple[PairedAccuracy, ...]
    radius: PairedRadius | None
    notes: tuple[str, ...]

    def rows(self) -> list[dict]:
        """The radii as plain rows, such as ``pandas.DataFrame`` takes."""
        return [asdict(one) for one in self.accuracies]

    def to_dict(self) -> dict:
        """Everything, as JSON takes it."""
        return asdict(self) | {"accuracies": self.rows(), "notes": list(self.notes)}

    def to_text(self, format: str = "table") -> str:
        """As a table for people, or in another format of :func:`rslib.evaluation.table`."""
        check_format(format)
        if format == "json":
            return json.dumps(self.to_dict(), indent=2)
        if format == "csv":
            names = list(PairedAccuracy.__dataclass_fields__)
            return laid_out(
                [names, *([str(v) for v in row.values()] for row in self.rows())], format
            )
        needed = f"m for {self.at:g}"
        header = ["r", "A", "B", "A-B", f"{percent(self.confidence)} interval", "only A", "only B"]
        lines = [[*header, "p", "p (Holm)", f"power at {self.at:g}", needed]]
        for one in self.accuracies:
            line = [one.radius, f"{one.accuracy_a:.3f}", f"{one.accuracy_b:.3f}"]
            line += [f"{one.difference:+.3f}", f"{one.low:+.3f} to {one.high:+.3f}"]
            line += [str(one.only_a), str(one.only_b), f"{one.p_value:.2g}", f"{one.p_holm:.2g}"]
            lines.append([*line, f"{one.power:.2f}", f"{one.images_needed}"])
        if (of := self.radius) is not None:
            line = ["ACR", f"{of.average_a:.3f}", f"{of.average_b:.3f}", f"{of.difference:+.3f}"]
            lines.append([*line, f"{of.low:+.3f} to {of.high:+.3f}", *[""] * 6])
        made = laid_out(lines, format)
        if format != "table":
            return made
        said = [f"A: {self.a}", f"B: {self.b}", f"{self.images} images", *self.notes]
        return "\n".join([*said, made])


def compare(
    a: CertificateFile | str | os.PathLike | Iterable[Row],
    b: CertificateFile | str | os.PathLike | Iterable[Row],
    radii: Sequence[float | str | Decimal] | None = None,
    confidence: float = 0.95,
    difference: float = 0.02,
    common: bool = False,
) -> Comparison:
    """Compare two sets of certificates in pairs, image by image.

    Parameters
    ----------
    a, b : CertificateFile, path, or iterable of Row
        Certificates of the same images.
    radii : sequence of numbers, optional
        In input units, l2 norm; default those of `DEFAULT_RADII` that both have decided.
    confidence : float
        Of the intervals: those at all radii hold together with at least this probability, over the
        draw of the images from their population (each gets its share of the error).
    difference : float
        The difference of certified accuracies whose power is given: 0.02 is two points.
    common : bool
        Compare on the images that both have, where one has more.

    Returns
    -------
    Comparison
        Its statements are about these two files' networks: not about other training runs.

    Raises
    ------
    ValueError
        If the two do not have the same idx (without ``common``) and the same labels, an idx is
        there twice, a radius was not decided by both, or an argument is out of range.

    References
    ----------
    mcnemar1947, holm1979, clopper1934; :mod:`rslib.paired`.

    Examples
    --------
    >>> a = [Row(i, 0, 0, Decimal("0.5"), True, 0.1) for i in range(100)]
    >>> b = [Row(i, 0, i // 80, Decimal("0.5"), i < 80, 0.1) for i in range(100)]
    >>> (one,) = compare(a, b, ["0.5"]).accuracies
    >>> one.only_a, one.only_b, f"{one.p_value:.1e}", round(one.low, 3), round(one.high, 3)
    (20, 0, '1.9e-06', 0.07, 0.321)
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence!r}")
    if not 0 < abs(difference) < 1:
        raise ValueError(f"difference must lie between 0 and 1, got {difference!r}")
    (name_a, rows_a, asked_a, m_a), (name_b, rows_b, asked_b, m_b) = (
        _side(name, given) for name, given in (("a", a), ("b", b))
    )
    decided = [asked for asked in (asked_a, asked_b) if asked is not None]
    if radii is None:
        radii = [r for r in DEFAULT_RADII if all(Decimal(r) in asked for asked in decided)]
    exact = list(dict.fromkeys(checked_radii(radii)))
    if not exact:
        raise ValueError("radii must name at least one radius that both have decided, got none")
    for radius in exact:
        for asked in decided:
            if radius not in asked:
                listed = ", ".join(map(str, asked))
                raise ValueError(
                    f"radii must be among those that were asked ({listed}), got {radius}"
                )
    keys, notes = _pairs(name_a, rows_a, name_b, rows_b, common)
    pairs = [(rows_a[key], rows_b[key]) for key in keys]
    notes += _differing_settings(m_a, m_b)
    averages = None
    if not decided and len(pairs) > 1:
        averages = _paired_radius(pairs, confidence)
    accuracies = _paired_accuracies(pairs, exact, confidence, abs(difference))
    return Comparison(
        name_a, name_b, len(pairs), confidence, abs(difference), accuracies, averages, tuple(notes)
    )


def _side(
    name: str, given: Results | str | os.PathLike
) -> tuple[str, dict[int, Row], tuple | None, Mapping | None]:
    """A side's name, its rows by idx, the radii it was asked, and its manifest."""
    if isinstance(given, str | os.PathLike):
        given = read_certificates(given)
    named = str(given.path) if isinstance(given, CertificateFile) else name
    rows, asked = scored(given, None)
    by_idx = {row.idx: row for row in rows}
    if len(by_idx) < len(rows):
        raise ValueError(f"{named}: must hold each idx once, to be compared in pairs")
    return named, by_idx, asked, manifest_of(given)


def _pairs(
    name_a: str, rows_a: dict[int, Row], name_b: str, rows_b: dict[int, Row], common: bool
) -> tuple[list[int], list[str]]:
    """The idx that are compared, and what is to be said about them."""
    keys, notes = sorted(rows_a.keys() & rows_b.keys()), []
    for name, alone in ((name_a, rows_a.keys() - rows_b), (name_b, rows_b.keys() - rows_a)):
        if alone and (not common or not keys):
            raise ValueError(
                f"{name}: has idx {min(alone)}, which the other has not ({len(keys)} are in both); "
                "a comparison in pairs needs the same images"
                + (", or common (--common) for those that both have" if keys else "")
            )
        if alone:
            notes.append(f"{len(alone)} rows of {name} are left out: the other lacks them")
    unlike = [key for key in keys if rows_a[key].label != rows_b[key].label]
    if unlike:
        key = unlike[0]
        raise ValueError(
            f"{name_a} and {name_b}: idx {key} has label {rows_a[key].label} in one and "
            f"{rows_b[key].label} in the other ({len(unlike)} of {len(keys)} differ): these are "
            "not the same images"
        )
    return keys, notes


def _differing_settings(a: Mapping | None, b: Mapping | None) -> list[str]:
    if a is None or b is None:
        return []
    return [
        f"{name} is {a[name]} in A and {b[name]} in B"
        for name in ("sigma", "n", "alpha")
        if a[name] != b[name]
    ]


def _paired_radius(pairs: list[tuple[Row, Row]], confidence: float) -> PairedRadius:
    sides = [
        np.array([float(row.radius) if row.correct else 0.0 for row in side])
        for side in zip(*pairs, strict=True)
    ]
    mean, low, high = paired.mean_interval(sides[0] - sides[1], confidence)
    return PairedRadius(float(sides[0].mean()), float(sides[1].mean()), mean, low, high)


def _paired_accuracies(
    pairs: list[tuple[Row, Row]], radii: list[Decimal], confidence: float, at: float
) -> tuple[PairedAccuracy, ...]:
    m, error = len(pairs), (1 - confidence) / len(radii)
    counts = []
    for radius in radii:
        in_a = np.array([a.correct and a.radius >= radius for a, _ in pairs])
        in_b = np.array([b.correct and b.radius >= radius for _, b in pairs])
        cells = (in_a & in_b, in_a & ~in_b, ~in_a & in_b, ~in_a & ~in_b)
        counts.append(tuple(int(cell.sum()) for cell in cells))
    p_values = [paired.mcnemar_pvalue(only_a, only_b) for _, only_a, only_b, _ in counts]
    found = []
    for radius, (both, only_a, only_b, neither), p_value, p_holm in zip(
        radii, counts, p_values, paired.holm(p_values), strict=True
    ):
        differing = max((only_a + only_b) / m, at)
        low, high = paired.difference_interval(only_a, only_b, m, 1 - error)
        found.append(
            PairedAccuracy(
                str(radius),
                (both + only_a) / m,
                (both + only_b) / m,
                (only_a - only_b) / m,
                low,
                high,
                both,
                only_a,
                only_b,
                neither,
                p_value,
                float(p_holm),
                paired.power(m, at, differing, error),
                paired.images_needed(at, differing, error),
            )
        )
    return tuple(found)
