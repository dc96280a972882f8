"""From counts to certificates, decisions and predictions; methods written and read. No torch."""

import copy
import json
import math
import pickle
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from scipy.stats import norm

from rslib import certificates, confidence, decisions, sequential
from rslib.decisions import (
    ABSTAIN,
    METHODS,
    AllSamples,
    AtRadii,
    EarlyAbstain,
    RadiusLoss,
    Setting,
    TwoSided,
    method_from_options,
    predict_from_counts,
    read_method,
)
from rslib.decisions.methods import _round_down

SIGMA = 0.25
SETTING = Setting(
    sigma=Fraction(1, 4),
    n0=20,
    n=1000,
    alpha=0.01,
    noise="grid",
    step=Fraction(1, 16),
    total_variation=1e-14,
    seed=5,
)
FAR = replace(SETTING, total_variation=0.01)  # a sampler far worse than the true one
PICKS_1 = [4, 16, 0]
STOPPING = [EarlyAbstain(), RadiusLoss("0.05"), AtRadii(("0", "0.25"))]
ALL = [AllSamples(), TwoSided(), *STOPPING]


def test_they_need_no_torch():
    code = "import sys, rslib; rslib.Certificate, rslib.ABSTAIN; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- all samples


@pytest.mark.parametrize("setting", [SETTING, FAR])
def test_one_sided_certificate(setting):
    c = AllSamples().conclude(setting, PICKS_1, [30, 950, 20])
    assert c.p_a_lower == confidence.lower_bound(950, 1000, 0.01) - setting.total_variation
    radius = float(certificates.certified_radius(c.p_a_lower, SIGMA))
    assert 0 < radius - c.radius < 2e-6 and c.radius == round(c.radius, 6)
    assert (c.label, c.p_b_upper, c.two_sided, c.method) == (1, None, False, "fixed")
    assert (c.counts, c.selection_counts, c.samples) == ((30, 950, 20), (4, 16, 0), 1000)
    for name in ("sigma", "n0", "n", "alpha", "noise", "step", "total_variation", "seed"):
        assert getattr(c, name) == getattr(setting, name)


@pytest.mark.parametrize("setting", [SETTING, FAR])
def test_two_sided_certificate(setting):
    c = TwoSided().conclude(setting, PICKS_1, [30, 950, 20])
    low, high = confidence.runner_up_bounds(np.array([30, 950, 20]), 1, 0.01)
    assert c.p_a_lower == low - setting.total_variation
    assert c.p_b_upper == high + setting.total_variation
    radius = float(certificates.certified_radius(c.p_a_lower, SIGMA, c.p_b_upper))
    assert 0 < radius - c.radius < 2e-6
    assert (c.label, c.two_sided, c.method) == (1, True, "fixed")


def test_below_one_half_two_sides_certify_and_one_does_not():
    one, two = (m.conclude(SETTING, PICKS_1, [270, 460, 270]) for m in (AllSamples(), TwoSided()))
    assert (one.label, one.radius) == (ABSTAIN, 0.0) and "Abstains" in str(one)
    assert two.label == 1 and two.radius > 0.02


def test_the_selection_picks_the_class_lowest_on_ties():
    c = AllSamples().conclude(SETTING, [10, 10, 0], [20, 960, 20])
    assert (c.label, c.radius) == (ABSTAIN, 0.0)
    assert c.p_a_lower < 0.04
    assert AllSamples().conclude(SETTING, [9, 11, 0], [20, 960, 20]).label == 1


def test_no_bound_no_certificate():
    never = AllSamples().conclude(SETTING, PICKS_1, [1000, 0, 0])
    assert (never.label, never.radius, never.p_a_lower) == (ABSTAIN, 0.0, 0.0)
    full = replace(SETTING, n=2)
    rival = TwoSided().conclude(replace(full, total_variation=0.999), PICKS_1, [1, 1, 0])
    assert (rival.label, rival.radius, rival.p_b_upper) == (ABSTAIN, 0.0, 1.0)


