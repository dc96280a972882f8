"""What a set of certificates is worth: certified accuracy, average radius, tables.

Certified accuracy at radius r is the share of examples whose certified class is right and whose
certified radius is at least r: on these, no attack of l2 norm below r can succeed (each
certificate with its own probability alpha of being false). Radii are compared as exact decimals,
so that a radius printed as 0.500000 counts at r = 0.5.

References
----------
cohen2019, Section 4. Chapter 10.
"""

import csv
import io
import json
import math
import os
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from decimal import Decimal, InvalidOperation

import numpy as np

from rslib.records import CertificateFile, Row, read_certificates

__all__ = [
    "DEFAULT_RADII",
    "abstention_rate",
    "accuracy_band",
    "average_certified_radius",
    "certified_accuracy",
    "table",
]

DEFAULT_RADII = ("0", "0.25", "0.5", "0.75", "1", "1.5", "2")
_FORMATS = ("table", "markdown", "csv", "json")


def _checked_rows(rows: Iterable[Row]) -> list[Row]:
    rows = list(rows)
    if not rows:
        raise ValueError("rows must not be empty")
    return rows


def _checked_radii(radii: Iterable[float | str | Decimal]) -> list[Decimal]:
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


def _certified_counts(rows: list[Row], radii: list[Decimal]) -> list[int]:
    certified = sorted(row.radius for row in rows if row.correct)
    return [len(certified) - bisect_left(certified, radius) for radius in radii]


def certified_accuracy(rows: Iterable[Row], radii: Sequence[float | str | Decimal]) -> np.ndarray:
    """Share of the examples that are certified correctly at each radius.

    Parameters
    ----------
    rows : iterable of Row
        The certificates of m examples. Abstentions count as wrong, at radius 0 too.
    radii : sequence of numbers
        In input units, l2 norm; each compared as the decimal that it prints as.

    Returns
    -------
    ndarray, float64, shape (len(radii),)
        Share with the right class and a certified radius of at least r.

    Raises
    ------
    ValueError
        If there are no rows, or a radius is negative, infinite or no number.

    References
    ----------
    cohen2019, Section 4.

    Examples
    --------
    >>> from decimal import Decimal
    >>> rows = [
    ...     Row(0, 7, 7, Decimal("0.500000"), True, 0.1),
    ...     Row(1, 2, 2, Decimal("0.250000"), True, 0.1),
    ...     Row(2, 5, 3, Decimal("0.900000"), False, 0.1),
    ...     Row(3, 5, -1, Decimal("0.000000"), False, 0.1),
    ... ]
    >>> certified_accuracy(rows, [0, 0.5, 0.9])
    array([0.5 , 0.25, 0.  ])
    """
    rows, radii = _checked_rows(rows), _checked_radii(radii)
    return np.array(_certified_counts(rows, radii)) / len(rows)


def average_certified_radius(rows: Iterable[Row]) -> float:
    """Mean certified radius, where a wrong class or an abstention counts as radius 0.

    It is the area under the curve of certified accuracy, in input units.

    >>> from decimal import Decimal
    >>> average_certified_radius([
    ...     Row(0, 7, 7, Decimal("0.500000"), True, 0.1),
    ...     Row(1, 5, 3, Decimal("0.900000"), False, 0.1),
    ... ])
    0.25
    """
    rows = _checked_rows(rows)
    return float(sum(row.radius for row in rows if row.correct) / len(rows))


def abstention_rate(rows: Iterable[Row]) -> float:
    """Share of the examples on which the smoothed classifier abstained.

    >>> from decimal import Decimal
    >>> abstention_rate([
    ...     Row(0, 7, 7, Decimal("0.500000"), True, 0.1),
    ...     Row(1, 5, -1, Decimal("0.000000"), False, 0.1),
    ... ])
    0.5
    """
    rows = _checked_rows(rows)
    return sum(row.predict == -1 for row in rows) / len(rows)


def _half_width(m: int, confidence: float) -> float:
    return math.sqrt(math.log(2 / (1 - confidence)) / (2 * m))


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence!r}")


