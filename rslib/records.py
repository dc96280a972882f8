"""Certificate files: write, resume, read.

A certificate file is a table, one example a line, tab-separated, ASCII, each line ended by one
newline. The first six columns are those of the logs of Cohen et al. (2019), so that scripts made
for those read ours; the last two are the counts from which anyone can recompute the radius:

    idx  label  predict  radius    correct  time   selection  estimation
    3    7      7        0.951234  1        0.412  7:100      3:17 7:99983

``radius`` is in input units (l2 norm), rounded *down* to six decimals; ``predict`` is -1 where the
smoothed classifier abstains; ``time`` is the seconds since the row before; ``selection`` and
``estimation`` are the counts that are not zero, as ``class:count`` with the classes ascending.

Beside ``sigma_0.25.tsv`` lies its manifest ``sigma_0.25.json``: all that decides a certificate
(sigma, n0, n, alpha, noise, seed, model hash, plan) and how the file was made. Numbers that must
be exact (sigma, alpha, step, total_variation) are strings, as decimals or fractions.

A run may have stopped before its n-th sample. Its manifest then has a field ``method``, and its
rows may hold fewer than n estimation counts: ``{"name": "early-abstain"}`` (only rows that abstain
do), ``{"name": "radius-loss", "loss": "0.05"}``, or ``{"name": "at", "radii": ["0", "0.25"]}``, in
which every radius is one of those asked for. Without that field every row holds n.

Nothing is read on trust. Whatever the bytes, reading either gives what they say or raises
:class:`RecordError`, whose message begins with the file and the line.

References
----------
cohen2019 : the first six columns. Chapter 12 says what can go wrong in such a file.
"""

import json
import math
import os
import re
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

__all__ = [
    "FORMAT",
    "CertificateFile",
    "CertificateWriter",
    "RecordError",
    "Row",
    "manifest_path",
    "read_certificates",
    "read_manifest",
    "write_manifest",
]

FORMAT = "rslib-certificates/1"
_LOG_COLUMNS = ("idx", "label", "predict", "radius", "correct", "time")
_COLUMNS = (*_LOG_COLUMNS, "selection", "estimation")
# A manifest's fields that say how a file was made but decide nothing in it.
_INFORMATIVE = ("versions", "device", "command", "date")


class RecordError(ValueError):
    """A certificate file or manifest that cannot be read, written or resumed.

    The message begins ``FILE:LINE:``, or ``FILE:`` where no single line is to blame.
    """


@dataclass(frozen=True)
class Row:
    """One line of a certificate file.

    Attributes
    ----------
    idx : int
        Position of the example in its data set.
    label, predict : int
        True class, and the class that was certified (-1: abstained).
    radius : Decimal
        Certified l2 radius in input units, 0 where abstained. To be written it has at most six
        decimals; a float is welcome if it has no more either.
    correct : bool
        Whether ``predict`` is ``label``.
    time : float
        Seconds since the row before: what the certificate took, where it shared no forward pass.
    selection, estimation : dict of int to int
        Counts by class, zero counts left out; empty in the logs of the original authors.
    """

    idx: int
    label: int
    predict: int
    radius: Decimal
    correct: bool
    time: float
    selection: dict[int, int] = field(default_factory=dict)
    estimation: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class CertificateFile:
    """What a certificate file holds: its path, manifest (None: somebody's log) and rows.

    ``notes`` say in words what was noticed in reading a log. ``asked`` is None where every row has
    its largest radius, and else the only radii that were decided.
    """

    path: Path
    manifest: dict | None
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    asked: tuple[Decimal, ...] | None = None

    @property
    def missing(self) -> tuple[int, ...]:
        """The manifest's indices that have no row yet; () for a log without manifest."""
        if self.manifest is None:
            return ()
        present = {row.idx for row in self.rows}
        return tuple(idx for idx in self.manifest["indices"] if idx not in present)

    @property
    def complete(self) -> bool:
        """Whether every example of the manifest has its row (False without a manifest)."""
        return self.manifest is not None and not self.missing


