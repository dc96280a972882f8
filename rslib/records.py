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
(sigma, n0, n, alpha, noise, seed, plan, hashes of the model and of the examples) and how the file
was made. Numbers that must be exact (sigma, alpha, step, total_variation) are strings, as decimals
or fractions.

A run may have stopped before its n-th sample. Its manifest then has a field ``method``, and its
rows may hold fewer than n estimation counts: ``{"name": "early-abstain"}`` (only rows that abstain
do), ``{"name": "radius-loss", "loss": "0.05"}``, or ``{"name": "at", "radii": ["0", "0.25"]}``, in
which every radius is one of those asked for; with ``"give_up": "0.01"`` beside the radii, one was
given up where its chance to be shown was below that. Without that field every row holds n. A radius
that was asked for is kept once it was shown: ``estimation`` then holds the counts at the look that
showed it, and says of how many samples these are, where more were drawn: ``7:60 of 284``.

Nothing is read on trust. Whatever the bytes, reading either gives what they say or raises
:class:`RecordError`, whose message begins with the file and the line.

References
----------
cohen2019 : the first six columns. Chapter 12 says what can go wrong in such a file.
"""

# Longer than other modules: what may stand in a file is said once, for writing and for reading.

import json
import math
import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from decimal import Decimal
from fractions import Fraction
from functools import cache, cached_property, partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self, get_args, get_origin, get_type_hints

from rslib import _files, logs
from rslib._checks import shown as _shown
from rslib._rows import CertificateFile, RecordError, Row
from rslib.decisions import Method, read_method

if TYPE_CHECKING:
    from rslib.datasets import Dataset

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "FORMAT",
    "MODEL_FORMAT",
    "CertificateFile",
    "CertificateWriter",
    "DatasetEntry",
    "Manifest",
    "ModelEntry",
    "NoiseEntry",
    "RecordError",
    "Row",
    "manifest_path",
    "read_certificates",
    "read_manifest",
    "write_manifest",
]

FORMAT = "rslib-certificates/1"
MODEL_FORMAT = "rslib-model/1"
_COLUMNS = ("idx", "label", "predict", "radius", "correct", "time", "selection", "estimation")


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


def _object(value) -> bool:
    return type(value) is dict


def _indices(value) -> bool:
    return (
        type(value) is list
        and value != []
        and all(_is_integer(0, 2**53, index) for index in value)
        and len(set(value)) == len(value)
    )


def _texts(value) -> bool:
    return type(value) is list and value != [] and all(map(_text, value))


def _number(value) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _numbers(value) -> bool:
    return type(value) is list and value != [] and all(map(_number, value))


def _hashes(value) -> bool:
    return (
        type(value) is dict
        and value != {}
        and all(map(_text, value))
        and all(map(_is_sha256, value.values()))
    )


_COUNT = partial(_is_integer, 1, 10**12)
_is_sha256 = partial(_is_match, "[0-9a-f]{64}")
_POSITIVE = "a positive decimal or fraction in a string"


@dataclass(frozen=True)
class _Must:
    """What a field of a manifest must be: as a test of its JSON value, and in words.

    ``decides`` is False for a field that says how a file was made but decides nothing in it: two
    runs may differ in it and be the same. ``lacking`` is True for a field that files of older
    versions lack: where one of two runs does, they are not compared in it. ``exact`` is True for a
    field that holds numbers as text: equal numbers are equal, however they are written.
    """

    allowed: Callable[[Any], bool]
    words: str
    decides: bool = True
    lacking: bool = False
    exact: bool = False


class _Object(Mapping):
    """A JSON object whose fields are those of a dataclass; it can be read like its dictionary.

    A field is annotated with the `_Must` that it has to meet. One with the default None is left out
    of the JSON where it is None; all others have to be there. Fields that the class does not know
    are kept in ``extra``.
    """

    extra: Mapping[str, Any]

    @classmethod
    def from_dict(cls, given: Mapping[str, Any], within: str = "") -> Self:
        """The object that JSON values say.

        Raises
        ------
        ValueError
            Names the field that is missing or wrong.
        """
        values: dict[str, Any] = {}
        for key, rule in _rules(cls).items():
            name = within + key
            if isinstance(rule, type):
                inner = given.get(key, {})
                if type(inner) is not dict:
                    raise ValueError(f"{name}: must be an object, got {_shown(inner)}")
                assert issubclass(rule, _Object)
                values[key] = rule.from_dict(inner, f"{name}.")
            elif key in given:
                value = given[key]
                if not rule.allowed(value):
                    raise ValueError(f"{name}: must be {rule.words}, got {_shown(value)}")
                values[key] = tuple(value) if type(value) is list else value
            elif key not in _optional(cls):
                raise ValueError(f"{name}: missing")
        extra = {key: value for key, value in given.items() if key not in _rules(cls)}
        return cls(**values | {"extra": extra})

    def to_dict(self) -> dict[str, Any]:
        """The object as JSON has it."""
        found = {}
        for key in _rules(type(self)):
            value = getattr(self, key)
            if isinstance(value, _Object):
                value = value.to_dict()
            elif isinstance(value, tuple):
                value = list(value)
            if value is not None or key not in _optional(type(self)):
                found[key] = value
        return found | dict(self.extra)

    def difference(self, other: Self) -> tuple[str, Any, Any] | None:
        """The first field, with both values, in which two that have to agree differ."""
        here, there = self.to_dict(), other.to_dict()
        old, new = _decisive(type(self), here, there), _decisive(type(self), there, here)
        return _first_difference(old, new)

    def __getitem__(self, key: str) -> Any:
        return self.to_dict()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.to_dict())

    def __len__(self) -> int:
        return len(self.to_dict())


@cache
def _rules(cls: type[_Object]) -> dict[str, Any]:
    """Field -> its `_Must`, or the class of the object that it holds; in the order of the file."""
    hints = get_type_hints(cls, include_extras=True)
    return {
        one.name: get_args(hint)[-1] if get_origin(hint) is Annotated else hint
        for one in fields(cls)  # type: ignore[arg-type]
        if (hint := hints[one.name]) and one.name != "extra"
    }


@cache
def _optional(cls: type[_Object]) -> frozenset[str]:
    return frozenset(one.name for one in fields(cls) if one.default is None)  # type: ignore[arg-type]


def _decisive(cls: type[_Object], one: dict, other: dict) -> dict:
    """Those of an object's fields in which it has to agree with the other."""
    found = {}
    for key, value in one.items():
        rule = _rules(cls).get(key)
        if isinstance(rule, type):
            value = _decisive(rule, value, other[key])
        elif rule is not None and not (rule.decides and (key in other or not rule.lacking)):
            continue
        elif rule is not None and rule.exact and _as_numbers(value) == _as_numbers(other.get(key)):
            continue
        found[key] = value
    return found


