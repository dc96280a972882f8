"""Certificate files: what is written is what is read, and nothing wrong is read as right."""

import copy
import errno
import json
import os
import re
import subprocess
import sys
import types
import warnings
from dataclasses import FrozenInstanceError, replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from manifests import manifest

from rslib import _files, records
from rslib.records import (
    CertificateFile,
    CertificateWriter,
    Manifest,
    RecordError,
    Row,
    manifest_path,
    read_certificates,
    read_manifest,
    write_manifest,
)

HEADER = "idx\tlabel\tpredict\tradius\tcorrect\ttime\tselection\testimation\n"
LOG_HEADER = "idx\tlabel\tpredict\tradius\tcorrect\ttime\n"
LINE = "3\t7\t7\t0.951234\t1\t0.412\t7:100\t3:17 7:983\n"
ROW = Row(3, 7, 7, Decimal("0.951234"), True, 0.412, {7: 100}, {3: 17, 7: 983})
ABSTAINED = Row(5, 2, -1, Decimal("0.000000"), False, 1.0, {2: 60, 4: 40}, {2: 500, 4: 500})


def written(folder, text, **changes):
    """A certificate file with this text below its header, and its manifest."""
    path = folder / "sigma_0.25.tsv"
    path.write_bytes((HEADER + text).encode() if isinstance(text, str) else text)
    (folder / "sigma_0.25.json").write_text(json.dumps(manifest(**changes)))
    return path


def message(call, *arguments, **named):
    """The message of the RecordError that the call raises."""
    with pytest.raises(RecordError) as caught:
        call(*arguments, **named)
    return str(caught.value)


# --- writing and reading back


def test_what_is_written_is_what_is_read(tmp_path):
    path = tmp_path / "new" / "folder" / "sigma_0.25.tsv"
    with CertificateWriter(path, manifest()) as writer:
        assert writer.done == set()
        assert writer.path == path
        writer.append(ROW)
        writer.append(ABSTAINED)
        assert writer.done == {3, 5}
    assert path.read_bytes().decode() == (
        HEADER + LINE + "5\t2\t-1\t0.000000\t0\t1.000\t2:60 4:40\t2:500 4:500\n"
    )
    assert read_certificates(path) == CertificateFile(path, manifest(), (ROW, ABSTAINED))
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "sigma_0.25.json",
        "sigma_0.25.tsv",
    ]


def test_the_manifest_is_readable_by_people(tmp_path):
    write_manifest(
        tmp_path / "a.json", {"format": "x", "a": {"b": [1, 2], "c": {}}, "d": "[1,  2]"}
    )
    assert (tmp_path / "a.json").read_text() == (
        '{\n  "format": "x",\n  "a": {\n    "b": [1, 2],\n    "c": {}\n  },\n  "d": "[1,  2]"\n}\n'
    )


def test_a_row_is_in_the_file_before_append_returns(tmp_path):
    path = tmp_path / "a.tsv"
    with CertificateWriter(path, manifest()) as writer:
        assert path.read_text() == HEADER
        writer.append(ROW)
        assert path.read_text() == HEADER + LINE


def test_a_float_radius_of_six_decimals_is_written_exactly(tmp_path):
    with CertificateWriter(tmp_path / "a.tsv", manifest()) as writer:
        writer.append(Row(3, 7, 7, 0.951234, True, 0.4, {7: 100}, {7: 1000}))
        writer.append(Row(4, 7, 7, 2, True, 0.4, {7: 100}, {7: 1000}))
    rows = read_certificates(tmp_path / "a.tsv").rows
    assert [str(row.radius) for row in rows] == ["0.951234", "2.000000"]


def test_counts_are_sorted_and_zeros_left_out(tmp_path):
    row = Row(3, 7, 7, Decimal("0.5"), True, 0.4, {7: 100, 1: 0}, {9: 1, 7: 997, 0: 2, 2: 0})
    with CertificateWriter(tmp_path / "a.tsv", manifest()) as writer:
        writer.append(row)
    line = (tmp_path / "a.tsv").read_text().splitlines()[1]
    assert line == "3\t7\t7\t0.500000\t1\t0.400\t7:100\t0:2 7:997 9:1"


def test_missing_rows_are_named(tmp_path):
    path = written(tmp_path, LINE, indices=[2, 3, 1])
    file = read_certificates(path)
    assert file.missing == (2, 1)
    assert not file.complete
    file = read_certificates(written(tmp_path, LINE, indices=[3]))
    assert file.missing == ()
    assert file.complete


def test_manifest_path():
    assert manifest_path("a/sigma_0.25.tsv") == Path("a/sigma_0.25.json")
    assert message(manifest_path, "a/sigma_0.25") == (
        "a/sigma_0.25: a certificate file is named *.tsv"
    )


# --- the logs of the original authors


def test_logs_of_the_original_authors(tmp_path):
    path = tmp_path / "sigma_0.25"
    path.write_text(
        LOG_HEADER
        + "0\t0\t0\t0.165\t1\t0:02:31.238689\n"
        + "100\t2\t-1\t0.0\t0\t0:00:14\n"
        + "200\t4\t395\t9.8e-05\t0\t1 day, 1:01:01.5\n"
        + "300\t4\t4\t1e+02\t1\t12.25\n"
        + "400\t4\t4\t1.0\t1\t7\n"
    )
    file = read_certificates(path)
    assert file == CertificateFile(
        path,
        None,
        (
            Row(0, 0, 0, Decimal("0.165"), True, 151.238689),
            Row(100, 2, -1, Decimal("0.0"), False, 14.0),
            Row(200, 4, 395, Decimal("0.000098"), False, 90061.5),
            Row(300, 4, 4, Decimal("100"), True, 12.25),
            Row(400, 4, 4, Decimal("1.0"), True, 7.0),
        ),
    )
    assert file.missing == ()
    assert not file.complete


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("0\t0\t0\tnan\t1\t1.0", "radius: must be a number, got 'nan'"),
        ("0\t0\t0\tinf\t1\t1.0", "radius: must be a number, got 'inf'"),
        ("0\t0\t0\t-0.1\t1\t1.0", "radius: must not be negative, got -0.1"),
        ("0\t0\t0\t1e12\t1\t1.0", "radius: must be below 10^12, got '1e12'"),
        ("0\t0\t0\t0.1\t1", "expected 6 tab-separated fields, got 5"),
        ("0\t0\t-1\t0.1\t0\t1.0", "radius: must be 0 where predict is -1, got 0.1"),
        ("0\t0\t1\t0.1\t1\t1.0", "correct: must be 0 for label 0 and predict 1"),
    ],
)
def test_a_wrong_line_in_a_log(tmp_path, line, words):
    path = tmp_path / "log"
    path.write_text(LOG_HEADER + line + "\n")
    assert message(read_certificates, path) == f"{path}:2: {words}"


