"""Certified adversarial robustness by randomized smoothing.

``import rslib`` is fast: modules are imported when first used, so that the closed forms can be
had without loading torch.

>>> from rslib import certificates
>>> round(float(certificates.certified_radius(0.99, sigma=0.5)), 4)
1.1632
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

# PyPI's package "rslib" is somebody else's. The notebooks look for this name to tell them apart.
DISTRIBUTION = "randomized-smoothing-course"
__version__ = "0.1.0"

# Every module of the package that is not private; to find them imports none.
_MODULES = {one.name for one in iter_modules(__path__) if not one.name.startswith("_")}
_NAMES = dict.fromkeys(("ABSTAIN", "Certificate", "Decision"), "decisions")
_NAMES |= {"SmoothedClassifier": "smoothing", "find_data": "_files"}

__all__ = sorted(_MODULES | set(_NAMES) | {"DISTRIBUTION"})


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"rslib.{name}")
    if name in _NAMES:
        return getattr(import_module(f"rslib.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'rslib' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
