"""What a file of certificates betrays about its making.

An audit reads one file, somebody's log or one of ours, and says what can be seen in it without the
network and the images: which rows are there, whether they contradict themselves, which n and alpha
the radii fit (:mod:`rslib.lattice`), whether the classifier is constant, whether the labels are a
part of the classes; and, against another file, whether both are about the same images and could
come from one model. What it finds are properties of the file. They have many possible causes, and
an audit names none.

A **problem** is something that a reader must know before using the file's figures; a **note** is
anything else that was noticed.

References
----------
The chapter on reading certificates.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy import stats

from rslib import lattice, logs
from rslib._results import manifest_of
from rslib.lattice import Fit
from rslib.recertification import Recertified, recertify
from rslib.records import CertificateFile, RecordError, Row, read_certificates

__all__ = [
    "FORMATS",
    "Audit",
    "Recertified",
    "against",
    "audit_file",
    "audit_files",
    "logs_in",
    "noise_level",
    "recertify",
    "report",
]

FORMATS = ("table", "json")

# A class that gets this share of at least so many answers, where the labels are of several classes.
_CONSTANT_SHARE, _CONSTANT_ROWS = 0.99, 20
# Labels are looked at from so many rows on.
_LABEL_ROWS = 100
# Conflicts that are less likely than this between two runs of one model are a problem.
_CONFLICT_CHANCE = 1e-6
# Two runs of one model print so few radii alike that this share is a copy.
_COPY_SHARE, _COPY_RADII = 0.95, 20
# No number of samples in use gives a radius of so many sigma.
_LARGEST_RATIO = 6.5
_FAULTS = {
    "correct": "correct contradicts predict and label",
    "negative": "the radius is negative",
    "abstained": "there is a radius where predict is -1",
    "twice": "an idx that was there has another answer",
}


@dataclass(frozen=True)
class Audit:
    """What was seen in one file.

    Attributes
    ----------
    path : str
    sha256 : str or None
        Of the bytes; None where the file cannot be opened.
    rows : int
        Rows that could be read.
    refused : str or None
        Why the file is not to be used at all, with its line; then nothing else was looked at.
    notes, problems : tuple of str
    sigma : str or None
        Noise level, from the manifest, the argument or the name.
    largest : float or None
        The largest radius, in units of sigma.
    fingerprint : Fit or None
        The n and alpha that the radii fit, where they tell.
    left : tuple of Fit
        All candidates that no radius contradicts.
    """

    path: str
    sha256: str | None
    rows: int = 0
    refused: str | None = None
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    sigma: str | None = None
    largest: float | None = None
    fingerprint: Fit | None = None
    left: tuple[Fit, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the file was read and has no problem."""
        return self.refused is None and not self.problems

    def to_dict(self) -> dict:
        """As ``--format json`` prints it."""
        found = self.fingerprint
        return {
            "path": self.path,
            "rows": self.rows,
            "refused": self.refused,
            "notes": list(self.notes),
            "problems": list(self.problems),
            "fingerprint": found
            and {"n": found.n, "alpha": found.alpha, "fits": found.fits, "of": found.of},
            "sha256": self.sha256,
            "sigma": self.sigma,
            "largest": self.largest,
        }


def noise_level(path: str | os.PathLike) -> str | None:
    """The noise level that a file's name or its folders' names give, the innermost one.

    >>> noise_level("resnet110/noise_0.25/test/sigma_0.50")
    '0.50'
    >>> noise_level("noise_0.25/ours.tsv"), noise_level("mine.tsv")
    ('0.25', None)
    """
    for part in reversed(Path(path).parts):
        found = re.search(r"(?:sigma|noise)[_=-]?([0-9]+\.[0-9]+|[0-9]+)(?![0-9])", part)
        if found and float(found[1]) > 0:
            return found[1].rstrip(".")
    return None