def manifest_path(path: str | os.PathLike) -> Path:
    """The manifest's path beside a certificate file's.

    >>> str(manifest_path("sigma_0.25.tsv"))
    'sigma_0.25.json'
    """
    path = Path(path)
    if path.suffix != ".tsv":
        raise RecordError(f"{path}: a certificate file is named *.tsv")
    return path.with_suffix(".json")


# ---------------------------------------------------------------------------------------------
# Manifests


def _is_integer(low: int, high: float, value) -> bool:
    return type(value) is int and low <= value <= high


def _is_match(pattern: str, value) -> bool:
    return type(value) is str and re.fullmatch(pattern, value) is not None


def _text(value) -> bool:
    return type(value) is str and value != ""


_DECIMAL = re.compile(r"[0-9]{1,30}(\.[0-9]{1,60})?([eE][+-]?[0-9]{1,3})?|[0-9]{1,30}/[0-9]{1,30}")


def _exact(value) -> Fraction | None:
    """The number that a decimal or a fraction in a string stands for, None if it is neither."""
    if type(value) is not str or not _DECIMAL.fullmatch(value):
        return None
    with suppress(ZeroDivisionError):
        return Fraction(value)
    return None


def _positive(value) -> bool:
    return (_exact(value) or 0) > 0


def _probability(value) -> bool:
    number = _exact(value)
    return number is not None and 0 <= number < 1


def _indices(value) -> bool:
    return (
        type(value) is list
        and value != []
        and all(_is_integer(0, 2**53, index) for index in value)
        and len(set(value)) == len(value)
    )


_COUNT = partial(_is_integer, 1, 10**12)
_POSITIVE = "a positive decimal or fraction in a string"
# Field -> what it must be, as a test and in words.
_FIELDS = {
    "dataset.name": (_text, "a non-empty string"),
    "dataset.split": (_text, "a non-empty string"),
    "dataset.step": (lambda value: value is None or _positive(value), _POSITIVE + ", or null"),
    "dataset.shape": (
        lambda value: type(value) is list and value != [] and all(map(_COUNT, value)),
        "a list of positive integers",
    ),
    "dataset.num_classes": (partial(_is_integer, 2, 10**9), "an integer from 2 to 10^9"),
    "dataset.size": (_COUNT, "an integer from 1 to 10^12"),
    "indices": (_indices, "a list of distinct non-negative integers"),
    "model.name": (_text, "a non-empty string"),
    "model.file": (
        lambda value: _text(value) and not value.startswith("/"),
        "a path relative to the manifest",
    ),
    "model.sha256": (partial(_is_match, "[0-9a-f]{64}"), "64 hexadecimal digits"),
    "sigma": (_positive, _POSITIVE),
    "n0": (_COUNT, "an integer from 1 to 10^12"),
    "n": (_COUNT, "an integer from 1 to 10^12"),
    "alpha": (
        lambda value: _positive(value) and _probability(value),
        "a decimal strictly between 0 and 1 in a string",
    ),
    "two_sided": (lambda value: type(value) is bool, "true or false"),
    "noise.kind": (lambda value: value in ("grid", "float"), '"grid" or "float"'),
    "noise.step": (lambda value: value is None or _positive(value), _POSITIVE + ", or null"),
    "noise.total_variation": (_probability, "a decimal from 0 to below 1 in a string"),
    "seed": (partial(_is_integer, 0, 2**64 - 1), "an integer from 0 to 2^64 - 1"),
    "plan": (lambda value: type(value) is dict, "an object"),
    "versions": (lambda value: type(value) is dict, "an object"),
    "device": (_text, "a non-empty string"),
    "command": (_text, "a non-empty string"),
    "date": (partial(_is_match, "[0-9]{4}-[0-9]{2}-[0-9]{2}"), "a date as YYYY-MM-DD"),
}


def _shown(value) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _start(text: str) -> str:
    return repr(text[:40])


def _check_format(path: Path, manifest: dict, format: str) -> None:
    if manifest["format"] != format:
        raise RecordError(
            f"{path}: format: must be {_shown(format)}, got {_shown(manifest['format'])}"
        )


