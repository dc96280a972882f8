"""Whatever the bytes: an error that names the file, or what the bytes say. Never a wrong number."""

import json
import re
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from test_verifier import (
    EXAMPLES,
    HEADER,
    lines_of,
    manifest,
    radius_of,
    sequential_line,
    stopping,
    write,
)

from rslib import sequential
from rslib.records import (
    CertificateWriter,
    RecordError,
    read_certificates,
    read_manifest,
    write_manifest,
)
from rslib.verifier import verify_file, verify_paths

CLAIMS = manifest()
TABLE = "".join(f"{line}\n" for line in lines_of(CLAIMS)).encode()
MANIFEST = json.dumps(CLAIMS, indent=1).encode()
LOG = (
    b"idx\tlabel\tpredict\tradius\tcorrect\ttime\n"
    b"0\t0\t0\t0.165\t1\t0:02:31.238689\n"
    b"100\t2\t-1\t0.0\t0\t0:00:14\n"
    b"200\t4\t395\t9.8e-05\t0\t1 day, 1:01:01.5\n"
)
# Bytes that mean something in these files, or nearly.
TELLING = [
    *(bytes([byte]) for byte in b'\t\n\r 0123456789.:-+eE"{}[],/_\x00\xff'),
    *(text.encode() for text in ("nan", "inf", "1e5", "-1", "٣", "\ufeff", "true", "null", "0.0")),
]

fuzz = settings(max_examples=250, deadline=None, derandomize=True, database=None)


@st.composite
def mutated(draw, valid):
    """Valid bytes with a few bytes replaced, put in or cut out, lines doubled or swapped."""
    data = valid
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        kind = draw(st.sampled_from(["replace", "insert", "delete", "cut", "double", "swap"]))
        piece = draw(st.sampled_from(TELLING) | st.binary(min_size=1, max_size=4))
        lines = data.split(b"\n")
        line = draw(st.integers(0, len(lines) - 1))
        if kind == "replace":
            data = data[:start] + piece + data[start + len(piece) :]
        elif kind == "insert":
            data = data[:start] + piece + data[start:]
        elif kind == "delete":
            data = data[:start] + data[start + draw(st.integers(1, 20)) :]
        elif kind == "cut":
            data = data[:start]
        elif kind == "double":
            data = b"\n".join([*lines[: line + 1], *lines[line:]])
        else:
            lines[line], lines[0] = lines[0], lines[line]
            data = b"\n".join(lines)
    return data


tables = mutated(TABLE) | mutated(LOG) | st.binary(max_size=60)
manifests = mutated(MANIFEST) | st.binary(max_size=60)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write(tmp_path_factory.mktemp("fuzz"), CLAIMS)


def put(path, table=TABLE, manifest=MANIFEST):
    path.write_bytes(table)
    path.with_suffix(".json").write_bytes(manifest)


def assert_names_its_file(message, path, lines=True):
    """FILE:LINE: words, or FILE: words, and words that can be printed."""
    names = re.escape(str(path)) + "|" + re.escape(str(path.with_suffix(".json")))
    assert re.match(rf"({names})(:[1-9][0-9]*)?: .", message), message
    message.encode()


def read_or_none(path):
    try:
        return read_certificates(path)
    except RecordError as error:
        assert_names_its_file(str(error), path)
        return None


def test_the_valid_files_are_valid(path):
    put(path)
    assert verify_file(path).problems == []
    assert len(read_certificates(path).rows) == len(EXAMPLES)
    put(path, LOG)
    assert len(read_certificates(path).rows) == 3


@fuzz
@given(data=tables)
def test_reading_a_table(path, data):
    """What is read is what is there: written again it gives the same bytes."""
    put(path, data)
    file = read_or_none(path)
    if file is None:
        return
    if file.manifest is None:
        # A log's lines may be blank, cut or there twice; none says what no line of the file says.
        lines = data.decode("utf-8").replace("\r", "\n").split("\n")
        fields = [[part.strip() for part in line.split("\t")] for line in lines]
        said = {tuple(f[:3]): f[3] for f in fields if len(f) == 6}
        for row in file.rows:
            idx, label, predict = row.idx, row.label, row.predict
            same = [s for s in said if all(part.lstrip("-").isdigit() for part in s)]
            (text,) = {said[s] for s in same if tuple(map(int, s)) == (idx, label, predict)}
            assert float(text) == float(row.radius) >= 0
            assert row.correct == (label == predict) and (predict >= 0 or row.radius == 0)
        return
    again = path.with_name("again.tsv")
    again.unlink(missing_ok=True)
    with CertificateWriter(again, CLAIMS) as writer:
        for row in file.rows:
            writer.append(row)
    assert again.read_bytes() == data
    again.unlink()
    again.with_suffix(".json").unlink()


