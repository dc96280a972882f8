"""Progress of long work: in a terminal and in a notebook, and not in logs."""

import os
import sys
from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

from tqdm import tqdm

__all__ = ["announce", "bar", "quietly", "watch"]


# Seconds: what is done sooner needs no bar, and leaves no trace in a notebook.
_DELAY = 2.0


class _Labelled(Protocol):
    @property
    def label(self) -> int: ...


_Found = TypeVar("_Found", bound=_Labelled)


def bar(total: int, unit: str, hide: bool = False) -> tqdm:
    """A progress bar on standard error: done, a second, time left.

    Parameters
    ----------
    total : int
        How much there is to do.
    unit : str
        Of what, in the plural.
    hide : bool
        Never show it. It is not shown either where the environment variable CI is set, or where
        standard error is neither a terminal nor a notebook's; and elsewhere only once the work has
        taken two seconds.

    Returns
    -------
    tqdm.tqdm
    """
    return tqdm(total=total, unit=f" {unit}", disable=hide or not _is_seen(), delay=_DELAY)


def _is_seen() -> bool:
    """Whether somebody looks on who could wonder what goes on."""
    return "CI" not in os.environ and (sys.stderr.isatty() or "ipykernel" in sys.modules)


def quietly(text: str) -> None:
    """What is said where nobody asked to be told: nothing.

    Parameters
    ----------
    text : str
        A line.
    """


def announce(text: str) -> None:
    """Say on standard error what begins, where a bar would be shown, too.

    Parameters
    ----------
    text : str
        A line.
    """
    if _is_seen():
        print(text, file=sys.stderr, flush=True)


def watch(
    certificates: Iterable[_Found], labels: Iterable[int], hide: bool = False
) -> Iterator[_Found]:
    """Pass certificates on as they are found, with a progress bar.

    It shows the images done, images a second, the time left, and the share certified right so far:
    the certified accuracy at radius 0.

    Parameters
    ----------
    certificates : iterable of Certificate or Decision
        As `rslib.smoothing.SmoothedClassifier.certify_many` gives them.
    labels : iterable of int
        The true class of each.
    hide : bool
        As for `bar`.

    Yields
    ------
    Certificate or Decision
        Each of ``certificates``.

    Raises
    ------
    ValueError
        If there are not as many certificates as labels.

    Examples
    --------
    ``found = list(watch(g.certify_many(images), labels))``
    """
    labels, right = [int(label) for label in labels], 0
    with bar(len(labels), "images", hide) as shown:
        for done, (label, found) in enumerate(zip(labels, certificates, strict=True), start=1):
            right += found.label == label
            shown.set_postfix(right=f"{right / done:.3f}", refresh=False)
            shown.update()
            yield found
