"""Models of many kinds for images of 1 x 2 x 2, each made anew as it was, as their authors would.

Named on the command line as own_kinds:NAME. What is odd about each is in `test_own_models`.
"""

import numpy as np
import torch
from sklearn.ensemble import RandomForestClassifier
from test_own_models import PREPARED, Both, Labels, Logits, Several, balanced
from torch import nn

CLASSES, SHAPE = 3, (1, 2, 2)


class Flat(nn.Module):
    """Four pixels, centred, for a network that takes vectors."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner.eval()

    def forward(self, x):
        return self.inner(x.flatten(1) - 0.5)


def _even(inner):
    """The classes win about equally often near a grey image."""
    noise = 0.25 * torch.randn(64, 4, dtype=next(inner.parameters()).dtype)
    last = [part for part in inner.modules() if isinstance(part, nn.Linear)][-1]
    with torch.no_grad():
        last.bias -= inner(noise).mean(0)
    return Flat(inner)


def _prepared(name):
    def make():
        with torch.random.fork_rng():
            torch.manual_seed(4)
            return _even(PREPARED[name]())

    return make


def _odd(kind):
    def make():
        with torch.random.fork_rng():
            return Flat(kind())

    return make


weight_norm = _prepared("weight norm")
spectral_norm = _prepared("spectral norm")
keeps = _prepared("computed tensors")
mixed = _prepared("double among single")
uphill = _prepared("differentiates")
logits, both, several, labels = map(_odd, (Logits, Both, Several, Labels))


def plain():
    with torch.random.fork_rng():
        torch.manual_seed(2)
        inner = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, CLASSES))
        return Flat(balanced(inner, (4,)))


def _grown():
    rng = np.random.default_rng(0)
    seen = rng.normal(size=(300, 4))
    classes = np.digitize(seen[:, 0], [-0.1, 0.1])
    return RandomForestClassifier(10, random_state=0).fit(seen, classes)


def forest():
    grown = _grown()
    return lambda x: grown.predict_proba(x.flatten(1).numpy() - 0.5)


def forest_labels():
    grown = _grown()
    return lambda x: grown.predict(x.flatten(1).numpy() - 0.5)
