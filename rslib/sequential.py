r"""Bounds and tests from counts that hold at all n at once: one may look after every sample.

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
from functools import lru_cache, reduce

import numpy as np
from numpy.typing import ArrayLike
from scipy import special
from scipy.stats import hypergeom

from rslib import _checks
from rslib.confidence import (
    LARGEST_N,
    SMALLEST_ALPHA,
    checked_alpha,
    checked_counts,
    lower_bound,
    successes_of_trials,
)

__all__ = [
    "BETTORS",
    "FINAL_SHARE",
    "is_above",
    "is_hopeless",
    "is_unlikely",
    "least_successes",
    "log_e_value",
    "looking_times",
    "sequential_lower_bound",
    "sequential_upper_bound",
    "stopped_lower_bound",
]

#: The bettors of the sequential bounds, as (b, weight) for a stake u ~ Beta(1, b).
BETTORS = ((0.5, 0.6), (4.0, 0.4))

#: The share of alpha that a sequential run keeps for an ordinary bound at its last sample.
FINAL_SHARE = 0.2

# The share of alpha that a run may spend on stopping though its last sample could still reverse
# the outlook; the rest is for being wrong about the outlook.
_REVERSAL_SHARE = 0.1

_LOG_ROOT_TWO_PI = 0.5 * math.log(2 * math.pi)

Float = float | np.ndarray


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
    k, n, p = np.broadcast_arrays(*successes_of_trials(k, n), _interior("p", p))
    return _log_e_value(k, n, p)[()]


def _log_e_value(k: np.ndarray, n: np.ndarray, p: np.ndarray) -> np.ndarray:
    terms = []
    for b, weight in BETTORS:
        m = n - k + b
        tail = special.betainc(m, k + 1, 1 - p)
        with np.errstate(divide="ignore"):  # a tail of 0: no evidence at all
            terms.append(np.log(weight * b / m) + np.log(tail) - _log_binomial(k, m, p))
    total = reduce(np.logaddexp, terms)
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
    return _sequential_lower_bound(*checked_counts(k, n, alpha))[()]


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
    k, n, alpha = checked_counts(k, n, alpha)
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


def looking_times(n: int) -> np.ndarray:
    """The sample numbers at which a run of at most n samples is looked at.

    Each of the first from 10 on, then steps of one per cent, and n itself. Any schedule would be
    as sound; this one wastes at most one per cent, and does not depend on how a network is run.

    >>> looking_times(20)
    array([10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20])
    >>> looking_times(100_000)[-3:]
    array([ 98796,  99783, 100000])
    """
    return _looking_times(_checks.whole("n", n, 1, LARGEST_N)).copy()


@lru_cache(maxsize=32)
def _looking_times(n: int) -> np.ndarray:
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
    alpha = _one_alpha(alpha)
    k, t, p = np.broadcast_arrays(*successes_of_trials(k, t), _interior("p", p))
    _check_last(t, n)
    shown = np.array(k > t * p)  # elsewhere no stake has won
    evidence = _log_e_value(k[shown], t[shown], p[shown])
    shown[shown] = evidence >= -math.log((1 - FINAL_SHARE) * alpha)
    last = t == n
    if last.any():
        shown[last] |= lower_bound(k[last], n, FINAL_SHARE * alpha) > p[last]
    return shown[()]


def stopped_lower_bound(k: int, t: int, n: int, alpha: float) -> float:
    """The largest p that the first t of at most n samples show a probability to be above.

    Parameters, errors and guarantee as `is_above`: the value is above the true probability at any
    t up to n with probability at most `alpha`.

    >>> on_the_way = stopped_lower_bound(990, 1000, 10_000, 0.001)
    >>> on_the_way < stopped_lower_bound(990, 1000, 1000, 0.001)
    True
    """
    alpha = _one_alpha(alpha)
    _check_last(_checks.wholes("t", t, 1, LARGEST_N, "10**9"), n)
    bound = sequential_lower_bound(k, t, (1 - FINAL_SHARE) * alpha)
    return float(max(bound, lower_bound(k, n, FINAL_SHARE * alpha)) if t == n else bound)


@lru_cache(maxsize=1024)
def least_successes(p: float, n: int, alpha: float, sequential: bool = True) -> int:
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

    >>> least_successes(0.5, 1000, 0.001, sequential=False), least_successes(0.5, 1000, 0.001)
    (550, 557)
    """
    low, high = -1, n + 1
    while high - low > 1:
        middle = (low + high) // 2
        if sequential:
            shown = bool(is_above(middle, n, p, n, alpha))
        else:
            shown = bool(lower_bound(middle, n, alpha) > p)
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
        Number of successes among n samples that a claim would take, see `least_successes`.
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
    alpha = _one_alpha(alpha)
    k, t, need = np.broadcast_arrays(*successes_of_trials(k, t), need)
    _check_last(t, n)
    missing, left = need - k, n - t
    hopeless = np.array(missing > left)
    goal = -math.log((1 - _REVERSAL_SHARE) * alpha)
    few = np.array((missing > 0) & (k * left < t * missing) & ~hopeless)

    def against(critical: np.ndarray) -> np.ndarray:
        return _log_e_value((t - k)[few], t[few], 1 - critical) >= goal

    # A Clopper-Pearson bound costs most; it lies below the share that is missing, so that without
    # evidence against that share there is none against the bound.
    few[few] = against(missing[few] / left[few])
    bound = lower_bound(missing[few], left[few], _REVERSAL_SHARE * alpha)
    hopeless[few] = against(np.asarray(bound))
    return hopeless[()]


