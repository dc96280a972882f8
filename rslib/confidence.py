r"""Exact confidence bounds and tests from counts.

The bounds are those of Clopper and Pearson: they hold for every n and every true probability,
with no normal approximation.

Rounding
--------
A bound that is tighter than the exact one by a single unit in the last place no longer has the
confidence that it claims. So `lower_bound` never returns more than the exact bound for the float64
`alpha` it was given, and `upper_bound` never less. SciPy's inverse of the incomplete beta function
gives the start; its relative error reaches 2e-10 at n = 10^8 and 5e-9 at n = 10^9, on either side.
Two Newton steps on the tail itself follow. `MARGIN`, relative to the smaller of p and 1 - p, then
moves the bound to the safe side: it was chosen from the largest error left in over 75,000 random
(k, n, alpha) up to n = 10^9, most of them with at most 60 successes or failures, measured with
interval arithmetic: 2.2e-15 for alpha from 1e-12, and 5.7e-15 from 1e-30. What lies beyond is
refused. At most 3e-14 of min(p, 1 - p) is lost, and two units in the last place of the value
returned.

Sequential bounds
-----------------
Clopper and Pearson's bound holds at one n, fixed in advance. `log_e_value` and the bounds made from
it hold at all n at once, so that one may look after every sample and stop when one likes. Think of
a bet. Whoever doubts that a probability is at most q stakes a share u of the wealth on each trial's
success, at odds that are fair for q: a success multiplies the wealth by :math:`1 + u (1 - q)/q`, a
failure by :math:`1 - u`. If the true probability is :math:`p \le q`, the mean factor is
:math:`1 + u (p - q)/q \le 1`: the wealth is a supermartingale, and so is that of any mixture of
bettors,

.. math:: E_t(q) = \int \Bigl(1 + u\,\frac{1 - q}{q}\Bigr)^{k} (1 - u)^{t - k}\,\pi(du) .

Ville's inequality: it ever reaches :math:`1/\alpha` with probability at most alpha. And for every u
the odds get worse as q grows, so :math:`E_t(q)` falls in q. Hence one fair game watches over all
q: if :math:`E_t(q) \ge 1/\alpha` for some t and some q at or above the true p, then
:math:`E_t(p) \ge 1/\alpha` too, and that has probability at most alpha.

`BETTORS` is the mixture :math:`\pi`: u ~ Beta(1, b) with weight w, for which

.. math:: E_t(q) = \sum_{j=0}^{k} \binom{k}{j} \Bigl(\frac{1 - q}{q}\Bigr)^{j}
   \frac{b\, j!\, \Gamma(m + b)}{\Gamma(m + b + j + 1)} ,
   \qquad m = t - k ,

an incomplete beta function in disguise. b = 1/2 bets high, for votes that are nearly unanimous;
b = 4 bets low, for margins that are thin. Weights and `FINAL_SHARE` were chosen so that the table
of ``benchmarks/samples.py`` is nowhere above what the literature's two usual methods need there.
"""

import math
import operator
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

__all__ = [
    "hung_fithian_pvalue",
    "is_above",
    "is_hopeless",
    "log_e_value",
    "looks",
    "lower_bound",
    "needed",
    "run_lower_bound",
    "runner_up_bounds",
    "sequential_lower_bound",
    "sequential_upper_bound",
    "upper_bound",
]

# Relative amount by which a bound is moved to the safe side.
MARGIN = 2e-14

# The accuracy behind MARGIN was measured up to here, and down to there.
LARGEST_N = 10**9
SMALLEST_ALPHA = 1e-30

#: The bettors of the sequential bounds: (b, weight) for a stake u ~ Beta(1, b).
BETTORS = ((0.5, 0.6), (4.0, 0.4))

#: The share of alpha that a sequential run keeps for an ordinary bound at its last sample.
FINAL_SHARE = 0.2

# The share of alpha that a run may spend on stopping though its last sample could still reverse
# the outlook; the rest is for being wrong about the outlook.
_REVERSAL_SHARE = 0.1

# Up to this many terms a binomial tail is summed term by term.
_FEW = 40

_LOG_ROOT_TWO_PI = 0.5 * math.log(2 * math.pi)

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
    return _lower_and_complement(*_checked_counts(k, n, alpha))[0][()]


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
    k, n, alpha = _checked_counts(k, n, alpha)
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
    alpha = _alpha(alpha)
    if alpha.ndim != 0:
        raise ValueError(f"alpha must be a single number, got shape {alpha.shape}")
    n = counts.sum()
    if not 1 <= n <= LARGEST_N:
        raise ValueError(f"counts must add up to between 1 and 10**9, got {n:.0f}")
    rival = np.delete(counts, label).max()
    return lower_bound(counts[label], n, alpha / 2), upper_bound(rival, n, alpha / 2)


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


