"""What counts show: a certificate, a decision, a prediction; and what these rest on beside them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from rslib import _checks, confidence

#: What is given instead of a class where the counts do not show one.
ABSTAIN = -1


class _Conclusion:
    """Written as JSON, and read back."""

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON has them: fractions as text, tuples as lists.

        >>> import json
        >>> from rslib.decisions import AllSamples
        >>> setting = Setting(Fraction(1, 4), 10, 100, 0.01, "grid", Fraction(1, 255), 1e-14)
        >>> found = AllSamples().conclude(setting, [10, 0], [97, 3])
        >>> Certificate.from_dict(json.loads(json.dumps(found.to_dict()))) == found
        True
        """
        values = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        return {name: _as_json(value) for name, value in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """What `to_dict` was called on."""
        found: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        for name in ("sigma", "step"):
            if found.get(name) is not None:
                found[name] = Fraction(found[name])
        return cls(**found)


def _as_json(value: object) -> object:
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, Fraction) else value


@dataclass(frozen=True)
class Certificate(_Conclusion):
    """What was certified at one example, and the counts that it rests on.

    Attributes
    ----------
    label : int
        The certified class, or `ABSTAIN`.
    radius : float
        At x, and for every perturbation with an l2 norm below it, in input units, g returns
        ``label``; rounded down to six decimals, 0 on abstention. False with probability at most
        ``alpha`` over the noise. A label with a radius of 0 (so little was shown, or rounding the
        input to the grid cost all of it) is a claim about x alone.
    p_a_lower : float
        Lower confidence bound on the probability of the class that the selection picked, the total
        variation distance of the noise already taken off.
    p_b_upper : float or None
        Upper confidence bound on every other class; None in the one-sided form.
    counts, selection_counts : tuple of int
        Answers of the base classifier over the estimation samples (n of them, or fewer where the
        run stopped early) and over the n0 selection samples, class by class.
    n0, n, alpha, sigma
        As certified; sigma is an exact fraction.
    noise, step, total_variation
        Kind of noise, its grid step (None for float noise), and how far the law of one noise
        vector may be from exact.
    two_sided : bool
        Which form of Theorem 1 was used.
    rounding_cost : float
        What was taken off the radius because inputs are rounded to the grid; 0 where off-grid
        inputs are refused.
    method : {"fixed", "early-abstain", "radius-loss"}
        What the run was to stop for before its n-th sample.
    seed : int or None
        Of the noise: with it, and the example's index, the counts can be drawn again. None where
        the counts came without.
    """

    label: int
    radius: float
    p_a_lower: float
    p_b_upper: float | None
    counts: tuple[int, ...]
    selection_counts: tuple[int, ...]
    n0: int
    n: int
    alpha: float
    sigma: Fraction
    noise: str
    step: Fraction | None
    total_variation: float
    two_sided: bool = False
    rounding_cost: float = 0.0
    method: str = "fixed"
    seed: int | None = None

    @property
    def samples(self) -> int:
        """Estimation samples drawn, at most n."""
        return sum(self.counts)

    def __str__(self) -> str:
        n = f"{self.n}" if self.samples == self.n else f"{self.samples} of at most {self.n}"
        basis = f"n = {n}, sigma = {float(self.sigma):g}, {self.noise} noise"
        if self.label == ABSTAIN:
            return f"Abstains: {basis} do not show which class wins (alpha = {self.alpha:g})."
        where = f"for every perturbation with an l2 norm below {self.radius:.6f}"
        if self.radius == 0:
            where = "at x itself, for no perturbation"
        return (
            f"Class {self.label} {where}, false with probability at most {self.alpha:g}"
            f"{_caveat(self.noise)} ({basis})."
        )


