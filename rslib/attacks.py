"""Attacks: what a certificate is measured against from above.

A certified accuracy is a lower bound on robust accuracy; the accuracy that is left after an attack
is an upper bound. The lecture's Figure 6 shows both.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from rslib import _checks

__all__ = ["pgd_l2", "pgd_l2_smoothed"]


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
    ValueError, TypeError
        Names the argument and its value.

    References
    ----------
    madry2018, section 2. Chapter 10.
    """
    _check(radius, steps=steps, restarts=restarts)
    was_training = network.training
    network.eval()
    generator = torch.Generator(x.device).manual_seed(seed)
    best, fooled = x.clone(), torch.zeros(len(x), dtype=torch.bool, device=x.device)
    for _ in range(restarts):
        delta = _start(x, radius, generator)
        for _ in range(steps):
            delta.requires_grad_(True)
            loss = nn.functional.cross_entropy(network(x + delta), y, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, delta)
            delta = _moved(x, delta.detach(), gradient, radius, steps)
        with torch.no_grad():
            wrong = network(x + delta).argmax(1) != y
        best[wrong & ~fooled] = (x + delta)[wrong & ~fooled]
        fooled |= wrong
    network.train(was_training)
    return best


def pgd_l2_smoothed(
    network: nn.Module,
    x: Tensor,
    label: int,
    radius: float,
    sigma: float,
    step: float,
    *,
    copies: int = 128,
    steps: int = 20,
    seed: int = 0,
) -> Tensor:
    """Projected gradient descent on the share of a class under noise, for one image.

    The vote itself has no gradient. Its soft form has: minus the logarithm of the mean softmax
    score of the label over noisy copies, which are drawn anew for each step. Ask the smoothed
    classifier what it answers at the image that comes back: the network here may be another number
    type of the one that votes.

    Parameters
    ----------
    network : torch.nn.Module
        Float images (B, ...) to scores (B, K); used in evaluation mode, which is restored.
    x : Tensor
        One float image (...), on the grid of ``step``, in [0, 1].
    label : int
        The class whose share is to fall.
    radius : float
        Largest l2 norm of the perturbation, in input units.
    sigma : float
        Standard deviation of the noise, in input units.
    step : float
        The image that comes back lies on this grid, for which grid noise gives certificates.
    copies : int
        Noisy copies for each gradient.
    steps : int
        Gradient steps, each of length 2.5 radius / steps.
    seed : int
        Fixes the start and the noise.

    Returns
    -------
    Tensor
        An image like ``x`` within ``radius`` of it, on the grid and in [0, 1]. Where the smoothed
        classifier answers otherwise there, its robust radius at x is below ``radius``; else nothing
        is shown.

    Raises
    ------
    ValueError, TypeError
        Names the argument and its value.

    References
    ----------
    salman2019, section 3.1 (SmoothAdv-PGD).
    """
    _check(radius, steps=steps, copies=copies)
    if not (math.isfinite(sigma) and sigma > 0):
        raise ValueError(f"sigma must be finite and positive, got {sigma!r}")
    was_training = network.training
    network.eval()
    generator = torch.Generator(x.device).manual_seed(seed)
    many = x[None]
    delta = _start(many, radius, generator)
    for _ in range(steps):
        noise = torch.randn((copies, *x.shape), generator=generator, device=x.device, dtype=x.dtype)
        delta.requires_grad_(True)
        scores = network(many + delta + sigma * noise).log_softmax(1)
        loss = math.log(copies) - scores[:, label].logsumexp(0)
        (gradient,) = torch.autograd.grad(loss, delta)
        delta = _moved(many, delta.detach(), gradient, radius, steps)
    network.train(was_training)
    # In whole steps, towards x: the norm shrinks, and the box is not left.
    k = (x.double() / step).round() + (delta[0].double() / step).trunc()
    return (k * step).to(x.dtype)


def _check(radius: float, **counts: int) -> None:
    if not (math.isfinite(radius) and radius >= 0):
        raise ValueError(f"radius must be finite and not negative, got {radius!r}")
    for name, value in counts.items():
        _checks.whole(name, value)


def _start(x: Tensor, radius: float, generator: torch.Generator) -> Tensor:
    """Perturbations in random directions, of one random length up to the radius."""
    delta = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
    length = radius * torch.rand((), generator=generator, device=x.device)
    return delta / _norms(delta) * length


def _moved(x: Tensor, delta: Tensor, gradient: Tensor, radius: float, steps: int) -> Tensor:
    """Perturbations one step up the gradient, inside the box [0, 1] and the ball."""
    delta = delta + 2.5 * radius / steps * gradient / _norms(gradient)
    # Into the box, then into the ball: shrinking towards x does not leave the box.
    delta = (x + delta).clamp(0, 1) - x
    return delta * (radius / _norms(delta)).clamp_max(1)
