r"""Exact confidence bounds and tests from counts.

The bounds are those of Clopper and Pearson: they hold for every n and every true probability,
with no normal approximation.

Rounding
--------
A bound that is tighter than the exact one by a single unit in the last place no longer has the
confidence that it claims. So `lower_bound` never returns more than the exact bound for the float64
`alpha` it was given, and `upper_bound` never less. SciPy's inverse of the incomplete beta function
gives the start. Its relative error reaches 2e-10 at n = 10^8 and 5e-9 at n = 10^9, on either side,
and for a = 1000 exactly SciPy 1.17.1 returns values that are off by a factor of two and more. So
Newton steps on the tail itself follow until they no longer move the root, inside a bracket that
elementary inequalities guarantee; where they do not settle, ArithmeticError is raised, and no
number returned (no such case is known). `MARGIN`, relative to the smaller of p and 1 - p, then
moves the bound to the safe side: it was chosen from the largest error left in over 75,000 random
(k, n, alpha) up to n = 10^9, most of them with at most 60 successes or failures, measured with
interval arithmetic: 2.2e-15 for alpha from 1e-12, and 5.7e-15 from 1e-30. What lies beyond is
refused. At most 3e-14 of min(p, 1 - p) is lost, and two units in the last place of the value
returned.
"""

import operator

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from rslib import _checks

__all__ = [
    "LARGEST_N",
    "SMALLEST_ALPHA",
    "hung_fithian_pvalue",
    "lower_bound",
    "runner_up_bounds",
    "upper_bound",
]

# Relative amount by which a bound is moved to the safe side.
MARGIN = 2e-14

#: The largest number of samples that bounds are given for; MARGIN was measured up to here.
LARGEST_N = 10**9

#: The smallest failure probability that bounds are given for; MARGIN was measured down to here.
SMALLEST_ALPHA = 1e-30

# Newton's steps: one that is relatively as short as this is the last one (the error that it leaves
# is far below a unit in the last place), and more of them than this are never needed.
_SETTLED = 1e-11
_ROUNDS = 200

# Up to this many terms a binomial tail is summed term by term.
_FEW = 40

Float = float | np.ndarray


def lower_bound(k: ArrayLike, n: ArrayLike, alpha: ArrayLike) -> Float:
    r"""One-sided lower Clopper-Pearson bound on a probability.

    Parameters
    ----------
    k : array_like
        Number of successes, a whole number from 0 to n.
    n : array_like
        Number of independent trials, a whole number from 1 to 10^9.
    alpha : array_like
        Failure probability, in [1e-30, 1).

    Returns
    -------
    float or ndarray of float64
        The p with :math:`P(\mathrm{Bin}(n, p) \ge k) = \alpha`, rounded down; 0 where k = 0, and
        :math:`\alpha^{1/n}` where k = n. Whatever the true probability, it is below the returned
        value with probability at most `alpha`.

    Raises
    ------
    ValueError
        If n is not a whole number from 1 to 10^9, k is not one from 0 to n, or `alpha` does not
        lie in [1e-30, 1).
    TypeError
        If an argument is not a real number.

    References
    ----------
    :cite:t:`clopper1934`; LowerConfBound in :cite:t:`cohen2019`, section 3.2.2. Used in the
    chapter on Theorem 1.

    Examples
    --------
    >>> round(lower_bound(990, 1000, alpha=0.001), 6)
    np.float64(0.976036)
    >>> lower_bound([0, 100], 100, alpha=0.001).round(6)
    array([0.      , 0.933254])
    """
    return _lower_and_complement(*checked_counts(k, n, alpha))[0][()]


