"""Models that are graphs in a file: ONNX, exported programs and TorchScript."""

from __future__ import annotations

import copy
import io
import json
import pickle
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from rslib import _files, quantization
from rslib._checks import first_line

__all__ = ["from_exported", "from_onnx", "from_torchscript"]


def from_torchscript(spec: str, shape: tuple[int, ...], num_classes: int | None):
    with _quiet():
        try:
            module = torch.jit.load(spec, map_location="cpu")
        except (RuntimeError, ValueError, OSError) as error:
            raise ValueError(
                f"model {spec}: not a TorchScript file: {first_line(error)} (is it a checkpoint? "
                "Name the architecture as model, and the file as weights)"
            ) from None
    return module, {Path(spec).name: _files.sha256(spec)}, ()


def from_exported(spec: str, shape: tuple[int, ...], num_classes: int | None):
    _refuse_code(spec)
    with _quiet():
        try:
            program = torch.export.load(spec)
            module = program.module()
        except Exception as error:  # torch raises what it likes here
            raise ValueError(
                f"model {spec}: not an exported program: {first_line(error)}"
            ) from None
    inputs = set(program.graph_signature.user_inputs)
    sizes = [
        [side if isinstance(side, int) else None for side in node.meta["val"].shape]
        for node in program.graph.nodes
        if node.op == "placeholder" and node.name in inputs
    ]
    if len(sizes) != 1:
        raise ValueError(f"model {spec}: must take one input, takes {len(sizes)}")
    rows = _rows(spec, sizes[0], shape)
    return _Exported(module, rows), {Path(spec).name: _files.sha256(spec)}, ()


def _refuse_code(spec: str) -> None:
    """Refuse a .pt2 archive that torch would execute something from on reading."""
    try:
        with zipfile.ZipFile(spec) as archive:
            for name in archive.namelist():
                path = PurePosixPath(name)
                if "aotinductor" in path.parts:
                    raise ValueError(f"model {spec}: holds compiled code ({name}): save it without")
                pickled = [name] if path.suffix == ".pt" else []
                if path.name.endswith("_config.json"):
                    for entry in json.loads(archive.read(name))["config"].values():
                        if entry["path_name"].startswith("custom_obj"):
                            raise ValueError(f"model {spec}: holds objects beside tensors ({name})")
                        if entry.get("use_pickle"):
                            pickled.append(str(path.with_name(entry["path_name"])))
                for one in pickled:
                    if data := archive.read(one):
                        torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"model {spec}: cannot be read without executing it: {first_line(error)}"
        ) from None
    except (zipfile.BadZipFile, OSError, KeyError, TypeError, RuntimeError, EOFError) as error:
        raise ValueError(f"model {spec}: not an exported program: {first_line(error)}") from None


class _Exported(nn.Module):
    """An exported program; it has no other mode than that in which it was exported."""

    def __init__(self, program: nn.Module, rows: int | None) -> None:
        super().__init__()
        self.program, self.rows = program, rows
        self.training = False

    def train(self, mode: bool = True) -> Self:
        self.training = mode
        return self

    def __deepcopy__(self, memo: dict) -> nn.Module:
        with _quiet():
            memo[id(self)] = copied = _Exported(copy.deepcopy(self.program, memo), self.rows)
        copied.training = self.training
        return copied

    def forward(self, x: Tensor):
        return _in_batches(self.program, x, self.rows)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch says about its own readers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def from_onnx(spec: str, shape: tuple[int, ...], num_classes: int | None):
    try:
        import onnx
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise ValueError(
            f"model {spec}: needs the packages onnx and onnxruntime: {error}"
        ) from None
    path = Path(spec)
    try:
        model = onnx.load(spec, load_external_data=False)
        base = _Onnx(path.resolve())
    except Exception as error:  # protobuf's and the runtime's have no common parent
        raise ValueError(f"model {spec}: not a usable ONNX file: {first_line(error)}") from None
    quantization.check_static(model, f"model {spec}")
    if quantization.is_quantized(model):
        base.number_type = "int8"
    inputs = base.session().get_inputs()
    if len(inputs) != 1 or inputs[0].type not in _Onnx.TYPES:
        found = ", ".join(f"{one.name} {one.type}" for one in inputs)
        raise ValueError(f"model {spec}: must take one input of floats, takes {found}")
    base.rows = _rows(spec, inputs[0].shape, shape)
    names = [base.path.name, *sorted(_external(model))]
    base.files = {name: _files.sha256(base.path.parent / name) for name in names}
    return (
        base,
        {
            path.name if name == base.path.name else name: digest
            for name, digest in base.files.items()
        },
        (),
    )


