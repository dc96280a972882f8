"""Forward passes that examples share, and runs that stop: none of it changes a count."""

import copy
import math

import numpy as np
import pytest
import torch
from half_space import SHAPE, X, half_space, several, smoothed

from rslib import sequential
from rslib.decisions import ABSTAIN
from rslib.engine import Plan
from rslib.noise import Purpose
from rslib.scheduling import count_until_stopped


@pytest.mark.parametrize("rows", [7, 64, 1000])
@pytest.mark.parametrize("index", range(4))
def test_a_sequential_run_is_a_prefix_of_the_full_one_under_any_plan(rows, index):
    g = smoothed(plan=Plan("callable", rows=rows))
    runs = (
        g.certify_at(X, [0.2, 0.35], alpha=0.01, n_max=3000, index=index),
        g.certify(X, n=3000, alpha=0.01, index=index, radius_loss=0.03),
    )
    for run in runs:
        assert 10 <= sum(run.counts) <= run.samples < 3000
        prefix = g.counts(X, sum(run.counts), Purpose.ESTIMATION, index)
        assert run.counts == tuple(prefix)
        assert run.selection_counts == tuple(g.counts(X, run.n0, Purpose.SELECTION, index))
    default = smoothed()
    assert runs[0] == default.certify_at(X, [0.2, 0.35], alpha=0.01, n_max=3000, index=index)
    assert runs[1] == default.certify(X, n=3000, alpha=0.01, index=index, radius_loss=0.03)


@pytest.mark.parametrize("rows", [7, 64, 1000])
@pytest.mark.parametrize("indices", [None, list(range(50, 30, -1))])
def test_many_are_certified_as_each_alone(rows, indices):
    g = smoothed(plan=Plan("frozen", rows=rows))
    xs, names = several(20), indices or range(20)
    options = {"n0": 30, "n": 200, "alpha": 0.01}
    alone = [g.certify(x, **options, index=i) for x, i in zip(xs, names, strict=True)]
    assert list(g.certify_many(xs, **options, indices=indices)) == alone
    assert len({c.radius for c in alone}) > 4
    two = list(g.certify_many(iter(xs), 30, 200, 0.01, indices, two_sided=True))
    assert [c.two_sided for c in two] == [True] * 20
    alone = [g.predict(x, 60, 0.05, i) for x, i in zip(xs, names, strict=True)]
    assert list(g.predict_many(xs, 60, 0.05, indices)) == alone and set(alone) == {0, 1, ABSTAIN}


@pytest.mark.parametrize("rows", [40, 100])
@pytest.mark.parametrize("share", [20, 1024])
def test_many_runs_that_stop_are_those_of_each_alone(rows, share, monkeypatch):
    """Side by side or not, and with runs of very different lengths."""
    xs = several(17)
    alone = smoothed(plan=Plan("frozen", rows=rows))
    at = [alone.certify_at(x, [0, 0.2], 0.01, 800, index=i) for i, x in enumerate(xs)]
    lost = [alone.certify(x, n=800, radius_loss=0.02, index=i) for i, x in enumerate(xs)]
    early = [alone.certify(x, n=800, early_abstain=True, index=i) for i, x in enumerate(xs)]
    monkeypatch.setattr("rslib.scheduling._LEAST_SHARE", share)
    g = smoothed(plan=Plan("frozen", rows=rows))
    assert list(g.certify_at_many(xs, [0, 0.2], 0.01, 800)) == at
    assert list(g.certify_many(xs, n=800, radius_loss=0.02)) == lost
    assert list(g.certify_many(xs, n=800, early_abstain=True)) == early
    assert len({d.samples for d in at}) > 5 and any(sum(d.counts) < d.samples for d in at)


