"""Checks for chapter 10, experiments."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.stats import norm

from rslib import certificates, confidence
from rslib.exercises import WrongType, close, exercise, function, number

A_NUMBER = "a number, such as 0.25"
TWO_NUMBERS = "two numbers, such as (0.25, 0.5)"


def _pair(answer: object, *, finite: bool = True) -> tuple[float, float]:
    """Read an answer as two numbers, in order."""
    if isinstance(answer, str | bytes | dict | set):
        raise WrongType
    try:
        values = list(answer)
    except TypeError:
        raise WrongType from None
    if len(values) != 2:
        raise WrongType
    return number(values[0], finite=finite), number(values[1], finite=finite)


@exercise("10.1", kind="by hand", expects=TWO_NUMBERS)
def eight_certificates(answer: object) -> str | None:
    """Certified accuracy at r = 0.5 and average certified radius of eight rows."""
    accuracy, average = _pair(answer)
    right = [0.72, 0.50, 0.31, 0.49, 0.85, 0.37]
    wrong, images = 0.91, 8
    first = "the average is right; " if close(average, sum(right) / images) else ""
    if close(accuracy, 2 / images):
        return first + 'a radius of exactly 0.5 is "at least 0.5".'
    if close(accuracy, 1 / 2):  # 4 of 8, or 3 of 6
        return first + "one half: did you count a wrong class, or divide by fewer than all images?"
    if close(accuracy, 3 / (images - 1)) or close(accuracy, 4 / (images - 1)):
        return first + "the share is among all eight images."
    if close(accuracy, 3):
        return first + "the share is asked for, not the number."
    if not close(accuracy, 3 / images):
        return first + "count the images whose class is right and whose radius is large enough."
    if first:
        return None
    if close(average, (sum(right) + wrong) / images):
        return "the accuracy is right; for the average, a wrong class counts as radius 0."
    if close(average, sum(right) / (images - 1)) or close(average, sum(right) / len(right)):
        return "the accuracy is right; the average is over all eight images."
    return "the accuracy is right; for the average, add the radii of the right classes."


@exercise("10.2", kind="by hand", expects="a whole number, such as 1000")
def images_for_a_band(answer: object) -> str | None:
    """The least m for which the simultaneous 95% band is 0.02 wide on each side."""
    value = number(answer)

    def least(level: float, half_width: float) -> int:
        return int(np.ceil(np.log(level) / (2 * half_width**2)))

    target = least(40, 0.02)
    if value == target:
        return None
    if value != int(value):
        return "a number of images is a whole number; think about which way to round."
    if value == target - 1:
        return "just too few: round the other way."
    if value == target + 1:
        return "one image fewer would do as well."
    if abs(value - 1.96**2 / 4 / 0.02**2) <= 1:
        return "this band holds at one radius; the chapter's holds at all of them at once."
    if abs(value - least(20, 0.02)) <= 1:
        return (
            "the curve can leave the band on two sides: look at the factor before the exponential."
        )
    if abs(value - least(40, 0.01)) <= 1:
        return "0.02 is the width on each side."
    if abs(value - least(40, 0.04)) <= 1:
        return "plus or minus 0.02 is a half width of 0.02."
    return "set the right side of Massart's inequality to 0.05 and solve for m."


@exercise("10.3", kind="by code", expects="a function of (selection, estimation, alpha, sigma)")
def recertify(answer: object) -> str | None:
    """Class and one-sided radius from the stored counts of a row."""
    call = function(answer)
    cases = _recertify_cases()
    values = []
    for selection, estimation, alpha, sigma in cases:
        returned = call(dict(selection), dict(estimation), alpha, sigma)
        try:
            values.append(_pair(returned, finite=False))
        except WrongType as error:
            raise WrongType("your function should return a pair (class, radius).") from error

    def agrees(formula: Callable) -> bool:
        with np.errstate(all="ignore"):
            targets = [formula(*case) for case in cases]
        return np.allclose(values, targets, rtol=1e-6, atol=2e-6)

    if agrees(_one_sided):
        # Cut to six decimals, as in the files, is right; rounded up is not.
        exact = [_one_sided(*case)[1] for case in cases]
        if any(value > radius + 1e-9 for (_, value), radius in zip(values, exact, strict=True)):
            return "some radii are a little above the exact ones: cut the digits, do not round."
        return None
    if agrees(lambda s, e, alpha, sigma: _one_sided(s, e, 0.001, sigma)):
        return "alpha is an argument, and not always 0.001."
    if agrees(lambda s, e, alpha, sigma: _one_sided(s, e, alpha / 2, sigma)):
        return "there is one bound only: all of alpha is for it."
    if agrees(lambda s, e, alpha, sigma: _one_sided(e, e, alpha, sigma)):
        return "which of the two counts may choose the class?"
    if agrees(_from_frequency):
        return "a frequency is not a bound: it is too large about half the time."
    if agrees(lambda s, e, alpha, sigma: _one_sided(s, e, alpha, sigma, abstains=False)):
        return "a bound of 1/2 or less certifies nothing: return (-1, 0.0) there."
    targets = [_one_sided(*case) for case in cases]
    apart = [not np.allclose(v, t, rtol=1e-6, atol=2e-6) for v, t in zip(values, targets)]
    if not any(apart[_EDGE_CASES:]):
        return "right for most rows; try a tie, an absent class, and classes in another order."
    return "the class from the selection, a lower bound on its share from the estimation."


# The first cases are the unusual ones: an absent class, a tie, a minority, all votes.
_EDGE_CASES = 4


def _recertify_cases() -> list[tuple[dict, dict, float, float]]:
    cases = [
        ({4: 60, 7: 40}, {7: 1000}, 0.001, 0.5),
        ({9: 50, 2: 50}, {2: 900, 9: 100}, 0.001, 0.25),
        ({1: 51, 3: 49}, {1: 400, 3: 600}, 0.01, 1.0),
        ({5: 100}, {5: 100_000}, 0.001, 0.12),
    ]
    rng = np.random.default_rng(103)
    for place in range(16):
        shares = np.sort(rng.dirichlet([6.0, 2.0, 1.0]))[::-1]
        # In every fourth row the two counts disagree about the winner.
        chosen = shares if place % 4 else shares[[1, 0, 2]]
        counts = (
            rng.multinomial(100, chosen),
            rng.multinomial(int(rng.integers(200, 9000)), shares),
        )
        selection, estimation = ({c: int(k) for c, k in enumerate(of) if k} for of in counts)
        cases.append(
            (selection, estimation, float(rng.choice([0.001, 0.01, 0.05])), rng.uniform(0.1, 1))
        )
    return cases


def _winner(selection: dict[int, int], estimation: dict[int, int]) -> tuple[int, int, int]:
    """The selected class, its votes in the estimation, and the number of votes there."""
    label = min(selection, key=lambda c: (-selection[c], c))
    return label, estimation.get(label, 0), sum(estimation.values())


def _one_sided(
    selection: dict[int, int],
    estimation: dict[int, int],
    alpha: float,
    sigma: float,
    abstains: bool = True,
) -> tuple[int, float]:
    label, k, n = _winner(selection, estimation)
    p_a = confidence.lower_bound(k, n, alpha)
    radius = float(sigma * norm.ppf(p_a))
    return (label, radius) if radius > 0 or (not abstains and k > 0) else (-1, 0.0)


def _from_frequency(
    selection: dict[int, int], estimation: dict[int, int], alpha: float, sigma: float
) -> tuple[int, float]:
    label, k, n = _winner(selection, estimation)
    return (label, float(sigma * norm.ppf(k / n))) if 2 * k > n else (-1, 0.0)


@exercise("10.4", kind="by hand", expects=A_NUMBER)
def which_alpha(answer: object) -> str | None:
    """The alpha for which the largest radius of n = 100,000 samples is 3.91 sigma."""
    value, n, limit = number(answer), 100_000, 3.91
    alpha = norm.cdf(limit) ** n
    # The exact value for 3.91, and the round number that it is within a percent of.
    if close(value, alpha) or close(value, 0.01):
        return None
    if close(value, norm.sf(limit), 0.02):
        return "this is how unlikely one stray vote is; the bound is about all 100,000 together."
    if close(value, 0.001, 0.02):
        return (
            f"that is what the text says; {certificates.max_certified_radius(n, 0.001, 1):.2f} "
            "sigma would be the largest radius then."
        )
    if close(value, 1 - alpha, 0.005):
        return "this is the confidence; the failure probability is asked for."
    if close(value, n * norm.sf(limit), 0.02):
        return "one step is missing: (1 - q)^n is not 1 - n q, nor n q."
    if close(value, 2 * alpha, 0.08):
        return "the bound is one-sided."
    return "when all n votes agree, the lower bound p solves p^n = alpha, and the radius gives p."


@exercise(
    "10.5", kind="break it", expects="a list of rows (label, predict, radius), three numbers each"
)
def flattering_rows(answer: object) -> str | None:
    """Rows whose accuracy among the answered ones is >= 0.9 at r = 0.5, and truly <= 0.1."""
    if isinstance(answer, str | bytes | dict):
        raise WrongType
    try:
        rows = [tuple(number(field) for field in row) for row in answer]
    except TypeError:
        raise WrongType from None
    if any(len(row) != 3 for row in rows):
        raise WrongType("each row should have three fields: label, predict, radius.")
    if len(rows) < 10:
        return f"give at least ten rows (there are {len(rows)})."
    for label, predict, radius in rows:
        if label < 0 or label != int(label) or predict < -1 or predict != int(predict):
            return "classes are whole numbers from 0 on; predict may also be -1."
        if radius < 0 or (predict == -1 and radius != 0):
            return "a radius is not negative, and it is 0 where the classifier abstains."
    hits = sum(label == predict and radius >= 0.5 for label, predict, radius in rows)
    answered = sum(predict != -1 for _, predict, _ in rows)
    if answered == 0:
        return "the colleague divides by zero here: let the classifier answer at least once."
    if hits / answered < 0.9:
        return f"the colleague reports only {hits / answered:.3f} for these rows."
    if hits / len(rows) > 0.1:
        return f"the certified accuracy of these rows is {hits / len(rows):.3f}, above 0.1."
    return None


@exercise("10.6", kind="open", expects=TWO_NUMBERS)
def two_noise_levels(answer: object) -> str | None:
    """Both classifiers must agree: radii of the answer, and of no wrong answer."""
    answers, never_wrong = _pair(answer)
    smaller, larger = 0.40, 1.10
    if close(answers, larger) and close(never_wrong, smaller):
        return "look again at which question comes first."
    if not close(answers, smaller):
        second = "the second is right; " if close(never_wrong, larger) else ""
        if close(answers, larger):
            return second + "the system says c only if both do: what can g_1 do at 0.8?"
        return second + "for the first question: up to which radius do both say c?"
    if close(never_wrong, larger):
        return None
    if close(never_wrong, smaller):
        return "the first is right; for a wrong answer both have to agree on one wrong class."
    if close(never_wrong, smaller + larger):
        return "the first is right; the radii do not add up: both are around the same x."
    return "the first is right; for the second: which classifier still says c?"
