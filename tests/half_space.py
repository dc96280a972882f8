"""A base classifier whose probabilities are known, smoothed: what several tests look at."""

import torch

from rslib.smoothing import SmoothedClassifier

SHAPE = (1, 3, 3)
X = torch.full(SHAPE, 0.5)


def half_space(x):
    """Class 0 where the first pixel is above 0.25, else class 1 of three."""
    margin = x.flatten(1)[:, 0] - 0.25
    return torch.stack([margin, -margin, torch.full_like(margin, -9.0)], dim=1)


def smoothed(base=half_space, *, seed=0, **options):
    return SmoothedClassifier(base, 3, "0.25", "1/16", seed=seed, **options)


def several(count):
    """Grid images between the two classes and far on either side."""
    values = torch.arange(count).remainder(16) / 16
    return values.reshape(-1, 1, 1, 1).expand(-1, *SHAPE).contiguous()
