"""The exact bounds against interval arithmetic and exact rational sums, and their coverage."""

import itertools
import math
import re
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from flint import arb, ctx
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special
from scipy.stats import binom

from rslib import confidence
from rslib.confidence import (
    hung_fithian_pvalue,
    is_above,
    is_hopeless,
    log_e_value,
    lower_bound,
    needed,
    run_lower_bound,
    runner_up_bounds,
    sequential_lower_bound,
    sequential_upper_bound,
    upper_bound,
)

NAN = float("nan")
INF = float("inf")


def tail(k: int, n: int, p: Fraction) -> Fraction:
    """P(Bin(n, p) >= k), exactly."""
    yes, total = p.numerator, p.denominator
    no = total - yes
    ways = sum(math.comb(n, j) * yes**j * no ** (n - j) for j in range(k, n + 1))
    return Fraction(ways, total**n)


def arb_tail(k: int, n: int, p: Fraction) -> arb:
    """P(Bin(n, p) >= k) as an interval that contains it."""
    if p > Fraction(1, 2):  # Arb is fast on the side of zero
        return 1 - arb_tail(n - k + 1, n, 1 - p)
    x = arb(p.numerator) / arb(p.denominator)
    return x.beta_lower(arb(k), arb(n - k + 1), True)


def assert_sharp(k: int, n: int, alpha: float, tail_of) -> None:
    """Both bounds are sound, and a little more than the promised slack further in they are not.

    The upper bound on n - k failures is the complement of the lower bound on k successes.
    """
    low, high = lower_bound(k, n, alpha), upper_bound(n - k, n, alpha)
    assert type(low) is np.float64 and type(high) is np.float64
    for p, spacing in (
        (Fraction(float(low)), np.spacing(low)),
        (1 - Fraction(float(high)), np.spacing(high)),
    ):
        assert 0 <= p < 1
        assert tail_of(k, n, p) <= alpha
        slack = 2 * Fraction(float(spacing)) + min(p, 1 - p) * Fraction(4, 10**14)
        assert tail_of(k, n, min(p + slack, Fraction(1))) > alpha


@pytest.fixture
def arb_bits():
    """Interval arithmetic with enough bits for tails down to 1e-30, restored afterwards."""
    previous, ctx.prec = ctx.prec, 240
    yield
    ctx.prec = previous


# ------------------------------------------------------------------ the bounds are exact


@pytest.mark.parametrize("alpha", [1e-12, 0.001, 0.05, 0.5, 0.75, 0.999])
def test_bounds_are_sound_and_sharp_by_exact_rational_sums(alpha):
    for n in (1, 2, 3, 10, 50):
        for k in range(1, n + 1):
            assert_sharp(k, n, alpha, tail)