# --- lines that must not be read


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "expected 8 tab-separated fields, got 1"),
        (LINE[:-1] + "\t", "expected 8 tab-separated fields, got 9"),
        (LINE.replace("3\t7\t7", "x\t7\t7"), "idx: must be a non-negative integer, got 'x'"),
        (LINE.replace("3\t7\t7", "-1\t7\t7"), "idx: must be a non-negative integer, got '-1'"),
        (LINE.replace("3\t7\t7", "03\t7\t7"), "idx: must be a non-negative integer, got '03'"),
        (LINE.replace("3\t7\t7", "1e1\t7\t7"), "idx: must be a non-negative integer, got '1e1'"),
        (
            LINE.replace("3\t7\t7", "9" * 5000 + "\t7\t7"),
            f"idx: must be a non-negative integer, got '{'9' * 40}'",
        ),
        (LINE.replace("3\t7\t7", "20\t7\t7"), "idx: 20 is not one of the manifest's indices"),
        (LINE.replace("3\t7\t7", "3\t+7\t7"), "label: must be a non-negative integer, got '+7'"),
        (LINE.replace("3\t7\t7", "3\t10\t7"), "label: must be below 10, got 10"),
        (LINE.replace("3\t7\t7", "3\t7\t-2"), "predict: must be -1 or a class, got '-2'"),
        (LINE.replace("3\t7\t7", "3\t7\t10"), "predict: must be below 10, got 10"),
        (LINE.replace("0.951234", "0.95123"), "radius: must be a number with 6 decimals, got "),
        (LINE.replace("0.951234", "00.951234"), "radius: must be a number with 6 decimals, got "),
        (LINE.replace("0.951234", "-0.951234"), "radius: must be a number with 6 decimals, got "),
        (LINE.replace("0.951234", "nan"), "radius: must be a number with 6 decimals, got 'nan'"),
        (LINE.replace("0.951234", "inf"), "radius: must be a number with 6 decimals, got 'inf'"),
        (LINE.replace("\t1\t", "\t2\t"), "correct: must be 0 or 1, got '2'"),
        (LINE.replace("\t1\t", "\t0\t"), "correct: must be 1 for label 7 and predict 7"),
        (LINE.replace("3\t7\t7", "3\t7\t8"), "correct: must be 0 for label 7 and predict 8"),
        (LINE.replace("0.412", "0:00:01"), "time: must be seconds with 3 decimals, got '0:00:01'"),
        (LINE.replace("0.412", "-0.412"), "time: must be seconds with 3 decimals, got '-0.412'"),
        (LINE.replace("7:100", "7:100 "), "selection: must be class:count, got '7:100 '"),
        (LINE.replace("7:100", "7"), "selection: must be class:count, got '7'"),
        (LINE.replace("7:100", ""), "selection: must be class:count, got ''"),
        (LINE.replace("7:100", "7:99"), "selection: the counts must add up to 100, got 99"),
        (LINE.replace("7:983", "7:984"), "estimation: the counts must add up to 1000, got 1001"),
        (LINE.replace("3:17", "7:17"), "estimation: the classes must be ascending, got "),
        (LINE.replace("3:17 7:983", "7:983 3:17"), "estimation: the classes must be ascending, "),
        (LINE.replace("7:983", "10:983"), "estimation: the classes must be below 10, got 10"),
        (LINE.replace("3:17", "2:0 3:17"), "estimation: zero counts are left out, got '2:0 3:17"),
        (LINE.replace("7\t7", "7\t-1").replace("\t1\t", "\t0\t"), "radius: must be 0 where "),
    ],
)
def test_a_wrong_line(tmp_path, line, words):
    path = written(tmp_path, line.rstrip("\n") + "\n")
    assert message(read_certificates, path).startswith(f"{path}:2: {words}")


def test_long_fields_are_cut_in_messages(tmp_path):
    counts = " ".join(f"{label}:1" for label in (0, 2, 1, 3, 4, 5, 6, 7, 8, 9, 9, 9))
    path = written(tmp_path, LINE.replace("7:100", counts))
    assert message(read_certificates, path) == (
        f"{path}:2: selection: the classes must be ascending, got {counts[:40]!r}"
    )
    path = written(tmp_path, LINE.replace("7:100", " ".join(f"{i}:0" for i in range(10))))
    assert message(read_certificates, path) == (
        f"{path}:2: selection: zero counts are left out, got "
        "'0:0 1:0 2:0 3:0 4:0 5:0 6:0 7:0 8:0 9:0'"
    )


def test_an_example_is_there_twice(tmp_path):
    path = written(tmp_path, LINE + LINE.replace("3\t7", "4\t7") + LINE)
    assert message(read_certificates, path) == f"{path}:4: idx: 3 is there already, in line 2"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "1: empty: there is not even a header"),
        (b"\n", f"1: the header must be {HEADER.replace(chr(9), ' ').rstrip()}"),
        (b"idx\tlabel", "1: incomplete: no newline at its end"),
        (HEADER.encode() + b"\xd9\xa3\t7\t7\n", "2: holds bytes that are not ASCII"),
        (b"\xef\xbb\xbf" + HEADER.encode(), "1: holds bytes that are not ASCII"),
        (
            (HEADER + LINE).replace("\n", "\r\n").encode(),
            "1: ends in a carriage return and a newline, not a newline alone",
        ),
        (
            (HEADER + LINE.replace("\n", "\r\n")).encode(),
            "2: ends in a carriage return and a newline, not a newline alone",
        ),
        ((HEADER + LINE + LINE[:-1]).encode(), "3: incomplete: no newline at its end"),
        ((HEADER + LINE + "\n").encode(), "3: expected 8 tab-separated fields, got 1"),
        (LOG_HEADER.encode() + LINE.encode(), "2: expected 6 tab-separated fields, got 8"),
        (
            HEADER.replace("radius", "Radius").encode(),
            f"1: the header must be {HEADER.replace(chr(9), ' ').rstrip()}",
        ),
    ],
)
def test_a_wrong_file(tmp_path, data, words):
    path = written(tmp_path, data)
    assert message(read_certificates, path) == f"{path}:{words}"


def test_a_file_that_is_not_there(tmp_path):
    path = tmp_path / "a.tsv"
    assert message(read_certificates, path) == f"{path}: cannot read: No such file or directory"
    path.write_text(HEADER)
    assert message(read_certificates, path) == (
        f"{tmp_path / 'a.json'}: cannot read: No such file or directory"
    )
    assert message(read_manifest, tmp_path) == f"{tmp_path}: cannot read: Is a directory"


