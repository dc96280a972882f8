"""Bounds that hold at all n: by interval arithmetic, and exactly over all paths of a run."""

import math
import re

import mpmath
import numpy as np
import pytest
from flint import arb
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import betabinom, binom

from rslib import sequential
from rslib.confidence import SMALLEST_ALPHA, lower_bound
from rslib.sequential import (
    is_above,
    is_hopeless,
    is_unlikely,
    least_successes,
    log_e_value,
    looking_times,
    sequential_lower_bound,
    sequential_upper_bound,
    stopped_lower_bound,
)


def arb_e_value(k: int, n: int, p: float) -> arb:
    """The mixture of bettors as the finite sum of the module's text, in interval arithmetic."""
    total, odds = arb(0), (1 - arb(p)) / arb(p)
    for b, weight in ((arb("0.5"), arb("0.6")), (arb(4), arb("0.4"))):
        term = b / (n - k + b)
        for j in range(k + 1):
            total += weight * term
            term *= odds * (k - j) / (n - k + b + j + 1)
    return total


@pytest.mark.parametrize(("b", "weight"), sequential.BETTORS)
@pytest.mark.parametrize(("k", "m"), [(0, 3), (5, 0), (7, 4), (30, 2)])
@pytest.mark.parametrize("p", [0.02, 0.5, 0.9])
def test_one_bettor_is_the_mean_wealth_over_the_stake(monkeypatch, b, weight, k, m, p):
    """The closed form is the integral of the wealth over the stake u ~ Beta(1, b)."""
    monkeypatch.setattr(sequential, "BETTORS", ((b, 1.0),))

    def wealth(s):  # u = 1 - s^(1/b) for uniform s, so that no density is needed
        u = 1 - s ** (1 / mpmath.mpf(b))
        return (1 + u * (1 - p) / p) ** k * (1 - u) ** m

    mean = mpmath.quad(wealth, [0, 0.001, 0.1, 0.5, 1])
    assert log_e_value(k, k + m, p) == pytest.approx(float(mpmath.log(mean)), abs=1e-8)


def test_the_bettors_share_one_coin():
    assert sum(weight for _, weight in sequential.BETTORS) == 1
    assert 0 < sequential.FINAL_SHARE < 1


@pytest.mark.parametrize("n", [1, 2, 10, 60, 400, 3000])
def test_log_e_value_is_rounded_down_and_close(arb_bits, n):
    rng = np.random.default_rng(n)
    for _ in range(12):
        k = int(rng.integers(0, n + 1))
        p = float(rng.uniform(0.02, 0.98)) if rng.random() < 0.3 else max(1e-3, k / n * 0.93)
        exact = arb_e_value(k, n, p).log()
        found = float(log_e_value(k, n, p))
        assert found <= exact + (found <= 0)  # no evidence: that is all that matters there
        assert arb(found) > exact - 2e-10 - 2e-14 * n or k < p * n


@pytest.mark.parametrize("k", [3, 30])
def test_log_e_value_of_a_thousand_million_has_its_margin(arb_bits, k):
    n, p = 10**9, 1e-9
    below = arb_e_value(k, n, p).log() - arb(float(log_e_value(k, n, p)))
    assert 5e-6 < below < 2e-5


def test_no_evidence_where_successes_are_too_few():
    """The wealth of one who bet on a class that comes no more often than the odds say."""
    k = np.arange(0, 51)
    assert (log_e_value(k, 100, 0.5) <= 0).all()
    assert log_e_value(0, 10**6, 0.5) < -5


def test_the_wealth_is_a_supermartingale(arb_bits):
    """One more trial: the mean wealth stays where the doubter is right to a hair, else it falls."""
    for k, n, p in ((0, 1, 0.3), (4, 9, 0.5), (60, 80, 0.7), (200, 200, 0.99)):
        now, won, lost = (arb_e_value(*at, p) for at in ((k, n), (k + 1, n + 1), (k, n + 1)))
        assert (arb(p) * won + (1 - arb(p)) * lost).overlaps(now)
        lower = arb(p) * 0.9
        assert lower * won + (1 - lower) * lost < now
        higher = arb(p) + 0.005
        assert higher * won + (1 - higher) * lost > now


