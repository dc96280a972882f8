"""Training base classifiers with Gaussian augmentation.

Theorem 1 holds however the base classifier was trained. It certifies something only if the
classifier is right on noisy images, so it is trained on them (Lecuyer et al. 2019; Cohen et al.
2019, section 3.3): every step adds fresh noise N(0, sigma^2 I) to the images it sees.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import pickle
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, update_bn

from rslib import _checks, _files, models
from rslib.datasets import Dataset

__all__ = ["OPTIMISERS", "RECIPES", "consistency_loss", "shift_and_flip", "train"]

OPTIMISERS = ("adamw", "sgd")
_COMPILED = ("no", "blocks", "whole")
_FORMAT = "rslib-checkpoint/1"
_PADDING = 4

#: Name of a recipe -> keyword arguments of `train`. ``digits`` is its default; ``sgd`` is for
#: residual networks on 32 x 32 images: on a GPU it adds bfloat16 and compilation. ``evening`` is
#: for ``wide``, on two cores.
RECIPES = {
    "digits": {
        "optimiser": "adamw",
        "epochs": 200,
        "batch_size": 64,
        "learning_rate": 3e-3,
        "weight_decay": 1e-4,
        "augment": False,
    },
    "sgd": {
        "optimiser": "sgd",
        "epochs": 90,
        "batch_size": 512,
        "learning_rate": 0.2,
        "weight_decay": 5e-4,
        "augment": True,
    },
    "evening": {
        "optimiser": "sgd",
        "epochs": 12,
        "batch_size": 250,
        "learning_rate": 0.2,
        "weight_decay": 5e-4,
        "augment": True,
    },
}


def consistency_loss(scores: Tensor, weight: float, entropy: float = 0.5) -> Tensor:
    """What consistency regularisation adds to the mean cross-entropy over noisy copies.

    With F_i the softmax of copy i of an image and F their mean over its m copies, it is
    weight * mean_i KL(F || F_i) + entropy * H(F), averaged over the images. Derivation: a
    certificate grows with the share of noise under which the base classifier gives the same
    answer, and this share is largest where F_i does not depend on the noise: the first term is
    zero there alone, and the second makes the common answer a decided one.

    Parameters
    ----------
    scores : Tensor
        Float (m, B, K), the scores of m noisy copies of each of B images.
    weight, entropy : float
        The paper's lambda (20 at sigma = 0.25 and 10 above, for CIFAR-10) and eta.

    Returns
    -------
    Tensor
        A float32 scalar.

    References
    ----------
    jeong2020, section 3.

    Examples
    --------
    Copies that agree and are decided cost nothing:

    >>> scores = torch.tensor([[[50.0, 0.0]], [[50.0, 0.0]]])
    >>> float(consistency_loss(scores, 10.0)) < 1e-12
    True
    """
    logs = scores.float().log_softmax(-1)
    mean_log = logs.logsumexp(0) - math.log(len(logs))
    mean = mean_log.exp()
    divergence = (mean * (mean_log - logs)).sum(-1)
    return weight * divergence.mean() - entropy * (mean * mean_log).sum(-1).mean()


def shift_and_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image moved by up to 4 pixels both ways, black where it leaves, and mirrored or not.

    The standard augmentation of CIFAR-10: a random crop after padding, and a horizontal flip,
    drawn image by image.

    Parameters
    ----------
    images : Tensor
        Float (B, channels, height, width).
    generator : torch.Generator
        Of the images' device.

    Returns
    -------
    Tensor
        Like ``images``; every value is one of the image's, or 0.
    """
    count, channels, height, width = images.shape
    device = images.device

    def draw(least: int, size: int) -> Tensor:
        return torch.randint(least, (size, 1), generator=generator, device=device)

    rows = torch.arange(height, device=device) + draw(2 * _PADDING + 1, count)
    columns = torch.arange(width, device=device) + draw(2 * _PADDING + 1, count)
    columns = torch.where(draw(2, count).bool(), columns.flip(1), columns)
    padded = nn.functional.pad(images, (_PADDING,) * 4)
    return padded[
        torch.arange(count, device=device)[:, None, None, None],
        torch.arange(channels, device=device)[None, :, None, None],
        rows[:, None, :, None],
        columns[:, None, None, :],
    ]