# --- manifests


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", ":1: not JSON: Expecting value"),
        (
            b'{\n"format": "x",\n3}',
            ":3: not JSON: Expecting property name enclosed in double quotes",
        ),
        (
            b'\xef\xbb\xbf{"format": "x"}',
            ":1: not JSON: Unexpected UTF-8 BOM (decode using utf-8-sig)",
        ),
        (b'{"format":\n "\xff"}', ":2: not UTF-8"),
        (b'\n{"format":\n "\xff"\n\n}\n', ":3: not UTF-8"),
        (b'{"format": "x", "a": 1, "a": 1}', ': the key "a" is there twice'),
        (b'{"format": "x", "a": {"b": 1, "b": 1}}', ': the key "b" is there twice'),
        (b'{"format": "x", "a": NaN}', ": NaN is not JSON"),
        (b'{"format": "x", "a": -Infinity}', ": -Infinity is not JSON"),
        (b'{"format": "x", "a": 1e999}', ": the number '1e999' is too large"),
        (b'{"format": "x", "a": -1e999}', ": the number '-1e999' is too large"),
        (b'{"format": "x", "a": ' + b"9" * 41 + b"}", f": the number '{'9' * 40}' is too large"),
        (
            b'{"format": "x", "a": 1' + b"0" * 400 + b".5}",
            f": the number '1{'0' * 39}' is too large",
        ),
        (b'{"format": "x", "a": "\\ud800"}', ": holds half a surrogate pair"),
        (b"[" * 100_000, ": nested too deeply"),
        (b"[1]", ": must hold a JSON object, got [1]"),
        (b"{}", ": format: must be a non-empty string"),
        (b'{"format": ""}', ": format: must be a non-empty string"),
        (b'{"format": 1}', ": format: must be a non-empty string"),
        (
            b'{"format": "rslib-certificates/2"}',
            ': format: must be "rslib-certificates/1", got "rslib-certificates/2"',
        ),
        (b'{"format": "rslib-certificates/1"}', ": dataset.name: missing"),
    ],
)
def test_a_wrong_manifest(tmp_path, text, words):
    path = tmp_path / "a.json"
    path.write_bytes(text)
    assert message(read_manifest, path) == f"{path}{words}"


def test_large_numbers_that_are_still_numbers(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b'{"format": "x", "a": ' + b"9" * 40 + b', "b": 1e308, "c": -1e308}')
    assert read_manifest(path) == {"format": "x", "a": 10**40 - 1, "b": 1e308, "c": -1e308}


POSITIVE = "a positive decimal or fraction in a string"
FIELDS = [
    ("dataset", [], "must be an object, got []"),
    ("noise", 3, "must be an object, got 3"),
    ("dataset.name", "", 'must be a non-empty string, got ""'),
    ("dataset.split", 3, "must be a non-empty string, got 3"),
    ("dataset.step", "0", f'must be {POSITIVE}, or null, got "0"'),
    ("dataset.step", "1/0", f'must be {POSITIVE}, or null, got "1/0"'),
    ("dataset.step", 0.0625, f"must be {POSITIVE}, or null, got 0.0625"),
    ("dataset.shape", [], "must be a list of positive integers, got []"),
    ("dataset.shape", [1, 0], "must be a list of positive integers, got [1, 0]"),
    ("dataset.shape", 64, "must be a list of positive integers, got 64"),
    ("dataset.num_classes", 1, "must be an integer from 2 to 10^9, got 1"),
    ("dataset.num_classes", 10**9 + 1, "must be an integer from 2 to 10^9, got 1000000001"),
    ("dataset.num_classes", True, "must be an integer from 2 to 10^9, got true"),
    ("dataset.num_classes", 10.0, "must be an integer from 2 to 10^9, got 10.0"),
    ("dataset.size", 0, "must be an integer from 1 to 10^12, got 0"),
    ("dataset.channels", 2, "must be 1 or 3, got 2"),
    ("dataset.channels", True, "must be 1 or 3, got true"),
    ("dataset.resize", 0, "must be an integer from 1 to 10^12, got 0"),
    ("dataset.crop", "8", 'must be an integer from 1 to 10^12, got "8"'),
    ("dataset.class_names", [], "must be a list of non-empty strings, got []"),
    ("dataset.class_names", ["a"], "must be 10 names, got 1"),
    ("files", ["a", 3], 'must be a list of non-empty strings, got ["a", 3]'),
    ("files", ["a", "b"], "must be 20 names, got 2"),
    ("model.files", {}, "must be an object of 64 hexadecimal digits by file, got {}"),
    ("model.files", {"a.py": "0F" * 32}, "must be an object of 64 hexadecimal digits by file, got"),
    ("model.files", {"": "0f" * 32}, "must be an object of 64 hexadecimal digits by file, got"),
    ("model.state_sha256", 3, "must be 64 hexadecimal digits, got 3"),
    ("model.entry", "", 'must be a non-empty string, got ""'),
    ("model.mean", [], "must be a list of finite numbers, got []"),
    ("model.mean", 0.5, "must be a list of finite numbers, got 0.5"),
    ("model.std", [1, True], "must be a list of finite numbers, got [1, true]"),
    ("model.input_range", [0], "must be a list of two finite numbers, got [0]"),
    ("model.output", "", 'must be a non-empty string or an integer, got ""'),
    ("model.output", 1.5, "must be a non-empty string or an integer, got 1.5"),
    ("examples_sha256", None, "must be 64 hexadecimal digits, got null"),
    ("examples_sha256", "0F" * 32, f'must be 64 hexadecimal digits, got "{"0F" * 28}...'),
    ("indices", [], "must be a list of distinct non-negative integers, got []"),
    ("indices", [1, 1], "must be a list of distinct non-negative integers, got [1, 1]"),
    ("indices", [-1], "must be a list of distinct non-negative integers, got [-1]"),
    ("indices", [2**53 + 1], "must be a list of distinct non-negative integers, got [900"),
    ("indices", 1, "must be a list of distinct non-negative integers, got 1"),
    ("indices", [3, 500, 4], "must be below dataset.size 500, got 500"),
    ("model.name", None, "must be a non-empty string, got null"),
    ("model.file", "/a", 'must be a path relative to the manifest, got "/a"'),
    ("model.file", "", 'must be a path relative to the manifest, got ""'),
    ("model.sha256", "0F" * 32, f'must be 64 hexadecimal digits, got "{"0F" * 28}...'),
    ("model.sha256", "0" * 63, "must be 64 hexadecimal digits, got "),
    ("model.sha256", 1, "must be 64 hexadecimal digits, got 1"),
    ("sigma", "0", f'must be {POSITIVE}, got "0"'),
    ("sigma", "-0.25", f'must be {POSITIVE}, got "-0.25"'),
    ("sigma", " 0.25", f'must be {POSITIVE}, got " 0.25"'),
    ("sigma", "nan", f'must be {POSITIVE}, got "nan"'),
    ("sigma", 0.25, f"must be {POSITIVE}, got 0.25"),
    ("sigma", "1e9999", f'must be {POSITIVE}, got "1e9999"'),
    ("n0", 0, "must be an integer from 1 to 10^12, got 0"),
    ("n", 10**12 + 1, "must be an integer from 1 to 10^12, got 1000000000001"),
    ("alpha", "0", 'must be a decimal strictly between 0 and 1 in a string, got "0"'),
    ("alpha", "1", 'must be a decimal strictly between 0 and 1 in a string, got "1"'),
    ("alpha", 0.5, "must be a decimal strictly between 0 and 1 in a string, got 0.5"),
    ("two_sided", 0, "must be true or false, got 0"),
    ("noise.kind", "Grid", 'must be "grid" or "float", got "Grid"'),
    ("noise.step", "x", f'must be {POSITIVE}, or null, got "x"'),
    ("noise.step", None, "must be given for grid noise, got null"),
    ("noise.kind", "float", 'must be null for float noise, got "1/16"'),
    ("noise.total_variation", "1", 'must be a decimal from 0 to below 1 in a string, got "1"'),
    ("noise.total_variation", "-1", 'must be a decimal from 0 to below 1 in a string, got "-1"'),
    ("noise.total_variation", 0, "must be a decimal from 0 to below 1 in a string, got 0"),
    ("seed", -1, "must be an integer from 0 to 2^64 - 1, got -1"),
    ("seed", 2**64, "must be an integer from 0 to 2^64 - 1, got 18446744073709551616"),
    ("seed", "0", 'must be an integer from 0 to 2^64 - 1, got "0"'),
    ("plan", None, "must be an object, got null"),
    ("versions", [], "must be an object, got []"),
    ("device", "", 'must be a non-empty string, got ""'),
    ("command", 1, "must be a non-empty string, got 1"),
    ("date", "22.11.2026", 'must be a date as YYYY-MM-DD, got "22.11.2026"'),
    ("date", None, "must be a date as YYYY-MM-DD, got null"),
]


