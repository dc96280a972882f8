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
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rslib import _files, backends, datasets, plans, progress, records
from rslib.datasets import Dataset
from rslib.decisions import ABSTAIN, AllSamples, Method, check_alpha, predict_from_counts
from rslib.engine import Plan
from rslib.noise import Purpose
from rslib.records import Manifest, RecordError, Row
from rslib.sharding import ShardedWriter, Team
from rslib.smoothing import SmoothedClassifier
from rslib.weights import (
    OpenedModel,
    check_same,
    classes_of,
    describe,
    examples_sha256,
    naming,
    open_again,
    open_model,
    quantize,
    train,
)

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


def _quietly(text: str) -> None:
    """What is said where nobody asked to be told."""


# ------------------------------------------------------------------------ the smoothed classifier


def begun(out: str | os.PathLike) -> Manifest | None:
    """The manifest of a run that was begun, None where there is none.

    Raises
    ------
    RecordError
        If there is one that cannot be read.
    """
    beside = records.manifest_path(out)
    return Manifest.read(beside) if beside.exists() else None


def choose_plan(
    model: OpenedModel,
    dataset: Dataset,
    *,
    rows: int | None = None,
    backend: str | None = None,
    dtype: str | None = None,
    threads: int = 1,
    device: str = "cpu",
    earlier: Manifest | None = None,
    say: Callable[[str], None] = _quietly,
) -> Plan:
    """How the network is to be run: as the run was begun, as asked, or as fast as can be.

    Parameters
    ----------
    model, dataset
        The network, and images of the shape that it will be run on.
    rows, backend, dtype : optional
        As in `rslib.engine.Plan`, to be kept. Where ``rows`` is not given the plans are timed,
        which takes seconds to minutes.
    threads, device
        As in `rslib.engine.Plan`.
    earlier : Manifest, optional
        Of the run that is gone on with: its plan is kept, or the counts would differ.
    say : callable
        Is given a line before the timing begins, and one after it.

    Returns
    -------
    Plan

    Raises
    ------
    ValueError
        If the earlier run has another plan than the one asked for; or for an argument out of range.
    """
    asked: dict[str, Any] = {"rows": rows, "backend": backend, "dtype": dtype}
    asked = {name: value for name, value in asked.items() if value is not None}
    if earlier is not None:
        plan = Plan.from_dict(earlier.plan)
        for name, value in asked.items():
            if value != getattr(plan, name):
                begun_with = getattr(plan, name)
                raise ValueError(f"{name} {value}: the file was begun with {begun_with}")
        return plan
    network, shape = model.network, dataset.shape
    kept: dict[str, Any] = {
        "device": device,
        "threads": threads,
        "dtype": dtype or "float32",
    }
    plan = plans.default_plan(network, shape, **kept)
    if rows is None:
        say("Choosing the fastest way to run the network here; this may take a minute.")
        with naming(model, dataset):
            plan = plans.fastest_plan(network, dataset.num_classes, shape, **kept)
        say(f"It is {plan.backend}, {plan.rows} noisy copies in a forward pass.")
    return replace(plan, **asked)


def smooth(
    model: OpenedModel,
    dataset: Dataset,
    sigma: float | str | Fraction,
    *,
    noise: str = "grid",
    seed: int | None = None,
    plan: Plan | None = None,
    earlier: Manifest | None = None,
) -> SmoothedClassifier:
    """The model, smoothed on the grid of the data set.

    Parameters
    ----------
    model, dataset
        As `open_model` and `rslib.datasets.load` give them.
    sigma, noise, seed, plan
        As for `rslib.smoothing.SmoothedClassifier`. A seed that is not given is drawn fresh from
        the operating system: nobody can have chosen the network or the images in sight of its
        noise.
    earlier : Manifest, optional
        Of the run that is gone on with, see `begun`: its seed and its plan are taken where none
        are given.

    Returns
    -------
    SmoothedClassifier
    """
    if earlier is not None:
        seed = earlier.seed if seed is None else seed
        plan = Plan.from_dict(earlier.plan) if plan is None else plan
    smoothed = SmoothedClassifier(
        model.network, dataset.num_classes, sigma, dataset.step, noise=noise, seed=seed, plan=plan
    )
    with naming(model, dataset, smoothed.plan):
        smoothed.engine(dataset.shape)  # made ready once, here where its errors can name the model
    return smoothed


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
    say: Callable[[str], None] = _quietly,
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
        return _seen(smoothed.counts(image, n0, Purpose.SELECTION, row.idx))

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


def _seen(counts: Iterable[int]) -> dict[int, int]:
    """The counts that are not zero, by class, as a row has them."""
    return {label: int(k) for label, k in enumerate(counts) if k}


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
        dataset=describe(dataset),
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
        examples_sha256=examples_sha256(dataset, indices),
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
        selection=_seen(certificate.selection_counts),
        estimation=_seen(certificate.counts),
        drawn=samples if samples > counted else None,
    )


# --------------------------------------------------------------------------------- drawing again


