"""The law of the grid sampler by chi-square tests, over up to 10^8 draws.

The expected counts are those of the ideal law, from ``scipy.stats.norm``. Each assertion is a test
at level 1e-6 with fixed seeds: a correct sampler fails it for one seed in a million.
"""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy.stats import chi2, norm

from rslib.noise import GridGaussian, Purpose, streams

LEVEL = 1e-6
RATIOS = ["1/2", "4", "153/5", "255/4", "255"]
ROWS = 1000


def integers(ratio, draws, shape=(8, 8), index=0, purpose=Purpose.ESTIMATION, seed=2026):
    """Yield int64 arrays of at most 1000 rows: K itself, drawn as noisy copies of 0 at step 1."""
    noise = GridGaussian(sigma=Fraction(ratio), step=1)
    origin = torch.zeros(shape, dtype=torch.int32)
    stream = noise.stream(origin, seed, purpose, index)
    left = draws // origin.numel()
    while left:
        rows = min(ROWS, left)
        yield stream.fill(torch.empty(rows, *shape)).long().numpy()
        left -= rows


def p_value_of_cells(counts, reach, ratio):
    """Chi-square of counts of -reach, ..., reach; cells expected fewer than 20 times are pooled."""
    edges = (np.arange(-reach, reach) + 0.5) / float(Fraction(ratio))
    upper = norm.sf(np.abs(edges))
    middle = np.where(
        np.signbit(edges[:-1]) == np.signbit(edges[1:]),
        np.abs(np.diff(upper)),
        1 - upper[:-1] - upper[1:],
    )
    expected = np.concatenate([upper[:1], middle, upper[-1:]]) * counts.sum()
    often = expected >= 20
    observed = np.append(counts[often], counts[~often].sum())
    expected = np.append(expected[often], expected[~often].sum())
    return chi2.sf(((observed - expected) ** 2 / expected).sum(), len(expected) - 1)


def check_cells(ratio, draws):
    reach = GridGaussian(Fraction(ratio), 1).reach
    counts = np.zeros(2 * reach + 1, dtype=np.int64)
    for k in integers(ratio, draws):
        counts += np.bincount(k.ravel() + reach, minlength=len(counts))
    assert counts.sum() == draws // 64 * 64
    assert p_value_of_cells(counts, reach, ratio) > LEVEL
    return counts


@pytest.mark.parametrize("ratio", RATIOS)
def test_cells(ratio):
    """4 million draws in all."""
    check_cells(ratio, 800_000)


@pytest.mark.slow
@pytest.mark.parametrize("ratio", RATIOS)
def test_cells_over_a_hundred_million_draws(ratio):
    check_cells(ratio, 20_000_064)


@pytest.mark.parametrize("ratio", RATIOS)
def test_chi_square_sees_a_small_error(ratio):
    """The same test refuses a sampler whose sigma is wrong by 2 per cent, and one whose mean is
    wrong by 4 per cent of sigma."""
    rng = np.random.default_rng(8)
    s, reach = float(Fraction(ratio)), GridGaussian(Fraction(ratio), 1).reach
    z = rng.standard_normal(800_000)
    for wrong in (np.floor(1.02 * s * z + 0.5), np.floor(s * z + 0.04 * s + 0.5)):
        counts = np.bincount(
            np.clip(wrong, -reach, reach).astype(int) + reach, minlength=2 * reach + 1
        )
        assert p_value_of_cells(counts, reach, ratio) < LEVEL
    right = np.bincount(np.floor(s * z + 0.5).astype(int) + reach, minlength=2 * reach + 1)
    assert p_value_of_cells(right, reach, ratio) > LEVEL


@pytest.mark.parametrize("ratio", [*RATIOS, "100000"])
def test_mean_and_variance(ratio):
    """z-tests over 2 million draws.

    Rounding adds 1/12 to the variance s^2, up to a term of size exp(-2 pi^2 s^2), which s = 1/2
    feels: the moments are summed from the ideal law.
    """
    s = float(Fraction(ratio))
    cells = np.arange(-math.ceil(10 * s) - 1, math.ceil(10 * s) + 2)
    mass = norm.cdf((cells + 0.5) / s) - norm.cdf((cells - 0.5) / s)
    variance = (mass * cells**2.0).sum()
    spread = math.sqrt((mass * cells**4.0).sum() - variance**2)
    k = np.concatenate([a.ravel() for a in integers(ratio, 2_000_000)]).astype(float)
    limit = norm.isf(LEVEL / 2)
    assert abs(k.mean()) < limit * math.sqrt(variance / k.size)
    assert abs((k**2).mean() - variance) < limit * spread / math.sqrt(k.size)


