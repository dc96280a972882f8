"""Logs as they are found in public: read with notes, or refused with line and reason."""

from decimal import Decimal

import pytest

from rslib.logs import is_log, read_log, scan_log
from rslib.records import CertificateFile, RecordError, Row, read_certificates

HEADER = "idx\tlabel\tpredict\tradius\tcorrect\ttime\n"
LINES = "0\t3\t3\t0.0827\t1\t0:00:14.356898\n20\t5\t-1\t0.0\t0\t0:00:13\n"
ROWS = (
    Row(0, 3, 3, Decimal("0.0827"), True, 14.356898),
    Row(20, 5, -1, Decimal("0.0"), False, 13.0),
)


@pytest.fixture
def log(tmp_path):
    def put(content, name="sigma_0.50"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return put


def test_a_plain_log_has_no_notes(log):
    path = log(HEADER + LINES)
    assert read_log(path) == CertificateFile(path, None, ROWS)
    assert read_certificates(path) == read_log(path)


@pytest.mark.parametrize("name", ["sigma_0.50", "mine.tsv", "log.txt", "N 1000"])
@pytest.mark.parametrize(
    ("content", "note"),
    [
        ((HEADER + LINES).replace("\n", "\r\n"), "lines end in CR LF"),
        ((HEADER + LINES).replace("\n", "\r"), "lines end in CR"),
        (b"\xef\xbb\xbf" + (HEADER + LINES).encode(), "begins with a byte order mark (UTF-8)"),
        ((HEADER + LINES).encode("utf-16"), "begins with a byte order mark (UTF-16)"),
        ((HEADER + LINES)[:-1], "no newline at the end"),
        (HEADER + LINES + "40\t3\t3\t0.1", "line 4 was cut off, and is left out"),
        (HEADER + LINES + "\n", "line 4 is blank"),
        (HEADER + LINES + HEADER, "line 4 is a header again: two runs in one file"),
        (HEADER + LINES + LINES, "2 rows repeat an earlier row, and are left out"),
        (HEADER.title() + LINES, None),
        (
            (HEADER + LINES).replace("\t1\t", "\tTrue\t").replace("\t0\t0:", "\tFalse\t0:"),
            "2 rows have True or False in the column correct",
        ),
        ((HEADER + LINES).replace("14.356898", "xx"), "1 rows have a time that cannot be read"),
        (
            (HEADER + LINES).replace("\n", "\t7\n").replace("time\t7", "time\tvotes"),
            "more columns, left aside: votes",
        ),
        ((HEADER + LINES).replace("\t3\t3\t", "\t3.0\ttensor(3)\t"), None),
    ],
)
def test_what_changes_no_certificate_is_a_note(log, name, content, note):
    file = read_certificates(log(content, name))
    assert [(r.idx, r.label, r.predict, r.radius, r.correct) for r in file.rows] == [
        (r.idx, r.label, r.predict, r.radius, r.correct) for r in ROWS
    ]
    assert file.manifest is None and file.asked is None
    assert len(file.notes) == (note is not None)
    assert note is None or file.notes[0].startswith(note)


def test_times_of_all_kinds(log):
    texts = ["0:02:31.238689", "1 day, 1:01:01.5", "12.25", "7", "1e-05", "2 days, 0:00:00"]
    path = log(HEADER + "".join(f"{i}\t1\t1\t0.5\t1\t{text}\n" for i, text in enumerate(texts)))
    assert [row.time for row in read_log(path).rows] == [
        151.238689,
        90061.5,
        12.25,
        7.0,
        1e-05,
        172800.0,
    ]


def test_radii_of_all_kinds_are_kept_as_printed(log):
    texts = ["0.165", "9.8e-05", "1e+02", "1.0", "0.9528643271", "3"]
    path = log(HEADER + "".join(f"{i}\t1\t1\t{text}\t1\t1.0\n" for i, text in enumerate(texts)))
    assert [row.radius for row in read_log(path).rows] == [Decimal(text) for text in texts]


def test_predictions(log):
    path = log("idx\tlabel\tpredict\tcorrect\ttime\n0\t3\t3\t1\t0:00:14\n1\t3\t-1\t0\t0:00:14\n")
    file = read_certificates(path)
    assert [(row.predict, row.radius, row.correct) for row in file.rows] == [
        (3, 0, True),
        (-1, 0, False),
    ]
    assert file.asked == (0,)
    assert file.notes == ("no column radius: a log of predictions, read as radius 0",)


def test_only_what_is_needed(log):
    file = read_log(log("label\tidx\tpredict\tradius\n3\t0\t3\t0.5\n"))
    assert file.rows == (Row(0, 3, 3, Decimal("0.5"), True, 0.0),)
    assert file.notes == ("no column correct", "no column time")


def test_a_last_line_whose_radius_may_be_cut_is_left_out(log):
    """0.165 that lost its last digit looks like any radius."""
    file = read_log(log("idx\tlabel\tpredict\tradius\n0\t3\t3\t0.165\n1\t3\t3\t0.16"))
    assert [row.idx for row in file.rows] == [0]
    assert "line 3 has no end, may be cut, and is left out" in file.notes


def test_header_only(log):
    file = read_certificates(log(HEADER))
    assert (file.rows, file.notes) == ((), ("a header and no rows",))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "1: empty: there is not even a header"),
        (b"\n \n", "1: empty: there is not even a header"),
        ("0\t3\t3\t0.5\t1\t1.0\n", "1: the header must name the columns idx label predict, with "),
        ("idx,label,predict\n", "1: the header must name the columns idx label predict, with "),
        ("idx\tlabel\tpredict\tidx\n", "1: the header names the column idx twice"),
        (HEADER.encode() + b"0\t\xff\n", "2: holds bytes that are not text"),
        (HEADER + "0\t3\t3\t0.5\t1\n1\t3\t3\t0.5\t1\t1.0\n", "2: expected 6 tab-separated fields"),
        (HEADER + "0\t3\t3\t0.5\t1\t1.0\t9", "2: expected 6 tab-separated fields, got 7"),
        (HEADER + "x\t3\t3\t0.5\t1\t1.0\n", "2: idx: must be a non-negative integer, got 'x'"),
        (HEADER + "-1\t3\t3\t0.5\t1\t1.0\n", "2: idx: must be a non-negative integer, got '-1'"),
        (HEADER + "0\t3\t-2\t0.5\t1\t1.0\n", "2: predict: must be -1 or a class, got '-2'"),
        (HEADER + "0\t٣\t3\t0.5\t1\t1.0\n", "2: label: must be a non-negative integer, got '٣'"),
        (HEADER + "0\t3\t3\tinf\t1\t1.0\n", "2: radius: must be a number, got 'inf'"),
        (HEADER + "0\t3\t3\t-0.5\t1\t1.0\n", "2: radius: must not be negative, got -0.5"),
        (HEADER + "0\t3\t-1\t0.5\t0\t1.0\n", "2: radius: must be 0 where predict is -1, got 0.5"),
        (HEADER + "0\t3\t3\t0.5\t0\t1.0\n", "2: correct: must be 1 for label 3 and predict 3"),
        (HEADER + "0\t3\t3\t0.5\tyes\t1.0\n", "2: correct: must be 0 or 1, got 'yes'"),
        (
            HEADER + LINES + "0\t3\t3\t0.09\t1\t1.0\n",
            "4: idx: 0 is there already, in line 2, with another answer",
        ),
    ],
)
def test_what_has_no_clear_meaning_is_refused(log, content, words):
    path = log(content)
    for read in (read_log, read_certificates):
        with pytest.raises(RecordError) as caught:
            read(path)
        assert str(caught.value).startswith(f"{path}:{words}")


