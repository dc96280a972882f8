"""SmoothedClassifier: Algorithm 1 as published, and every bad input refused before any work."""

import copy
import math
import pickle
from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse
import torch
from half_space import SHAPE, X, half_space, several, smoothed
from scipy.stats import norm

import rslib
from rslib import certificates, confidence, decisions, sequential
from rslib.decisions import ABSTAIN, Certificate
from rslib.engine import Plan
from rslib.noise import Purpose
from rslib.smoothing import SmoothedClassifier


def test_exported_from_the_package():
    assert rslib.SmoothedClassifier is SmoothedClassifier
    assert rslib.Certificate is Certificate
    assert rslib.ABSTAIN == ABSTAIN == -1


def test_certificate_follows_algorithm_1():
    c = smoothed().certify(X, n0=50, n=4000, alpha=0.01, index=7)
    assert sum(c.selection_counts) == 50 and sum(c.counts) == 4000
    assert c.label == 0 == int(np.argmax(c.selection_counts))
    exact = confidence.lower_bound(c.counts[0], 4000, 0.01)
    assert c.p_a_lower == exact - c.total_variation
    radius = float(certificates.certified_radius(c.p_a_lower, 0.25))
    assert 0 < radius - c.radius < 2e-6
    assert c.p_b_upper is None and not c.two_sided
    assert (c.n0, c.n, c.alpha, c.sigma, c.noise, c.step) == (
        50, 4000, 0.01, Fraction(1, 4), "grid", Fraction(1, 16))  # fmt: skip


def test_true_radius_of_a_half_space():
    """The half-space lies 0.25 away: no certificate may reach further, and this one nearly does.

    Rounding to the grid moves the boundary by half a step, so the exact figure is for 0.28125.
    """
    c = smoothed().certify(X, n=100_000)
    boundary = 0.5 - 0.25 + 0.5 / 16
    assert boundary - 0.01 < c.radius < boundary


def test_selection_and_estimation_noise_are_independent_draws():
    g = smoothed()
    streams = {p: g.counts(X, 1000, p).tolist() for p in Purpose}
    assert len({tuple(v) for v in streams.values()}) == len(Purpose)
    c = g.certify(X, n0=1000, n=1000)
    assert list(c.selection_counts) == streams[Purpose.SELECTION]
    assert list(c.counts) == streams[Purpose.ESTIMATION]


def test_the_selection_alone_picks_the_class():
    """Where one selection sample picks the weaker class, nothing is certified for the other."""
    g = smoothed(lambda x: half_space(x - 0.25))
    certificates_of_1 = 0
    for index in range(20):
        c = g.certify(X, n0=1, n=2000, alpha=0.01, index=index)
        picked = int(np.argmax(c.selection_counts))
        assert c.counts[0] > 1000
        bound = confidence.lower_bound(c.counts[picked], 2000, 0.01)
        assert c.p_a_lower == bound - c.total_variation
        assert c.label == (0 if picked == 0 and c.p_a_lower > 0.5 else ABSTAIN)
        certificates_of_1 += picked == 1
    assert 2 <= certificates_of_1 <= 18  # binomial: outside with probability below 1e-4


def test_two_sided_uses_the_runner_up():
    c = smoothed().certify(X, n=4000, alpha=0.01, two_sided=True)
    low, high = confidence.runner_up_bounds(np.array(c.counts), 0, 0.01)
    assert c.p_a_lower == low - c.total_variation
    assert c.p_b_upper == min(1, high + c.total_variation)
    radius = float(certificates.certified_radius(c.p_a_lower, 0.25, c.p_b_upper))
    assert 0 < radius - c.radius < 2e-6
    assert c.two_sided


