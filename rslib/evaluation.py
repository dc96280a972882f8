"""What a set of certificates is worth: certified accuracy, average radius, tables, comparisons.

Certified accuracy at radius r is the share of examples whose certified class is right and whose
certified radius is at least r: on these, no attack of l2 norm below r can succeed (each
certificate with its own probability alpha of being false). Radii are compared as exact decimals,
so that a radius printed as 0.500000 counts at r = 0.5.

Everything here takes rows of a certificate file, a whole file, or certificates as
:class:`rslib.smoothing.SmoothedClassifier` returns them, with the true ``labels`` beside
them. Where only some radii were decided (``certify_at``, a run with ``--at``, a log of
predictions), what was not asked is not zero: it is NaN in an array, None in JSON and n/a in a
table.

References
----------
cohen2019, Section 4. Chapter 10, and the chapter on reading certificates for comparisons.
"""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path

import numpy as np

from rslib._results import Results, asked_radii, checked_radii, manifest_of, scored, shares
from rslib._tables import FORMATS, cell, check_format, laid_out, percent
from rslib.comparison import DEFAULT_RADII, Comparison, PairedAccuracy, PairedRadius, compare
from rslib.records import CertificateFile, read_certificates

__all__ = [
    "DEFAULT_RADII",
    "FORMATS",
    "Comparison",
    "PairedAccuracy",
    "PairedRadius",
    "abstention_rate",
    "accuracy_band",
    "average_certified_radius",
    "certified_accuracy",
    "compare",
    "find_files",
    "summary",
    "table",
]


def certified_accuracy(
    rows: Results,
    radii: Sequence[float | str | Decimal],
    labels: Sequence[int] | None = None,
) -> np.ndarray:
    """Share of the examples that are certified correctly at each radius.

    Parameters
    ----------
    rows : iterable of Row, CertificateFile, or iterable of certificates
        The certificates of m examples. Abstentions count as wrong, at radius 0 too.
    radii : sequence of numbers
        In input units, l2 norm; each compared as the decimal that it prints as.
    labels : sequence of int, optional
        True classes, for certificates that are no rows.

    Returns
    -------
    ndarray, float64, shape (len(radii),)
        Share with the right class and a certified radius of at least r; NaN where the file or the
        decisions say which radii were asked, and r was not.

    Raises
    ------
    ValueError
        If there are no rows, a radius is negative, infinite or no number, or ``labels`` do not
        belong to them.

    References
    ----------
    cohen2019, Section 4.

    Examples
    --------
    >>> from decimal import Decimal
    >>> from rslib.records import Row
    >>> rows = [
    ...     Row(0, 7, 7, Decimal("0.500000"), True, 0.1),
    ...     Row(1, 2, 2, Decimal("0.250000"), True, 0.1),
    ...     Row(2, 5, 3, Decimal("0.900000"), False, 0.1),
    ...     Row(3, 5, -1, Decimal("0.000000"), False, 0.1),
    ... ]
    >>> certified_accuracy(rows, [0, 0.5, 0.9])
    array([0.5 , 0.25, 0.  ])
    """
    (rows, asked), radii = scored(rows, labels), checked_radii(radii)
    return np.array(shares(rows, radii, asked), dtype=np.float64)


def average_certified_radius(rows: Results, labels: Sequence[int] | None = None) -> float:
    """Mean certified radius, where a wrong class or an abstention counts as radius 0.

    It is the area under the curve of certified accuracy, in input units. Parameters as
    :func:`certified_accuracy`. A file or decisions in which only some radii were asked have none:
    that is a ValueError, which says what it is at least.

    >>> from decimal import Decimal
    >>> from rslib.records import Row
    >>> average_certified_radius([
    ...     Row(0, 7, 7, Decimal("0.500000"), True, 0.1),
    ...     Row(1, 5, 3, Decimal("0.900000"), False, 0.1),
    ... ])
    0.25
    """
    rows, asked = scored(rows, labels)
    mean = _mean_radius(rows)
    if asked is not None:
        listed = ", ".join(map(str, asked))
        raise ValueError(
            f"rows must hold the largest radii for an average: only {listed} were asked, so that "
            f"it is at least {mean:g}"
        )
    return mean


def _mean_radius(rows: list) -> float:
    return float(sum(row.radius for row in rows if row.correct) / len(rows))


def abstention_rate(rows: Results, labels: Sequence[int] | None = None) -> float:
    """Share of the examples on which the smoothed classifier abstained.

    Parameters as :func:`certified_accuracy`.

    >>> from decimal import Decimal
    >>> from rslib.records import Row
    >>> abstention_rate([
    ...     Row(0, 7, 7, Decimal("0.500000"), True, 0.1),
    ...     Row(1, 5, -1, Decimal("0.000000"), False, 0.1),
    ... ])
    0.5
    """
    rows, _ = scored(rows, labels)
    return sum(row.predict == -1 for row in rows) / len(rows)