def groups(ratio):
    """Cut the integers into at most 8 groups of about equal mass: inner edges and exact masses."""
    s = float(Fraction(ratio))
    edges = np.unique(np.round(s * norm.ppf(np.arange(1, 8) / 8) - 0.5) + 0.5)
    return edges, np.diff(norm.cdf(np.concatenate([[-np.inf], edges, [np.inf]]) / s))


def p_value_of_pairs(a, b, mass):
    """Chi-square of pairs of group numbers against the product of the exact masses."""
    counts = np.bincount(a.ravel() * len(mass) + b.ravel(), minlength=len(mass) ** 2)
    expected = np.outer(mass, mass).ravel() * counts.sum()
    return chi2.sf(((counts - expected) ** 2 / expected).sum(), len(counts) - 1)


def grouped(ratio, draws, **key):
    edges, mass = groups(ratio)
    k = np.concatenate([a.ravel() for a in integers(ratio, draws, **key)])
    return np.searchsorted(edges, k), mass


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("lag", [1, 2, 3, 4, 5, 8, 64])
def test_coordinates_are_independent(ratio, lag):
    """Pairs at a distance, from neighbours in one 64-bit word to the same pixel of the next copy.

    Disjoint pairs (i, i + lag) with i div lag even, so that the chi-square law holds: 10^6 draws.
    """
    group, mass = grouped(ratio, 1_024_000)
    pairs = group[: group.size // (2 * lag) * 2 * lag].reshape(-1, 2, lag)
    assert p_value_of_pairs(pairs[:, 0], pairs[:, 1], mass) > LEVEL


OTHERS = ({"index": 1}, {"seed": 2027}, {"purpose": Purpose.SELECTION}, {"index": 2**32})


def p_values_of_streams(ratio, key):
    """Two streams coordinate by coordinate, and each a row behind the other: 10^6 pairs each."""
    (one, mass), (other, _) = grouped(ratio, 1_024_000), grouped(ratio, 1_024_000, **key)
    row = 64
    return [
        p_value_of_pairs(one, other, mass),
        p_value_of_pairs(one[row:], other[:-row], mass),
        p_value_of_pairs(one[:-row], other[row:], mass),
    ]


@pytest.mark.parametrize("ratio", RATIOS)
def test_streams_are_independent(ratio):
    """Neighbouring examples, seeds and purposes."""
    for key in OTHERS:
        assert min(p_values_of_streams(ratio, key)) > LEVEL


def p_value_of_blocks(ratio):
    """The first block of a stream and its second, coordinate by coordinate: 2 million draws."""
    group, mass = grouped(ratio, 2 * streams.BLOCK_VALUES)
    return p_value_of_pairs(*group.reshape(2, -1), mass)


@pytest.mark.parametrize("ratio", RATIOS)
def test_blocks_are_independent(ratio):
    assert p_value_of_blocks(ratio) > LEVEL


def test_pairs_see_blocks_that_repeat(monkeypatch):
    """The same test refuses a sampler that opens each block with the generators of the first."""
    of_parts = streams.seed_sequence
    monkeypatch.setattr(streams, "seed_sequence", lambda *key: of_parts(*key[:3], 0, *key[4:]))
    assert p_value_of_blocks("4") < LEVEL


@pytest.mark.parametrize("rows", [-1, 0, 1])
def test_pairs_see_a_stream_that_is_another_one_shifted(monkeypatch, rows):
    """The same test refuses a next example whose noise is this one's, a row earlier or later."""
    of_stream = GridGaussian.stream

    def shifted(self, prepared, seed, purpose, index):
        stream = of_stream(self, prepared, seed, purpose, 0)
        stream.fill(torch.empty(1 + rows * index, *prepared.shape))
        return stream

    monkeypatch.setattr(GridGaussian, "stream", shifted)
    assert min(p_values_of_streams("4", {"index": 1})) < LEVEL


def test_pairs_see_a_shared_stream():
    """The same test refuses one coordinate in a hundred that repeats its neighbour."""
    group, mass = grouped("4", 1_024_000)
    a, b = group.reshape(-1, 2).T.copy()
    b[::100] = a[::100]
    assert p_value_of_pairs(a, b, mass) < LEVEL
