"""The closed forms against mpmath at 60 digits, their rounding, and what they refuse."""

import ast
import inspect
import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from mpmath import mpf
from scipy import special

from rslib import certificates
from rslib.certificates import (
    certified_radius,
    expected_norm,
    global_gradient_bound,
    jensen_gradient_bound,
    lipschitz_radius,
    local_gradient_bound,
    lp_radius,
    max_certified_radius,
    psi,
)

INF = float("inf")
NAN = float("nan")
TINY = 5e-324  # the smallest positive float64


@pytest.fixture(autouse=True)
def sixty_digits():
    with mpmath.workdps(60):
        yield


def Phi(x):
    return mpmath.erfc(-x / mpmath.sqrt(2)) / 2


def quantile(p) -> mpf:
    """The exact normal quantile: one step of Halley's method, then checked to 30 digits."""
    p = mpf(p)
    sign, tail = (1, p) if p < 0.5 else (-1, 1 - p)
    x = mpf(float(special.ndtri(float(tail))))
    u = (Phi(x) - tail) * mpmath.sqrt(2 * mpmath.pi) * mpmath.exp(x * x / 2)
    x -= u / (1 + x * u / 2)
    assert abs(Phi(x) - tail) <= mpf(10) ** -30 * tail
    return sign * x


def probabilities(count: int, seed: int = 1) -> np.ndarray:
    """Dense where it is hard: near 0 (subnormals too), near 1, near 1/2, at ndtri's branches."""
    rng = np.random.default_rng(seed)
    e2 = math.exp(-2)
    p = np.concatenate(
        [
            10 ** rng.uniform(-323, -0.31, count),
            10 ** rng.uniform(-16, -0.31, count),
            1 - 10 ** rng.uniform(-15.9, -0.31, count),
            0.5 - 10 ** rng.uniform(-16, -0.31, count),
            0.5 + 10 ** rng.uniform(-15.6, -0.31, count),
            e2 * rng.uniform(0.95, 1.05, count),
            1 - e2 * rng.uniform(0.95, 1.05, count),
            [TINY, 1e-310, 2.3e-308, 1e-15, 2**-54, 0.25, 0.75, 1 - 1e-15, 1 - 2**-53],
            [np.nextafter(0.5, 0), np.nextafter(0.5, 1)],
        ]
    )
    return p[(p > 0) & (p < 1) & (p != 0.5)]


def assert_close(value: float, truth: mpf, scale: mpf | None = None, relative=1e-12) -> None:
    scale = abs(truth) if scale is None else scale
    assert abs(mpf(float(value)) - truth) <= relative * scale


def assert_just_below(value: float, truth: mpf, scale: mpf | None = None) -> None:
    """Never above the truth, and no more than 1e-12 of the scale below it."""
    scale = abs(truth) if scale is None else scale
    assert mpf(float(value)) <= truth
    assert mpf(float(value)) >= truth - mpf(10) ** -12 * scale


# ------------------------------------------------------------------ Lipschitz radius


def test_lipschitz_radius_values():
    assert lipschitz_radius(0.75, 0.25, 1.0) == 0.25  # the default is the coordinate form
    assert lipschitz_radius(0.75, 0.25, 1.0, "coordinate") == 0.25
    assert lipschitz_radius(1, 0, 4) == 0.125
    assert lipschitz_radius(0.25, 0.75, 1.0) == -0.25
    assert lipschitz_radius(0.25, 0.25, 1.0) == 0
    truth = mpf(0.5) / (mpmath.sqrt(2) * mpf(0.3))
    assert_close(lipschitz_radius(0.75, 0.25, 0.3, metric="vector"), truth, relative=1e-15)