def upper_bound(k: ArrayLike, n: ArrayLike, alpha: ArrayLike) -> Float:
    r"""One-sided upper Clopper-Pearson bound on a probability.

    Parameters
    ----------
    k : array_like
        Number of successes, a whole number from 0 to n.
    n : array_like
        Number of independent trials, a whole number from 1 to 10^9.
    alpha : array_like
        Failure probability, in [1e-30, 1).

    Returns
    -------
    float or ndarray of float64
        The p with :math:`P(\mathrm{Bin}(n, p) \le k) = \alpha`, rounded up; 1 where k = n, and
        :math:`1 - \alpha^{1/n}` where k = 0. Whatever the true probability, it is above the
        returned value with probability at most `alpha`. It is the complement of the lower bound
        on the failures, formed without subtracting from 1 where that would lose digits.

    Raises
    ------
    ValueError
        If n is not a whole number from 1 to 10^9, k is not one from 0 to n, or `alpha` does not
        lie in [1e-30, 1).
    TypeError
        If an argument is not a real number.

    References
    ----------
    :cite:t:`clopper1934`. Used in the chapter on Theorem 1.

    Examples
    --------
    >>> round(upper_bound(10, 1000, alpha=0.001), 6)
    np.float64(0.023964)
    >>> print(f"{upper_bound(0, 10**9, alpha=0.001):.6e}")
    6.907755e-09
    """
    k, n, alpha = checked_counts(k, n, alpha)
    return _lower_and_complement(n - k, n, alpha)[1][()]


def runner_up_bounds(counts: ArrayLike, label: int, alpha: float) -> tuple[float, float]:
    r"""Simultaneous bounds on the probability of a class and on that of every other class.

    Parameters
    ----------
    counts : array_like of int, shape (K,)
        How often each of K >= 2 classes was seen in independent trials.
    label : int
        The class to be certified, chosen without looking at `counts`.
    alpha : float
        Probability that either bound fails, in [2e-30, 1).

    Returns
    -------
    p_a_lower, p_b_upper : float
        Lower bound on the probability of `label`, and upper bound on the largest probability of
        any other class, for the two-sided radius of Theorem 1. Both hold together with
        probability at least ``1 - alpha``.

    Raises
    ------
    ValueError
        If `counts` is not one row of at least two whole numbers that add up to between 1 and
        10^9, `label` is not one of its indices, or `alpha` does not lie in
        [1e-30, 1) or is not a single number.
    TypeError
        If a count is not a real number or `label` is not an integer.

    Notes
    -----
    Each bound gets :math:`\alpha/2`, and no factor :math:`K - 1` is needed for the rivals. Let
    :math:`c^*` be the rival with the largest true probability: a fixed class, though unknown.
    Write :math:`U(k)` for the exact upper bound; it increases with k. The largest rival count is at
    least :math:`N_{c^*}`, so the returned bound is at least :math:`U(N_{c^*})`, and it can fall
    below :math:`p_{c^*} = \max_{c \ne A} p_c` only if :math:`U(N_{c^*})` does. Since
    :math:`N_{c^*}` is binomial, that has probability at most :math:`\alpha/2`. The union bound
    with the failure of the lower bound gives :math:`\alpha`.

    References
    ----------
    :cite:t:`clopper1934`. Derived in the chapter on Theorem 1.

    Examples
    --------
    >>> p_a_lower, p_b_upper = runner_up_bounds([5, 930, 65], label=1, alpha=0.001)
    >>> round(p_a_lower, 6), round(p_b_upper, 6)
    (np.float64(0.899608), np.float64(0.094545))
    """
    counts = _whole("counts", counts, 0)
    if counts.ndim != 1 or counts.size < 2:
        raise ValueError(
            f"counts must be one row of at least two classes, got shape {counts.shape}"
        )
    try:
        label = operator.index(label)
    except TypeError:
        raise TypeError(f"label must be an integer, got {label!r}") from None
    if not 0 <= label < counts.size:
        raise ValueError(f"label must lie in 0..{counts.size - 1}, got {label}")
    level = checked_alpha(alpha)
    if level.ndim != 0:
        raise ValueError(f"alpha must be a single number, got shape {level.shape}")
    alpha = float(level)
    n = counts.sum()
    if not 1 <= n <= LARGEST_N:
        raise ValueError(f"counts must add up to between 1 and 10**9, got {n:.0f}")
    rival = np.delete(counts, label).max()
    p_a_lower = lower_bound(counts[label], n, alpha / 2)
    p_b_upper = upper_bound(rival, n, alpha / 2)
    assert isinstance(p_a_lower, float) and isinstance(p_b_upper, float)  # of single counts
    return p_a_lower, p_b_upper