@pytest.mark.parametrize(("name", "value", "words"), FIELDS)
def test_a_wrong_field(tmp_path, name, value, words):
    path = tmp_path / "a.json"
    wrong = manifest(**{name.replace(".", "__"): value})
    path.write_text(json.dumps(wrong))
    shown = "noise.step" if value == "float" else name
    assert message(read_manifest, path).startswith(f"{path}: {shown}: {words}")
    other = tmp_path / "b.json"
    assert message(write_manifest, other, wrong).startswith(f"{other}: {shown}: {words}")
    assert not other.exists()


def _is_there(name):
    """Whether the manifest that files of before had has the field."""
    first, _, last = name.partition(".")
    return last in manifest()[first] if last else False


@pytest.mark.parametrize(
    "name", sorted({name for name, _, _ in FIELDS if _is_there(name)} | {"n0"})
)
def test_a_missing_field(tmp_path, name):
    wrong = manifest()
    *parents, last = name.split(".")
    place = wrong[parents[0]] if parents else wrong
    del place[last]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(wrong))
    assert message(read_manifest, path) == f"{path}: {name}: missing"


@pytest.mark.parametrize(
    "changes",
    [
        {"dataset__step": None},
        {"dataset__num_classes": 2},
        {"dataset__num_classes": 10**9},
        {"dataset__size": 20},
        {"dataset__size": 10**12, "indices": [2**39]},
        {"sigma": "1/4"},
        {"sigma": "1e-3", "alpha": "1E-3"},
        {"sigma": "9" * 30 + "." + "9" * 60, "alpha": "1/1000"},
        {"n0": 1, "n": 10**12},
        {"noise__total_variation": "0"},
        {"noise": {"kind": "float", "step": None, "total_variation": "0"}},
        {"seed": 2**64 - 1},
        {"two_sided": True},
        {"plan": {}, "versions": {}},
        {"remark": ["a field of somebody's own"]},
    ],
)
def test_a_right_manifest(tmp_path, changes):
    path = tmp_path / "a.json"
    write_manifest(path, manifest(**changes))
    assert read_manifest(path) == manifest(**changes)


def test_long_values_are_cut_in_messages(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(manifest(date="x" * 58)))
    assert message(read_manifest, path).endswith(f'got "{"x" * 58}"')
    path.write_text(json.dumps(manifest(date="x" * 59)))
    assert message(read_manifest, path).endswith(f'got "{"x" * 56}...')


def test_manifests_of_models(tmp_path):
    path = tmp_path / "deep" / "sigma_0.25.json"
    model = {"format": "rslib-model/1", "training": {"epochs": 3, "loss": 0.1}, "x": [1, {"y": 2}]}
    write_manifest(path, model)
    assert read_manifest(path) == model
    assert read_manifest(path, format="rslib-model/1") == model
    assert message(read_manifest, path, "rslib-certificates/1") == (
        f'{path}: format: must be "rslib-certificates/1", got "rslib-model/1"'
    )


def test_a_manifest_that_is_not_json(tmp_path):
    path = tmp_path / "a.json"
    assert message(write_manifest, path, {"format": "x", "a": float("nan")}).startswith(
        f"{path}: the manifest cannot be written as JSON: "
        "Out of range float values are not JSON compliant"  # newer Pythons add which
    )
    assert "not JSON serializable" in message(write_manifest, path, {"format": "x", "a": {1, 2}})
    loop = {"format": "x"}
    loop["a"] = loop
    assert "Circular reference" in message(write_manifest, path, loop)
    assert message(write_manifest, path, [1]) == f"{path}: must hold a JSON object, got [1]"


def test_a_manifest_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write_manifest(path, {"format": "old"})
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(descriptor))

    def fail(source, target):
        assert synced, "the new text must be on the disk before it takes the place of the old"
        assert json.loads(Path(source).read_text()) == {"format": "new"}
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "replace", fail)
    assert message(write_manifest, path, {"format": "new"}) == (
        f"{path}: cannot write: Input/output error"
    )
    assert read_manifest(path) == {"format": "old"}
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_a_manifest_in_folders_that_are_not_there_yet(tmp_path):
    path = tmp_path / "a" / "b" / "c.json"
    write_manifest(path, {"format": "x"})
    assert read_manifest(path) == {"format": "x"}


def test_a_manifest_passes_through_the_file_that_the_docstring_names(tmp_path):
    (tmp_path / "a.json.tmp").mkdir()
    (tmp_path / "a.json.tmp" / "kept").write_text("")
    said = message(write_manifest, tmp_path / "a.json", {"format": "x"})
    assert said.startswith(f"{tmp_path / 'a.json'}: cannot write: ")
    assert [file.name for file in tmp_path.rglob("*")] == ["a.json.tmp", "kept"]


def test_a_manifest_that_cannot_even_be_begun(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(_files, "open", full, raising=False)
    said = message(write_manifest, tmp_path / "a.json", {"format": "x"})
    assert said == f"{tmp_path / 'a.json'}: cannot write: No space left on device"


def test_folders_that_cannot_be_synced_do_not_matter(tmp_path, monkeypatch):
    real = os.open

    def refuse(path, *arguments):
        if Path(path).is_dir():
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, *arguments)

    monkeypatch.setattr(os, "open", refuse)
    write_manifest(tmp_path / "a.json", {"format": "x"})
    assert read_manifest(tmp_path / "a.json") == {"format": "x"}


@pytest.mark.parametrize(
    "make", [read_certificates, lambda path: CertificateWriter(path, manifest())]
)
def test_the_manifest_of_a_model_beside_a_table(tmp_path, make):
    path = written(tmp_path, LINE)
    write_manifest(manifest_path(path), {"format": "rslib-model/1"})
    assert message(make, path) == (
        f'{manifest_path(path)}: format: must be "rslib-certificates/1", got "rslib-model/1"'
    )


