"""The same votes at another alpha: exact from counts, within bounds from printed radii."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from test_records import manifest

from rslib import confidence, lattice
from rslib.audit import recertify
from rslib.certificates import certified_radius
from rslib.evaluation import certified_accuracy
from rslib.records import CertificateFile, Row, read_certificates

DATA = Path(__file__).resolve().parent.parent / "data/certify"


@pytest.mark.parametrize(
    "name", ["digits/cnn/sigma_0.25.tsv", "cifar10-jpeg/wide-fixed/sigma_0.5.tsv"]
)
def test_at_its_own_alpha_a_file_stays_as_it_is(name):
    file = read_certificates(DATA / name)
    found = recertify(file, file.manifest["alpha"])
    assert found.exact and found.low == found.high == file.rows


def test_from_counts():
    file = read_certificates(DATA / "digits/cnn/sigma_0.25.tsv")
    found = recertify(file, "0.05")
    for row, again in zip(file.rows, found.low, strict=True):
        label = max(row.selection, key=row.selection.get)
        bound = confidence.lower_bound(row.estimation.get(label, 0), 100_000, 0.05)
        exact = max(0.0, float(certified_radius(bound, 0.25)))
        assert 0 <= exact - float(again.radius) < 1.1e-6
        assert again.radius >= row.radius and again.correct == (again.predict == again.label)
    assert sum(row.predict == -1 for row in found.low) <= sum(r.predict == -1 for r in file.rows)
    assert recertify(file, "0.0001").low[0].radius < file.rows[0].radius


def two_rows(**changes):
    rows = (
        Row(0, 7, 7, Decimal("0.3"), True, 0.1, {7: 100}, {3: 20, 7: 980}),
        Row(1, 7, -1, Decimal("0"), False, 0.1, {7: 60, 3: 40}, {3: 30, 7: 30}),
    )
    return CertificateFile(Path("a.tsv"), manifest(**changes), rows)


def test_what_gave_up_stays_an_abstention():
    found = recertify(two_rows(method={"name": "early-abstain"}), "0.05")
    assert [row.predict for row in found.low] == [7, -1]


@pytest.mark.parametrize(
    "method", [{"name": "at", "radii": ["0"]}, {"name": "radius-loss", "loss": "0.05"}]
)
def test_bounds_that_belong_to_their_alpha_are_refused(method):
    with pytest.raises(ValueError, match="votes of a run without a stopping rule"):
        recertify(two_rows(method=method), "0.05")


def test_two_sided_files_use_both_bounds():
    file = two_rows(two_sided=True)
    file = replace(file, rows=file.rows[:1])
    lower, upper = confidence.runner_up_bounds([0, 0, 0, 20, 0, 0, 0, 980, 0, 0], 7, 0.01)
    exact = float(certified_radius(lower, 0.25, upper))
    assert 0 <= exact - float(recertify(file, "0.01").low[0].radius) < 1.1e-6


@pytest.mark.parametrize("sigma", [0.12, 0.5, 1.0])
def test_from_printed_radii_the_truth_lies_between(sigma):
    """A log at alpha = 0.01 of known votes, certified again at 0.001."""
    rng = np.random.default_rng(8)
    strays = np.concatenate([np.zeros(30, int), rng.integers(0, 49_000, 170)])
    n, old, new = 100_000, lattice.radii_of(100_000, "0.01"), lattice.radii_of(100_000, "0.001")
    rows = tuple(
        Row(i, 1, 1, Decimal(f"{sigma * old[f]:.3}"), True, 0.1) for i, f in enumerate(strays)
    )
    log = CertificateFile(Path("log"), None, rows)
    found = recertify(log, "0.001", sigma, n, "0.01")
    truth = [sigma * new[f] for f in strays]
    for low, high, exact in zip(found.low, found.high, truth, strict=True):
        assert float(low.radius) <= exact * (1 + 1e-12) and exact <= float(high.radius) * (
            1 + 1e-12
        )
        assert float(high.radius) - float(low.radius) < 0.03
    assert not found.exact and found.unknown == 0
    radii = [0.1 * sigma, sigma, 3 * sigma]
    low, high = certified_accuracy(found.low, radii), certified_accuracy(found.high, radii)
    exact = np.mean(np.array(truth)[:, None] >= radii, axis=0)
    assert np.all(low <= exact) and np.all(exact <= high)


def test_a_radius_that_no_votes_give_is_said():
    rows = (
        Row(0, 1, 1, Decimal("1.96"), True, 0.1),
        Row(1, 1, 1, Decimal("1.94"), True, 0.1),
        Row(2, 1, -1, Decimal("0.0"), False, 0.1),
    )
    found = recertify(CertificateFile(Path("log"), None, rows), "0.001", "0.5", 100_000, "0.01")
    assert found.unknown == 1 and not found.exact
    assert [row.predict for row in found.low] == [1, -1, -1]
    assert [row.predict for row in found.high] == [1, 1, -1]


def test_what_is_refused():
    log = CertificateFile(Path("log"), None, (Row(0, 1, 1, Decimal("1.96"), True, 0.1),))
    with pytest.raises(ValueError, match="sigma, n and made_with must be given for a log"):
        recertify(log, "0.001", "0.5")
    with pytest.raises(ValueError, match="alpha must lie between 0 and 1, got 0"):
        recertify(log, 0)
    with pytest.raises(ValueError, match="must hold radii, not predictions"):
        recertify(replace(log, asked=(Decimal(0),)), "0.001", "0.5", 100, "0.01")