def test_two_sided_certifies_a_plurality():
    """Below one half the one-sided form must abstain; the runner-up bound need not."""

    def thirds(x):
        u = x.flatten(1)[:, 0]
        scores = torch.stack([(u - 0.5).abs() < 0.13, u <= 0.37, u >= 0.63], dim=1)
        return scores.float()

    one = smoothed(thirds).certify(X, n=20_000)
    two = smoothed(thirds).certify(X, n=20_000, two_sided=True)
    assert max(one.counts) < 10_000
    assert (one.label, one.radius) == (ABSTAIN, 0.0)
    assert two.label == 0 and two.radius > 0.005


def test_abstains_on_a_coin():
    """Half a grid cell from the boundary the probability is 0.55: 100 samples do not show it."""
    c = smoothed(lambda x: half_space(x - 0.25)).certify(X, n=100, index=1)
    assert c.label == ABSTAIN and c.radius == 0.0
    assert "Abstains" in str(c)


def test_predict():
    assert smoothed().predict(X) == 0
    coin = smoothed(lambda x: half_space(x - 0.25 - 1 / 32))
    assert coin.predict(X, n=200) == ABSTAIN


def test_predict_level_is_alpha():
    """All n answers alike give the p-value 2^(1-n): alpha on either side of it decides."""
    sure = smoothed(lambda x: torch.eye(3)[torch.zeros(len(x), dtype=int)])
    assert sure.predict(X, n=10, alpha=2.0**-9 * 1.001) == 0
    assert sure.predict(X, n=10, alpha=2.0**-9 * 0.999) == ABSTAIN


def test_draws_do_not_depend_on_batch_size_or_order():
    a = smoothed(plan=Plan("callable", rows=7))
    b = smoothed(plan=Plan("callable", rows=500))
    first = a.certify(X, n=3001, index=5)
    b.certify(X, n=999, index=4)
    assert b.certify(X, n=3001, index=5) == first
    assert a.certify(X, n=3001, index=6) != first
    assert smoothed(seed=1).certify(X, n=3001, index=5).counts != first.counts


def test_numpy_and_torch_inputs_agree():
    assert smoothed().certify(X.numpy(), n=500) == smoothed().certify(X.double(), n=500)


def test_everything_the_same_class_gives_the_largest_radius_n_allows():
    sure = smoothed(lambda x: torch.eye(3)[torch.zeros(len(x), dtype=int)])
    c = sure.certify(X, n=1000)
    limit = float(certificates.max_certified_radius(1000, 0.001, 0.25))
    assert 0 < limit - c.radius < 2e-6


def test_the_samplers_error_is_taken_off(monkeypatch):
    """With a total variation of 0.01, far above the true one, every bound moves by it."""
    g = smoothed()
    monkeypatch.setattr(type(g.noise), "total_variation", lambda self, d: 0.01 * d / 9)
    c = g.certify(X, n=4000, alpha=0.01)
    assert c.total_variation == 0.01
    assert c.p_a_lower == confidence.lower_bound(c.counts[0], 4000, 0.01) - 0.01
    two = g.certify(X, n=4000, alpha=0.01, two_sided=True)
    low, high = confidence.runner_up_bounds(np.array(two.counts), 0, 0.01)
    assert (two.p_a_lower, two.p_b_upper) == (low - 0.01, high + 0.01)
    # n noise vectors: alpha has to exceed n times the total variation.
    assert g.predict(X, n=20, alpha=0.19) == ABSTAIN
    assert g.predict(X, n=20, alpha=0.21) == 0


def test_float_noise_is_named():
    c = smoothed(noise="float").certify(X, n=500)
    assert c.noise == "float" and c.step is None and c.total_variation == 0.0
    assert "as if its noise were exactly Gaussian" in str(c)
    assert "as if" not in str(smoothed().certify(X, n=500))


def test_sentence():
    c = smoothed().certify(X, n=500)
    assert str(c).startswith(f"Class 0 for every perturbation with an l2 norm below {c.radius:.6f}")
    assert "false with probability at most 0.001" in str(c) and "n = 500" in str(c)


