"""The figures show the numbers that they are given, in one style, the same bytes every time."""

import dataclasses
import io
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from scipy.stats import norm

from rslib import certificates, evaluation, plotting
from rslib.records import CertificateFile, Row


@pytest.fixture(autouse=True)
def style():
    with mpl.rc_context():
        plotting.use_style()
        yield
    plt.close("all")


def rows():
    """Eight examples: radii 0.1 to 0.7, one wrong, one abstention."""
    made = [Row(i, 3, 3, Decimal(i) / 10, True, 0.1) for i in range(1, 7)]
    made.append(Row(7, 3, 5, Decimal("0.7"), False, 0.1))
    made.append(Row(8, 3, -1, Decimal(0), False, 0.1))
    return tuple(made)


def certificate_file(sigma="0.25"):
    manifest = {"sigma": sigma, "n": 1000, "alpha": "0.001"}
    return CertificateFile(Path(f"sigma_{sigma}.tsv"), manifest, rows())


def half_planes(points):
    """Class 0 left of 0, class 2 right of it; class 1 occurs nowhere."""
    return np.where(points[..., 0] < 0, 0, 2)


@pytest.mark.parametrize("module", ["rslib.plotting", "rslib.exercises.ch08"])
def test_the_theory_chapters_load_no_torch(module):
    code = f"import {module}, sys; print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.stdout == "False\n", answer.stderr


@pytest.mark.parametrize("format", ["png", "svg"])
def test_the_same_figure_is_the_same_file(format):
    def draw():
        plotting.use_style()
        figure = plotting.normal_density_and_distribution()
        stream = io.BytesIO()
        figure.savefig(stream, format=format, metadata={"Date": None} if format == "svg" else None)
        return stream.getvalue()

    assert draw() == draw()


def test_lines_differ_in_colour_and_in_dashes_on_opaque_white():
    properties = list(mpl.rcParams["axes.prop_cycle"])
    assert len({p["color"] for p in properties}) == len(properties) == 7
    assert len({str(p["linestyle"]) for p in properties}) == len(properties)
    for name in ("figure.facecolor", "axes.facecolor", "savefig.facecolor"):
        assert to_rgb(mpl.rcParams[name]) == (1.0, 1.0, 1.0)
    assert mpl.rcParams["savefig.transparent"] is False


def test_the_style_undoes_what_came_before():
    mpl.rcParams["lines.linewidth"], mpl.rcParams["axes.facecolor"] = 9.0, "black"
    plotting.use_style()
    assert mpl.rcParams["lines.linewidth"] == 1.8
    assert mpl.rcParams["axes.facecolor"] == "white"


def test_a_class_keeps_its_colour_when_another_is_missing():
    _, (first, second) = plt.subplots(1, 2)
    plotting.decision_regions(first, np.array([[0, 1], [2, 2]]), (0, 2, 0, 2), 3)
    plotting.decision_regions(second, np.array([[2, 2], [2, 2]]), (0, 2, 0, 2), 3)
    colours = [ax.images[0].to_rgba(ax.images[0].get_array()) for ax in (first, second)]
    assert np.array_equal(colours[0][1, 1], colours[1][0, 0])
    assert not np.array_equal(colours[0][0, 0], colours[0][1, 1])
    assert list(first.images[0].get_extent()) == [0, 2, 0, 2]
    assert first.images[0].origin == "lower"


def test_figure1_draws_regions_level_sets_bars_and_bounds():
    figure = plotting.figure1(
        half_planes, (0.5, -1.0), 0.25, [0.1, 0.0, 0.9], p_a_lower=0.8, p_b_upper=0.2
    )
    left, right = figure.axes
    labels = left.images[0].get_array()
    assert left.images[0].get_extent() == pytest.approx((-0.35, 1.35, -1.85, -0.15))
    assert labels[0, 0] == 0  # left of the border, though x lies right of it
    assert labels[0, -1] == 2
    circles = [p for p in left.patches if isinstance(p, plt.Circle)]
    assert [c.radius for c in circles] == pytest.approx([0.25, 0.5, 0.75])
    assert {c.center for c in circles} == {(0.5, -1.0)}
    assert [bar.get_height() for bar in right.patches] == [0.1, 0.0, 0.9]
    heights = [collection.get_segments()[0][0, 1] for collection in right.collections]
    assert heights == [0.2, 0.2, 0.8]  # the upper bound at both rivals, the lower at the top
    assert [text.get_text() for text in right.get_xticklabels()] == [
        "class 0",
        "class 1",
        "class 2",
    ]