@dataclass(frozen=True)
class Decision(_Conclusion):
    """Which of the radii that were asked for are certified, decided with as few samples as needed.

    Attributes
    ----------
    label : int
        The class for which a radius is certified, or `ABSTAIN` where none is.
    radii : tuple of float
        The radii asked for, l2 norm, in input units.
    verdicts : tuple of bool
        For each radius r whether it is certified: for every perturbation with an l2 norm of at
        most r, g returns ``label``. All that are certified hold together; any of them is false
        with probability at most ``alpha`` over the noise. A radius that is not certified is not
        claimed to be false.
    counts, selection_counts : tuple of int
        Answers of the base classifier over the estimation samples, and over the n0 others that
        picked the class. A radius that was shown at some look is certified, whatever came later:
        the former are the counts at the look that showed the largest one, the first to do so; all
        that were drawn where none was shown.
    drawn : int
        Estimation samples drawn in all.
    n0, n_max, alpha, sigma
        As asked; sigma is an exact fraction.
    noise, step, total_variation, rounding_cost, seed
        As in `Certificate`.
    """

    label: int
    radii: tuple[float, ...]
    verdicts: tuple[bool, ...]
    counts: tuple[int, ...]
    selection_counts: tuple[int, ...]
    drawn: int
    n0: int
    n_max: int
    alpha: float
    sigma: Fraction
    noise: str
    step: Fraction | None
    total_variation: float
    rounding_cost: float = 0.0
    seed: int | None = None

    @property
    def certified(self) -> bool:
        """Whether every radius asked for is certified."""
        return all(self.verdicts)

    @property
    def radius(self) -> float:
        """The largest radius that is certified; 0 where none is."""
        return max(
            (r for r, yes in zip(self.radii, self.verdicts, strict=True) if yes), default=0.0
        )

    @property
    def samples(self) -> int:
        """Estimation samples drawn in all."""
        return self.drawn

    @property
    def stopped(self) -> str:
        """``"n_max"`` where the run took every sample that it might, else ``"decided"``."""
        return "decided" if self.samples < self.n_max else "n_max"

    def __str__(self) -> str:
        basis = f"{self.samples} of at most {self.n_max} samples, sigma = {float(self.sigma):g}"
        basis += f", {self.noise} noise"
        if self.label == ABSTAIN:
            return f"Certifies no radius among {_listed(self.radii)} ({basis})."
        others = [r for r, yes in zip(self.radii, self.verdicts, strict=True) if not yes]
        rest = f" Not certified: {_listed(others)}." if others else ""
        return (
            f"Class {self.label} for every perturbation with an l2 norm of at most "
            f"{self.radius:g}, false with probability at most {self.alpha:g}"
            f"{_caveat(self.noise)} ({basis}).{rest}"
        )


def _caveat(noise: str) -> str:
    return "" if noise == "grid" else ", as if its noise were exactly Gaussian"


def _listed(radii: Sequence[float]) -> str:
    return ", ".join(f"{radius:g}" for radius in radii)


@dataclass(frozen=True)
class Setting:
    """What a conclusion rests on beside the counts.

    Attributes
    ----------
    sigma : Fraction
        Standard deviation of the noise, in input units.
    n0, n : int
        Selection samples, and estimation samples at most.
    alpha : float
        Probability, over the noise, that what is concluded is false: at most this.
    noise : {"grid", "float"}
        Its kind.
    step : Fraction or None
        The grid's; None for float noise.
    total_variation : float
        How far the law of one noise vector may be from exact.
    rounding_cost : float
        Radius that is taken off because inputs are rounded to the grid.
    seed : int or None
        Of the noise, if it is known; nothing is computed from it.
    """

    sigma: Fraction
    n0: int
    n: int
    alpha: float
    noise: str
    step: Fraction | None
    total_variation: float
    rounding_cost: float = 0.0
    seed: int | None = None

    def share_for(self, radius: float) -> float:
        """What the sampled share of a class must exceed for a radius, rounded up."""
        p = float(ndtr(radius / float(self.sigma))) * (1 + 4e-15) + self.total_variation
        # No number of samples that is allowed can show what lies above.
        return min(math.nextafter(p, 2), 1 - 2**-53)


def predict_from_counts(counts: ArrayLike, alpha: float, total_variation: float = 0.0) -> int:
    """The class that g returns, from the base classifier's answers on noisy copies, or `ABSTAIN`.

    Parameters
    ----------
    counts : array_like of int, shape (K,)
        Answers for each of K >= 2 classes.
    alpha : float
        Probability of returning a class that is not the most probable one: at most this.
    total_variation : float
        How far the joint law of *all* noise vectors may be from exact: their number times that of
        one. It is taken off alpha.

    Returns
    -------
    int
        A class, or `ABSTAIN` where the two leading counts are too close.

    Raises
    ------
    ValueError, TypeError
        If counts are not one row of at least two whole numbers.

    References
    ----------
    hung2019; cohen2019, PREDICT. Chapter 8.

    Examples
    --------
    >>> predict_from_counts([3, 90, 7], alpha=0.001), predict_from_counts([30, 50], alpha=0.001)
    (1, -1)
    """
    counts = whole_counts("counts", counts)
    second, first = np.argsort(counts, kind="stable")[-2:]
    pvalue = confidence.hung_fithian_pvalue(int(counts[first]), int(counts[second]))
    return int(first) if pvalue <= alpha - total_variation else ABSTAIN


def whole_counts(name: str, counts: ArrayLike) -> np.ndarray:
    """Int64 counts of at least two classes."""
    found = _checks.wholes(name, counts, 0, confidence.LARGEST_N, "10**9")
    if found.ndim != 1 or found.size < 2:
        raise ValueError(f"{name} must be one row of at least two classes, got {found.shape}")
    return found.astype(np.int64)