@pytest.mark.parametrize(
    "metric, direction",
    [
        # Each score moves at speed 1, so the gap closes at speed 2.
        ("coordinate", np.array([-1.0, 1.0])),
        # The whole vector moves at speed 1, so the gap closes at speed sqrt 2.
        ("vector", np.array([-1.0, 1.0]) / np.sqrt(2)),
    ],
)
def test_lipschitz_radius_is_attained(metric, direction):
    """A map of that Lipschitz constant ties at the radius: neither constant can be improved."""
    start = np.array([0.8, 0.2])
    radius = lipschitz_radius(*start, 3.0, metric)
    p_a, p_b = start + 3.0 * radius * direction
    assert p_a == pytest.approx(p_b, abs=1e-15)
    p_a, p_b = start + 3.0 * (radius * 0.999) * direction
    assert p_a > p_b


def test_mutant_sqrt2_dropped_from_the_vector_form():
    ratio = lipschitz_radius(0.9, 0.1, 2.0, "vector") / lipschitz_radius(0.9, 0.1, 2.0)
    assert ratio == pytest.approx(math.sqrt(2), rel=1e-15)


@pytest.mark.parametrize("metric", ["l2", "Coordinate", "", None])
def test_lipschitz_radius_refuses_other_metrics(metric):
    with pytest.raises(ValueError) as error:
        lipschitz_radius(0.9, 0.1, 1.0, metric)
    assert str(error.value) == f"metric must be 'coordinate' or 'vector', got {metric!r}"


# ------------------------------------------------------------------ expected norm, gradient bounds


def exact_norm(d: int) -> mpf:
    return mpmath.sqrt(2) * mpmath.gammaprod([mpf(d + 1) / 2], [mpf(d) / 2])


def test_expected_norm_over_all_dimensions():
    rng = np.random.default_rng(2)
    dims = [*range(1, 140), 3072, 150_528, 10**9, 2**53]
    dims += [int(x) for x in 10 ** rng.uniform(2, 15, 100)]
    for d, value in zip(dims, expected_norm(dims), strict=True):
        assert_close(value, exact_norm(d), relative=5e-15)


def test_expected_norm_satisfies_its_recursion():
    """E|z_d| E|z_(d+1)| = d, whichever of the two forms computes either factor."""
    d = np.arange(1, 300)
    np.testing.assert_allclose(expected_norm(d) * expected_norm(d + 1), d, rtol=1e-14)


def test_expected_norm_matches_its_definition():
    """d = 1 and d = 2 by quadrature of |z| over the normal density."""
    one = mpmath.quad(lambda x: 2 * x * mpmath.npdf(x), [0, 2, 10, 20])
    two = mpmath.quad(lambda r: r * r * mpmath.exp(-r * r / 2), [0, 2, 10, 20])
    assert_close(expected_norm(1), one)
    assert_close(expected_norm(2), two)


def test_mutant_d_for_sqrt_d_in_the_norm():
    """sqrt(d - 1) < E|z| < sqrt(d): neither d nor a constant."""
    d = np.array([1, 10, 100, 10_000, 10**9])
    assert np.all(expected_norm(d) < np.sqrt(d))
    assert np.all(expected_norm(d) > np.sqrt(d - 1))


def test_jensen_gradient_bound():
    assert_close(jensen_gradient_bound(3072, 0.25), exact_norm(3072) / mpf(0.25), relative=5e-15)
    assert jensen_gradient_bound(7, sigma=1) == expected_norm(7)


def test_global_gradient_bound():
    for sigma in (0.12, 1.0, 30.0, 1e-200, 1e200):
        truth = 1 / (mpf(sigma) * mpmath.sqrt(2 * mpmath.pi))
        assert_close(global_gradient_bound(sigma), truth, relative=1e-15)


def test_local_gradient_bound_over_the_whole_range():
    p = probabilities(80)
    for q, value in zip(p, local_gradient_bound(p, 0.3), strict=True):
        truth = mpmath.npdf(quantile(q)) / mpf(0.3)
        if q > 1e-306:  # below, the value itself is subnormal and has fewer digits
            assert_close(value, truth, relative=1e-14)
        else:
            assert_close(value, truth, scale=abs(truth) + mpf(10) ** 12 * TINY)