def audit_file(
    path: str | os.PathLike,
    sigma: str | float | None = None,
    n: int | None = None,
    alpha: str | float | None = None,
    other: str | os.PathLike | None = None,
    candidates: Sequence[tuple[int, str]] = lattice.CANDIDATES,
) -> Audit:
    """Audit one file.

    Parameters
    ----------
    path : path
        A log of any name, or a certificate file with its manifest.
    sigma : number, optional
        Noise level in input units; default that of the manifest, or of the name.
    n, alpha : int and number, optional
        What the authors state, to be checked; default the manifest's. Give both.
    other : path, optional
        A file to hold it against, see :func:`against`.
    candidates : sequence of (n, alpha)
        What the fingerprint is sought among.

    Returns
    -------
    Audit
        Never raises for what is in the file.

    Raises
    ------
    ValueError
        If only one of n and alpha is given, or the other file cannot be read.
    """
    path = Path(path)
    if (n is None) != (alpha is None):
        raise ValueError(f"n and alpha must be given together, got n={n!r} and alpha={alpha!r}")
    try:
        data = path.read_bytes()
    except OSError as error:
        return Audit(str(path), None, refused=f"{path}: cannot read: {error.strerror or error}")
    digest = hashlib.sha256(data).hexdigest()
    try:
        file, faults = _scan(path, data)
    except RecordError as error:
        return Audit(str(path), digest, refused=str(error))
    unreadable = [fault for fault in faults if fault.kind == "unreadable"]
    if unreadable:
        first, more = unreadable[0], len(unreadable) - 1
        words = f"{path}:{first.line}: {first.words}" + (f" ({more} lines more)" if more else "")
        return Audit(str(path), digest, len(file.rows), words)
    notes, problems = list(file.notes), _contradictions(faults)
    if not file.rows:
        problems.append("holds no rows")
        return Audit(str(path), digest, 0, None, tuple(notes), tuple(problems))
    for look in (_order, _answers, _labels):
        noticed, wrong = look(file.rows)
        notes += noticed
        problems += wrong
    manifest = manifest_of(file) or {}
    level = manifest.get("sigma") if sigma is None else str(sigma)
    stated = (manifest.get("n"), manifest.get("alpha")) if n is None else (int(n), str(alpha))
    found = Audit(
        str(path),
        digest,
        len(file.rows),
        None,
        tuple(notes),
        tuple(problems),
        level or noise_level(path),
    )
    found = _fingerprinted(found, file, stated, candidates)
    return found if other is None else _held_against(found, file, data, Path(other))


def _scan(path: Path, data: bytes) -> tuple[CertificateFile, tuple[logs.Fault, ...]]:
    """Ours as strictly as ever, anybody else's as far as it can be read."""
    beside = path.suffix == ".tsv" and path.with_suffix(".json").exists()
    if not logs.is_log(data) or beside:
        return read_certificates(path), ()
    scan = logs.scan_log(path, data)
    return scan.file, scan.faults


def _contradictions(faults: Iterable[logs.Fault]) -> list[str]:
    kinds: dict[str, list[int]] = {}
    for fault in faults:
        kinds.setdefault(fault.kind, []).append(fault.line)
    return [
        f"{len(lines)} rows: {_FAULTS[kind]}, first in line {lines[0]}"
        for kind, lines in kinds.items()
    ]


