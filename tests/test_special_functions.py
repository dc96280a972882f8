"""The special functions that the bounds rest on, against interval arithmetic.

Where a bound has a margin, it is for errors as large as these and no larger. The arguments are
those at which libraries change their method, or are known to have erred: SciPy 1.17.1's inverses of
the incomplete beta function fail at a = 1000.
"""

import numpy as np
import pytest
from flint import arb
from scipy import special

WHOLE = [1, 2, 3, 10, 14, 15, 16, 39, 40, 41, 99, 100, 499, 500, 998, 999, 1000, 1001, 1002, 2000]
WHOLE += [4999, 5000, 10_000]


def exact(x) -> arb:
    return arb(float(x))


def worst(found, truths) -> float:
    """The largest relative error; a value that is no number counts as infinite."""
    errors = [
        abs(exact(value) / truth - 1) if np.isfinite(value) else arb("inf")
        for value, truth in zip(np.atleast_1d(found), truths, strict=True)
    ]
    return max(float(error.mid() + error.rad()) for error in errors)


def counts(n):
    few = [k for k in WHOLE if k < n]
    return np.array(sorted({*few, *(n - k for k in few)}), dtype=float)


@pytest.mark.parametrize("b", [0.5, 4.0])
@pytest.mark.parametrize("n", [1000, 1003, 2000, 10_100, 21_150, 100_000])
def test_tails_of_the_bettors(arb_bits, n, b):
    """What `log_e_value` asks for, where there is evidence: its margin is 1e-10."""
    k = counts(n)
    for deviations in (0.5, 3, 8):
        spread = np.sqrt(np.maximum(k * (n - k), n) / n**3)
        p = np.clip(k / n - deviations * spread, k / n * 1e-2, 1 - 1e-12)
        found = special.betainc(n - k + b, k + 1, 1 - p)
        truths = [
            exact(1 - q).beta_lower(exact(m + b), exact(j + 1), True)
            for j, m, q in zip(k, n - k, p, strict=True)
        ]
        usual = found > 1e-280
        kept = [truth for truth, one in zip(truths, usual, strict=True) if one]
        assert worst(found[usual], kept) < 3e-14


def test_tails_of_a_fair_coin(arb_bits):
    """What `hung_fithian_pvalue` asks for; its margin is 1e-9."""
    pairs = [(top, second) for top in WHOLE for second in WHOLE if 3 * second > top > second]
    pairs += [(second + more, second) for second in range(994, 1006) for more in (1, 90)]
    top, second = np.array(pairs, dtype=float).T
    found = special.betaincc(second + 1, top, 0.5)
    usual = found > 1e-280
    truths = [
        exact(0.5).beta_lower(exact(t), exact(s + 1), True)
        for t, s in zip(top[usual], second[usual], strict=True)
    ]
    assert worst(found[usual], truths) < 2e-14


def near(*places):
    """Floats around each place, closer than any other test would come."""
    return [float(p + j * np.spacing(p)) for p in places for j in range(-20, 21)]


def test_normal_quantile(arb_bits):
    """`certified_radius` takes off 1e-14; 1.0e-15 was the largest error seen."""
    p = [*(np.arange(1, 1000) / 1000), *near(np.exp(-2), 1 - np.exp(-2), np.exp(-32))]
    p += [*(2.0 ** -np.arange(1, 1074)), *(1 - 2.0 ** -np.arange(2, 54))]
    p = np.array([q for q in p if q != 0.5])
    found = special.ndtri(p)
    truths = []
    for q, x in zip(map(exact, p), map(exact, found), strict=True):
        # One Newton step from the value found: what is left is its square.
        below = (abs(x) / arb(2).sqrt()).erfc() / 2
        miss = below - q if x < 0 else (1 - q) - below
        truths.append(x - miss * (2 * arb.pi()).sqrt() * (x * x / 2).exp())
    assert worst(found, truths) < 2e-15


def test_other_functions_of_the_normal_law(arb_bits):
    rng = np.random.default_rng(0)
    x = np.concatenate([np.linspace(0, 9, 901), 10 ** rng.uniform(-300, 1, 500), near(2**-0.5)])
    root = arb(2).sqrt()
    normal = [1 - (exact(v) / root).erfc() / 2 for v in x]
    assert worst(special.ndtr(x), normal) < 1e-15  # of a radius asked for: margin 4e-15
    scaled = [(exact(v) ** 2).exp() * exact(v).erfc() for v in x]
    assert worst(special.erfcx(x), scaled) < 2e-15
    t = np.concatenate([np.arange(1, 1000) / 1998, 2.0 ** -np.arange(2, 1000.0)])
    assert worst(special.erfinv(t), [exact(v).erfinv() for v in t]) < 2e-15  # margin 1e-14


def test_gamma_functions(arb_bits):
    d = np.arange(1, 100.0)
    truths = [((exact(v) + 1) / 2).gamma() / (exact(v) / 2).gamma() for v in d]
    assert worst(special.gamma((d + 1) / 2) / special.gamma(d / 2), truths) < 2e-15
    x = 1 + np.arange(0, 16, 0.25)  # below Stirling's series; its margin is 1e-10
    error = [abs(exact(special.gammaln(v)) - exact(v).lgamma()) for v in x]
    assert max(map(float, error)) < 2e-14
