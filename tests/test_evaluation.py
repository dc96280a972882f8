"""Certified accuracy, its band and its tables."""

import csv
import io
import json
import math
from decimal import Decimal

import numpy as np
import pytest
from manifests import manifest
from scipy import stats
from test_records import HEADER, LINE

from rslib.evaluation import (
    DEFAULT_RADII,
    abstention_rate,
    accuracy_band,
    average_certified_radius,
    certified_accuracy,
    find_files,
    summary,
    table,
)
from rslib.records import CertificateFile, RecordError, Row


def row(idx, radius, correct=True, abstained=False):
    predict = -1 if abstained else 1
    return Row(idx, 1 if correct else 0, predict, Decimal(radius), correct, 0.1)


ROWS = (
    row(0, "0.500000"),
    row(1, "0.250000"),
    row(2, "0.900000", correct=False),
    row(3, "0.000000", correct=False, abstained=True),
    row(4, "0.000000"),
    row(5, "0.499999"),
    row(6, "1.300000"),
    row(7, "0.100000"),
)


def test_certified_accuracy():
    found = certified_accuracy(ROWS, [0, 0.1, 0.25, 0.25000001, 0.5, 0.9, 1.3, 1.31])
    assert found.dtype == np.float64
    assert found.tolist() == [6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8, 1 / 8, 0]


def test_the_order_of_radii_and_rows_is_free():
    assert certified_accuracy(ROWS[::-1], [1.3, 0, 0]).tolist() == [1 / 8, 6 / 8, 6 / 8]
    assert certified_accuracy(iter(ROWS), []).shape == (0,)


@pytest.mark.parametrize(
    "radius", [0.1, "0.1", Decimal("0.1"), np.float64(0.1), np.float32(0.1), "1e-1", "0.10"]
)
def test_radii_are_the_decimals_that_they_print_as(radius):
    """0.1 in float64 is a little more than one tenth; a radius of 0.100000 counts all the same."""
    assert certified_accuracy([row(0, "0.100000")], [radius]).tolist() == [1]
    assert certified_accuracy([row(0, "0.099999")], [radius]).tolist() == [0]


@pytest.mark.parametrize(
    ("radii", "words"),
    [
        ([0, -0.5], "radii must be finite and not negative, got -0.5"),
        ([float("nan")], "radii must be finite and not negative, got nan"),
        (["sNaN"], "radii must be finite and not negative, got sNaN"),
        ([float("inf")], "radii must be finite and not negative, got inf"),
        (["x"], "radii must be numbers, got 'x'"),
        ([None], "radii must be numbers, got None"),
    ],
)
def test_wrong_radii(radii, words):
    for call in (certified_accuracy, accuracy_band):
        with pytest.raises(ValueError) as caught:
            call(ROWS, radii)
        assert str(caught.value) == words
    with pytest.raises(ValueError) as caught:
        table([CertificateFile("a", None, ROWS)], radii)
    assert str(caught.value) == words


@pytest.mark.parametrize("radii", [0.5, "0.5", 1, Decimal("0.5")])
def test_radii_are_a_sequence(radii):
    with pytest.raises(TypeError) as caught:
        certified_accuracy(ROWS, radii)
    assert str(caught.value) == f"radii must be a sequence of numbers, got {radii!r}"


def test_no_rows():
    for call in (
        lambda: certified_accuracy([], [0]),
        lambda: average_certified_radius([]),
        lambda: abstention_rate([]),
        lambda: accuracy_band([], [0]),
    ):
        with pytest.raises(ValueError) as caught:
            call()
        assert str(caught.value) == "rows must not be empty"


def test_average_certified_radius():
    assert average_certified_radius(ROWS) == pytest.approx((0.5 + 0.25 + 0.499999 + 1.4) / 8)
    assert average_certified_radius(ROWS[2:4]) == 0
    assert type(average_certified_radius(ROWS)) is float


def test_the_average_radius_is_the_area_under_the_curve():
    radii = np.arange(0, 1.4, 1e-3) + 5e-4
    area = certified_accuracy(ROWS, radii.round(6)).sum() * 1e-3
    assert average_certified_radius(ROWS) == pytest.approx(area, abs=1e-3)


def test_abstention_rate():
    assert abstention_rate(ROWS) == 1 / 8
    assert abstention_rate(ROWS[:3]) == 0
    assert abstention_rate(iter(ROWS)) == 1 / 8


