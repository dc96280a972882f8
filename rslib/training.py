"""Training base classifiers with Gaussian augmentation.

Theorem 1 holds however the base classifier was trained. It certifies something only if the
classifier is right on noisy images, so it is trained on them (Lecuyer et al. 2019; Cohen et al.
2019, section 3.3): every step adds fresh noise N(0, sigma^2 I) to the images it sees.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn

from rslib.datasets import Dataset

__all__ = ["train"]


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
        Peak of the one-cycle schedule of AdamW, and its decay.
    seed : int
        Fixes the order of the images and the noise; the network's initial weights are the
        caller's.
    progress : callable, optional
        Called after every epoch with the entry that is also returned.

    Returns
    -------
    list of dict
        One entry an epoch: ``epoch``, ``loss`` (mean cross-entropy), ``noisy_accuracy`` (share of
        the noisy training images that the network labels rightly while it learns).

    Raises
    ------
    ValueError
        Names the argument and its value; also when the loss stops being finite.

    References
    ----------
    cohen2019, section 3.3; lecuyer2019. Chapter 9.
    """
    if not (math.isfinite(sigma) and sigma >= 0):
        raise ValueError(f"sigma must be finite and not negative, got {sigma!r}")
    for name, value in (("epochs", epochs), ("batch_size", batch_size)):
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
    if not learning_rate > 0:
        raise ValueError(f"learning_rate must be positive, got {learning_rate!r}")
    device = next(network.parameters()).device
    images = torch.from_numpy(dataset.images).to(device)
    labels = torch.from_numpy(dataset.labels).to(device)
    generator = torch.Generator(device).manual_seed(seed)
    optimiser = torch.optim.AdamW(network.parameters(), learning_rate, weight_decay=weight_decay)
    steps = math.ceil(len(labels) / batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, learning_rate, epochs * steps)
    log = []
    network.train()
    for epoch in range(1, epochs + 1):
        total, right = torch.zeros((), device=device), torch.zeros((), device=device)
        for batch in torch.randperm(len(labels), generator=generator, device=device).split(
            batch_size
        ):
            x, y = images[batch], labels[batch]
            x = x + sigma * torch.randn(x.shape, generator=generator, device=device)
            scores = network(x)
            loss = nn.functional.cross_entropy(scores, y)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.detach() * len(y)
            right += (scores.argmax(1) == y).sum()
        entry = {
            "epoch": epoch,
            "loss": total.item() / len(labels),
            "noisy_accuracy": right.item() / len(labels),
        }
        if not math.isfinite(entry["loss"]):
            raise ValueError(f"learning_rate {learning_rate!r} is too high: the loss is not finite")
        log.append(entry)
        if progress:
            progress(entry)
    network.eval()
    return log