def test_rounding_costs_radius():
    there = AllSamples().conclude(replace(SETTING, rounding_cost=0.125), PICKS_1, [30, 950, 20])
    here = AllSamples().conclude(SETTING, PICKS_1, [30, 950, 20])
    assert there.rounding_cost == 0.125
    assert there.radius == pytest.approx(here.radius - 0.125, abs=1.1e-6)


@pytest.mark.parametrize("radius", [0.1, 1e-7, 0.5, 3.811501, 2.0, 1.0000010000001])
def test_round_down_never_up(radius):
    rounded = _round_down(radius)
    assert 0 <= rounded < radius and radius - rounded < 1.002e-6
    assert float(f"{rounded:.6f}") == rounded


def test_round_down_is_never_negative():
    assert _round_down(-3.0) == 0.0 and _round_down(1e-12) == 0.0


def test_sentences():
    c = AllSamples().conclude(SETTING, PICKS_1, [30, 950, 20])
    assert str(c).startswith(f"Class 1 for every perturbation with an l2 norm below {c.radius:.6f}")
    assert "false with probability at most 0.01" in str(c) and "(n = 1000, sigma = 0.25" in str(c)
    floating = replace(SETTING, noise="float", step=None)
    assert "as if its noise" in str(AllSamples().conclude(floating, PICKS_1, [30, 950, 20]))
    dear = AllSamples().conclude(replace(SETTING, rounding_cost=3.0), PICKS_1, [30, 950, 20])
    assert (dear.label, dear.radius) == (1, 0.0)
    assert str(dear).startswith("Class 1 at x itself, for no perturbation, false with")
    early = EarlyAbstain().conclude(SETTING, PICKS_1, [30, 20, 10])
    assert "n = 60 of at most 1000" in str(early)


@pytest.mark.parametrize(
    ("selection", "counts", "words"),
    [
        ([10, 9], [990, 10], "selection must add up to 20, got 19"),
        ([10, 10], [990, 9], "counts must add up to 1000, got 999"),
        ([10, 10], [990, 11], "counts must add up to 1000, got 1001"),
        ([20], [1000], "selection must be one row of at least two classes, got"),
        ([20, 0], [[990, 10]], "counts must be one row of at least two classes, got"),
        ([20, 0], [990, 10, 0], "must be of as many classes, got 2 and 3"),
        ([20, 0], [999.5, 0.5], "counts must be a whole number from 0 to 10"),
        ([20.5, 0], [1000, 0], "selection must be a whole number from 0 to 10"),
    ],
)
def test_counts_that_are_none(selection, counts, words):
    with pytest.raises(ValueError, match=words):
        AllSamples().conclude(SETTING, selection, counts)


def test_counts_of_runs_that_stopped():
    for method in STOPPING:
        assert method.conclude(SETTING, PICKS_1, [5, 40, 5]).samples == 50
        for counts in ([5, 990, 6], [0, 0, 0]):
            with pytest.raises(ValueError, match="counts must add up to at most 1000, got"):
                method.conclude(SETTING, PICKS_1, counts)


def test_methods_that_take_all_samples_never_stop():
    for method in (AllSamples(), TwoSided()):
        assert not method.sequential
        stops, shows = method.stop_rule(SETTING)(np.array([0, 900]), np.array([500, 1000]))
        assert stops.tolist() == shows.tolist() == [False, False]


# --- prediction


def test_prediction_is_the_test_of_the_two_leading_counts():
    for first, second in ((40, 10), (33, 17), (32, 18), (25, 25)):
        pvalue = confidence.hung_fithian_pvalue(first, second)
        for alpha in (pvalue * 0.999, pvalue, pvalue * 1.001):
            expected = 2 if pvalue <= alpha else ABSTAIN
            assert predict_from_counts([second, 3, first], alpha) == expected
    assert predict_from_counts([0, 0], 0.5) == ABSTAIN