# --- the band


def test_the_band_is_that_of_massart():
    width = math.sqrt(math.log(2 / 0.05) / (2 * 8))
    lower, upper = accuracy_band(ROWS, [0, 0.5, 1.31])
    assert lower == pytest.approx([6 / 8 - width, 0, 0])
    assert upper == pytest.approx([1, 2 / 8 + width, width])
    wider = math.sqrt(math.log(2 / 0.001) / (2 * 8))
    assert accuracy_band(ROWS, [0], 0.999)[0] == pytest.approx([6 / 8 - wider])


def test_alpha_lowers_the_lower_edge_alone():
    lower, upper = accuracy_band(ROWS, [0, 0.1], confidence=0.5)
    for alpha in (0.001, 0.1):
        below, above = accuracy_band(ROWS, [0, 0.1], confidence=0.5, alpha=alpha)
        assert below == pytest.approx(lower - alpha)
        assert above == pytest.approx(upper)


@pytest.mark.parametrize("confidence", [0, 1, -0.1, 1.5, float("nan")])
def test_wrong_confidence(confidence):
    for call in (
        lambda: accuracy_band(ROWS, [0], confidence),
        lambda: table([CertificateFile("a", None, ROWS)], [0], confidence=confidence),
    ):
        with pytest.raises(ValueError) as caught:
            call()
        assert str(caught.value) == f"confidence must be between 0 and 1, got {confidence!r}"


@pytest.mark.parametrize("alpha", [1, -0.001, float("nan")])
def test_wrong_alpha(alpha):
    with pytest.raises(ValueError) as caught:
        accuracy_band(ROWS, [0], alpha=alpha)
    assert str(caught.value) == f"alpha must be at least 0 and below 1, got {alpha!r}"


def test_the_band_holds_as_often_as_it_says():
    """A population in which 80% are right, with exponential radii; bands from 60 examples.

    The band must hold at every radius at once. It fails in at most 10% of all cases (DKW), and
    here in more than 7% (9.0% of 200,000 simulated ones). Of 1,000 bands, more than 145 or fewer
    than 40 failures are an alarm: with those chances, false with probability below 1e-4.
    """
    rng = np.random.default_rng(10)
    m, confidence, failures = 60, 0.9, 0
    for _ in range(1000):
        correct = rng.random(m) < 0.8
        micro = np.floor(rng.exponential(0.5, m) * 1e6).astype(int)
        rows = [
            Row(i, 0, 0 if right else 1, Decimal(int(u)).scaleb(-6), bool(right), 0.1)
            for i, (u, right) in enumerate(zip(micro, correct, strict=True))
        ]
        # The empirical curve falls just after each radius: both sides of each jump, and 0.
        jumps = np.concatenate([[0], micro, micro + 1])
        lower, upper = accuracy_band(rows, [Decimal(int(u)).scaleb(-6) for u in jumps], confidence)
        truth = 0.8 * np.exp(-jumps / 1e6 / 0.5)
        failures += not np.all((lower <= truth) & (truth <= upper))
    assert stats.binom.sf(145, 1000, 0.10) < 5e-5 and stats.binom.cdf(39, 1000, 0.07) < 5e-5
    assert 40 <= failures <= 145


# --- tables


FILES = [
    CertificateFile("a.tsv", manifest(indices=list(range(8))), ROWS),
    CertificateFile("long|er.tsv", manifest(sigma="1/3"), ROWS[:2]),
    CertificateFile("log", None, ROWS[:3]),
]


def test_the_table():
    assert table(FILES, [0, 0.5]) == (
        "file         sigma        m    r=0  r=0.5    ACR  abstain\n"
        "a.tsv         0.25        8  0.750  0.250  0.331    0.125\n"
        "long|er.tsv    1/3  2 of 20  1.000  0.500  0.375    0.000\n"
        "log                       3  0.667  0.333  0.250    0.000"
    )


def test_the_markdown_table():
    assert table(FILES, ["0", "0.5"], "markdown") == (
        "| file         | sigma |       m |   r=0 | r=0.5 |   ACR | abstain |\n"
        "| ------------ | ----: | ------: | ----: | ----: | ----: | ------: |\n"
        "| a.tsv        |  0.25 |       8 | 0.750 | 0.250 | 0.331 |   0.125 |\n"
        "| long\\|er.tsv |   1/3 | 2 of 20 | 1.000 | 0.500 | 0.375 |   0.000 |\n"
        "| log          |       |       3 | 0.667 | 0.333 | 0.250 |   0.000 |"
    )


