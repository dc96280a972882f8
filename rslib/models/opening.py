"""Open anybody's model by what it is called: a name, Python code, ONNX, or a file of torch's.

Code is executed only where the caller names it (FILE.py:NAME, PACKAGE.MODULE:NAME). What a manifest
needs to say which model it was comes back with it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from rslib import _checks, _files, _modules
from rslib.models.architectures import MODELS, build
from rslib.models.code import from_python
from rslib.models.graphs import from_exported, from_onnx, from_torchscript
from rslib.models.weights import fit_weights, state_sha256

__all__ = ["Opened", "open"]

_TORCHSCRIPT = (".pt", ".pth", ".ts", ".jit", ".torchscript")
_FORMS = (
    f"a name of MODELS ({', '.join(sorted(MODELS))}), FILE.py:NAME, PACKAGE.MODULE:NAME, "
    f"FILE.onnx, FILE.pt2 or a TorchScript file ({', '.join(_TORCHSCRIPT)})"
)


@dataclass(frozen=True)
class Opened:
    """A base classifier, and what a manifest says of it.

    Attributes
    ----------
    base : callable
        The classifier: a torch module in evaluation mode, or a function.
    spec : str
        What it was opened by.
    kind : {"architecture", "python", "onnx", "exported", "torchscript"}
        What that is.
    files : dict of str to str
        SHA-256 of each file that the model is made of, by name: first the file that was named;
        for Python also the modules beside it that it imports, for ONNX its external data. Empty
        for an architecture of `MODELS`.
    weights_sha256 : str or None
        Of the file of weights, where one was given.
    state_sha256 : str or None
        Of parameters and buffers (`rslib.models.state_sha256`), whatever they come from; None for
        a function.
    notes : tuple of str
        What the reader should be told: how weights were made to fit, that none were given.
    path : Path or None
        The file that was named, or that holds the module that was; None for an architecture, and
        for a module without a source file.
    """

    base: Callable
    spec: str
    kind: str
    files: dict[str, str]
    weights_sha256: str | None = None
    state_sha256: str | None = None
    notes: tuple[str, ...] = ()
    path: Path | None = None

    def to_dict(self) -> dict:
        """What a manifest holds."""
        fields = {
            "spec": self.spec,
            "kind": self.kind,
            "files": self.files,
            "weights_sha256": self.weights_sha256,
            "state_sha256": self.state_sha256,
        }
        return {name: value for name, value in fields.items() if value}


def open(
    spec: str,
    shape: tuple[int, ...],
    num_classes: int | None = None,
    weights: str | Path | None = None,
    entry: str | None = None,
) -> Opened:
    """Open a base classifier.

    Parameters
    ----------
    spec : str
        A name of `MODELS`; ``FILE.py:NAME`` or ``PACKAGE.MODULE:NAME``, where NAME is a torch
        module, or a function or class that is called with what it takes of ``shape`` and
        ``num_classes`` and returns the classifier (``num_classes`` also where it takes
        ``**kwargs``, as torchvision's do); ``FILE.onnx``, run by ONNX Runtime on the CPU (in
        eight bits also by OpenVINO); ``FILE.pt2``, written by `torch.export.save`; a TorchScript
        file.
    shape : tuple of int
        Shape of one example.
    num_classes : int, optional
        Width K of the scores. Needed where the model is made for it.
    weights : str or Path, optional
        For architectures and Python, see `fit_weights`.
    entry : str, optional
        Which part of a checkpoint, see `fit_weights`.

    Returns
    -------
    Opened

    Raises
    ------
    ValueError
        Names ``spec`` and what is wrong with it: no such file, name or form; code that fails;
        weights that do not fit; an ONNX or exported model for another shape.

    Notes
    -----
    A ``.pt2`` file is refused where reading it would execute what it pickles or native code in
    it. Its graph is still read by torch, and that of ``.onnx`` by ONNX Runtime or OpenVINO: they
    are not made for files from hostile hands.

    A model that takes batches of one size only is run on so many rows at a time; the last are
    filled up.

    Examples
    --------
    >>> opened = open("cnn", (1, 8, 8), 10)
    >>> opened.kind, opened.notes
    ('architecture', ('no weights given: they are drawn at random',))
    """
    shape = tuple(_checks.whole("shape", side) for side in shape)
    if num_classes is not None:
        num_classes = _checks.whole("num_classes", num_classes, 2)
    kind = _kind(spec)
    if weights is not None and kind not in ("architecture", "python"):
        raise ValueError(f"weights must not be given with model {spec}, which holds its own")
    base, files, notes = _OPENERS[kind](spec, shape, num_classes)
    if isinstance(base, nn.Module):
        base = _complete(_modules.in_evaluation_mode(base), spec, shape)
    weights_sha256 = None
    if weights is not None:
        if not isinstance(base, nn.Module):
            raise ValueError(f"weights are for torch modules; model {spec} is {base!r}")
        if not Path(weights).is_file():
            raise ValueError(f"weights {weights}: no such file")
        notes = fit_weights(base, weights, entry)
        weights_sha256 = _files.sha256(weights)
    state = state_sha256(base) if isinstance(base, nn.Module) else None
    path = _file_of(kind, spec) if files else None
    return Opened(base, spec, kind, files, weights_sha256, state, tuple(notes), path)


def _complete(network: nn.Module, spec: str, shape: tuple[int, ...]) -> nn.Module:
    """The network with its lazy layers made: every copy of it would draw its own otherwise."""
    if any(map(nn.parameter.is_lazy, network.state_dict().values())):
        try:
            with torch.no_grad():
                network(torch.zeros(1, *shape))
        except Exception as error:
            raise ValueError(f"model {spec}: {type(error).__name__}: {error}") from error
    return network


def _kind(spec: str) -> str:
    if not isinstance(spec, str):
        raise TypeError(f"model must be a string, got {spec!r}")
    if spec in MODELS:
        return "architecture"
    where, colon, name = spec.rpartition(":")
    if colon and all(part.isidentifier() for part in name.split(".")):
        if where.endswith(".py") or all(part.isidentifier() for part in where.split(".")):
            return "python"
    suffix = Path(spec).suffix.lower()
    kinds = {".onnx": "onnx", ".pt2": "exported", **dict.fromkeys(_TORCHSCRIPT, "torchscript")}
    if suffix not in kinds:
        raise ValueError(f"model must be {_FORMS}, got {spec!r}")
    if not Path(spec).is_file():
        raise ValueError(f"model {spec}: no such file")
    return kinds[suffix]


def _file_of(kind: str, spec: str) -> Path:
    """The file that a spec names, or that holds the module which it names."""
    if kind != "python":
        return Path(spec)
    where = spec.rpartition(":")[0]
    return Path(where if where.endswith(".py") else str(sys.modules[where].__file__))


def _architecture(spec: str, shape: tuple[int, ...], num_classes: int | None):
    if num_classes is None:
        raise ValueError(f"num_classes must be given for model {spec}, got None")
    return build(spec, shape, num_classes), {}, ("no weights given: they are drawn at random",)


_OPENERS = {
    "architecture": _architecture,
    "python": from_python,
    "torchscript": from_torchscript,
    "exported": from_exported,
    "onnx": from_onnx,
}