def test_an_interrupted_manifest_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(source, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_manifest(tmp_path / "a.json", {"format": "new"})
    assert list(tmp_path.iterdir()) == []


# --- rows that must not be written


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"idx": 20}, "idx: 20 is not one of the manifest's indices"),
        ({"idx": -1}, "idx: must be a non-negative integer, got '-1'"),
        ({"idx": 5}, "idx: 5 is there already"),
        ({"label": 10}, "label: must be below 10, got 10"),
        ({"predict": 6}, "correct: must be 0 for label 7 and predict 6"),
        ({"correct": False}, "correct: must be 1 for label 7 and predict 7"),
        ({"radius": Decimal("0.9512341")}, "radius: must have at most 6 decimals, got 0.9512341"),
        ({"radius": 0.1 + 1e-12}, "radius: must have at most 6 decimals, got 0.100000000001"),
        ({"radius": float("nan")}, "radius: must be a number with 6 decimals, got 'nan'"),
        ({"radius": Decimal("sNaN")}, "radius: must be a number with 6 decimals, got 'sNaN'"),
        ({"radius": float("inf")}, "radius: must be a number with 6 decimals, got 'inf'"),
        ({"radius": -0.5}, "radius: must be a number with 6 decimals, got '-0.500000'"),
        ({"radius": 10.0**12}, "radius: must be a number with 6 decimals, got '1000000000000.0"),
        ({"time": -1.0}, "time: must be seconds with 3 decimals, got '-1.000'"),
        ({"time": float("nan")}, "time: must be seconds with 3 decimals, got 'nan'"),
        ({"selection": {}}, "selection: must be class:count, got ''"),
        ({"selection": {7: 99}}, "selection: the counts must add up to 100, got 99"),
        ({"estimation": {7: 1001}}, "estimation: the counts must add up to 1000, got 1001"),
        ({"estimation": {7: 1001, 3: -1}}, "estimation: must be class:count, got '3:-1 7:1001'"),
        ({"estimation": {10: 1000}}, "estimation: the classes must be below 10, got 10"),
    ],
)
def test_a_wrong_row_is_not_written(tmp_path, changes, words):
    path = tmp_path / "a.tsv"
    row = Row(**{**vars(ROW), **changes})
    with CertificateWriter(path, manifest()) as writer:
        writer.append(ABSTAINED)
        before = path.read_bytes()
        assert message(writer.append, row).startswith(f"{path}:3: {words}")
        assert path.read_bytes() == before
        assert writer.done == {5}
        writer.append(ROW)
    assert read_certificates(path).rows == (ABSTAINED, ROW)


# --- resuming


def test_resuming_goes_on_where_it_stopped(tmp_path):
    path = tmp_path / "a.tsv"
    with CertificateWriter(path, manifest()) as writer:
        writer.append(ROW)
    later = manifest(versions={"rslib": "9"}, device="cuda", command="another", date="2027-01-01")
    with CertificateWriter(path, later) as writer:
        assert writer.done == {3}
        assert writer.manifest == manifest()
        writer.append(ABSTAINED)
    assert read_certificates(path) == CertificateFile(path, manifest(), (ROW, ABSTAINED))


@pytest.mark.parametrize("cut", range(1, len(LINE)))
def test_a_last_line_that_was_cut_off_is_done_again(tmp_path, cut):
    path = written(tmp_path, LINE + LINE.replace("3\t7", "4\t7")[:-cut])
    with CertificateWriter(path, manifest()) as writer:
        assert writer.done == {3}
        assert path.read_text() == HEADER + LINE
        writer.append(ABSTAINED)
    assert read_certificates(path).rows == (ROW, ABSTAINED)


@pytest.mark.parametrize("length", [0, 1, len(HEADER) - 1])
def test_a_header_that_was_cut_off_is_written_again(tmp_path, length):
    path = written(tmp_path, HEADER[:length].encode())
    with CertificateWriter(path, manifest()) as writer:
        assert writer.done == set()
        assert path.read_text() == HEADER


def test_a_manifest_without_its_table_is_resumed(tmp_path):
    path = tmp_path / "a.tsv"
    write_manifest(tmp_path / "a.json", manifest())
    with CertificateWriter(path, manifest(date="2027-01-01")) as writer:
        writer.append(ROW)
    assert read_certificates(path).manifest["date"] == "2026-11-22"


OTHER_RUNS = [
    ({"sigma": "0.5"}, 'sigma: the file has "0.25", this run "0.5"'),
    ({"alpha": "0.01"}, 'alpha: the file has "0.001", this run "0.01"'),
    ({"n": 2000}, "n: the file has 1000, this run 2000"),
    ({"n0": 10}, "n0: the file has 100, this run 10"),
    ({"seed": 1}, "seed: the file has 0, this run 1"),
    ({"two_sided": True}, "two_sided: the file has false, this run true"),
    ({"noise__step": "1/32"}, 'noise.step: the file has "1/16", this run "1/32"'),
    ({"model__sha256": "0" * 64}, 'model.sha256: the file has "0f'),
    ({"plan__rows": 500}, "plan.rows: the file has 1000, this run 500"),
    ({"plan__rows": 1000.0}, "plan.rows: the file has 1000, this run 1000.0"),
    ({"plan__dtype": "bf16"}, 'plan.dtype: the file has null, this run "bf16"'),
    ({"plan": {"rows": 1000}}, 'plan.backend: the file has "eager", this run null'),
    ({"plan__rows": {"eager": 1}}, 'plan.rows: the file has 1000, this run {"eager": 1}'),
    ({"indices": [1, 2]}, "indices: the file has [0, 1, 2, 3, "),
    ({"dataset__split": "train"}, 'dataset.split: the file has "test", this run "train"'),
]


@pytest.mark.parametrize(("changes", "words"), OTHER_RUNS)
def test_a_file_of_another_run_is_left_alone(tmp_path, changes, words):
    path = written(tmp_path, LINE + LINE[:9])
    before = path.read_bytes(), manifest_path(path).read_bytes()
    said = message(CertificateWriter, path, manifest(**changes))
    assert said.startswith(f"{manifest_path(path)}: {words}")
    assert said.endswith(": the file is of another run")
    assert (path.read_bytes(), manifest_path(path).read_bytes()) == before
    with CertificateWriter(path, manifest()):
        pass  # and nothing is left locked


@pytest.mark.parametrize(
    "changes",
    [
        {"sigma": "0.250"},
        {"sigma": "1/4"},
        {"alpha": "1e-3"},
        {"noise__step": "0.0625"},
        {"noise__total_variation": "11e-16"},
        {"model__file": "../moved.pt"},
    ],
)
def test_equal_numbers_and_weights_that_were_moved_are_the_same_run(tmp_path, changes):
    """The text first written stays."""
    path = written(tmp_path, LINE + LINE[:9])
    before = manifest_path(path).read_bytes()
    assert json.loads(before) != manifest(**changes)
    with CertificateWriter(path, manifest(**changes)):
        pass
    assert manifest_path(path).read_bytes() == before


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"name": "radius-loss", "loss": "0.05"}, {"name": "radius-loss", "loss": "0.050"}, True),
        ({"name": "radius-loss", "loss": "0.05"}, {"name": "radius-loss", "loss": "0.06"}, False),
        ({"name": "at", "radii": ["0", "0.25"]}, {"name": "at", "radii": ["0", "0.250"]}, True),
        ({"name": "at", "radii": ["0", "0.25"]}, {"name": "at", "radii": ["0", "0.5"]}, False),
    ],
)
def test_equal_numbers_in_a_method_are_equal(one, other, same):
    found = Manifest.from_dict(manifest(method=one))
    assert (found.difference(Manifest.from_dict(manifest(method=other))) is None) == same