def test_the_csv_table():
    found = list(csv.reader(io.StringIO(table(FILES, [0, 0.5], "csv"))))
    assert found == [
        ["file", "sigma", "m", "missing", "r=0", "r=0.5", "ACR", "abstain"],
        ["a.tsv", "0.25", "8", "0", "0.75", "0.25", "0.331249875", "0.125"],
        ["long|er.tsv", "1/3", "2", "18", "1.0", "0.5", "0.375", "0.0"],
        ["log", "", "3", "0", str(2 / 3), str(1 / 3), "0.25", "0.0"],
    ]
    assert not table(FILES, [0], "csv").endswith("\n")
    assert "\r" not in table(FILES, [0], "csv")


def test_the_json_table():
    text = table(FILES, [0, 0.5], "json", confidence=0.9)
    assert text.startswith('[\n  {\n    "file": "a.tsv",\n')
    found = json.loads(text)
    assert found[0] == {
        "file": "a.tsv",
        "sigma": "0.25",
        "m": 8,
        "missing": 0,
        "certified_accuracy": {"0": 0.75, "0.5": 0.25},
        "average_certified_radius": 0.331249875,
        "abstention_rate": 0.125,
        "half_width": math.sqrt(math.log(20) / 16),
        "confidence": 0.9,
    }
    assert [record["sigma"] for record in found] == ["0.25", "1/3", None]
    assert [record["missing"] for record in found] == [0, 18, 0]
    assert "half_width" not in json.loads(table(FILES, [0], "json"))[0]


def test_a_band_takes_rows_one_by_one():
    once = accuracy_band(iter(ROWS), [0, 0.5])
    np.testing.assert_array_equal(once, accuracy_band(ROWS, [0, 0.5]))


def test_the_half_width_of_the_band_can_be_shown():
    width = table(FILES[:1], [0], "csv", confidence=0.95).splitlines()[1].rsplit(",", 1)[1]
    assert float(width) == pytest.approx(math.sqrt(math.log(40) / 16), rel=1e-15)
    width = math.sqrt(math.log(40) / 16)
    assert table(FILES[:1], [0], confidence=0.95).splitlines() == [
        "file   sigma  m    r=0    ACR  abstain   ±95%",
        f"a.tsv   0.25  8  0.750  0.331    0.125  {width:.3f}",
    ]
    for confidence, words in ((0.95, "±95%"), (0.999, "±99.9%"), (0.9, "±90%"), (0.07, "±7%")):
        for format in ("table", "markdown", "csv"):
            first = table(FILES[:1], [0], format, confidence).splitlines()[0]
            assert first.rstrip(" |").endswith(words)


def test_the_latex_table():
    widths = [f"{math.sqrt(math.log(40) / (2 * m)):.3f}" for m in (8, 2, 3)]
    assert table(FILES, ["0"], "latex", confidence=0.95).splitlines() == [
        r"\begin{tabular}{lrrrrrr}",
        r"\hline",
        r"file & sigma & m & r=0 & ACR & abstain & $\pm$95\% \\",
        r"\hline",
        rf"a.tsv & 0.25 & 8 & 0.750 & 0.331 & 0.125 & {widths[0]} \\",
        rf"long|er.tsv & 1/3 & 2 of 20 & 1.000 & 0.375 & 0.000 & {widths[1]} \\",
        rf"log &  & 3 & 0.667 & 0.250 & 0.000 & {widths[2]} \\",
        r"\hline",
        r"\end{tabular}",
    ]
    odd = CertificateFile("a_b&50%\\#$~^{}.tsv", None, ROWS)
    line = table([odd], [0], "latex").splitlines()[4]
    name = r"a\_b\&50\%\textbackslash{}\#\$\textasciitilde{}\textasciicircum{}\{\}.tsv"
    assert line.split(" & ")[0] == name


def test_plain_rows():
    assert summary(FILES[:1], [0, 0.5], 0.95) == [
        {
            "file": "a.tsv",
            "sigma": "0.25",
            "m": 8,
            "missing": 0,
            "r=0": 0.75,
            "r=0.5": 0.25,
            "ACR": 0.331249875,
            "abstain": 0.125,
            "half_width": pytest.approx(math.sqrt(math.log(40) / 16)),
        }
    ]
    assert [row["m"] for row in summary(FILES)] == [8, 2, 3]
    assert "half_width" not in summary(FILES)[0]


