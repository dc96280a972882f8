"""Certifying a data set into a file: what a run needs, what it writes, how it goes on.

A run takes a base classifier out of a file, smooths it, and certifies chosen examples of a data set
one after another, a row each, into a certificate file (`rslib.records`). It can be stopped at any
time, and the same call goes on where it stopped; it can be shared by several processes
(`rslib.sharding`); and it can be drawn again from what its manifest says.

From Python, a certificate file is three lines::

    model = runs.open_model("ckpt.pt", dataset.shape, dataset.num_classes, model="my.py:build")
    smoothed = runs.smooth(model, dataset, "0.25", earlier=runs.begun(out))
    runs.certify(smoothed, dataset, out, model=model)

References
----------
cohen2019, Algorithm 1. Chapters 10 and 12.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rslib import _files, backends, progress, records
from rslib._rows import seen
from rslib.datasets import Dataset
from rslib.decisions import ABSTAIN, AllSamples, Method, check_alpha, predict_from_counts
from rslib.noise import Purpose
from rslib.opened import OpenedModel, begun, choose_plan, classes_of, open_model, smooth
from rslib.records import DatasetEntry, Manifest, RecordError, Row
from rslib.replay import Replay, replay
from rslib.sharding import ShardedWriter, Team
from rslib.smoothing import SmoothedClassifier
from rslib.weights import quantize, train

if TYPE_CHECKING:
    from rslib.decisions import Certificate, Decision

__all__ = [
    "OpenedModel",
    "Outcome",
    "Prediction",
    "Replay",
    "begun",
    "certify",
    "choose_plan",
    "classes_of",
    "open_model",
    "predict",
    "quantize",
    "replay",
    "smooth",
    "train",
]


# ------------------------------------------------------------------------------------ predicting


@dataclass(frozen=True)
class Prediction:
    """What the smoothed classifier answers about one example.

    Attributes
    ----------
    index : int
        The example.
    label : int
        A class, or `rslib.ABSTAIN`.
    share : float
        Of the votes: those for ``label``; where it abstained, those for the class that led.
    """

    index: int
    label: int
    share: float


def predict(
    smoothed: SmoothedClassifier,
    dataset: Dataset,
    n: int = 1000,
    alpha: float = 0.001,
    indices: Iterable[int] | None = None,
) -> Iterator[Prediction]:
    """What `rslib.smoothing.SmoothedClassifier.predict` returns for examples, with the votes.

    Parameters
    ----------
    smoothed, dataset
        The classifier, and the examples; their labels are not looked at.
    n, alpha
        As for `rslib.smoothing.SmoothedClassifier.predict`, for each example.
    indices : iterable of int, optional
        Which examples; they name their noise. Default: all.

    Yields
    ------
    Prediction
        For each example, in order, as it is found.

    Raises
    ------
    ValueError, TypeError
        Names the argument and its value; for an example, when its turn comes.
    """
    alpha = check_alpha(alpha)
    chosen = list(range(len(dataset))) if indices is None else [int(idx) for idx in indices]
    variation = n * smoothed.noise.total_variation(math.prod(dataset.shape))
    images = (dataset.images[idx] for idx in chosen)
    votes = smoothed.counts_many(images, n, Purpose.PREDICTION, chosen)
    for idx, counts in zip(chosen, votes, strict=True):
        label = predict_from_counts(counts, alpha, variation)
        voted = int(counts.max() if label == ABSTAIN else counts[label])
        yield Prediction(idx, label, voted / n)


# ------------------------------------------------------------------------------------ certifying


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    Attributes
    ----------
    path : Path
        The certificate file.
    done, left : int
        Examples that this process certified, and those of its share that are still to do: the
        budget was up. The same call goes on.
    already_done : int
        Examples that had their row before, whoever certified them.
    """

    path: Path
    done: int
    left: int
    already_done: int