def test_local_gradient_bound_at_the_ends_and_the_middle():
    assert local_gradient_bound(0.0, 0.5) == 0 and local_gradient_bound(1.0, 0.5) == 0
    assert local_gradient_bound(0.5, 0.5) == pytest.approx(global_gradient_bound(0.5), rel=1e-15)
    p = np.array([0.1, 0.25, 0.375])
    np.testing.assert_allclose(local_gradient_bound(p, 2), local_gradient_bound(1 - p, 2), 1e-14)
    assert np.all(np.diff(local_gradient_bound(np.linspace(0.5, 1, 50), 1)) < 0)


@pytest.mark.parametrize("bound", [lambda s: local_gradient_bound(0.3, s), global_gradient_bound])
def test_mutant_sigma_for_one_over_sigma_in_a_gradient_bound(bound):
    assert bound(0.25) == pytest.approx(4 * bound(1.0), rel=1e-15)
    assert bound(4.0) == pytest.approx(bound(1.0) / 4, rel=1e-15)


def test_local_gradient_bound_is_attained_by_a_half_space():
    """The half-space's smoothed function is Phi(t / sigma): compare with its derivative."""
    sigma = mpf("0.7")
    for t in (-2.0, -0.3, 0.0, 1.1):
        slope = mpmath.diff(lambda s: Phi(s / sigma), mpf(t))
        value = local_gradient_bound(float(Phi(mpf(t) / sigma)), float(sigma))
        assert_close(value, slope, relative=1e-14)


# ------------------------------------------------------------------ psi


def test_psi_over_the_whole_range():
    p = probabilities(80, seed=3)
    for q, value in zip(p, psi(p), strict=True):
        assert_close(value, quantile(q), relative=2e-15)


def test_psi_at_the_ends_and_the_middle():
    assert psi(0.0) == -INF and psi(1.0) == INF and psi(0.5) == 0


def test_mutant_phi_for_its_inverse_in_psi():
    for p in (0.01, 0.3, 0.8, 0.999):
        assert_close(float(Phi(mpf(float(psi(p))))), mpf(p), relative=1e-14)


# ------------------------------------------------------------------ certified radius


@pytest.mark.parametrize("sigma", [1.0, 0.25, 0.12, 1e-3, 77.7])
def test_one_sided_radius_is_just_below_the_truth(sigma):
    p = probabilities(40, seed=4)
    for q, value in zip(p, certified_radius(p, sigma), strict=True):
        assert_just_below(value, mpf(sigma) * quantile(q))


def test_two_sided_radius_is_just_below_the_truth():
    rng = np.random.default_rng(5)
    p = probabilities(60, seed=6)
    p_a, p_b = rng.choice(p, 300), rng.choice(p, 300)
    p_a[:20] = p_b[:20]
    for a, b, value in zip(p_a, p_b, certified_radius(p_a, 0.3, p_b), strict=True):
        top = quantile(a)
        rival = -quantile(b) if mpf(a) + mpf(b) < 1 else top  # -Phi^-1(min(p_b, 1 - p_a))
        scale = mpf(0.3) / 2 * max(abs(top), abs(rival))
        assert_just_below(value, mpf(0.3) / 2 * (top + rival), scale)


def test_rounding_is_needed():
    """Without the margin the radius would be too large at a good share of the arguments."""
    p = probabilities(60, seed=7)
    truth = [quantile(q) for q in p]
    above = [mpf(float(v)) > t for v, t in zip(special.ndtri(p), truth, strict=True)]
    assert np.mean(above) > 0.2
    assert np.all(certified_radius(p, 1.0) < special.ndtri(p))


