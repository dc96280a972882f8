"""Base classifiers out of files: opened, bound to the hashes of what they are made of, smoothed.

A network that `rslib.weights` wrote has its manifest beside it. Anybody's own model is opened by
what it is called, through `rslib.models.open`, which alone executes code, and only what the caller
names; what a manifest says of a model is never executed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rslib import _checks, _files, _outputs, models, plans, progress, records
from rslib.backends import BACKENDS
from rslib.datasets import Dataset
from rslib.engine import Plan
from rslib.records import Manifest
from rslib.smoothing import SmoothedClassifier

__all__ = [
    "OpenedModel",
    "begun",
    "check_same",
    "choose_plan",
    "classes_of",
    "load",
    "naming",
    "open_again",
    "open_model",
    "smooth",
]


@dataclass(frozen=True)
class OpenedModel:
    """A base classifier out of a file, and which file that was.

    Attributes
    ----------
    network : callable
        A torch module with the parameters of the file, or a function.
    name : str
        Of its architecture, see `rslib.models.MODELS`; or what it was opened by, without folders.
    path : Path
        The file with its weights; where none were given, the file that was named.
    sha256 : str
        That file's hash: what certificates are bound to.
    manifest : mapping
        What lies beside the weights as ``<name>.json``; empty where it was not asked for.
    files : mapping
        SHA-256 of what it is made of beside its weights, see `rslib.models.Opened`.
    state_sha256 : str or None
        Of its parameters and buffers, where it was opened by what it is called.
    entry : str or None
        The part of the checkpoint that was asked for.
    wrapping : mapping
        What `rslib.models.wrap` was given: ``mean``, ``std``, ``input_range``, ``output``.
    notes : tuple of str
        What the reader should be told, see `rslib.models.Opened`.
    """

    network: Callable
    name: str
    path: Path
    sha256: str
    manifest: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    state_sha256: str | None = None
    entry: str | None = None
    wrapping: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "_as_opened", self._state())

    def _state(self) -> str | None:
        network = self.network
        return models.state_sha256(network) if isinstance(network, nn.Module) else None

    def is_as_opened(self) -> bool:
        """Whether parameters and buffers are what they were; of a function nothing is known."""
        return self._state() == vars(self)["_as_opened"]

    def described(self, folder: Path) -> records.ModelEntry:
        """What a manifest in a folder says of it."""
        return records.ModelEntry(
            name=self.name,
            file=Path(os.path.relpath(self.path, folder)).as_posix(),
            sha256=self.sha256,
            files=dict(self.files) or None,
            state_sha256=self.state_sha256,
            entry=self.entry,
            **self.wrapping,
        )


def open_model(
    weights: str | os.PathLike | None,
    shape: tuple[int, ...],
    num_classes: int | None = None,
    *,
    model: str | None = None,
    entry: str | None = None,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    input_range: tuple[float, float] | None = None,
    output: str | int | None = None,
) -> OpenedModel:
    """Open a network that `rslib.weights` wrote, or anybody's model by what it is called.

    Parameters
    ----------
    weights : path or None
        Without ``model`` a ``.safetensors`` or ``.onnx`` with its manifest beside it; nothing in
        either is executed. With it as for `rslib.models.open`.
    shape : tuple of int
        Of one example.
    num_classes : int, optional
        Number of classes K; default: as in the manifest beside the weights, or as the model has
        it.
    model, entry : str, optional
        As ``spec`` and ``entry`` of `rslib.models.open`. Code runs only where ``model`` names it.
    mean, std, input_range, output : optional
        As for `rslib.models.wrap`, but ``output`` must be a name or a place.

    Returns
    -------
    OpenedModel

    Raises
    ------
    ValueError, TypeError
        If a file is missing or not what it should be, the weights are not those that the manifest
        names by their hash or do not fit, or there is no file that a certificate could be bound to.

    Examples
    --------
    ``open_model("ckpt.pt", (3, 64, 64), 10, model="my_model.py:build", mean=0.5, std=0.2)``
    """
    if output is not None and type(output) not in (str, int):
        raise TypeError(
            f"output must be a name or a place, which a manifest can hold, got {output!r}: apply "
            "a function in the code that makes the model"
        )
    if num_classes is not None and _checks.whole("num_classes", num_classes, 0) < 2:
        raise ValueError(
            f"num_classes must be at least 2, got {num_classes}: of images in folders it is the "
            "number of class folders in the split"
        )
    if model is None:
        opened = _open_trained(weights, shape, num_classes)
    else:
        opened = _open_named(model, weights, shape, num_classes, entry)
    return _wrapped(opened, mean=mean, std=std, input_range=input_range, output=output)


def _wrapped(opened: OpenedModel, output: str | int | None, **numbers: Any) -> OpenedModel:
    """The model with `rslib.models.wrap` around it, and what that was given."""
    network = models.wrap(opened.network, output=output, **numbers)
    wrapping: dict[str, Any] = {
        name: tuple(torch.as_tensor(value, dtype=torch.float64).flatten().tolist())
        for name, value in numbers.items()
        if value is not None
    }
    if output is not None:
        wrapping["output"] = output
    return replace(opened, network=network, wrapping=wrapping)


def _open_trained(weights, shape: tuple[int, ...], num_classes: int | None) -> OpenedModel:
    if weights is None:
        raise ValueError("weights must be given, or a model that holds its own, got neither")
    weights = Path(weights)
    if not weights.is_file():
        raise ValueError(f"{weights}: no such file")
    beside = weights.with_suffix(".json")
    if not beside.exists():
        raise ValueError(
            f"{beside}: no such file: for weights that `rslib train` did not write, name the "
            "model that they are of (--model)"
        )
    manifest = records.read_manifest(beside)
    described = manifest.get("model")
    if manifest["format"] != records.MODEL_FORMAT or not isinstance(described, dict):
        raise ValueError(f"{beside}: not the manifest of a model")
    name, sha256 = described.get("name"), described.get("sha256")
    if num_classes is None:
        trained_on = manifest.get("dataset")
        num_classes = trained_on.get("num_classes") if isinstance(trained_on, dict) else None
        if type(num_classes) is not int:
            raise ValueError(f"{beside}: dataset.num_classes: must be an integer")
    return replace(load(name, weights, sha256, shape, num_classes), manifest=manifest)


def _open_named(
    spec: str, weights, shape: tuple[int, ...], num_classes: int | None, entry: str | None
) -> OpenedModel:
    opened = models.open(spec, shape, num_classes, weights, entry)
    sha256 = opened.weights_sha256
    if weights is None and opened.path is None:
        why = "they are drawn at random" if opened.kind == "architecture" else "no file holds it"
        raise ValueError(f"weights must be given for model {spec}: without them {why}")
    path = Path(opened.path if weights is None else weights)  # type: ignore[arg-type]
    return OpenedModel(
        opened.base,
        _without_folders(spec),
        path,
        sha256 or next(iter(opened.files.values())),
        files=opened.files,
        state_sha256=opened.state_sha256,
        entry=entry,
        notes=opened.notes,
    )


def _without_folders(spec: str) -> str:
    return spec if spec in models.MODELS else Path(spec).name


def open_again(
    described: records.ModelEntry,
    folder: Path,
    shape: tuple[int, ...],
    num_classes: int,
    model: str | None = None,
    weights: str | os.PathLike | None = None,
) -> OpenedModel:
    """The model that a manifest in a folder describes, or an error that says what is another.

    Parameters
    ----------
    described : ModelEntry
        All but code comes from it; the hashes of what is opened have to be the ones there.
    folder : Path
        Where the manifest lies.
    shape, num_classes
        Of the data set.
    model : str, optional
        As for `open_model`. Only an architecture of `rslib.models.MODELS` needs none.
    weights : path, optional
        Default: the file that the manifest names.

    Returns
    -------
    OpenedModel

    Raises
    ------
    ValueError
        If the model has to be named, or is not the one described.
    """
    if model is None and described.name not in models.MODELS:
        raise ValueError(
            f"model must name {described.name} (--model): what a manifest names is never executed"
        )
    if model is not None and _without_folders(model) != described.name:
        raise ValueError(f"model must be {described.name}, as in the manifest, got {model}")
    if described.sha256 in (described.files or {}).values():
        if weights is not None:
            raise ValueError(f"weights must be left out, {described.name} held its own: {weights}")
    else:
        weights = Path(folder / described.file if weights is None else weights)
        _check_sha256(weights, described.sha256)
    if described.state_sha256 is None and not described.files:
        trained = Path(folder / described.file if weights is None else weights)
        found = load(described.name, trained, described.sha256, shape, num_classes)
        return _wrapped(found, **_wrapping(described))
    found = open_model(
        weights,
        shape,
        num_classes,
        model=model or described.name,
        entry=described.entry,
        **_wrapping(described),
    )
    check_same(described, found, folder)
    return found


_CHECK_SHAPE = (
    ": is it made for images of this shape (--channels, --resize, --crop), and does its code run?"
)


@contextmanager
def naming(model: OpenedModel, dataset: Dataset, plan: Plan | None = None) -> Iterator[None]:
    """Errors of a model that is run say which model, on which images, and what to look at.

    Parameters
    ----------
    model, dataset
        What is run, and images of the shape that it is run on.
    plan : Plan, optional
        That it is run under; for None, any number of rows was tried.
    """
    try:
        yield
    except _outputs.UnfitError as error:
        text = f"model {model.name}: {error}"
        if str(error).startswith("num_classes") and dataset.name == "folder":
            names = dataset.class_names or ()
            listed = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
            text += f" (the classes are the folders of split {dataset.split!r}: {listed})"
        raise ValueError(text) from error
    except _outputs.BaseFailed as error:
        cause, found = error.__cause__, None
        if plan is not None:
            found = plans.fewer_rows(model.network, dataset.num_classes, dataset.shape, plan)
        many = "" if plan is None else f"{plan.rows} "
        why = _checks.first_line(cause, named=True)
        raise ValueError(
            f"model {model.name} fails on {many}images of shape {dataset.shape}: {why}"
            + (_CHECK_SHAPE if found is None else f": it takes {found} at a time (--rows {found})")
        ) from cause


def check_same(described: records.ModelEntry, found: OpenedModel, folder: Path) -> None:
    """A ValueError, with the field, unless the model is the one that a manifest describes."""
    if other := described.difference(found.described(folder)):
        name, before, now = other
        raise ValueError(
            f"model {found.name} is not the one that was certified: its {name} was {before}, is "
            f"{now}"
        )


def _wrapping(described: records.ModelEntry) -> dict[str, Any]:
    return {name: getattr(described, name) for name in ("mean", "std", "input_range", "output")}


def classes_of(network: Callable, shape: tuple[int, ...]) -> int:
    """How many classes a base classifier tells apart: the width of its scores.

    Parameters
    ----------
    network : callable
        Is asked once, about two examples of zeros.
    shape : tuple of int
        Of one example.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If it answers with labels, or with what are no scores; or fails.
    """
    try:
        with torch.no_grad():
            output = network(torch.zeros(2, *shape))
    except Exception as error:
        why = _checks.first_line(error, named=True)
        raise ValueError(
            f"the model fails on images of shape {shape}: {why}{_CHECK_SHAPE}"
        ) from error
    scores: Tensor | None = _outputs.as_tensor(output)
    if scores is None or scores.dim() != 2 or scores.shape[1] < 2:
        raise ValueError(
            "num_classes must be given (--num-classes): the model's output does not say how many "
            "there are"
        )
    return scores.shape[1]


def load(
    name: Any, weights: Path, sha256: Any, shape: tuple[int, ...], num_classes: int
) -> OpenedModel:
    """A network by its architecture's name, with weights that have to have this hash.

    Raises
    ------
    ValueError
        If there is no such architecture or file, or the file is another one.
    """
    _check_sha256(weights, sha256)
    network: Callable
    if weights.suffix == ".onnx":
        network = models.open(str(weights), shape, num_classes).base
    else:
        network = models.load_weights(models.build(name, shape, num_classes), weights)
    return OpenedModel(network, name, weights, sha256)


def _check_sha256(weights: Path, sha256: Any) -> None:
    """A ValueError unless the file is there and has this hash."""
    if not weights.is_file():
        raise ValueError(f"{weights}: no such file")
    if _files.sha256(weights) != sha256:
        raise ValueError(f"{weights}: its SHA-256 is not the one in its manifest")


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
    say: Callable[[str], None] = progress.quietly,
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
                raise ValueError(
                    f"{name} {value}: the file was begun with {begun_with}: leave it out, or name "
                    "another file (--out)"
                )
        if reason := BACKENDS[plan.backend].missing():
            raise ValueError(f"the file was begun with a backend that is missing here: {reason}")
        return plan
    network, shape = model.network, dataset.shape
    kept: dict[str, Any] = {
        "device": device,
        "threads": threads,
        "dtype": dtype or "float32",
        "backend": backend,
    }
    plan = plans.default_plan(network, shape, **kept)
    if rows is None:
        say("Choosing the fastest way to run the network here; this may take a minute.")
        with naming(model, dataset):
            plan = plans.fastest_plan(network, dataset.num_classes, shape, **kept)
        say(f"It is {plan.backend}, {plan.rows} noisy copies in a forward pass.")
    return plan if rows is None else replace(plan, rows=rows)


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
