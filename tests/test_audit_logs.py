"""The tables of the chapter on other people's certificates, on small logs that are made here."""

import json
import os
from decimal import Decimal
from pathlib import Path

import audit_logs
import numpy as np
import pytest

from rslib import _files
from rslib.logs import read_log
from rslib.records import read_certificates

HEAD = "idx\tlabel\tpredict\tradius\tcorrect\ttime"
ARCHIVE = Path(os.environ.get("AUDIT_LOGS", "none"))  # the published logs, where they are at hand


def log(path, rows):
    """A log in the founding format: (idx, label, predict, radius)."""
    lines = [f"{i}\t{y}\t{c}\t{r}\t{int(c == y)}\t0:00:01" for i, y, c, r in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([HEAD, *lines]) + "\n")
    return read_log(path)


@pytest.fixture
def a(tmp_path):
    return log(tmp_path / "a", [(0, 1, 1, 0.6), (20, 2, 2, 0.4), (30, 3, 3, 0.9), (40, 4, -1, 0.0)])


@pytest.fixture
def b(tmp_path):
    return log(tmp_path / "b", [(0, 1, 1, 0.5), (20, 2, 5, 0.8), (30, 3, 3, 0.2), (40, 4, 4, 0.7)])


def test_two_by_two_counts_what_both_certify_or_one_alone(a, b):
    # At 0.5: image 0 both; 30 only a; 40 only b; 20 neither (b's class is wrong there).
    assert audit_logs.two_by_two(a, b, "0.5", 1) == [1, 1, 1, 1]
    assert audit_logs.two_by_two(a, b, "0", 1) == [2, 1, 1, 0]
    assert audit_logs.two_by_two(a, b, "0.5", 20) == [1, 0, 1, 1]  # without image 30
    assert audit_logs.two_by_two(a, b, "0.6", 1) == [0, 2, 1, 1]  # a radius counts where it equals


def test_mean_difference_gives_the_sums_of_a_paired_error(a, b):
    found = audit_logs.mean_difference(a, b, 1)
    by_hand = np.array([0.1, 0.4, 0.7, -0.7])
    assert found == {
        "m": 4,
        "sum": pytest.approx(by_hand.sum()),
        "squares": pytest.approx((by_hand**2).sum()),
    }


def test_other_images_are_not_compared(a, tmp_path):
    other = log(tmp_path / "c", [(0, 1, 1, 0.5), (20, 9, 9, 0.8), (30, 3, 3, 0.2), (40, 4, 4, 0.7)])
    with pytest.raises(ValueError, match="are of other images"):
        audit_logs.two_by_two(a, other, "0", 1)
    assert audit_logs.run_pair(a, other) == {"common": 4, "labels_differ": 1}


def test_a_pair_of_runs_is_judged_where_both_certify(a, b):
    found = audit_logs.run_pair(a, b)
    assert (found["common"], found["both_certify"], found["conflicts"]) == (4, 3, 1)
    assert (found["radius_larger"], found["radius_smaller"]) == (2, 1)
    assert audit_logs.run_pair(a, a)["conflicts"] == 0


def test_counts_are_of_images(a):
    assert audit_logs.counts(a, ("0", "0.5", "1")) == [3, 2, 0]


@pytest.fixture
def clones(tmp_path, a):
    for name in audit_logs.COMMITS:
        log(tmp_path / "clones" / name / "data/x/sigma_0.25", [(0, 1, 1, 0.6)])
    return tmp_path / "clones"


def test_logs_are_those_that_were_read_before(clones):
    source = audit_logs.Source(clones)
    assert source.every() == [(name, "data/x/sigma_0.25") for name in audit_logs.COMMITS]
    named = audit_logs.every_file(source)
    assert [one["rows"] for one in named] == [1, 1, 1, 1]
    log(clones / audit_logs.COHEN / "data/x/sigma_0.5", [(0, 1, 1, 0.6)])
    assert len(audit_logs.Source(clones).every()) == 5
    assert len(audit_logs.Source(clones, named).every()) == 4
    log(clones / audit_logs.COHEN / "data/x/sigma_0.25", [(0, 1, 1, 0.7)])
    with pytest.raises(SystemExit, match="not the file that was read before"):
        audit_logs.Source(clones, named)


def test_a_missing_repository_is_named(clones, tmp_path):
    with pytest.raises(SystemExit, match=r"no folder for .*locuslab/smoothing"):
        audit_logs.Source(tmp_path)


def test_tables_are_written_with_an_entry_a_line(tmp_path):
    tables = {"command": "x", "files": [{"a": 1}, {"b": [2, 3]}]}
    audit_logs.write(tmp_path / "t.json", tables)
    text = (tmp_path / "t.json").read_text()
    assert json.loads(text) == tables and text.count("\n") == 7


def test_our_files_stand_beside_the_log_of_the_same_sigma(clones):
    ours = Path("data/certify/cifar10-jpeg/wide/sigma_0.25.tsv")
    rows = read_certificates(ours).rows
    # Made so that it certifies every second image, at 0.6.
    made = [(r.idx, r.label, r.label if i % 2 else -1, 0.6 * (i % 2)) for i, r in enumerate(rows)]
    path = "data/certify/cifar10/resnet110/noise_0.25/test/sigma_0.25"
    log(clones / audit_logs.COHEN / path, made)
    (one,) = audit_logs.with_ours(audit_logs.Source(clones))
    assert (one["ours"], one["log"]) == (
        "cifar10-jpeg/wide/sigma_0.25.tsv",
        [audit_logs.COHEN, path],
    )
    assert one["sha256"] == _files.sha256(ours) and one["images"] == len(rows)
    for radius, cells in zip(one["radii"], one["tables"], strict=True):
        right = [row.correct and row.radius >= Decimal(radius) for row in rows]
        theirs = [i % 2 == 1 and float(radius) <= 0.6 for i in range(len(rows))]
        pairs = list(zip(right, theirs, strict=True))
        kinds = ((True, True), (True, False), (False, True), (False, False))
        assert cells == [pairs.count(kind) for kind in kinds]


def test_the_committed_comparison_is_about_the_committed_files():
    for one in json.loads(Path("data/audit/paper.json").read_text())["pairs"]:
        assert _files.sha256(Path("data/certify", one["ours"])) == one["sha256"]


@pytest.mark.slow
@pytest.mark.skipif(not ARCHIVE.exists(), reason="AUDIT_LOGS names no archive of published logs")
def test_the_published_logs_give_the_committed_tables(tmp_path, capsys):
    assert audit_logs.main([str(ARCHIVE), "--out", str(tmp_path)]) == 0
    assert "564 logs: 0 refused" in capsys.readouterr().out
    for path in sorted(Path("data/audit").glob("*.json")):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name
