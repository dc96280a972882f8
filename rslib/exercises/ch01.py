"""Checks for chapter 1, what a certificate is."""

from __future__ import annotations

import numpy as np
from scipy.stats import beta, norm

from rslib.exercises import (
    ROUNDED_UP,
    WrongType,
    close,
    exercise,
    function,
    number,
    numeric_function,
    rounded_up,
)

A_NUMBER = "a number, such as 0.25"


@exercise("01.1", kind="by hand", expects=A_NUMBER)
def three_classes(answer: object) -> str | None:
    """Robust radius at 0 for w = (1, 2), (1, 0), (-2, -2) and b = 5, 3, 2."""
    value = number(answer)
    gap_b, gap_c = 2.0, 3.0
    if close(value, gap_c / 5):
        return ROUNDED_UP if rounded_up(value, gap_c / 5) else None
    if close(value, gap_b / 2):
        return "that is the distance to the border with B; is the runner-up the nearest rival?"
    if close(value, gap_b) or close(value, gap_c):
        return "a gap of two scores is not yet a distance: how fast can the gap close?"
    if close(value, gap_c / 7):
        return "the length of the difference of the weights is Euclidean here."
    if close(value, gap_c / 10):
        return "the rate already counts both classes; there is no further factor 2."
    if close(value, gap_c / (np.sqrt(5) + np.sqrt(8))):
        return "safe but too small: take the length of the difference, not the sum of the lengths."
    if close(value, gap_c / np.sqrt(5)) or close(value, gap_b / np.sqrt(5)):
        return "the gap of two scores depends on the difference of their weights."
    return "how far is the border with each rival? The proposition on linear classifiers says it."


@exercise("01.2", kind="by hand", expects="a pair of numbers (lower, upper), such as (0.1, 0.9)")
def between_two_bounds(answer: object) -> str | None:
    """Bounds on the robust accuracy at 0.5 from certificates and attacks on eight images."""
    low, high = _pair(answer)
    low, high = number(low), number(high)
    right = np.array([1, 1, 1, 0, 1, 1, 1, 0], dtype=bool)
    certified = np.array([0.62, 0.41, 0.50, 0.70, 0.10, 0.20, 0.05, 0.30])
    found = np.array([0.90, 0.80, 0.55, np.inf, 0.30, np.inf, 0.50, 0.40])
    lower, upper = np.mean(right & (certified >= 0.5)), np.mean(right & (found >= 0.5))
    if close(low, lower) and close(high, upper):
        return None
    if low > high:
        return "the first number should be the smaller one: proofs first, attacks second."
    if low > 1 or high > 1:
        return "an accuracy is a share of all eight images."
    if close(low, np.mean(certified >= 0.5)) or close(high, np.mean(found >= 0.5)):
        return "an image with a wrong answer is not robustly right, whatever its radius."
    if close(low, lower / np.mean(right)) or close(high, upper / np.mean(right)):
        return "the share is of all eight images, not of those with a right answer."
    if close(low, np.mean(right & (certified > 0.5))):
        return "a certified radius of exactly r covers every change that is shorter than r."
    too_few = [right & (found > 0.5), right & (found >= 0.5) & np.isfinite(found)]
    if any(close(high, np.mean(share)) for share in (*too_few, too_few[0] & too_few[1])):
        return (
            "the upper bound is too small. Is a change of length exactly r inside the open ball? "
            "And what is shown by an attack that finds nothing?"
        )
    if close(low, lower):
        return "the lower bound is right; for the upper one ask which images may still be robust."
    return "lower: what is proved. Upper: what no attack has disproved."


@exercise("01.3", kind="by code", expects="a function of (weights, bias, x)")
def linf_radius(answer: object) -> str | None:
    """Robust radius of a linear classifier in the largest-entry norm."""
    radius = numeric_function(answer)
    rng = np.random.default_rng(13)
    cases = []
    for _ in range(20):
        classes, d = int(rng.integers(2, 6)), int(rng.integers(2, 8))
        weights = rng.standard_normal((classes, d))
        cases.append((weights, rng.standard_normal(classes), rng.standard_normal(d)))
    ordinary = len(cases)
    eye = np.eye(3)
    cases += [
        (eye, np.array([0.0, 0.0, -1.0]), np.array([2.0, 2.0, 0.0])),  # a tie
        (eye[[0, 0, 1]], np.array([1.0, 0.0, 0.0]), np.zeros(3)),  # equal weights
        (eye[[0, 0]], np.array([0.0, 3.0]), np.ones(3)),  # no rival can catch up
        (eye[[0, 0]], np.array([1.0, 1.0]), np.ones(3)),  # a tie that stays
    ]
    values = np.array([radius(*(part.copy() for part in case)) for case in cases])

    def agrees(order: float, runner_up: bool = False, count: int = len(cases)) -> bool:
        targets = [_linear_radius(*case, order, runner_up) for case in cases]
        return np.allclose(values[:count], targets[:count], rtol=1e-9, atol=1e-12)

    if agrees(1):
        return None
    if agrees(1, count=ordinary):
        return "right for ordinary weights; try two equal weight vectors, and a tie at x."
    if agrees(2, count=ordinary):
        return "this is the Euclidean radius. Here the attacker may move every pixel by r."
    if agrees(np.inf, count=ordinary):
        return "too large: all pixels move at once, and their effects add up."
    if agrees(1, runner_up=True, count=ordinary):
        return "the nearest rival need not be the one with the second-best score."
    if np.all(values[:ordinary] == 0):
        return "does the loop over the rivals include the winner itself?"
    return "how much can v . delta fall if every entry of delta lies between -r and r?"


