"""What evaluation takes: rows, files and certificates, read into one form."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from rslib.records import CertificateFile

#: Rows, a whole file, or certificates (anything with ``label`` and ``radius``).
Results = Iterable | CertificateFile


class Scored(NamedTuple):
    """What evaluation needs of a row, made of a certificate and its true label."""

    label: int
    predict: int
    radius: Decimal
    correct: bool


def manifest_of(file: object) -> Mapping | None:
    """A file's manifest as a mapping; None for a log, and for what is no file."""
    manifest = getattr(file, "manifest", None)
    return manifest if manifest is None or isinstance(manifest, Mapping) else manifest.to_dict()


def asked_radii(results: Results) -> tuple[Decimal, ...] | None:
    """The only radii that were decided; None where every radius is the largest one."""
    if isinstance(results, CertificateFile):
        if results.asked is not None:
            return results.asked
        method = (manifest_of(results) or {}).get("method") or {}
        return tuple(map(Decimal, method["radii"])) if "radii" in method else None
    radii = [set(map(str, one.radii)) for one in results if hasattr(one, "verdicts")]
    return tuple(sorted(map(Decimal, set.intersection(*radii)))) if radii else None


def scored(results: Results, labels: Sequence[int] | None) -> tuple[list, tuple | None]:
    """Rows, or what stands for them, and the radii that were asked (None: all)."""
    if isinstance(results, CertificateFile):
        rows = list(results.rows)
    else:
        rows = results = list(results)
    if not rows:
        raise ValueError("rows must not be empty")
    asked = asked_radii(results)
    if hasattr(rows[0], "predict"):
        if labels is not None:
            raise ValueError("labels must be left out for rows, which hold them")
        return rows, asked
    if labels is None or len(labels) != len(rows):
        count = "none" if labels is None else len(labels)
        raise ValueError(f"labels must give the true class of all {len(rows)}, got {count}")
    return [
        Scored(int(label), one.label, Decimal(str(one.radius)), one.label == label)
        for one, label in zip(rows, labels, strict=True)
    ], asked


def checked_radii(radii: Iterable[float | str | Decimal]) -> list[Decimal]:
    """The radii as the decimals that they print as: 0.1 is one tenth, not the float below it."""
    if isinstance(radii, str | float | int | Decimal):
        raise TypeError(f"radii must be a sequence of numbers, got {radii!r}")
    exact = []
    for radius in radii:
        try:
            value = Decimal(str(radius))
        except InvalidOperation:
            raise ValueError(f"radii must be numbers, got {radius!r}") from None
        if not value.is_finite() or value < 0:
            raise ValueError(f"radii must be finite and not negative, got {radius}")
        exact.append(value)
    return exact


def certified_counts(rows: list, radii: list[Decimal]) -> list[int]:
    certified = sorted(row.radius for row in rows if row.correct)
    return [len(certified) - bisect_left(certified, radius) for radius in radii]


def shares(rows: list, radii: list[Decimal], asked: tuple | None) -> list[float | None]:
    """Certified accuracy; None at radii that were not asked."""
    counts = certified_counts(rows, radii)
    return [
        count / len(rows) if asked is None or radius in asked else None
        for count, radius in zip(counts, radii, strict=True)
    ]