@fuzz
@given(data=manifests)
def test_reading_a_manifest(path, data):
    """What is read is what plain JSON would read, and survives writing and reading."""
    put(path, manifest=data)
    where = path.with_suffix(".json")
    try:
        found = read_manifest(where)
    except RecordError as error:
        assert_names_its_file(str(error), path)
        return
    assert found == json.loads(data)
    write_manifest(where, found)
    assert read_manifest(where) == found


@fuzz
@given(data=tables)
def test_resuming_a_table(path, data):
    """A writer refuses and leaves every byte, or keeps every whole line."""
    put(path, data)
    try:
        with CertificateWriter(path, CLAIMS) as writer:
            done = writer.done
    except RecordError as error:
        assert_names_its_file(str(error), path)
        assert path.read_bytes() == data
        return
    whole = data[: data.rfind(b"\n") + 1] or TABLE[: TABLE.index(b"\n") + 1]
    assert path.read_bytes() == whole
    assert done == {row.idx for row in read_certificates(path).rows}
    assert path.with_suffix(".json").read_bytes() == MANIFEST


def assert_sound(path, report):
    """A file that passes holds, for each example, the radius that its counts give."""
    for problem in report.problems:
        assert_names_its_file(problem, path)
    file = read_or_none(path)
    if not report.ok:
        return
    if file is None:
        # Reading also demands to be told how the file was made; no certificate rests on that.
        with pytest.raises(RecordError, match=r": (versions|device|command|date|plan)\b"):
            read_certificates(path)
        return
    assert sorted(row.idx for row in file.rows) == sorted(file.manifest["indices"])
    for row in file.rows:
        chosen, radius = radius_of(row.selection, row.estimation, file.manifest)
        assert row.predict == chosen
        assert float(row.radius) == pytest.approx(float(radius), abs=2e-6)


@fuzz
@given(data=tables)
def test_verifying_a_table(path, data):
    put(path, data)
    assert_sound(path, verify_file(path))
    assert [report.path for report in verify_paths([path.parent])] == [path]


@fuzz
@given(data=manifests)
def test_verifying_a_manifest(path, data):
    put(path, manifest=data)
    assert_sound(path, verify_file(path))


def test_every_changed_digit_is_noticed(path):
    """Each digit of each class, radius, flag and count, made one more or one less."""
    lines = TABLE.decode().split("\n")
    tried = 0
    for number, line in enumerate(lines[1:-1], start=2):
        # Counts are the digits after a colon; the class of a rival decides nothing.
        told = r"(?<=\t)-?\d+(?=\t\d\.)|\d+\.\d{6}|(?<=\d{6}\t)\d|(?<=:)\d+"
        assert len(re.findall(told, line)) >= 5
        for found in re.finditer(told, line):
            for place in range(*found.span()):
                if not line[place].isdigit():
                    continue
                new = (int(line[place]) + (1 if place % 2 else 9)) % 10
                wrong = f"{line[:place]}{new}{line[place + 1 :]}"
                put(path, "\n".join([*lines[: number - 1], wrong, *lines[number:]]).encode())
                (problem,) = verify_file(path).problems
                assert problem.startswith(f"{path}:{number}: "), wrong
                tried += 1
    assert tried > 120


# A run that stopped early: one row, at radii asked for, and its manifest.
AT = stopping("at")
AT_TABLE = f"{HEADER}\n{sequential_line(AT, (90, 100))}\n".encode()


@fuzz
@given(
    table=mutated(AT_TABLE),
    claims=st.just(json.dumps(AT).encode()) | mutated(json.dumps(AT).encode()),
)
def test_verifying_a_run_that_stopped(path, table, claims):
    """A file that passes certifies radii asked for that its counts show, and reading agrees."""
    put(path, table, claims)
    report = verify_file(path, models=False)
    for problem in report.problems:
        assert_names_its_file(problem, path)
    if not report.ok:
        return
    file = read_certificates(path)
    made, (row,) = file.manifest, file.rows
    total = sum(row.estimation.values())
    assert total <= made["n"]
    if row.predict != -1 and made.get("method", {}).get("name") == "at":
        assert row.radius in [Decimal(r) for r in made["method"]["radii"]]
        k, alpha = row.estimation[row.predict], float(Fraction(made["alpha"]))
        bound = sequential.stopped_lower_bound(k, total, made["n"], alpha)
        assert norm.cdf(float(row.radius) / float(Fraction(made["sigma"]))) < bound