def _as_numbers(value):
    """A JSON value with numbers where texts stand for them: 0.250, 0.25 and 1/4 are one."""
    if type(value) is dict:
        return {key: _as_numbers(inner) for key, inner in value.items()}
    if type(value) in (list, tuple):
        return [_as_numbers(inner) for inner in value]
    number = _exact(value)
    return json.dumps(value) if number is None else number


_TEXT = _Must(_text, "a non-empty string")
_SHA256 = _Must(_is_sha256, "64 hexadecimal digits")
_NUMBER_OF = _Must(_COUNT, "an integer from 1 to 10^12")
_STEP = _Must(lambda value: value is None or _positive(value), _POSITIVE + ", or null", exact=True)
_NAMES = _Must(_texts, "a list of non-empty strings", lacking=True)
_PIXELS = _Must(_COUNT, "an integer from 1 to 10^12", lacking=True)
_NUMBERS = _Must(_numbers, "a list of finite numbers")


@dataclass(frozen=True, eq=False, kw_only=True)
class DatasetEntry(_Object):
    """What a manifest says of the data set, as `rslib.datasets.Dataset` has it.

    ``channels``, ``resize`` and ``crop`` say how files became images, see
    `rslib.datasets.Reading`; ``class_names`` what classes 0, 1, ... are called.
    """

    name: Annotated[str, _TEXT]
    split: Annotated[str, _TEXT]
    step: Annotated[str | None, _STEP]
    shape: Annotated[
        tuple[int, ...],
        _Must(
            lambda value: type(value) is list and value != [] and all(map(_COUNT, value)),
            "a list of positive integers",
        ),
    ]
    num_classes: Annotated[int, _Must(partial(_is_integer, 2, 10**9), "an integer from 2 to 10^9")]
    size: Annotated[int, _NUMBER_OF]
    channels: Annotated[
        int | None,
        _Must(lambda value: type(value) is int and value in (1, 3), "1 or 3", lacking=True),
    ] = None
    resize: Annotated[int | None, _PIXELS] = None
    crop: Annotated[int | None, _PIXELS] = None
    class_names: Annotated[tuple[str, ...] | None, _NAMES] = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, dataset: "Dataset") -> Self:
        """What there is to say of a data set."""
        reading = dataset.reading
        return cls(
            name=dataset.name,
            split=dataset.split,
            step=str(dataset.step),
            shape=dataset.shape,
            num_classes=dataset.num_classes,
            size=len(dataset),
            channels=reading.channels if reading else None,
            resize=reading.resize if reading else None,
            crop=reading.crop if reading else None,
            class_names=dataset.class_names,
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class ModelEntry(_Object):
    """What a manifest says of the base classifier.

    ``file``, as seen from the manifest, held its weights; where none were given it is the file that
    was named as the model. Where it lies decides nothing, ``sha256`` says which it is. ``name`` is
    an architecture of `rslib.models.MODELS`, or what the model was opened by, without folders:
    ``my_model.py:build``. ``files`` are the hashes of what it is made of beside its weights (see
    `rslib.models.Opened`), ``state_sha256`` that of all its parameters, and ``entry`` the part of
    the checkpoint that was asked for. ``mean``, ``std``, ``input_range`` and ``output`` are what
    `rslib.models.wrap` put around it. Nothing here is ever imported or executed: whoever draws rows
    again names the model himself.
    """

    name: Annotated[str, _TEXT]
    file: Annotated[
        str,
        _Must(
            lambda value: _text(value) and not value.startswith("/"),
            "a path relative to the manifest",
            decides=False,  # its hash does
        ),
    ]
    sha256: Annotated[str, _SHA256]
    files: Annotated[
        dict | None,
        _Must(_hashes, "an object of 64 hexadecimal digits by file", lacking=True),
    ] = None
    state_sha256: Annotated[str | None, _Must(_is_sha256, _SHA256.words, lacking=True)] = None
    entry: Annotated[str | None, _Must(_text, "a non-empty string", decides=False)] = None
    mean: Annotated[tuple[float, ...] | None, _NUMBERS] = None
    std: Annotated[tuple[float, ...] | None, _NUMBERS] = None
    input_range: Annotated[
        tuple[float, float] | None,
        _Must(lambda value: _numbers(value) and len(value) == 2, "a list of two finite numbers"),
    ] = None
    output: Annotated[
        str | int | None,
        _Must(lambda value: _text(value) or type(value) is int, "a non-empty string or an integer"),
    ] = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, kw_only=True)