def test_two_sided_radius_near_the_line_where_the_bounds_add_up_to_one():
    """1 - p_a is not a float64 number there; the smaller of p_b and 1 - p_a is taken exactly."""
    for p_a, p_b in [
        (0.6 * 2**-53, 1 - 2**-53),
        (1.4 * 2**-53, 1 - 2**-53),
        (1 - 2**-53, 0.6 * 2**-53),
        (1 - 2**-53, 1.4 * 2**-53),
        (1e-20, 1.0),
        (1e-20, 1 - 2**-53),
    ]:
        top = quantile(p_a)
        rival = -quantile(p_b) if mpf(p_a) + mpf(p_b) < 1 else top
        truth = (top + rival) / 2
        assert_just_below(certified_radius(p_a, 1.0, p_b), truth)


def test_exact_values_of_the_radius():
    assert certified_radius(0.5, 0.7) == 0
    assert certified_radius(0.5, 0.7, 0.5) == 0
    assert certified_radius(1.0, 0.7) == INF
    assert certified_radius(0.0, 0.7) == -INF
    assert certified_radius(1.0, 0.7, 0.3) == INF
    assert certified_radius(1.0, 0.7, 0.0) == INF
    assert certified_radius(0.3, 0.7, 0.0) == INF
    assert certified_radius(0.0, 0.7, 0.3) == -INF
    assert certified_radius(0.0, 0.7, 1.0) == -INF


def test_signs():
    assert certified_radius(0.6, 1.0) > 0 > certified_radius(0.4, 1.0)
    assert certified_radius(0.3, 1.0, 0.1) > 0 > certified_radius(0.1, 1.0, 0.3)
    assert -1e-13 < certified_radius(0.3, 1.0, 0.3) < 0  # zero, rounded down


def test_the_loose_runner_up_bound_is_replaced():
    """p_b above 1 - p_a says nothing new: the one-sided radius holds."""
    for p_b in (0.3, 0.5, 0.9, 1.0):
        assert certified_radius(0.7, 0.5, p_b) == pytest.approx(
            certified_radius(0.7, 0.5), rel=2e-14
        )
    assert certified_radius(0.7, 0.5, 0.1) > certified_radius(0.7, 0.5)


def test_subnormal_and_overflowing_radii_are_rounded_down():
    for p, sigma in [(0.7, TINY), (0.4, TINY), (0.9, 1e-310), (0.1, 1e-310), (0.1, 1e308)]:
        with np.errstate(over="ignore"):
            value = certified_radius(p, sigma)
        assert mpf(float(value)) <= mpf(sigma) * quantile(p)
    with np.errstate(over="ignore"):
        assert certified_radius(1 - 1e-15, 1.7e308) == np.finfo(float).max


def test_mutant_phi_for_its_inverse_in_the_radius():
    assert certified_radius(0.8413447460685429, 1.0) == pytest.approx(1, rel=1e-14)
    assert certified_radius(0.9772498680518208, 1.0) == pytest.approx(2, rel=1e-13)


def test_mutant_sigma_for_one_over_sigma_in_the_radius():
    assert certified_radius(0.9, 0.25) == pytest.approx(certified_radius(0.9, 1.0) / 4, rel=1e-15)
    assert certified_radius(0.9, 4.0, 0.05) == pytest.approx(
        4 * certified_radius(0.9, 1.0, 0.05), rel=1e-15
    )


def test_mutant_half_dropped_from_the_radius():
    assert certified_radius(0.9, 1.0, 0.1) == pytest.approx(certified_radius(0.9, 1.0), rel=2e-14)
    gap = psi(0.6) - psi(0.2)
    assert certified_radius(0.6, 1.0, 0.2) == pytest.approx(gap / 2, rel=2e-14)


def test_mutant_two_sided_for_one_sided_radius():
    """Two parallel half-spaces with others between attain the two-sided radius, not another."""
    p_a, p_b, sigma = 0.6, 0.1, 0.5
    radius = float(certified_radius(p_a, sigma, p_b))
    a, b = quantile(p_a) * sigma, quantile(p_b) * sigma
    # A = {t <= a}, B = {t >= -b}: after a shift by r, P(A) = Phi((a-r)/sigma), P(B) = Phi((b+r)/..)
    assert_close(float(Phi((a - radius) / sigma)), Phi((b + radius) / sigma), relative=1e-13)
    assert radius > certified_radius(p_a, sigma)