def _check_manifest(path: Path, manifest: dict) -> None:
    """Raise unless the manifest says which format it is in and, if that is ours, all it must."""
    if type(manifest) is not dict:
        raise RecordError(f"{path}: must hold a JSON object, got {_shown(manifest)}")
    if not _text(manifest.get("format")):
        raise RecordError(f"{path}: format: must be a non-empty string")
    if not manifest["format"].startswith("rslib-certificates/"):
        return  # a model's manifest: its fields are its reader's business
    _check_format(path, manifest, FORMAT)
    for name, (allowed, words) in _FIELDS.items():
        value = manifest
        for key in name.split("."):
            if type(value) is not dict:
                parent = name.split(".")[0]
                raise RecordError(f"{path}: {parent}: must be an object, got {_shown(value)}")
            if key not in value:
                raise RecordError(f"{path}: {name}: missing")
            value = value[key]
        if not allowed(value):
            raise RecordError(f"{path}: {name}: must be {words}, got {_shown(value)}")
    if "method" in manifest:
        _check_method(path, manifest["method"], manifest["two_sided"])
    size, noise = manifest["dataset"]["size"], manifest["noise"]
    if max(manifest["indices"]) >= size:
        raise RecordError(
            f"{path}: indices: must be below dataset.size {size}, got {max(manifest['indices'])}"
        )
    if noise["kind"] == "grid" and noise["step"] is None:
        raise RecordError(f"{path}: noise.step: must be given for grid noise, got null")
    if noise["kind"] == "float" and noise["step"] is not None:
        raise RecordError(
            f"{path}: noise.step: must be null for float noise, got {_shown(noise['step'])}"
        )


def _radius(value) -> bool:
    """Whether a radius can be written in the table as it stands."""
    return type(value) is str and re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", value) is not None


# Method -> its fields beside the name, each as a test and in words.
_METHODS = {
    "early-abstain": {},
    "radius-loss": {"loss": (_radius, "a decimal with at most 6 places in a string")},
    "at": {
        "radii": (
            lambda value: (
                type(value) is list
                and value != []
                and all(map(_radius, value))
                and all(Decimal(a) < Decimal(b) for a, b in pairwise(value))
            ),
            "a list of ascending decimals with at most 6 places in strings",
        )
    },
}


def _check_method(path: Path, method, two_sided: bool) -> None:
    if type(method) is not dict:
        raise RecordError(f"{path}: method: must be an object, got {_shown(method)}")
    name = method.get("name")
    if type(name) is not str or name not in _METHODS:
        raise RecordError(
            f"{path}: method.name: must be one of {', '.join(_METHODS)}, got {_shown(name)}"
        )
    fields = _METHODS[name]
    for extra in method.keys() - fields.keys() - {"name"}:
        raise RecordError(f"{path}: method.{extra}: not a field of {_shown(name)}")
    for key, (allowed, words) in fields.items():
        if key not in method:
            raise RecordError(f"{path}: method.{key}: missing")
        if not allowed(method[key]):
            raise RecordError(f"{path}: method.{key}: must be {words}, got {_shown(method[key])}")
    if two_sided:
        raise RecordError(f"{path}: two_sided: must be false where a run may stop early, got true")


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict:
    result = {}
    for key, value in pairs:
        if key in result:
            raise ValueError(f"the key {_shown(key)} is there twice")
        result[key] = value
    return result


