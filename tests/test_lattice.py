"""The radii that n samples can give, and what printed radii say of n and alpha."""

import itertools
from decimal import Decimal

import numpy as np
import pytest
from scipy.stats import beta, binom, norm

from rslib import lattice
from rslib.lattice import Printing, fingerprint, fit, printing, radii_of, stray_votes

SETTINGS = tuple(itertools.product((10_000, 100_000, 1_000_000), ("0.01", "0.001", "0.0005")))


def printed(n, alpha, sigma, strays, style="{:.3}"):
    """The radii of these numbers of votes against, as a program prints them."""
    radii = sigma * radii_of(n, alpha, max(strays))
    return [Decimal(style.format(radii[f])) for f in strays]


def near_the_top(rng, rows, depth=40):
    """Votes against in rows near the top: many unanimous, the others of all numbers."""
    means = rng.exponential(depth / 4, rows) * (rng.random(rows) < 0.7)
    return np.minimum(rng.poisson(means), depth)


def test_the_lattice_is_clopper_and_pearsons():
    found = radii_of(1000, "0.01", 30)
    k = 1000 - np.arange(31)
    assert found == pytest.approx(norm.ppf(beta.ppf(0.01, k, 1000 - k + 1)), rel=1e-9)
    assert np.all(np.diff(found) < 0)
    whole = radii_of(1000, "0.01")
    assert whole[-1] > 0 and np.array_equal(whole[:31], found)
    least = 1000 - (len(whole) - 1)  # one vote fewer certifies nothing
    assert binom.sf(least - 1, 1000, 0.5) < 0.01 <= binom.sf(least - 2, 1000, 0.5)
    assert len(radii_of(5, "0.01")) == 0  # 0.01^(1/5) is below one half


@pytest.mark.parametrize(
    ("texts", "style"),
    [
        (["0.165", "1.9", "2.0", "0.0"], Printing(digits=3)),
        (["0.951234", "1.250000", "0.000000"], Printing(decimals=6)),
        (["0.16523409", "1.9"], Printing(digits=8)),
        (["0.0"], Printing(digits=3)),
        (["1.96", "9.8e-05"], Printing(digits=3)),
    ],
)
def test_how_radii_were_printed(texts, style):
    assert printing(map(Decimal, texts)) == style


def test_the_unit_and_the_rounding():
    three = Printing(digits=3)
    units = [three.unit(value) for value in (0.0999, 0.1, 0.999, 1.0)]
    assert units == pytest.approx([1e-4, 1e-3, 1e-3, 1e-2])
    assert three.of(1.9559, down=False) == Decimal("1.96")
    assert three.of(1.9559, down=True) == Decimal("1.95")
    assert three.of(0.99961, down=False) == Decimal("1.000")
    assert Printing(decimals=6).of(0.9528649, down=True) == Decimal("0.952864")


@pytest.mark.parametrize(("n", "alpha"), SETTINGS)
@pytest.mark.parametrize("sigma", [0.12, 0.25])
def test_a_file_fits_its_own_lattice_and_no_other(n, alpha, sigma):
    radii = printed(n, alpha, sigma, [0] * 30 + list(range(25)))
    found = fingerprint(radii, sigma)
    assert (found.found.n, found.found.alpha) == (n, alpha)
    assert found.found.fits == found.found.of >= 30
    assert found.found.rounding == "nearest"


def test_radii_rounded_down_are_known_as_such():
    radii = sigma = 0.25
    radii = sigma * radii_of(100_000, "0.001", 300) - 1e-9
    down = [Decimal(np.floor(r * 1e6) / 1e6).quantize(Decimal("1e-6")) for r in radii]
    found = fingerprint(down, sigma).found
    assert (found.n, found.alpha, found.rounding, found.above) == (100_000, "0.001", "down", 0)
    assert found.fits == found.of == 301