def test_off_grid_is_refused_or_costs_radius():
    x = X + 0.01
    with pytest.raises(ValueError, match="grid"):
        smoothed().certify(x, n=500)
    there, here = smoothed(off_grid="round").certify(x, n=500), smoothed().certify(X, n=500)
    cost = 0.01 * 3 + 3 / 32
    assert there.rounding_cost == pytest.approx(cost, rel=1e-5)
    assert there.radius == pytest.approx(here.radius - cost, abs=2e-6)
    assert there.counts == here.counts and here.rounding_cost == 0.0


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"base": 3}, TypeError, "base must be callable, got 3"),
        ({"num_classes": 1}, ValueError, "num_classes must be at least 2, got 1"),
        ({"num_classes": 2.0}, TypeError, "num_classes must be a whole number, got 2.0"),
        ({"sigma": 0}, ValueError, "sigma must be .*got 0"),
        ({"sigma": -1.0}, ValueError, "sigma must be .*got -1"),
        ({"sigma": math.nan}, ValueError, "sigma must be .*got nan"),
        ({"sigma": math.inf}, ValueError, "sigma must be .*got inf"),
        ({"step": None}, ValueError, "step must be given with noise='grid'"),
        ({"step": 0}, ValueError, "step must be .*got 0"),
        ({"noise": "uniform"}, ValueError, "noise must be 'grid' or 'float', got 'uniform'"),
        ({"off_grid": "clip"}, ValueError, "off_grid must be 'refuse' or 'round', got 'clip'"),
        ({"seed": -1}, ValueError, "seed must be at least 0, got -1"),
        ({"seed": 2**63}, ValueError, "seed must be at most 9223372036854775807, got 9223"),
        ({"seed": 0.5}, TypeError, "seed must be a whole number, got 0.5"),
    ],
)
def test_bad_construction(options, error, message):
    arguments = {"base": half_space, "num_classes": 3, "sigma": 0.25, "step": "1/16"} | options
    with pytest.raises(error, match=message):
        SmoothedClassifier(**arguments)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n": 0}, ValueError, "n must be at least 1, got 0"),
        ({"n": 1e5}, TypeError, "n must be a whole number, got 100000.0"),
        ({"n": 10**9 + 1}, ValueError, "n must be at most 1000000000, got 1000000001"),
        ({"alpha": 1e-30}, ValueError, "alpha must be between 2e-30 and 1, got 1e-30"),
        ({"n": True}, TypeError, "n must be a whole number, got True"),
        ({"n0": 0}, ValueError, "n0 must be at least 1, got 0"),
        ({"alpha": 0.0}, ValueError, "alpha must be between 2e-30 and 1, got 0.0"),
        ({"alpha": 1.0}, ValueError, "alpha must be between 2e-30 and 1, got 1.0"),
        ({"alpha": math.nan}, ValueError, "alpha must be between 2e-30 and 1, got nan"),
        ({"alpha": "0.1"}, TypeError, "alpha must be a number, got '0.1'"),
        ({"index": -1}, ValueError, "index must be at least 0, got -1"),
        ({"x": torch.zeros(SHAPE, dtype=torch.uint8)}, (TypeError, ValueError), "uint8"),
        ({"x": np.zeros(SHAPE, dtype=np.int64)}, (TypeError, ValueError), "int64"),
        ({"x": torch.full(SHAPE, math.nan)}, ValueError, "finite"),
        ({"x": torch.full(SHAPE, math.inf)}, ValueError, "finite"),
        ({"x": X + 0.02}, ValueError, "grid"),
    ],
)
@pytest.mark.parametrize("off_grid", ["refuse", "round"])
def test_bad_arguments_before_any_work(options, error, message, off_grid):
    def never(x):
        raise AssertionError("the base classifier was called")

    g = smoothed(never, off_grid=off_grid)
    if off_grid == "round" and message == "grid":
        return
    with pytest.raises(error, match=message):
        g.certify(**({"x": X, "n": 10} | options))
    if "n0" not in options:
        with pytest.raises(error, match=message):
            g.predict(**({"x": X, "n": 10} | options))


