"""What a method of certifying is: the class that every one of them fills in.

It knows when a run stops, what its counts show, how it is written to the manifest of a certificate
file and read back, what a row of such a file may hold, and how the command line offers it.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from rslib import _checks, confidence
from rslib.decisions.conclusions import Certificate, Decision, Setting, whole_counts

#: Told of looks in their order, each once, k of t answers being the label's: at which of them the
#: run stops, and at which it has shown more than at any before. A run rests on its counts at the
#: last look that showed more, and on all of them where none did. A rule is for one run: it may
#: remember.
Rule = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def check_alpha(alpha: float, may_stop: bool = False) -> float:
    """A failure probability for which the bounds were measured, or an error that names it."""
    # Half of it must be in the range for which the confidence bounds were measured.
    least = 2 * confidence.SMALLEST_ALPHA
    alpha = _checks.real("alpha", alpha, lambda a: least <= a < 1, f"be between {least:g} and 1")
    if may_stop and alpha < (least := 100 * confidence.SMALLEST_ALPHA):
        raise ValueError(f"alpha must be at least {least:g} where a run may stop, got {alpha!r}")
    return alpha


def check_radius(name: str, radius: object) -> float:
    """A finite radius that is not negative, or an error that names it."""
    return _checks.real(name, radius, lambda r: 0 <= r < math.inf, "be finite and not negative")


def is_radius_text(value: object) -> bool:
    """Whether a radius is written as manifests hold it: a decimal with at most six places.

    >>> is_radius_text("0.25"), is_radius_text("1e-3"), is_radius_text(0.25)
    (True, False, False)
    """
    return type(value) is str and re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", value) is not None


def check_given(name: str, radius: float | str) -> None:
    """A radius as methods hold it: a number, or its decimal text."""
    if not is_radius_text(radius):
        check_radius(name, radius)


def as_text(name: str, radius: float | str) -> str:
    """The decimal that a manifest holds for a radius; a text stays as it is."""
    if isinstance(radius, str):
        text = radius
    else:
        text = f"{Decimal(repr(float(radius))):f}".removesuffix(".0")
    if not is_radius_text(text):
        raise ValueError(f"{name} must have at most 6 decimals to be written, got {radius!r}")
    return text


@dataclass(frozen=True)
class Option:
    """How the command line offers a method.

    Attributes
    ----------
    flag : str
        ``"--radius-loss"``, say.
    help : str
        One line.
    takes_decimals : bool
        Whether decimals follow the flag; else it stands alone.
    metavar, nargs : str or None
        Name of what follows, and how many of it, as argparse has them.
    """

    flag: str
    help: str
    takes_decimals: bool = False
    metavar: str | None = None
    nargs: str | None = None

    @property
    def name(self) -> str:
        """What the parsed value is called, ``"radius_loss"`` for one."""
        return self.flag.removeprefix("--").replace("-", "_")


class Method(ABC):
    """A way to certify: when a run stops, and what its counts show.

    Attributes
    ----------
    name : str
        What manifests call it.
    sequential : bool
        Whether a run may stop before its n-th sample; if so a manifest names the method.
    option : Option or None
        How the command line offers it; None: that is what one gets without an option.
    fields : dict
        What a manifest holds of it beside the name: for each field of the class a test of the JSON
        value, and in words what it must be.
    settings : tuple of Option
        Options that go with ``option`` only, each named as the parameter it sets.
    optional : dict
        As ``fields``, for what need not be there.
    """

    name: ClassVar[str]
    sequential: ClassVar[bool] = False
    option: ClassVar[Option | None] = None
    fields: ClassVar[Mapping[str, tuple[Callable[[object], bool], str]]] = {}
    settings: ClassVar[tuple[Option, ...]] = ()
    optional: ClassVar[Mapping[str, tuple[Callable[[object], bool], str]]] = {}

    # --- runs

    def stop_rule(self, setting: Setting) -> Rule:
        """A rule for one run; it takes all n samples where none is made for the method."""

        def never(k: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return np.zeros(len(t), bool), np.zeros(len(t), bool)

        return never

    @abstractmethod
    def conclude(
        self,
        setting: Setting,
        selection: ArrayLike,
        counts: ArrayLike,
        drawn: int | None = None,
    ) -> Certificate | Decision:
        """What the counts show.

        Parameters
        ----------
        setting : Setting
            How they came about.
        selection, counts : array_like of int, shape (K,)
            Answers on the n0 selection samples, which pick the class, and on the estimation
            samples that the run rests on: n, or fewer where a run of this method may stop.
        drawn : int, optional
            Estimation samples drawn in all, where the run went on after those; see `Rule`.

        Returns
        -------
        Certificate or Decision
            False with probability at most ``setting.alpha``.

        Raises
        ------
        ValueError, TypeError
            If counts are not whole numbers or do not add up to what the setting says, or more were
            drawn than the method allows for.
        """

    def _checked(
        self, setting: Setting, selection: ArrayLike, counts: ArrayLike
    ) -> tuple[int, np.ndarray, np.ndarray]:
        """The class that the selection picks, and both counts."""
        selection, counts = whole_counts("selection", selection), whole_counts("counts", counts)
        if selection.shape != counts.shape:
            raise ValueError(
                "selection and counts must be of as many classes, "
                f"got {selection.size} and {counts.size}"
            )
        total = int(selection.sum())
        if total != setting.n0:
            raise ValueError(f"selection must add up to {setting.n0}, got {total}")
        total = int(counts.sum())
        if total != setting.n and not (self.sequential and 0 < total < setting.n):
            most = "at most " if self.sequential else ""
            raise ValueError(f"counts must add up to {most}{setting.n}, got {total}")
        return int(np.argmax(selection)), selection, counts

    # --- files

    def to_fields(self) -> dict:
        """The entries of a manifest that say the method: see `read_method`.

        Raises
        ------
        ValueError
            If a radius has more than six decimals.

        Examples
        --------
        >>> from rslib.decisions import RadiusLoss
        >>> RadiusLoss(0.05).to_fields()
        {'two_sided': False, 'method': {'name': 'radius-loss', 'loss': '0.05'}}
        """
        entries: dict = {"two_sided": False}
        if self.sequential:
            entries["method"] = {"name": self.name, **self._field_values()}
        return entries

    def _field_values(self) -> dict:
        """What a manifest holds for each of ``fields``."""
        return {}

    def check_row(
        self, predict: int, radius: Decimal, samples: int, n: int, drawn: int | None = None
    ) -> None:
        """Raise unless a row of a certificate file may hold this.

        Parameters
        ----------
        predict : int
            The class, or `ABSTAIN`.
        radius : Decimal
            As the row has it.
        samples : int
            What its estimation counts add up to.
        n : int
            As the manifest has it.
        drawn : int, optional
            Samples drawn in all, where the row says so: more than its counts add up to.

        Raises
        ------
        ValueError
            In words, beginning with the column.
        """
        fewer = self._may_stop_at(predict)
        if samples != n and not (fewer and samples < n):
            most = "at most " if fewer else ""
            raise ValueError(f"estimation: the counts must add up to {most}{n}, got {samples}")
        if drawn is not None:
            self._check_drawn(predict, samples, n, drawn)

    def _check_drawn(self, predict: int, samples: int, n: int, drawn: int) -> None:
        raise ValueError(
            f"estimation: all samples drawn are to be counted, got {samples} of {drawn}"
        )

    def _may_stop_at(self, predict: int) -> bool:
        """Whether a run that ends with this answer may have taken fewer than n samples."""
        return self.sequential

    # --- command line

    @classmethod
    def from_option(cls, value: Any) -> Method:
        """The method, from the value of its option as parsed."""
        return cls()