def test_runs_do_not_get_far_ahead_of_the_first(monkeypatch):
    """What a break loses is bounded, and the passes are shared all the same."""
    monkeypatch.setattr("rslib.scheduling._LEAST_SHARE", 16)
    g = smoothed(plan=Plan("frozen", rows=64))
    begun = []

    def examples():
        for index, x in enumerate([torch.full(SHAPE, 0.25), *several(60)]):
            begun.append(index)
            yield x

    for done, _ in enumerate(g.certify_at_many(examples(), 0, 0.01, 6000), start=1):
        assert len(begun) <= done + 16
    assert done == 61


def test_few_copies_share_forward_passes():
    calls = []

    def base(x):
        calls.append(len(x))
        return half_space(x)

    g = smoothed(base, plan=Plan("callable", rows=100))
    g.engine(SHAPE)  # asks the base classifier about its rows first
    calls.clear()
    list(g.predict_many(several(40), 20))
    assert calls == [100] * 8
    calls.clear()
    list(g.certify_many(several(40), 5, 20))
    assert calls == [100] * 10


def test_many_of_several_shapes():
    g = smoothed(plan=Plan("frozen", rows=50))
    xs = [torch.full(shape, 0.75) for shape in (SHAPE, SHAPE, (1, 2, 2), SHAPE, (1, 4, 2))]
    alone = [g.certify(x, n=100, index=i) for i, x in enumerate(xs)]
    assert list(g.certify_many(xs, n=100)) == alone
    alone = [g.certify_at(x, 0.1, n_max=300, index=i) for i, x in enumerate(xs)]
    assert list(g.certify_at_many(xs, 0.1, n_max=300)) == alone


def test_a_network_whose_rows_are_not_alike_shares_no_pass():
    """Where a row's scores depend on its place, counts must not depend on the neighbours."""

    class Placed(torch.nn.Module):
        def forward(self, x):
            place = torch.arange(len(x)).remainder(5) / 40
            margin = x.flatten(1)[:, 0] - 0.25 - place
            return torch.stack([margin, -margin, torch.full_like(margin, -9.0)], dim=1)

    g = smoothed(Placed(), plan=Plan("eager", rows=64))
    assert (
        not g.engine(SHAPE).rows_are_independent_of_place
        and smoothed(half_space).engine(SHAPE).rows_are_independent_of_place
    )
    xs = several(12)
    alone = [g.certify(x, 30, 100, 0.01, index=i) for i, x in enumerate(xs)]
    assert list(g.certify_many(xs, 30, 100, 0.01)) == alone
    for i, d in enumerate(g.certify_at_many(xs, 0.1, 0.01, 3000)):
        assert d.counts == tuple(g.counts(xs[i], sum(d.counts), Purpose.ESTIMATION, i))
        assert d.selection_counts == tuple(g.counts(xs[i], 100, Purpose.SELECTION, i))


@pytest.mark.parametrize("bad", [3, 0])
@pytest.mark.parametrize("method", ["predict", "certify", "early"])
def test_a_bad_example_costs_none_of_those_before_it(method, bad):
    xs = list(several(6))
    xs[bad] = xs[bad] + 0.01
    g = smoothed()
    calls = {
        "predict": lambda: g.predict_many(xs, 50),
        "certify": lambda: g.certify_many(xs, 10, 50),
        "early": lambda: g.certify_many(xs, 10, 50, early_abstain=True),
    }
    found = []
    with pytest.raises(ValueError, match="grid"):
        collect(calls[method](), found)
    assert len(found) == bad


def collect(items, found):
    for item in items:
        found.append(item)


def test_a_score_that_is_not_finite_costs_none_of_those_before_it():
    def base(x):
        scores = half_space(x)
        scores[x.flatten(1).mean(1) > 5] = math.nan
        return scores

    xs = [*several(4), torch.full(SHAPE, 10.0), *several(2)]
    found = []
    with pytest.raises(ValueError, match="finite scores"):
        collect(smoothed(base).certify_many(xs, 10, 50), found)
    assert len(found) == 4


