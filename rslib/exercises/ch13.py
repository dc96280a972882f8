"""Checks for chapter 13, cheaper certificates."""

from __future__ import annotations

import numpy as np
from scipy.stats import binom

from rslib import confidence
from rslib.exercises import WrongType, close, exercise, number, numeric_function


@exercise("13.1", kind="by hand", expects="a whole number, such as 25")
def all_in(answer: object) -> str | None:
    """Votes in a row after which 0.9^-t reaches 1000."""
    value = number(answer)
    if value == 66:
        return None
    if value != int(value):
        return "a number of votes is whole; after how many has the wealth reached 1000?"
    if value == 65:
        return "just too few."
    if value == 67:
        return "the last of these votes is not needed."
    if value in (3, 4):
        return "which factor has the wealth per vote? It is not the same in every game."
    if abs(value - np.log(1000) / np.log(2)) < 1:
        return "that would be the game against 1/2."
    if abs(value - np.log(20) / -np.log(0.9)) < 1:
        return "that would be enough at alpha = 0.05."
    return "put the stake into the factor of a success. Which wealth refutes a claim at this level?"


@exercise("13.2", kind="by code", expects="a function of (k, m, q, stakes)")
def wealth(answer: object) -> str | None:
    """The mean wealth of bettors with given stakes."""
    call = numeric_function(answer)
    cases = [
        (3, 2, 0.5, [0.5]),
        (1, 1, 0.25, [0.9, 0.2]),
        (2, 3, 0.99, [0.7, 0.7, 0.1]),
        (0, 0, 0.4, [0.3]),
        (10, 1, 0.8, [0.1, 0.5, 0.9]),
        (0, 4, 0.3, [0.2, 0.6]),
        (7, 0, 0.9, [0.0, 1.0]),
        (40, 25, 0.6, [0.05, 0.1, 0.2, 0.3]),
    ]
    values = np.array([call(*case) for case in cases])

    def agrees(formula) -> bool:
        with np.errstate(all="ignore"):
            return np.allclose(values, [formula(*c) for c in cases], rtol=1e-6)

    def mean(k, m, q, stakes, win=None, combine=np.mean):
        u = np.asarray(stakes)
        gain = 1 + u * (1 - q) / q if win is None else win(u, q)
        return combine(gain**k * (1 - u) ** m)

    if agrees(mean):
        return None
    if agrees(lambda *c: mean(*c, combine=np.sum)):
        return "the coin is divided: each bettor has an equal part of it."
    if agrees(lambda *c: mean(*c, combine=np.prod)):
        return "the bettors keep their own money: their wealths are added, not multiplied."
    if agrees(lambda *c: mean(*c, win=lambda u, q: 1 + u / q)):
        return "a success returns the stake divided by q; but the stake had been paid."
    if agrees(lambda *c: mean(*c, win=lambda u, q: 1 + u * q / (1 - q))):
        return "the odds are those against the failures: swap q and 1 - q."
    if agrees(lambda k, m, q, s: mean(m, k, q, s)):
        return "k counts the successes, m the failures."
    if agrees(lambda k, m, q, s: mean(k, m, q, [np.mean(s)])):
        return "the wealth of the mean stake is not the mean wealth."
    if agrees(lambda *c: np.log(mean(*c))):
        return "the wealth is asked for, not its logarithm."
    return "formula (1) for each stake, then the mean."


@exercise("13.3", kind="break it", expects="a list of ten whole numbers, such as [10, 200, ...]")
def ten_looks(answer: object) -> str | None:
    """Ten times at which peeking at Clopper-Pearson bounds errs with probability 0.22."""
    if isinstance(answer, str | bytes | dict):
        raise WrongType
    try:
        looks = sorted(number(t) for t in answer)
    except TypeError:
        raise WrongType from None
    if any(t != int(t) or not 1 <= t <= 2000 for t in looks):
        return "each time is a whole number from 1 to 2000."
    if len(looks) != 10:
        return f"she looks ten times (here {len(looks)} times)."
    if len(set(looks)) < len(looks):
        return "looking twice at one time shows nothing new."
    total = _ever_wrong([int(t) for t in looks])
    if total >= 0.22:
        return None
    alone = max(_ever_wrong([int(t)]) for t in looks)
    wasted = sum(_ever_wrong([int(t)]) < 0.035 for t in looks)
    said = f"she is wrong with probability {total:.4f} at these times."
    if wasted >= 3:
        return (
            f"{said} One look may err with probability 0.05, and {wasted} of yours, alone, err "
            "with less than 0.035: counts are whole, so it depends on the very number."
        )
    return (
        f"{said} The best of them alone has {alone:.4f}: which of them see nearly the same votes?"
    )


def _ever_wrong(looks: list[int]) -> float:
    """Probability that a fair coin's lower bound at 0.05 is above 1/2 at one of the looks."""
    alive, last, total = np.ones(1), 0, 0.0
    for t in looks:
        alive = np.convolve(alive, binom.pmf(np.arange(t - last + 1), t - last, 0.5))
        wrong = confidence.lower_bound(np.arange(t + 1), t, 0.05) > 0.5
        total += float(alive[wrong].sum())
        alive[wrong] = 0
        last = t
    return total


@exercise("13.4", kind="by hand", expects="a whole number, such as 250")
def curtailed(answer: object) -> str | None:
    """The largest count at 900 of 1000 from which 557 cannot be reached."""
    value = number(answer)
    if value == 456:
        return None
    if value == 457:
        return "this run could still come out with exactly as many as it needs."
    if value == 455:
        return "from this count it is certain too, but it is not the largest one."
    if value in (556, 557):
        return "some votes are still to come."
    if value in (501, 500, 502):
        return "the share so far is below what is needed, but the rest may be better."
    if value != int(value):
        return "a count is whole."
    return "what is the best that can still happen to this run?"


@exercise("13.5", kind="open", expects="a number, such as 0.5")
def extended_runs(answer: object) -> str | None:
    """Three runs on the same votes: one game, three last looks."""
    value = number(answer)
    if close(value, 1.4):
        return None
    if close(value, 3.0):
        return (
            "true, but too much: the three runs see the same votes, so how many games are played?"
        )
    if close(value, 1.0):
        return "that holds for each run; she keeps whatever any of them gives."
    if close(value, 0.8 * 3 + 0.2):
        return "which of the two parts is spent anew by each run?"
    if close(value, 1.2) or close(value, 1.3):
        return "count the last looks once more: how many runs are there?"
    if close(value, 0.001 * 1.4):
        return "as a multiple of alpha."
    return "count how often each of the two parts of alpha is spent, and add up."