@pytest.mark.parametrize("end", [0, 1])
def test_undefined_pairs_are_refused(end):
    with pytest.raises(ValueError) as error:
        certified_radius([0.5, end], 1.0, [0.5, end])
    assert str(error.value) == f"p_a and p_b must not both be {end}: the radius is undefined"
    with pytest.raises(ValueError, match="both be"):
        certified_radius(end, 1.0, p_b=end)
    with pytest.raises(ValueError, match="both be"):
        certified_radius(end, 1.0, p_b=[0.5, end])


# ------------------------------------------------------------------ lp radius


def test_lp_radius_is_just_below_the_truth():
    rng = np.random.default_rng(8)
    for d in (2, 3, 784, 3072, 150_528, 10**9, 2**53):
        for p in (2 + 1e-15, 2.0001, 2.5, 3.0, 4.0, 17.0, 1e6, 1e300, INF):
            for r in (1.0, -1.0, float(rng.uniform(0, 5)), 1e-300):
                exponent = mpf(1) / 2 - (0 if p == INF else 1 / mpf(p))
                assert_just_below(lp_radius(r, d, p), mpf(r) / mpf(d) ** exponent)


@pytest.mark.parametrize("p", [1, 1.5, 2, 2.0])
@pytest.mark.parametrize("r", [0.3, -0.3, 0.0, INF])
def test_lp_radius_up_to_two_is_the_l2_radius(p, r):
    assert lp_radius(r, 3072, p) == r


def test_lp_radius_of_special_values():
    assert lp_radius(0.0, 10, INF) == 0
    assert lp_radius(INF, 10, INF) == INF
    assert lp_radius(-INF, 10, 3) == -INF
    assert lp_radius(1.0, 1, INF) == pytest.approx(1, rel=2e-14)
    assert lp_radius(1e-323, 100, INF) <= 1e-324


def test_mutant_sqrt_d_dropped_or_d_for_sqrt_d():
    assert lp_radius(1.0, 100, INF) == pytest.approx(0.1, rel=2e-14)
    assert lp_radius(1.0, 16, 4) == pytest.approx(0.5, rel=2e-14)


def test_lp_ball_lies_in_the_l2_ball_and_touches_it():
    """The worst perturbation has equal entries for p > 2 and a single one for p < 2."""
    d, r2 = 50, 1.3
    for p in (3.0, 7.0):
        r = lp_radius(r2, d, p)
        equal = np.full(d, r / d ** (1 / p))
        assert np.linalg.norm(equal) == pytest.approx(r2, rel=1e-13)
    assert np.linalg.norm([lp_radius(r2, d, 1.2)]) == r2


# ------------------------------------------------------------------ largest radius of n samples


def exact_largest(n, alpha, sigma) -> mpf:
    with mpmath.workdps(120):  # 1 - alpha^(1/n) and the distance to 1/2 lose digits
        return +(mpf(sigma) * quantile(mpf(alpha) ** (mpf(1) / n)))


def test_max_certified_radius_is_just_below_the_truth():
    rng = np.random.default_rng(9)
    n = [1, 2, 3, 10, 100, 1000, 10**5, 10**9, 2**53]
    alpha = [0.001, 0.05, 0.5, 0.999, 1 - 2**-53, 1e-12, 1e-300, TINY, 0.25, 0.125]
    cases = [(a, b) for a in n for b in alpha]
    cases += [(int(10 ** rng.uniform(0, 9)), 10 ** rng.uniform(-12, -0.001)) for _ in range(200)]
    cases += [(int(10 ** rng.uniform(0, 3)), 10 ** rng.uniform(-300, -0.001)) for _ in range(200)]
    for n, alpha in cases:
        assert_just_below(max_certified_radius(n, alpha, 0.7), exact_largest(n, alpha, 0.7))