def test_nan_scores_are_not_certified():
    with pytest.raises(ValueError, match="finite scores"):
        smoothed(lambda x: half_space(x) * math.nan).certify(X, n=100)


# ------------------------------------------------------------------ runs that stop early

BOUNDARY = 0.25 + 0.5 / 16  # of half_space from X, as rounding to the grid sees it


def first_stop(g, index, n, stop):
    """The first look at which stop(k, t) holds, by the plainest loop: sample after sample."""
    label = int(np.argmax(g.counts(X, 100, Purpose.SELECTION, index)))
    for t in sequential.looking_times(n):
        k = g.counts(X, int(t), Purpose.ESTIMATION, index)[label]
        if stop(int(k), int(t)):
            return int(t)
    raise AssertionError("never stopped")


def test_certify_at_follows_its_definition():
    n, alpha, radii = 250, 0.02, (0.05, 0.2, 0.45)
    g = smoothed(plan=Plan("callable", rows=64))
    p = [norm.cdf(r / 0.25) for r in radii]
    seen = set()
    for index in range(4):
        d = g.certify_at(X, radii, alpha=alpha, n_max=n, index=index)
        need = [sequential.least_successes(one, n, alpha) for one in p]

        shown, at = np.zeros(3, bool), {}

        def stop(k, t, need=need, shown=shown, at=at):
            above = sequential.is_above(k, t, p, n, alpha)
            if (above & ~shown).any():
                at[max(np.flatnonzero(above))] = t
            shown |= above
            return all(shown | sequential.is_hopeless(k, t, need, n, alpha))

        assert d.samples == first_stop(g, index, n, stop)
        assert sum(d.counts) == (at[max(at)] if at else d.samples)
        label = int(np.argmax(d.selection_counts))
        expected = sequential.is_above(d.counts[label], sum(d.counts), p, n, alpha)
        assert d.verdicts == tuple(expected)
        assert d.label == (label if any(d.verdicts) else ABSTAIN)
        assert d.radius == max([r for r, yes in zip(radii, d.verdicts) if yes], default=0.0)
        seen |= {d.radius, d.stopped}
    assert seen >= {0.05, 0.2, "decided"}


def test_certify_at_one_radius_and_its_sentences():
    near, far = (smoothed().certify_at(X, r, n_max=5000) for r in (0.1, 0.6))
    assert near.certified and near.label == 0 and near.radius == 0.1 and near.samples < 200
    assert str(near).startswith("Class 0 for every perturbation with an l2 norm of at most 0.1, ")
    assert f"{near.samples} of at most 5000 samples" in str(near) and "0.001" in str(near)
    assert not far.certified and far.label == ABSTAIN and far.radius == 0.0 and far.samples < 200
    assert str(far).startswith("Certifies no radius among 0.6 (")
    both = smoothed().certify_at(X, [0.6, 0.1], n_max=5000)
    assert both.verdicts == (False, True) and not both.certified and both.stopped == "decided"
    assert "Not certified: 0.6." in str(both)
    assert "as if its noise" in str(smoothed(noise="float").certify_at(X, 0.1, n_max=500))
    runs = [smoothed().certify_at(X, 0.2, alpha=0.05, n_max=90, index=i) for i in range(12)]
    assert {run.stopped for run in runs} == {"decided", "n_max"}
    assert all((run.stopped == "n_max") == (run.samples == 90) for run in runs)


def test_a_radius_of_zero_asks_for_the_class():
    assert smoothed().certify_at(X, 0).label == 0
    coin = smoothed(lambda x: half_space(x - 0.25 - 1 / 32))
    assert coin.certify_at(X, 0, n_max=1000).label == ABSTAIN