class NoiseEntry(_Object):
    """What a manifest says of the noise."""

    kind: Annotated[str, _Must(lambda value: value in ("grid", "float"), '"grid" or "float"')]
    step: Annotated[str | None, _STEP]
    total_variation: Annotated[
        str, _Must(_probability, "a decimal from 0 to below 1 in a string", exact=True)
    ]
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, kw_only=True)
class Manifest(_Object):
    """All that decides the certificates of a file, and how the file was made.

    Numbers that must be exact (sigma, alpha, step, total_variation) are strings, as decimals or
    fractions. ``examples_sha256`` is the hash of the pixels and labels of the examples at
    ``indices``, in that order: of each its values as little-endian float32, then its label as a
    little-endian 64-bit integer. ``files`` are these examples' files, in that order, as paths from
    the folder of the data set.

    A field added here is written, read, checked, and compared on resuming. A manifest can be read
    like the dictionary that its file holds, too: ``manifest["noise"]["step"]``.

    Examples
    --------
    >>> Manifest.from_dict({"dataset": {"name": "digits"}})
    Traceback (most recent call last):
    ValueError: dataset.split: missing
    """

    dataset: DatasetEntry
    indices: Annotated[tuple[int, ...], _Must(_indices, "a list of distinct non-negative integers")]
    model: ModelEntry
    sigma: Annotated[str, _Must(_positive, _POSITIVE, exact=True)]
    n0: Annotated[int, _NUMBER_OF]
    n: Annotated[int, _NUMBER_OF]
    alpha: Annotated[
        str,
        _Must(
            lambda value: _positive(value) and _probability(value),
            "a decimal strictly between 0 and 1 in a string",
            exact=True,
        ),
    ]
    two_sided: Annotated[bool, _Must(lambda value: type(value) is bool, "true or false")]
    noise: NoiseEntry
    seed: Annotated[int, _Must(partial(_is_integer, 0, 2**64 - 1), "an integer from 0 to 2^64 - 1")]
    plan: Annotated[dict, _Must(_object, "an object")]
    versions: Annotated[dict, _Must(_object, "an object", decides=False)]
    device: Annotated[str, _Must(_text, "a non-empty string", decides=False)]
    command: Annotated[str, _Must(_text, "a non-empty string", decides=False)]
    date: Annotated[
        str,
        _Must(
            partial(_is_match, "[0-9]{4}-[0-9]{2}-[0-9]{2}"), "a date as YYYY-MM-DD", decides=False
        ),
    ]
    method: Annotated[dict | None, _Must(_object, "an object", exact=True)] = None
    examples_sha256: Annotated[str | None, _Must(_is_sha256, _SHA256.words, lacking=True)] = None
    files: Annotated[tuple[str, ...] | None, _NAMES] = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any], within: str = "") -> Self:
        """The manifest that JSON values say; its field "format" is the reader's business.

        Raises
        ------
        ValueError
            Names the field that is missing or wrong.
        """
        found = super().from_dict({k: v for k, v in given.items() if k != "format"})
        if found.method is not None:
            read_method(found.method, found.two_sided)
        size, noise = found.dataset.size, found.noise
        if max(found.indices) >= size:
            raise ValueError(
                f"indices: must be below dataset.size {size}, got {max(found.indices)}"
            )
        for name, names, count in (
            ("dataset.class_names", found.dataset.class_names, found.dataset.num_classes),
            ("files", found.files, len(found.indices)),
        ):
            if names is not None and len(names) != count:
                raise ValueError(f"{name}: must be {count} names, got {len(names)}")
        if noise.kind == "grid" and noise.step is None:
            raise ValueError("noise.step: must be given for grid noise, got null")
        if noise.kind == "float" and noise.step is not None:
            raise ValueError(f"noise.step: must be null for float noise, got {_shown(noise.step)}")
        return found

    @classmethod
    def read(cls, path: str | os.PathLike) -> "Manifest":
        """The manifest in a file, checked field by field.

        Raises
        ------
        RecordError
            As `read_manifest`.
        """
        path = Path(path)
        manifest, found = _read_manifest(path)
        _check_format(path, manifest, FORMAT)
        assert found is not None
        return found

    @classmethod
    def checked(cls, path: Path, given: Mapping) -> "Manifest":
        """What is to be written there, as reading it would give it; else a RecordError."""
        plain, found = _as_json(path, given)
        _check_format(path, plain, FORMAT)
        assert found is not None
        return found

    def to_dict(self) -> dict[str, Any]:
        """The manifest as its file has it."""
        return {"format": FORMAT, **super().to_dict()}

    @cached_property
    def certified_by(self) -> Method:
        """The method that the fields ``method`` and ``two_sided`` say."""
        return read_method(self.method, self.two_sided)

    def check_same(self, path: Path, other: "Manifest") -> None:
        """Raise RecordError, naming the path of this one, unless the other is of the same run."""
        if found := self.difference(other):
            name, before, now = found
            raise RecordError(
                f"{path}: {name}: the file has {_shown(before)}, this run {_shown(now)}: "
                "the file is of another run"
            )


