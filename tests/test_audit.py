"""What an audit sees in a file, and between two; its report."""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from test_records import HEADER as OWN_HEADER
from test_records import LINE, manifest

from rslib import audit, lattice
from rslib.audit import Audit, audit_file, audit_files, noise_level, report
from rslib.records import CertificateFile, Row

ROOT = Path(__file__).resolve().parent.parent
HEADER = "idx\tlabel\tpredict\tradius\tcorrect\ttime\n"
SIGMA, N = 0.25, 100_000


def lines_of(rows):
    return HEADER + "".join(
        f"{idx}\t{label}\t{predict}\t{radius}\t{int(label == predict)}\t0:00:14.3\n"
        for idx, label, predict, radius in rows
    )


def run(seed=0, alpha="0.001", m=500, stride=20, model=1, sigma=SIGMA):
    """Rows of a log of a model: its votes are drawn anew for each seed."""
    rng = np.random.default_rng(model)
    labels = np.random.default_rng(7).integers(0, 10, m)
    right = rng.random(m) < 0.8
    classes = np.where(right, labels, (labels + rng.integers(1, 10, m)) % 10)
    shares = rng.beta(0.3, 6, m)  # of the votes against
    strays = np.random.default_rng(100 + seed).binomial(N, shares)
    radii = sigma * np.append(lattice.radii_of(N, alpha), np.zeros(N))
    return [
        (stride * i, int(labels[i]), int(classes[i]), f"{radii[f]:.3}")
        if radii[f] > 0
        else (stride * i, int(labels[i]), -1, "0.0")
        for i, f in enumerate(strays)
    ]


@pytest.fixture
def log(tmp_path):
    def put(rows, name="sigma_0.25"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(rows if isinstance(rows, str) else lines_of(rows))
        return path

    return put


def said(found):
    return " | ".join((*found.problems, *found.notes))


@pytest.mark.parametrize("alpha", ["0.01", "0.001"])
def test_a_file_that_is_well(log, alpha):
    found = audit_file(log(run(alpha=alpha)))
    assert found.ok and found.rows == 500 and found.sigma == "0.25"
    assert (found.fingerprint.n, found.fingerprint.alpha) == (N, alpha)
    assert found.fingerprint.fits == found.fingerprint.of > 50
    assert "idx 0 to 9980, every 20th" in found.notes
    assert f"the radii fit n = 100000, alpha = {alpha}: " in said(found)
    assert "of these are printed above the exact radius" in said(found)
    assert found.largest == pytest.approx({"0.01": 3.912, "0.001": 3.812}[alpha])


def test_json_has_the_names_that_are_promised(log):
    path = log(run())
    (one,) = json.loads(report([audit_file(path)], "json")[0])
    assert {"path", "rows", "refused", "notes", "problems", "fingerprint"} <= one.keys()
    assert (one["path"], one["rows"], one["refused"], one["problems"]) == (str(path), 500, None, [])
    assert one["fingerprint"].keys() == {"n", "alpha", "fits", "of"}
    assert (one["fingerprint"]["n"], one["fingerprint"]["alpha"]) == (N, "0.001")
    (none,) = json.loads(report([audit_file(log(HEADER, "empty"))], "json")[0])
    assert none["fingerprint"] is None and none["rows"] == 0


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            lambda rows: rows[:100] + rows[103:],
            "3 rows are missing in between, the first after idx ",
        ),
        (lambda rows: [], "holds no rows"),
        (
            lambda rows: [(*r[:2], 3, "0.953") for r in rows],
            "constant classifier: class 3 in 500 of",
        ),
        (lambda rows: [(r[0], 4, r[2], r[3]) for r in rows], "all images are of class 4"),
    ],
)
def test_problems(log, change, problem):
    found = audit_file(log(change(run())))
    assert len(found.problems) == 1 and found.problems[0].startswith(problem)
    assert not found.ok and report([found])[1] == 1