def test_rounding_to_nearest_is_counted():
    """1.96 is above 0.5 * 3.9145 = 1.957, and 1.91 below 0.5 * 3.8233 = 1.912."""
    strays = [0] * 10 + [1] * 5 + [2] * 5
    exact = 0.5 * radii_of(100_000, "0.01", 2)
    radii = printed(100_000, "0.01", 0.5, strays)
    expected = sum(float(r) > exact[f] for r, f in zip(radii, strays, strict=True))
    assert fit(radii, 0.5, 100_000, "0.01").above == expected == 10


def test_one_radius_excludes_and_the_largest_alone_tells_nothing():
    radii = printed(100_000, "0.01", 0.25, [0] * 100)
    assert fingerprint(radii, 0.25).found is None  # one value, however often
    radii = printed(100_000, "0.001", 0.25, [0] * 50 + [1, 2, 3, 4, 5, 6])
    other = fit(radii, 0.25, 100_000, "0.01")  # no radius is too large for it
    assert other.beyond == 0 and other.fits < other.of
    assert fit(radii, 0.25, 100_000, "0.0005").beyond == 50


def test_radii_beyond_the_top_are_counted():
    radii = printed(100_000, "0.01", 0.5, [0, 0, 0, 1])
    assert fit(radii, 0.5, 100_000, "0.001").beyond == 3
    assert fit(radii, 0.5, 100_000, "0.01").beyond == 0


def test_a_damaged_row_does_not_hide_the_rest():
    radii = printed(100_000, "0.001", 0.25, [0] * 60 + list(range(1, 41)))
    damaged = [*radii, Decimal("0.947")]
    found = fingerprint(damaged, 0.25).found
    assert (found.alpha, found.of - found.fits) == ("0.001", 1)
    half = radii + printed(100_000, "0.01", 0.25, [0] * 60 + list(range(1, 41)))
    assert fingerprint(half, 0.25).found is None  # two runs in one file are no run


def test_the_error_rate_on_simulated_logs():
    """Of 9 settings x 12 logs for each number of rows, none may be named wrongly.

    In 2,700 simulated logs none was. If one in 100 were, 432 logs would show one with a probability
    of 0.987. At least half of those with 20 rows or more must be named rightly (four in five are:
    below 108 of 216 with a probability under 1e-20).
    """
    rng = np.random.default_rng(13)
    named = {5: 0, 10: 0, 20: 0, 100: 0}
    for rows in named:
        for n, alpha in SETTINGS * 12:
            sigma = float(rng.choice([0.12, 0.25, 0.5, 1.0]))
            radii = printed(n, alpha, sigma, near_the_top(rng, rows))
            found = fingerprint(radii, sigma).found
            assert found is None or (found.n, found.alpha) == (n, alpha)
            named[rows] += found is not None
    assert named[20] + named[100] >= 108
    assert named[5] < named[20]


def test_radii_from_no_lattice_are_not_named():
    """500 radii uniform up to 3.9 sigma: the chance of a name is below 0.05 each, of 20 together.

    Over 4 of 20 would happen with probability 0.0026 if each had 0.05; none does.
    """
    rng = np.random.default_rng(3)
    named = 0
    for _ in range(20):
        radii = [Decimal(f"{r:.3}") for r in 0.25 * rng.uniform(0, 3.9, 500)]
        named += fingerprint(radii, 0.25).found is not None
    assert named <= 4


def test_votes_from_printed_radii_and_back():
    strays = [0, 1, 5, 40, 400, 20_000]
    radii = printed(100_000, "0.01", 0.25, strays)
    found = stray_votes([*radii, Decimal("0.0"), Decimal("0.97")], 0.25, 100_000, "0.01")
    for f, (fewest, most) in zip(strays, found, strict=False):
        assert fewest <= f <= most
    assert found[0] == (0, 0) and found[-2:] == [None, None]
    widths = [most - fewest for fewest, most in found[:-2]]
    assert widths == sorted(widths)


def test_what_is_refused():
    with pytest.raises(ValueError, match="sigma must be positive, got 0"):
        fingerprint([Decimal("0.1")], 0)
    assert fingerprint([Decimal("0.0")], 0.5) == lattice.Fingerprint(None, ())