# --- what was not asked is not zero


AT = {"name": "at", "radii": ["0.25", "0.5"]}
DECIDED = CertificateFile(
    "at.tsv",
    manifest(method=AT, indices=[0, 1, 2, 3]),
    (row(0, "0.500000"), row(1, "0.250000"), row(2, "0.25", False), row(3, "0", False, True)),
)


def test_radii_that_were_not_asked_are_not_zero():
    found = certified_accuracy(DECIDED, ["0.25", "0.5", "0.50", "0", "0.3", "2"])
    assert found[:3].tolist() == [0.5, 0.25, 0.25] and np.isnan(found[3:]).all()
    lower, upper = accuracy_band(DECIDED, ["0.25", "2"])
    assert np.isnan([lower[1], upper[1]]).all() and lower[0] <= 0.5 <= upper[0]
    with pytest.raises(ValueError) as caught:
        average_certified_radius(DECIDED)
    assert str(caught.value) == (
        "rows must hold the largest radii for an average: only 0.25, 0.5 were asked, so that it is "
        "at least 0.1875"
    )
    assert abstention_rate(DECIDED) == 0.25


def test_tables_say_what_was_not_asked():
    assert table([DECIDED, FILES[2]], ["0", "0.25", "2"]).splitlines() == [
        "file    sigma  m    r=0  r=0.25    r=2     ACR  abstain",
        "at.tsv   0.25  4    n/a   0.500    n/a  ≥0.188    0.250",
        "log            3  0.667   0.667  0.000   0.250    0.000",
    ]
    line = table([DECIDED], ["0", "0.25"], "csv").splitlines()[1]
    assert line == "at.tsv,0.25,4,0,n/a,0.5,n/a,0.25"
    (said,) = json.loads(table([DECIDED], ["0", "0.25"], "json"))
    assert said["certified_accuracy"] == {"0": None, "0.25": 0.5}
    assert said["average_certified_radius"] is None
    assert said["average_certified_radius_at_least"] == 0.1875 and said["asked"] == ["0.25", "0.5"]
    assert summary([DECIDED], ["0"])[0]["r=0"] is None is summary([DECIDED], ["0"])[0]["ACR"]
    assert "$\\geq$0.188" in table([DECIDED], ["0"], "latex")


def test_a_log_of_predictions_says_nothing_beyond_radius_0(tmp_path):
    path = tmp_path / "N_1000"
    path.write_text("idx\tlabel\tpredict\tcorrect\ttime\n0\t3\t3\t1\t0.1\n1\t3\t4\t0\t0.1\n")
    line = table([path], [0, 0.25]).splitlines()[1].split()
    assert line[1:] == ["2", "0.500", "n/a", "≥0.000", "0.000"]


# --- certificates in place of rows


class Certificate:
    def __init__(self, label, radius, **more):
        self.label, self.radius = label, radius
        self.__dict__.update(more)


LABELS = [1, 1, 0, 0, 1, 1, 1, 1]
CERTIFICATES = [Certificate(one.predict, float(one.radius)) for one in ROWS]


def test_certificates_in_place_of_rows():
    radii = [0, 0.1, 0.25, 0.5, 1.3]
    found = certified_accuracy(CERTIFICATES, radii, labels=LABELS)
    assert found.tolist() == certified_accuracy(ROWS, radii).tolist()
    assert average_certified_radius(CERTIFICATES, LABELS) == average_certified_radius(ROWS)
    assert abstention_rate(CERTIFICATES, LABELS) == abstention_rate(ROWS)
    band = accuracy_band(CERTIFICATES, radii, labels=LABELS)
    assert np.array_equal(band, accuracy_band(ROWS, radii))
    file = CertificateFile("a", None, ROWS)
    assert certified_accuracy(file, radii).tolist() == found.tolist()


def test_decisions_in_place_of_rows():
    """A decision knows the radii that were asked; of several, those that all have."""
    decisions = [
        Certificate(1, 0.5, radii=(0.25, 0.5), verdicts=(True, True)),
        Certificate(1, 0.25, radii=(0.25, 0.75), verdicts=(True, False)),
    ]
    found = certified_accuracy(decisions, [0, 0.25, 0.5], labels=[1, 1])
    assert found[1] == 1 and np.isnan(found[[0, 2]]).all()
    with pytest.raises(ValueError, match=r"only 0.25 were asked, so that it is at least 0.375"):
        average_certified_radius(decisions, [1, 1])