def log_e_value(k: ArrayLike, n: ArrayLike, p: ArrayLike) -> Float:
    r"""Logarithm of the evidence that a probability is above p, valid at all n at once.

    Parameters
    ----------
    k : array_like
        Number of successes, a whole number from 0 to n.
    n : array_like
        Number of independent trials so far, a whole number from 1 to 10^9.
    p : array_like
        The probability in question, strictly between 0 and 1.

    Returns
    -------
    float or ndarray of float64
        :math:`\log E_n(p)`, rounded down. Whatever the true probability, if it is at most p then
        :math:`E_n(p)` reaches :math:`1/\alpha` at any n, now or later, with probability at most
        :math:`\alpha`. It falls as p grows.

    Raises
    ------
    ValueError
        If n is not a whole number from 1 to 10^9, k is not one from 0 to n, or p does not lie
        strictly between 0 and 1.
    TypeError
        If an argument is not a real number.

    Notes
    -----
    The mixture `BETTORS` of the module's text: a sum over (b, w) of w times

    .. math:: \frac{b\, B(k + 1, m + b)\, I_{1-p}(m + b, k + 1)}{p^k (1 - p)^{m + b}},
       \qquad m = n - k .

    Beta function and powers are joined to a binomial probability, whose logarithm Stirling's
    series gives without cancellation. What is left of rounding errors where k > n p, measured with
    interval arithmetic, is below 1e-11 up to n = 10^5 and 8e-8 up to 10^9; 1e-10 + 1e-14 n is taken
    off. Where :math:`k \le n p` no stake has won: the logarithm is at most 0, its value rough.

    References
    ----------
    :cite:t:`ville1939`; :cite:t:`robbins1970` for mixtures; :cite:t:`waudbysmith2024` for bets on
    a mean. Derived in the chapter on cheaper certificates.

    Examples
    --------
    >>> round(log_e_value(60, 100, 0.5), 4)
    np.float64(0.747)
    >>> bool(log_e_value(300, 400, 0.5) > np.log(1000))
    True
    """
    k, n, p = np.broadcast_arrays(*_counts(k, n), _interior("p", p))
    return _log_e_value(k, n, p)[()]


def _log_e_value(k: np.ndarray, n: np.ndarray, p: np.ndarray) -> np.ndarray:
    total = None
    for b, weight in BETTORS:
        m = n - k + b
        tail = special.betainc(m, k + 1, 1 - p)
        with np.errstate(divide="ignore"):  # a tail of 0: no evidence at all
            term = np.log(weight * b / m) + np.log(tail) - _log_binomial(k, m, p)
        total = term if total is None else np.logaddexp(total, term)
    # Far below k = n p the beta function loses its digits; but the sum is at most 1 up to there.
    return np.minimum(total, np.where(k > n * p, np.inf, 0.0)) - (1e-10 + 1e-14 * n)


def _log_binomial(k: np.ndarray, m: np.ndarray, p: np.ndarray) -> np.ndarray:
    """log of Gamma(k+m+1) / (Gamma(k+1) Gamma(m+1)) p^k (1-p)^m, as Loader computes it."""
    n = k + m
    some = np.maximum(k, 1.0)  # k = 0 is simple, and has no logarithm
    excess = some * np.log(some / (n * p)) + m * np.log(m / (n * (1 - p)))
    error = _stirling_error(n) - _stirling_error(some) - _stirling_error(m)
    value = error - excess - 0.5 * np.log(2 * np.pi * some * (m / n))
    return np.where(k == 0, m * np.log1p(-p), value)


def _stirling_error(x: np.ndarray) -> np.ndarray:
    """log Gamma(x + 1) minus Stirling's formula for it."""
    small = np.minimum(x, 16.0)
    exact = special.gammaln(small + 1) - (small + 0.5) * np.log(small) + small - _LOG_ROOT_TWO_PI
    y = 1 / (x * x)
    series = (1 / 12 - y * (1 / 360 - y * (1 / 1260 - y * (1 / 1680 - y / 1188)))) / x
    return np.where(x < 16, exact, series)