def train(
    network: nn.Module,
    dataset: Dataset,
    sigma: float,
    *,
    epochs: int = 200,
    batch_size: int = 64,
    learning_rate: float = 3e-3,
    weight_decay: float = 1e-4,
    seed: int = 0,
    progress: Callable[[dict], None] | None = None,
    optimiser: str = "adamw",
    augment: bool = False,
    consistency: float = 0.0,
    average: bool = False,
    bfloat16: bool = False,
    compiled: str = "no",
    checkpoint: str | os.PathLike | None = None,
    log_file: str | os.PathLike | None = None,
    budget: float = math.inf,
) -> list[dict]:
    """Fit a network to images under Gaussian noise, in place.

    Parameters
    ----------
    network : torch.nn.Module
        Float images (B, channels, height, width) to scores (B, K). Left in evaluation mode.
    dataset : Dataset
        Training images and labels.
    sigma : float
        Standard deviation of the noise, in input units; 0 trains without noise.
    epochs, batch_size : int
        Passes over the data, and images a step.
    learning_rate, weight_decay : float
        Peak of the one-cycle schedule, and decay of the weights.
    seed : int
        Fixes the order of the images and the noise; the network's initial weights are the
        caller's.
    progress : callable, optional
        Called after every epoch with the entry that is also returned.
    optimiser : {"adamw", "sgd"}
        ``sgd`` is stochastic gradient descent with Nesterov momentum 0.9.
    augment : bool
        Move and mirror the images (`shift_and_flip`) before the noise is added.
    consistency : float
        Weight of `consistency_loss` over two noisy copies of each image; 0 takes one copy and
        leaves it out.
    average : bool
        Stochastic weight averaging: the learning rate stays at its peak after the first tenth of
        the steps, and the network ends as the mean of its weights after every step of the second
        half, with the statistics of batch normalisation estimated anew for it.
    bfloat16 : bool
        Mixed precision: layers compute in bfloat16 where torch holds that to be safe; weights,
        noise and loss stay float32.
    compiled : {"no", "blocks", "whole"}
        Give the network to torch.compile, or only the modules that recur in it, which compiles
        faster and runs slower. The last batch of an epoch is then left out if it is short.
    checkpoint : path, optional
        The state is written there after every epoch, whole or not at all, and a file that is
        there is resumed: on the CPU the weights are then those of a run that was never stopped.
    log_file : path, optional
        The entries so far, one JSON object a line, written anew after every epoch.
    budget : float
        Seconds. When another epoch as long as the longest would not fit, training stops and the
        returned list is shorter than ``epochs``; without ``checkpoint`` it could not be resumed.

    Returns
    -------
    list of dict
        One entry an epoch: ``epoch``, ``loss`` (its mean), ``noisy_accuracy`` (share of the noisy
        training images that the network labels rightly while it learns, before any averaging),
        ``seconds``.

    Raises
    ------
    ValueError, TypeError
        Names the argument and its value; also when the loss stops being finite, and when the
        checkpoint cannot be read or is of another run.

    References
    ----------
    cohen2019, section 3.3; lecuyer2019; jeong2020 for ``consistency``; izmailov2018 for
    ``average``. Chapter 9.
    """
    began = time.monotonic()
    recipe = _Recipe(
        sigma=float(sigma),
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=float(learning_rate),
        weight_decay=float(weight_decay),
        seed=seed,
        optimiser=optimiser,
        augment=augment,
        consistency=float(consistency),
        average=average,
        bfloat16=bfloat16,
        compiled=compiled,
    )
    _check_fits(recipe, dataset, checkpoint, budget)
    training = _Training(network, dataset, recipe)
    log: list[dict] = []
    if checkpoint is not None and Path(checkpoint).exists():
        log = _resume(Path(checkpoint), training)
    longest = 0.0
    with training.prepared():
        for epoch in range(len(log) + 1, epochs + 1):
            if log and time.monotonic() - began + longest > budget:
                break
            started = time.monotonic()
            loss, accuracy = training.epoch()
            if not math.isfinite(loss):
                raise ValueError(
                    f"learning_rate {learning_rate!r} is too high: the loss is not finite"
                )
            seconds = round(time.monotonic() - started, 3)
            entry = {"epoch": epoch, "loss": loss, "noisy_accuracy": accuracy, "seconds": seconds}
            log.append(entry)
            if checkpoint is not None:
                _files.replace(checkpoint, partial(torch.save, training.state(log)))
            if log_file is not None:
                _write_log(log_file, log)
            if progress:
                progress(entry)
            longest = max(longest, time.monotonic() - started)
        if average and len(log) == epochs:
            training.end_at_the_mean()
    return log