@given(st.integers(1, 2000), st.floats(0, 1), st.floats(0.01, 0.98), st.floats(0.0001, 0.01))
@settings(max_examples=200, deadline=None, derandomize=True, database=None)
def test_the_evidence_falls_as_p_grows_and_grows_with_successes(n, share, p, step):
    k = int(share * n)
    value = float(log_e_value(k, n, p))
    assert max(log_e_value(k, n, p + step), 0) <= max(value, 0)
    if k < n:
        assert max(log_e_value(k + 1, n, p), 0) >= max(value, 0)


@pytest.mark.parametrize(
    ("k", "n"), [(1, 1), (9, 10), (10, 10), (700, 1000), (3, 2000), (2000, 2000)]
)
@pytest.mark.parametrize("alpha", [0.3, 0.001, 1e-12])
def test_sequential_bounds_are_sharp(arb_bits, k, n, alpha):
    low, high = sequential_lower_bound(k, n, alpha), sequential_upper_bound(n - k, n, alpha)
    assert type(low) is np.float64 and type(high) is np.float64
    assert arb_e_value(k, n, low) * alpha >= 1
    assert arb_e_value(k, n, 1 - high) * alpha >= 1
    for p in (low, 1 - high + 2.3e-16):
        assert arb_e_value(k, n, p * (1 + 1e-9)) * alpha < 1
    assert low < lower_bound(k, n, alpha)  # looking at all times has its price
    assert low >= lower_bound(k, n, alpha * min(1e-3, 1 / n) / 50)


def test_sequential_bounds_without_a_success_and_in_arrays():
    assert sequential_lower_bound(0, 10, 0.05) == 0 and sequential_upper_bound(10, 10, 0.05) == 1
    assert sequential_lower_bound(1, 10, 0.05) > 0
    low = sequential_lower_bound([[0], [50]], [50, 100], [0.01, 0.001])
    assert low.shape == (2, 2)
    for i, j in np.ndindex(2, 2):
        assert low[i, j] == sequential_lower_bound([0, 50][i], [50, 100][j], [0.01, 0.001][j])
    large = sequential_lower_bound(10**9, 10**9, 0.001)
    assert 1 - 2e-8 < large < lower_bound(10**9, 10**9, 0.001)


def boundary(n, shown):
    """At each t = 1..n the least k at which a test answers True (t + 1: none)."""
    least = []
    for t in range(1, n + 1):
        answers = shown(np.arange(t + 1), np.full(t + 1, t))
        assert (np.diff(answers.astype(int)) >= 0).all()  # more successes never hurt
        least.append(t + 1 - answers.sum())
    return least


def ever(p, least):
    """Exact probability that the number of successes ever reaches the boundary."""
    n = len(least)
    alive, crossed = np.zeros(n + 2), 0.0
    alive[0] = 1.0
    for at in least:
        alive[1:] = alive[1:] * (1 - p) + alive[:-1] * p
        alive[0] *= 1 - p
        crossed += alive[at:].sum()
        alive[at:] = 0
    return crossed