def sequential_lower_bound(k: ArrayLike, n: ArrayLike, alpha: ArrayLike) -> Float:
    r"""Lower confidence bound on a probability that holds at all n at once.

    Parameters
    ----------
    k : array_like
        Number of successes, a whole number from 0 to n.
    n : array_like
        Number of independent trials so far, a whole number from 1 to 10^9.
    alpha : array_like
        Failure probability, in [1e-30, 1).

    Returns
    -------
    float or ndarray of float64
        The largest p with :math:`E_n(p) \ge 1/\alpha` (see `log_e_value`), rounded down; 0 where
        there is none. Whatever the true probability, the bounds at n = 1, 2, 3, ... are *ever*
        above it with probability at most `alpha`. So one may stop at any n, for any reason.

    Raises
    ------
    ValueError
        If n is not a whole number from 1 to 10^9, k is not one from 0 to n, or `alpha` does not
        lie in [1e-30, 1).
    TypeError
        If an argument is not a real number.

    References
    ----------
    :cite:t:`ville1939`, :cite:t:`waudbysmith2024`. Derived in the chapter on cheaper certificates.

    Examples
    --------
    >>> round(sequential_lower_bound(990, 1000, alpha=0.001), 6)
    np.float64(0.970767)
    >>> sequential_lower_bound([0, 100], 100, alpha=0.001).round(6)
    array([0.      , 0.917714])
    """
    return _sequential_lower_bound(*_checked_counts(k, n, alpha))[()]


def sequential_upper_bound(k: ArrayLike, n: ArrayLike, alpha: ArrayLike) -> Float:
    r"""Upper confidence bound on a probability that holds at all n at once.

    Parameters, errors and references as `sequential_lower_bound`.

    Returns
    -------
    float or ndarray of float64
        1 minus the lower bound on the failures, rounded up: *ever* below the true probability with
        probability at most `alpha`.

    Examples
    --------
    >>> round(sequential_upper_bound(10, 1000, alpha=0.001), 6)
    np.float64(0.029233)
    """
    k, n, alpha = _checked_counts(k, n, alpha)
    failures = _sequential_lower_bound(n - k, n, alpha)
    return np.where(failures > 0, np.nextafter(1 - failures, 2), 1.0)[()]