@dataclass(frozen=True)
class _Recipe:
    """What decides the weights, beside the network and the data; checked by name and value."""

    sigma: float
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    seed: int
    optimiser: str
    augment: bool
    consistency: float
    average: bool
    bfloat16: bool
    compiled: str

    def __post_init__(self) -> None:
        if not (math.isfinite(self.sigma) and self.sigma >= 0):
            raise ValueError(f"sigma must be finite and not negative, got {self.sigma!r}")
        for name in ("epochs", "batch_size"):
            _checks.whole(name, getattr(self, name))
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be positive, got {self.learning_rate!r}")
        for name in ("weight_decay", "consistency"):
            weight = getattr(self, name)
            if not (math.isfinite(weight) and weight >= 0):
                raise ValueError(f"{name} must be finite and not negative, got {weight!r}")
        for name, known in (("optimiser", OPTIMISERS), ("compiled", _COMPILED)):
            if getattr(self, name) not in known:
                found = getattr(self, name)
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {found!r}")


def _check_fits(recipe: _Recipe, dataset: Dataset, checkpoint: object, budget: float) -> None:
    """Raise unless the recipe can be followed on this data, within this budget."""
    if recipe.compiled != "no" and recipe.batch_size > len(dataset):
        raise ValueError(
            f"batch_size must be at most the {len(dataset)} images where the network is compiled, "
            f"got {recipe.batch_size}"
        )
    if not budget > 0:
        raise ValueError(f"budget must be positive, got {budget!r}")
    if not math.isinf(budget) and checkpoint is None:
        raise ValueError(f"checkpoint must be given with a budget, got None and {budget!r}")
    if not isinstance(dataset.images, np.ndarray):
        raise ValueError(f"dataset must be in memory to train on, got {dataset.name!r}")