def test_contradictions_are_counted(log):
    text = lines_of(run())
    text += "10001\t3\t4\t0.5\t1\t1.0\n10021\t3\t4\t0.5\t1\t1.0\n10041\t3\t-1\t0.5\t0\t1.0\n"
    found = audit_file(log(text + "0\t1\t1\t0.7\t1\t1.0\n10061\t3\t4\t-0.5\t0\t1.0\n"))
    assert found.problems[:4] == (
        "2 rows: correct contradicts predict and label, first in line 502",
        "1 rows: there is a radius where predict is -1, first in line 504",
        "1 rows: an idx that was there has another answer, first in line 505",
        "1 rows: the radius is negative, first in line 506",
    )


def test_what_cannot_be_read_is_refused_with_its_line(log, tmp_path):
    path = log(lines_of(run()) + "x\t1\t1\t0.5\t1\t1.0\n" + "3\t1\t1\n")
    found = audit_file(path)
    words = f"{path}:502: idx: must be a non-negative integer, got 'x' (1 lines more)"
    assert found.refused == words and not found.ok and found.fingerprint is None
    assert audit_file(log("x\n", "b")).refused.startswith(f"{tmp_path / 'b'}:1: the header must")
    none = audit_file(tmp_path / "none")
    assert (none.refused, none.sha256) == (
        f"{tmp_path / 'none'}: cannot read: No such file or directory",
        None,
    )


def test_notes(log):
    rows = run()
    rows[5] = (*rows[5][:2], 3, "0.0")
    text = lines_of([*rows[250:], *rows[:250]]).replace("\n", "\r\n")
    found = audit_file(log(text))
    for words in (
        "lines end in CR LF",
        "idx goes back 1 times",
        "1 rows name a class with radius 0",
    ):
        assert words in said(found)
    assert found.problems == ()


def test_a_subset_of_the_classes(log):
    even = [(r[0], 2 * r[1], 2 * r[2] if r[2] >= 0 else -1, r[3]) for r in run()]
    assert "all 10 that occur are even" in said(audit_file(log(even)))
    some = [r for r in run() if r[1] not in (3, 5)]
    assert "2 of the classes 0 to 9 do not occur" in said(audit_file(log(some)))
    assert "do not occur" not in said(audit_file(log(run())))


def test_what_is_stated_is_checked(log):
    path = log(run(alpha="0.01"))
    assert audit_file(path, n=N, alpha="0.01").ok
    found = audit_file(path, n=N, alpha="0.001")
    (problem,) = found.problems
    assert "are above 0.9529, the largest that the stated n = 100000, alpha = 0.001" in problem
    assert problem.endswith("they fit n = 100000, alpha = 0.01")
    (problem,) = audit_file(log(run()), n=N, alpha="0.01").problems
    assert "do not fit the stated n = 100000, alpha = 0.01" in problem
    with pytest.raises(ValueError, match="n and alpha must be given together"):
        audit_file(path, n=N)


def test_the_noise_level(log):
    assert noise_level("a/noise_0.25/test/sigma_0.50") == "0.50"
    assert noise_level("noise_1.00/x.tsv") == "1.00" and noise_level("x/y.tsv") is None
    assert noise_level("sigma_0.25.tsv") == "0.25"
    found = audit_file(log(run(), "mine"))
    assert found.sigma is None and "sigma is not known" in said(found)
    assert audit_file(log(run(), "mine"), sigma="0.25").fingerprint.alpha == "0.001"
    wrong = audit_file(log(run(), "sigma_0.12"))
    assert wrong.problems == ("sigma 0.12 does not fit the radii: 7.9 sigma",)


def test_our_own_files(tmp_path):
    found = audit_file(ROOT / "data/certify/digits/cnn/sigma_0.25.tsv")
    assert found.ok and (found.fingerprint.n, found.fingerprint.alpha) == (N, "0.001")
    assert found.fingerprint.rounding == "down" and found.fingerprint.above == 0
    at = audit_file(ROOT / "data/certify/digits/cnn-sequential/sigma_0.25.tsv")
    assert at.ok and at.fingerprint is None and "no lattice to compare with" in said(at)
    path = tmp_path / "sigma_0.25.tsv"
    path.write_text(OWN_HEADER + LINE.replace("\n", "\r\n"))
    path.with_suffix(".json").write_text(json.dumps(manifest()))
    assert audit_file(path).refused.startswith(f"{path}:2: ends in a carriage return")


