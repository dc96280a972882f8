"""Two files compared in pairs: what is counted, what is refused, what is said."""

import csv
import io
import json
from decimal import Decimal

import pytest
from test_records import manifest

from rslib import evaluation, paired
from rslib.evaluation import compare
from rslib.records import CertificateFile, Row


def rows(radii, label=1):
    """One row for each radius; None is a wrong answer of radius 0.9, "-" an abstention."""
    made = []
    for idx, radius in enumerate(radii):
        if radius == "-":
            made.append(Row(idx, label, -1, Decimal("0"), False, 0.1))
        elif radius is None:
            made.append(Row(idx, label, label + 1, Decimal("0.9"), False, 0.1))
        else:
            made.append(Row(idx, label, label, Decimal(radius), True, 0.1))
    return tuple(made)


A = rows(["0.50", "0.25", None, "-", "0.75", "0.10", "1.00", "0.30"])
B = rows(["0.50", None, "0.20", "-", "0.25", "0.60", "0.20", "-"])


def test_the_counts():
    found = compare(A, B, ["0", "0.25", "0.5"])
    assert [(x.both, x.only_a, x.only_b, x.neither) for x in found.accuracies] == [
        (4, 2, 1, 1),
        (2, 3, 1, 2),
        (1, 2, 1, 4),
    ]
    for x in found.accuracies:
        assert x.accuracy_a == (x.both + x.only_a) / 8 and x.accuracy_b == (x.both + x.only_b) / 8
        assert x.difference == (x.only_a - x.only_b) / 8
        assert x.p_value == paired.mcnemar_pvalue(x.only_a, x.only_b)
        assert (x.low, x.high) == paired.difference_interval(x.only_a, x.only_b, 8, 1 - 0.05 / 3)
    assert [x.p_holm for x in found.accuracies] == [1.0, 1.0, 1.0]
    assert (found.images, found.confidence, found.notes) == (8, 0.95, ())


def test_accuracies_are_those_of_the_table():
    for name, side in (("accuracy_a", A), ("accuracy_b", B)):
        found = [getattr(x, name) for x in compare(A, B, [0, 0.3, 0.6]).accuracies]
        assert found == evaluation.certified_accuracy(side, [0, 0.3, 0.6]).tolist()


def test_the_average_radius():
    found = compare(A, B, [0], confidence=0.9).radius
    assert found.average_a == pytest.approx(evaluation.average_certified_radius(A))
    assert found.average_b == pytest.approx(evaluation.average_certified_radius(B))
    differences = [0, 0.25, -0.2, 0, 0.5, -0.5, 0.8, 0.3]
    expected = paired.mean_interval(differences, 0.9)
    assert (found.difference, found.low, found.high) == pytest.approx(expected)


def test_holm_is_over_the_radii():
    many_a, many_b = rows(["0.5"] * 40), rows(["0.5"] * 28 + ["0.2"] * 8 + ["-"] * 4)
    found = compare(many_a, many_b, ["0", "0.3", "0.5"]).accuracies
    assert [x.p_holm for x in found] == paired.holm([x.p_value for x in found]).tolist()
    assert found[0].p_holm == found[0].p_value > 0.05 > found[1].p_holm > found[1].p_value


def test_the_power_is_that_of_all_radii_together():
    found = compare(A, B, [0, 0.25], difference=0.1).accuracies
    assert found[0].power == paired.power(8, 0.1, 3 / 8, 0.025)
    assert found[0].images_needed == paired.images_needed(0.1, 3 / 8, 0.025)
    assert compare(A, A, [0]).accuracies[0].power == paired.power(8, 0.02, 0.02, 0.05)


def test_the_order_of_the_rows_does_not_matter():
    assert compare(A[::-1], B, [0.25]).accuracies == compare(A, B, [0.25]).accuracies


@pytest.mark.parametrize(
    ("b", "words"),
    [
        (B[:-1], "a: has idx 7, which the other has not (7 are in both)"),
        (tuple(rows(["0.5"] * 8, label=2)), "idx 0 has label 1 in one and 2 in the other (8 of 8"),
        ((*B, B[0]), "b: must hold each idx once"),
        ((), "rows must not be empty"),
    ],
)
def test_other_images_are_refused(b, words):
    with pytest.raises(ValueError) as caught:
        compare(A, b, [0])
    assert words in str(caught.value)


def test_the_images_that_both_have():
    found = compare(A, B[:-1], [0], common=True)
    assert found.images == 7
    assert found.notes == ("1 rows of a are left out: the other lacks them",)
    with pytest.raises(ValueError, match=r"has idx 0, which the other has not \(0 are in both\)"):
        compare(A[:3], B[3:], [0], common=True)


def test_radii_that_were_not_asked_are_not_compared():
    at = {"name": "at", "radii": ["0", "0.25"]}
    file = CertificateFile("b.tsv", manifest(method=at), rows(["0.25"] * 8))
    with pytest.raises(ValueError) as caught:
        compare(A, file, [0.25, 0.3])
    assert str(caught.value) == "radii must be among those that were asked (0, 0.25), got 0.3"
    found = compare(A, file)
    assert [x.radius for x in found.accuracies] == ["0", "0.25"]
    assert found.radius is None
    predictions = CertificateFile("log", None, rows(["0"] * 8), asked=(Decimal(0),))
    assert [x.radius for x in compare(file, predictions).accuracies] == ["0"]


def test_settings_that_differ_are_said():
    a = CertificateFile("a.tsv", manifest(), A)
    b = CertificateFile("b.tsv", manifest(sigma="0.5", n=500), B)
    assert compare(a, b, [0]).notes == (
        "sigma is 0.25 in A and 0.5 in B",
        "n is 1000 in A and 500 in B",
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"confidence": 1.0}, "confidence must be between 0 and 1, got 1.0"),
        ({"difference": 0}, "difference must lie between 0 and 1, got 0"),
        ({"radii": []}, "radii must name at least one radius"),
        ({"radii": [-1]}, "radii must be finite and not negative, got -1"),
    ],
)
def test_wrong_options(options, words):
    with pytest.raises(ValueError) as caught:
        compare(A, B, **options)
    assert words in str(caught.value)


def test_the_formats_agree():
    found = compare(A, B, ["0.25", "0.5"])
    said = json.loads(found.to_text("json"))
    assert said == json.loads(json.dumps(found.to_dict()))
    read = list(csv.DictReader(io.StringIO(found.to_text("csv"))))
    for one, line, row in zip(said["accuracies"], read, found.rows(), strict=True):
        assert {k: str(v) for k, v in one.items()} == line == {k: str(v) for k, v in row.items()}
    text = found.to_text()
    assert text.startswith("A: a\nB: b\n8 images\nr ")
    assert [line.split()[:4] for line in text.splitlines()[4:]] == [
        ["0.25", "0.625", "0.375", "+0.250"],
        ["0.5", "0.375", "0.250", "+0.125"],
        ["ACR", "0.362", "0.219", "+0.144"],
    ]
    assert found.to_text("latex").startswith("\\begin{tabular}{l")
    with pytest.raises(ValueError, match="format must be one of table, markdown, latex, csv, json"):
        found.to_text("html")