def test_labels_belong_to_certificates():
    for call, words in [
        (lambda: certified_accuracy(CERTIFICATES, [0]), "true class of all 8, got none"),
        (lambda: certified_accuracy(CERTIFICATES, [0], [1]), "true class of all 8, got 1"),
        (lambda: certified_accuracy(ROWS, [0], LABELS), "labels must be left out for rows"),
        (lambda: certified_accuracy([], [0], []), "rows must not be empty"),
    ]:
        with pytest.raises(ValueError) as caught:
            call()
        assert words in str(caught.value)


def test_examples_that_share_their_noise_have_no_band():
    with pytest.raises(ValueError) as caught:
        accuracy_band([row(3, "0.5"), row(3, "0.25")], [0])
    assert str(caught.value) == (
        "rows must be of different examples, each with noise of its own: 2 of them have idx 3"
    )
    shared = [Certificate(1, 0.5, seed=5, index=0) for _ in range(3)]
    with pytest.raises(ValueError, match="3 of them have seed 5 and index 0"):
        accuracy_band(shared, [0], labels=[1, 1, 1])
    apart = [Certificate(1, 0.5, seed=5, index=i) for i in range(3)]
    accuracy_band(apart, [0], labels=[1, 1, 1])
    accuracy_band([Certificate(1, 0.5, seed=s, index=0) for s in range(3)], [0], labels=[1] * 3)


def test_default_radii():
    assert DEFAULT_RADII == ("0", "0.25", "0.5", "0.75", "1", "1.5", "2")
    assert table(FILES) == table(FILES, DEFAULT_RADII, "table", None)


def test_equal_radii_are_shown_once():
    assert table(FILES, [0.5, "0.50", 0]).splitlines()[0].split()[3:-2] == ["r=0.5", "r=0"]


def test_tables_of_paths(tmp_path):
    path = tmp_path / "sigma_0.25.tsv"
    path.write_text(HEADER + LINE)
    path.with_suffix(".json").write_text(json.dumps(manifest(indices=[3])))
    for given in (path, str(path)):
        assert table([given], [0.95], "csv").splitlines()[1] == f"{path},0.25,1,0,1.0,0.951234,0.0"
    with pytest.raises(RecordError):
        table([tmp_path / "none.tsv"])


def test_labels_stand_in_the_place_of_files():
    labels = ["mine", "theirs", "old"]
    first = [line.split()[0] for line in table(FILES, [0], labels=labels).splitlines()]
    assert first == ["label", *labels]
    assert [row[0] for row in csv.reader(io.StringIO(table(FILES, [0], "csv", labels=labels)))] == [
        "label", *labels]  # fmt: skip
    found = json.loads(table(FILES, [0], "json", labels=labels))
    assert [(one["label"], one["file"]) for one in found] == [
        ("mine", "a.tsv"), ("theirs", "long|er.tsv"), ("old", "log")]  # fmt: skip
    assert [one["label"] for one in summary(FILES, [0], labels=labels)] == labels
    for call in (table, summary):
        with pytest.raises(ValueError, match="labels must name each of 3 files, got 2"):
            call(FILES, [0], labels=labels[:2])


def test_files_of_folders(tmp_path):
    for name in ("b/two.tsv", "b/one.tsv", "a.tsv", "b/one.json", "b/cohen.log"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    log, folder = tmp_path / "b" / "cohen.log", tmp_path / "b"
    found = find_files([log, tmp_path, str(folder)])
    assert [path.relative_to(tmp_path).as_posix() for path in found] == [
        "b/cohen.log", "a.tsv", "b/one.tsv", "b/two.tsv", "b/one.tsv", "b/two.tsv"]  # fmt: skip
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty: holds no certificate file \(\*\.tsv\)"):
        find_files([tmp_path / "empty"])


def test_wrong_tables():
    for arguments, words in [
        (
            (FILES, [0], "html"),
            "format must be one of table, markdown, latex, csv, json, got 'html'",
        ),
        (([], [0]), "files must not be empty"),
        (([CertificateFile("a.tsv", None, ())], [0]), "a.tsv: holds no certificates"),
    ]:
        with pytest.raises(ValueError) as caught:
            table(*arguments)
        assert str(caught.value) == words