def _start(text: str) -> str:
    return repr(text[:40])


def _check_format(path: Path, manifest: Mapping, format: str) -> None:
    if manifest["format"] != format:
        raise RecordError(
            f"{path}: format: must be {_shown(format)}, got {_shown(manifest['format'])}"
        )


def _check_manifest(path: Path, manifest: dict) -> Manifest | None:
    """Raise unless it says which format it is in and, if that is ours, all it must.

    Returns the manifest of a certificate file; of a model's, the fields are its reader's business.
    """
    if type(manifest) is not dict:
        raise RecordError(f"{path}: must hold a JSON object, got {_shown(manifest)}")
    if not _text(manifest.get("format")):
        raise RecordError(f"{path}: format: must be a non-empty string")
    if manifest["format"].split("/")[0] != FORMAT.split("/")[0]:
        return None
    _check_format(path, manifest, FORMAT)
    try:
        return Manifest.from_dict(manifest)
    except ValueError as error:
        raise RecordError(f"{path}: {error}") from None


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
    manifest, _ = _read_manifest(path)
    if format is not None:
        _check_format(path, manifest, format)
    return manifest


def _read_manifest(path: Path) -> tuple[dict, Manifest | None]:
    """What a manifest holds and, if it is a certificate file's, the same as its class."""
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
        return manifest, _check_manifest(path, manifest)
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


