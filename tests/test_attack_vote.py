"""Attacks on the vote: between certificate and attack lies the truth, and nothing is done twice."""

import json

import attack_vote
import numpy as np
import pytest

from rslib import datasets, records

CERTIFICATES = "data/certify/digits/cnn/sigma_0.25.tsv"
FEW = ["--steps", "8", "--copies", "16", "--restarts", "1", "--growth", "0.3", "--n", "300"]


def attack(out, *arguments, images=2):
    given = [CERTIFICATES, "--out", str(out), "--images", str(images), *FEW, *arguments]
    assert attack_vote.main(given) == 0
    return json.loads(out.read_text())


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return attack(tmp_path_factory.mktemp("attack") / "out.json")


def test_the_attack_lies_beyond_the_certificate(found):
    file = records.read_certificates(CERTIFICATES)
    certified = [row for row in file.rows if row.correct and row.radius > 0]
    for row, given in zip(found["rows"], certified, strict=False):
        assert (row["idx"], row["label"]) == (given.idx, given.label)
        assert row["certified"] == float(given.radius) < row["attack"] < 4
        assert row["class"] not in (row["label"], -1) and row["answers"] > attack_vote.HALVINGS
    assert len(found["rows"]) == 2 and found["model_sha256"] == file.manifest["model"]["sha256"]


def test_it_goes_on_where_it_was_and_refuses_other_arguments(found, tmp_path):
    out = tmp_path / "out.json"
    out.write_text(json.dumps(found | {"rows": found["rows"][:1]}))
    again = attack(out)
    assert again["rows"][0] == found["rows"][0]
    assert {**again["rows"][1], "seconds": 0} == {**found["rows"][1], "seconds": 0}
    before = out.read_bytes()
    with pytest.raises(SystemExit, match=r"out\.json: n is 300 there, 301 now; name another --out"):
        attack(out, "--n", "301")
    assert out.read_bytes() == before


def test_no_image_is_found_where_the_ball_may_not_grow(tmp_path):
    (row,) = attack(tmp_path / "out.json", "--largest", "0", images=1)["rows"]
    assert row["attack"] is None and row["class"] is None and row["answers"] == 0


def test_an_answer_is_asked_of_the_grid_and_the_distance_is_its_own(tmp_path, monkeypatch):
    dataset = datasets.load("digits", "test")
    asked = []
    real = attack_vote.runs.smooth

    def smooth(*arguments, **options):
        smoothed = real(*arguments, **options)
        predict = smoothed.predict

        def spy(image, *rest):
            asked.append((image, predict(image, *rest)))
            return asked[-1][1]

        smoothed.predict = spy
        return smoothed

    monkeypatch.setattr(attack_vote.runs, "smooth", smooth)
    (row,) = attack(tmp_path / "out.json", images=1)["rows"]
    x, step = dataset.images[row["idx"]], float(dataset.step)
    assert all((image / step - (image / step).round()).abs().max() < 1e-4 for image, _ in asked)
    others = [
        float(np.linalg.norm(image.double().numpy() - x))
        for image, label in asked
        if label not in (row["label"], -1)
    ]
    assert row["attack"] == pytest.approx(min(others), rel=1e-6)
