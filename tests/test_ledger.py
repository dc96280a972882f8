"""The claims ledger: nothing is claimed without evidence, and the page says what the cells show."""

import re
import shutil
from collections import Counter
from pathlib import Path

import ledger
import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
LECTURE = (
    "D1 T0 T0b S1 S2 S3 S4 S5 G1 G2 G3 J1 J2 J3 L1 L2 L3 L4 L5 P1 T1 T1b E1 E2 E3 E4 E5 E6 C1 C2"
).split()


def test_every_claim_of_the_lecture_is_listed_in_its_order():
    assert [claim["id"] for claim in ledger.read_claims()] == LECTURE


def test_every_claim_has_its_evidence_and_the_page_is_up_to_date():
    claims, found = ledger.read_claims(), ledger.evidence()
    assert ledger.problems(claims, found) == []
    assert ledger.PAGE.read_text() == ledger.page(claims, found)


def test_the_page_counts_the_cells():
    claims = ledger.read_claims()
    text = ledger.page(claims, ledger.evidence())
    assert text.count("\n## ") == len(LECTURE)
    section = text.split("## J1: ")[1].split("## J2: ")[0]
    assert section.startswith("slip, corrected\n")
    assert re.search(r"\(05_jensen\.ipynb\) \| numerical \d+, counterexample \d+", section)
    assert "{py:obj}`rslib.certificates.jensen_gradient_bound`" in section
    assert "/blob/main/tests/test_certificates.py)" in section


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"needs": ["symbolic", "exercise"]}, "J1: no cell is exercise evidence"),
        ({"functions": ["certificates.best_radius"]}, "J1: rslib has no certificates.best_radius"),
        ({"tests": ["tests/test_ledger.py::test_x"]}, "J1: no test tests/test_ledger.py::test_x"),
        ({"tests": ["tests/test_no.py::test_x"]}, "J1: no test tests/test_no.py::test_x"),
    ],
)
def test_what_is_missing_is_named(change, complaint):
    claim = {claim["id"]: claim for claim in ledger.read_claims()}["J1"] | change
    found = {"J1": {Path("05_jensen.ipynb"): Counter(symbolic=1)}}
    assert complaint in ledger.problems([claim], found)


def test_a_cell_for_a_claim_that_nobody_made():
    found = {"Z9": {Path("05_jensen.ipynb"): Counter(symbolic=1)}}
    assert ledger.problems([], found) == ["Z9: tagged in 05_jensen.ipynb, not in claims.yml"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"verdict": "perhaps"}, "verdict 'perhaps'"),
        ({"verdict": True}, "verdict True"),
        ({"needs": []}, r"needs \[\]"),
        ({"needs": ["faith"]}, "needs .'faith'"),
        ({"tests": []}, "no test"),
        ({"id": "T0"}, "T0: there twice"),
        ({"proof": "left to a video"}, "fields are"),
    ],
)
def test_a_wrong_list_is_refused(tmp_path, monkeypatch, change, complaint):
    claims = yaml.safe_load(ledger.CLAIMS.read_text())
    claims[0] |= change
    (tmp_path / "claims.yml").write_text(yaml.safe_dump(claims))
    monkeypatch.setattr(ledger, "CLAIMS", tmp_path / "claims.yml")
    with pytest.raises(ledger.LedgerError, match=complaint):
        ledger.read_claims()


def test_the_commands(tmp_path, monkeypatch, capsys):
    shutil.copy(ledger.PAGE, tmp_path / "claims.md")
    monkeypatch.setattr(ledger, "PAGE", tmp_path / "claims.md")
    assert ledger.main(["check"]) == 0
    (tmp_path / "claims.md").write_text("old")
    assert ledger.main(["check"]) == 1
    assert "out of date" in capsys.readouterr().err
    assert ledger.main(["write"]) == 0
    assert ledger.main(["check"]) == 0
    with pytest.raises(SystemExit, match="2"):
        ledger.main([])