def is_unlikely(k: ArrayLike, t: ArrayLike, need: ArrayLike, n: int, chance: float) -> np.ndarray:
    r"""Whether the first t of n samples leave too small a chance of `need` successes among all n.

    Gives up sooner than `is_hopeless`, for a promise that is weaker: on the average over the
    probability of success, not whatever it is.

    Parameters
    ----------
    k, t, need, n
        As for `is_hopeless`.
    chance : float
        What is too small, above 0 and at most 1/2.

    Returns
    -------
    ndarray of bool
        If the probability of success is uniform on [0, 1], a run that stops when the answer is
        first True, at whichever t, gives up `need` successes that were to come with probability
        below `chance`. Giving up makes no claim, so it spends nothing of the alpha of a
        certificate.

    Raises
    ------
    ValueError, TypeError
        If a number is not as described.

    Notes
    -----
    The chance is that of :math:`X \le k`, where X is how many of the places 1 to t + 1 are among
    `need` places that are drawn from n + 1 without repetition. For a uniform probability and n
    trials may be had from n + 1 uniform numbers in any order: the first is the probability, the
    others are successes where they are less. Given k successes of t, its rank among the first
    t + 1 is k + 1; so all n have `need` successes where the (k + 1)-th smallest of the first t + 1
    has at least `need` of all others below it, that is, where at most k of those t + 1 are among
    the `need` smallest of all. And a promise that holds given any past holds at a time that the
    past decides. Derived in the chapter on cheaper certificates.

    Examples
    --------
    >>> is_unlikely([45, 52], [100, 100], need=557, n=1000, chance=0.05)
    array([ True, False])
    """
    chance = check_chance("chance", chance)
    k, t, need = np.broadcast_arrays(*successes_of_trials(k, t), need)
    _check_last(t, n)
    unlikely = np.array(need - k > n - t)
    # From the mean on, and so from the median on, the chance is at least one half.
    few = (need > k) & (k * (n + 1) < need * (t + 1)) & ~unlikely
    unlikely[few] = _chance_is_below(chance, k[few], t[few] + 1, need[few], n + 1)
    return unlikely[()]


def _chance_is_below(
    chance: float, k: np.ndarray, group: np.ndarray, drawn: np.ndarray, places: int
) -> np.ndarray:
    """Whether the chance that at most k of a group are among the places drawn is below `chance`."""
    # Hoeffding's bound (1963, theorem 4: also without repetition) is above the sum, and cheaper.
    share, found = group / places, k / drawn
    rate = special.rel_entr(found, share) + special.rel_entr(1 - found, 1 - share)
    below = drawn * rate > -math.log(chance) * (1 + 1e-9)
    near = ~below
    below[near] = hypergeom.cdf(k[near], places, group[near], drawn[near]) < chance
    return below


def check_chance(name: str, chance: float) -> float:
    """What `is_unlikely` may be told, or an error that names it."""
    return _checks.real(name, chance, lambda c: 0 < c <= 0.5, "be above 0 and at most 1/2")


def _check_last(t: np.ndarray, n: int) -> None:
    _checks.whole("n", n, 1, LARGEST_N)
    if (t > n).any():
        raise ValueError(f"t must not exceed n, got t = {t[t > n].flat[0]:.0f} and n = {n}")


def _one_alpha(alpha: float) -> float:
    """A single alpha whose shares stay within what was measured."""
    array = checked_alpha(alpha)
    if array.ndim != 0 or array < 100 * SMALLEST_ALPHA:
        raise ValueError(f"alpha must be a single number in [1e-28, 1), got {alpha}")
    return float(array)


def _interior(name: str, value: ArrayLike) -> np.ndarray:
    return _checks.array(name, value, lambda p: (p > 0) & (p < 1), "lie strictly between 0 and 1")