def test_no_more_examples_are_read_than_belong_together():
    read = []

    def endless():
        while True:
            read.append(1)
            yield X

    g = smoothed(plan=Plan("frozen", rows=4096))
    labels = g.predict_many(endless(), 1)
    assert next(labels) == ABSTAIN and len(read) <= 1024


@pytest.mark.parametrize("rows", [7, 64, 1000])
def test_counts_are_those_at_the_last_look_that_showed_more(rows):
    """By the plainest loop: look after look, the rule told of one at a time."""

    def rule_at(stop, shows):
        def rule(k, t):
            assert (t[:-1] < t[1:]).all() and (k <= t).all()
            return t >= stop, np.isin(t, shows)

        return rule

    looks = sequential.looking_times(1000)
    cases = [(40, []), (40, [40]), (40, [12, 30, 45]), (int(looks[-3]), [11, int(looks[-5])]),
             (2000, []), (2000, [15]), (2000, [1000])]  # fmt: skip
    g = smoothed(plan=Plan("callable", rows=rows))
    examples = g._examples([X] * len(cases), None)
    rules = iter(cases)
    found = count_until_stopped(examples, 20, 1000, lambda example: rule_at(*next(rules)))
    for index, (_, selection, counts, drawn) in enumerate(found):
        stop, shows = cases[index]
        assert drawn == min(stop, 1000)
        rests_on = max([look for look in shows if look <= drawn], default=drawn)
        assert counts.tolist() == g.counts(X, rests_on, Purpose.ESTIMATION, index).tolist()
        assert selection.tolist() == g.counts(X, 20, Purpose.SELECTION, index).tolist()
    assert index == len(cases) - 1


class Layer(torch.nn.Module):
    """What runs below a base classifier: takes one channel, or is broken in some other way."""

    def __init__(self, broken=None):
        super().__init__()
        self.layer, self.broken = torch.nn.Conv2d(1, 3, 3), broken

    def __deepcopy__(self, memo):
        if self.broken == "copy":
            raise ZeroDivisionError("not to be copied")
        return copy.copy(self)

    def _apply(self, function, recurse=True):
        if self.broken == "move":
            raise ZeroDivisionError("not to be moved")
        return super()._apply(function, recurse)

    def forward(self, x):
        return self.layer(x).mean((2, 3))


@pytest.mark.parametrize("base", [Layer(), Layer().eval().forward])
@pytest.mark.parametrize("shape", [(2, 3, 3), (1, 1, 3, 3), (3,)])
def test_an_x_that_the_base_classifier_does_not_take_is_named(base, shape):
    g, x = smoothed(base), torch.zeros(shape)
    calls = (
        lambda: g.predict(x, 10),
        lambda: g.certify(x, 10, 20),
        lambda: g.certify_at(x, 0.1, n_max=20),
    )
    for call in calls:
        with pytest.raises(
            ValueError, match=r"^x must be one example, without a batch axis"
        ) as error:
            call()
        assert str(shape) in str(error.value) and error.value.__cause__ is not None
    assert g.predict(torch.zeros(SHAPE), 10) in (0, 1, 2, ABSTAIN)


def test_what_preparing_raises_is_not_put_on_x():
    with pytest.raises(TypeError, match=r"^base cannot be copied.*not to be copied"):
        smoothed(Layer("copy")).predict(torch.zeros(SHAPE), 10)


def test_a_preparation_that_fails_is_not_used():
    assert smoothed(Layer("move")).predict(torch.zeros(SHAPE), 10) in (0, 1, 2, ABSTAIN)


def test_what_the_library_raises_and_want_of_memory_stay_as_they_are():
    def hungry(x):
        raise torch.OutOfMemoryError("no more")

    with pytest.raises(torch.OutOfMemoryError, match=r"^no more"):
        smoothed(hungry).predict(X, 10)
    with pytest.raises(ValueError, match=r"^num_classes is 3"):
        smoothed(lambda x: x.flatten(1)).predict(X, 10)