def test_prediction_pays_for_the_sampler():
    """All ten answers alike: the p-value is 2^-9."""
    assert predict_from_counts([10, 0], 0.1 + 2.0**-9 * 1.001, 0.1) == 0
    assert predict_from_counts([10, 0], 0.1 + 2.0**-9 * 0.999, 0.1) == ABSTAIN


def test_what_cannot_be_predicted_from():
    with pytest.raises(ValueError, match="counts must be one row of at least two classes"):
        predict_from_counts([3], 0.1)
    with pytest.raises(ValueError, match="counts must be a whole number"):
        predict_from_counts([3, -1], 0.1)


# --- early abstention


@pytest.mark.parametrize("setting", [SETTING, FAR])
def test_early_abstention_stops_where_n_samples_are_hopeless(setting):
    rule = EarlyAbstain().stop_rule(setting)
    p = 0.5 + setting.total_variation
    need = sequential.least_successes(p, 1000, 0.01, sequential=False)
    k, t = np.array([40, 100, 200, 249]), np.array([100, 300, 500, 500])
    expected = sequential.is_hopeless(k, t, need, 1000, 0.01)
    stops, shows = rule(k, t)
    assert stops.tolist() == expected.tolist() == [False, True, True, False]
    assert not shows.any()
    # One success less than needed at the end, and as many as needed.
    ends, _ = rule(np.array([need - 1, need]), np.array([1000, 1000]))
    assert ends.tolist() == [True, False]


def test_early_abstention_certifies_nothing_before_the_last_sample():
    early = EarlyAbstain().conclude(SETTING, PICKS_1, [0, 999, 0])
    assert (early.label, early.radius, early.p_a_lower) == (ABSTAIN, 0.0, 0.0)
    full = EarlyAbstain().conclude(SETTING, PICKS_1, [30, 950, 20])
    assert replace(full, method="fixed") == AllSamples().conclude(SETTING, PICKS_1, [30, 950, 20])
    assert full.method == "early-abstain"


# --- radius loss


@pytest.mark.parametrize("setting", [SETTING, FAR])
@pytest.mark.parametrize("counts", [(2, 198), (50, 950), (0, 1000)])
def test_radius_loss_certifies_by_the_bound_that_holds_at_all_times(setting, counts):
    c = RadiusLoss(0.05).conclude(setting, [0, 20], counts)
    bound = sequential.stopped_lower_bound(counts[1], sum(counts), 1000, 0.01)
    assert c.p_a_lower == bound - setting.total_variation
    radius = float(certificates.certified_radius(c.p_a_lower, SIGMA))
    assert 0 < radius - c.radius < 2e-6
    assert (c.label, c.method, c.samples) == (1, "radius-loss", sum(counts))