def test_names_that_look_like_numbers_are_compared_as_names():
    one, other = (
        Manifest.from_dict(manifest(dataset__class_names=[first, *"bcdefghij"]))
        for first in ("1", "01")
    )
    assert one.difference(other) is not None


# Field -> a value, and another.
OWN = {
    "dataset__channels": (3, 1),
    "dataset__resize": (9, 10),
    "dataset__crop": (8, 9),
    "dataset__class_names": (list("abcdefghij"), list("abcdefghik")),
    "files": ([f"{i}.png" for i in range(20)], [f"{i}.jpg" for i in range(20)]),
    "model__files": ({"m.py": "0a" * 32}, {"m.py": "0c" * 32}),
    "model__state_sha256": ("0b" * 32, "0c" * 32),
    "model__entry": ("ema", "student"),
    "model__mean": ([0.5, 0.25], [0.5]),
    "model__std": ([1.0], [2.0]),
    "model__input_range": ([-1.0, 1.0], [0.0, 255.0]),
    "model__output": ("logits", 0),
}


def own(**changes):
    return manifest(**{name: value for name, (value, _) in OWN.items()} | changes)


def test_fields_of_ones_own_model_are_read_as_they_were_written(tmp_path):
    path = tmp_path / "a.json"
    write_manifest(path, own())
    assert json.loads(path.read_text()) == own() == Manifest.read(path).to_dict()
    assert Manifest.read(path).model.mean == (0.5, 0.25)


@pytest.mark.parametrize("name", OWN)
def test_what_files_of_before_lack_is_not_compared_but_what_they_say_by_silence_is(name):
    """Without a mean there was none; without a hash there is nothing to compare."""
    here = Manifest.from_dict(own())
    other = here.difference(Manifest.from_dict(own(**{name: OWN[name][1]})))
    shown = name.replace("__", ".")
    if name == "model__entry":  # the hash of the state says what it comes to
        assert other is None
    else:
        assert other is not None and other[0].startswith(shown)
    silent = own()
    *parents, last = name.split("__")
    (silent[parents[0]] if parents else silent).pop(last)
    there = Manifest.from_dict(silent)
    by_silence = last in ("mean", "std", "input_range", "output")
    assert [one is not None for one in (here.difference(there), there.difference(here))] == [
        by_silence, by_silence]  # fmt: skip


def test_files_without_the_hash_of_their_examples_are_resumed(tmp_path):
    """Those of older versions: there is nothing to compare, and the file stays as it is."""
    path = written(tmp_path, LINE)
    before = manifest_path(path).read_bytes()
    with CertificateWriter(path, manifest(examples_sha256="0" * 64)) as writer:
        assert writer.done == {3} and writer.manifest.examples_sha256 is None
    assert manifest_path(path).read_bytes() == before
    path = written(tmp_path, LINE, examples_sha256="0" * 64)
    with CertificateWriter(path, manifest()) as writer:
        assert writer.done == {3}
    said = message(CertificateWriter, path, manifest(examples_sha256="1" * 64))
    assert f'examples_sha256: the file has "{"0" * 56}..., this run "{"1" * 56}...' in said


def test_a_manifest_is_its_class_and_reads_like_its_dictionary(tmp_path):
    made = Manifest.from_dict(manifest(remark={"mine": 1}))
    assert made.noise.step == made["noise"]["step"] == "1/16"
    assert made == manifest(remark={"mine": 1}) and "method" not in made
    assert list(made.to_dict()) == list(manifest(remark=1))
    assert Manifest.from_dict(made.to_dict()) == made
    with pytest.raises(FrozenInstanceError):
        made.seed = 1


def test_what_is_not_a_run_is_left_alone(tmp_path):
    path = tmp_path / "notes.tsv"
    path.write_bytes(b"my notes")
    assert message(CertificateWriter, path, manifest()) == (
        f"{path}: there is no manifest notes.json beside it: not a run that can be resumed"
    )
    assert path.read_bytes() == b"my notes"
    assert [file.name for file in tmp_path.iterdir()] == ["notes.tsv"]
    write_manifest(tmp_path / "notes.json", manifest())
    assert message(CertificateWriter, path, manifest()) == (
        f"{path}:1: the header must be {HEADER.replace(chr(9), ' ').rstrip()}"
    )
    assert path.read_bytes() == b"my notes"


def test_a_broken_table_is_left_alone(tmp_path):
    path = written(tmp_path, LINE + LINE + LINE[:9])
    before = path.read_bytes()
    assert message(CertificateWriter, path, manifest()) == (
        f"{path}:3: idx: 3 is there already, in line 2"
    )
    assert path.read_bytes() == before


def test_a_broken_manifest_is_left_alone(tmp_path):
    (tmp_path / "a.json").write_text("{")
    said = message(CertificateWriter, tmp_path / "a.tsv", manifest())
    assert said.startswith(f"{tmp_path / 'a.json'}:1: not JSON: ")
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_nothing_is_made_for_a_wrong_manifest(tmp_path):
    path = tmp_path / "new" / "a.tsv"
    assert message(CertificateWriter, path, manifest(n=0)) == (
        f"{tmp_path / 'new' / 'a.json'}: n: must be an integer from 1 to 10^12, got 0"
    )
    assert message(CertificateWriter, path, {"format": "rslib-model/1"}) == (
        f'{tmp_path / "new" / "a.json"}: format: must be "rslib-certificates/1", '
        'got "rslib-model/1"'
    )
    assert message(CertificateWriter, tmp_path / "new" / "a.txt", manifest()) == (
        f"{tmp_path / 'new' / 'a.txt'}: a certificate file is named *.tsv"
    )
    assert list(tmp_path.iterdir()) == []


def test_the_manifest_handed_in_is_not_kept_or_changed(tmp_path):
    mine = manifest(dataset__shape=(1, 8, 8))
    before = copy.deepcopy(mine)
    with CertificateWriter(tmp_path / "a.tsv", mine) as writer:
        mine["indices"].clear()
        writer.append(ROW)
        mine["indices"] = before["indices"]
    assert mine == before


# --- faults


def test_two_writers_on_one_file(tmp_path):
    path = tmp_path / "a.tsv"
    with CertificateWriter(path, manifest()) as writer:
        writer.append(ROW)
        before = path.read_bytes()
        assert message(CertificateWriter, path, manifest()) == (
            f"{path}: in use by another process"
        )
        assert path.read_bytes() == before
        assert read_certificates(path).rows == (ROW,)
    with CertificateWriter(path, manifest()) as writer:
        assert writer.done == {3}
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.json", "a.tsv"]


def test_a_writer_that_loses_the_race_removes_nothing(tmp_path, monkeypatch):
    """Both saw no file; the other has locked it and not yet written its header."""
    path = tmp_path / "a.tsv"
    other = os.open(path, os.O_RDWR | os.O_CREAT)
    records.fcntl.flock(other, records.fcntl.LOCK_EX)
    monkeypatch.setattr(Path, "exists", lambda self: False)
    assert message(CertificateWriter, path, manifest()) == f"{path}: in use by another process"
    monkeypatch.undo()
    os.close(other)
    assert path.exists()