def test_certify_at_never_certifies_beyond_the_boundary_of_a_half_space():
    """By chance with probability below 0.1 in all, at these seeds or never."""
    g = smoothed(plan=Plan("callable", rows=100))
    for index in range(100):
        assert not g.certify_at(X, BOUNDARY + 1e-6, n_max=300, index=index).certified


def test_early_abstain_changes_nothing_but_hopeless_runs():
    """A run that certifies is the full run. The coin abstains either way, with fewer samples."""
    g = smoothed()
    full, early = g.certify(X, n=2000), g.certify(X, n=2000, early_abstain=True)
    assert early.method == "early-abstain" and full.method == "fixed"
    assert (early.radius, early.counts, early.p_a_lower) == (
        full.radius,
        full.counts,
        full.p_a_lower,
    )
    coin = smoothed(lambda x: half_space(x - 0.25 - 1 / 16))  # 0.45, where class 0 is selected
    fewer = 0
    for index in range(12):
        kept, cut = (
            coin.certify(X, n0=1, n=2000, index=index, early_abstain=e) for e in (False, True)
        )
        if cut.samples < 2000:
            fewer += 1
            assert cut.label == ABSTAIN and cut.radius == 0 and cut.p_a_lower == 0
            assert f"n = {cut.samples} of at most 2000" in str(cut)
            assert kept.label == ABSTAIN
        else:
            assert (cut.label, cut.radius, cut.counts) == (kept.label, kept.radius, kept.counts)
    assert fewer >= 3


def test_early_abstain_follows_its_definition():
    n, alpha = 250, 0.02
    coin = smoothed(lambda x: half_space(x - 0.3), plan=Plan("callable", rows=64))
    need = sequential.least_successes(0.5, n, alpha, sequential=False)
    for index in range(3):
        c = coin.certify(X, n=n, alpha=alpha, index=index, early_abstain=True)
        stop = first_stop(
            coin, index, n, lambda k, t: t == n or sequential.is_hopeless(k, t, need, n, alpha)
        )
        assert c.samples == stop


