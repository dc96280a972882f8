"""The law of the grid sampler: thresholds, guide table, and the bound on the total variation."""

import bisect
import itertools
from fractions import Fraction

import flint
import mpmath
import numpy as np
import pytest

from rslib.noise import GridGaussian
from rslib.noise import thresholds as thresholds_module
from rslib.noise.thresholds import guide_table, thresholds_of

# sigma / step for sigma 0.25 on the digits, and for sigma 0.12, 0.25 and 1 on 8-bit images.
RATIOS = [Fraction(r) for r in ("1/2", "1", "4", "153/5", "255/4", "255")]
LARGEST = Fraction(100_000)
ratios = pytest.mark.parametrize("ratio", RATIOS, ids=str)


def exact_upper_tail(ratio, k):
    x = (mpmath.mpf(2 * k + 1) * ratio.denominator) / (2 * ratio.numerator)
    return mpmath.erfc(x / mpmath.sqrt(2)) / 2


@ratios
def test_cell_probabilities_and_total_variation(ratio):
    """Each cell is exact to 2^-63, and all of them together to the bound that is taken off."""
    thresholds = [int(t) for t in thresholds_of(ratio)]
    reach = len(thresholds) // 2
    with mpmath.workdps(60):
        upper = [exact_upper_tail(ratio, k) for k in range(reach + 1)]
        exact = [*upper[::-1], *(1 - q for q in upper)]  # Phi(x_k) for k = -R-1, ..., R
        drawn = [mpmath.mpf(t) / 2**63 for t in [0, *thresholds, 2**63]]
        cells = [
            (b - a) - (d - c)
            for (a, b), (c, d) in zip(
                itertools.pairwise(drawn), itertools.pairwise(exact), strict=True
            )
        ]
        assert len(cells) == 2 * reach + 1
        assert max(map(abs, cells)) <= mpmath.mpf(2) ** -63 * (1 + mpmath.mpf(2) ** -29)
        total_variation = (sum(map(abs, cells)) + 2 * upper[reach]) / 2
        bound = GridGaussian(ratio, 1).total_variation(1)
        assert total_variation <= bound
        assert bound <= 2.0**-64 * (2 * reach + 3)
        assert ratio < 4 or total_variation > bound / 10  # the bound is not idle


@pytest.mark.parametrize("ratio", [*RATIOS, LARGEST], ids=str)
def test_thresholds_are_the_nearest_integers(ratio):
    """Against Arb's rigorous enclosures of the normal distribution function."""
    thresholds = thresholds_of(ratio)
    reach = len(thresholds) // 2
    if reach <= 5000:
        ks = range(reach)
    else:
        spread = np.random.default_rng(0).integers(0, reach, 3000)
        ks = sorted({0, 1, 2, reach - 2, reach - 1, *map(int, spread)})
    before, flint.ctx.prec = flint.ctx.prec, 256
    try:
        scale, root = flint.arb(2) ** 63, flint.arb(2).sqrt()
        for k in ks:
            x = flint.arb(flint.fmpq(2 * k + 1, 2) * ratio.denominator / ratio.numerator)
            exact = scale * (1 - (x / root).erfc() / 2)
            assert abs(exact - int(thresholds[reach + k])) <= 0.5 + 2.0**-30, k
    finally:
        flint.ctx.prec = before


@pytest.mark.parametrize("ratio", [*RATIOS, LARGEST], ids=str)
def test_symmetry_and_tail(ratio):
    thresholds = thresholds_of(ratio)
    reach = len(thresholds) // 2
    mirrored = np.uint64(2**63) - thresholds[::-1].astype(np.uint64)
    np.testing.assert_array_equal(thresholds.astype(np.uint64), mirrored)
    assert thresholds[0] >= 1
    assert (np.diff(thresholds) >= 0).all()
    with mpmath.workdps(60):  # the table stops exactly where the rest of the tail rounds to 0
        limit = mpmath.mpf(2) ** -64
        assert exact_upper_tail(ratio, reach) < limit <= exact_upper_tail(ratio, reach - 1)
    assert 9.0 * ratio - 1 < reach < 9.2 * ratio + 1


@pytest.mark.parametrize("ratio", [*RATIOS, LARGEST], ids=str)
def test_guide_table_agrees_with_the_thresholds(ratio):
    """All 65,536 entries: a settled one is K for every U with these top bits, others are open."""
    thresholds, guide = thresholds_of(ratio).tolist(), guide_table(ratio)
    open_entry = np.iinfo(guide.dtype).min
    reach = len(thresholds) // 2
    assert guide.shape == (2**16,)
    for g, entry in enumerate(guide.tolist()):
        lowest = bisect.bisect_right(thresholds, g << 47) - reach
        highest = bisect.bisect_right(thresholds, ((g + 1) << 47) - 1) - reach
        if lowest == highest:
            assert entry == lowest
        else:
            assert entry == open_entry
    assert (guide == open_entry).mean() < 0.03 or ratio == LARGEST


@pytest.mark.parametrize(
    ("reach", "kind"),
    [(127, np.int8), (128, np.int16), (32767, np.int16), (32768, np.int32)],
)
def test_guide_table_is_of_the_narrowest_type_that_holds_it(reach, kind, monkeypatch):
    """Its lowest value marks open entries: no K may be as low."""
    edges = np.linspace(2**47, 2**63 - 2**47, 2 * reach).astype(np.int64)
    monkeypatch.setattr(thresholds_module, "thresholds_of", lambda ratio: edges)
    guide = guide_table.__wrapped__(Fraction(1))
    assert guide.dtype == kind
    assert (guide[0], guide[-1]) == (-reach, reach)


def test_guide_table_at_its_edges(monkeypatch):
    """A threshold on the first U of an entry leaves it settled; one on the last U opens it."""
    edges = np.array([5 << 47, (9 << 47) - 1], dtype=np.int64)
    monkeypatch.setattr(thresholds_module, "thresholds_of", lambda ratio: edges)
    guide = guide_table.__wrapped__(Fraction(1))
    assert guide[[4, 5, 7, 9]].tolist() == [-1, 0, 0, 1]
    assert np.flatnonzero(guide == np.iinfo(guide.dtype).min).tolist() == [8]


@ratios
def test_total_variation_is_a_sum_rounded_up(ratio):
    noise = GridGaussian(ratio, 1)
    cells = len(thresholds_of(ratio)) + 1
    for d in (1, 64, 3072, 150_528):
        exact = d * (cells + 1) * (1 + Fraction(1, 2**29)) / 2**64
        assert exact <= Fraction(noise.total_variation(d)) <= exact * (1 + Fraction(1, 2**50))


def test_total_variation_of_pictures():
    """The order of magnitude: about 10^-18 a coordinate and unit of sigma / step."""
    assert 1e-13 < GridGaussian(0.5, 1 / 255).total_variation(3 * 32 * 32) < 4.1e-13
    assert 1e-11 < GridGaussian(1, 1 / 255).total_variation(3 * 224 * 224) < 4.1e-11
    with pytest.raises(ValueError, match=r"^d must be at least 1, got 0$"):
        GridGaussian(1, 1).total_variation(0)