def _as_json(path: Path, manifest: Mapping) -> tuple[dict, Manifest | None]:
    """A manifest as reading the text that it will have would give it."""
    if isinstance(manifest, Manifest):
        manifest = manifest.to_dict()
    try:
        plain = json.loads(json.dumps(manifest, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise RecordError(f"{path}: the manifest cannot be written as JSON: {error}") from None
    return plain, _check_manifest(path, plain)


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
    plain, _ = _as_json(path, manifest)
    text = _layout(plain) + "\n"
    try:
        _files.replace(path, lambda file: file.write(text.encode()))
    except OSError as error:
        raise _cannot("write", path, error) from None


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
_COUNTS = rf"{_NATURAL}:{_NATURAL}(?: {_NATURAL}:{_NATURAL})*"
_COLUMN = {
    "idx": (re.compile(_NATURAL), "a non-negative integer"),
    "label": (re.compile(_NATURAL), "a non-negative integer"),
    "predict": (re.compile(f"-1|{_NATURAL}"), "-1 or a class"),
    "radius": (re.compile(r"(?:0|[1-9][0-9]{0,11})\.[0-9]{6}"), "a number with 6 decimals"),
    "correct": (re.compile("[01]"), "0 or 1"),
    "time": (re.compile(r"[0-9]{1,12}\.[0-9]{3}"), "seconds with 3 decimals"),
    "selection": (re.compile(_COUNTS), "class:count"),
    "estimation": (re.compile(f"{_COUNTS}(?: of {_NATURAL})?"), "class:count"),
}


def _counts(name: str, text: str, num_classes: int) -> dict[int, int]:
    split = (pair.split(":") for pair in text.split(" "))
    pairs = [(int(one), int(count)) for one, count in split]
    classes = [pair[0] for pair in pairs]
    if any(first >= second for first, second in pairwise(classes)):
        raise ValueError(f"{name}: the classes must be ascending, got {_start(text)}")
    if classes[-1] >= num_classes:
        raise ValueError(f"{name}: the classes must be below {num_classes}, got {classes[-1]}")
    if any(count == 0 for _, count in pairs):
        raise ValueError(f"{name}: zero counts are left out, got {_start(text)}")
    return dict(pairs)


def _parse_row(line: str, manifest: Manifest) -> Row:
    """The row that a line says; a ValueError in words where it says none."""
    fields = line.split("\t")
    if len(fields) != len(_COLUMNS):
        raise ValueError(f"expected {len(_COLUMNS)} tab-separated fields, got {len(fields)}")
    values = dict(zip(_COLUMNS, fields, strict=True))
    for name, text in values.items():
        pattern, words = _COLUMN[name]
        if not pattern.fullmatch(text):
            raise ValueError(f"{name}: must be {words}, got {_start(text)}")
    idx, label, predict = (int(values[name]) for name in ("idx", "label", "predict"))
    radius, correct = Decimal(values["radius"]), values["correct"] == "1"
    num_classes = manifest.dataset.num_classes
    for name, value in (("label", label), ("predict", predict)):
        if value >= num_classes:
            raise ValueError(f"{name}: must be below {num_classes}, got {value}")
    selection = _counts("selection", values["selection"], num_classes)
    if (found := sum(selection.values())) != manifest.n0:
        raise ValueError(f"selection: the counts must add up to {manifest.n0}, got {found}")
    counted, _, in_all = values["estimation"].partition(" of ")
    estimation = _counts("estimation", counted, num_classes)
    drawn = int(in_all) if in_all else None
    samples = sum(estimation.values())
    manifest.certified_by.check_row(predict, radius, samples, manifest.n, drawn)
    if correct != (predict == label):
        raise ValueError(
            f"correct: must be {int(predict == label)} for label {label} and predict {predict}"
        )
    if predict == -1 and radius != 0:
        raise ValueError(f"radius: must be 0 where predict is -1, got {values['radius']}")
    return Row(
        idx, label, predict, radius, correct, float(values["time"]), selection, estimation, drawn
    )


def _parse_table(path: Path, data: bytes, manifest: Manifest) -> tuple[Row, ...]:
    """The rows of a whole table, or a RecordError for the first line that is wrong."""
    *lines, rest = data.split(b"\n")
    rows: list[Row] = []
    seen: dict[int, int] = {}
    indices = set(manifest.indices)
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
            if line != "\t".join(_COLUMNS):
                raise RecordError(f"{where}the header must be {' '.join(_COLUMNS)}")
            continue
        try:
            row = _parse_row(line, manifest)
        except ValueError as error:
            raise RecordError(f"{where}{error}") from None
        if row.idx in seen:
            raise RecordError(f"{where}idx: {row.idx} is there already, in line {seen[row.idx]}")
        if row.idx not in indices:
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
    original = data.startswith("\t".join(_COLUMNS[:6]).encode() + b"\n")
    beside = path.suffix == ".tsv" and path.with_suffix(".json").exists()
    if original or (logs.is_log(data) and not beside):
        return logs.read_log(path, data)
    manifest = Manifest.read(manifest_path(path))
    return CertificateFile(path, manifest, _parse_table(path, data, manifest))


def _format_row(row: Row) -> str:
    radius = f"{row.radius:.6f}"
    # What the reader refuses is refused below, in its words; a lost digit only shows here.
    exact = Decimal if isinstance(row.radius, Decimal) else float
    if _COLUMN["radius"][0].fullmatch(radius) and exact(radius) != row.radius:
        raise ValueError(f"radius: must have at most 6 decimals, got {row.radius}")
    selection, estimation = (
        " ".join(f"{label}:{count}" for label, count in sorted(of.items()) if count != 0)
        for of in (row.selection, row.estimation)
    )
    if row.drawn is not None:
        estimation += f" of {row.drawn}"
    start = (row.idx, row.label, row.predict, radius, int(row.correct), f"{row.time:.3f}")
    return "\t".join(map(str, (*start, selection, estimation)))


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
    manifest : Manifest or mapping
        As the module says; "versions", "device", "command" and "date" stay as first written.

    Attributes
    ----------
    done : set of int
        Indices of the examples whose rows are in the file.
    first : Row or None
        The first row that was there when the file was opened.
    manifest : Manifest
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
        self.manifest = Manifest.checked(self._manifest_path, manifest)
        self.done: set[int] = set()
        self.first: Row | None = None
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
            earlier = Manifest.read(self._manifest_path)
            earlier.check_same(self._manifest_path, self.manifest)
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
            rows = _parse_table(self.path, whole, self.manifest)
            self.done = {row.idx for row in rows}
            self.first = rows[0] if rows else None
        self._indices = frozenset(self.manifest.indices)
        self._size = len(whole)
        if whole != data:
            try:
                os.ftruncate(self._file, self._size)
            except OSError as error:
                raise _cannot("write", self.path, error) from None
        if not whole:
            self._write(header)
            _files.sync_folder(self.path.parent)

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
            if row.idx not in self._indices:
                raise ValueError(f"idx: {row.idx} is not one of the manifest's indices")
            if row.idx in self.done:
                raise ValueError(f"idx: {row.idx} is there already")
        except ValueError as error:
            raise RecordError(f"{self.path}:{len(self.done) + 2}: {error}") from None
        self._write(line)
        self.done.add(row.idx)

    def close(self) -> None:
        """Close the file and let others write it. Closing twice does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> "CertificateWriter":
        return self

    def __exit__(self, *exception) -> None:
        self.close()
