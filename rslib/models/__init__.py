"""Base classifiers: the course's networks, anybody's own, and weights on disk.

Normalisation is part of every network here, so that noise is added to pixels and a radius is in
input units. Weights are read from safetensors, or from checkpoints without executing what they
hold; code is run only where the caller names it.
"""

from rslib.models.architectures import MODELS, Normalise, build
from rslib.models.opening import Opened, open
from rslib.models.weights import fit_weights, load_weights, save_weights, state_sha256
from rslib.models.wrapping import wrap

__all__ = [
    "MODELS",
    "Normalise",
    "Opened",
    "build",
    "fit_weights",
    "load_weights",
    "open",
    "save_weights",
    "state_sha256",
    "wrap",
]