def test_two_processes_on_one_file(tmp_path):
    path = tmp_path / "a.tsv"
    (tmp_path / "manifest.json").write_text(json.dumps(manifest()))
    code = (
        "import json, sys\n"
        "from rslib.records import CertificateWriter, RecordError\n"
        "manifest = json.load(open(sys.argv[2]))\n"
        "try:\n"
        "    CertificateWriter(sys.argv[1], manifest)\n"
        "except RecordError as error:\n"
        "    print(error)\n"
    )
    call = [sys.executable, "-c", code, path, tmp_path / "manifest.json"]
    with CertificateWriter(path, manifest()):
        done = subprocess.run(call, capture_output=True, text=True)
        assert (done.stdout, done.stderr) == (f"{path}: in use by another process\n", "")
    done = subprocess.run(call, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_closing_twice_is_harmless(tmp_path):
    writer = CertificateWriter(tmp_path / "a.tsv", manifest())
    writer.close()
    writer.close()
    with CertificateWriter(tmp_path / "a.tsv", manifest()):
        pass


def test_a_file_is_closed_once(tmp_path, monkeypatch):
    """A second time it would close another file that got the same number."""
    closed, really = [], os.close
    monkeypatch.setattr(os, "close", lambda number: closed.append(number) or really(number))
    writer = CertificateWriter(tmp_path / "a.tsv", manifest())
    before = len(closed)
    for _ in range(3):
        writer.close()
    assert len(closed) == before + 1


def test_the_formats_name_is_no_field_of_the_manifest():
    given = manifest()
    with_name = records.Manifest.from_dict(given)
    assert given.pop("format") and records.Manifest.from_dict(given) == with_name
    assert "format" not in with_name.extra


def test_a_log_may_have_some_json_beside_it(tmp_path):
    """Only a .tsv has its manifest there."""
    path = tmp_path / "log.txt"
    path.write_text("idx\tlabel\tpredict\tcorrect\ttime\n0\t1\t1\t1\t0:00:01.5\n")
    path.with_suffix(".json").write_text("{}")
    (row,) = read_certificates(path).rows
    assert (row.idx, row.label, row.predict) == (0, 1, 1)


def test_a_full_disk_leaves_whole_lines(tmp_path, monkeypatch):
    path = tmp_path / "a.tsv"
    real, room = os.write, [10]

    def write(descriptor, data):
        if not room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count = real(descriptor, data[: room[0]])
        room[0] -= count
        return count

    with CertificateWriter(path, manifest()) as writer:
        writer.append(ABSTAINED)
        before = path.read_bytes()
        monkeypatch.setattr(os, "write", write)
        assert message(writer.append, ROW) == f"{path}: cannot write: No space left on device"
        assert path.read_bytes() == before
        assert writer.done == {5}
        room[0] = 10**6  # somebody made room
        writer.append(ROW)
    assert read_certificates(path).rows == (ABSTAINED, ROW)


def test_a_disk_that_does_not_sync_leaves_whole_lines(tmp_path, monkeypatch):
    path = tmp_path / "a.tsv"

    def fail(*arguments):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with CertificateWriter(path, manifest()) as writer:
        monkeypatch.setattr(os, "fsync", fail)
        assert message(writer.append, ROW) == f"{path}: cannot write: Input/output error"
        assert path.read_text() == HEADER


def test_what_a_failed_write_left_is_cut_off_by_the_next(tmp_path, monkeypatch):
    path = tmp_path / "a.tsv"
    real, calls = os.ftruncate, []

    def fail(*arguments):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def truncate(descriptor, size):
        calls.append(size)
        if len(calls) == 2:  # the one that cleans up
            fail()
        real(descriptor, size)

    with CertificateWriter(path, manifest()) as writer:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fail)
            patch.setattr(os, "ftruncate", truncate)
            assert message(writer.append, ROW) == f"{path}: cannot write: Input/output error"
            assert path.read_text() == HEADER + LINE
        writer.append(ROW)
        writer.append(ABSTAINED)
    assert read_certificates(path).rows == (ROW, ABSTAINED)


def test_an_interrupt_while_writing_leaves_whole_lines(tmp_path, monkeypatch):
    path = tmp_path / "a.tsv"

    def fsync(descriptor):
        raise KeyboardInterrupt

    with CertificateWriter(path, manifest()) as writer:
        monkeypatch.setattr(os, "fsync", fsync)
        with pytest.raises(KeyboardInterrupt):
            writer.append(ROW)
        assert path.read_text() == HEADER
        assert writer.done == set()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no file size limits")
def test_a_real_limit_on_the_file_size(tmp_path):
    """The kernel cuts a write short and refuses the next, as it does on a full disk."""
    path = tmp_path / "a.tsv"
    (tmp_path / "manifest.json").write_text(json.dumps(manifest()))
    code = (
        "import json, resource, signal, sys\n"
        "from rslib.records import CertificateWriter, Row\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "with CertificateWriter(sys.argv[1], json.load(open(sys.argv[2]))) as writer:\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))\n"
        "    for idx in range(20):\n"
        "        row = Row(idx, 7, 7, 0.5, True, 0.4, {7: 100}, {7: 1000})\n"
        "        try:\n"
        "            writer.append(row)\n"
        "        except ValueError as error:\n"
        "            print(error, len(writer.done))\n"
        "            break\n"
    )
    call = [sys.executable, "-c", code, path, tmp_path / "manifest.json"]
    done = subprocess.run(call, capture_output=True, text=True)
    rows = read_certificates(path).rows
    assert (done.stdout, done.stderr) == (f"{path}: cannot write: File too large {len(rows)}\n", "")
    assert [row.idx for row in rows] == list(range(len(rows)))
    assert 300 - 40 < len(path.read_bytes()) <= 300


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "a.tsv"
    assert message(CertificateWriter, path, manifest()) == f"{path}: cannot write: File exists"
    said = message(write_manifest, tmp_path / "file" / "a.json", {"format": "x"})
    assert said == f"{tmp_path / 'file' / 'a.json'}: cannot write: File exists"


def test_a_read_only_folder(tmp_path, request):
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(0o555)
    request.addfinalizer(lambda: folder.chmod(0o755))
    if os.access(folder, os.W_OK):
        pytest.skip("this user may write to read-only folders")
    path = folder / "a.tsv"
    assert (
        message(CertificateWriter, path, manifest()) == f"{path}: cannot write: Permission denied"
    )
    said = message(write_manifest, folder / "a.json", {"format": "x"})
    assert said == f"{folder / 'a.json'}: cannot write: Permission denied"