def hung_fithian_pvalue(count_top: int, count_second: int) -> float:
    r"""p-value of "the class seen most often is the most probable one", rounded up.

    Parameters
    ----------
    count_top, count_second : int
        The largest and the second largest class count; together at most 10^9.

    Returns
    -------
    float
        The two-sided p-value of a fair coin that fell `count_top` times one way and
        `count_second` times the other: :math:`\min(1, 2 P(\mathrm{Bin}(m, \tfrac12) \ge`
        `count_top` :math:`))` with m the sum of both counts, and 1 where m = 0. Never below the
        exact value; above it by at most a relative 1e-9 (and a subnormal unit). Answering with
        the top class only where it is at most alpha returns a class other than the most probable
        one with probability at most alpha, however many classes there are.

    Raises
    ------
    ValueError
        If a count is not a whole number from 0, `count_second` exceeds `count_top`, or both add
        up to more than 10^9.
    TypeError
        If a count is not a single real number.

    References
    ----------
    :cite:t:`hung2019`; Predict in :cite:t:`cohen2019`, section 3.2.1. Used in the chapter on
    Theorem 1.

    Examples
    --------
    >>> round(hung_fithian_pvalue(8, 2), 9)
    np.float64(0.109375)
    >>> hung_fithian_pvalue(5, 5)
    np.float64(1.0)
    """
    top = _whole("count_top", count_top, 0)
    second = _whole("count_second", count_second, 0)
    for name, count in (("count_top", top), ("count_second", second)):
        if count.ndim != 0:
            raise TypeError(f"{name} must be a single number, got shape {count.shape}")
    if second > top:
        raise ValueError(f"count_second must not exceed count_top, got {second:.0f} and {top:.0f}")
    if top + second > LARGEST_N:
        raise ValueError(
            f"count_top and count_second must add up to at most 10**9, got {top + second:.0f}"
        )
    if top == second:  # also 0 and 0, where the beta function would be undefined
        return np.float64(1.0)
    # The tail is also betainc(top, second + 1, 1/2), with a relative error of 8e-11 at 10^9 where
    # this form of it has 6e-14 (compared with interval arithmetic, down to 1e-300).
    tail = special.betaincc(second + 1, top, 0.5)
    return np.minimum(1.0, np.nextafter(2 * tail * (1 + 1e-9), 1.0))