def _sequential_lower_bound(k: np.ndarray, n: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Bisection, in float64 down to neighbours: the lower end always has the evidence.

    It begins with it. The best single stake has k log(1 + u(1-p)/p) + (n-k) log(1-u) = n KL(k/n, p)
    >= k (log(k/n) - log p - 1), and the mean over the stakes, or rounding, costs less than 50.
    """
    goal, some = -np.log(alpha), np.maximum(k, 1)  # k = 0 has the bound 0
    # The evidence for p >= k/n is at most 1, so the bound is below; in log p its scale is no issue.
    high = np.log(some / n)
    low = high - (goal + 50.0) / some - 1.0
    for _ in range(64):
        middle = (low + high) / 2
        yes = _log_e_value(some, n, np.exp(np.minimum(middle, -1e-16))) >= goal
        low, high = np.where(yes, middle, low), np.where(yes, high, middle)
    return np.where(k > 0, np.exp(low), 0.0)


def looks(n: int) -> np.ndarray:
    """The sample numbers at which a run of at most n samples is looked at.

    Each of the first from 10 on, then steps of one per cent, and n itself. Any schedule would be
    as sound; this one wastes at most one per cent, and does not depend on how a network is run.

    >>> looks(20)
    array([10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20])
    >>> looks(100_000)[-3:]
    array([ 98796,  99783, 100000])
    """
    return _looks(operator.index(n)).copy()


@lru_cache(maxsize=32)
def _looks(n: int) -> np.ndarray:
    if not 1 <= n <= LARGEST_N:
        raise ValueError(f"n must be a whole number from 1 to 10**9, got {n}")
    found, at = [], 10
    while at < n:
        found.append(at)
        at += max(1, at // 100)
    return np.array([*found, n])


def is_above(k: ArrayLike, t: ArrayLike, p: ArrayLike, n: int, alpha: float) -> np.ndarray:
    r"""Whether the first t of at most n samples show that a probability is above p.

    Parameters
    ----------
    k : array_like
        Number of successes so far, a whole number from 0 to t.
    t : array_like
        Number of samples so far, from 1 to n.
    p : array_like
        The probability in question, strictly between 0 and 1.
    n : int
        The largest number of samples, fixed in advance, at most 10^9.
    alpha : float
        Failure probability, in [1e-28, 1).

    Returns
    -------
    ndarray of bool
        For a probability that is at most p, the answer is True at *any* t with probability at most
        `alpha`, and so for all p together.

    Raises
    ------
    ValueError, TypeError
        As `log_e_value`, or if `alpha` is out of range.

    Notes
    -----
    Two ways to be shown share alpha. At any t: :math:`E_t(p) \ge 1/(0.8\,\alpha)`. At t = n also
    the ordinary bound of Clopper and Pearson at :math:`0.2\,\alpha`: so a run that comes to its
    last sample loses little against one that was to take n samples from the start. Both get harder
    as p grows, so if either errs for any p, it errs for the true probability: the union bound over
    the two gives alpha. Derived in the chapter on cheaper certificates.

    Examples
    --------
    >>> is_above([35, 60], [40, 100], 0.5, n=1000, alpha=0.05)
    array([ True, False])
    """
    alpha = _sequential_alpha(alpha)
    k, t, p = np.broadcast_arrays(*_counts(k, t), _interior("p", p))
    _check_last(t, n)
    shown = np.array(k > t * p)  # elsewhere no stake has won
    evidence = _log_e_value(k[shown], t[shown], p[shown])
    shown[shown] = evidence >= -math.log((1 - FINAL_SHARE) * alpha)
    last = t == n
    if last.any():
        shown[last] |= lower_bound(k[last], n, FINAL_SHARE * alpha) > p[last]
    return shown[()]


def run_lower_bound(k: int, t: int, n: int, alpha: float) -> float:
    """The largest p that the first t of at most n samples show a probability to be above.

    Parameters, errors and guarantee as `is_above`: the value is above the true probability at any
    t up to n with probability at most `alpha`.

    >>> bool(run_lower_bound(990, 1000, 10_000, 0.001) < run_lower_bound(990, 1000, 1000, 0.001))
    True
    """
    alpha = _sequential_alpha(alpha)
    _check_last(_whole("t", t, 1), n)
    bound = sequential_lower_bound(k, t, (1 - FINAL_SHARE) * alpha)
    return float(max(bound, lower_bound(k, n, FINAL_SHARE * alpha)) if t == n else bound)


@lru_cache(maxsize=1024)
def needed(p: float, n: int, alpha: float, sequential: bool = True) -> int:
    """The least number of successes among n samples that shows a probability above p.

    Parameters
    ----------
    p : float
        The probability in question, strictly between 0 and 1.
    n : int
        Number of samples, from 1 to 10^9.
    alpha : float
        Failure probability, in [1e-28, 1).
    sequential : bool
        At the last sample of a sequential run (`is_above`), or by `lower_bound` at all of alpha.

    Returns
    -------
    int
        n + 1 where n samples cannot show it.

    >>> needed(0.5, 1000, 0.001, sequential=False), needed(0.5, 1000, 0.001)
    (550, 557)
    """
    low, high = -1, n + 1
    while high - low > 1:
        middle = (low + high) // 2
        if sequential:
            shown = is_above(middle, n, p, n, alpha)
        else:
            shown = lower_bound(middle, n, alpha) > p
        low, high = (low, middle) if shown else (middle, high)
    return high


def is_hopeless(k: ArrayLike, t: ArrayLike, need: ArrayLike, n: int, alpha: float) -> np.ndarray:
    r"""Whether the first t of n samples leave no hope of `need` successes among all n.

    Parameters
    ----------
    k : array_like
        Number of successes so far, a whole number from 0 to t.
    t : array_like
        Number of samples so far, from 1 to n.
    need : array_like
        Number of successes among n samples that a claim would take, see `needed`.
    n : int
        The largest number of samples, at most 10^9.
    alpha : float
        Failure probability, in [1e-28, 1).

    Returns
    -------
    ndarray of bool
        Whatever the probability of success, a run that stops when the answer is first True, at
        whichever t, gives up `need` successes that were to come with probability at most `alpha`.
        Giving up makes no claim, so it spends nothing of the alpha of a certificate.

    Raises
    ------
    ValueError, TypeError
        As `log_e_value`, or if `alpha` is out of range.

    Notes
    -----
    Let :math:`p_c` be the probability with which the missing successes would still come among the
    remaining samples with probability :math:`0.1\,\alpha`: a Clopper-Pearson bound. The run stops
    where the failures so far are evidence :math:`1/(0.9\,\alpha)` against "the probability is at
    least :math:`p_c`". If the true p is below :math:`p_c`, the successes would have come with
    probability at most :math:`0.1\,\alpha`, given the past. If it is not, then the evidence against
    p itself is as large, which happens at any t with probability at most :math:`0.9\,\alpha`. Where
    more are missing than remain, stopping reverses nothing. Derived in the chapter on cheaper
    certificates.

    Examples
    --------
    >>> is_hopeless([45, 400], [100, 1000], need=557, n=1000, alpha=0.001)
    array([False,  True])
    """
    alpha = _sequential_alpha(alpha)
    k, t, need = np.broadcast_arrays(*_counts(k, t), need)
    _check_last(t, n)
    missing, left = need - k, n - t
    hopeless = np.array(missing > left)
    goal = -math.log((1 - _REVERSAL_SHARE) * alpha)
    few = np.array((missing > 0) & (k * left < t * missing) & ~hopeless)

    def against(critical: np.ndarray) -> np.ndarray:
        return _log_e_value((t - k)[few], t[few], 1 - critical) >= goal

    # A Clopper-Pearson bound costs most; it lies below the share that is missing, so that without
    # evidence against that share there is none against the bound.
    share = missing[few] / left[few]
    few[few] = (share == 1) | against(np.minimum(share, 1 - 1e-9))
    hopeless[few] = against(lower_bound(missing[few], left[few], _REVERSAL_SHARE * alpha))
    return hopeless[()]


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
    for side, inverse, tail_of, sign in (
        (~upper, special.betaincinv, special.betainc, -1),
        (upper, special.betainccinv, _upper_tail, 1),
    ):
        a_side, b_side, tail_side = a[side], b[side], tail[side]
        root = inverse(a_side, b_side, tail_side)
        log_norm = special.betaln(a_side, b_side)
        for _ in range(2):
            log_density = (
                special.xlogy(a_side - 1, root) + special.xlog1py(b_side - 1, -root) - log_norm
            )
            error = tail_of(a_side, b_side, root) - tail_side
            root = root + sign * error / np.exp(log_density)
        x[side] = root
    return x


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


def _checked_counts(
    k: ArrayLike, n: ArrayLike, alpha: ArrayLike
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.broadcast_arrays(*_counts(k, n), _alpha(alpha))


def _counts(k: ArrayLike, n: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    k, n = np.broadcast_arrays(_whole("k", k, 0), _whole("n", n, 1))
    bad = k > n
    if bad.any():
        raise ValueError(f"k must not exceed n, got k = {k[bad][0]:.0f} and n = {n[bad][0]:.0f}")
    return k, n


def _check_last(t: np.ndarray, n: int) -> None:
    if not 1 <= n <= LARGEST_N:
        raise ValueError(f"n must be a whole number from 1 to 10**9, got {n}")
    if (t > n).any():
        raise ValueError(f"t must not exceed n, got t = {t[t > n].flat[0]:.0f} and n = {n}")


def _sequential_alpha(alpha: float) -> float:
    """A single alpha whose shares stay within what was measured."""
    array = _alpha(alpha)
    if array.ndim != 0 or array < 100 * SMALLEST_ALPHA:
        raise ValueError(f"alpha must be a single number in [1e-28, 1), got {alpha}")
    return float(array)


def _interior(name: str, value: ArrayLike) -> np.ndarray:
    return _checked(name, value, lambda p: (p > 0) & (p < 1), "lie strictly between 0 and 1")


def _whole(name: str, value: ArrayLike, least: int) -> np.ndarray:
    return _checked(
        name,
        value,
        lambda x: (x >= least) & (x <= LARGEST_N) & (x == np.floor(x)),
        f"be a whole number from {least} to 10**9",
    )


def _alpha(value: ArrayLike) -> np.ndarray:
    return _checked("alpha", value, lambda a: (a >= SMALLEST_ALPHA) & (a < 1), "lie in [1e-30, 1)")


def _checked(name: str, value: ArrayLike, valid, requirement: str) -> np.ndarray:
    """`value` as float64, or an error that names the argument and the first offending value."""
    try:
        raw = np.asarray(value)
        if raw.dtype.kind not in "fiuO":  # booleans, complex numbers and text are mistakes
            raise TypeError
        array = raw.astype(np.float64)
    except (TypeError, ValueError):
        message = f"{name} must be a real number or an array of them, got {value!r}"
        raise TypeError(message) from None
    bad = ~valid(array)
    if bad.any():
        raise ValueError(f"{name} must {requirement}, got {raw[bad][0]}")
    return array