@pytest.mark.parametrize("n", [1, 2, 7, 52, 1000, 1060])
def test_max_certified_radius_keeps_its_digits_where_it_changes_sign(n):
    """alpha^(1/n) near 1/2: the radius is tiny, and a formula through the probability is noise."""
    assert max_certified_radius(n, 2.0**-n, 1.0) == 0
    for factor in (1 + 2**-52, 1 - 2**-53, 1 + 1e-10, 1 - 1e-10, 1.01, 0.99, 1.4, 1.42, 0.7, 0.71):
        alpha = 2.0**-n * factor
        if n < 1022:
            assert_just_below(max_certified_radius(n, alpha, 1.0), exact_largest(n, alpha, 1.0))


def test_max_certified_radius_published_values():
    values = max_certified_radius([10**3, 10**4, 10**5, 10**6], 0.001, 1.0)
    np.testing.assert_allclose(values, [2.4633, 3.1986, 3.8115, 4.3468], atol=5e-5)


def test_max_certified_radius_is_the_radius_of_a_clean_sweep():
    for n, alpha in [(10, 0.001), (100, 0.05), (1000, 0.5)]:
        one_sided = certified_radius(alpha ** (1 / n), 0.5)
        assert max_certified_radius(n, alpha, 0.5) == pytest.approx(one_sided, rel=1e-11)


def test_mutant_alpha_over_two_in_the_largest_radius():
    value = max_certified_radius(10**5, 0.001, 1.0)
    assert value == pytest.approx(float(exact_largest(10**5, 0.001, 1.0)), rel=1e-12)
    assert abs(value - exact_largest(10**5, 0.0005, 1.0)) > 0.02
    assert abs(value - exact_largest(10**5, 0.002, 1.0)) > 0.02


def test_mutant_sigma_for_one_over_sigma_in_the_largest_radius():
    assert max_certified_radius(10**5, 0.001, 0.25) == pytest.approx(
        max_certified_radius(10**5, 0.001, 1.0) / 4, rel=1e-15
    )


# ------------------------------------------------------------------ shapes and refusals

CALLS = {
    "lipschitz_radius": (lipschitz_radius, {"p_a": 0.9, "p_b": 0.1, "lipschitz": 2.0}),
    "expected_norm": (expected_norm, {"d": 5}),
    "jensen_gradient_bound": (jensen_gradient_bound, {"d": 5, "sigma": 0.5}),
    "global_gradient_bound": (global_gradient_bound, {"sigma": 0.5}),
    "local_gradient_bound": (local_gradient_bound, {"p": 0.3, "sigma": 0.5}),
    "psi": (psi, {"p": 0.3}),
    "certified_radius": (certified_radius, {"p_a": 0.9, "sigma": 0.5}),
    "certified_radius, two-sided": (certified_radius, {"p_a": 0.6, "sigma": 0.5, "p_b": 0.2}),
    "lp_radius": (lp_radius, {"l2_radius": 0.7, "d": 5, "p": 3.0}),
    "max_certified_radius": (max_certified_radius, {"n": 100, "alpha": 0.001, "sigma": 0.5}),
}
ARGUMENTS = [(call, name) for call, (_, kwargs) in CALLS.items() for name in kwargs]

PROBABILITY = ("lie in [0, 1]", [0.0, 1.0], [-TINY, 1 + 2**-52, -1.0, 1.5, NAN, INF, -INF])
POSITIVE = ("be positive and finite", [1e-300, 1e300], [0.0, -1.0, -TINY, NAN, INF, -INF])
WHOLE = (
    "be a whole number from 1 to 2**53",
    [1, 2, 2.0, 2**53],
    [0, -1, 0.5, 1.5, 2.0**53 + 2, 10**20, NAN, INF],
)
RULES = {
    "p_a": PROBABILITY,
    "p_b": PROBABILITY,
    "lipschitz": POSITIVE,
    "sigma": POSITIVE,
    "d": WHOLE,
    "n": WHOLE,
    "alpha": ("lie in (0, 1)", [TINY, 1 - 2**-53], [0.0, 1.0, -0.1, 1.1, NAN, INF]),
    "l2_radius": ("not be NaN", [0.0, -1.0, INF, -INF], [NAN]),
}


