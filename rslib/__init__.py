"""Certified adversarial robustness by randomized smoothing.

``import rslib`` is fast: modules are imported when first used, so that the closed forms can be
had without loading torch.

>>> from rslib import certificates
>>> round(float(certificates.certified_radius(0.99, sigma=0.5)), 4)
1.1632
"""

from importlib import import_module

# PyPI's package "rslib" is somebody else's. The notebooks look for this name to tell them apart.
DISTRIBUTION = "randomized-smoothing-course"
__version__ = "0.1.0"

_MODULES = {
    "attacks",
    "audit",
    "certificates",
    "cli",
    "comparison",
    "confidence",
    "datasets",
    "engine",
    "evaluation",
    "exercises",
    "interactive",
    "lattice",
    "logs",
    "models",
    "noise",
    "paired",
    "plotting",
    "recertification",
    "records",
    "sharding",
    "smoothing",
    "training",
    "verifier",
}
_NAMES = dict.fromkeys(("ABSTAIN", "Certificate", "Decision", "SmoothedClassifier"), "smoothing")

__all__ = sorted(_MODULES | set(_NAMES) | {"DISTRIBUTION"})


def __getattr__(name):
    if name in _MODULES:
        return import_module(f"rslib.{name}")
    if name in _NAMES:
        return getattr(import_module(f"rslib.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'rslib' has no attribute {name!r}")


def __dir__():
    return sorted(set(globals()) | set(__all__))
