r"""Closed forms: Lipschitz radii, gradient bounds and the radius of Theorem 1.

Everything here is a formula in float64 that broadcasts over its arguments. Nothing is estimated:
the probabilities that come in are either true ones (theory chapters) or bounds on them
(:mod:`rslib.confidence`), and then a radius inherits their failure probability.

Rounding
--------
A radius that is too large by one unit in the last place is a false certificate. So the functions
that return a radius under randomized smoothing never return more than the exact value for the
float64 arguments they were given: they lower :math:`\Phi^{-1}` by the relative margin `MARGIN`
and round the last product down. They stay within a relative 1e-12 of the exact value (of the
larger term, where two are subtracted).

`MARGIN` was chosen from measurements with interval arithmetic. Over 10^6 arguments, log-uniform
in p from the smallest subnormal, in 1 - p and in abs(p - 1/2), and dense where SciPy's ``ndtri``
changes branch (p = exp(-2) and 1 - exp(-2)), the largest relative error of ``ndtri`` was 1.0e-15.
The arithmetic around it adds less than 1e-15. In `lp_radius`, which has no quantile, the power of
d is off by at most 5e-15. `MARGIN` is at least twice either sum.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from rslib import _checks

__all__ = [
    "certified_radius",
    "expected_norm",
    "global_gradient_bound",
    "jensen_gradient_bound",
    "lipschitz_radius",
    "local_gradient_bound",
    "lp_radius",
    "max_certified_radius",
    "psi",
]

# Relative amount by which an irrational function is moved to the safe side.
MARGIN = 1e-14

# Whole numbers beyond this are not all float64 numbers.
_LARGEST_WHOLE = 2**53

Float = float | np.ndarray


def lipschitz_radius(
    p_a: ArrayLike, p_b: ArrayLike, lipschitz: ArrayLike, metric: str = "coordinate"
) -> Float:
    r"""Radius within which a Lipschitz classifier cannot change its answer (Theorem 0).

    Parameters
    ----------
    p_a, p_b : array_like
        Scores of the top class and of the runner-up at x, in [0, 1].
    lipschitz : array_like
        Lipschitz constant L for the :math:`\ell_2` norm of the input, per input unit, positive.
    metric : {"coordinate", "vector"}
        What L bounds. ``"coordinate"``: every score is L-Lipschitz, and the gap between two
        scores is 2L-Lipschitz. ``"vector"``: the map to the whole score vector is L-Lipschitz in
        :math:`\ell_2`; then the gap is :math:`\sqrt2\,L`-Lipschitz, for the difference of two
        coordinates is :math:`\sqrt2` times a projection on a unit vector.

    Returns
    -------
    float or ndarray of float64
        :math:`(p_A - p_B)/(2L)` or :math:`(p_A - p_B)/(\sqrt2 L)`, an :math:`\ell_2` radius in
        input units. The answer is constant where :math:`\lVert\delta\rVert_2` is strictly less;
        at the radius itself the two scores can tie. Negative: nothing is certified. The value is
        rounded to nearest.

    Raises
    ------
    ValueError
        If a score lies outside [0, 1], `lipschitz` is not positive and finite, or `metric` is
        neither of the two words.
    TypeError
        If a number is not a real number.

    References
    ----------
    :cite:t:`lecture2023`, Theorem 0, with the constant for vector maps corrected. Derived in the
    chapter on Lipschitz certificates.

    Examples
    --------
    >>> lipschitz_radius(0.75, 0.25, lipschitz=1.0)
    np.float64(0.25)
    >>> round(lipschitz_radius(0.75, 0.25, lipschitz=1.0, metric="vector"), 6)
    np.float64(0.353553)
    """
    p_a, p_b = _checks.probabilities("p_a", p_a), _checks.probabilities("p_b", p_b)
    lipschitz = _checks.positives("lipschitz", lipschitz)
    if metric == "coordinate":
        factor = 2.0
    elif metric == "vector":
        factor = np.sqrt(2.0)
    else:
        raise ValueError(f"metric must be 'coordinate' or 'vector', got {metric!r}")
    return ((p_a - p_b) / (factor * lipschitz))[()]


def expected_norm(d: ArrayLike) -> Float:
    r"""Mean length of a standard normal vector in d dimensions.

    Parameters
    ----------
    d : array_like
        Dimension, a whole number from 1 to 2**53.

    Returns
    -------
    float or ndarray of float64
        :math:`\mathbb E\lVert z\rVert_2 = \sqrt2\,\Gamma(\tfrac{d+1}2)/\Gamma(\tfrac d2)`, to a
        relative 1e-14.

    Raises
    ------
    ValueError
        If d is not a whole number from 1 to 2**53.
    TypeError
        If d is not a real number.

    Notes
    -----
    The logarithms of two Gamma functions agree in all but a few digits when d is large, so
    their difference is useless there (a relative 1e-7 at d = 10^9). From d = 100 the asymptotic
    series of the ratio is used instead. In :math:`m = d - \tfrac12` it has even powers only:

    .. math:: \sqrt m\,\Bigl(1 + \frac1{16m^2} - \frac{19}{512m^4} + \frac{631}{8192m^6}
              - \frac{174317}{524288m^8} + \dots\Bigr),

    and the first term left out is below 4e-17 there.

    References
    ----------
    :cite:t:`lecture2023` bounds it by :math:`\sqrt d`. Derived in the chapter on Jensen's
    inequality.

    Examples
    --------
    >>> expected_norm([1, 2, 3072])
    array([ 0.79788456,  1.25331414, 55.42111548])
    """
    d = _whole("d", d)
    small = np.minimum(d, 100.0)  # keeps the Gamma functions of the unused branch finite
    m = np.maximum(d, 100.0) - 0.5
    u = m**-2
    series = 1 + u * (1 / 16 + u * (-19 / 512 + u * (631 / 8192)))
    ratio = np.sqrt(2.0) * special.gamma((small + 1) / 2) / special.gamma(small / 2)
    return np.where(d < 100, ratio, np.sqrt(m) * series)[()]


def jensen_gradient_bound(d: ArrayLike, sigma: ArrayLike) -> Float:
    r"""Gradient bound from moving the norm inside the expectation.

    Parameters
    ----------
    d : array_like
        Dimension of the input, a whole number from 1 to 2**53.
    sigma : array_like
        Standard deviation of the noise, in input units, positive.

    Returns
    -------
    float or ndarray of float64
        :math:`\mathbb E\lVert z\rVert_2/\sigma \ge \sup_x\lVert\nabla\hat f(x)\rVert_2` for
        every base function with values in [0, 1], per input unit. It grows like
        :math:`\sqrt d`; `global_gradient_bound` does not.

    Raises
    ------
    ValueError
        If d is not a whole number from 1 to 2**53 or `sigma` is not positive and finite.
    TypeError
        If an argument is not a real number.

    References
    ----------
    :cite:t:`lecture2023`, with the step through :math:`\lVert\mathbb E[z/\sigma]\rVert = 0`
    corrected. Derived in the chapter on Jensen's inequality.

    Examples
    --------
    >>> round(jensen_gradient_bound(3072, sigma=0.5), 4)
    np.float64(110.8422)
    """
    return (expected_norm(d) / _checks.positives("sigma", sigma))[()]


def global_gradient_bound(sigma: ArrayLike) -> Float:
    r"""Best gradient bound that holds at every point and in every dimension.

    Parameters
    ----------
    sigma : array_like
        Standard deviation of the noise, in input units, positive.

    Returns
    -------
    float or ndarray of float64
        :math:`1/(\sigma\sqrt{2\pi}) \ge \sup_x\lVert\nabla\hat f(x)\rVert_2` for every base
        function with values in [0, 1], per input unit. A half-space attains it.

    Raises
    ------
    ValueError
        If `sigma` is not positive and finite.
    TypeError
        If `sigma` is not a real number.

    References
    ----------
    :cite:t:`salman2019`, appendix A; here with the best constant, the value of
    `local_gradient_bound` at p = 1/2. Derived in chapter 5.

    Examples
    --------
    >>> round(global_gradient_bound(0.5), 6)
    np.float64(0.797885)
    """
    return (1 / (_checks.positives("sigma", sigma) * np.sqrt(2 * np.pi)))[()]


def local_gradient_bound(p: ArrayLike, sigma: ArrayLike) -> Float:
    r"""Gradient bound at a point where the smoothed function has the value p.

    Parameters
    ----------
    p : array_like
        Value :math:`\hat f(x)`, in [0, 1].
    sigma : array_like
        Standard deviation of the noise, in input units, positive.

    Returns
    -------
    float or ndarray of float64
        :math:`\varphi(\Phi^{-1}(p))/\sigma \ge \lVert\nabla\hat f(x)\rVert_2`, per input unit;
        0 at p = 0 and p = 1. It bounds the gradient at x alone and says nothing about other
        points: it is not a Lipschitz constant.

    Raises
    ------
    ValueError
        If `p` lies outside [0, 1] or `sigma` is not positive and finite.
    TypeError
        If an argument is not a real number.

    Notes
    -----
    Squaring :math:`x = \Phi^{-1}(p)` in the exponent would multiply its rounding error by
    :math:`x^2`, up to 1,400. With the scaled function
    :math:`\mathrm{erfcx}(t) = e^{t^2}\mathrm{erfc}(t)` there is no exponent left:
    :math:`\varphi(x) = q\sqrt{2/\pi}\,/\,\mathrm{erfcx}(-x/\sqrt2)` with :math:`q = \Phi(x)`.

    References
    ----------
    :cite:t:`lecture2023`, bound on :math:`L_x`; :cite:t:`salman2019`, appendix A. Derived in the
    chapter on the local bound.

    Examples
    --------
    >>> local_gradient_bound([0.5, 0.9, 1.0], sigma=1.0).round(6)
    array([0.398942, 0.175498, 0.      ])
    """
    p, sigma = _checks.probabilities("p", p), _checks.positives("sigma", sigma)
    q = np.minimum(p, 1 - p)  # 1 - p is exact where it is the smaller one
    inside = q > 0
    t = special.ndtri(np.where(inside, q, 0.5)) / -np.sqrt(2.0)
    return np.where(inside, q * (np.sqrt(2 / np.pi) / special.erfcx(t) / sigma), 0.0)[()]


def psi(p: ArrayLike) -> Float:
    r"""The scale on which a smoothed function has slope at most 1/sigma: the normal quantile.

    Parameters
    ----------
    p : array_like
        Probability, in [0, 1].

    Returns
    -------
    float or ndarray of float64
        :math:`\psi(p) = \Phi^{-1}(p)`, which solves :math:`\psi'(p) = 1/\varphi(\Phi^{-1}(p))`
        with :math:`\psi(1/2) = 0`; ``-inf`` at 0 and ``inf`` at 1. :math:`\psi\circ\hat f` is
        :math:`1/\sigma`-Lipschitz in :math:`\ell_2`. The value is rounded to nearest: build
        radii with `certified_radius`, which rounds down.

    Raises
    ------
    ValueError
        If `p` lies outside [0, 1].
    TypeError
        If `p` is not a real number.

    References
    ----------
    :cite:t:`salman2019`, appendix A; :cite:t:`lecture2023`. Derived in the chapter on ψ.

    Examples
    --------
    >>> psi([0.0, 0.5, 0.975]).round(6)
    array([    -inf, 0.      , 1.959964])
    """
    return special.ndtri(_checks.probabilities("p", p))[()]


def certified_radius(p_a: ArrayLike, sigma: ArrayLike, p_b: ArrayLike | None = None) -> Float:
    r"""Radius of Theorem 1, rounded down.

    Parameters
    ----------
    p_a : array_like
        Probability of the top class under noise, or a lower bound on it, in [0, 1].
    sigma : array_like
        Standard deviation of the noise, in input units, positive.
    p_b : array_like, optional
        Probability of the runner-up, or an upper bound on it, in [0, 1]. Left out, the bound
        that always holds is used: :math:`1 - p_A`.

    Returns
    -------
    float or ndarray of float64
        :math:`\frac\sigma2\bigl(\Phi^{-1}(p_A) - \Phi^{-1}(\min(p_B, 1 - p_A))\bigr)`, which is
        :math:`\sigma\Phi^{-1}(p_A)` in the one-sided form: an :math:`\ell_2` radius in input
        units. The smoothed classifier's answer is constant where
        :math:`\lVert\delta\rVert_2` is strictly less. Never above the exact value for the given
        float64 arguments, and within 1e-12 of it (relative to the larger term), with these
        values exact: 0 at p_a = 1/2 in the one-sided form, ``inf`` at p_a = 1 (then the base
        classifier is constant almost everywhere), ``-inf`` at p_a = 0.

        The value is signed. Zero or less means that nothing is certified, as where
        :math:`p_B > p_A` and the two add up to less than 1. Theorem 1 asks for
        :math:`p_A \ge p_B`; bounds from samples need not obey it, and the caller abstains where
        the radius is not positive.

        If the arguments are confidence bounds that fail together with probability at most
        :math:`\alpha`, so does the certificate.

    Raises
    ------
    ValueError
        If a probability lies outside [0, 1], `sigma` is not positive and finite, or the pair
        (p_a, p_b) is (0, 0) or (1, 1), for which the formula is :math:`\infty - \infty`.
    TypeError
        If an argument is not a real number.

    References
    ----------
    :cite:t:`cohen2019`, Theorem 1. Derived in the chapter on Theorem 1.

    Examples
    --------
    >>> round(certified_radius(0.99, sigma=0.5), 6)
    np.float64(1.163174)
    >>> round(certified_radius(0.7, sigma=0.5, p_b=0.1), 6)
    np.float64(0.451488)
    >>> certified_radius([0.5, 1.0], sigma=0.25)
    array([ 0., inf])
    """
    p_a, sigma = _checks.probabilities("p_a", p_a), _checks.positives("sigma", sigma)
    top = special.ndtri(p_a)
    if p_b is None:
        return _scaled_down(sigma, _lowered(top))
    p_b = _checks.probabilities("p_b", p_b)
    undefined = (p_a == p_b) & ((p_a == 0) | (p_a == 1))
    if undefined.any():
        value = np.broadcast_to(p_a, undefined.shape)[undefined][0]
        raise ValueError(f"p_a and p_b must not both be {value:g}: the radius is undefined")
    # Is p_b > 1 - p_a? Taking the larger one from 1 is exact whenever the answer can be yes.
    loose = np.minimum(p_a, p_b) > 1 - np.maximum(p_a, p_b)
    rival = np.where(loose, top, -special.ndtri(p_b))
    return _scaled_down(sigma, 0.5 * (_lowered(top) + _lowered(rival)))


def lp_radius(l2_radius: ArrayLike, d: ArrayLike, p: ArrayLike) -> Float:
    r"""The :math:`\ell_p` radius that an :math:`\ell_2` radius implies, rounded down.

    Parameters
    ----------
    l2_radius : array_like
        Certified :math:`\ell_2` radius in input units; infinities and negative values
        (nothing certified) pass through with their sign.
    d : array_like
        Dimension of the input, a whole number from 1 to 2**53.
    p : array_like
        Order of the norm, in [1, inf].

    Returns
    -------
    float or ndarray of float64
        The radius of the largest :math:`\ell_p` ball inside the :math:`\ell_2` ball, in input
        units: `l2_radius` itself for :math:`1 \le p \le 2` (attained on one coordinate) and
        :math:`r_2/d^{1/2-1/p}` for :math:`p > 2` (attained where all entries are equal). Never
        above the exact value, and within a relative 1e-12 of it.

    Raises
    ------
    ValueError
        If `l2_radius` is NaN, d is not a whole number from 1 to 2**53, or `p` is not in
        [1, inf].
    TypeError
        If an argument is not a real number.

    References
    ----------
    :cite:t:`lecture2023`, corollary for :math:`p \ge 2`. Derived in the chapter on the
    curse of dimensionality, with the case :math:`p < 2`.

    Examples
    --------
    >>> round(lp_radius(1.0, d=3072, p=float("inf")) * 255, 4)
    np.float64(4.6008)
    >>> lp_radius(1.0, d=3072, p=1)
    np.float64(1.0)
    """
    radius = _checks.array("l2_radius", l2_radius, lambda r: ~np.isnan(r), "not be NaN")
    d = _whole("d", d)
    p = _checks.array("p", p, lambda p: p >= 1, "lie in [1, inf]")
    shrink = d ** -np.maximum(0.5 - 1 / p, 0.0)
    return np.where(p > 2, _scaled_down(shrink, _lowered(radius)), radius)[()]


def max_certified_radius(n: ArrayLike, alpha: ArrayLike, sigma: ArrayLike) -> Float:
    r"""Largest radius that n samples can certify, rounded down.

    Parameters
    ----------
    n : array_like
        Number of samples, a whole number from 1 to 2**53.
    alpha : array_like
        Failure probability of the certificate, in (0, 1).
    sigma : array_like
        Standard deviation of the noise, in input units, positive.

    Returns
    -------
    float or ndarray of float64
        :math:`\sigma\Phi^{-1}(\alpha^{1/n})`, an :math:`\ell_2` radius in input units: what
        `certified_radius` gives when all n samples fall in the top class, whose one-sided
        Clopper-Pearson bound is then :math:`\alpha^{1/n}`. Certified accuracy is 0 beyond it.
        Never above the exact value, and within a relative 1e-12 of it; exactly 0 where
        :math:`\alpha = 2^{-n}`, negative where n is too small to certify anything.

    Raises
    ------
    ValueError
        If n is not a whole number from 1 to 2**53, `alpha` does not lie in (0, 1), or `sigma` is
        not positive and finite.
    TypeError
        If an argument is not a real number.

    Notes
    -----
    Three forms, each where it keeps its digits. For :math:`\alpha^{1/n}` near 1 its distance
    to 1 comes from ``expm1``. Near 1/2 the excess :math:`2\alpha^{1/n} - 1` comes from the
    logarithm of :math:`2^n\alpha`, with the powers of two counted exactly, and
    :math:`\Phi^{-1}((1+t)/2) = \sqrt2\,\mathrm{erf}^{-1}(t)`. Below, the direct form is good.

    References
    ----------
    :cite:t:`cohen2019`, section 3.2.2. Derived in the chapter on experiments.

    Examples
    --------
    >>> max_certified_radius([1_000, 100_000], alpha=0.001, sigma=1.0).round(4)
    array([2.4633, 3.8115])
    """
    n, sigma = _whole("n", n), _checks.positives("sigma", sigma)
    alpha = _checks.array("alpha", alpha, lambda a: (a > 0) & (a < 1), "lie in (0, 1)")
    mantissa, exponent = np.frexp(alpha)
    # Move the mantissa to [0.7, 1.4), so that no digits cancel between the two logarithms below.
    shift = mantissa < np.sqrt(0.5)
    mantissa, exponent = np.ldexp(mantissa, shift), exponent - shift
    excess = np.expm1((np.log(mantissa) + (exponent + n) * np.log(2.0)) / n)
    log_p = np.log(alpha) / n
    quantile = np.select(
        [np.abs(excess) < 0.5, excess > 0],
        [np.sqrt(2.0) * special.erfinv(excess), -special.ndtri(-np.expm1(log_p))],
        special.ndtri(np.exp(log_p)),
    )
    return _scaled_down(sigma, _lowered(quantile))


def _lowered(x: np.ndarray) -> np.ndarray:
    """x moved down by the relative margin; 0 and the infinities stay."""
    return x * (1 - np.copysign(MARGIN, x))


def _scaled_down(scale: np.ndarray, x: np.ndarray) -> Float:
    """The product rounded down, so that neither underflow nor overflow lifts it above the truth."""
    product = scale * x
    return np.where((x == 0) | np.isinf(x), product, np.nextafter(product, -np.inf))[()]


def _whole(name: str, value: ArrayLike) -> np.ndarray:
    return _checks.wholes(name, value, 1, _LARGEST_WHOLE, "2**53")
