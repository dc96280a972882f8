"""Paired counts: exact tests, intervals that hold as often as they say, power."""

import numpy as np
import pytest
from scipy import stats

from rslib import paired
from rslib.paired import (
    difference_interval,
    holm,
    images_needed,
    mcnemar_pvalue,
    mean_interval,
    power,
)


@pytest.mark.parametrize(("a", "b"), [(15, 4), (4, 15), (0, 9), (7, 7), (0, 0), (120, 80)])
def test_mcnemar_is_a_fair_coin(a, b):
    expected = stats.binomtest(a, a + b).pvalue if a + b else 1.0
    assert mcnemar_pvalue(a, b) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5])
@pytest.mark.parametrize("level", [0.05, 0.01])
def test_mcnemar_raises_a_false_alarm_as_rarely_as_it_says(share, level):
    """Exactly, by enumeration: N is binomial, and b given N a fair coin."""
    m, alarm = 300, 0.0
    for total in range(m + 1):
        weight = stats.binom.pmf(total, m, share)
        if weight < 1e-12:
            continue
        p_values = np.array([mcnemar_pvalue(b, total - b) for b in range(total + 1)])
        alarm += weight * stats.binom.pmf(np.arange(total + 1), total, 0.5)[p_values <= level].sum()
    assert alarm <= level
    assert alarm > (level / 8 if share < 0.1 else level / 2)  # and is of use


def test_holm():
    assert holm([0.01, 0.04, 0.03]).tolist() == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.6]).tolist() == [1.0, 1.0]
    assert holm([]).tolist() == []


def test_holm_raises_one_false_alarm_as_rarely_as_it_says():
    """Seven radii of two equal classifiers, whose answers at all radii depend on each other.

    4,000 comparisons; at a true rate of 0.05 more than 270 alarms (6.75%) have probability 4e-7.
    Without the correction there are far more.
    """
    rng = np.random.default_rng(2)
    m, alarms, uncorrected = 400, 0, 0
    for _ in range(4000):
        common = rng.random(m)
        a = common + 0.05 * rng.standard_normal(m)
        b = common + 0.05 * rng.standard_normal(m)
        p_values = []
        for limit in (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8):
            only_a, only_b = np.sum((a >= limit) & (b < limit)), np.sum((a < limit) & (b >= limit))
            p_values.append(mcnemar_pvalue(int(only_a), int(only_b)))
        alarms += holm(p_values).min() <= 0.05
        uncorrected += min(p_values) <= 0.05
    assert alarms <= 270
    assert uncorrected > 270


@pytest.mark.parametrize(
    ("only_a", "only_b"), [(0.0, 0.0), (0.01, 0.0), (0.02, 0.02), (0.1, 0.05), (0.3, 0.05)]
)
@pytest.mark.parametrize("images", [40, 500])
def test_the_interval_holds_the_difference(only_a, only_b, images):
    """2,000 draws at 95%: more than 147 misses of 2,000 would have probability 1e-6 at 5%."""
    rng = np.random.default_rng(7)
    draws = rng.multinomial(images, [only_a, only_b, 1 - only_a - only_b], size=2000)
    known, misses = {}, 0
    for a, b, _ in draws.tolist():
        low, high = known.setdefault((a, b), difference_interval(a, b, images))
        assert -1 <= low <= high <= 1
        misses += not low <= only_a - only_b <= high
    assert misses <= 147


def test_the_interval_goes_with_the_test():
    """It leaves 0 out exactly where the test rejects at four fifths of the error."""
    for a in range(30):
        for b in range(30):
            low, high = difference_interval(a, b, 100)
            assert (low > 0 or high < 0) == (a + b > 0 and mcnemar_pvalue(a, b) < 0.04)
            assert difference_interval(b, a, 100) == pytest.approx((-high, -low))


def test_the_interval_tightens():
    widths = [np.diff(difference_interval(m // 10, m // 20, m))[0] for m in (100, 1000, 10_000)]
    assert widths[0] > 2.5 * widths[1] > 6 * widths[2]


def test_the_interval_of_a_mean_holds_as_often_as_it_says():
    """Differences of radii: 80% are 0, the rest skewed. 4,000 intervals at 95% from 500 images.

    Student's t is approximate here; between 4% and 6.5% must miss. At a true 5% fewer than 160 or
    more than 260 of 4,000 have probability 0.003 together; measured over 100,000: 5.1%.
    """
    rng = np.random.default_rng(9)
    misses = 0
    for _ in range(4000):
        values = rng.exponential(0.5, 500) * (rng.random(500) < 0.2)
        _, low, high = mean_interval(values)
        misses += not low <= 0.1 <= high
    assert 160 <= misses <= 260
    exact = stats.t.interval(0.9, 3, loc=0.25, scale=stats.sem([0, 0, 0, 1]))
    assert mean_interval([0, 0, 0, 1], 0.9) == pytest.approx((0.25, *exact))


@pytest.mark.parametrize(
    ("m", "d", "s", "level"), [(500, 0.02, 0.1, 0.05), (500, 0.06, 0.1, 0.05), (60, 0.2, 0.2, 0.01)]
)
def test_power_against_simulation(m, d, s, level):
    """20,000 draws: five standard errors, exceeded by chance with probability 6e-7."""
    rng = np.random.default_rng(4)
    draws = rng.multinomial(m, [(s + d) / 2, (s - d) / 2, 1 - s], size=20_000)
    pairs, counts = np.unique(draws[:, :2], axis=0, return_counts=True)
    rejected = sum(
        n for (a, b), n in zip(pairs.tolist(), counts, strict=True) if mcnemar_pvalue(a, b) <= level
    )
    expected = power(m, d, s, level)
    assert abs(rejected / 20_000 - expected) < 5 * np.sqrt(expected * (1 - expected) / 20_000)


def test_power_without_a_difference_is_the_false_alarm():
    assert 0.02 < power(500, 0.0, 0.2) <= 0.05


def test_images_needed():
    m = images_needed(0.02, 0.1)
    assert power(m, 0.02, 0.1) >= 0.8 > power(m - 1, 0.02, 0.1)
    assert images_needed(0.02, 0.2) > 1.8 * m > 3 * images_needed(0.04, 0.1)
    assert images_needed(-0.02, 0.1) == m


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: mcnemar_pvalue(-1, 2), "only_a must be at least 0, got -1"),
        (
            lambda: difference_interval(3, 3, 5),
            "images must be at least only_a + only_b = 6, got 5",
        ),
        (lambda: difference_interval(3, 3, 9, 1.0), "confidence_level must lie between 0 and 1"),
        (lambda: holm([0.1, 1.5]), "pvalues must be a list of numbers in [0, 1]"),
        (lambda: mean_interval([1.0]), "differences must be at least two numbers, got 1"),
        (lambda: power(100, 0.2, 0.1), "differing must be positive, at least the difference 0.2"),
        (lambda: power(0, 0.02, 0.1), "images must be at least 1, got 0"),
        (lambda: images_needed(0, 0.1), "difference must not be 0"),
    ],
)
def test_what_is_refused(call, words):
    with pytest.raises(ValueError) as caught:
        call()
    assert words in str(caught.value)
    with pytest.raises(TypeError, match="only_a must be a whole number"):
        paired.mcnemar_pvalue(1.5, 2)