def certify(
    smoothed: SmoothedClassifier,
    dataset: Dataset,
    out: str | os.PathLike,
    *,
    model: OpenedModel | str | os.PathLike,
    method: Method | None = None,
    n0: int = 100,
    n: int = 100_000,
    alpha: float | str = "0.001",
    sigma: str | None = None,
    indices: Iterable[int] | None = None,
    command: str = "rslib.runs.certify",
    budget: float | None = None,
    team: Team | None = None,
    on_row: Callable[[Row], None] | None = None,
    say: Callable[[str], None] = progress.quietly,
) -> Outcome:
    """Certify examples into a file; where the file is there, go on where it stopped.

    Parameters
    ----------
    smoothed : SmoothedClassifier
        What is certified. A run that is gone on with needs the seed and the plan that it was begun
        with: ``smooth(..., earlier=begun(out))`` takes them over.
    dataset : Dataset
        The examples, with their labels.
    out : path
        ``<name>.tsv``; the manifest goes to ``<name>.json``. Folders are created.
    model : OpenedModel or path
        The file that holds the base classifier: its hash goes into the manifest.
    method : Method, optional
        When a run may stop and what is concluded, see `rslib.decisions`; default: all n samples.
    n0, n, alpha
        As for `rslib.smoothing.SmoothedClassifier.certify`; alpha holds for each example. Given as
        a text, it stands in the manifest as it is.
    sigma : str, optional
        How the manifest is to write the classifier's sigma.
    indices : iterable of int, optional
        Which examples, in the order of the file; default: all.
    command : str
        How the manifest says that the file was made.
    budget : float, optional
        Seconds after which no further example is begun.
    team : Team, optional
        The processes that share the run; default: this one alone.
    on_row : callable, optional
        Is given each row that this process has written.
    say : callable
        Is given a line where a run is gone on with.

    Returns
    -------
    Outcome

    Raises
    ------
    RecordError
        If the file is of another run, in use, or cannot be written. It is left as it was.
    ValueError, TypeError
        Names the argument and its value; or for scores that are not finite.
    """
    team, method, out = team or Team(), method or AllSamples(), Path(out)
    chosen = list(range(len(dataset))) if indices is None else [int(idx) for idx in indices]
    numbers = {"n0": n0, "n": n, "alpha": str(alpha), "sigma": sigma}
    manifest = _manifest(smoothed, dataset, out, model, method, chosen, numbers, command)
    clock = _Clock(budget)
    with ShardedWriter(out, manifest, team) as writer:
        if writer.already_done and team.rank == 0:
            left = len(chosen) - writer.already_done
            say(f"{out}: {writer.already_done} rows are there, {left} to do")
        if writer.earlier and writer.todo:
            _check_answers(smoothed, dataset, writer.earlier, out)
        images = (dataset.images[idx] for idx in writer.todo)
        found = progress.watch(
            smoothed.certify_by(method, images, n0, n, float(alpha), writer.todo),
            dataset.labels[writer.todo],
            hide=team.rank > 0,
        )
        done = 0
        for idx, certificate in zip(writer.todo, found, strict=True):
            row = _row(idx, certificate, int(dataset.labels[idx]), clock.lap())
            writer.append(row)
            done += 1
            if on_row is not None:
                on_row(row)
            if clock.is_up():
                break
        writer.finish()
    return Outcome(out, done, len(writer.todo) - done, writer.already_done)


# The share of an earlier row's answers that may be others: by rounding, and by chance.
_OTHER_ANSWERS, _OTHER_RANDOM_ANSWERS = 0.02, 0.4


def _check_answers(smoothed: SmoothedClassifier, dataset: Dataset, row: Row, out: Path) -> None:
    """Refuse to go on where an earlier row's answers are not those of what is smoothed now.

    Hashes say which files a function comes from, and not all that it does: what it reads when it is
    called, or is told by a file that nobody named. Another processor changes an answer in some
    thousand; a random function answers otherwise under the same noise, but not most of the time.
    """
    n0 = sum(row.selection.values())

    def drawn() -> dict[int, int]:
        image = dataset.images[row.idx]
        return seen(smoothed.counts(image, n0, Purpose.SELECTION, row.idx))

    def differing(found: Mapping[int, int]) -> float:
        shared = sum(min(k, row.selection.get(label, 0)) for label, k in found.items())
        return (n0 - shared) / n0

    first = drawn()
    if differing(first) <= _OTHER_ANSWERS:
        return
    second = drawn()
    if differing(second) > (_OTHER_ANSWERS if first == second else _OTHER_RANDOM_ANSWERS):
        raise RecordError(
            f"{out}: the answers of example {row.idx} are {row.selection}, but under the same "
            f"noise this base classifier gives {second}: the run was begun with another function; "
            "name another file for this one"
        )