def _external(message) -> set[str]:
    """Names of the files in which an ONNX model keeps tensors, wherever in it they are."""
    found = set()
    if message.DESCRIPTOR.name == "TensorProto":
        return {one.value for one in message.external_data if one.key == "location"}
    for field, value in message.ListFields():
        if field.message_type is not None:
            for one in [value] if hasattr(value, "DESCRIPTOR") else value:
                found |= _external(one)
    return found


class _Onnx:
    """An ONNX model as a function of a batch, in as many threads as torch has at the moment.

    ``number_type`` is what it computes in where no plan can change it, see `rslib.backends`.
    ``files`` are the SHA-256 hashes of its files by name, as they were opened: whatever reads them
    again finds them so, or it is an error.
    """

    number_type: str | None = None

    TYPES: ClassVar = {
        "tensor(float)": "float32",
        "tensor(double)": "float64",
        "tensor(float16)": "float16",
    }

    def __init__(self, path: Path, rows: int | None = None) -> None:
        self.path, self.rows = path, rows
        self.files: dict[str, str] = {}
        self._sessions: dict = {}
        self.session()

    def _check_unchanged(self) -> None:
        for name, digest in self.files.items():
            if _files.sha256(self.path.parent / name) != digest:
                raise ValueError(
                    f"model {self.path}: {name} was changed since it was opened: open it again"
                )

    def session(self):
        threads = torch.get_num_threads()
        if threads not in self._sessions:
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
            options.log_severity_level = 4  # errors are raised, and need not be printed, too
            self._sessions[threads] = onnxruntime.InferenceSession(
                str(self.path), options, providers=["CPUExecutionProvider"]
            )
            self._check_unchanged()
        return self._sessions[threads]

    def __call__(self, x: Tensor):
        return _in_batches(self._run, x, self.rows)

    def run_by(self, run: Callable) -> Callable:
        """The same function where ``run`` runs the file, see `rslib.backends`."""
        answers = run(self.path, self.rows)
        self._check_unchanged()
        return lambda x: _in_batches(answers, x, self.rows)

    def _run(self, x: Tensor):
        session = self.session()
        (takes,) = session.get_inputs()
        values = x.detach().cpu().numpy().astype(self.TYPES[takes.type])
        names = [one.name for one in session.get_outputs() if one.type.startswith("tensor(")]
        found = tuple(
            torch.from_numpy(y).to(x.device) for y in session.run(names, {takes.name: values})
        )
        return found[0] if len(found) == 1 else found

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_sessions": {}}


def _rows(spec: str, takes: list, shape: tuple[int, ...]) -> int | None:
    """Rows of the only batch that a model takes, None for any; an error for another shape."""
    sides = [side if isinstance(side, int) and side > 0 else None for side in takes]
    fits = len(sides) == len(shape) + 1 and all(
        side in (None, wanted) for side, wanted in zip(sides[1:], shape)
    )
    if sides and not fits:
        raise ValueError(f"model {spec}: takes {tuple(takes[1:])}, the examples are {shape}")
    return sides[0] if sides else None


def _in_batches(run: Callable, x: Tensor, rows: int | None):
    """A model run on so many rows at a time, the last filled up; all at once where None."""
    if rows is None or len(x) == rows:
        return run(x)
    found = []
    for part in x.split(rows):
        filled = part
        if len(part) < rows:
            filled = torch.cat([part, part[-1:].expand(rows - len(part), *part.shape[1:])])
        found.append(run(filled))
    if all(isinstance(one, (tuple, list)) for one in found):
        return tuple(torch.cat(each)[: len(x)] for each in zip(*found))
    return torch.cat(found)[: len(x)]