def accuracy_band(
    rows: Iterable[Row],
    radii: Sequence[float | str | Decimal],
    confidence: float = 0.95,
    alpha: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    r"""A band that holds the certified accuracy of the whole population at all radii at once.

    The m examples are taken to be drawn independently from the population. Give an example the
    score T = radius where its class is right, and T = -1 where not. Certified accuracy at r is
    :math:`A(r) = P(T \ge r) = 1 - F(r^-)` with F the distribution function of T; the rows give
    the empirical one. By the inequality of Dvoretzky, Kiefer and Wolfowitz with Massart's
    constant,

    .. math:: P\bigl(\sup_r |A_m(r) - A(r)| > t\bigr) \le 2 e^{-2 m t^2} ,

    limits from the left included, and setting the right side to 1 - confidence gives the half
    width t. It is the same at every r, and needs no correction for how many radii one looks at.

    A certificate is false with probability at most alpha. So the share of the population that is
    right at radius r and truly robust there is at least :math:`A(r) - \alpha`: with ``alpha`` that
    of the certificates, the lower edge holds for this true robust accuracy of the smoothed
    classifier. (The upper edge never does: an example may be more robust than certified.)

    Parameters
    ----------
    rows : iterable of Row
        The certificates of m examples.
    radii : sequence of numbers
        In input units, l2 norm.
    confidence : float
        Probability, over the draw of the examples and the noise, that the whole band holds.
    alpha : float
        Taken off the lower edge; 0 gives the band for certified accuracy.

    Returns
    -------
    lower, upper : ndarray, float64, shape (len(radii),)
        Within [0, 1].

    Raises
    ------
    ValueError
        As :func:`certified_accuracy`; or for a confidence not within (0, 1) or alpha not in [0, 1).

    References
    ----------
    massart1990, Corollary 1. Chapter 10.

    Examples
    --------
    >>> from decimal import Decimal
    >>> rows = [Row(i, 0, 0, Decimal("0.250000"), True, 0.1) for i in range(500)]
    >>> lower, upper = accuracy_band(rows, [0.25, 0.5])
    >>> lower.round(4), upper.round(4)
    (array([0.9393, 0.    ]), array([1.    , 0.0607]))
    """
    _check_confidence(confidence)
    if not 0 <= alpha < 1:
        raise ValueError(f"alpha must be at least 0 and below 1, got {alpha!r}")
    rows = _checked_rows(rows)
    share = certified_accuracy(rows, radii)
    width = _half_width(len(rows), confidence)
    return np.maximum(share - width - alpha, 0.0), np.minimum(share + width, 1.0)


def _records(
    files: list[CertificateFile], radii: list[Decimal], confidence: float | None
) -> list[dict]:
    records = []
    for file in files:
        if not file.rows:
            raise ValueError(f"{file.path}: holds no certificates")
        m = len(file.rows)
        shares = [count / m for count in _certified_counts(list(file.rows), radii)]
        record = {
            "file": str(file.path),
            "sigma": None if file.manifest is None else file.manifest["sigma"],
            "m": m,
            "missing": len(file.missing),
            "certified_accuracy": dict(zip(map(str, radii), shares, strict=True)),
            "average_certified_radius": average_certified_radius(file.rows),
            "abstention_rate": abstention_rate(file.rows),
        }
        if confidence is not None:
            record["half_width"] = _half_width(m, confidence)
        records.append(record)
    return records


def table(
    files: Iterable[CertificateFile | str | os.PathLike],
    radii: Sequence[float | str | Decimal] = DEFAULT_RADII,
    format: str = "table",
    confidence: float | None = None,
) -> str:
    """Certified accuracy of several certificate files at several radii.

    Parameters
    ----------
    files : iterable of CertificateFile or paths
        Paths are read by :func:`rslib.records.read_certificates`.
    radii : sequence of numbers
        In input units, l2 norm. Equal ones are shown once.
    format : {"table", "markdown", "csv", "json"}
        The first two round shares to three decimals; the other two give every digit.
    confidence : float, optional
        Adds the half width of the band of :func:`accuracy_band`, which holds at every radius.

    Returns
    -------
    str
        A heading and a line a file, no newline at the end: file, sigma (empty where the file does
        not say), m (the number of examples, and of how many if rows are missing), certified
        accuracy at each radius, average certified radius (ACR) and abstention rate.

    Raises
    ------
    ValueError
        If there are no files, a file has no rows or cannot be read, or an argument is out of
        range.
    """
    if format not in _FORMATS:
        raise ValueError(f"format must be one of {', '.join(_FORMATS)}, got {format!r}")
    if confidence is not None:
        _check_confidence(confidence)
    radii = list(dict.fromkeys(_checked_radii(radii)))
    files = [
        file if isinstance(file, CertificateFile) else read_certificates(file) for file in files
    ]
    if not files:
        raise ValueError("files must not be empty")
    records = _records(files, radii, confidence)
    if format == "json":
        return json.dumps(records, indent=2)

    exact = format == "csv"
    header = ["file", "sigma", "m"] + (["missing"] if exact else [])
    header += [*(f"r={radius}" for radius in radii), "ACR", "abstain"]
    if confidence is not None:
        header.append("±")
    lines = [header]
    for record in records:
        shares = [
            *record["certified_accuracy"].values(),
            record["average_certified_radius"],
            record["abstention_rate"],
        ]
        if confidence is not None:
            shares.append(record["half_width"])
        m, missing = record["m"], record["missing"]
        line = [record["file"], record["sigma"] or ""]
        if exact:
            line += [str(m), str(missing), *map(str, shares)]
        else:
            line += [f"{m} of {m + missing}" if missing else str(m)]
            line += [f"{share:.3f}" for share in shares]
        lines.append(line)
    if format == "csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(lines)
        return text.getvalue().removesuffix("\n")
    return _aligned(lines, markdown=format == "markdown")


def _aligned(lines: list[list[str]], markdown: bool) -> str:
    """Columns of equal width, the first to the left, numbers to the right."""
    if markdown:
        lines = [[cell.replace("|", r"\|") for cell in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = [[line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])] for line in lines]
    if not markdown:
        return "\n".join("  ".join(line) for line in padded)
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(f"| {' | '.join(line)} |" for line in [padded[0], rule, *padded[1:]])