class _Clock:
    """The seconds between rows, and whether a row more would end in time."""

    def __init__(self, budget: float | None) -> None:
        self._budget, self._slowest = budget, 0.0
        self._began = self._started = time.monotonic()

    def lap(self) -> float:
        return time.monotonic() - self._started

    def is_up(self) -> bool:
        """Called after each row: the next one is taken to be as slow as the slowest."""
        self._slowest = max(self._slowest, self.lap())
        self._started = time.monotonic()
        if not self._budget:
            return False
        return self._started - self._began + self._slowest > self._budget


def _manifest(
    smoothed: SmoothedClassifier,
    dataset: Dataset,
    out: Path,
    model: OpenedModel | str | os.PathLike,
    method: Method,
    indices: list[int],
    numbers: Mapping[str, Any],
    command: str,
) -> Manifest:
    """All that decides the certificates of a run, and how its file is made."""
    if not isinstance(model, OpenedModel):
        path = Path(model)
        model = OpenedModel(smoothed.base, path.stem, path, _files.sha256(path))
    _check_model(smoothed, model)
    sigma = numbers["sigma"] or _as_text(smoothed.sigma)
    if Fraction(sigma) != smoothed.sigma:
        raise ValueError(f"sigma must be the classifier's, {smoothed.sigma}, got {sigma!r}")
    step, dimension = smoothed.noise.step, math.prod(dataset.shape)
    return Manifest(
        dataset=DatasetEntry.of(dataset),
        indices=tuple(indices),
        model=model.described(out.parent),
        sigma=sigma,
        n0=numbers["n0"],
        n=numbers["n"],
        alpha=numbers["alpha"],
        noise=records.NoiseEntry(
            kind=smoothed.noise.name,
            step=None if step is None else str(step),
            total_variation=repr(smoothed.noise.total_variation(dimension)),
        ),
        seed=smoothed.seed,
        plan=smoothed.engine(dataset.shape).plan.to_dict(),
        examples_sha256=dataset.digest(indices),
        files=dataset.files and tuple(dataset.files[idx] for idx in indices),
        **method.to_fields(),
        **_files.provenance(command, smoothed.device, backends.PACKAGES),
    )


def _check_model(smoothed: SmoothedClassifier, model: OpenedModel) -> None:
    """Refuse to write one model's hashes beside the certificates of another function."""
    if smoothed.base is not model.network:
        raise ValueError(
            f"model must be the one that is smoothed, got {model.name}: make the smoothed "
            "classifier of it, by runs.smooth(model, dataset, sigma)"
        )
    if not model.is_as_opened():
        raise ValueError(
            f"model {model.name} is no longer what {model.path} holds: its parameters or buffers "
            "were changed since it was opened; save them, and open that"
        )


def _as_text(number: Fraction) -> str:
    """A number as a decimal where it is a short one, else as a fraction."""
    short = repr(float(number))
    return short if Fraction(short) == number else str(number)


def _row(idx: int, certificate: Certificate | Decision, label: int, seconds: float) -> Row:
    """The row of one example; ``seconds`` since the row before."""
    samples, counted = certificate.samples, sum(certificate.counts)
    return Row(
        idx=idx,
        label=label,
        predict=certificate.label,
        radius=Decimal(f"{certificate.radius:.6f}"),
        correct=certificate.label == label,
        time=seconds,
        selection=seen(certificate.selection_counts),
        estimation=seen(certificate.counts),
        drawn=samples if samples > counted else None,
    )