@pytest.mark.parametrize("setting", [SETTING, FAR])
@pytest.mark.parametrize("loss", [0.02, "0.1"])
def test_radius_loss_stops_where_it_is_kept(setting, loss):
    """Against the radius that n samples with the same share of answers would give."""
    rule = RadiusLoss(loss).stop_rule(setting)
    n, alpha, variation = setting.n, setting.alpha, setting.total_variation
    stops = set()
    for t in (20, 100, 400, 900):
        for k in (t * 6 // 10, t * 9 // 10, t):
            share = confidence.lower_bound(k * n // t, n, alpha) - variation
            goal = float(certificates.certified_radius(max(share, 0.5), SIGMA))
            bound = sequential.stopped_lower_bound(k, t, n, alpha) - variation
            found = float(certificates.certified_radius(bound, SIGMA)) if bound > 0.5 else -1
            hopeless = sequential.is_hopeless(
                k, t, sequential.least_successes(0.5 + variation, n, alpha), n, alpha
            )
            (stop,), (more,) = rule(np.array([k]), np.array([t]))
            assert not more
            # Where nothing is lost at all, a radius of 0 is asked for.
            kept = found >= max(0, goal - float(loss))
            assert abs(found - max(0, goal - float(loss))) > 1e-6
            assert stop == (kept or hopeless)
            stops.add(bool(stop))
    assert stops == {True, False}
    # At the last sample: one success less than shows anything, by what holds at all times.
    need = sequential.least_successes(0.5 + variation, n, alpha)
    assert rule(np.array([need - 1]), np.array([n]))[0].tolist() == [True]


# --- given radii


@pytest.mark.parametrize("setting", [SETTING, FAR, replace(SETTING, rounding_cost=0.1)])
def test_decisions_at_radii(setting):
    radii = (0.4, 0.0, 0.1, "0.25")
    p = norm.cdf((np.array([0.4, 0, 0.1, 0.25]) + setting.rounding_cost) / SIGMA)
    p += setting.total_variation
    seen = set()
    for counts in ((0, 12), (0, 60), (3, 97), (100, 900), (40, 160), (0, 400), (300, 100)):
        d = AtRadii(radii).conclude(setting, [0, 20], counts)
        expected = sequential.is_above(counts[1], sum(counts), p, 1000, 0.01)
        assert d.verdicts == tuple(expected)
        assert d.label == (1 if any(expected) else ABSTAIN)
        shown = [r for r, yes in zip((0.4, 0.0, 0.1, 0.25), expected) if yes]
        assert d.radius == max(shown, default=0.0) and d.certified == all(expected)
        assert d.radii == (0.4, 0.0, 0.1, 0.25) and d.counts == counts
        assert (d.n_max, d.rounding_cost) == (1000, setting.rounding_cost)
        seen.add(d.radius)
    assert len(seen) >= 3


@pytest.mark.parametrize("setting", [SETTING, FAR, replace(SETTING, rounding_cost=0.1)])
def test_a_run_stops_when_each_radius_is_shown_or_hopeless(setting):
    method = AtRadii((0.1, 0.3))
    p = norm.cdf((np.array([0.1, 0.3]) + setting.rounding_cost) / SIGMA) + setting.total_variation
    need = [sequential.least_successes(float(one), 1000, 0.01) for one in p]
    k, t = np.array([(k, t) for t in (20, 60, 300, 800, 1000) for k in range(t // 2, t + 1)]).T
    above = sequential.is_above(k[:, None], t[:, None], p, 1000, 0.01)
    given_up = sequential.is_hopeless(k[:, None], t[:, None], need, 1000, 0.01)
    expected = (above | given_up).all(axis=1)
    half = (above | given_up).any(axis=1) & ~expected
    assert 0.1 < expected.mean() < 0.9 and half.any()
    assert (above[:, 0] & given_up[:, 1]).any()
    for one, look, stop, shown in zip(k, t, expected, above):
        # Each look as the first: nothing was shown before.
        (stops,), (shows,) = method.stop_rule(setting)(np.array([one]), np.array([look]))
        assert (stops, shows) == (stop, shown.any())


def test_a_run_gives_up_sooner_what_is_unlikely_to_be_shown():
    setting, method = replace(SETTING, n=1000), AtRadii((0.1, 0.3), give_up="0.02")
    p = norm.cdf(np.array([0.1, 0.3]) / SIGMA) + setting.total_variation
    need = [sequential.least_successes(float(one), 1000, 0.01) for one in p]
    k, t = np.array([(k, t) for t in (20, 60, 300, 800, 1000) for k in range(t // 2, t + 1)]).T
    above = sequential.is_above(k[:, None], t[:, None], p, 1000, 0.01)
    hopeless = sequential.is_hopeless(k[:, None], t[:, None], need, 1000, 0.01)
    unlikely = sequential.is_unlikely(k[:, None], t[:, None], need, 1000, 0.02)
    expected, late = ((above | one).all(axis=1) for one in (unlikely, hopeless))
    assert expected.sum() > late.sum() > 0 and not expected.all() and (unlikely | ~hopeless).all()
    for one, look, stop, shown in zip(k, t, expected, above):
        (stops,), (shows,) = method.stop_rule(setting)(np.array([one]), np.array([look]))
        assert (stops, shows) == (stop, shown.any())
    # What counts show does not depend on it.
    counts = [0, 20], (2, 98)
    assert method.conclude(SETTING, *counts) == AtRadii((0.1, 0.3)).conclude(SETTING, *counts)


@pytest.mark.parametrize("piece", [1, 2, 7])
def test_a_radius_that_was_shown_stays_shown(piece):
    """0.1 at the first look and 0.2 at the third, lost later: what is left to decide is 0.5."""
    setting = replace(SETTING, n=1000)
    k, t = np.array([[16, 16, 58, 58, 60, 60, 60], [16, 20, 60, 85, 95, 120, 600]])
    p = norm.cdf(np.array([0.1, 0.2, 0.5]) / SIGMA) + setting.total_variation
    above = sequential.is_above(k[:, None], t[:, None], p, 1000, 0.01)
    assert above.tolist() == [[True, False, False], [False] * 3, [True, True, False],
                              [False] * 3, [False] * 3, [False] * 3, [False] * 3]  # fmt: skip
    rule, found = AtRadii((0.5, 0.1, 0.2)).stop_rule(setting), []
    for start in range(0, len(t), piece):
        found.append(rule(k[start : start + piece], t[start : start + piece]))
    stops, shows = (np.concatenate(one) for one in zip(*found))
    assert shows.tolist() == [True, False, True, False, False, False, False]
    need = sequential.least_successes(float(p[2]), 1000, 0.01)
    hopeless = sequential.is_hopeless(k, t, need, 1000, 0.01)
    assert stops.tolist() == [False, False, *hopeless[2:]]
    assert hopeless[-1] and not hopeless[2]
    fresh = AtRadii((0.5, 0.1, 0.2)).stop_rule(setting)
    assert not fresh(k[3:4], t[3:4])[0].any()  # a rule is for one run


def test_what_showed_a_radius_and_how_many_were_drawn():
    method = AtRadii((0.5, 0.1, "0.2"))
    d = method.conclude(SETTING, [0, 20], (2, 58), drawn=600)
    assert d.verdicts == (False, True, True) and (d.drawn, d.samples) == (600, 600)
    assert d.counts == (2, 58) and "(600 of at most 1000 samples" in str(d)
    assert method.conclude(SETTING, [0, 20], (2, 58)).drawn == 60
    assert method.conclude(SETTING, [0, 20], (2, 58), drawn=1000).stopped == "n_max"
    for drawn in (59, 1001):
        with pytest.raises(ValueError, match=f"drawn must be at .* got {drawn}"):
            method.conclude(SETTING, [0, 20], (2, 58), drawn=drawn)
    for method in (AllSamples(), RadiusLoss(0.1)):
        assert method.conclude(SETTING, [0, 20], (20, 980), 1000).samples == 1000
        with pytest.raises(ValueError, match="drawn must be 1000, what counts add up to, got 999"):
            method.conclude(SETTING, [0, 20], (20, 980), 999)


def test_a_smaller_radius_is_certified_with_a_larger_one(monkeypatch):
    """Evidence falls as the radius grows; should rounding say otherwise, the larger decides."""
    monkeypatch.setattr(sequential, "is_above", lambda k, t, p, n, alpha: p == p[1])
    d = AtRadii((0.1, 0.3, 0.5)).conclude(SETTING, [0, 20], (2, 58))
    assert d.verdicts == (True, True, False)


def test_sentences_of_decisions():
    method = AtRadii((0.6, 0.1))
    d = method.conclude(SETTING, [0, 20], (2, 98))
    assert str(d).startswith("Class 1 for every perturbation with an l2 norm of at most 0.1, ")
    assert "(100 of at most 1000 samples, sigma = 0.25, grid noise). Not certified: 0.6." in str(d)
    assert d.stopped == "decided" and not d.certified
    none = method.conclude(SETTING, [0, 20], (500, 500))
    assert str(none).startswith("Certifies no radius among 0.6, 0.1 (") and none.stopped == "n_max"
    floating = replace(SETTING, noise="float", step=None)
    assert "as if its noise" in str(method.conclude(floating, [0, 20], (2, 98)))


@pytest.mark.parametrize("setting", [SETTING, replace(SETTING, noise="float", step=None)])
def test_conclusions_are_pickled_copied_and_written_as_json(setting):
    for method in ALL:
        found = method.conclude(setting, PICKS_1, [20, 960, 20])
        assert pickle.loads(pickle.dumps(found)) == copy.deepcopy(found) == found
        text = json.dumps(found.to_dict(), allow_nan=False)
        again = type(found).from_dict(json.loads(text))
        assert again == found and type(again.sigma) is Fraction and type(again.counts) is tuple
        assert hash(again) == hash(found) and json.dumps(again.to_dict()) == text


# --- arguments


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: RadiusLoss(-0.1), ValueError, "loss must be finite and not negative, got -0.1"),
        (lambda: RadiusLoss(math.nan), ValueError, "loss must be finite and not negative, got nan"),
        (lambda: RadiusLoss("1e-3"), TypeError, "loss must be a number, got '1e-3'"),
        (lambda: RadiusLoss(True), TypeError, "loss must be a number, got True"),
        (lambda: AtRadii(()), ValueError, "radii must not be empty"),
        (lambda: AtRadii((0.1, math.inf)), ValueError, "radii must be finite and not negative"),
        (lambda: AtRadii(("0.1", None)), TypeError, "radii must be a number, got None"),
        (lambda: AtRadii((0.1,), 0.6), ValueError, "give_up must be above 0 and at most 1/2, got"),
        (lambda: AtRadii((0.1,), 0), ValueError, "give_up must be above 0 and at most 1/2, got 0"),
        (lambda: AtRadii((0.1,), [0.1]), TypeError, "give_up must be a number, got"),
    ],
)
def test_what_no_method_takes(make, error, words):
    with pytest.raises(error, match=words):
        make()


@pytest.mark.parametrize(
    ("alpha", "may_stop", "words"),
    [
        (0.0, False, "alpha must be between 2e-30 and 1, got 0.0"),
        (1.0, False, "alpha must be between 2e-30 and 1, got 1.0"),
        (1.9e-30, False, "alpha must be between 2e-30 and 1, got 1.9e-30"),
        (math.nan, True, "alpha must be between 2e-30 and 1, got nan"),
        (9e-29, True, "alpha must be at least 1e-28 where a run may stop, got 9e-29"),
    ],
)
def test_alphas_that_are_refused(alpha, may_stop, words):
    with pytest.raises(ValueError, match=words):
        decisions.check_alpha(alpha, may_stop)
    assert decisions.check_alpha(2e-30) == 2e-30 and decisions.check_alpha(2e-28, True) == 2e-28


# --- manifests and rows


@pytest.mark.parametrize(
    ("method", "text"),
    [
        (AllSamples(), '{"two_sided": false}'),
        (TwoSided(), '{"two_sided": true}'),
        (EarlyAbstain(), '{"two_sided": false, "method": {"name": "early-abstain"}}'),
        (
            RadiusLoss("0.050"),
            '{"two_sided": false, "method": {"name": "radius-loss", "loss": "0.050"}}',
        ),
        (
            AtRadii(("0", "0.25", "0.50")),
            '{"two_sided": false, "method": {"name": "at", "radii": ["0", "0.25", "0.50"]}}',
        ),
        (
            AtRadii(("0.25",), "0.010"),
            '{"two_sided": false, "method": {"name": "at", "radii": ["0.25"], "give_up": "0.010"}}',
        ),
    ],
)
def test_methods_are_written_and_read(method, text):
    assert json.dumps(method.to_fields()) == text
    fields = json.loads(text)
    assert read_method(fields.get("method"), fields["two_sided"]) == method


def test_every_method_is_written_and_read():
    assert {type(method) for method in ALL} == set(METHODS.values())
    assert all(METHODS[name].name == name for name in METHODS)


def test_numbers_are_written_as_decimals():
    fields = AtRadii((0.5, 0, np.float64(0.1), 1e-6, 2.0)).to_fields()["method"]
    assert fields["radii"] == ["0", "0.000001", "0.1", "0.5", "2"]
    assert read_method(fields, False) == AtRadii(("0", "0.000001", "0.1", "0.5", "2"))
    with pytest.raises(ValueError, match="loss must have at most 6 decimals to be written, got"):
        RadiusLoss(0.1 + 0.2).to_fields()
    with pytest.raises(ValueError, match="radii must be named once each, got 0"):
        AtRadii((0.5, "0.50")).to_fields()


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("at", 'method: must be an object, got "at"'),
        ({}, "method.name: must be one of early-abstain, radius-loss, at, got null"),
        ({"name": []}, "method.name: must be one of early-abstain, radius-loss, at, got []"),
        ({"name": "fixed"}, 'method.name: must be one of early-abstain, radius-loss, at, got "fix'),
        ({"name": "at"}, "method.radii: missing"),
        ({"name": "at", "radii": "0.5"}, "method.radii: must be a list of ascending decimals"),
        ({"name": "at", "radii": []}, "method.radii: must be a list of ascending decimals"),
        ({"name": "at", "radii": ["0.5", "0.5"]}, "method.radii: must be a list of ascending"),
        ({"name": "at", "radii": ["0.1234567"]}, "method.radii: must be a list of ascending"),
        (
            {"name": "at", "radii": [0.5]},
            "method.radii: must be a list of ascending decimals with at most 6 places in strings, "
            "got [0.5]",
        ),
        (
            {"name": "radius-loss", "loss": 0.05},
            "method.loss: must be a decimal with at most 6 places in a string, got 0.05",
        ),
        (
            {"name": "radius-loss", "loss": "9" * 70},
            'method.loss: must be a decimal with at most 6 places in a string, got "' + "9" * 56,
        ),
        (
            {"name": "at", "radii": ["0.5"], "give_up": 0.01},
            "method.give_up: must be a decimal above 0, at most 0.5, with at most 6 places in a "
            "string, got 0.01",
        ),
        ({"name": "at", "radii": ["0.5"], "give_up": "0.0"}, "method.give_up: must be a decimal"),
        ({"name": "at", "radii": ["0.5"], "give_up": "0.51"}, "method.give_up: must be a decimal"),
        ({"name": "at", "give_up": "0.5"}, "method.radii: missing"),
        ({"name": "radius-loss", "give_up": "0.5"}, "method.give_up: not a field of"),
        ({"name": "early-abstain", "loss": "0"}, 'method.loss: not a field of "early-abstain"'),
    ],
)
def test_a_wrong_method(method, words):
    with pytest.raises(ValueError) as caught:
        read_method(method, False)
    assert str(caught.value).startswith(words) and len(str(caught.value)) < 150


def test_no_method_that_stops_is_two_sided():
    for method in STOPPING:
        with pytest.raises(ValueError, match="two_sided: must be false where a run may"):
            read_method(method.to_fields()["method"], True)


@pytest.mark.parametrize("method", ALL)
def test_rows_of_all_samples(method):
    method.check_row(3, Decimal("0.250000"), 1000, 1000)
    method.check_row(ABSTAIN, Decimal("0.000000"), 1000, 1000)
    most = "at most " if method.sequential else ""
    with pytest.raises(ValueError) as caught:
        method.check_row(ABSTAIN, Decimal("0.000000"), 1001, 1000)
    expected = f"estimation: the counts must add up to {most}1000, got 1001"
    assert str(caught.value) == expected


@pytest.mark.parametrize("method", ALL)
def test_rows_of_fewer_samples(method):
    """Certificates where the method certifies early, abstentions where it stops at all."""
    for predict, may in ((3, method in STOPPING[1:]), (ABSTAIN, method in STOPPING)):
        row = predict, Decimal("0.250000" if predict == 3 else "0.000000"), 999, 1000
        if may:
            method.check_row(*row)
            continue
        with pytest.raises(ValueError, match="estimation: the counts must add up to 1000,"):
            method.check_row(*row)


def test_rows_at_radii():
    method = AtRadii(("0", "0.25"))
    method.check_row(3, Decimal("0.000000"), 50, 1000)
    AtRadii((0, 0.25)).check_row(3, Decimal("0.250000"), 50, 1000)
    with pytest.raises(ValueError, match=r"^radius: must be one of the manifest's, got 0\.300000$"):
        method.check_row(3, Decimal("0.300000"), 50, 1000)
    AtRadii(("0.5",)).check_row(ABSTAIN, Decimal("0.000000"), 50, 1000)


def test_rows_that_say_how_many_were_drawn():
    at, row = AtRadii(("0", "0.25")), (3, Decimal("0.250000"), 60, 1000)
    at.check_row(*row, drawn=61)
    at.check_row(*row, drawn=1000)
    for drawn in (60, 59, 1001):
        with pytest.raises(
            ValueError, match=r"^estimation: drawn must be more than the 60 that are"
        ):
            at.check_row(*row, drawn=drawn)
    gave_up = ABSTAIN, Decimal("0.000000"), 60, 1000
    for method, one in ((at, gave_up), (RadiusLoss("0.1"), row), (EarlyAbstain(), gave_up)):
        with pytest.raises(
            ValueError, match=r"^estimation: all samples drawn are to be counted, got"
        ):
            method.check_row(*one, drawn=100)


# --- command line


@pytest.mark.parametrize(
    ("values", "method"),
    [
        ({}, AllSamples()),
        ({"two_sided": False, "early_abstain": False, "at": None, "n": 10}, AllSamples()),
        ({"two_sided": True, "at": None}, TwoSided()),
        ({"early_abstain": True}, EarlyAbstain()),
        ({"radius_loss": "0"}, RadiusLoss("0")),
        ({"at": ["0.25", "0", "0.1"]}, AtRadii(("0", "0.1", "0.25"))),
        ({"at": ["0.25", "0"], "give_up": "0.01"}, AtRadii(("0", "0.25"), "0.01")),
        ({"at": ["0.25"], "give_up": None}, AtRadii(("0.25",))),
    ],
)
def test_methods_from_options(values, method):
    assert method_from_options(values) == method


@pytest.mark.parametrize(
    ("values", "words"),
    [
        *(
            ({"two_sided": True} | stop, "--two-sided takes all --n copies; it goes with no option")
            for stop in ({"early_abstain": True}, {"radius_loss": "0"}, {"at": ["0"]})
        ),
        (
            {"radius_loss": "0", "early_abstain": True},
            "--radius-loss does not go with --early",
        ),
        ({"give_up": "0.01"}, "--give-up goes with --at only"),
        ({"give_up": "0.01", "radius_loss": "0"}, "--give-up goes with --at only"),
        ({"give_up": "0", "at": ["0.5"]}, "give_up must be above 0 and at most 1/2, got 0.0"),
        ({"at": ["0.50", "0.5"]}, "--at must name each radius once, got 0.5 0.50"),
    ],
)
def test_options_that_do_not_go_together(values, words):
    with pytest.raises(ValueError, match=f"^{words}"):
        method_from_options(values)


def test_options_say_what_follows_them():
    found = {m.option.flag: (m.option.takes_decimals, m.option.nargs, m.option.metavar)
             for m in METHODS.values() if m.option}  # fmt: skip
    assert found == {
        "--two-sided": (False, None, None),
        "--early-abstain": (False, None, None),
        "--radius-loss": (True, None, "LOSS"),
        "--at": (True, "+", "R"),
    }
    (setting,) = (one for method in METHODS.values() for one in method.settings)
    assert (setting.flag, setting.name, setting.metavar) == ("--give-up", "give_up", "CHANCE")