def _order(rows: Sequence[Row]) -> tuple[list[str], list[str]]:
    """Which idx are there, and which are not."""
    idx = [row.idx for row in rows]
    notes: list[str] = []
    problems: list[str] = []
    if len(idx) < 2:
        return [f"1 row, idx {idx[0]}"], problems
    back = sum(later < earlier for earlier, later in pairwise(idx))
    if back:
        notes.append(f"idx goes back {back} times: the rows are not in order")
    steps = np.diff(sorted(idx))
    stride = int(Counter(steps.tolist()).most_common(1)[0][0])
    missing = int(sum(step // stride - 1 for step in steps if step > stride))
    every = "" if stride == 1 else f", every {stride}th"
    notes.append(f"idx {min(idx)} to {max(idx)}{every}")
    if missing:
        first = int(sorted(idx)[int(np.argmax(steps > stride))])
        problems.append(f"{missing} rows are missing in between, the first after idx {first}")
    return notes, problems


def _answers(rows: Sequence[Row]) -> tuple[list[str], list[str]]:
    """What the classifier says, whatever the images."""
    given = Counter(row.predict for row in rows if row.predict != -1)
    notes, problems = [], []
    if abstained := sum(row.predict == -1 for row in rows):
        notes.append(f"abstains on {abstained}")
    if zero := sum(row.predict != -1 and row.radius == 0 for row in rows):
        notes.append(f"{zero} rows name a class with radius 0")
    total = sum(given.values())
    if total >= _CONSTANT_ROWS and len({row.label for row in rows}) > 1:
        label, most = given.most_common(1)[0]
        if most >= _CONSTANT_SHARE * total:
            problems.append(f"constant classifier: class {label} in {most} of {total} answers")
    return notes, problems


def _labels(rows: Sequence[Row]) -> tuple[list[str], list[str]]:
    """Whether the images are of a part of the classes only."""
    labels = Counter(row.label for row in rows)
    if len(rows) < _LABEL_ROWS:
        return [], []
    if len(labels) == 1:
        return [], [f"all images are of class {min(labels)}"]
    step = math.gcd(*(label - min(labels) for label in labels))
    if step > 1:
        which = "even" if (step, min(labels) % 2) == (2, 0) else f"{step} apart"
        return [f"a subset of the classes: all {len(labels)} that occur are {which}"], []
    classes = max(labels) + 1
    expected = classes * (1 - 1 / classes) ** len(rows)
    absent = classes - len(labels)
    if absent > expected + 5 * math.sqrt(expected) + 0.5:
        return [f"{absent} of the classes 0 to {classes - 1} do not occur"], []
    return [], []


def _fingerprinted(
    found: Audit,
    file: CertificateFile,
    stated: tuple[int | None, str | None],
    candidates: Sequence[tuple[int, str]],
) -> Audit:
    """The same with what the radii say of sigma, n and alpha."""
    notes, problems = list(found.notes), list(found.problems)
    radii = [row.radius for row in file.rows if row.radius > 0]
    manifest = manifest_of(file) or {}
    if file.asked is not None or manifest.get("method") or manifest.get("two_sided"):
        if file.asked is None:
            notes.append("not one bound at one n for every row: no lattice to compare with")
        return replace(found, notes=tuple(notes))
    if not radii:
        return replace(found, notes=(*notes, "no radius is positive"))
    if found.sigma is None:
        return replace(found, notes=(*notes, "sigma is not known: give it to compare the radii"))
    sigma = float(found.sigma)
    largest = float(max(radii)) / sigma
    notes.append(f"largest radius {max(radii)}, which is {largest:.3f} sigma")
    if largest > _LARGEST_RATIO:
        problems.append(f"sigma {found.sigma} does not fit the radii: {largest:.1f} sigma")
        return replace(found, notes=tuple(notes), problems=tuple(problems), largest=largest)
    print_ = lattice.fingerprint(radii, sigma, candidates)
    notes += _words_on(print_, radii, sigma)
    n, alpha = stated
    if n is not None and alpha is not None:
        problems += _against_stated(print_.found, radii, sigma, n, alpha)
    return replace(
        found,
        notes=tuple(notes),
        problems=tuple(problems),
        largest=largest,
        fingerprint=print_.found,
        left=print_.left,
    )


def _words_on(print_: lattice.Fingerprint, radii: list[Decimal], sigma: float) -> list[str]:
    found = print_.found
    if found is not None:
        notes = [f"the radii fit {found}: {found.fits} of {found.of} near the top"]
        if found.above:
            notes.append(f"{found.above} of these are printed above the exact radius")
        return notes
    telling = [one for one in print_.left if one.of]
    if telling:
        listed = "; ".join(f"{one} ({one.fits} radii)" for one in telling[:6])
        return [f"the radii do not tell n and alpha; left among those that they test: {listed}"]
    if print_.left:
        return ["the radii do not tell n and alpha: none lies where they would"]
    return ["the radii fit none of the n and alpha that were tried"]


def _against_stated(
    found: Fit | None, radii: list[Decimal], sigma: float, n: int, alpha: str
) -> list[str]:
    claimed = lattice.fit(radii, sigma, n, alpha)
    problems = []
    if claimed.beyond:
        most = sigma * float(lattice.radii_of(n, alpha, 0)[0])
        problems.append(
            f"{claimed.beyond} radii are above {most:.4f}, the largest that the stated n = {n}, "
            f"alpha = {alpha} can give"
        )
    elif claimed.fits < claimed.of:
        wrong = claimed.of - claimed.fits
        problems.append(
            f"{wrong} of {claimed.of} radii near the top do not fit the stated {claimed}"
        )
    if problems and found is not None:
        problems[0] += f"; they fit {found}"
    return problems


# ---------------------------------------------------------------------------------------------
# Two files


def against(
    file: CertificateFile, other: CertificateFile, alpha: float | None = None
) -> tuple[list[str], list[str]]:
    """Whether two files are about the same images, and could be two runs of one model.

    Parameters
    ----------
    file, other : CertificateFile
    alpha : float, optional
        The larger failure probability of the two; default that of the manifests or of the
        fingerprints, and 0.01 where neither is known.

    Returns
    -------
    notes, problems : list of str
        Of two runs of one smoothed classifier each certified class is right but with probability
        alpha; so they hardly ever certify an image for two different classes, and two that do are
        not from one smoothed classifier (another model, or another sigma). That no class is in
        conflict proves nothing. Radii that are alike almost everywhere are a copy: the votes of
        two runs are not.
    """
    first, second = ({row.idx: row for row in one.rows} for one in (file, other))
    common = sorted(first.keys() & second.keys())
    pairs = [(first[key], second[key]) for key in common]
    if not pairs:
        return [f"no idx in common with {other.path}"], []
    notes = [f"{len(pairs)} idx in common with {other.path}"]
    for count, which in ((len(first) - len(pairs), "it"), (len(second) - len(pairs), "this file")):
        if count:
            notes.append(f"{count} idx that {which} lacks")
    unlike = sum(a.label != b.label for a, b in pairs)
    if unlike:
        words = f"{unlike} of {len(pairs)} labels differ from {other.path}"
        return notes, [f"other images under the same idx: {words}"]
    both = [(a, b) for a, b in pairs if a.predict != -1 and b.predict != -1]
    conflicts = sum(a.predict != b.predict for a, b in both)
    problems = []
    expected = 2 * (_alpha(file, other) if alpha is None else alpha)
    if conflicts and stats.binom.sf(conflicts - 1, len(both), expected) < _CONFLICT_CHANCE:
        problems.append(
            f"not two runs of one smoothed classifier: {conflicts} of the {len(both)} images that "
            f"both certify are certified for different classes ({other.path})"
        )
    else:
        notes.append(f"of {len(both)} images that both certify, {conflicts} have different classes")
    certified = [(a, b) for a, b in both if a.radius > 0]
    alike = sum((a.predict, a.radius) == (b.predict, b.radius) for a, b in certified)
    different = len({a.radius for a, _ in certified})
    if different >= _COPY_RADII and alike >= _COPY_SHARE * len(certified):
        problems.append(
            f"a copy: {alike} of {len(certified)} certificates have the class and the radius that "
            f"{other.path} has"
        )
    else:
        notes.append(f"{alike} of {len(certified)} of these have the same class and radius")
    return notes, problems


def _alpha(*files: CertificateFile) -> float:
    """The largest alpha that the files state or show; 0.01, the largest in use, for one unknown."""
    found = []
    for file in files:
        manifest, sigma = manifest_of(file), noise_level(file.path)
        if manifest is not None:
            found.append(float(manifest["alpha"]))
        elif sigma is None or not any(row.radius > 0 for row in file.rows):
            found.append(0.01)
        else:
            named = lattice.fingerprint([row.radius for row in file.rows], float(sigma)).found
            found.append(0.01 if named is None else float(named.alpha))
    return max(found)


def _held_against(found: Audit, file: CertificateFile, data: bytes, path: Path) -> Audit:
    try:
        other_data = path.read_bytes()
    except OSError as error:
        raise RecordError(f"{path}: cannot read: {error.strerror or error}") from None
    other, _ = _scan(path, other_data)
    notes, problems = against(file, other)
    if data == other_data:
        problems = [f"byte for byte the same as {path}"]
    return replace(found, notes=(*found.notes, *notes), problems=(*found.problems, *problems))


# ---------------------------------------------------------------------------------------------
# Reports


def audit_files(
    paths: Iterable[str | os.PathLike],
    sigma: str | None = None,
    n: int | None = None,
    alpha: str | None = None,
    other: str | os.PathLike | None = None,
) -> list[Audit]:
    """Audit files, and whatever looks like a log or a certificate file in folders.

    Parameters, errors
    ------------------
    As :func:`audit_file`; a path that does not exist is a ValueError.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if not path.exists():
            raise ValueError(f"{path}: no such file or folder")
        found += logs_in(path) if path.is_dir() else [path]
    if not found:
        raise ValueError("paths must name at least one log: none is in the folders given")
    return [audit_file(path, sigma, n, alpha, other) for path in found]


def logs_in(folder: Path) -> list[Path]:
    """The files under a folder whose first line names idx, label and predict, by name."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with open(path, "rb") as file:
                start = file.read(200).split(b"\n")[0].lower()
            if all(name in start for name in (b"idx", b"label", b"predict")):
                found.append(path)
    return found


def report(audits: Sequence[Audit], format: str = "table") -> tuple[str, int]:
    """What the command line prints for these audits, and its exit code.

    Parameters
    ----------
    audits : sequence of Audit
    format : {"table", "json"}

    Returns
    -------
    text : str
    code : int
        0 where every file was read and none has a problem, else 1.
    """
    if format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {format!r}")
    code = 0 if all(audit.ok for audit in audits) else 1
    if format == "json":
        return json.dumps([audit.to_dict() for audit in audits], indent=2), code
    lines = []
    for audit in audits:
        lines.append(f"{audit.path}: {_verdict(audit)}")
        lines += [f"  problem: {words}" for words in audit.problems]
        lines += [f"  {words}" for words in audit.notes]
    if len(audits) > 1:
        counts = Counter(
            "refused" if one.refused else "with problems" if one.problems else "well"
            for one in audits
        )
        told = ", ".join(f"{counts[name]} {name}" for name in ("well", "with problems", "refused"))
        lines.append(f"{len(audits)} files: {told}")
    return "\n".join(lines), code


def _verdict(audit: Audit) -> str:
    if audit.refused is not None:
        return f"refused: {audit.refused}"
    found = audit.fingerprint
    told = f", {found}, {found.fits} of {found.of}" if found else ""
    problems = f", {len(audit.problems)} problems" if audit.problems else ""
    return f"{audit.rows} rows{told}{problems}"