@pytest.mark.parametrize("loss", [0.01, 0.05])
def test_radius_loss_is_kept(loss):
    """Against the radius that n samples with the same share of answers would give."""
    n, alpha = 20_000, 0.001
    for index in range(3):
        c = smoothed().certify(X, n=n, alpha=alpha, index=index, radius_loss=loss)
        assert c.method == "radius-loss" and c.samples < n
        share = confidence.lower_bound(c.counts[0] * n // c.samples, n, alpha)
        goal = float(certificates.certified_radius(share, 0.25))
        assert goal - loss - 2e-6 <= c.radius < goal
        bound = sequential.sequential_lower_bound(c.counts[0], c.samples, 0.8 * alpha)
        assert c.p_a_lower == bound - c.total_variation
        assert 0 < float(certificates.certified_radius(c.p_a_lower, 0.25)) - c.radius < 2e-6
    wider = smoothed().certify(X, n=n, alpha=alpha, index=2, radius_loss=2 * loss)
    assert wider.samples < c.samples


def test_radius_loss_at_the_last_sample_and_on_a_coin():
    c = smoothed().certify(X, n=500, radius_loss=0)
    assert c.samples == 500
    assert c.p_a_lower == confidence.lower_bound(c.counts[0], 500, 0.0002) - c.total_variation
    coin = smoothed(lambda x: half_space(x - 0.25 - 1 / 8))
    found = [coin.certify(X, n=5000, n0=1, index=i, radius_loss=0.05) for i in range(20)]
    minority = [c for c in found if c.selection_counts[0]]
    assert minority and all(c.label == ABSTAIN and c.samples < 1000 for c in minority)


def test_the_samplers_error_counts_in_sequential_runs_too(monkeypatch):
    g = smoothed()
    plain = g.certify_at(X, 0.2, alpha=0.01, n_max=4000)
    monkeypatch.setattr(type(g.noise), "total_variation", lambda self, d: 0.02 * d / 9)
    n, alpha = 4000, 0.01
    d = g.certify_at(X, 0.2, alpha=alpha, n_max=n)
    p = norm.cdf(0.8) + 0.02
    assert d.samples > plain.samples and d.total_variation == 0.02
    assert d.samples == first_stop(g, 0, n, lambda k, t: sequential.is_above(k, t, p, n, alpha))
    c = g.certify(X, n=n, alpha=alpha, radius_loss=0.05)
    bound = sequential.stopped_lower_bound(c.counts[0], c.samples, n, alpha)
    assert c.p_a_lower == bound - 0.02


def test_off_grid_costs_radius_in_sequential_runs_too():
    x = X + 0.01
    with pytest.raises(ValueError, match="grid"):
        smoothed().certify_at(x, 0.1)
    there = smoothed(off_grid="round")
    d = there.certify_at(x, 0.1, n_max=2000)
    here = smoothed().certify_at(X, 0.1 + d.rounding_cost, n_max=2000)
    assert d.rounding_cost == pytest.approx(0.01 * 3 + 3 / 32, rel=1e-5)
    assert d.certified and (d.samples, d.counts) == (here.samples, here.counts)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n_max": 0}, ValueError, "n_max must be at least 1, got 0"),
        ({"n_max": 1e5}, TypeError, "n_max must be a whole number, got 100000.0"),
        ({"n0": 0}, ValueError, "n0 must be at least 1, got 0"),
        ({"alpha": 1e-29}, ValueError, "alpha must be at least 1e-28"),
        ({"alpha": 1.0}, ValueError, "alpha must be between"),
        ({"radius": -0.1}, ValueError, "radius must be finite and not negative, got -0.1"),
        ({"radius": math.nan}, ValueError, "radius must be finite and not negative, got nan"),
        ({"radius": [0.1, math.inf]}, ValueError, "radius must be finite and not negative"),
        ({"radius": []}, ValueError, "radius must not be empty"),
        ({"radius": "0.1"}, TypeError, "radius must be a number, got '0.1'"),
        ({"radius": True}, TypeError, "radius must be a number, got True"),
        ({"index": -1}, ValueError, "index must be at least 0, got -1"),
        ({"x": X + 0.02}, ValueError, "grid"),
    ],
)
def test_certify_at_refuses_before_any_work(options, error, message):
    def never(x):
        raise AssertionError("the base classifier was called")

    with pytest.raises(error, match=message):
        smoothed(never).certify_at(**({"x": X, "radius": 0.1} | options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"early_abstain": True, "two_sided": True}, "two_sided must be False where"),
        ({"radius_loss": 0.1, "two_sided": True}, "two_sided must be False where"),
        ({"radius_loss": -0.1}, "radius_loss must be finite and not negative, got -0.1"),
        ({"early_abstain": True, "alpha": 1e-29}, "alpha must be at least 1e-28"),
    ],
)
def test_early_stops_refuse_before_any_work(options, message):
    def never(x):
        raise AssertionError("the base classifier was called")

    with pytest.raises(ValueError, match=message):
        smoothed(never).certify(X, n=10, **options)


def test_a_radius_that_was_shown_is_kept_though_later_samples_would_not_show_it():
    """The row to be written holds what showed it; a radius beyond stays open until sample 284."""
    g = smoothed(plan=Plan("callable", rows=512))
    d = g.certify_at(X, [0.2, 0.25, 0.35], alpha=0.05, n_max=3000, index=46)
    assert d.verdicts == (True, True, False) and d.radius == 0.25 and d.label == 0
    assert (sum(d.counts), d.drawn, d.samples, d.stopped) == (27, 284, 284, "decided")
    assert d.counts == tuple(g.counts(X, 27, Purpose.ESTIMATION, 46)) == (27, 0, 0)
    assert d.selection_counts == (87, 13, 0)  # test_verifier has this row
    p = norm.cdf(0.25 / 0.25)
    assert sequential.is_above(d.counts[0], 27, p, 3000, 0.05)
    later = g.counts(X, 284, Purpose.ESTIMATION, 46)[0]
    assert later == 246
    assert not sequential.is_above(later, 284, p, 3000, 0.05)
    assert "284 of at most 3000 samples" in str(d)
    for t in sequential.looking_times(26):  # the first look that shows it
        k = g.counts(X, int(t), Purpose.ESTIMATION, 46)[0]
        assert not sequential.is_above(k, t, p, 3000, 0.05)