def test_an_audit_sees_all_faults(log):
    scan = scan_log(
        log(
            HEADER
            + "0\t3\t3\t-0.5\t1\t1.0\n"
            + "1\t3\t3\tnan\t1\t1.0\n"
            + "2\t3\t-1\t0.5\t1\t1.0\n"
            + "2\t3\t4\t0.5\t0\t1.0\n"
        )
    )
    assert [(fault.line, fault.kind) for fault in scan.faults] == [
        (2, "negative"),
        (3, "unreadable"),
        (4, "correct"),
        (4, "abstained"),
        (5, "twice"),
    ]
    assert [row.idx for row in scan.file.rows] == [0, 2]


def test_our_own_files_stay_strict(tmp_path):
    """Our columns need a manifest, and a manifest needs our columns."""
    own = HEADER[:-1] + "\tselection\testimation\n"
    assert not is_log(own.encode()) and not is_log(own.replace("\n", "\r\n").encode())
    path = tmp_path / "sigma_0.25.tsv"
    path.write_text(own)
    with pytest.raises(RecordError, match=r"sigma_0.25.json: cannot read"):
        read_certificates(path)
    path.write_text(HEADER.title() + LINES)
    path.with_suffix(".json").write_text("{}")
    with pytest.raises(RecordError, match="format: must be a non-empty string"):
        read_certificates(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(RecordError) as caught:
        read_log(tmp_path / "none")
    assert str(caught.value) == f"{tmp_path / 'none'}: cannot read: No such file or directory"
