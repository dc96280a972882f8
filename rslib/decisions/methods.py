"""One class a method of certifying: to add a method is to write its class here.

What a method knows and does is `Method`, in ``method.py`` beside this.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from rslib import _checks, certificates, confidence, sequential
from rslib.decisions.conclusions import ABSTAIN, Certificate, Decision, Setting
from rslib.decisions.method import (
    Method,
    Option,
    Rule,
    as_text,
    check_given,
    is_radius_text,
)

# A stored radius is below the computed one by this much and then cut to six decimals: more than
# every rounding error on the way, by orders of magnitude.
_MARGIN = 1e-9


class _OneRadius(Method):
    """A method that certifies the radius which Theorem 1 gives for bounds on probabilities."""

    @abstractmethod
    def bounds(
        self, setting: Setting, label: int, counts: np.ndarray
    ) -> tuple[float, float | None]:
        """Lower bound on the label's probability; upper bound on any other's, or None.

        Both hold with probability ``1 - setting.alpha`` for the law that was sampled.
        """

    def conclude(
        self,
        setting: Setting,
        selection: ArrayLike,
        counts: ArrayLike,
        drawn: int | None = None,
    ) -> Certificate:
        """As `Method.conclude`; all samples drawn count."""
        label, selection, counts = self._checked(setting, selection, counts)
        if drawn not in (None, total := int(counts.sum())):
            raise ValueError(f"drawn must be {total}, what counts add up to, got {drawn}")
        p_a_lower, p_b_upper = self.bounds(setting, label, counts)
        # One rounding may favour the certificate here; the margin covers it.
        p_a_lower = max(0.0, float(p_a_lower) - setting.total_variation)
        if p_b_upper is not None:
            p_b_upper = min(1.0, float(p_b_upper) + setting.total_variation)
        radius = -math.inf
        if 0.0 < p_a_lower and not p_b_upper == 1.0:
            sigma = float(setting.sigma)
            radius = float(certificates.certified_radius(p_a_lower, sigma, p_b_upper))
        certified = radius > 0
        return Certificate(
            label=label if certified else ABSTAIN,
            radius=_round_down(radius - setting.rounding_cost) if certified else 0.0,
            p_a_lower=p_a_lower,
            p_b_upper=p_b_upper,
            n=setting.n,
            two_sided=p_b_upper is not None,
            method=self.name if self.sequential else "fixed",
            **_basis(setting, selection, counts),
        )


@dataclass(frozen=True)
class AllSamples(_OneRadius):
    """All n samples, and a bound on the probability of the class: Cohen et al.'s Algorithm 1.

    References
    ----------
    cohen2019, Algorithm 1; clopper1934. Chapter 8.

    Examples
    --------
    >>> from fractions import Fraction
    >>> setting = Setting(Fraction("0.25"), 10, 1000, 0.001, "grid", Fraction(1, 255), 0.0)
    >>> AllSamples().conclude(setting, [10, 0], [990, 10]).radius
    0.494502
    """

    name = "fixed"

    def bounds(
        self, setting: Setting, label: int, counts: np.ndarray
    ) -> tuple[float, float | None]:
        """Clopper and Pearson's, one-sided, at all of alpha."""
        bound = confidence.lower_bound(int(counts[label]), setting.n, setting.alpha)
        return float(bound), None


@dataclass(frozen=True)
class TwoSided(_OneRadius):
    """All n samples, and Theorem 1 with a bound on the runner-up too; alpha is halved for that.

    References
    ----------
    cohen2019, Theorem 1; clopper1934. Chapter 8.
    """

    name = "two-sided"
    option: ClassVar[Option] = Option("--two-sided", "bound the runner-up too")

    def bounds(
        self, setting: Setting, label: int, counts: np.ndarray
    ) -> tuple[float, float | None]:
        """Clopper and Pearson's for the class and for the runner-up, at half of alpha each."""
        return confidence.runner_up_bounds(counts, label, setting.alpha)

    def to_fields(self) -> dict:
        """As `Method.to_fields`: the method has an entry of its own."""
        return {"two_sided": True}


@dataclass(frozen=True)
class EarlyAbstain(AllSamples):
    """Stop as soon as there is no hope of a certificate, and abstain.

    A certificate is what it would have been; one that n samples would have given is missed with
    probability at most alpha. That takes none of the certificates' own alpha: it claims nothing.

    References
    ----------
    ville1939, waudbysmith2024. Chapter 13.
    """

    name = "early-abstain"
    sequential = True
    option = Option("--early-abstain", "stop where no certificate is to be hoped for")

    def stop_rule(self, setting: Setting) -> Rule:
        """Where the n samples will not certify anything."""
        return _nothing_to_hope_for(setting, at_once=True)

    def bounds(
        self, setting: Setting, label: int, counts: np.ndarray
    ) -> tuple[float, float | None]:
        """As for all samples; nothing before the n-th."""
        if counts.sum() < setting.n:
            return 0.0, None  # all of alpha is for the bound at n, and there is none before
        return super().bounds(setting, label, counts)

    def _may_stop_at(self, predict: int) -> bool:
        return predict == ABSTAIN