@dataclass(frozen=True)
class Replay:
    """What drawing rows again has shown.

    Attributes
    ----------
    path : Path
        The certificate file.
    indices : tuple of int
        Examples whose noise was drawn again; () where the data set is not the file's.
    problems : list of str
        What is not as the file says, each with its file; empty if all is.
    """

    path: Path
    indices: tuple[int, ...]
    problems: list[str]

    @property
    def ok(self) -> bool:
        """Whether there is no problem."""
        return not self.problems

    def __str__(self) -> str:
        listed = " ".join(map(str, self.indices))
        verdict = "identical" if self.ok else "NOT identical"
        return f"{self.path}: {verdict} counts when drawn again: {listed}"


def replay(
    path: str | os.PathLike,
    rows: int,
    root: str | os.PathLike | None = None,
    seed: int | None = None,
    *,
    model: OpenedModel | str | None = None,
    weights: str | os.PathLike | None = None,
    dataset: Dataset | None = None,
) -> Replay:
    """Draw the noise of a few rows again, run the network, and compare the counts.

    The rows are chosen by the operating system's random numbers: whoever made counts up cannot know
    which will be looked at. The examples' pixels and labels have to be those that the manifest
    names by their hash; the labels of all rows are compared, too.

    Parameters
    ----------
    path : path
        A certificate file. What is not given is taken from its manifest.
    rows : int
        How many; all if the file has fewer.
    root : path, optional
        Folder of the data set.
    seed : int, optional
        What the file's seed is thought to be; default: what its manifest says.
    model : OpenedModel or str, optional
        The base classifier, or what it is called, as for `open_model`: needed where it is none of
        `rslib.models.MODELS`, for what a manifest names is never executed. Its hashes have to be
        those of the manifest.
    weights : path, optional
        Default: the file that the manifest names.
    dataset : Dataset, optional
        Default: as the manifest says it, from ``root``.

    Returns
    -------
    Replay

    Raises
    ------
    ValueError
        If a file, the data set or the model cannot be read, or the model is not the file's.
    """
    file = records.read_certificates(path)
    manifest, where = file.manifest, file.path
    if manifest is None:
        raise ValueError(f"{where}: a log without counts cannot be drawn again")
    if seed not in (None, manifest.seed):
        raise ValueError(f"seed must be the file's, {manifest.seed}, got {seed}")
    if dataset is None:
        dataset = _dataset_of(manifest.dataset, root)
    if other := manifest.dataset.difference(describe(dataset)):
        name, before, now = other
        words = f"{where}: its data set is another: {name} is {before}, at hand it is {now}"
        return Replay(where, (), [words])
    if manifest.examples_sha256:
        found = examples_sha256(dataset, manifest.indices)
        if found != manifest.examples_sha256:
            words = f"{manifest.examples_sha256}, those at hand {found}"
            return Replay(where, (), [f"{where}: the SHA-256 of its examples is {words}"])
    problems = [
        f"{where}: idx {row.idx}: label {row.label}, is {dataset.labels[row.idx]}"
        for row in file.rows
        if row.label != dataset.labels[row.idx]
    ]
    smoothed = _as_certified(manifest, where.parent, dataset, model, weights)
    chosen = random.SystemRandom().sample(file.rows, min(rows, len(file.rows)))
    with progress.bar(len(chosen), "images") as bar:
        for row in chosen:
            problems += [f"{where}: {words}" for words in _redrawn(smoothed, dataset, row)]
            bar.update()
    return Replay(where, tuple(row.idx for row in chosen), problems)


def _dataset_of(described: records.DatasetEntry, root: str | os.PathLike | None) -> Dataset:
    """The data set that a manifest describes."""
    reading = {name: getattr(described, name) for name in ("channels", "resize", "crop")}
    return datasets.load(
        described.name, described.split, root, **reading if described.name == "folder" else {}
    )


def _as_certified(
    manifest: Manifest,
    folder: Path,
    dataset: Dataset,
    model: OpenedModel | str | None = None,
    weights: str | os.PathLike | None = None,
) -> SmoothedClassifier:
    """The smoothed classifier of a certificate file that lies in a folder."""
    if not isinstance(model, OpenedModel):
        model = open_again(
            manifest.model, folder, dataset.shape, dataset.num_classes, model, weights
        )
    check_same(manifest.model, model, folder)
    if manifest.noise.step is not None:
        dataset = replace(dataset, step=Fraction(manifest.noise.step))
    return smooth(
        model,
        dataset,
        manifest.sigma,
        noise=manifest.noise.kind,
        seed=manifest.seed,
        plan=Plan.from_dict(manifest.plan),
    )


def _redrawn(smoothed: SmoothedClassifier, dataset: Dataset, row: Row) -> list[str]:
    """In what a row's counts differ from those that its noise, drawn again, gives."""
    problems = []
    for name, purpose in (("selection", Purpose.SELECTION), ("estimation", Purpose.ESTIMATION)):
        recorded = getattr(row, name)
        # A run that stopped early took the first draws of the same noise, and a radius that was
        # kept was shown by the first of those that were drawn.
        n, image = sum(recorded.values()), dataset.images[row.idx]
        again = _seen(smoothed.counts(image, n, purpose, row.idx))
        if recorded != again:
            problem = f"idx {row.idx}: {name} counts {recorded}, drawn again: {again}"
            if _seen(smoothed.counts(image, n, purpose, row.idx)) != again:
                problem += (
                    "; once more, others: this base classifier is random, and no replay can tell"
                )
            problems.append(problem)
    return problems