def test_figure1_takes_names_and_a_width():
    figure = plotting.figure1(
        half_planes,
        (0, 0),
        1.0,
        [0.6, 0.4],
        p_a_lower=0.5,
        p_b_upper=0.5,
        class_names=["cat", "dog"],
        half_width=2.0,
    )
    left, right = figure.axes
    assert list(left.images[0].get_extent()) == [-2, 2, -2, 2]
    assert [text.get_text() for text in right.get_xticklabels()] == ["cat", "dog"]


def test_the_normal_curves_are_the_density_and_the_distribution_function():
    left, right = plotting.normal_density_and_distribution().axes
    t, density = left.lines[0].get_data()
    assert np.allclose(density, np.exp(-(t**2) / 2) / np.sqrt(2 * np.pi))
    t, distribution = right.lines[0].get_data()
    assert np.allclose(distribution, norm.cdf(t))
    assert "0.841" in left.texts[0].get_text()
    assert "0.841" in right.texts[0].get_text()


def test_the_curve_is_the_certified_accuracy_with_its_band():
    _, ax = plt.subplots()
    plotting.certified_accuracy_curve(ax, [certificate_file()])
    radii, accuracy = ax.lines[0].get_data()
    assert ax.lines[0].get_drawstyle() == "steps-pre"
    assert list(accuracy[:7]) == [6 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8]
    assert list(radii[:7]) == [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    assert accuracy[-1] == 0
    assert radii[-1] > 0.7
    lower, upper = evaluation.accuracy_band(rows(), [0.3], confidence=0.95)
    band = ax.collections[0].get_paths()[0].vertices
    heights = band[np.isclose(band[:, 0], 0.3)][:, 1]
    assert np.isclose(heights, lower[0]).any()
    assert np.isclose(heights, upper[0]).any()
    assert ax.get_legend().get_texts()[0].get_text() == r"$\sigma$ = 0.25"


def test_the_dot_marks_the_largest_radius_that_the_samples_can_give():
    _, ax = plt.subplots()
    plotting.certified_accuracy_curve(ax, [certificate_file("0.5")])
    (dot,) = [line for line in ax.lines if line.get_marker() == "o"]
    assert dot.get_xdata()[0] == certificates.max_certified_radius(1000, 0.001, 0.5)
    assert dot.get_color() == ax.lines[0].get_color()


def test_band_dot_labels_and_radii_are_the_callers_choice():
    _, ax = plt.subplots()
    plotting.certified_accuracy_curve(
        ax,
        [certificate_file(), list(rows())],
        ["ours", "theirs"],
        radii=[0.0, 0.25],
        band=False,
        max_radius=False,
    )
    assert len(ax.lines) == 2
    assert len(ax.collections) == 0
    assert list(ax.lines[1].get_ydata()) == [6 / 8, 4 / 8]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["ours", "theirs"]


def test_rows_without_a_manifest_get_a_place_as_their_label_and_no_dot():
    _, ax = plt.subplots()
    plotting.certified_accuracy_curve(ax, [rows(), CertificateFile(Path("log"), None, rows())])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["file 1", "file 2"]
    assert len(ax.lines) == 2


def test_only_abstentions_can_be_drawn():
    _, ax = plt.subplots()
    plotting.certified_accuracy_curve(ax, [[Row(0, 3, -1, Decimal(0), False, 0.1)]])
    assert list(ax.lines[0].get_data()[0]) == [0.0, 1.0]
    assert list(ax.lines[0].get_data()[1]) == [0.0, 0.0]


@pytest.mark.parametrize(
    ("files", "labels", "message"),
    [
        ([], None, "files must hold at least one certificate file"),
        ([rows(), []], None, r"files\[1\] must have rows, got none"),
        ([rows()], ["a", "b"], r"labels must have one entry a file \(1\), got 2"),
    ],
)
def test_bad_arguments_are_named(files, labels, message):
    _, ax = plt.subplots()
    with pytest.raises(ValueError, match=message):
        plotting.certified_accuracy_curve(ax, files, labels)


def asked_file():
    """A run that was asked about two radii: nothing is known of others."""
    manifest = {"sigma": "0.5", "n": 1000, "alpha": "0.001",
                "method": {"name": "at", "radii": ["0.1", "0.4"]}}  # fmt: skip
    return CertificateFile(Path("at.tsv"), manifest, rows())


def test_radii_that_were_not_asked_are_not_drawn():
    _, ax = plt.subplots()
    plotting.certified_accuracy_curve(ax, [asked_file(), certificate_file()], max_radius=False)
    asked, whole = ax.lines
    assert list(asked.get_xdata()) == [0.1, 0.4] and list(asked.get_ydata()) == [6 / 8, 3 / 8]
    assert asked.get_marker() == "." and whole.get_marker() == "None"
    _, ax = plt.subplots()
    plotting.certified_accuracy_curve(ax, [asked_file()], radii=[0.1, 0.2], max_radius=False)
    assert ax.lines[0].get_ydata()[0] == 6 / 8 and np.isnan(ax.lines[0].get_ydata()[1])


@pytest.mark.parametrize(
    ("kind", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")]
)
def test_a_curve_in_a_file(tmp_path, kind, start, monkeypatch):
    """The same bytes twice, whatever the environment says of windows and styles."""
    monkeypatch.setenv("MPLBACKEND", "tkagg")
    mpl.rcParams["lines.linewidth"] = 9
    written = []
    for name in ("one", "two"):
        out = tmp_path / "new" / f"{name}.{kind}"
        plotting.write_curve([certificate_file(), asked_file()], out)
        written.append(out.read_bytes())
    assert written[0] == written[1] and written[0].startswith(start)
    assert mpl.rcParams["lines.linewidth"] == 9 and not plt.get_fignums()
    plotting.write_curve([certificate_file()], out, confidence=None)
    assert len(out.read_bytes()) < len(written[0])


def test_a_curve_names_what_tells_files_apart(tmp_path, monkeypatch):
    seen = {}

    def draw(ax, files, labels, **how):
        seen["labels"] = labels
        ax.plot([0], [0])

    monkeypatch.setattr(plotting, "certified_accuracy_curve", draw)
    log, out = CertificateFile(Path("cohen.log"), None, rows()), tmp_path / "a.png"
    plotting.write_curve([certificate_file(), asked_file(), log], out)
    assert seen["labels"] == [r"$\sigma$ = 0.25", r"$\sigma$ = 0.5", "cohen.log"]
    plotting.write_curve([certificate_file(), certificate_file()], out)
    assert seen["labels"] == [r"$\sigma$ = 0.25, sigma_0.25.tsv"] * 2
    plotting.write_curve([log], out, ["Cohen"])
    assert seen["labels"] == ["Cohen"]


def test_a_curve_that_cannot_be_written(tmp_path):
    for files, out, labels, words in [
        ([certificate_file()], "curve.jpg", None, r"out must end in .png, .svg or .pdf, got .*jpg"),
        ([certificate_file()], "a.png", ["a", "b"], r"labels must have one entry a file \(1\)"),
        ([CertificateFile(Path("b.tsv"), None, ())], "a.png", None, "b.tsv: holds no certificates"),
        ([], "a.png", None, "files must hold at least one certificate file"),
        ([tmp_path / "none.tsv"], "a.png", None, "none"),
    ]:
        with pytest.raises(ValueError, match=words):
            plotting.write_curve(files, tmp_path / out, labels)
        assert not list(tmp_path.iterdir())


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Writes a curve; gives its legend's texts and whether these names, as they are, look alike."""
    axes, curve = [], plotting.certified_accuracy_curve

    def draw(ax, *arguments, **options):
        axes.append(ax)
        curve(ax, *arguments, **options)

    def pixels(figure):
        file = io.BytesIO()
        figure.savefig(file, format="png")
        return file.getvalue()

    def write(files, labels, names):
        plotting.write_curve(files, tmp_path / "a.svg", labels)
        texts = axes[-1].get_legend().get_texts()
        before = pixels(axes[-1].figure)
        for text, name in zip(texts, names, strict=True):
            text.set(parse_math=False, text=name)
        return before == pixels(axes[-1].figure)

    monkeypatch.setattr(plotting, "certified_accuracy_curve", draw)
    return write


@pytest.mark.parametrize(
    "label",
    [r"$\bad{$ a", "$x$", "$5 or $6", r"a\$b", r"a\b", "_hidden", "_", "", "__$a$", "5 $", "$"],
)
def test_labels_are_names_and_drawn_as_they_are(written, label):
    """Dollars made mathematics of them, which failed or not, and an underscore hid them."""
    labels = [label, "other"]
    assert written([certificate_file(), asked_file()], labels, labels)


def test_names_of_files_are_no_mathematics(written):
    log = CertificateFile(Path("_$\\bad{$.log"), None, rows())
    assert written([log], None, ["_$\\bad{$.log"])
    twice = [dataclasses.replace(certificate_file(), path=Path(f"$\\bad{{{i}$")) for i in "ab"]
    assert not written(twice, None, ["", ""])  # sigma is a letter of mathematics: it is drawn


def test_the_legend_keeps_what_was_drawn_before():
    _, ax = plt.subplots()
    ax.plot([0, 1], [0, 1], label="before")
    ax.plot([0, 1], [0, 1], label="_aside")
    plotting.certified_accuracy_curve(ax, [certificate_file()], ["_mine"])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["before", "_mine"]
    colours = [line.get_color() for line in ax.get_legend().get_lines()]
    assert colours == [ax.lines[0].get_color(), ax.lines[2].get_color()]