def _no_constant(text: str):
    raise ValueError(f"{text} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"the number {_start(text)} is too large")
    return value


def _small_integer(text: str) -> int:
    if len(text) > 40:
        raise ValueError(f"the number {_start(text)} is too large")
    return int(text)


def read_manifest(path: str | os.PathLike, format: str | None = None) -> dict:
    """Read the manifest of a certificate file or of a model.

    Parameters
    ----------
    path : path
        The JSON file.
    format : str, optional
        What its field "format" must be. A manifest in format "rslib-certificates/1" is checked
        field by field whether or not this is given.

    Returns
    -------
    dict
        As in the file; numbers that must be exact stay strings.

    Raises
    ------
    RecordError
        If the file is missing, is not strict JSON (duplicate keys and NaN are refused too), or a
        field is missing or wrong. The message names the field.
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise RecordError(f"{path}:{line}: not UTF-8") from None
    except OSError as error:
        raise _cannot("read", path, error) from None
    try:
        manifest = json.loads(
            text,
            object_pairs_hook=_no_duplicates,
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_small_integer,
        )
        # Half a surrogate pair is JSON, but no text: it could not even be printed.
        json.dumps(manifest, ensure_ascii=False).encode()
        _check_manifest(path, manifest)
    except json.JSONDecodeError as error:
        raise RecordError(f"{path}:{error.lineno}: not JSON: {error.msg}") from None
    except RecursionError:
        raise RecordError(f"{path}: nested too deeply") from None
    except UnicodeEncodeError:
        raise RecordError(f"{path}: holds half a surrogate pair") from None
    except RecordError:
        raise
    except ValueError as error:
        raise RecordError(f"{path}: {error}") from None
    if format is not None:
        _check_format(path, manifest, format)
    return manifest


def _as_json(path: Path, manifest: Mapping) -> tuple[str, dict]:
    """The manifest's text, and the manifest as reading that text would give it."""
    try:
        manifest = json.loads(json.dumps(manifest, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise RecordError(f"{path}: the manifest cannot be written as JSON: {error}") from None
    _check_manifest(path, manifest)
    return _layout(manifest) + "\n", manifest


def _layout(value, margin: str = "\n") -> str:
    """JSON with objects indented and lists on one line: 500 indices are not 500 lines."""
    if type(value) is not dict or not value:
        return json.dumps(value)
    inner = margin + "  "
    fields = (f"{json.dumps(key)}: {_layout(of, inner)}" for key, of in value.items())
    return "{" + inner + f",{inner}".join(fields) + margin + "}"


def write_manifest(path: str | os.PathLike, manifest: Mapping) -> None:
    """Write a manifest, checked as :func:`read_manifest` checks it, whole or not at all.

    The text goes to ``<path>.tmp``, to the disk, and only then takes the place of ``path``:
    whenever the process dies, ``path`` is the old file or the new one. Folders are created.

    Raises
    ------
    RecordError
        If a field is missing or wrong, or the file cannot be written.
    """
    path = Path(path)
    text, _ = _as_json(path, manifest)
    temporary = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "wb") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise _cannot("write", path, error) from None


def _sync_folder(folder: Path) -> None:
    """Make a new name in a folder survive a power cut, where folders can be synced."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _cannot(verb: str, path: Path, error: OSError) -> RecordError:
    return RecordError(f"{path}: cannot {verb}: {error.strerror or error}")


def _first_difference(old, new, name: str = "") -> tuple[str, object, object] | None:
    """The first field, by name, in which two JSON values differ."""
    if type(old) is dict and type(new) is dict:
        for key in [*old, *(key for key in new if key not in old)]:
            inner = f"{name}.{key}" if name else key
            found = _first_difference(old.get(key), new.get(key), inner)
            if found:
                return found
        return None
    # As text: in Python 1 == 1.0 == True.
    return None if json.dumps(old) == json.dumps(new) else (name, old, new)


# ---------------------------------------------------------------------------------------------
# Rows

# 18 digits at most: every such integer is far below what any count or index can be.
_NATURAL = r"(?:0|[1-9][0-9]{0,17})"
_CLOCK = re.compile(
    r"(?:([0-9]{1,6}) days?, )?([0-9]{1,2}):([0-5][0-9]):([0-5][0-9](?:\.[0-9]{1,6})?)"
)
_COLUMN = {
    "idx": (re.compile(_NATURAL), "a non-negative integer"),
    "label": (re.compile(_NATURAL), "a non-negative integer"),
    "predict": (re.compile(f"-1|{_NATURAL}"), "-1 or a class"),
    "radius": (re.compile(r"(?:0|[1-9][0-9]{0,11})\.[0-9]{6}"), "a number with 6 decimals"),
    "correct": (re.compile("[01]"), "0 or 1"),
    "time": (re.compile(r"[0-9]{1,12}\.[0-9]{3}"), "seconds with 3 decimals"),
    "selection": (re.compile(f"{_NATURAL}:{_NATURAL}(?: {_NATURAL}:{_NATURAL})*"), "class:count"),
    "estimation": (re.compile(f"{_NATURAL}:{_NATURAL}(?: {_NATURAL}:{_NATURAL})*"), "class:count"),
}
_LOG_COLUMN = {
    **_COLUMN,
    # Python's format ".3", as the original authors used it.
    "radius": (re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,17})?(?:e[+-][0-9]{2})?"), "a number"),
    "time": (re.compile(rf"[0-9]{{1,12}}(?:\.[0-9]{{1,9}})?|{_CLOCK.pattern}"), "a time"),
}


def _seconds(text: str) -> float:
    clock = _CLOCK.fullmatch(text)
    if not clock:
        return float(text)
    days, hours, minutes, seconds = clock.groups(default="0")
    return (int(days) * 24 + int(hours)) * 3600 + int(minutes) * 60 + float(seconds)


def _counts(
    name: str, text: str, num_classes: int, total: int, fewer: bool = False
) -> dict[int, int]:
    pairs = [tuple(map(int, pair.split(":"))) for pair in text.split(" ")]
    classes = [pair[0] for pair in pairs]
    if any(first >= second for first, second in pairwise(classes)):
        raise ValueError(f"{name}: the classes must be ascending, got {_start(text)}")
    if classes[-1] >= num_classes:
        raise ValueError(f"{name}: the classes must be below {num_classes}, got {classes[-1]}")
    if any(count == 0 for _, count in pairs):
        raise ValueError(f"{name}: zero counts are left out, got {_start(text)}")
    found = sum(count for _, count in pairs)
    if found != total and not (fewer and found < total):
        most = "at most " if fewer else ""
        raise ValueError(f"{name}: the counts must add up to {most}{total}, got {found}")
    return dict(pairs)


def _parse_row(line: str, manifest: dict | None) -> Row:
    """The row that a line says; a ValueError in words where it says none."""
    columns, patterns = (_LOG_COLUMNS, _LOG_COLUMN) if manifest is None else (_COLUMNS, _COLUMN)
    fields = line.split("\t")
    if len(fields) != len(columns):
        raise ValueError(f"expected {len(columns)} tab-separated fields, got {len(fields)}")
    values = dict(zip(columns, fields, strict=True))
    for name, text in values.items():
        pattern, words = patterns[name]
        if not pattern.fullmatch(text):
            raise ValueError(f"{name}: must be {words}, got {_start(text)}")
    idx, label, predict = (int(values[name]) for name in ("idx", "label", "predict"))
    radius, correct = Decimal(values["radius"]), values["correct"] == "1"
    selection, estimation = {}, {}
    if manifest is not None:
        num_classes = manifest["dataset"]["num_classes"]
        for name, value in (("label", label), ("predict", predict)):
            if value >= num_classes:
                raise ValueError(f"{name}: must be below {num_classes}, got {value}")
        selection = _counts("selection", values["selection"], num_classes, manifest["n0"])
        method = manifest.get("method", {"name": "fixed"})
        fewer = method["name"] in ("radius-loss", "at")
        fewer |= method["name"] == "early-abstain" and predict == -1
        text = values["estimation"]
        estimation = _counts("estimation", text, num_classes, manifest["n"], fewer)
        if method["name"] == "at" and predict != -1:
            radii = [Decimal(one) for one in method["radii"]]
            if radius not in radii:
                raise ValueError(f"radius: must be one of the manifest's, got {values['radius']}")
    if correct != (predict == label):
        raise ValueError(
            f"correct: must be {int(predict == label)} for label {label} and predict {predict}"
        )
    if predict == -1 and radius != 0:
        raise ValueError(f"radius: must be 0 where predict is -1, got {values['radius']}")
    return Row(
        idx, label, predict, radius, correct, _seconds(values["time"]), selection, estimation
    )


def _parse_table(path: Path, data: bytes, manifest: dict | None) -> tuple[Row, ...]:
    """The rows of a whole table, or a RecordError for the first line that is wrong."""
    columns = _LOG_COLUMNS if manifest is None else _COLUMNS
    *lines, rest = data.split(b"\n")
    rows, seen = [], {}
    indices = None if manifest is None else set(manifest["indices"])
    for number, raw in enumerate(lines, start=1):
        where = f"{path}:{number}: "
        if not raw.isascii():
            raise RecordError(f"{where}holds bytes that are not ASCII")
        if raw.endswith(b"\r"):
            raise RecordError(
                f"{where}ends in a carriage return and a newline, not a newline alone"
            )
        line = raw.decode()
        if number == 1:
            if line != "\t".join(columns):
                raise RecordError(f"{where}the header must be {' '.join(columns)}")
            continue
        try:
            row = _parse_row(line, manifest)
        except ValueError as error:
            raise RecordError(f"{where}{error}") from None
        if row.idx in seen:
            raise RecordError(f"{where}idx: {row.idx} is there already, in line {seen[row.idx]}")
        if indices is not None and row.idx not in indices:
            raise RecordError(f"{where}idx: {row.idx} is not one of the manifest's indices")
        seen[row.idx] = number
        rows.append(row)
    if rest:
        raise RecordError(f"{path}:{len(lines) + 1}: incomplete: no newline at its end")
    if not lines:
        raise RecordError(f"{path}:1: empty: there is not even a header")
    return tuple(rows)


def read_certificates(path: str | os.PathLike) -> CertificateFile:
    """Read a certificate file and its manifest, or somebody's log.

    A file with other columns than ours, and no manifest beside it, is read as a log, as
    :func:`rslib.logs.read_log` does: its radii as printed there (often three digits, rounded to
    nearest, so up to 0.5% above what was certified).

    Parameters
    ----------
    path : path
        ``<name>.tsv`` with ``<name>.json`` beside it, or a log of any name.

    Returns
    -------
    CertificateFile
        Rows in the order of the file. A run that was cut short gives fewer rows than its manifest
        has indices: see ``missing``.

    Raises
    ------
    RecordError
        Whatever is wrong, with file and line.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _cannot("read", path, error) from None
    from rslib import logs  # which itself needs what a row is

    plain = data.startswith("\t".join(_LOG_COLUMNS).encode() + b"\n")
    beside = path.suffix == ".tsv" and path.with_suffix(".json").exists()
    if plain or (logs.is_log(data) and not beside):
        return logs.read_log(path, data)
    manifest = read_manifest(manifest_path(path), FORMAT)
    return CertificateFile(path, manifest, _parse_table(path, data, manifest))


def _format_row(row: Row) -> str:
    radius = f"{row.radius:.6f}"
    # What the reader refuses is refused below, in its words; a lost digit only shows here.
    exact = Decimal if isinstance(row.radius, Decimal) else float
    if _COLUMN["radius"][0].fullmatch(radius) and exact(radius) != row.radius:
        raise ValueError(f"radius: must have at most 6 decimals, got {row.radius}")
    counts = (
        " ".join(f"{label}:{count}" for label, count in sorted(of.items()) if count != 0)
        for of in (row.selection, row.estimation)
    )
    fields = (row.idx, row.label, row.predict, radius, int(row.correct), f"{row.time:.3f}", *counts)
    return "\t".join(map(str, fields))


class CertificateWriter:
    """Writes a certificate file row by row, so that no fault loses or doubles a row.

    ``with CertificateWriter(path, manifest) as writer:`` creates the file and its manifest, or
    resumes the file of an earlier run if that run was the same: their manifests must agree in all
    that decides a certificate. Each row is on the disk before :meth:`append` returns. A last line
    that a kill cut off is removed on resuming: its example counts as not done, and is certified
    again from the same noise.

    While open, the file is locked: a second process that opens it gets an error. Windows has no
    such lock here (a warning says so): see to it that one process writes a file.

    Parameters
    ----------
    path : path
        ``<name>.tsv``; the manifest goes to ``<name>.json``. Folders are created.
    manifest : mapping
        As the module says; "versions", "device", "command" and "date" stay as first written.

    Attributes
    ----------
    done : set of int
        Indices of the examples whose rows are in the file.
    manifest : dict
        The manifest as it is in the file.

    Raises
    ------
    RecordError
        If the manifest is wrong or of another run, the file holds something else, is in use, or
        cannot be written. What was in the file before is still there then.
    """

    def __init__(self, path: str | os.PathLike, manifest: Mapping):
        self.path = Path(path)
        self._manifest_path = manifest_path(self.path)
        _, self.manifest = _as_json(self._manifest_path, manifest)
        _check_format(self._manifest_path, self.manifest, FORMAT)
        self.done = set()
        self._size = 0
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            created = not self.path.exists()
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
            self._file = os.open(self.path, flags, 0o666)
        except OSError as error:
            raise _cannot("write", self.path, error) from None
        try:
            self._lock()
            try:
                self._resume()
            except BaseException:
                # Leave no empty file behind. Only the holder of the lock may judge that.
                if created and os.fstat(self._file).st_size == 0:
                    with suppress(OSError):
                        self.path.unlink()
                raise
        except BaseException:
            self.close()
            raise

    def _lock(self) -> None:
        if fcntl is None:
            warnings.warn(
                f"{self.path}: this system offers no file lock: let one process write it",
                stacklevel=3,
            )
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RecordError(f"{self.path}: in use by another process") from None
        except OSError as error:
            raise _cannot("lock", self.path, error) from None

    def _resume(self) -> None:
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise _cannot("read", self.path, error) from None
        if self._manifest_path.exists():
            earlier = read_manifest(self._manifest_path, FORMAT)
            self._must_agree(earlier)
            self.manifest = earlier
        elif data:
            raise RecordError(
                f"{self.path}: there is no manifest {self._manifest_path.name} beside it: "
                "not a run that can be resumed"
            )
        else:
            write_manifest(self._manifest_path, self.manifest)
        whole = data[: data.rfind(b"\n") + 1]
        header = "\t".join(_COLUMNS)
        if not whole and not header.encode().startswith(data):
            raise RecordError(f"{self.path}:1: the header must be {' '.join(_COLUMNS)}")
        if whole:
            self.done = {row.idx for row in _parse_table(self.path, whole, self.manifest)}
        self._size = len(whole)
        if whole != data:
            try:
                os.ftruncate(self._file, self._size)
            except OSError as error:
                raise _cannot("write", self.path, error) from None
        if not whole:
            self._write(header)
            _sync_folder(self.path.parent)

    def _must_agree(self, earlier: dict) -> None:
        old, new = (
            {key: value for key, value in manifest.items() if key not in _INFORMATIVE}
            for manifest in (earlier, self.manifest)
        )
        found = _first_difference(old, new)
        if found:
            name, before, now = found
            raise RecordError(
                f"{self._manifest_path}: {name}: the file has {_shown(before)}, this run "
                f"{_shown(now)}: the file is of another run"
            )

    def _write(self, line: str) -> None:
        """Put a line at the end and on the disk, or leave the file as it was."""
        data = left = line.encode() + b"\n"
        try:
            os.ftruncate(self._file, self._size)  # of what a failure may have left
            while left:  # one call, unless the disk is full: then the next one says so
                left = left[os.write(self._file, left) :]
            os.fsync(self._file)
        except BaseException as error:
            with suppress(OSError):
                os.ftruncate(self._file, self._size)
            if isinstance(error, OSError):
                raise _cannot("write", self.path, error) from None
            raise
        self._size += len(data)

    def append(self, row: Row) -> None:
        """Write a row; it is on the disk when this returns.

        Raises
        ------
        RecordError
            If the row is not one of this run's (then nothing is written), or the disk is full or
            fails (then the file ends with the row before).
        """
        try:
            line = _format_row(row)
            _parse_row(line, self.manifest)
            if row.idx not in self.manifest["indices"]:
                raise ValueError(f"idx: {row.idx} is not one of the manifest's indices")
            if row.idx in self.done:
                raise ValueError(f"idx: {row.idx} is there already")
        except ValueError as error:
            raise RecordError(f"{self.path}:{len(self.done) + 2}: {error}") from None
        self._write(line)
        self.done.add(row.idx)

    def close(self) -> None:
        """Close the file and let others write it. Closing twice does nothing."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __enter__(self) -> "CertificateWriter":
        return self

    def __exit__(self, *exception) -> None:
        self.close()