def rule(call: str, name: str):
    if name == "p" and call == "lp_radius":
        return "lie in [1, inf]", [1, 2, 1e300, INF], [1 - 2**-53, 0.0, -1.0, NAN, -INF]
    return PROBABILITY if name == "p" else RULES[name]


@pytest.mark.parametrize("call, name", ARGUMENTS)
def test_every_argument_is_checked(call, name):
    function, kwargs = CALLS[call]
    requirement, good, bad = rule(call, name)
    for value in good:
        assert not np.isnan(function(**{**kwargs, name: value}))
    for value in bad:
        with pytest.raises(ValueError) as error:
            function(**{**kwargs, name: value})
        assert str(error.value) == f"{name} must {requirement}, got {value}"
        with pytest.raises(ValueError) as error:  # inside an array: the offender is named
            function(**{**kwargs, name: np.array([kwargs[name], value, value], dtype=float)})
        assert str(error.value) == f"{name} must {requirement}, got {float(value)}"


@pytest.mark.parametrize("call, name", ARGUMENTS)
@pytest.mark.parametrize("value", ["0.5", 1j, True, [1, "x"], object, {}, [[1], [1, 2]]])
def test_arguments_that_are_no_numbers(call, name, value):
    function, kwargs = CALLS[call]
    with pytest.raises(TypeError) as error:
        function(**{**kwargs, name: value})
    message = f"{name} must be a real number or an array of them, got {value!r}"
    assert str(error.value) == message


@pytest.mark.parametrize("call, name", ARGUMENTS)
def test_every_argument_broadcasts(call, name):
    function, kwargs = CALLS[call]
    scalar = function(**kwargs)
    assert type(scalar) is np.float64
    column = function(**{**kwargs, name: np.full((3, 1), kwargs[name])})
    assert column.shape == (3, 1) and column.dtype == np.float64
    np.testing.assert_array_equal(column, scalar)
    assert function(**{**kwargs, name: []}).shape == (0,)
    first, *others = kwargs
    if others and name == first:
        mixed = {k: np.full((4,), v) for k, v in kwargs.items()} | {
            name: np.full((3, 1), kwargs[name])
        }
        np.testing.assert_array_equal(function(**mixed), np.full((3, 4), scalar))


def test_fractions_and_narrow_types_are_numbers():
    assert certified_radius(0.9, Fraction(1, 4)) == certified_radius(0.9, 0.25)
    assert certified_radius(np.float32(0.75), np.int8(1)) == certified_radius(0.75, 1.0)
    assert certified_radius([Fraction(3, 4), 1], 1)[0] == certified_radius(0.75, 1.0)


def test_none_is_refused_by_name():
    with pytest.raises(ValueError, match=r"^sigma must be positive and finite, got None$"):
        certified_radius(0.9, None)


def test_arguments_are_left_alone():
    p = np.array([0.6, 0.9])
    certified_radius(p, 0.5, p_b=np.array([0.2, 0.05]))
    max_certified_radius(10, p, 0.5)
    assert p.tolist() == [0.6, 0.9]


def test_the_module_imports_the_checks_alone():
    tree = ast.parse(inspect.getsource(certificates))
    modules = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            modules |= {f"{node.module}.{a.name}" for a in node.names}
    assert modules == {"numpy", "numpy.typing.ArrayLike", "scipy.special", "rslib._checks"}


def test_public_names():
    assert certificates.__all__ == sorted(call for call in CALLS if "," not in call)
