"""What a certificate file or a log says: rows, one an example, and the error where it says none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rslib.records import Manifest


class RecordError(ValueError):
    """A certificate file or manifest that cannot be read, written or resumed.

    The message begins ``FILE:LINE:``, or ``FILE:`` where no single line is to blame.
    """


@dataclass(frozen=True)
class Row:
    """One line of a certificate file.

    Attributes
    ----------
    idx : int
        Position of the example in its data set.
    label, predict : int
        True class, and the class that was certified (-1: abstained).
    radius : Decimal
        Certified l2 radius in input units, 0 where abstained. To be written it has at most six
        decimals; a float is welcome if it has no more either.
    correct : bool
        Whether ``predict`` is ``label``.
    time : float
        Seconds since the row before: what the certificate took, where it shared no forward pass.
    selection, estimation : dict of int to int
        Counts by class, zero counts left out; empty in the logs of the original authors.
    drawn : int, optional
        Estimation samples drawn in all, where more were drawn than are counted.
    """

    idx: int
    label: int
    predict: int
    radius: Decimal
    correct: bool
    time: float
    selection: dict[int, int] = field(default_factory=dict)
    estimation: dict[int, int] = field(default_factory=dict)
    drawn: int | None = None


@dataclass(frozen=True)
class CertificateFile:
    """What a certificate file holds: its path, manifest (None: somebody's log) and rows.

    ``notes`` say in words what was noticed in reading a log. ``asked`` is None where every row has
    its largest radius, and else the only radii that were decided.
    """

    path: Path
    manifest: Manifest | None
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    asked: tuple[Decimal, ...] | None = None

    @property
    def missing(self) -> tuple[int, ...]:
        """The manifest's indices that have no row yet; () for a log without manifest."""
        if self.manifest is None:
            return ()
        present = {row.idx for row in self.rows}
        return tuple(idx for idx in self.manifest["indices"] if idx not in present)

    @property
    def complete(self) -> bool:
        """Whether every example of the manifest has its row (False without a manifest)."""
        return self.manifest is not None and not self.missing


def seen(counts: Iterable[int]) -> dict[int, int]:
    """The counts that are not zero, by class, as a row has them."""
    return {label: int(k) for label, k in enumerate(counts) if k}