@pytest.mark.parametrize("n", [100, 10**5, 10**7, 10**9])
def test_bounds_are_sound_and_sharp_up_to_a_thousand_million_samples(n, arb_bits):
    rng = np.random.default_rng(n)
    counts = {1, 2, 39, 40, 41, n // 2, n - 40, n - 39, n - 1, n}
    counts |= {int(k) for k in 10 ** rng.uniform(0, np.log10(n), 4)}
    counts |= {n - int(k) for k in 10 ** rng.uniform(0, np.log10(n), 4)} - {0}
    for k in sorted(counts):
        for alpha in (0.001, float(10 ** rng.uniform(-12, -0.31))):
            assert_sharp(k, n, alpha, arb_tail)


@pytest.mark.parametrize("alpha", [1e-30, 1e-18])
def test_bounds_at_extreme_confidence(alpha, arb_bits):
    for n in (10, 1000, 10**9):
        for k in (1, 2, 5, n // 2, n - 2, n):
            assert_sharp(k, n, alpha, arb_tail)


def test_newton_steps_repair_the_lower_tail(arb_bits):
    """SciPy's inverse is off by 8e-11 here; a step of twice the length would stay as far off."""
    k, n, alpha = 189_548_963, 10**9, 1.17e-10
    start = special.betaincinv(k, n - k + 1, alpha)
    assert abs(start / lower_bound(k, n, alpha) - 1) > 5e-11
    assert_sharp(k, n, alpha, arb_tail)


def test_scipy_alone_would_not_do():
    """The start of the Newton steps is off by more than 1e-10 at this point."""
    k, n, alpha = 2, 401_594_672, 0.027698087522728256
    start = special.betainccinv(k, n - k + 1, alpha)
    assert abs(start / upper_bound(k - 1, n, alpha) - 1) > 1e-10


def test_bounds_at_the_ends():
    for n in (1, 7, 10**9):
        assert lower_bound(0, n, 0.001) == 0
        assert upper_bound(n, n, 0.001) == 1
        assert lower_bound(n, n, 0.001) == pytest.approx(0.001 ** (1 / n), rel=3e-14)
        assert upper_bound(0, n, 0.001) == pytest.approx(-math.expm1(math.log(0.001) / n), 4e-14)


def test_the_smaller_side_keeps_its_digits():
    """Few failures among many trials: the upper bound on their rate is not 1 - (1 - ...)."""
    value = upper_bound(0, 10**9, 0.001)
    assert value == pytest.approx(6.907755255123595e-09, rel=4e-14)
    assert 1 - value <= 1 - 6.907755255123595e-09


def test_upper_is_the_mirror_of_lower():
    k = np.arange(0, 1001)
    np.testing.assert_allclose(upper_bound(k, 1000, 0.01), 1 - lower_bound(1000 - k, 1000, 0.01))


def test_bounds_are_monotone():
    k = np.arange(0, 3001)
    for alpha in (1e-6, 0.001, 0.4):
        for bound in (lower_bound, upper_bound):
            assert np.all(np.diff(bound(k, 3000, alpha)) > 0)
    assert np.all(np.diff(lower_bound(500, 1000, [1e-9, 0.001, 0.05, 0.5, 0.9])) > 0)
    assert np.all(np.diff(upper_bound(500, 1000, [1e-9, 0.001, 0.05, 0.5, 0.9])) < 0)


# ------------------------------------------------------------------ coverage


@pytest.mark.parametrize("alpha", [0.001, 0.05, 0.5])
@pytest.mark.parametrize("n", [1, 2, 9, 30])
def test_coverage_by_exact_sums(n, alpha):
    """The probability of a wrong bound, summed exactly, for a grid of p and just beside each bound.

    The worst p for the lower bound lie just below one of its values.
    """
    k = np.arange(n + 1)
    low, high = lower_bound(k, n, alpha), upper_bound(k, n, alpha)
    grid = [*np.linspace(0, 1, 33), *np.nextafter(low[1:], 0), *np.nextafter(high[:-1], 1)]
    worst = Fraction(0)
    for p in grid:
        q = Fraction(float(p))
        mass = [math.comb(n, j) * q**j * (1 - q) ** (n - j) for j in range(n + 1)]
        below = sum((m for m, bound in zip(mass, high, strict=True) if bound < p), Fraction(0))
        above = sum((m for m, bound in zip(mass, low, strict=True) if bound > p), Fraction(0))
        assert below <= alpha
        assert above <= alpha
        worst = max(worst, above)
    # Nothing is given away: at the worst p the lower bound fails with probability alpha.
    assert worst > alpha * (1 - 1e-9)


def test_mutant_two_sided_for_one_sided_bound():
    """Spending alpha / 2 on a one-sided bound gives a smaller one: alpha is spent once."""
    value = Fraction(float(lower_bound(90, 100, 0.05)))
    assert float(tail(90, 100, value)) == pytest.approx(0.05, rel=1e-10)
    assert float(lower_bound(90, 100, 0.05)) > lower_bound(90, 100, 0.025) + 0.005


def exact_multinomial_failure(p: list[Fraction], n: int, alpha: float, label: int) -> Fraction:
    """P(a bound of runner_up_bounds is wrong), summed over all count vectors."""
    p_a, p_b = p[label], max(q for c, q in enumerate(p) if c != label)
    failure = Fraction(0)
    for head in itertools.product(range(n + 1), repeat=len(p) - 1):
        if sum(head) > n:
            continue
        counts = [*head, n - sum(head)]
        low, high = runner_up_bounds(counts, label, alpha)
        if Fraction(float(low)) > p_a or Fraction(float(high)) < p_b:
            ways, mass = math.factorial(n), Fraction(1)
            for count, q in zip(counts, p, strict=True):
                ways //= math.factorial(count)
                mass *= q**count
            failure += ways * mass
    return failure


@pytest.mark.parametrize(
    "weights",
    [
        (1, 1, 1),
        (8, 1, 1),
        (1, 8, 8),
        (2, 5, 3),
        (30, 69, 1),
        (1, 0, 0),
        (2, 1, 1, 1),
        (6, 2, 2, 2),
    ],
)
@pytest.mark.parametrize("alpha", [0.1, 0.5])
def test_simultaneous_coverage_by_enumeration(weights, alpha):
    p = [Fraction(w, sum(weights)) for w in weights]
    assert exact_multinomial_failure(p, 8, alpha, label=0) <= alpha


def test_simultaneous_coverage_at_the_worst_two_class_point():
    """With two classes both bounds can fail for one p, and alpha / 2 each is what it takes."""
    n, alpha = 12, 0.3
    p = Fraction(float(np.nextafter(lower_bound(9, n, alpha / 2), 0)))
    failure = exact_multinomial_failure([p, 1 - p], n, alpha, label=0)
    assert 0.14 < failure <= alpha


# ------------------------------------------------------------------ runner-up bounds


def test_runner_up_bounds_are_the_one_sided_bounds_at_half_alpha():
    counts = [3, 70, 0, 20, 7]
    p_a_lower, p_b_upper = runner_up_bounds(counts, 1, 0.01)
    assert p_a_lower == lower_bound(70, 100, 0.005)
    assert p_b_upper == upper_bound(20, 100, 0.005)
    assert type(p_a_lower) is np.float64 and type(p_b_upper) is np.float64


def test_mutant_alpha_for_half_alpha_in_the_simultaneous_bounds():
    p_a_lower, p_b_upper = runner_up_bounds([70, 30], 0, 0.01)
    assert p_a_lower < lower_bound(70, 100, 0.01) - 1e-3
    assert p_b_upper > upper_bound(30, 100, 0.01) + 1e-3


def test_mutant_factor_of_rivals_in_the_simultaneous_bounds():
    """The number of rivals does not matter, only the largest of their counts."""
    few = runner_up_bounds([70, 30], 0, 0.01)
    many = runner_up_bounds([70, 30] + [0] * 998, 0, 0.01)
    assert few == many


def test_runner_up_bounds_when_the_label_is_not_the_top_class():
    p_a_lower, p_b_upper = runner_up_bounds(np.array([70, 30, 0]), np.int64(2), 0.01)
    assert p_a_lower == 0
    assert p_b_upper == upper_bound(70, 100, 0.005)
    assert runner_up_bounds([70, 30, 0], 0, 0.01)[1] == upper_bound(30, 100, 0.005)


def test_runner_up_bounds_at_the_edges_of_what_they_accept():
    assert runner_up_bounds([1, 0], 0, 0.5) == (lower_bound(1, 1, 0.25), upper_bound(0, 1, 0.25))
    low, high = runner_up_bounds([10**9, 0], 1, 0.5)
    assert low == 0 and high == 1


@pytest.mark.parametrize(
    "counts, label, alpha, error, message",
    [
        ([5, 6.5], 0, 0.1, ValueError, "counts must be a whole number from 0 to 10**9, got 6.5"),
        ([5, -1], 0, 0.1, ValueError, "counts must be a whole number from 0 to 10**9, got -1"),
        ([5, NAN], 0, 0.1, ValueError, "counts must be a whole number from 0 to 10**9, got nan"),
        ([5], 0, 0.1, ValueError, "counts must be one row of at least two classes, got shape (1,)"),
        (5, 0, 0.1, ValueError, "counts must be one row of at least two classes, got shape ()"),
        (
            [[5, 6], [7, 8]],
            0,
            0.1,
            ValueError,
            "counts must be one row of at least two classes, got shape (2, 2)",
        ),
        ([0, 0], 0, 0.1, ValueError, "counts must add up to between 1 and 10**9, got 0"),
        (
            [10**9, 1],
            0,
            0.1,
            ValueError,
            "counts must add up to between 1 and 10**9, got 1000000001",
        ),
        ([5, 6], 2, 0.1, ValueError, "label must lie in 0..1, got 2"),
        ([5, 6, 7], -1, 0.1, ValueError, "label must lie in 0..2, got -1"),
        ([5, 6], 0.0, 0.1, TypeError, "label must be an integer, got 0.0"),
        ([5, 6], None, 0.1, TypeError, "label must be an integer, got None"),
        ([5, 6], 0, 0.0, ValueError, "alpha must lie in [1e-30, 1), got 0.0"),
        ([5, 6], 0, [0.1], ValueError, "alpha must be a single number, got shape (1,)"),
        (
            ["5", "6"],
            0,
            0.1,
            TypeError,
            "counts must be a real number or an array of them, got ['5', '6']",
        ),
    ],
)
def test_runner_up_bounds_refuse(counts, label, alpha, error, message):
    with pytest.raises(error) as info:
        runner_up_bounds(counts, label, alpha)
    assert str(info.value) == message


# ------------------------------------------------------------------ Hung and Fithian's test


def exact_pvalue(top: int, second: int) -> Fraction:
    m = top + second
    return min(Fraction(1), 2 * sum(Fraction(math.comb(m, j), 2**m) for j in range(top, m + 1)))


def test_pvalue_by_exact_sums():
    for top in range(0, 45):
        for second in range(0, top + 1):
            value, truth = hung_fithian_pvalue(top, second), exact_pvalue(top, second)
            assert type(value) is np.float64
            assert truth <= Fraction(float(value)) <= truth * Fraction(1 + 2e-9)
            assert value <= 1


def test_pvalue_far_in_the_tail():
    for top, second in [(600, 400), (1000, 0), (100_000, 0), (1074, 0), (1076, 0)]:
        value, truth = Fraction(float(hung_fithian_pvalue(top, second))), exact_pvalue(top, second)
        assert truth <= value <= truth * Fraction(1 + 2e-9) + Fraction(1, 2**1073)


@pytest.mark.parametrize(
    "top, second",
    [(50_500, 49_500), (500_100_000, 499_900_000), (500_000_001, 499_999_999), (10**9, 0)],
)
def test_pvalue_of_many_samples(top, second, arb_bits):
    truth = 2 * arb(0.5).beta_lower(arb(top), arb(second + 1), True)
    value = arb(float(hung_fithian_pvalue(top, second)))
    assert truth <= value
    assert value <= truth * (1 + 2e-9) + arb(2) ** -1073


def test_pvalue_of_a_tie_is_one():
    for count in (0, 1, 7, 500_000_000):
        assert hung_fithian_pvalue(count, count) == 1


def test_mutant_one_sided_for_two_sided_pvalue():
    """Five heads in five throws: 1/16 two-sided, 1/32 one-sided."""
    assert hung_fithian_pvalue(5, 0) == pytest.approx(1 / 16, rel=2e-9)


def test_answers_are_wrong_with_probability_at_most_alpha():
    """Three classes, all count vectors: P(the test answers a class that is not the top one)."""
    n, alpha = 12, 0.2
    for weights in ((5, 4, 3), (34, 33, 33), (51, 49, 0), (40, 40, 20)):
        p = [Fraction(w, sum(weights)) for w in weights]
        wrong = Fraction(0)
        for i, j in itertools.product(range(n + 1), repeat=2):
            if i + j > n:
                continue
            counts = [i, j, n - i - j]
            second, top = sorted(counts)[1:]
            if counts[0] < top and hung_fithian_pvalue(top, second) <= alpha:
                ways = math.comb(n, i) * math.comb(n - i, j)
                wrong += ways * p[0] ** i * p[1] ** j * p[2] ** (n - i - j)
        assert 0 < wrong <= alpha


@pytest.mark.parametrize(
    "top, second, error, message",
    [
        (1, 2, ValueError, "count_second must not exceed count_top, got 2 and 1"),
        (1.5, 1, ValueError, "count_top must be a whole number from 0 to 10**9, got 1.5"),
        (-1, -2, ValueError, "count_top must be a whole number from 0 to 10**9, got -1"),
        (5, -2, ValueError, "count_second must be a whole number from 0 to 10**9, got -2"),
        (5, NAN, ValueError, "count_second must be a whole number from 0 to 10**9, got nan"),
        (
            10**9,
            1,
            ValueError,
            "count_top and count_second must add up to at most 10**9, got 1000000001",
        ),
        ([5, 6], 1, TypeError, "count_top must be a single number, got shape (2,)"),
        (5, [1], TypeError, "count_second must be a single number, got shape (1,)"),
        (True, 0, TypeError, "count_top must be a real number or an array of them, got True"),
    ],
)
def test_pvalue_refuses(top, second, error, message):
    with pytest.raises(error) as info:
        hung_fithian_pvalue(top, second)
    assert str(info.value) == message


# ------------------------------------------------------------------ shapes and refusals

BOUNDS = [lower_bound, upper_bound]


@pytest.mark.parametrize("bound", BOUNDS)
def test_bounds_broadcast(bound):
    k, alpha = np.array([[0], [40], [100]]), np.array([0.001, 0.05])
    values = bound(k, 100, alpha)
    assert values.shape == (3, 2) and values.dtype == np.float64
    for i, j in np.ndindex(3, 2):
        scalar = bound(int(k[i, 0]), 100, float(alpha[j]))
        assert type(scalar) is np.float64 and scalar == values[i, j]
    assert bound([], 10, 0.1).shape == (0,)
    assert bound(5, [10, 20], 0.1).shape == (2,)


@pytest.mark.parametrize("bound", BOUNDS)
@pytest.mark.parametrize(
    "k, n, alpha, message",
    [
        (4, 3, 0.1, "k must not exceed n, got k = 4 and n = 3"),
        ([1, 9], [5, 5], 0.1, "k must not exceed n, got k = 9 and n = 5"),
        (-1, 3, 0.1, "k must be a whole number from 0 to 10**9, got -1"),
        (1.5, 3, 0.1, "k must be a whole number from 0 to 10**9, got 1.5"),
        (NAN, 3, 0.1, "k must be a whole number from 0 to 10**9, got nan"),
        (0, 0, 0.1, "n must be a whole number from 1 to 10**9, got 0"),
        (0, 2.5, 0.1, "n must be a whole number from 1 to 10**9, got 2.5"),
        (0, 10**9 + 1, 0.1, "n must be a whole number from 1 to 10**9, got 1000000001"),
        (0, INF, 0.1, "n must be a whole number from 1 to 10**9, got inf"),
        (1, 3, 0.0, "alpha must lie in [1e-30, 1), got 0.0"),
        (1, 3, 9e-31, "alpha must lie in [1e-30, 1), got 9e-31"),
        (1, 3, 1.0, "alpha must lie in [1e-30, 1), got 1.0"),
        (1, 3, -0.1, "alpha must lie in [1e-30, 1), got -0.1"),
        (1, 3, NAN, "alpha must lie in [1e-30, 1), got nan"),
        (1, 3, [0.5, 2.0], "alpha must lie in [1e-30, 1), got 2.0"),
    ],
)
def test_bounds_refuse(bound, k, n, alpha, message):
    with pytest.raises(ValueError) as info:
        bound(k, n, alpha)
    assert str(info.value) == message


@pytest.mark.parametrize("bound", BOUNDS)
@pytest.mark.parametrize("name", ["k", "n", "alpha"])
@pytest.mark.parametrize("value", ["1", True, 1j, object, [[1], [1, 2]]])
def test_bounds_refuse_what_is_no_number(bound, name, value):
    with pytest.raises(TypeError) as info:
        bound(**{"k": 1, "n": 3, "alpha": 0.1, name: value})
    message = f"{name} must be a real number or an array of them, got {value!r}"
    assert str(info.value) == message


def test_bounds_accept_their_limits():
    assert lower_bound(1, 1, 0.5) == pytest.approx(0.5, rel=4e-14)
    assert 0 < lower_bound(10**9, 10**9, 1e-30) < 1
    assert lower_bound(3.0, np.int32(4), Fraction(1, 4)) == lower_bound(3, 4, 0.25)


def test_arguments_are_left_alone():
    k, alpha = np.array([1.0, 0.0, 5.0]), np.array([0.1, 0.2, 0.3])
    lower_bound(k, 5, alpha)
    upper_bound(k, 5, alpha)
    assert k.tolist() == [1.0, 0.0, 5.0] and alpha.tolist() == [0.1, 0.2, 0.3]


def test_public_names():
    fixed = ["lower_bound", "upper_bound", "runner_up_bounds", "hung_fithian_pvalue"]
    sequential = ["log_e_value", "sequential_lower_bound", "sequential_upper_bound", "looks"]
    sequential += ["is_above", "is_hopeless", "needed", "run_lower_bound"]
    assert confidence.__all__ == sorted(fixed + sequential)


# ------------------------------------------------------------------ sequential bounds


def arb_e_value(k: int, n: int, p: float) -> arb:
    """The mixture of bettors as the finite sum of the module's text, in interval arithmetic."""
    total, odds = arb(0), (1 - arb(p)) / arb(p)
    for b, weight in ((arb("0.5"), arb("0.6")), (arb(4), arb("0.4"))):
        term = b / (n - k + b)
        for j in range(k + 1):
            total += weight * term
            term *= odds * (k - j) / (n - k + b + j + 1)
    return total


@pytest.mark.parametrize(("b", "weight"), confidence.BETTORS)
@pytest.mark.parametrize(("k", "m"), [(0, 3), (5, 0), (7, 4), (30, 2)])
@pytest.mark.parametrize("p", [0.02, 0.5, 0.9])
def test_one_bettor_is_the_mean_wealth_over_the_stake(monkeypatch, b, weight, k, m, p):
    """The closed form is the integral of the wealth over the stake u ~ Beta(1, b)."""
    monkeypatch.setattr(confidence, "BETTORS", ((b, 1.0),))

    def wealth(s):  # u = 1 - s^(1/b) for uniform s, so that no density is needed
        u = 1 - s ** (1 / mpmath.mpf(b))
        return (1 + u * (1 - p) / p) ** k * (1 - u) ** m

    mean = mpmath.quad(wealth, [0, 0.001, 0.1, 0.5, 1])
    assert log_e_value(k, k + m, p) == pytest.approx(float(mpmath.log(mean)), abs=1e-8)


def test_the_bettors_share_one_coin():
    assert sum(weight for _, weight in confidence.BETTORS) == 1
    assert 0 < confidence.FINAL_SHARE < 1


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
    fixed, last = (needed(p, n, alpha, sequential=s) for s in (False, True))
    assert lower_bound(fixed, n, alpha) > p >= lower_bound(fixed - 1, n, alpha)
    assert lower_bound(last, n, 0.2 * alpha) > p >= lower_bound(last - 1, n, 0.2 * alpha)
    assert is_above(last, n, p, n, alpha) and not is_above(last - 1, n, p, n, alpha)
    assert not is_above(last, n, p, n + 1, alpha)  # the same counts, but not at the end
    assert needed(0.999, 1000, 0.001) == 1001  # not even all of them would do


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
    assert run_lower_bound(600, 999, 1000, alpha) == pytest.approx(before, rel=1e-12)
    assert run_lower_bound(600, 1000, 1000, alpha) == last


def test_sequential_functions_at_the_ends_of_what_they_accept():
    least = 100 * confidence.SMALLEST_ALPHA
    assert not is_above(30, 30, 0.5, 10**9, least) and is_above(300, 300, 0.5, 10**9, least)
    assert not is_above(30, 30, 0.5, 10**9, 1.005 * least)
    one = pytest.approx(sequential_lower_bound(1, 1, 0.08), rel=1e-12)
    assert run_lower_bound(1, 1, 1, 0.1) == one and run_lower_bound(1, 1, 10**9, 0.1) == one
    assert is_hopeless(0, 1, 2, 1, 0.1) and not is_hopeless(1, 1, 1, 1, 0.1)


@pytest.mark.parametrize(("k", "t"), [(80, 90), (400, 500), (500, 500), (0, 500), (0, 3)])
def test_run_lower_bound_is_where_is_above_turns(k, t):
    n, alpha = 500, 0.01
    bound = run_lower_bound(k, t, n, alpha)
    if bound > 0:
        assert is_above(k, t, bound - 1e-9, n, alpha)
    assert not is_above(k, t, bound + 1e-9, n, alpha)


@pytest.mark.parametrize("sequential", [False, True])
@pytest.mark.parametrize(("q", "alpha"), [(0.5, 0.2), (0.9, 0.02)])
def test_giving_up_reverses_the_outcome_with_probability_below_alpha(q, alpha, sequential):
    """Exactly, by recursion over all paths of 120 samples, at 30 true probabilities."""
    n = 120
    need = needed(q, n, alpha, sequential)
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


def test_looks_grow_by_one_per_cent_at_most():
    found = confidence.looks(10**5)
    assert found[0] == 10 and found[-1] == 10**5 and len(found) < 900
    steps = np.diff(found)
    assert (steps >= 1).all() and (steps <= np.maximum(1, found[:-1] / 100)).all()
    assert confidence.looks(7).tolist() == [7]
    found[0] = 3
    assert confidence.looks(10**5)[0] == 10


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
        (lambda: run_lower_bound(0, 0, 2, 0.1), "t must be a whole number from 1 to 10**9, got 0"),
        (lambda: is_hopeless(1, 3, 2, 2, 0.1), "t must not exceed n, got t = 3 and n = 2"),
        (lambda: is_above(1, 2, 0.5, 10**10, 0.1), "n must be a whole number"),
        (lambda: confidence.looks(0), "n must be a whole number from 1"),
    ],
)
def test_sequential_functions_refuse(call, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        call()
