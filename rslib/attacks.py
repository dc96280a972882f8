"""Attacks: what a certificate is measured against from above.

A certified accuracy is a lower bound on robust accuracy; the accuracy that is left after an attack
is an upper bound. The lecture's Figure 6 shows both.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["pgd_l2"]


def _norms(x: Tensor) -> Tensor:
    return x.flatten(1).norm(dim=1).clamp_min(1e-12).view(-1, *[1] * (x.dim() - 1))


def pgd_l2(
    network: nn.Module,
    x: Tensor,
    y: Tensor,
    radius: float,
    *,
    steps: int = 20,
    restarts: int = 1,
    seed: int = 0,
) -> Tensor:
    """Projected gradient ascent on the cross-entropy inside an l2 ball and the box [0, 1].

    Parameters
    ----------
    network : torch.nn.Module
        Float images (B, ...) to scores (B, K); used in evaluation mode, which is restored.
    x : Tensor
        Float images (B, ...) in [0, 1].
    y : Tensor
        Int64 labels (B,).
    radius : float
        Largest l2 norm of a perturbation, in input units.
    steps : int
        Gradient steps, each of length 2.5 radius / steps.
    restarts : int
        Random starts; an image keeps the first perturbation that changes its label.
    seed : int
        Fixes the random starts.

    Returns
    -------
    Tensor
        Images like ``x``, each within ``radius`` of its own and inside [0, 1]. They show that a
        label can be changed; where they fail to, nothing is shown.

    Raises
    ------
    ValueError
        Names the argument and its value.

    References
    ----------
    madry2018, section 2. Chapter 10.
    """
    if not (math.isfinite(radius) and radius >= 0):
        raise ValueError(f"radius must be finite and not negative, got {radius!r}")
    for name, value in (("steps", steps), ("restarts", restarts)):
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
    was_training = network.training
    network.eval()
    generator = torch.Generator(x.device).manual_seed(seed)
    best, fooled = x.clone(), torch.zeros(len(x), dtype=torch.bool, device=x.device)
    for _ in range(restarts):
        delta = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
        delta = (
            delta / _norms(delta) * radius * torch.rand((), generator=generator, device=x.device)
        )
        for _ in range(steps):
            delta.requires_grad_(True)
            loss = nn.functional.cross_entropy(network(x + delta), y, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, delta)
            with torch.no_grad():
                delta = delta + 2.5 * radius / steps * gradient / _norms(gradient)
                # Into the box, then into the ball: shrinking towards x does not leave the box.
                delta = (x + delta).clamp(0, 1) - x
                delta = delta * (radius / _norms(delta)).clamp_max(1)
        with torch.no_grad():
            wrong = network(x + delta).argmax(1) != y
        best[wrong & ~fooled] = (x + delta)[wrong & ~fooled]
        fooled |= wrong
    network.train(was_training)
    return best