def test_a_read_only_folder_for_any_user(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    path = tmp_path / "a.tsv"
    assert (
        message(CertificateWriter, path, manifest()) == f"{path}: cannot write: Permission denied"
    )


def test_a_manifest_that_cannot_be_written_leaves_no_empty_table(tmp_path, monkeypatch):
    def full(source, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert message(CertificateWriter, tmp_path / "a.tsv", manifest()) == (
        f"{tmp_path / 'a.json'}: cannot write: No space left on device"
    )
    assert list(tmp_path.iterdir()) == []


def test_an_empty_table_that_was_there_stays(tmp_path):
    path = tmp_path / "a.tsv"
    path.touch()
    write_manifest(manifest_path(path), manifest(seed=1))
    assert "seed: the file has 1" in message(CertificateWriter, path, manifest())
    assert path.exists()


def test_a_table_that_cannot_be_read_or_cut(tmp_path, monkeypatch):
    path = written(tmp_path, LINE + LINE[:5])

    def refuse(*arguments):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "ftruncate", refuse)
    assert message(CertificateWriter, path, manifest()) == (
        f"{path}: cannot write: Input/output error"
    )
    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert (
        message(CertificateWriter, path, manifest()) == f"{path}: cannot read: Input/output error"
    )


def test_an_error_without_words_still_says_something(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise OSError("out of luck")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert message(read_manifest, tmp_path / "a") == f"{tmp_path / 'a'}: cannot read: out of luck"


def test_a_file_system_that_refuses_to_lock(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(records.fcntl, "flock", refuse)
    path = tmp_path / "a.tsv"
    assert (
        message(CertificateWriter, path, manifest()) == f"{path}: cannot lock: No locks available"
    )


def test_a_system_without_locks_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "fcntl", None)
    path = tmp_path / "a.tsv"
    words = f"{path}: this system offers no file lock: let one process write it"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with CertificateWriter(path, manifest()) as writer:
            writer.append(ROW)
    assert [(str(one.message), one.filename) for one in caught] == [(words, __file__)]
    assert read_certificates(path).rows == (ROW,)


def test_records_load_no_torch():
    code = (
        "import sys, rslib.records, rslib.evaluation, rslib.verifier; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "False\n"


def test_every_error_names_its_file_first(tmp_path):
    path = written(tmp_path, "x\n")
    assert re.match(re.escape(str(path)) + r":2: ", message(read_certificates, path))


# --- runs that may stop early

AT = {"name": "at", "radii": ["0", "0.25", "0.5"]}
EARLY = {"name": "early-abstain"}
LOSS = {"name": "radius-loss", "loss": "0.05"}
SHORT = Row(3, 7, 7, Decimal("0.250000"), True, 0.412, {7: 100}, {7: 60})
GAVE_UP = Row(5, 2, -1, Decimal("0.000000"), False, 1.0, {2: 60, 4: 40}, {2: 30, 4: 30})


@pytest.mark.parametrize("method", [AT, AT | {"radii": ["0.25"]}, LOSS, EARLY])
def test_rows_of_runs_that_stopped_are_written_and_read(tmp_path, method):
    path = tmp_path / "sigma_0.25.tsv"
    rows = (GAVE_UP,) if method is EARLY else (SHORT, GAVE_UP)
    with CertificateWriter(path, manifest(method=method)) as writer:
        for row in rows:
            writer.append(row)
    file = read_certificates(path)
    assert file.rows == rows and file.manifest["method"] == method
    with CertificateWriter(path, manifest(method=method)) as writer:
        assert writer.done == {row.idx for row in rows}
    assert "method: the file has" in message(CertificateWriter, path, manifest())


def test_a_radius_that_was_kept_says_of_how_many_samples(tmp_path):
    path, row = tmp_path / "a.tsv", replace(SHORT, drawn=284)
    with CertificateWriter(path, manifest(method=AT)) as writer:
        writer.append(row)
    assert path.read_text().splitlines()[1].endswith("\t7:100\t7:60 of 284")
    assert read_certificates(path).rows == (row,)


@pytest.mark.parametrize(
    ("method", "row", "words"),
    [
        (None, GAVE_UP, "estimation: the counts must add up to 1000, got 60"),
        (EARLY, SHORT, "estimation: the counts must add up to 1000, got 60"),
        (
            LOSS,
            replace(SHORT, estimation={7: 1001}),
            "estimation: the counts must add up to at most 1000, got 1001",
        ),
        (
            AT,
            replace(SHORT, radius=Decimal("0.249999")),
            "radius: must be one of the manifest's, got 0.249999",
        ),
        (
            AT,
            replace(SHORT, label=1, predict=1, radius=Decimal("0.300000")),
            "radius: must be one of the manifest's, got 0.300000",
        ),
        (LOSS, replace(SHORT, drawn=284), "are to be counted, got 60 of 284"),
        (None, replace(ROW, drawn=1001), "are to be counted, got 1000 of 1001"),
        (AT, replace(GAVE_UP, drawn=284), "are to be counted, got 60 of 284"),
        (AT, replace(SHORT, drawn=0), "and at most 1000, got 0"),
        (AT, replace(SHORT, drawn=60), "and at most 1000, got 60"),
        (AT, replace(SHORT, drawn=1001), "and at most 1000, got 1001"),
        (AT, replace(SHORT, drawn=-5), "estimation: must be class:count, got '7:60 of -5'"),
        (AT, replace(SHORT, selection={7: 99}), "selection: the counts must add up to 100, got 99"),
    ],
)
def test_rows_that_the_method_does_not_allow(tmp_path, method, row, words):
    made = manifest() if method is None else manifest(method=method)
    with CertificateWriter(tmp_path / "a.tsv", made) as writer:
        assert message(writer.append, row).endswith(words)


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("at", 'method: must be an object, got "at"'),
        ({}, "method.name: must be one of early-abstain, radius-loss, at, got null"),
        ({"name": []}, "method.name: must be one of early-abstain, radius-loss, at, got []"),
        ({"name": "fixed"}, "method.name: must be one of"),
        ({"name": "at"}, "method.radii: missing"),
        ({"name": "at", "radii": []}, "method.radii: must be a list of ascending decimals"),
        ({"name": "at", "radii": ["0.5", "0.5"]}, "method.radii: must be a list of ascending"),
        ({"name": "at", "radii": ["0.1234567"]}, "method.radii: must be a list of ascending"),
        (
            {"name": "at", "radii": [0.5]},
            "method.radii: must be a list of ascending decimals with at most 6 places in strings, "
            "got [0.5]",
        ),
        ({"name": "radius-loss", "loss": 0.05}, "method.loss: must be a decimal with at most"),
        ({"name": "early-abstain", "loss": "0"}, 'method.loss: not a field of "early-abstain"'),
    ],
)
def test_a_wrong_method(tmp_path, method, words):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(manifest(method=method)))
    assert message(read_manifest, path).startswith(f"{path}: {words}")


def test_no_method_that_stops_is_two_sided(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(manifest(method=EARLY, two_sided=True)))
    assert "two_sided: must be false where a run may stop early" in message(read_manifest, path)


def test_an_entry_says_of_a_data_set_what_there_is_to_say():
    reading = types.SimpleNamespace(channels=3, resize=64, crop=32)
    names = ("cat", "dog")
    data = type("Data", (), {"__len__": lambda self: 7})()
    data.name, data.split, data.step = "folder", "val", Fraction(1, 255)
    data.shape, data.num_classes, data.class_names = (3, 32, 32), 2, names
    plain = {
        "name": "folder",
        "split": "val",
        "step": "1/255",
        "shape": [3, 32, 32],
        "num_classes": 2,
        "size": 7,
    }
    data.reading = reading
    read = {"channels": 3, "resize": 64, "crop": 32, "class_names": list(names)}
    assert records.DatasetEntry.of(data).to_dict() == plain | read
    data.reading = data.class_names = None
    assert records.DatasetEntry.of(data).to_dict() == plain
