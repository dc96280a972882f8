"""Certification logs without a manifest, as other people publish them.

A log is the table that the program of Cohen et al. (2019) prints, or something near it: tabs
between the columns ``idx label predict radius correct time``, one example a line. What is found in
public differs in small ways that change no certificate: lines that end in CR LF, a byte order
mark, a last line that was cut, more columns, times in seconds or as a clock shows them,
``True``/``False`` for 1/0, a second header where two runs were written into one file. All of this
is read, and said in a *note*. A log of predictions (no column ``radius``) is read as certificates
of radius 0, the only radius at which it says anything.

What has no clear meaning is a *fault*, with its line: a field that is no number, a line with a
field missing, ``correct`` that contradicts ``predict`` and ``label``, a radius where the classifier
abstained, a negative radius, one example with two answers. :func:`read_log` refuses a log with
faults; :func:`scan_log` gives them all, for an audit.

References
----------
cohen2019 : the columns. The chapter on reading certificates.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from rslib._rows import CertificateFile, RecordError, Row

__all__ = ["Fault", "Scan", "is_log", "read_log", "scan_log"]

_COLUMNS = ("idx", "label", "predict", "radius", "correct", "time")
_OWN_COLUMNS = (*_COLUMNS, "selection", "estimation")
_BYTE_ORDER_MARKS = {
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
# 18 digits at most: every such integer is far below what any index can be. Some programs print
# a class as a tensor or as a float.
_INTEGER = re.compile(r"(?:tensor\()?(-?[0-9]{1,18})(?:\.0*)?(?:, device='[\w:]+')?\)?")
_NUMBER = re.compile(r"(?:tensor\()?(-?[0-9]{1,12}(?:\.[0-9]{0,30})?(?:[eE][+-]?[0-9]{1,3})?)\)?")
_TRUTH = {"1": True, "0": False, "true": True, "false": False, "1.0": True, "0.0": False}
_TRUTH |= {f"tensor({text})": value for text, value in list(_TRUTH.items())}
_CLOCK = re.compile(
    r"(?:(-?[0-9]{1,6}) days?, )?([0-9]{1,2}):([0-5][0-9]):([0-5][0-9](?:\.[0-9]{1,9})?)"
)
_SECONDS = re.compile(r"[0-9]{1,12}(?:\.[0-9]{0,17})?(?:[eE][+-]?[0-9]{1,2})?")
_LARGEST_RADIUS = Decimal(10) ** 12


@dataclass(frozen=True)
class Fault:
    """Something in a log that has no clear meaning.

    Attributes
    ----------
    line : int
        From 1, the header being a line too.
    words : str
        What is wrong, beginning with the column where one is to blame.
    kind : {"unreadable", "correct", "negative", "abstained", "twice"}
        ``unreadable``: the line was left out. The others contradict themselves or another line, in
        ``correct``, by a negative radius, by a radius at an abstention, or by another answer to
        an idx that was there (then the first is kept).
    """

    line: int
    words: str
    kind: str


@dataclass(frozen=True)
class Scan:
    """Everything that reading a log gave: its rows, what was noticed, and what is wrong.

    Attributes
    ----------
    file : CertificateFile
        Without manifest; its ``notes`` say what differs from the usual form without changing a
        certificate, and ``asked`` is ``(0,)`` for a log of predictions.
    faults : tuple of Fault
        In the order of the lines. Empty for a log that :func:`read_log` takes.
    """

    file: CertificateFile
    faults: tuple[Fault, ...]


def is_log(data: bytes) -> bool:
    """Whether a table is a log rather than a certificate file of this library, by its header.

    >>> is_log(b"idx\\tlabel\\tpredict\\tradius\\tcorrect\\ttime\\r\\n")
    True
    >>> is_log(b"idx\\tlabel\\tpredict\\tradius\\tcorrect\\ttime\\tselection\\testimation\\n")
    False
    """
    first = data.split(b"\n", 1)[0].removeprefix(b"\xef\xbb\xbf").rstrip(b"\r")
    return first != "\t".join(_OWN_COLUMNS).encode()


def read_log(path: str | os.PathLike, data: bytes | None = None) -> CertificateFile:
    """Read a log without manifest, or refuse it with file, line and reason.

    Parameters
    ----------
    path : path
        Of any name.
    data : bytes, optional
        Its content, where the caller has read it already.

    Returns
    -------
    CertificateFile
        Rows in the order of the file, radii as printed (so possibly above what was certified, by
        up to 0.5% where they were rounded to three digits); ``notes`` in words.

    Raises
    ------
    RecordError
        For the first fault, or a file that cannot be read at all.
    """
    scan = scan_log(path, data)
    if scan.faults:
        first = scan.faults[0]
        raise RecordError(f"{scan.file.path}:{first.line}: {first.words}")
    return scan.file


def scan_log(path: str | os.PathLike, data: bytes | None = None) -> Scan:
    """Read a log as far as it can be read, with all that is wrong in it.

    Parameters, errors
    ------------------
    As :func:`read_log`, but only a file without a usable header is refused.
    """
    path = Path(path)
    if data is None:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise RecordError(f"{path}: cannot read: {error.strerror or error}") from None
    notes: list[str] = []
    lines, cut = _lines(path, data, notes)
    reader = _Reader(_header(path, lines[0], notes), notes)
    for number, line in enumerate(lines[1:], start=2):
        reader.take(number, line, cut=cut and number == len(lines))
    file = CertificateFile(path, None, tuple(reader.rows), tuple(reader.said()), reader.asked)
    return Scan(file, tuple(reader.faults))


def _lines(path: Path, data: bytes, notes: list[str]) -> tuple[list[str], bool]:
    """The lines of a file, and whether the last one lacks its end."""
    encoding = "utf-8"
    for mark, name in _BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            encoding = name
            notes.append(f"begins with a byte order mark ({name.removesuffix('-sig').upper()})")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise RecordError(f"{path}:{line}: holds bytes that are not text") from None
    if "\r" in text:
        notes.append("lines end in CR LF" if "\r\n" in text else "lines end in CR")
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise RecordError(f"{path}:1: empty: there is not even a header")
    *lines, rest = text.split("\n")
    return [*lines, rest] if rest else lines, bool(rest)


def _header(path: Path, line: str, notes: list[str]) -> tuple[str, ...]:
    """The names of the columns."""
    names = tuple(name.strip().lower() for name in line.split("\t"))
    missing = [name for name in _COLUMNS[:3] if name not in names]
    if missing:
        raise RecordError(
            f"{path}:1: the header must name the columns idx label predict, with tabs between "
            f"them; {' '.join(missing)} missing in {line[:60]!r}"
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise RecordError(f"{path}:1: the header names the column {twice[0]} twice")
    more = [name for name in names if name not in _COLUMNS]
    if more:
        notes.append(f"more columns, left aside: {' '.join(more)}")
    if "radius" not in names:
        notes.append("no column radius: a log of predictions, read as radius 0")
    for name in ("correct", "time"):
        if name not in names:
            notes.append(f"no column {name}")
    return names


@dataclass
class _Reader:
    """Turns the lines of one log into rows, notes and faults."""

    names: tuple[str, ...]
    notes: list[str]
    rows: list[Row] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    lines: dict[int, int] = field(default_factory=dict)  # idx -> line of its row
    answers: dict[int, tuple] = field(default_factory=dict)  # idx -> what that row says
    words: int = 0  # rows with True or False in place of 1 or 0
    timeless: int = 0
    repeated: int = 0

    @property
    def asked(self) -> tuple[Decimal, ...] | None:
        return None if "radius" in self.names else (Decimal(0),)

    def take(self, number: int, line: str, cut: bool) -> None:
        fields = [part.strip() for part in line.split("\t")]
        if not line.strip():
            self.notes.append(f"line {number} is blank")
        elif tuple(part.lower() for part in fields) == self.names:
            self.notes.append(f"line {number} is a header again: two runs in one file")
        elif len(fields) != len(self.names):
            if cut and len(fields) < len(self.names):
                self.notes.append(f"line {number} was cut off, and is left out")
            else:
                words = f"expected {len(self.names)} tab-separated fields, got {len(fields)}"
                self.faults.append(Fault(number, words, "unreadable"))
        else:
            if cut and self.names[-1] in _COLUMNS[:-1]:
                # What a cut left of a radius looks like a radius.
                self.notes.append(f"line {number} has no end, may be cut, and is left out")
                return
            if cut:
                self.notes.append("no newline at the end")
            try:
                row = self._row(number, dict(zip(self.names, fields, strict=True)))
            except ValueError as error:
                self.faults.append(Fault(number, str(error), "unreadable"))
            else:
                self._keep(number, row)

    def _row(self, number: int, values: dict[str, str]) -> Row:
        idx, label, predict = (_whole(name, values[name]) for name in _COLUMNS[:3])
        for name, value, least in (("idx", idx, 0), ("label", label, 0), ("predict", predict, -1)):
            if value < least:
                words = "-1 or a class" if least else "a non-negative integer"
                raise ValueError(f"{name}: must be {words}, got {values[name]!r}")
        radius = _radius(values["radius"]) if "radius" in values else Decimal(0)
        is_right = predict == label
        if "correct" in values:
            text = values["correct"].lower()
            if text not in _TRUTH:
                raise ValueError(f"correct: must be 0 or 1, got {values['correct'][:40]!r}")
            self.words += "true" in text or "false" in text
            if _TRUTH[text] != is_right:
                words = f"must be {int(is_right)} for label {label} and predict {predict}"
                self.faults.append(Fault(number, f"correct: {words}", "correct"))
        if radius < 0:
            words = f"radius: must not be negative, got {values['radius']}"
            self.faults.append(Fault(number, words, "negative"))
        elif predict == -1 and radius != 0:
            words = f"radius: must be 0 where predict is -1, got {values['radius']}"
            self.faults.append(Fault(number, words, "abstained"))
        seconds = _seconds(values.get("time", "0"))
        self.timeless += seconds is None
        return Row(idx, label, predict, radius, is_right, seconds or 0.0)

    def _keep(self, number: int, row: Row) -> None:
        answer = (row.label, row.predict, row.radius)
        if row.idx not in self.lines:
            self.lines[row.idx], self.answers[row.idx] = number, answer
            self.rows.append(row)
        elif self.answers[row.idx] == answer:
            self.repeated += 1
        else:
            words = f"idx: {row.idx} is there already, in line {self.lines[row.idx]}, "
            self.faults.append(Fault(number, words + "with another answer", "twice"))

    def said(self) -> list[str]:
        """All notes, those about many rows in one sentence each."""
        notes = list(self.notes)
        if not self.rows and not self.faults:
            notes.append("a header and no rows")
        for count, words in (
            (self.words, "have True or False in the column correct"),
            (self.timeless, "have a time that cannot be read, taken as 0"),
            (self.repeated, "repeat an earlier row, and are left out"),
        ):
            if count:
                notes.append(f"{count} rows {words}")
        return notes


def _whole(name: str, text: str) -> int:
    match = _INTEGER.fullmatch(text)
    if not match:
        words = "-1 or a class" if name == "predict" else "a non-negative integer"
        raise ValueError(f"{name}: must be {words}, got {text[:40]!r}")
    return int(match[1])


def _radius(text: str) -> Decimal:
    match = _NUMBER.fullmatch(text)
    if not match:
        raise ValueError(f"radius: must be a number, got {text[:40]!r}")
    value = Decimal(match[1])
    if abs(value) >= _LARGEST_RADIUS:
        raise ValueError(f"radius: must be below 10^12, got {text[:40]!r}")
    return value


def _seconds(text: str) -> float | None:
    if _SECONDS.fullmatch(text):
        return float(text)
    clock = _CLOCK.fullmatch(text)
    if not clock:
        return None
    days, hours, minutes, seconds = clock.groups(default="0")
    return (int(days) * 24 + int(hours)) * 3600 + int(minutes) * 60 + float(seconds)
