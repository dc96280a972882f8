"""Weights in files: train a base classifier into one, or round one to eight bits.

The weights of those that are trained here are safetensors; a network in eight bits is an ONNX file.
Beside ``<name>.safetensors`` or ``<name>.onnx`` lies the manifest ``<name>.json``: which
architecture it is, the file's hash, and how it was made.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from rslib import _checks, _files, backends, models, progress, quantization, records, training
from rslib.datasets import Dataset
from rslib.noise import GridGaussian, Purpose
from rslib.opened import OpenedModel, open_model
from rslib.records import DatasetEntry

__all__ = ["Trained", "quantize", "train"]


@dataclass(frozen=True)
class Trained:
    """What became of a training run: the epochs that were run, of how many, and the seconds."""

    log: list[dict]
    epochs: int
    wall_time: float
    checkpoint: Path | None

    @property
    def complete(self) -> bool:
        """Whether the weights are written; else the checkpoint holds what there is."""
        return len(self.log) >= self.epochs


def train(
    dataset: Dataset,
    out: str | os.PathLike,
    sigma: str,
    *,
    model: str = "cnn",
    start: str | os.PathLike | None = None,
    recipe: str = "digits",
    changes: Mapping[str, Any] | None = None,
    seed: int = 0,
    store: str = "float32",
    threads: int = 1,
    device: str = "cpu",
    checkpoint: str | os.PathLike | None = None,
    log_file: str | os.PathLike | None = None,
    budget: float | None = None,
    overwrite: bool = False,
    command: str = "rslib.runs.train",
) -> Trained:
    """Train a base classifier into a file that `rslib.opened.open_model` reads.

    Parameters
    ----------
    dataset : Dataset
        The training images.
    out : path
        ``<name>.safetensors``; the manifest goes to ``<name>.json``. Folders are created.
    sigma : str
        Standard deviation of the noise in input units, as the manifest is to hold it.
    model : str
        A name of `rslib.models.MODELS`.
    start : path, optional
        Weights of such a network that `train` wrote, to begin with in place of random ones: the
        manifest names them by their hash.
    recipe : str
        A name of `rslib.training.RECIPES`.
    changes : mapping, optional
        Arguments of `rslib.training.train` in which the run departs from the recipe, None where it
        does not.
    seed : int
        Fixes the network's first weights and all draws; with ``start`` its hash does so, too: else
        a network that goes on would see the noise again that it began with.
    store : {"float32", "bfloat16", "float16"}
        Number type of the weights in the file.
    threads, device
        On the CPU how many threads, and where.
    checkpoint, log_file, budget
        As for `rslib.training.train`; with a budget and no checkpoint named, one lies beside
        ``out`` until the weights are there.
    overwrite : bool
        Whether weights that are there may be replaced.
    command : str
        How the manifest says that the file was made.

    Returns
    -------
    Trained

    Raises
    ------
    ValueError
        Names the argument.
    """
    out = Path(out)
    _check_out(out, overwrite)
    torch.set_num_threads(threads)
    network, started_from = _first(model, start, dataset, seed, out.parent)
    network.to(device)
    hyper = _hyperparameters(recipe, changes or {}, seed)
    if budget and not checkpoint:
        checkpoint = out.with_suffix(".checkpoint")
    began = time.monotonic()
    with progress.bar(hyper["epochs"], "epochs") as bar:

        def show(entry: dict) -> None:
            bar.set_postfix(loss=f"{entry['loss']:.3f}", accuracy=f"{entry['noisy_accuracy']:.3f}")
            bar.update()

        log = training.train(
            network,
            dataset,
            float(Fraction(sigma)),
            progress=show,
            checkpoint=checkpoint,
            log_file=log_file,
            budget=budget or math.inf,
            **hyper | {"seed": _seed_of_draws(seed, started_from)},
        )
    # A resumed run counts the epochs before it, and not what it took to begin again.
    wall_time = max(time.monotonic() - began, sum(entry["seconds"] for entry in log))
    trained = Trained(log, hyper["epochs"], wall_time, Path(checkpoint) if checkpoint else None)
    if not trained.complete:
        return trained
    training_of = {"recipe": recipe, **hyper, **started_from, "final": log[-1]}
    manifest = {
        "format": records.MODEL_FORMAT,
        "dataset": DatasetEntry.of(dataset).to_dict(),
        "model": _save(network, model, out, store),
        "sigma": sigma,
        "training": training_of | {"wall_time_s": round(wall_time, 1)},
        **_files.provenance(command, device, backends.PACKAGES),
    }
    records.write_manifest(out.with_suffix(".json"), manifest)
    if trained.checkpoint:
        trained.checkpoint.unlink()  # the weights have taken its place
    return trained


def _first(
    name: str, start: str | os.PathLike | None, dataset: Dataset, seed: int, folder: Path
) -> tuple[nn.Module, dict[str, Any]]:
    """The network as it is before training, and what a manifest in a folder says of that."""
    if start is None:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return models.build(name, dataset.shape, dataset.num_classes), {}
    opened = open_model(start, dataset.shape, dataset.num_classes)
    if opened.name != name or not isinstance(opened.network, nn.Module):
        what = opened.name + ("" if isinstance(opened.network, nn.Module) else " in eight bits")
        raise ValueError(f"start must be weights of {name}, got {start}, of {what}")
    file = Path(os.path.relpath(opened.path, folder)).as_posix()
    return opened.network, {"start": {"file": file, "sha256": opened.sha256}}


def _seed_of_draws(seed: int, started_from: dict[str, Any]) -> int:
    """The seed itself, or one that no run before with the same seed had."""
    if not started_from:
        return seed
    words = np.random.SeedSequence(
        [_checks.whole("seed", seed, 0), int(started_from["start"]["sha256"], 16)]
    )
    return int(words.generate_state(1, np.uint64)[0] >> np.uint64(1))


def quantize(
    weights: str | os.PathLike,
    dataset: Dataset,
    out: str | os.PathLike,
    sigma: str,
    *,
    images: int = 500,
    seed: int = 0,
    overwrite: bool = False,
    command: str = "rslib.runs.quantize",
) -> OpenedModel:
    """Round a network to eight bits, into a file that `rslib.opened.open_model` reads.

    Parameters
    ----------
    weights : path
        A ``.safetensors`` that `train` wrote. It is not changed.
    dataset : Dataset
        The training images: on some of them, with noise, the ranges are found to which activations
        are rounded.
    out : path
        ``<name>.onnx``; the manifest goes to ``<name>.json``. Folders are created.
    sigma : str
        Standard deviation of the noise in input units, that under which it will be certified.
    images : int
        How many training images, as many of each class as can be.
    seed : int
        Fixes which images and their noise.
    overwrite : bool
        Whether a file that is there may be replaced.
    command : str
        How the manifest says that the file was made.

    Returns
    -------
    OpenedModel
        What was written. It is another base classifier than the one that it was made from: its
        certificates are its own, and bound to the hash of this file.

    Raises
    ------
    ValueError
        Names the argument.
    """
    out = Path(out)
    _check_out(out, overwrite, ".onnx")
    opened = open_model(weights, dataset.shape, dataset.num_classes)
    network = opened.network
    if not isinstance(network, nn.Module):
        raise ValueError(f"weights must be in float numbers, got {opened.path}")
    _checks.whole("images", images, 1, len(dataset))
    chosen = dataset.sample(images, seed)
    noise = GridGaussian(sigma, dataset.step)
    noisy = torch.empty((len(chosen), *dataset.shape))
    for row, idx in enumerate(chosen):
        at = noise.prepare(torch.as_tensor(dataset.images[idx]))
        noise.stream(at, seed, Purpose.TRAINING, idx).fill(noisy[row : row + 1])
    quantization.quantize(network, noisy.numpy(), out)
    manifest = {
        "format": records.MODEL_FORMAT,
        "dataset": DatasetEntry.of(dataset).to_dict(),
        "model": {"name": opened.name, "sha256": _files.sha256(out), "dtype": "int8"},
        "sigma": sigma,
        "quantized_from": {
            "file": Path(os.path.relpath(opened.path, out.parent)).as_posix(),
            "sha256": opened.sha256,
        },
        "calibration": {
            "images": images,
            "seed": seed,
            "examples_sha256": dataset.digest(chosen),
        },
        **_files.provenance(command, "cpu", backends.PACKAGES),
    }
    records.write_manifest(out.with_suffix(".json"), manifest)
    return open_model(out, dataset.shape, dataset.num_classes)


def _check_out(out: Path, overwrite: bool, suffix: str = ".safetensors") -> None:
    if out.suffix != suffix:
        raise ValueError(f"out must end in {suffix}, got {str(out)!r}")
    if out.exists() and not overwrite:
        raise ValueError(f"{out} exists: say overwrite (--overwrite) to replace it")
    if out.is_dir():
        raise ValueError(f"out {out} is a folder")
    out.parent.mkdir(parents=True, exist_ok=True)


def _save(network: nn.Module, name: str, out: Path, store: str) -> dict[str, str]:
    """Write the weights; returns what the manifest says of them."""
    models.save_weights(network, out, store)
    described = {"name": name, "sha256": _files.sha256(out)}
    return described if store == "float32" else described | {"dtype": store}


def _hyperparameters(recipe: str, changes: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """The recipe's arguments with the changes, in the order in which manifests have them."""
    if recipe not in training.RECIPES:
        known = ", ".join(training.RECIPES)
        raise ValueError(f"recipe must be one of {known}, got {recipe!r}")
    first = dict.fromkeys(("epochs", "batch_size", "learning_rate"))
    found: dict[str, Any] = first | {"seed": seed} | training.RECIPES[recipe]
    found |= {"consistency": 0.0, "average": False, "bfloat16": False, "compiled": "no"}
    return found | {name: value for name, value in changes.items() if value is not None}
