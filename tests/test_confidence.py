"""The exact bounds against interval arithmetic and exact rational sums, and their coverage."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from flint import arb
from scipy import special

from rslib import confidence
from rslib.confidence import hung_fithian_pvalue, lower_bound, runner_up_bounds, upper_bound

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


def _log_pmf(k, n, p):
    """log P(Bin(n, p) = k) by saddle-point expansion (0 < k < n): nothing of SciPy in it."""

    def deviance(x, mean):  # x log(x / mean) + mean - x, without cancellation near x = mean
        v = (x - mean) / (x + mean)
        power, near = 2 * x * v, (x - mean) * v
        for j in range(1, 12):
            power = power * v * v
            near = near + power / (2 * j + 1)
        far = x * np.log(x / mean) + mean - x
        return np.where(np.abs(v) < 0.1, near, far)

    def stirling(x):
        small = np.minimum(x, 20).astype(int)
        exact = np.array([math.log(math.factorial(m)) for m in range(21)])[small]
        exact -= (small + 0.5) * np.log(small) - small + 0.5 * math.log(2 * math.pi)
        y = 1 / (x * x)
        series = (1 / 12 - y * (1 / 360 - y * (1 / 1260 - y * (1 / 1680 - y / 1188)))) / x
        return np.where(x <= 20, exact, series)

    error = stirling(n) - stirling(k) - stirling(n - k)
    error = error - deviance(k, n * p) - deviance(n - k, n * (1 - p))
    return error + 0.5 * np.log(n / (2 * math.pi * k * (n - k)))


def log_tail_of_few(k, n, p, side):
    """log P(Bin(n, p) <= k) for side -1, log P(Bin(n, p) >= k) for side 1, term by term."""
    k, total, term, odds = k.astype(float), np.ones(k.shape), np.ones(k.shape), p / (1 - p)
    at = k
    for _ in range(2000):
        ratio = (n - at) / (at + 1) * odds if side > 0 else at / (n - at + 1) / odds
        term, at = term * ratio, at + side
        total += term
        if (term < 1e-18 * total).all():
            return _log_pmf(k, n, p) + np.log(total)
    raise AssertionError("the sum does not end")


def assert_tails_are_alpha(n, alpha, few=5000):
    """Bounds for every number of failures, and of successes, from 1 to 5000: their tails.

    Relative to alpha, 1e-11 is what MARGIN takes off at 5000; nothing may be above alpha beyond the
    rounding of this sum.
    """
    k = np.arange(1, min(few, n // 2) + 1)
    for side, p in ((-1, upper_bound(k, n, alpha)), (1, lower_bound(k, n, alpha))):
        surplus = log_tail_of_few(k, n, p, side) - math.log(alpha)
        assert (surplus < 1e-12).all(), (n, alpha, k[~(surplus < 1e-12)][:5])
        assert (surplus > -2e-11).all(), (n, alpha, k[~(surplus > -2e-11)][:5])


@pytest.mark.parametrize("n", [5003, 10_100, 21_150, 43_200, 87_300, 10**6, 10**8, 10**9])
def test_every_number_of_failures_and_successes(n):
    assert_tails_are_alpha(n, 0.001)


@pytest.mark.slow
def test_every_number_of_failures_and_successes_at_many_n():
    rng = np.random.default_rng(0)
    for n in (10 ** rng.uniform(3.7, 9, 150)).astype(int):
        assert_tails_are_alpha(int(n), float(rng.choice([0.001, 1e-6, 0.05, 0.4, 1e-12])))


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [0.001, 0.7, 1e-20])
def test_bounds_are_sound_for_every_number_of_failures_by_interval_arithmetic(alpha, arb_bits):
    for n in (87_300, 10**8):
        for failures in range(0, 5001):
            assert_sharp(n - failures, n, alpha, arb_tail)


@pytest.mark.parametrize("alpha", [0.001, 1e-6, 0.05, 0.7])
@pytest.mark.parametrize("failures", [998, 999, 1000])
def test_a_thousand(failures, alpha, arb_bits):
    """SciPy 1.17.1 has no usable inverse at a = 1000: the bound was NaN, or above the exact one."""
    for n in (10_089, 10_124, 21_131, 43_337, 87_243, 10**8, 10**9):
        assert_sharp(n - failures, n, alpha, arb_tail)
        assert_sharp(failures + 1, n, alpha, arb_tail)


@pytest.mark.parametrize("wrong", [math.nan, 0.0, 1.0, 1e-300, 0.999999, 0.3, -1.0, math.inf])
def test_the_start_does_not_matter(monkeypatch, wrong):
    """Neither for the bound nor, much, for the way there: Newton's steps in a bracket take 21."""
    k, n, alpha = np.array([1, 2, 40, 400, 700, 999, 1000, 70_000]), 10**5, [[0.001], [0.8]]
    low, high = lower_bound(k, n, alpha), upper_bound(k, n, alpha)
    for name in ("betaincinv", "betainccinv"):
        monkeypatch.setattr(special, name, lambda a, b, tail: np.full(a.shape, wrong))
    monkeypatch.setattr(confidence, "_ROUNDS", 22)
    np.testing.assert_allclose(lower_bound(k, n, alpha), low, rtol=1e-14)
    np.testing.assert_allclose(upper_bound(k, n, alpha), high, rtol=1e-14)
    assert lower_bound(n, n, 0.001) == pytest.approx(0.001 ** (1 / n), rel=3e-14)


def test_from_scipys_start_two_steps_are_enough(monkeypatch):
    monkeypatch.setattr(confidence, "_ROUNDS", 2)
    rng = np.random.default_rng(0)
    n = 10 ** rng.integers(1, 9, 400)
    k = (rng.random(400) * n).astype(int)
    for alpha in (1e-6, 0.001, 0.05, 0.7):
        assert np.isfinite(lower_bound(k, n, alpha) + upper_bound(k, n, alpha)).all()


@pytest.mark.parametrize("value", [math.nan, 0.3])
def test_no_bound_is_better_than_a_wrong_one(monkeypatch, value):
    """A tail that is not the tail of anything: an error, never a number."""
    monkeypatch.setattr(special, "betainc", lambda a, b, x: np.full(np.shape(a), value))
    with pytest.raises(ArithmeticError, match=r"^no bound for a tail of 0\.001 of Beta\(7, 94\)$"):
        lower_bound(7, 100, 0.001)


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
    bounds = ["lower_bound", "upper_bound", "runner_up_bounds", "hung_fithian_pvalue"]
    assert confidence.__all__ == sorted([*bounds, "LARGEST_N", "SMALLEST_ALPHA"])