def test_two_runs_of_one_model(log):
    first, second = log(run(0), "a/sigma_0.25"), log(run(1), "b/sigma_0.25")
    found = audit_file(first, other=second)
    assert found.ok and f"500 idx in common with {second}" in found.notes
    assert "images that both certify, 0 have different classes" in said(found)


def test_two_models(log):
    found = audit_file(log(run(0), "a/sigma_0.25"), other=log(run(0, model=2), "b/sigma_0.25"))
    (problem,) = found.problems
    assert problem.startswith("not two runs of one smoothed classifier: ")


def test_a_copy(log):
    rows = run()
    copied = [*rows[:-4], *run(seed=1)[-4:]]
    found = audit_file(log(rows, "a/sigma_0.25"), other=log(copied, "b/sigma_0.25"))
    (problem,) = found.problems
    assert problem.startswith("a copy: ")
    same = audit_file(log(rows, "c/sigma_0.25"), other=log(rows, "a/sigma_0.25"))
    assert same.problems[0].startswith("byte for byte the same as ")


def test_other_images(log):
    moved = [(r[0], (r[1] + 1) % 10, r[2], r[3]) for r in run()]
    found = audit_file(log(run(), "a/sigma_0.25"), other=log(moved, "b/sigma_0.25"))
    (problem,) = found.problems
    assert problem.startswith("other images under the same idx: 500 of 500 labels differ")
    short = audit_file(log(run()[:40], "c/sigma_0.25"), other=log(run(1), "d/sigma_0.25"))
    assert "460 idx that this file lacks" in short.notes
    none = [(r[0] + 1, *r[1:]) for r in run()]
    found = audit_file(log(run(), "e/sigma_0.25"), other=log(none, "f/sigma_0.25"))
    assert "no idx in common" in said(found)


def test_one_model_is_hardly_ever_called_two():
    """Two runs at alpha = 0.01 whose certificates are false as often as they may be.

    Each of 2,000 pairs has a conflict in 2% of 500 images (one of the two is false). The rule
    speaks where that has a probability below 1e-6, so an alarm among 2,000 has one below 2e-3.
    """

    def pair(conflicts):
        made = [
            [Row(i, 1, 1 + (i < wrong), Decimal("0.5"), i >= wrong, 0.1) for i in range(500)]
            for wrong in (0, conflicts)
        ]
        return (CertificateFile(Path("log"), None, tuple(rows)) for rows in made)

    for conflicts in set(np.random.default_rng(5).binomial(500, 0.02, 2000).tolist()):
        assert audit.against(*pair(conflicts), alpha=0.01)[1] == []
    (problem,) = audit.against(*pair(40), alpha=0.01)[1]
    assert "40 of the 500 images that both certify" in problem
    assert audit.against(*pair(12), alpha=0.01)[1] == []
    assert audit.against(*pair(12), alpha=0.001)[1] != []


def test_folders_and_reports(log, tmp_path):
    log(run(), "x/sigma_0.25")
    log(run(1), "x/deep/sigma_0.25")
    log("no log\n", "x/notes.txt")
    log(HEADER + "x\n", "x/z_0.25")
    found = audit_files([tmp_path / "x"])
    assert [Path(one.path).name for one in found] == ["sigma_0.25", "sigma_0.25", "z_0.25"]
    text, code = report(found)
    assert code == 1
    assert text.splitlines()[-1] == "3 files: 2 well, 0 with problems, 1 refused"
    assert ": refused: " in text and "500 rows, n = 100000, alpha = 0.001, " in text
    assert report(found[:1])[1] == 0
    with pytest.raises(ValueError, match="none: no such file or folder"):
        audit_files([tmp_path / "none"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="at least one log"):
        audit_files([tmp_path / "empty"])
    with pytest.raises(ValueError, match="format must be one of table, json, got 'csv'"):
        report(found, "csv")


def test_an_audit_is_ok_without_problems():
    assert Audit("a", None).ok and not Audit("a", None, problems=("x",)).ok
    assert not replace(Audit("a", None), refused="x").ok
    assert audit.FORMATS == ("table", "json") and Decimal("0.5")