def _check_apart(results: list) -> None:
    """Raise where two results say that they are of one example, or share their noise."""
    for names in (("idx",), ("seed", "index")):
        keys = [tuple(getattr(one, name, None) for name in names) for one in results]
        key, count = Counter(keys).most_common()[0]
        if count > 1 and None not in key:
            named = " and ".join(f"{n} {value}" for n, value in zip(names, key, strict=True))
            raise ValueError(
                f"rows must be of different examples, each with noise of its own: {count} of them "
                f"have {named}"
            )


def _half_width(m: int, confidence: float) -> float:
    return math.sqrt(math.log(2 / (1 - confidence)) / (2 * m))


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence!r}")


def accuracy_band(
    rows: Results,
    radii: Sequence[float | str | Decimal],
    confidence: float = 0.95,
    alpha: float = 0.0,
    labels: Sequence[int] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    r"""A band that holds the certified accuracy of the whole population at all radii at once.

    The m examples are taken to be drawn independently from the population, and **each must have
    noise of its own**: another ``index`` in :meth:`rslib.smoothing.SmoothedClassifier.certify`,
    whose default is one index for all, or another seed. Rows of a certificate file have that
    (their idx keys the noise). With noise that is shared the scores are not independent, and a
    band of 95% misses in 23 of 100 cases of a simple example. Give an example the
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
    rows : iterable of Row, CertificateFile, or iterable of certificates
        The certificates of m examples.
    radii : sequence of numbers
        In input units, l2 norm.
    confidence : float
        Probability, over the draw of the examples and the noise, that the whole band holds.
    alpha : float
        Taken off the lower edge; 0 gives the band for certified accuracy.
    labels : sequence of int, optional
        True classes, for certificates that are no rows.

    Returns
    -------
    lower, upper : ndarray, float64, shape (len(radii),)
        Within [0, 1]; NaN at radii that were not asked.

    Raises
    ------
    ValueError
        As :func:`certified_accuracy`; for a confidence not within (0, 1) or alpha not in [0, 1); or
        if two rows have one idx, or two certificates one seed and index (where they say so).

    References
    ----------
    massart1990, Corollary 1. Chapter 10.

    Examples
    --------
    >>> from decimal import Decimal
    >>> from rslib.records import Row
    >>> rows = [Row(i, 0, 0, Decimal("0.250000"), True, 0.1) for i in range(500)]
    >>> lower, upper = accuracy_band(rows, [0.25, 0.5])
    >>> lower.round(4), upper.round(4)
    (array([0.9393, 0.    ]), array([1.    , 0.0607]))
    """
    _check_confidence(confidence)
    if not 0 <= alpha < 1:
        raise ValueError(f"alpha must be at least 0 and below 1, got {alpha!r}")
    given = rows if isinstance(rows, CertificateFile) else list(rows)
    share = certified_accuracy(given, radii, labels)
    single = list(given.rows) if isinstance(given, CertificateFile) else given
    _check_apart(single)
    width = _half_width(len(single), confidence)
    return np.maximum(share - width - alpha, 0.0), np.minimum(share + width, 1.0)


# ---------------------------------------------------------------------------------------------
# Tables


def find_files(paths: Iterable[str | os.PathLike]) -> list[Path]:
    """The files themselves; of folders, the certificate files in them and in those below.

    Parameters
    ----------
    paths : iterable of paths

    Returns
    -------
    list of Path
        In the order given, each folder's ``*.tsv`` sorted by name.

    Raises
    ------
    ValueError
        For a folder that holds none.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        inside = sorted(path.rglob("*.tsv")) if path.is_dir() else [path]
        if not inside:
            raise ValueError(f"{path}: holds no certificate file (*.tsv)")
        found += inside
    return found


def _check_labels(labels: Sequence[str] | None, files: Sequence) -> None:
    if labels is not None and len(labels) != len(files):
        raise ValueError(f"labels must name each of {len(files)} files, got {len(labels)}")


def _read(files: Iterable[CertificateFile | str | os.PathLike]) -> list[CertificateFile]:
    read = [
        file if isinstance(file, CertificateFile) else read_certificates(file) for file in files
    ]
    if not read:
        raise ValueError("files must not be empty")
    for one in read:
        if not one.rows:
            raise ValueError(f"{one.path}: holds no certificates")
    return read


def _records(
    files: list[CertificateFile],
    radii: list[Decimal],
    confidence: float | None,
    labels: Sequence[str] | None,
) -> list[dict]:
    _check_labels(labels, files)
    records = []
    for place, file in enumerate(files):
        rows, asked = list(file.rows), asked_radii(file)
        manifest, mean = manifest_of(file), _mean_radius(rows)
        record: dict = {} if labels is None else {"label": labels[place]}
        record |= {
            "file": str(file.path),
            "sigma": None if manifest is None else manifest["sigma"],
            "m": len(rows),
            "missing": len(file.missing),
            "certified_accuracy": dict(
                zip(map(str, radii), shares(rows, radii, asked), strict=True)
            ),
            "average_certified_radius": mean if asked is None else None,
            "abstention_rate": abstention_rate(rows),
        }
        if asked is not None:
            record["average_certified_radius_at_least"] = mean
            record["asked"] = list(map(str, asked))
        if confidence is not None:
            record |= {"half_width": _half_width(len(rows), confidence), "confidence": confidence}
        records.append(record)
    return records


def summary(
    files: Iterable[CertificateFile | str | os.PathLike],
    radii: Sequence[float | str | Decimal] = DEFAULT_RADII,
    confidence: float | None = None,
    labels: Sequence[str] | None = None,
) -> list[dict]:
    """What :func:`rslib.evaluation.table` shows, as plain rows for ``pandas.DataFrame``.

    Parameters, errors
    ------------------
    As :func:`rslib.evaluation.table`.

    Returns
    -------
    list of dict
        Keys: label where labels are given, file, sigma, m, missing, a key ``r=0.5`` for each
        radius, ACR, abstain, and half_width where a confidence is given. Numbers are floats, and
        None where the file does not say.
    """
    if confidence is not None:
        _check_confidence(confidence)
    chosen = list(dict.fromkeys(checked_radii(radii)))
    names = ("file", "sigma", "m", "missing") if labels is None else (
        "label", "file", "sigma", "m", "missing")  # fmt: skip
    return [
        {name: record[name] for name in names}
        | {f"r={radius}": share for radius, share in record["certified_accuracy"].items()}
        | {"ACR": record["average_certified_radius"], "abstain": record["abstention_rate"]}
        | ({} if confidence is None else {"half_width": record["half_width"]})
        for record in _records(_read(files), chosen, confidence, labels)
    ]


def table(
    files: Iterable[CertificateFile | str | os.PathLike],
    radii: Sequence[float | str | Decimal] = DEFAULT_RADII,
    format: str = "table",
    confidence: float | None = None,
    labels: Sequence[str] | None = None,
) -> str:
    """Certified accuracy of several certificate files at several radii.

    Parameters
    ----------
    files : iterable of CertificateFile or paths
        Paths are read by :func:`rslib.records.read_certificates`.
    radii : sequence of numbers
        In input units, l2 norm. Equal ones are shown once.
    format : {"table", "markdown", "latex", "csv", "json"}
        The first three round shares to three decimals; the other two give every digit.
    confidence : float, optional
        Adds the half width of the band of :func:`accuracy_band`, which holds at every radius.
    labels : sequence of str, optional
        One a file, shown in its place.

    Returns
    -------
    str
        A heading and a line a file, no newline at the end: file, sigma (empty where the file does
        not say), m (the number of examples, and of how many if rows are missing), certified
        accuracy at each radius, average certified radius (ACR) and abstention rate. n/a where a
        run decided other radii only; its ACR is then at least the figure shown.

    Raises
    ------
    ValueError
        If there are no files, a file has no rows or cannot be read, there are not as many labels
        as files, or an argument is out of range.
    """
    check_format(format)
    if confidence is not None:
        _check_confidence(confidence)
    chosen = list(dict.fromkeys(checked_radii(radii)))
    records = _records(_read(files), chosen, confidence, labels)
    if format == "json":
        return json.dumps(records, indent=2)

    exact = format == "csv"
    first = "file" if labels is None else "label"
    header = [first, "sigma", "m"] + (["missing"] if exact else [])
    header += [*(f"r={radius}" for radius in chosen), "ACR", "abstain"]
    if confidence is not None:
        header.append(f"±{percent(confidence)}")
    lines = [header]
    for record in records:
        m, missing = record["m"], record["missing"]
        line = [record[first], record["sigma"] or ""]
        line += (
            [str(m), str(missing)] if exact else [f"{m} of {m + missing}" if missing else f"{m}"]
        )
        line += [cell(share, exact) for share in record["certified_accuracy"].values()]
        if (least := record.get("average_certified_radius_at_least")) is None:
            line.append(cell(record["average_certified_radius"], exact))
        else:
            line.append("n/a" if exact else f"≥{least:.3f}")
        line.append(cell(record["abstention_rate"], exact))
        if confidence is not None:
            line.append(cell(record["half_width"], exact))
        lines.append(line)
    return laid_out(lines, format)