def test_a_label_with_radius_zero_is_a_claim_about_x_alone():
    """Rounding the input costs more than was shown; that class 0 is g(x) was shown all the same."""
    g = smoothed(off_grid="round")
    c = g.certify(X + 0.01, n=2000, alpha=0.01)
    assert c.label == 0 and c.radius > 0
    near = SmoothedClassifier(half_space, 3, "0.25", "1/4", seed=0, off_grid="round")
    c = near.certify(X + 0.01, n=2000, alpha=0.01)
    assert c.rounding_cost > 0.3 and (c.label, c.radius) == (0, 0.0) and c.p_a_lower > 0.5
    assert str(c).startswith("Class 0 at x itself, for no perturbation, false with probability")
    assert near.predict(X + 0.01) == 0
    assert near.certify_at(X + 0.01, 0, n_max=2000).label == ABSTAIN  # a ball around x is asked for


def test_a_seed_is_drawn_where_none_is_given():
    """Two are equal with probability 2^-63."""
    one, other = (SmoothedClassifier(half_space, 3, "0.25", "1/16") for _ in range(2))
    assert one.seed != other.seed and all(0 <= g.seed < 2**63 for g in (one, other))
    c, d = one.certify(X, n=500), one.certify_at(X, 0.1, n_max=500)
    assert c.seed == d.seed == one.seed
    again = smoothed(seed=c.seed)
    assert again.certify(X, n=500) == c and again.certify_at(X, 0.1, n_max=500) == d
    assert len(bin(one.seed | other.seed)) > 50


def test_it_is_copied_and_pickled_also_after_use():
    g = SmoothedClassifier(torch.nn.Linear(4, 3), 3, 0.25, "1/255")
    x = torch.zeros(4)
    c = g.certify(x, n=300)
    for twin in (pickle.loads(pickle.dumps(g)), copy.copy(g), copy.deepcopy(g)):
        assert twin.certify(x, n=300) == c and twin.seed == g.seed
    assert g.certify(x, n=300) == c
    functional = smoothed()
    functional.predict(X)
    assert copy.deepcopy(functional).certify(X, n=300) == functional.certify(X, n=300)


class Opaque:
    def __array__(self, *arguments, **named):
        raise KeyError("no array")


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.zeros(SHAPE, ">f4"), "x must be of a type that torch has, got >f4"),
        (np.zeros(SHAPE, np.longdouble), "x must be of a type that torch has, got <f16"),
        (np.zeros(SHAPE, object), "x must be a plain dense array .* got ndarray of dtype object"),
        (np.zeros(SHAPE, complex), "x must be a plain dense array .* got ndarray of dtype complex"),
        (np.ma.masked_array(np.zeros(SHAPE)), "x must be a plain dense array .* got MaskedArray"),
        (scipy.sparse.eye_array(3), "x must be a plain dense array"),
        (None, "x must be a plain dense array .* got NoneType"),
        ("0.5", "x must be a plain dense array .* got str"),
        ([[0.5], [0.5, 0.5]], "x must be an array of numbers, got list"),
        (Opaque(), "x must be an array of numbers, got Opaque: .*no array"),
        (torch.zeros(SHAPE).to_sparse(), "x must be a plain dense tensor, .* torch.sparse_coo"),
        (torch.zeros(SHAPE, device="meta"), "x must be a plain dense tensor, got .* on meta"),
        (torch.zeros(SHAPE).to(torch.float8_e5m2), "x must have at least 16 bits a value"),
        (torch.zeros(SHAPE, dtype=torch.complex64), "x must be of a floating dtype, got complex64"),
        (np.zeros(SHAPE, bool), "x must be of a floating dtype, got bool"),
        (0, "x must be of a floating dtype, got int64"),
    ],
)
@pytest.mark.parametrize("off_grid", ["refuse", "round"])
def test_what_stands_in_for_x_is_named(x, words, off_grid):
    g = smoothed(off_grid=off_grid)
    for call in (g.predict, g.certify, lambda x: g.certify_at(x, 0.1)):
        with pytest.raises(TypeError, match=f"^{words}"):
            call(x)
    floating = SmoothedClassifier(half_space, 3, "0.25", noise="float", seed=0)
    with pytest.raises(TypeError, match=f"^{words}"):
        floating.predict(x)


