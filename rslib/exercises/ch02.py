"""Checks for chapter 2, Theorem 0."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from rslib.exercises import (
    ROUNDED_UP,
    WrongType,
    close,
    exercise,
    expression,
    function,
    number,
    numeric_function,
    rounded_up,
)

A_NUMBER = "a number, such as 0.25"
Network = list[tuple[np.ndarray, np.ndarray]]


@exercise("02.1", kind="by hand", expects=A_NUMBER)
def vector_constant(answer: object) -> str | None:
    """Scores (0.15, 0.7, 0.15) of a map that is 4-Lipschitz as a vector."""
    value = number(answer)
    lead, lipschitz = 0.7 - 0.15, 4.0
    if close(value, lead / (np.sqrt(2) * lipschitz)):
        return ROUNDED_UP if rounded_up(value, lead / (np.sqrt(2) * lipschitz)) else None
    if close(value, lead / (2 * lipschitz)):
        return "true, but not the best: this formula is for a limit on each coordinate."
    if close(value, lead / lipschitz):
        return "too much: while the winner falls, the rival can rise."
    if close(value, lead / (np.sqrt(3) * lipschitz)) or close(value, 2 * lead / (3 * lipschitz)):
        return "the worst case moves the winner and one rival; the third score can stay."
    if close(value, lead * np.sqrt(2) * lipschitz) or close(value, lead * lipschitz):
        return "the faster the scores can change, the smaller the radius."
    if close(value, 0.7 / (np.sqrt(2) * lipschitz)):
        return "what counts is the winner's lead, not its score."
    return "is the constant that of each coordinate or of the vector? Then use that theorem."


@exercise("02.2", kind="by hand", expects=A_NUMBER)
def own_constants(answer: object) -> str | None:
    """Scores (0.6, 0.3, 0.1) with Lipschitz constants (1, 1, 4)."""
    value = number(answer)
    scores, limits = np.array([0.6, 0.3, 0.1]), np.array([1.0, 1.0, 4.0])
    radii = (scores[0] - scores[1:]) / (limits[0] + limits[1:])
    if close(value, radii.min()):
        return ROUNDED_UP if rounded_up(value, radii.min()) else None
    if close(value, radii[0]):
        return "that is when the runner-up could catch up. Is it the first that can?"
    if close(value, (scores[0] - scores[1]) / (2 * limits.max())):
        return "safe, but not the largest: not every score moves at the highest speed."
    if close(value, (scores[0] - scores[1]) / (limits[0] + limits[2])):
        return "this mixes the score of one rival with the speed of another."
    if close(value, 0.5 / 4.0) or close(value, 0.3):
        return "the winner falls as well, at a speed of its own."
    if close(value, 0.3 / np.hypot(1, 1)) or close(value, 0.5 / np.hypot(1, 4)):
        return "the limits hold for each score: nothing keeps both from being used in full."
    return "how long does the lead over class 2 last at least, and how long that over class 3?"


@exercise(
    "02.3",
    kind="by hand",
    expects="a SymPy expression in symbols named p_a, p_b, L and q, or a function of the four",
)
def any_norm(answer: object) -> str | None:
    """Certified radius of a map that is L-Lipschitz from l2 to lq."""
    radius = expression(answer, "p_a", "p_b", "L", "q")
    rng = np.random.default_rng(23)
    p_a, p_b = rng.uniform(0.5, 0.9, 20), rng.uniform(0.0, 0.4, 20)
    limits, q = rng.uniform(0.2, 5.0, 20), rng.uniform(1.0, 6.0, 20)
    columns = (p_a, p_b, limits, q)
    cases = list(zip(*(column.tolist() for column in columns), strict=True))
    values = np.array([radius(*case) for case in cases])
    lead = (p_a - p_b) / limits

    def agrees(factor: float | np.ndarray) -> bool:
        return np.allclose(values, lead / factor, rtol=1e-6, atol=1e-9)

    if agrees(2 ** (1 - 1 / q)):
        return None
    if agrees(2 ** (1 / q)):
        return "right for q = 2; but at q = 1 the two changes together get one budget, not two."
    if agrees(2.0):
        return "safe, but it does not use q: try how A can fall and B rise at q = 1."
    if agrees(np.sqrt(2.0)):
        return "this is right for q = 2 only."
    if agrees(1.0):
        return "this is right for q = 1 only: for larger q both changes can be large."
    if agrees(2 ** (q - 1)):
        return "nearly: take the q-th root of the whole inequality."
    return "how large can a + b be if a^q + b^q is at most (L r)^q?"


@exercise("02.4", kind="by hand", expects=A_NUMBER)
def softmax_constant(answer: object) -> str | None:
    """The smallest Lipschitz constant of the softmax as a vector."""
    value = number(answer)
    if close(value, 1 / 2, 1e-6):
        return None
    if close(value, 1 / 2):
        return "very near: slopes that were seen come close to this constant; which number is it?"
    if close(value, 1.0):
        return "true, but not the smallest: the variance of what is the quadratic form?"
    if close(value, 1 / 4):
        return "that is the largest slope of one probability by its own score; look at the vector."
    if close(value, 1 / np.sqrt(8)):
        return "that is the constant of one coordinate; the others move, too."
    if close(value, 1 / np.sqrt(2)):
        return "the bound on the variance has the square of the length of the interval."
    if value <= 0:
        return "a Lipschitz constant is positive where the map is not constant."
    return (
        "the quadratic form of the Jacobian is a variance; how far apart can two entries of a unit "
        "vector be?"
    )


@exercise("02.5", kind="by code", expects="a function of (network, x)")
def network_radius(answer: object) -> str | None:
    """Theorem 0 with the product bound, from the scores of a ReLU network."""
    radius = numeric_function(answer)
    rng = np.random.default_rng(25)
    cases = []
    for depth in (1, 1, 2, 2, 3, 3, 4, 4):
        sizes = [int(rng.integers(3, 9)) for _ in range(depth)] + [int(rng.integers(2, 6))]
        network = [
            (rng.standard_normal((b, a)), rng.standard_normal(b)) for a, b in pairwise(sizes)
        ]
        cases.append((network, rng.standard_normal(sizes[0])))
    # Layers that shrink lengths: a norm below 1 counts as it is.
    cases += [([(0.1 * W, b) for W, b in net], x) for net, x in cases[1::2]]
    values = np.array(
        [radius([(W.copy(), b.copy()) for W, b in net], x.copy()) for net, x in cases]
    )

    def agrees(bound: Callable, lead: Callable = _lead, factor: float = np.sqrt(2)) -> bool:
        targets = [lead(_scores(net, x)) / (factor * bound(net)) for net, x in cases]
        return np.allclose(values, targets, rtol=1e-6, atol=1e-12)

    if agrees(_product):
        return None
    if agrees(_product, factor=2.0):
        return "safe, but not the best: the product bound holds for the vector of scores."
    if agrees(_product, factor=1.0):
        return "too large: the winner falls while a rival rises."
    if agrees(_frobenius) or agrees(_frobenius, factor=2.0):
        return "safe, but too small: this is the root of the sum of squares. Use the spectral norm."
    if agrees(_collapsed):
        return "that is the norm of a linear network: with ReLU the product is no single matrix."
    if agrees(_sum):
        return "a chain of maps multiplies its stretches."
    if agrees(_product, lead=lambda s: _lead(_softmax(s))):
        return "the exercise certifies from the scores, without a softmax."
    if agrees(_product, lead=np.ptp):
        return "the lead is the distance to the second largest score."
    linear = [_lead(_scores(n, x, relu=False)) / np.sqrt(2) / _product(n) for n, x in cases]
    if np.allclose(values, linear, rtol=1e-6, atol=1e-12):
        return "between the layers there is a ReLU."
    last = [_lead(np.maximum(_scores(n, x), 0)) / np.sqrt(2) / _product(n) for n, x in cases]
    if np.allclose(values, last, rtol=1e-6, atol=1e-12):
        return "there is no ReLU after the last layer."
    bare = [_lead(_scores(n, x, bias=False)) / np.sqrt(2) / _product(n) for n, x in cases]
    if np.allclose(values, bare, rtol=1e-6, atol=1e-12):
        return "the vectors b belong to the layers: they move the scores, though not the bound."
    return "compute the scores at x, their lead, and the product of the spectral norms."


def _scores(network: Network, x: np.ndarray, relu: bool = True, bias: bool = True) -> np.ndarray:
    for place, (W, b) in enumerate(network, start=1):
        x = W @ x + b * bias
        if relu and place < len(network):
            x = np.maximum(x, 0)
    return x


def _lead(scores: np.ndarray) -> float:
    second, first = np.sort(scores)[-2:]
    return first - second


def _softmax(scores: np.ndarray) -> np.ndarray:
    odds = np.exp(scores - scores.max())
    return odds / odds.sum()


def _product(network: Network) -> float:
    return np.prod([np.linalg.norm(W, 2) for W, _ in network])


def _frobenius(network: Network) -> float:
    return np.prod([np.linalg.norm(W) for W, _ in network])


def _sum(network: Network) -> float:
    return np.sum([np.linalg.norm(W, 2) for W, _ in network])


def _collapsed(network: Network) -> float:
    product = np.eye(network[0][0].shape[1])
    for W, _ in network:
        product = W @ product
    return np.linalg.norm(product, 2)


@exercise("02.6", kind="break it", expects="a pair (W, delta) of a 2 x 2 matrix and a vector")
def budget_for_one(answer: object) -> str | None:
    """A map of norm 1 and a step below 0.2 that turn the scores (0.6, 0.4)."""
    W, delta = _matrix_and_step(answer)
    size, step = np.linalg.norm(W, 2), np.linalg.norm(delta)
    if size > 1 + 1e-9:
        return f"the spectral norm of W must be at most 1; it is {size:.4f}."
    if step >= 0.2:
        return f"the step must be shorter than 0.2; it is {step:.4f} long."
    change = W @ delta
    first, second = np.array([0.6, 0.4]) + change
    if second > first + 1e-9:
        return None
    if second > first - 1e-9:
        return "this is a tie: class 1 needs the larger score."
    if np.linalg.norm(change) < 0.99 * step:
        return "class 0 still wins. This W does not stretch this step as much as it may."
    if min(-change[0], change[1]) <= 0:
        return "class 0 still wins. Which two changes together shrink the lead fastest?"
    return "class 0 still wins, but not by much. What is the best way to share the budget?"


def _matrix_and_step(answer: object) -> tuple[np.ndarray, np.ndarray]:
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        raise WrongType
    # SymPy's matrices have entries of type object, and a step may be a column.
    W, delta = (np.array(part, dtype=float) for part in answer)
    if W.shape != (2, 2) or delta.size != 2:
        raise WrongType(f"W must have shape (2, 2) and delta (2,), got {W.shape}, {delta.shape}.")
    if not (np.isfinite(W).all() and np.isfinite(delta).all()):
        raise WrongType("W and delta must be finite.")
    return W, delta.ravel()


@exercise("02.7", kind="break it", expects="a function from a number to a score in [0, 1]")
def observed_slopes(answer: object) -> str | None:
    """A score whose slope at -1, 0 and 1 says nothing about a dip near 0."""
    score = numeric_function(function(answer))
    h = 1e-4
    at_zero = score(0.0)
    values = np.array([score(float(t)) for t in np.linspace(-1.5, 1.5, 301)])
    # A dip may be a single point, so numbers of few decimals are among those that are tried.
    decimals = [round(k / 2000, 4) for k in range(-200, 201)]
    near = np.array([score(float(t)) for t in [*np.linspace(-0.1, 0.1, 4001), *decimals]])
    if not all(np.all((0 <= part) & (part <= 1)) for part in (values, near)):
        return "the scores must lie in [0, 1]."
    if at_zero <= 0.5:
        return f"class A must win at 0; its score there is {at_zero:.3f}."
    seen = max(abs(score(t + h) - score(t - h)) / (2 * h) for t in (-1.0, 0.0, 1.0))
    if 2 * at_zero - 1 < 2 * seen:
        radius = (2 * at_zero - 1) / (2 * seen)
        return f"the friend claims a radius of {radius:.4f} only. What do they see at -1, 0 and 1?"
    if near.min() >= 0.5:
        return "class A wins at all 4,402 points tried within 0.1. Where does the friend not look?"
    return None
