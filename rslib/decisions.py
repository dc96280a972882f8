"""From counts to answers: the methods of stopping, as manifests and the command line name them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import ClassVar

import numpy as np

from rslib import confidence

ABSTAIN = -1


@dataclass(frozen=True)
class Option:
    """How the command line offers a method."""

    flag: str
    help: str
    metavar: str | None = None
    nargs: str | None = None
    takes_radii: bool = False

    @property
    def name(self) -> str:
        """What the parsed value is called."""
        return self.flag.removeprefix("--").replace("-", "_")


class Method:
    """How a run may stop before its n-th sample."""

    name: ClassVar[str]
    sequential: ClassVar[bool] = False
    option: ClassVar[Option | None] = None

    def _values(self) -> dict:
        return {}

    def to_fields(self) -> dict:
        """The entries of a manifest."""
        method = {"method": {"name": self.name, **self._values()}} if self.sequential else {}
        return {"two_sided": self.name == "two-sided", **method}

    def _may_take_fewer(self, predict: int) -> bool:
        return self.sequential

    def check_row(self, predict, radius, samples, n, drawn=None) -> None:
        """Raise unless a row may have taken so many samples."""
        fewer = self._may_take_fewer(predict)
        if samples != n and not (fewer and samples < n):
            most = "at most " if fewer else ""
            raise ValueError(f"estimation: the counts must add up to {most}{n}, got {samples}")
        if drawn is not None:
            self._check_drawn(predict, samples, n, drawn)

    def _check_drawn(self, predict, samples, n, drawn) -> None:
        words = "all samples drawn are to be counted"
        raise ValueError(f"estimation: {words}, got {samples} of {drawn}")


@dataclass(frozen=True)
class AllSamples(Method):
    name = "fixed"


@dataclass(frozen=True)
class TwoSided(Method):
    name, option = "two-sided", Option("--two-sided", "bound the runner-up too")


@dataclass(frozen=True)
class EarlyAbstain(Method):
    name, sequential = "early-abstain", True
    option = Option("--early-abstain", "stop where no certificate is to be hoped for")

    def _may_take_fewer(self, predict: int) -> bool:
        return predict == ABSTAIN


@dataclass(frozen=True)
class RadiusLoss(Method):
    loss: str | float
    name, sequential = "radius-loss", True
    option = Option(
        "--radius-loss",
        "stop when the radius is this close to what all copies would give",
        metavar="LOSS",
        takes_radii=True,
    )

    def _values(self) -> dict:
        return {"loss": str(self.loss)}


@dataclass(frozen=True)
class AtRadii(Method):
    radii: tuple
    name, sequential = "at", True
    option = Option(
        "--at",
        "decide these radii only, each as soon as it can be",
        metavar="R",
        nargs="+",
        takes_radii=True,
    )

    def _values(self) -> dict:
        return {"radii": [str(one) for one in self.radii]}

    def _check_drawn(self, predict, samples, n, drawn) -> None:
        if predict == ABSTAIN:
            super()._check_drawn(predict, samples, n, drawn)
        if not samples < drawn <= n:
            words = f"drawn must be more than the {samples} that are counted, and at most"
            raise ValueError(f"estimation: {words} {n}, got {drawn}")

    def check_row(self, predict, radius, samples, n, drawn=None) -> None:
        super().check_row(predict, radius, samples, n, drawn)
        if predict != ABSTAIN and radius not in [Decimal(one) for one in self.radii]:
            raise ValueError(f"radius: must be one of the manifest's, got {radius}")


METHODS = {m.name: m for m in (AllSamples, TwoSided, EarlyAbstain, RadiusLoss, AtRadii)}


def _radius(value) -> bool:
    return type(value) is str and re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", value) is not None


def _radii(value) -> bool:
    return (
        type(value) is list
        and value != []
        and all(map(_radius, value))
        and all(Decimal(a) < Decimal(b) for a, b in pairwise(value))
    )


_FIELDS = {
    "early-abstain": {},
    "radius-loss": {"loss": (_radius, "a decimal with at most 6 places in a string")},
    "at": {
        "radii": (_radii, "a list of ascending decimals with at most 6 places in strings"),
    },
}


def read_method(method: dict | None, two_sided: bool) -> Method:
    """The method that a manifest's fields say."""
    if method is None:
        return TwoSided() if two_sided else AllSamples()
    name = method.get("name")
    if type(name) is not str or name not in _FIELDS:
        words = f"must be one of {', '.join(_FIELDS)}, got {json.dumps(name)}"
        raise ValueError(f"method.name: {words}")
    fields = _FIELDS[name]
    for extra in method.keys() - fields.keys() - {"name"}:
        raise ValueError(f"method.{extra}: not a field of {json.dumps(name)}")
    for key, (allowed, words) in fields.items():
        if key not in method:
            raise ValueError(f"method.{key}: missing")
        if not allowed(method[key]):
            raise ValueError(f"method.{key}: must be {words}, got {json.dumps(method[key])[:60]}")
    if two_sided:
        raise ValueError("two_sided: must be false where a run may stop early, got true")
    values = [tuple(method[key]) if key == "radii" else method[key] for key in fields]
    return METHODS[name](*values)


def method_from_options(values: dict[str, object]) -> Method:
    """The method that the command line asks for; values by `Option.name`."""
    asked = [m for m in METHODS.values() if m.option and values.get(m.option.name)]
    if TwoSided in asked and len(asked) > 1:
        raise ValueError("--two-sided takes all --n copies; it goes with no option that stops")
    for method in asked:
        value = values[method.option.name]
        if not method.option.takes_radii:
            return method()
        if method.option.nargs is None:
            return method(value)
        radii = sorted(value, key=lambda text: (Decimal(text), text))
        if any(Decimal(a) == Decimal(b) for a, b in pairwise(radii)):
            raise ValueError(f"--at must name each radius once, got {' '.join(radii)}")
        return method(tuple(radii))
    return AllSamples()


def predict_from_counts(counts, alpha: float, total_variation_of_run: float) -> int:
    """What PREDICT answers with these counts."""
    second, first = np.argsort(counts, kind="stable")[-2:]
    pvalue = confidence.hung_fithian_pvalue(int(counts[first]), int(counts[second]))
    return int(first) if pvalue <= alpha - total_variation_of_run else ABSTAIN