def _lower_and_complement(
    k: np.ndarray, n: np.ndarray, alpha: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Lower bound p rounded down, and 1 - p rounded up, each with the digits it can have."""
    successes = np.maximum(k, 1)  # k = 0 has a bound of its own below
    failures = n - successes + 1
    # Solve for the smaller of p and 1 - p: its relative error is what can be controlled.
    flip = special.betainc(successes, failures, 0.5) < alpha
    a, b = np.where(flip, failures, successes), np.where(flip, successes, failures)
    root = _beta_quantile(a, b, alpha, upper=flip)
    outward = np.where(flip, 1.0, 0.0)
    near = np.nextafter(root * np.where(flip, 1 + MARGIN, 1 - MARGIN), outward)
    far = np.nextafter(1 - near, 1 - outward)
    p, complement = np.where(flip, far, near), np.where(flip, near, far)
    return np.where(k == 0, 0.0, p), np.where(k == 0, 1.0, complement)


def _beta_quantile(
    a: np.ndarray, b: np.ndarray, alpha: np.ndarray, upper: np.ndarray
) -> np.ndarray:
    """The point where the lower (or upper) tail of Beta(a, b) is alpha, to full precision."""
    tail = np.minimum(alpha, 1 - alpha)  # 1 - alpha is exact where it is the smaller one
    upper = upper ^ (alpha > 0.5)
    x = np.empty(upper.shape)
    for is_upper in (False, True):
        side = upper == is_upper
        if side.any():
            x[side] = _tail_root(a[side], b[side], tail[side], is_upper)
    return x


def _tail_root(a: np.ndarray, b: np.ndarray, tail: np.ndarray, upper: bool) -> np.ndarray:
    """Newton's method from SciPy's inverse, which may be far off or no number at all.

    A step is taken where it stays between two points that are known to lie on either side of the
    root and is at most half as long as the step before; elsewhere the points' geometric mean.
    """
    # No root is below 1e-39: P(Bin(n, x) >= a) <= n x, and P(Bin(n, x) < a) >= 1 - n x.
    low, high, last = np.full_like(tail, 1e-50), np.ones_like(tail), np.ones_like(tail)
    tail_of = _upper_tail if upper else special.betainc
    start = (special.betainccinv if upper else special.betaincinv)(a, b, tail)
    x = np.where((start > low) & (start < high), start, np.sqrt(low * high))
    log_norm = special.betaln(a, b)
    left = np.arange(x.size)  # what has not converged yet
    for _ in range(_ROUNDS):
        at, of_a, of_b = x[left], a[left], b[left]
        excess = tail_of(of_a, of_b, at) - tail[left]
        missing = excess if upper else -excess  # positive where the root is larger
        low[left] = np.where(missing > 0, at, low[left])
        high[left] = np.where(missing > 0, high[left], at)
        log_density = special.xlogy(of_a - 1, at) + special.xlog1py(of_b - 1, -at) - log_norm[left]
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            step = missing / np.exp(log_density)
        length = np.abs(step)
        done = length <= _SETTLED * at
        good = (at + step > low[left]) & (at + step < high[left]) & (length <= last[left] / 2)
        x[left] = np.where(done | good, at + step, np.sqrt(low[left] * high[left]))
        last[left] = np.abs(x[left] - at)
        left = left[~done]
        if not left.size:
            return x
    raise ArithmeticError(
        f"no bound for a tail of {tail[left][0]} of Beta({a[left][0]:.0f}, {b[left][0]:.0f})"
    )


def _upper_tail(a: np.ndarray, b: np.ndarray, x: np.ndarray) -> np.ndarray:
    """P(Beta(a, b) > x) = P(Bin(a + b - 1, x) < a) for whole a, b.

    SciPy's value is off by up to 2e-11 where a is small and b large, so there the binomial
    probabilities are added up.
    """
    values = special.betaincc(a, b, x)
    few = a <= _FEW
    if few.any():
        a, n, x = a[few], (a + b - 1)[few], x[few]
        term = np.exp(n * np.log1p(-x))
        total = term
        for j in range(int(a.max()) - 1):
            term = term * ((n - j) / (j + 1) * (x / (1 - x)))
            total = total + np.where(j + 1 < a, term, 0.0)
        values[few] = total
    return values


def checked_counts(
    k: ArrayLike, n: ArrayLike, alpha: ArrayLike
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Successes, trials and failure probabilities as float64 of one shape, or an error."""
    k, n, alpha = np.broadcast_arrays(*successes_of_trials(k, n), checked_alpha(alpha))
    return k, n, alpha


def successes_of_trials(k: ArrayLike, n: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Successes and trials as float64 of one shape, or an error."""
    k, n = np.broadcast_arrays(_whole("k", k, 0), _whole("n", n, 1))
    bad = k > n
    if bad.any():
        raise ValueError(f"k must not exceed n, got k = {k[bad][0]:.0f} and n = {n[bad][0]:.0f}")
    return k, n


def checked_alpha(value: ArrayLike) -> np.ndarray:
    """Failure probabilities as float64, or an error."""
    return _checks.array(
        "alpha", value, lambda a: (a >= SMALLEST_ALPHA) & (a < 1), "lie in [1e-30, 1)"
    )


def _whole(name: str, value: ArrayLike, least: int) -> np.ndarray:
    return _checks.wholes(name, value, least, LARGEST_N, "10**9")
