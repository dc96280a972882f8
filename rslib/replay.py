"""Drawing rows of a certificate file again, from what its manifest says.

Noise is a function of the seed, the example and the purpose alone (`rslib.noise`), so whoever has
the base classifier and the images gets the counts of any row once more. What the file says of them
is then no longer a matter of trust.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from rslib import datasets, progress, records
from rslib._rows import seen
from rslib.backends import BACKENDS
from rslib.datasets import Dataset
from rslib.engine import Plan
from rslib.noise import Purpose
from rslib.opened import OpenedModel, check_same, open_again, smooth
from rslib.records import DatasetEntry, Manifest, Row
from rslib.smoothing import SmoothedClassifier

__all__ = ["Replay", "replay"]


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
        If a file, the data set or the model cannot be read, the model is not the file's, or what
        ran it is not installed.
    """
    file = records.read_certificates(path)
    manifest, where = file.manifest, file.path
    if manifest is None:
        raise ValueError(f"{where}: a log without counts cannot be drawn again")
    if seed not in (None, manifest.seed):
        raise ValueError(f"seed must be the file's, {manifest.seed}, got {seed}")
    if dataset is None:
        dataset = _dataset_of(manifest.dataset, root)
    if other := manifest.dataset.difference(DatasetEntry.of(dataset)):
        name, before, now = other
        words = f"{where}: its data set is another: {name} is {before}, at hand it is {now}"
        return Replay(where, (), [words])
    if manifest.examples_sha256:
        found = dataset.digest(manifest.indices)
        if found != manifest.examples_sha256:
            words = f"{manifest.examples_sha256}, those at hand {found}"
            return Replay(where, (), [f"{where}: the SHA-256 of its examples is {words}"])
    problems = [
        f"{where}: idx {row.idx}: label {row.label}, is {dataset.labels[row.idx]}"
        for row in file.rows
        if row.label != dataset.labels[row.idx]
    ]
    plan = Plan.from_dict(manifest.plan)
    # Another program rounds otherwise: its counts would say nothing of the file's.
    if reason := BACKENDS[plan.backend].missing():
        raise ValueError(
            f"{where}: its counts are those of a program that is missing here: {reason}"
        )
    smoothed = _as_certified(manifest, plan, where.parent, dataset, model, weights)
    chosen = random.SystemRandom().sample(file.rows, min(rows, len(file.rows)))
    with progress.bar(len(chosen), "images") as bar:
        for row in chosen:
            problems += [f"{where}: {words}" for words in _redrawn(smoothed, dataset, row)]
            bar.update()
    return Replay(where, tuple(row.idx for row in chosen), problems)


def _dataset_of(described: DatasetEntry, root: str | os.PathLike | None) -> Dataset:
    """The data set that a manifest describes."""
    reading = {name: getattr(described, name) for name in ("channels", "resize", "crop")}
    return datasets.load(
        described.name, described.split, root, **reading if described.name == "folder" else {}
    )


def _as_certified(
    manifest: Manifest,
    plan: Plan,
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
        plan=plan,
    )


def _redrawn(smoothed: SmoothedClassifier, dataset: Dataset, row: Row) -> list[str]:
    """In what a row's counts differ from those that its noise, drawn again, gives."""
    problems = []
    for name, purpose in (("selection", Purpose.SELECTION), ("estimation", Purpose.ESTIMATION)):
        recorded = getattr(row, name)
        # A run that stopped early took the first draws of the same noise, and a radius that was
        # kept was shown by the first of those that were drawn.
        n, image = sum(recorded.values()), dataset.images[row.idx]
        again = seen(smoothed.counts(image, n, purpose, row.idx))
        if recorded != again:
            problem = f"idx {row.idx}: {name} counts {recorded}, drawn again: {again}"
            if seen(smoothed.counts(image, n, purpose, row.idx)) != again:
                problem += (
                    "; once more, others: this base classifier is random, and no replay can tell"
                )
            problems.append(problem)
    return problems