def _linear_radius(
    weights: np.ndarray, bias: np.ndarray, x: np.ndarray, order: float, runner_up: bool
) -> float:
    scores = weights @ x + bias
    top = int(scores.argmax())
    rivals = [j for j in range(len(bias)) if j != top]
    if max(scores[j] for j in rivals) == scores[top]:
        return 0.0
    if runner_up:
        rivals = [max(rivals, key=lambda j: scores[j])]
    rates = {j: np.linalg.norm(weights[top] - weights[j], order) for j in rivals}
    return min(((scores[top] - scores[j]) / rates[j] for j in rivals if rates[j]), default=np.inf)


def _pair(answer: object) -> tuple[object, object]:
    if isinstance(answer, str | bytes) or callable(answer):
        raise WrongType
    try:
        first, second = answer
    except Exception as error:
        raise WrongType from error
    return first, second


def _vector(name: str, value: object) -> np.ndarray:
    vector = np.asarray(value, dtype=float).reshape(-1)
    if vector.shape != (2,) or not np.isfinite(vector).all():
        raise WrongType(f"{name} should be two finite numbers, a point of the plane.")
    return vector


@exercise("01.4", kind="break it", expects="a pair (x, delta) of points of the plane")
def rounding_as_a_defence(answer: object) -> str | None:
    """A point and a change of at most 0.01 that changes the answer behind rounding to halves."""
    x, delta = _pair(answer)
    x, delta = _vector("x", x), _vector("delta", delta)

    def rounded(point: np.ndarray) -> int:
        return int((np.floor(2 * point + 0.5) / 2).sum() > 0.75)

    changes = rounded(x) != rounded(x + delta)
    if np.linalg.norm(delta) > 0.01 * (1 + 1e-9):
        return f"delta is too long: {np.linalg.norm(delta):.3g}, and at most 0.01 is allowed."
    if changes:
        return None
    if np.array_equal(np.floor(2 * x + 0.5), np.floor(2 * (x + delta) + 0.5)):
        return "both points are rounded to the same one. Where does rounding jump?"
    return "rounding jumps between the two points, but the class does not: look at the sum."


@exercise("01.5", kind="break it", expects="a pair (classify, delta): a function and a point")
def certificate_by_trying(answer: object) -> str | None:
    """A classifier that passes 1,000 random points in the disc of radius 0.8 and fails nearby."""
    classify, delta = _pair(answer)
    classify, delta = function(classify), _vector("delta", delta)

    def labels(points: np.ndarray) -> np.ndarray:
        found = np.asarray(classify(points.copy()))
        if found.shape != (len(points),):
            raise WrongType(
                f"classify must return one class a point: {len(points)} in, {found.shape} out."
            )
        return found

    # One draw for all readers: an honest answer fails here with probability below 0.01.
    rng = np.random.default_rng(15)
    angles, lengths = rng.uniform(0, 2 * np.pi, 1000), 0.8 * np.sqrt(rng.random(1000))
    tried = np.stack([lengths * np.cos(angles), lengths * np.sin(angles)], axis=1)
    here = labels(np.zeros((1, 2)))[0]
    caught = int(np.sum(labels(tried) != here))
    together = labels(np.vstack([np.zeros((1, 2)), delta[None], tried]))
    alone = np.concatenate([[here], labels(delta[None]), labels(tried)])
    if not np.array_equal(together, alone):
        return "one point gets two answers: the class must depend on the point alone."
    if np.linalg.norm(delta) > 0.1 * (1 + 1e-9):
        return f"delta is too long: {np.linalg.norm(delta):.3g}, and at most 0.1 is allowed."
    if labels(delta[None])[0] == here:
        return "the answer at delta is the same as at x."
    if caught:
        return f"the colleague's test finds it: {caught} of 1,000 points have another answer."
    return None


@exercise("01.6", kind="open", expects=A_NUMBER)
def random_directions(answer: object) -> str | None:
    """Mean number of random directions until u_1 >= 1/2 on the sphere in 64 dimensions."""
    value = number(answer)
    chance = beta.sf(0.25, 0.5, 63 / 2) / 2
    if close(value, 1 / chance):
        return None
    if close(value, chance, 5e-3) or close(value, 2 * chance, 5e-3):
        return "that is a probability; how many tries does an event of this probability take?"
    if close(value, 0.5 / chance, 5e-3):
        return "half of the directions with large u_1 squared point away from the border."
    if close(value, 1 / norm.sf(4.0), 5e-3):
        return "near: u_1 is not quite normal with variance 1/64. Use the Beta distribution."
    if close(value, 3, 5e-3):
        return "that would be the plane, d = 2."
    return "which u_1 does a direction need, if a walk of length 2a along it reaches distance a?"