@pytest.mark.parametrize("p", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("alpha", [0.2, 0.01])
def test_the_exact_probability_of_ever_erring_is_below_alpha(p, alpha):
    """Looks after every one of 300 samples; and a good part of alpha is used."""
    n = 300
    least = boundary(n, lambda k, t: is_above(k, t, p, n, alpha))
    assert 0.25 * alpha < ever(p, least) <= alpha
    assert ever(p * 0.97, least) < ever(p, least)


def test_looking_often_at_clopper_and_pearson_errs_far_more_often():
    """The check above can fail: here is a bound that it rejects."""
    n, p, alpha = 300, 0.8, 0.01
    least = boundary(n, lambda k, t: lower_bound(k, t, alpha) > p)
    assert ever(p, least) > 5 * alpha


@pytest.mark.parametrize("p", [0.5, 0.9])
def test_is_above_at_the_last_sample_loses_little(p):
    n, alpha = 1000, 0.001
    fixed, last = (least_successes(p, n, alpha, sequential=s) for s in (False, True))
    assert lower_bound(fixed, n, alpha) > p >= lower_bound(fixed - 1, n, alpha)
    assert lower_bound(last, n, 0.2 * alpha) > p >= lower_bound(last - 1, n, 0.2 * alpha)
    assert is_above(last, n, p, n, alpha) and not is_above(last - 1, n, p, n, alpha)
    assert not is_above(last, n, p, n + 1, alpha)  # the same counts, but not at the end
    assert least_successes(0.999, 1000, 0.001) == 1001  # not even all of them would do


def test_is_above_follows_the_evidence():
    k = np.arange(101)
    expected = log_e_value(k, 100, 0.6) >= math.log(1 / (0.8 * 0.05))
    assert (is_above(k, 100, 0.6, 10**5, 0.05) == expected).all() and 0 < expected.sum() < 40


def test_is_above_takes_either_way_at_the_last_sample():
    """For one sample the evidence is the sharper one, for many the ordinary bound."""
    alpha = 0.01
    assert lower_bound(1, 1, 0.2 * alpha) < 0.3 * alpha
    assert is_above(1, 1, 0.3 * alpha, 1, alpha) and not is_above(1, 1, 0.5 * alpha, 1, alpha)
    ordinary = float(lower_bound(600, 1000, 0.2 * alpha))
    assert is_above(600, 1000, math.nextafter(ordinary, 0), 1000, alpha)
    assert not is_above(600, 1000, ordinary, 1000, alpha)  # "above", not "at least"


def test_the_ordinary_bound_waits_for_the_last_sample():
    alpha = 0.01
    last, before = lower_bound(600, 1000, 0.2 * alpha), sequential_lower_bound(600, 999, 0.008)
    assert last > before + 0.01
    assert stopped_lower_bound(600, 999, 1000, alpha) == pytest.approx(before, rel=1e-12)
    assert stopped_lower_bound(600, 1000, 1000, alpha) == last


def test_stirlings_series_holds_to_the_last_digit_from_where_it_is_used():
    """What the series leaves out is largest where it begins."""
    for x, most in ((16, 3e-14), (17, 2e-14), (20, 5e-15), (33, 5e-16), (10**5, 5e-16)):
        with mpmath.workdps(50):
            exact = mpmath.loggamma(x + 1) - (x + mpmath.mpf(1) / 2) * mpmath.log(x) + x
            exact -= mpmath.log(2 * mpmath.pi) / 2
        error = sequential._stirling_error(np.array(float(x))) / float(exact) - 1
        assert abs(error) < most


def test_sequential_functions_at_the_ends_of_what_they_accept():
    least = 100 * SMALLEST_ALPHA
    assert not is_above(30, 30, 0.5, 10**9, least) and is_above(300, 300, 0.5, 10**9, least)
    assert not is_above(30, 30, 0.5, 10**9, 1.005 * least)
    one = pytest.approx(sequential_lower_bound(1, 1, 0.08), rel=1e-12)
    assert stopped_lower_bound(1, 1, 1, 0.1) == one and stopped_lower_bound(1, 1, 10**9, 0.1) == one
    assert is_hopeless(0, 1, 2, 1, 0.1) and not is_hopeless(1, 1, 1, 1, 0.1)


@pytest.mark.parametrize(("k", "t"), [(80, 90), (400, 500), (500, 500), (0, 500), (0, 3)])
def test_stopped_lower_bound_is_where_is_above_turns(k, t):
    n, alpha = 500, 0.01
    bound = stopped_lower_bound(k, t, n, alpha)
    if bound > 0:
        assert is_above(k, t, bound - 1e-9, n, alpha)
    assert not is_above(k, t, bound + 1e-9, n, alpha)


@pytest.mark.parametrize("sequential", [False, True])
@pytest.mark.parametrize(("q", "alpha"), [(0.5, 0.2), (0.9, 0.02)])
def test_giving_up_reverses_the_outcome_with_probability_below_alpha(q, alpha, sequential):
    """Exactly, by recursion over all paths of 120 samples, at 30 true probabilities."""
    n = 120
    need = least_successes(q, n, alpha, sequential)
    give_up = [
        is_hopeless(np.arange(t + 1), np.full(t + 1, t), need, n, alpha) for t in range(1, n)
    ]
    largest, earliest = 0.0, n
    for p in np.linspace(q - 0.3, min(q + 0.1, 0.99), 30):
        alive, reversed_ = np.zeros(n + 1), 0.0
        alive[0] = 1.0
        for t, stops in enumerate(give_up, start=1):
            alive[1:] = alive[1:] * (1 - p) + alive[:-1] * p
            alive[0] *= 1 - p
            at = np.flatnonzero(stops)
            if at.size and alive[at].any():
                earliest = min(earliest, t)
                reversed_ += float(alive[at] @ binom.sf(need - at - 1, n - t, p))
                alive[at] = 0
        largest = max(largest, reversed_)
    assert 0 < largest <= alpha
    assert earliest < n / 2


@pytest.mark.parametrize(("need", "n"), [(900, 1000), (560, 1000), (51_000, 10**5)])
def test_hopeless_is_as_defined(need, n):
    """The failures so far against the Clopper-Pearson bound of what is missing."""
    alpha, t = 0.05, n * 6 // 10
    k = np.arange(need - (n - t), t + 1)  # no more missing than remain
    missing, left = need - k, n - t
    critical = lower_bound(np.maximum(missing, 1), left, 0.1 * alpha)
    against = log_e_value(t - k, t, 1 - critical) >= -math.log(0.9 * alpha)
    expected = against & (missing > 0) & (k / t < missing / left)
    found = is_hopeless(k, t, need, n, alpha)
    assert (found == expected).all() and 0 < expected.sum() < len(expected)


def test_hopeless_where_all_that_remain_are_missing():
    assert is_hopeless(0, 10**6, 1, 10**6 + 1, 0.5)  # one to come, after a million that did not
    assert not is_hopeless(0, 3, 1, 4, 0.01)


def test_hopeless_where_more_are_missing_than_remain():
    assert is_hopeless(0, 51, 950, 1000, 0.001) and is_hopeless(9, 10, 11, 11, 0.5)
    assert not is_hopeless(950, 960, 950, 1000, 0.001)  # they are there already
    assert not is_hopeless(50, 50, 950, 1000, 0.001)


def unlikely_after(n, need, chance):
    """For t = 1, ..., n - 1: at which k from 0 to t a run is given up."""
    return [is_unlikely(np.arange(t + 1), t, need, n, chance) for t in range(1, n)]


@pytest.mark.parametrize(("n", "need"), [(30, 16), (30, 29), (30, 30), (30, 1), (1000, 846)])
@pytest.mark.parametrize("chance", [0.001, 0.05, 0.5])
def test_unlikely_is_a_tail_of_the_beta_binomial_law(n, need, chance):
    """The law of the successes still to come, the probability having been uniform."""
    for t in range(1, n, 1 + n // 40):
        k = np.arange(t + 1)
        tail = betabinom.sf(need - k - 1, n - t, k + 1, t - k + 1)
        assert not np.isclose(tail, chance, rtol=1e-9).any()  # else rounding would decide
        assert (is_unlikely(k, t, need, n, chance) == (tail < chance)).all()


@pytest.mark.parametrize("chance", [0.01, 0.05])
@pytest.mark.parametrize("need", [61, 110])
def test_giving_up_the_unlikely_loses_less_than_the_chance_on_the_average(need, chance):
    """Exactly, over all paths of 120 samples of a uniform probability; a laxer rule loses more."""
    n, lost = 120, {}
    laxer = 4 * chance
    for rule in (chance, laxer):
        alive, total, stopped, earliest = np.ones(1), 0.0, 0.0, n
        for t, stops in enumerate(unlikely_after(n, need, rule), start=1):
            success = np.arange(1, t + 1) / (t + 1)  # given k of t - 1, Laplace's (k + 1)/(t + 1)
            alive = np.append(alive * (1 - success), 0) + np.append(0, alive * success)
            at = np.flatnonzero(stops & (alive > 0))
            if at.size:
                earliest = min(earliest, t)
                total += alive[at] @ betabinom.sf(need - at - 1, n - t, at + 1, t - at + 1)
                stopped += alive[at].sum()
                alive[at] = 0
        lost[rule] = total / stopped
        assert total / stopped < rule and earliest < n / 2 and stopped > 0.2
    assert lost[chance] < chance < lost[laxer]


def test_unlikely_at_the_edges():
    assert is_unlikely(0, 51, 950, 1000, 0.01)  # more are missing than remain
    assert not is_unlikely(950, 960, 950, 1000, 0.01)  # they are there already
    assert is_unlikely(1000, 1000, 1001, 1000, 0.5) and is_unlikely(500, 500, 1001, 1000, 0.5)
    assert not is_unlikely(1000, 1000, 1000, 1000, 0.5) and is_unlikely(999, 1000, 1000, 1000, 0.01)
    # One of one, and all of two: two in three of all probabilities, Laplace's rule.
    assert not is_unlikely(1, 1, 2, 2, 0.5) and not is_unlikely(1, 3, 2, 4, 0.4 - 1e-9)
    assert is_unlikely(1, 3, 2, 4, 0.4 + 1e-9)
    assert is_unlikely([[5], [90]], 100, [500, 850], 1000, 0.01).tolist() == [
        [True, True],
        [False, False],
    ]


def test_the_looking_times_grow_by_one_per_cent_at_most():
    found = looking_times(10**5)
    assert found[0] == 10 and found[-1] == 10**5 and len(found) < 900
    steps = np.diff(found)
    assert (steps >= 1).all() and (steps <= np.maximum(1, found[:-1] / 100)).all()
    assert looking_times(7).tolist() == [7]
    found[0] = 3
    assert looking_times(10**5)[0] == 10


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: log_e_value(1, 2, 1.0), "p must lie strictly between 0 and 1, got 1.0"),
        (lambda: log_e_value(3, 2, 0.5), "k must not exceed n, got k = 3 and n = 2"),
        (lambda: log_e_value(1.5, 2, 0.5), "k must be a whole number"),
        (lambda: sequential_lower_bound(1, 2, 0), "alpha must lie in"),
        (lambda: is_above(1, 2, 0.5, 2, 1e-29), "alpha must be a single number in"),
        (lambda: is_above(1, 2, 0.5, 2, [0.1, 0.2]), "alpha must be a single number in"),
        (lambda: is_above(1, 3, 0.5, 2, 0.1), "t must not exceed n, got t = 3 and n = 2"),
        (lambda: is_above(1, [2, 3], 0.5, 2, 0.1), "t must not exceed n, got t = 3 and n = 2"),
        (lambda: is_above(1, 2, 0.0, 2, 0.1), "p must lie strictly between 0 and 1, got 0.0"),
        (lambda: log_e_value(1, 2, 0.0), "p must lie strictly between 0 and 1, got 0.0"),
        (
            lambda: stopped_lower_bound(0, 0, 2, 0.1),
            "t must be a whole number from 1 to 10**9, got 0",
        ),
        (lambda: is_hopeless(1, 3, 2, 2, 0.1), "t must not exceed n, got t = 3 and n = 2"),
        (lambda: is_unlikely(1, 3, 2, 2, 0.1), "t must not exceed n, got t = 3 and n = 2"),
        (lambda: is_unlikely(3, 2, 2, 9, 0.1), "k must not exceed n, got k = 3 and n = 2"),
        (lambda: is_unlikely(1, 2, 2, 9, 0.0), "chance must be above 0 and at most 1/2, got 0.0"),
        (lambda: is_unlikely(1, 2, 2, 9, 0.6), "chance must be above 0 and at most 1/2, got 0.6"),
        (lambda: is_above(1, 2, 0.5, 10**10, 0.1), "n must be at most 1000000000"),
        (lambda: looking_times(0), "n must be at least 1, got 0"),
    ],
)
def test_sequential_functions_refuse(call, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        call()


def test_public_names():
    tests = ["is_above", "is_hopeless", "is_unlikely", "least_successes", "looking_times"]
    bounds = [
        "log_e_value",
        "sequential_lower_bound",
        "sequential_upper_bound",
        "stopped_lower_bound",
    ]
    assert sequential.__all__ == sorted([*tests, *bounds, "BETTORS", "FINAL_SHARE"])