@dataclass(frozen=True)
class RadiusLoss(_OneRadius):
    """Stop as soon as the radius is little below what n samples of the same shares would give.

    Also where no certificate is to be hoped for. Where neither happens, all n samples are taken;
    the radius is then what they give at a fifth of alpha or more. The bound behind it holds at all
    times at once, so that stopping costs no soundness.

    Parameters
    ----------
    loss : float or str
        The most that the radius may lose, in input units.

    Raises
    ------
    ValueError, TypeError
        If it is negative or no number.

    References
    ----------
    ville1939, waudbysmith2024. Chapter 13.
    """

    loss: float | str

    name = "radius-loss"
    sequential = True
    option = Option(
        "--radius-loss",
        "stop when the radius is this close to what all copies would give",
        takes_decimals=True,
        metavar="LOSS",
    )
    fields: ClassVar = {"loss": (is_radius_text, "a decimal with at most 6 places in a string")}

    def __post_init__(self) -> None:
        check_given("loss", self.loss)

    def stop_rule(self, setting: Setting) -> Rule:
        """Where the loss is as small as that, or there is nothing to hope for."""
        n, alpha, sigma = setting.n, setting.alpha, float(setting.sigma)
        hopeless, loss = _nothing_to_hope_for(setting, at_once=False), float(self.loss)

        def stop(k: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            fixed = confidence.lower_bound(k * n // t, n, alpha) - setting.total_variation
            goal = certificates.certified_radius(np.clip(fixed, 0.5, None), sigma) - loss
            p = [setting.share_for(max(0.0, float(one))) for one in np.atleast_1d(goal)]
            stops = sequential.is_above(k, t, np.array(p), n, alpha) | hopeless(k, t)[0]
            return stops, np.zeros_like(stops)

        return stop

    def bounds(
        self, setting: Setting, label: int, counts: np.ndarray
    ) -> tuple[float, float | None]:
        """One that holds whenever one stops."""
        k, t = int(counts[label]), int(counts.sum())
        return sequential.stopped_lower_bound(k, t, setting.n, setting.alpha), None

    def _field_values(self) -> dict:
        return {"loss": as_text("loss", self.loss)}

    @classmethod
    def from_option(cls, value: Any) -> RadiusLoss:
        """Of this loss."""
        return cls(value)


def _is_chance_text(value: object) -> bool:
    return is_radius_text(value) and 0 < Decimal(str(value)) <= Decimal("0.5")


def _are_ascending_texts(value: object) -> bool:
    return (
        type(value) is list
        and value != []
        and all(map(is_radius_text, value))
        and all(Decimal(a) < Decimal(b) for a, b in pairwise(value))
    )


@dataclass(frozen=True)
class AtRadii(Method):
    """Decide given radii only, each as soon as it can be.

    A radius r holds where the class has a probability above Phi(r/sigma). Evidence that is valid at
    all times may say so at any sample, and then it is said: what comes later takes nothing back.
    At any sample it may be clear that n samples would not say so, or by `give_up` unlikely. The
    run stops when each radius has one or the other.

    Evidence for a radius is evidence for every smaller one. So the counts at the look which showed
    the largest radius, the first to do so, show all that are certified.

    Parameters
    ----------
    radii : sequence of float or str
        In input units, l2 norm; at 0 the question is whether the class is g(x).
    give_up : float or str, optional
        Give a radius up, too, when the chance that n samples would show it is below this, above 0
        and at most 1/2: see `rslib.sequential.is_unlikely`. Without it a radius that n samples
        would show is given up with probability at most alpha, whatever the network. What is
        certified is false with probability at most alpha with any or none.

    Raises
    ------
    ValueError, TypeError
        If there is no radius, or one is negative or no number, or `give_up` is out of range.

    References
    ----------
    ville1939, waudbysmith2024. Chapter 13.
    """

    radii: Sequence[float | str]
    give_up: float | str | None = None

    name = "at"
    sequential = True
    option: ClassVar[Option] = Option(
        "--at",
        "decide these radii only, each as soon as it can be",
        takes_decimals=True,
        metavar="R",
        nargs="+",
    )
    fields: ClassVar = {
        "radii": (
            _are_ascending_texts,
            "a list of ascending decimals with at most 6 places in strings",
        )
    }
    settings: ClassVar = (
        Option(
            "--give-up",
            "with --at, give a radius up when its chance to be shown is below this, e.g. 0.01",
            takes_decimals=True,
            metavar="CHANCE",
        ),
    )
    optional: ClassVar = {
        "give_up": (
            _is_chance_text,
            "a decimal above 0, at most 0.5, with at most 6 places in a string",
        )
    }

    def __post_init__(self) -> None:
        object.__setattr__(self, "radii", tuple(self.radii))
        if not self.radii:
            raise ValueError("radii must not be empty")
        for radius in self.radii:
            check_given("radii", radius)
        if self.give_up is not None:
            check_given("give_up", self.give_up)
            sequential.check_chance("give_up", float(self.give_up))

    def stop_rule(self, setting: Setting) -> Rule:
        """Where each radius was shown or is hopeless; more is shown by a larger radius."""
        n, alpha, p = setting.n, setting.alpha, self._shares(setting)
        need = np.array([sequential.least_successes(float(one), n, alpha) for one in p])
        largest = 0.0  # of the shares shown so far
        chance = None if self.give_up is None else float(self.give_up)

        def given_up(k: np.ndarray, t: np.ndarray) -> np.ndarray:
            hopeless = sequential.is_hopeless(k, t, need, n, alpha)
            if chance is None:
                return hopeless
            return hopeless | sequential.is_unlikely(k, t, need, n, chance)

        def decided(k: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            nonlocal largest
            k, t = k[:, None], t[:, None]
            above = sequential.is_above(k, t, p, n, alpha)
            shown = np.where(above, p, 0.0).max(axis=1)
            shown = np.maximum.accumulate(np.concatenate([[largest], shown]))
            largest = shown[-1]
            settled = (p <= shown[1:, None]) | given_up(k, t)
            return settled.all(axis=1), shown[1:] > shown[:-1]

        return decided

    def _shares(self, setting: Setting) -> np.ndarray:
        cost = setting.rounding_cost
        return np.array([setting.share_for(float(radius) + cost) for radius in self.radii])

    def conclude(
        self,
        setting: Setting,
        selection: ArrayLike,
        counts: ArrayLike,
        drawn: int | None = None,
    ) -> Decision:
        """As `Method.conclude`: which of the radii are certified."""
        label, selection, counts = self._checked(setting, selection, counts)
        k, t, p = int(counts[label]), int(counts.sum()), self._shares(setting)
        drawn = _checks.whole("drawn", t if drawn is None else drawn, t, setting.n)
        verdicts = sequential.is_above(k, t, p, setting.n, setting.alpha)
        verdicts = p <= np.where(verdicts, p, 0.0).max()
        return Decision(
            label=label if verdicts.any() else ABSTAIN,
            radii=tuple(map(float, self.radii)),
            verdicts=tuple(map(bool, verdicts)),
            drawn=drawn,
            n_max=setting.n,
            **_basis(setting, selection, counts),
        )

    def _field_values(self) -> dict:
        texts = sorted((as_text("radii", one) for one in self.radii), key=Decimal)
        if not _are_ascending_texts(texts):
            raise ValueError(f"radii must be named once each, got {', '.join(texts)}")
        if self.give_up is None:
            return {"radii": texts}
        return {"radii": texts, "give_up": as_text("give_up", self.give_up)}

    def check_row(
        self, predict: int, radius: Decimal, samples: int, n: int, drawn: int | None = None
    ) -> None:
        """As `Method.check_row`; a certified radius is one of those asked for."""
        super().check_row(predict, radius, samples, n, drawn)
        if predict != ABSTAIN and radius not in [Decimal(as_text("radii", r)) for r in self.radii]:
            raise ValueError(f"radius: must be one of the manifest's, got {radius:.6f}")

    def _check_drawn(self, predict: int, samples: int, n: int, drawn: int) -> None:
        """A radius may have been shown before the last sample; where none was, all count."""
        if predict == ABSTAIN:
            super()._check_drawn(predict, samples, n, drawn)
        if not samples < drawn <= n:
            raise ValueError(
                f"estimation: drawn must be more than the {samples} that are counted, and at most "
                f"{n}, got {drawn}"
            )

    @classmethod
    def from_option(cls, value: Any) -> AtRadii:
        """In ascending order; a ValueError where one is named twice."""
        texts = sorted(value, key=lambda text: (Decimal(text), text))
        if any(Decimal(a) == Decimal(b) for a, b in pairwise(texts)):
            raise ValueError(f"{cls.option.flag} must name each radius once, got {' '.join(texts)}")
        return cls(tuple(texts))


#: Every method, by its name; the first is what one gets without asking.
METHODS: dict[str, type[Method]] = {
    method.name: method for method in (AllSamples, TwoSided, EarlyAbstain, RadiusLoss, AtRadii)
}


def _basis(setting: Setting, selection: np.ndarray, counts: np.ndarray) -> dict:
    """What certificates and decisions say alike of where they come from."""
    return {
        "counts": tuple(map(int, counts)),
        "selection_counts": tuple(map(int, selection)),
        "n0": setting.n0,
        "alpha": setting.alpha,
        "sigma": setting.sigma,
        "noise": setting.noise,
        "step": setting.step,
        "total_variation": setting.total_variation,
        "rounding_cost": setting.rounding_cost,
        "seed": setting.seed,
    }


def _nothing_to_hope_for(setting: Setting, at_once: bool) -> Rule:
    """Where n samples will not certify anything, by a bound at n alone or at all times."""
    n, alpha = setting.n, setting.alpha
    need = sequential.least_successes(setting.share_for(0.0), n, alpha, not at_once)

    def stop(k: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        stops = sequential.is_hopeless(k, t, need, n, alpha)
        return stops, np.zeros_like(stops)

    return stop


def read_method(method: dict | None, two_sided: bool) -> Method:
    """The method that a manifest's fields say.

    Parameters
    ----------
    method : dict or None
        Its field ``method``; None where there is none: then every run takes n samples.
    two_sided : bool
        Its field ``two_sided``.

    Returns
    -------
    Method

    Raises
    ------
    ValueError
        In words, beginning with the field.

    Examples
    --------
    >>> read_method({"name": "radius-loss", "loss": "0.05"}, two_sided=False)
    RadiusLoss(loss='0.05')
    >>> read_method(None, two_sided=True)
    TwoSided()
    """
    if method is None:
        return TwoSided() if two_sided else AllSamples()
    if type(method) is not dict:
        raise ValueError(f"method: must be an object, got {_checks.shown(method)}")
    name, known = method.get("name"), {m.name: m for m in METHODS.values() if m.sequential}
    if type(name) is not str or name not in known:
        raise ValueError(
            f"method.name: must be one of {', '.join(known)}, got {_checks.shown(name)}"
        )
    found = known[name]
    fields = {**found.fields, **found.optional}
    for extra in sorted(method.keys() - fields.keys() - {"name"}):
        raise ValueError(f"method.{extra}: not a field of {_checks.shown(name)}")
    for key in sorted(found.fields.keys() - method.keys()):
        raise ValueError(f"method.{key}: missing")
    for key in sorted(fields.keys() & method.keys()):
        allowed, words = fields[key]
        if not allowed(method[key]):
            shown = _checks.shown(method[key])
            raise ValueError(f"method.{key}: must be {words}, got {shown}")
    if two_sided:
        raise ValueError("two_sided: must be false where a run may stop early, got true")
    return found(**{key: value for key, value in method.items() if key != "name"})


def method_from_options(values: Mapping[str, object]) -> Method:
    """The method that the command line asks for.

    Parameters
    ----------
    values : mapping of str to object
        `Option.name` -> what was parsed: True, a decimal or a list of them; None, False or missing
        where the option was not given. Other entries do not matter.

    Returns
    -------
    Method
        `AllSamples` where no option was given.

    Raises
    ------
    ValueError
        If options do not go together.

    Examples
    --------
    >>> method_from_options({"radius_loss": "0.05", "two_sided": False})
    RadiusLoss(loss='0.05')
    """
    asked = {
        method.option.flag: (method, values[method.option.name])
        for method in METHODS.values()
        if method.option and values.get(method.option.name)
    }
    if TwoSided.option.flag in asked and len(asked) > 1:
        flag = TwoSided.option.flag
        raise ValueError(f"{flag} takes all --n copies; it goes with no option that stops")
    if len(asked) > 1:
        first, second, *_ = asked
        raise ValueError(f"{second} does not go with {first}")
    method, value = next(iter(asked.values()), (AllSamples, None))
    given = [
        (owner, one)
        for owner in METHODS.values()
        for one in owner.settings
        if values.get(one.name) is not None
    ]
    for owner, one in given:
        if owner is not method:
            assert owner.option is not None
            raise ValueError(f"{one.flag} goes with {owner.option.flag} only")
    found: Any = method.from_option(value)
    return replace(found, **{one.name: values[one.name] for _, one in given}) if given else found


def _round_down(radius: float) -> float:
    """The largest six-digit decimal that is below the radius by the margin; never negative."""
    return max(0, math.floor((radius - _MARGIN) * 1e6)) / 1e6