def test_plain_lists_and_half_precision_will_do():
    g = smoothed()
    expected = g.certify(X, n=300)
    for x in (X.tolist(), X.half(), X.bfloat16(), X.numpy().astype(np.float16)):
        assert g.certify(x, n=300) == expected


def test_certify_by_takes_any_method():
    g, xs = smoothed(), several(5)
    for method, expected in (
        (decisions.AllSamples(), g.certify_many(xs, 30, 500, 0.01)),
        (decisions.TwoSided(), g.certify_many(xs, 30, 500, 0.01, two_sided=True)),
        (decisions.EarlyAbstain(), g.certify_many(xs, 30, 500, 0.01, early_abstain=True)),
        (decisions.RadiusLoss("0.1"), g.certify_many(xs, 30, 500, 0.01, radius_loss=0.1)),
        (decisions.AtRadii((0.1, "0.3")), g.certify_at_many(xs, [0.1, 0.3], 0.01, 500, 30)),
    ):
        assert list(g.certify_by(method, xs, 30, 500, 0.01)) == list(expected)
    with pytest.raises(TypeError, match=r"method must be one of rslib.decisions, got 'at'"):
        g.certify_by("at", xs)
    with pytest.raises(ValueError, match="alpha must be at least 1e-28 where a run may stop"):
        g.certify_by(decisions.EarlyAbstain(), xs, alpha=1e-29)
    assert next(g.certify_by(decisions.AllSamples(), xs, 10, 20, 1e-29)).n == 20


def test_nan_scores_are_refused_in_sequential_runs_too():
    with pytest.raises(ValueError, match="finite scores"):
        smoothed(lambda x: half_space(x) * math.nan).certify_at(X, 0.1)


# --- many examples


def test_counts_of_many_are_the_counts_of_each():
    g = smoothed()
    found = list(g.counts_many(several(3), 70, Purpose.PREDICTION, [4, 9, 2]))
    for x, index, counts in zip(several(3), [4, 9, 2], found, strict=True):
        assert counts.tolist() == g.counts(x, 70, Purpose.PREDICTION, index).tolist()
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        g.counts_many(several(1), 0, Purpose.PREDICTION)


@pytest.mark.parametrize("call", ["predict_many", "certify_many"])
def test_as_many_indices_as_examples(call):
    g = smoothed()
    with pytest.raises(ValueError, match="one for each of xs, got fewer"):
        list(getattr(g, call)(several(3), indices=[4, 5]))
    with pytest.raises(ValueError, match="an example for each of indices, none for 6"):
        list(getattr(g, call)(several(2), indices=[4, 5, 6]))
    with pytest.raises(ValueError, match="index must be at least 0, got -1"):
        list(getattr(g, call)(several(1), indices=[-1]))
    assert list(getattr(g, call)([], indices=[])) == []
    with pytest.raises(ValueError, match="alpha must be between"):
        getattr(g, call)(several(1), alpha=0)  # at once