class _Training:
    """A network on its way through the epochs, and all that the next one depends on."""

    def __init__(self, network: nn.Module, dataset: Dataset, recipe: _Recipe) -> None:
        self.network, self.recipe, self._dataset = network, recipe, dataset
        self._device = next(network.parameters()).device
        self._images = torch.from_numpy(dataset.images).to(self._device)
        self._labels = torch.from_numpy(dataset.labels).to(self._device)
        self.generator = torch.Generator(self._device).manual_seed(recipe.seed)
        self._first_weights = models.state_sha256(network)
        steps = len(dataset) // recipe.batch_size
        rest = recipe.compiled == "no" and len(dataset) % recipe.batch_size > 0
        self._steps = steps + rest
        colour = self._images.dim() == 4 and self._images.shape[1] > 1
        self._layout = torch.channels_last if colour else torch.contiguous_format
        network.to(memory_format=self._layout)  # type: ignore[call-overload]
        self.optimise = _optimiser(network, recipe, self._device.type == "cuda")
        self.schedule = _schedule(self.optimise, recipe, recipe.epochs * self._steps)
        self.mean = AveragedModel(network) if recipe.average else None

    @contextmanager
    def prepared(self) -> Iterator[None]:
        """In training mode inside, compiled where asked; in evaluation mode, as it was, after."""
        parts = _to_compile(self.network, self.recipe.compiled)
        for part in parts:
            part.compile(dynamic=False)
        self.network.train()
        try:
            yield
        finally:
            for part in parts:
                part._compiled_call_impl = None
            self.network.eval()

    def epoch(self) -> tuple[float, float]:
        """Pass over the data once; returns the mean loss and the share of right answers."""
        total, right = torch.zeros((), device=self._device), torch.zeros((), device=self._device)
        order = torch.randperm(len(self._labels), generator=self.generator, device=self._device)
        for batch in self._batches(order):
            scores, y = self._scores(self._images[batch], self._labels[batch])
            loss = nn.functional.cross_entropy(scores, y)
            if self._copies > 1:
                loss = loss + consistency_loss(
                    scores.view(self._copies, -1, scores.shape[1]), self.recipe.consistency
                )
            self.optimise.zero_grad(set_to_none=True)
            loss.backward()
            self.optimise.step()
            self.schedule.step()
            if self.mean and 2 * self.schedule.last_epoch > self.recipe.epochs * self._steps:
                self.mean.update_parameters(self.network)
            total += loss.detach() * len(y)
            right += (scores.argmax(1) == y).sum()
        seen = self._copies * min(len(self._labels), self._steps * self.recipe.batch_size)
        return total.item() / seen, right.item() / seen

    def end_at_the_mean(self) -> None:
        """Give the network the mean weights, and what batch normalisation sees with them."""
        assert self.mean is not None
        self.network.load_state_dict(self.mean.module.state_dict())
        order = torch.randperm(len(self._labels), generator=self.generator, device=self._device)
        batches = (self._noisy(self._images[batch]) for batch in self._batches(order))
        update_bn(batches, self.network)

    def _batches(self, order: Tensor) -> tuple[Tensor, ...]:
        return order.split(self.recipe.batch_size)[: self._steps]

    @property
    def _copies(self) -> int:
        """Noisy copies of each image in a batch."""
        return 2 if self.recipe.consistency else 1

    def _scores(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Scores of noisy copies of a batch, and the label of each."""
        x, y = self._noisy(x), y.repeat(self._copies)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self.recipe.bfloat16):
            return self.network(x).float(), y

    def _noisy(self, x: Tensor) -> Tensor:
        """Noisy copies of a batch, as the network takes them."""
        if self.recipe.augment:
            x = shift_and_flip(x, self.generator)
        x = x.repeat(self._copies, *[1] * (x.dim() - 1))
        noise = torch.randn(x.shape, generator=self.generator, device=self._device)
        return (x + self.recipe.sigma * noise).contiguous(memory_format=self._layout)

    @cached_property
    def run(self) -> dict:
        """What a checkpoint is of."""
        images = np.asarray(self._dataset.images)
        return {
            "format": _FORMAT,
            **asdict(self.recipe),
            "device": self._device.type,
            "data": _fingerprint(images, self._dataset.labels),
            "network": self._first_weights,
        }

    def state(self, log: list[dict]) -> dict:
        """Everything that the next epoch depends on, in types that torch reads without pickle."""
        return {
            "run": self.run,
            "log": log,
            "network": self.network.state_dict(),
            "optimiser": self.optimise.state_dict(),
            "schedule": self.schedule.state_dict(),
            "generator": self.generator.get_state(),
            "mean": self.mean.state_dict() if self.mean else {},
        }


def _optimiser(network: nn.Module, recipe: _Recipe, fused: bool) -> torch.optim.Optimizer:
    rate, decay = recipe.learning_rate, recipe.weight_decay
    if recipe.optimiser == "adamw":
        return torch.optim.AdamW(network.parameters(), rate, weight_decay=decay)
    return torch.optim.SGD(
        network.parameters(), rate, momentum=0.9, nesterov=True, weight_decay=decay, fused=fused
    )


def _schedule(
    optimise: torch.optim.Optimizer, recipe: _Recipe, steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """The learning rate of each step: one cycle, or a constant after the first tenth."""
    schedules = torch.optim.lr_scheduler
    if recipe.average:
        return schedules.LinearLR(optimise, 1 / 25, total_iters=max(1, steps // 10))
    if recipe.optimiser == "adamw":
        return schedules.OneCycleLR(optimise, recipe.learning_rate, steps)
    return schedules.OneCycleLR(
        optimise, recipe.learning_rate, steps, pct_start=0.2, cycle_momentum=False
    )


def _to_compile(network: nn.Module, how: str) -> list[nn.Module]:
    """The modules to compile; of those that recur, torch compiles each shape once."""
    if how == "no":
        return []
    if how == "whole":
        return [network]
    children = [child for child in network.children() if any(child.children())]
    kinds = Counter(map(type, children))
    return [child for child in children if kinds[type(child)] > 1]


def _fingerprint(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _resume(path: Path, training: _Training) -> list[dict]:
    """Take the state of a checkpoint of this run over, and return its log."""
    unreadable: tuple[type[Exception], ...]
    unreadable = (OSError, RuntimeError, EOFError, LookupError, TypeError, ValueError)
    unreadable += (AttributeError, pickle.UnpicklingError)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        found, log = dict(state["run"]), list(state["log"])
    except unreadable as error:
        raise ValueError(f"checkpoint {path} cannot be read: {_checks.first_line(error)}") from None
    run = training.run
    for name in sorted(run.keys() | found.keys()):
        if run.get(name) != found.get(name):
            raise ValueError(
                f"checkpoint {path} is of another run: its {name} is {found.get(name)!r}, "
                f"this run's {run.get(name)!r}"
            )
    try:
        training.network.load_state_dict(state["network"])
        training.optimise.load_state_dict(state["optimiser"])
        training.schedule.load_state_dict(state["schedule"])
        training.generator.set_state(state["generator"])
        if training.mean:
            training.mean.load_state_dict(state["mean"])
    except unreadable as error:
        raise ValueError(f"checkpoint {path} cannot be read: {_checks.first_line(error)}") from None
    return log


def _write_log(path: str | os.PathLike, log: list[dict]) -> None:
    lines = "".join(json.dumps(line) + "\n" for line in log).encode()
    _files.replace(path, lambda file: file.write(lines))
