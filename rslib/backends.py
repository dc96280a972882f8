"""The ways to run a network, one entry each in `BACKENDS`.

Whatever differs between them stands in its entry: where it can be used, which packages it needs,
which number types it offers, how it makes a module ready. Plans, the engine, the command line, the
provenance of files and the benchmarks read the entries, so that a new one is written here alone.
Reading them loads no torch.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

    #: From a batch of noisy copies to what the base classifier says of them.
    Answers = Callable[[Tensor], object]

__all__ = [
    "BACKENDS",
    "CHOICES",
    "DTYPES",
    "NAMES",
    "PACKAGES",
    "Backend",
    "CannotRun",
    "number_type",
    "offered",
]

_FLOATS = MappingProxyType({name: name for name in ("float32", "bfloat16", "float16")})


class CannotRun(ValueError):
    """This backend cannot run this network; another may."""


def _as_it_is(module: nn.Module, example: Tensor, threads: int) -> Answers:
    return module


def _frozen(module: nn.Module, example: Tensor, threads: int) -> Answers:
    import torch

    traced = torch.jit.trace(module, example, check_trace=False)
    return torch.jit.optimize_for_inference(torch.jit.freeze(traced))


def _compiled(module: nn.Module, example: Tensor, threads: int) -> Answers:
    import torch

    compiled = torch.compile(module, fullgraph=True, dynamic=False, options={"freezing": True})
    with torch.inference_mode():
        compiled(example)
    return compiled


@contextlib.contextmanager
def _nothing_printed_on_failure() -> Iterator[None]:
    """Standard output as it is, but nothing on it if what is inside fails.

    The exporter prints the graph of a module that it cannot express, from C++.
    """
    with tempfile.TemporaryFile() as printed:
        sys.stdout.flush()
        before = os.dup(1)
        os.dup2(printed.fileno(), 1)
        try:
            yield
        except BaseException:
            printed.truncate(0)
            raise
        finally:
            os.dup2(before, 1)
            os.close(before)
            printed.seek(0)
            while piece := printed.read(2**16):
                os.write(1, piece)


def _in_onnx_runtime(module: nn.Module, example: Tensor, threads: int) -> Answers:
    import onnxruntime
    import torch

    exported = io.BytesIO()
    with _nothing_printed_on_failure():
        torch.onnx.export(
            module,
            (example,),
            exported,  # type: ignore[arg-type]  # a file will do, says its documentation
            dynamo=False,
            input_names=["x"],
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(
        exported.getvalue(), options, providers=["CPUExecutionProvider"]
    )
    return lambda batch: torch.from_numpy(session.run(None, {"x": batch.numpy()})[0])


def _in_openvino(base: Callable, example: Tensor, threads: int) -> Answers:
    """A network's file, run by OpenVINO: in integers what is in integers, float32 what is not."""
    import torch

    try:
        from openvino import Core, compile_model
    except ImportError as error:
        raise CannotRun(
            f"backend 'openvino' cannot be imported ({error}): install openvino anew, or choose "
            "backend 'quantized'"
        ) from error
    settings = {
        "EXECUTION_MODE_HINT": "ACCURACY",
        "INFERENCE_PRECISION_HINT": "f32",  # where a processor has AMX it would be bfloat16
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",  # no scale is taken from what runs
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,  # or several processes would share one core
    }

    def compiled(file: os.PathLike, rows: int | None) -> Answers:
        try:
            network = Core().read_model(file)
            network.reshape([rows or len(example), *example.shape[1:]])
            request = compile_model(network, "CPU", settings).create_infer_request()
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise CannotRun(
                f"backend 'openvino' cannot run {file}: choose backend 'quantized' ({reason})"
            ) from error
        takes = request.model_inputs[0].get_element_type().to_dtype()

        def answers(batch: Tensor) -> object:
            found = request.infer([batch.detach().numpy().astype(takes, copy=False)])
            scores = tuple(map(torch.from_numpy, found.values()))
            return scores if len(scores) > 1 else scores[0]

        return answers

    if not hasattr(base, "run_by"):
        raise CannotRun(
            f"backend 'openvino' runs networks that rslib opened from a file, got {base!r}: choose "
            "backend 'quantized'"
        )
    return base.run_by(compiled)


def device_type(device: str) -> str:
    """``"cuda"`` for ``"cuda:1"``."""
    return device.partition(":")[0]


@dataclass(frozen=True)
class Backend:
    """A way to run a base classifier.

    Attributes
    ----------
    name : str
        As plans, manifests and the command line say it.
    prepare : callable
        From a module in evaluation mode, or a function where the backend is for functions, an
        example of a batch and a number of threads to a function of such batches. It may raise
        anything where it cannot; whoever calls it compares the function with what it was given.
    dtypes : mapping of str to str
        The number types that it offers, and torch's name of what a module and its inputs are cast
        to for each.
    devices : tuple of str, optional
        Types of the devices that it runs on; default all.
    packages : tuple of str
        What has to be installed beside the library's own dependencies.
    for_functions : bool
        Whether it takes plain functions, and no modules; the others take modules only.
    brings_its_type : bool
        Whether it is for networks that hold their number type in their file (`number_type`), and
        for no others. Such a network has a method ``run_by``: from a function of its file and of
        the rows that it takes (None for any) to what it answers when that runs the file.
    is_recorded : bool
        Whether a recording of the module runs, and none of the module's Python.
    channels_last : bool
        Whether colour images may be held with their channels last, as torch's convolutions want.
    default_on : tuple of str
        Types of the devices where it is the default.
    untimed_on : tuple of str
        Types of the devices where `rslib.plans.fastest_plan` does not try it.
    is_slow_to_make : bool
        Whether making a module ready takes so long that it is tried last, and at one size.
    """

    name: str
    prepare: Callable[[Any, Tensor, int], Answers] = field(repr=False)
    dtypes: Mapping[str, str] = field(default_factory=lambda: _FLOATS)
    devices: tuple[str, ...] | None = None
    packages: tuple[str, ...] = ()
    for_functions: bool = False
    brings_its_type: bool = False
    is_recorded: bool = False
    channels_last: bool = True
    default_on: tuple[str, ...] = ()
    untimed_on: tuple[str, ...] = ()
    is_slow_to_make: bool = False

    def usable(self, dtype: str, device: str) -> str | None:
        """None if the backend is for this number type and device, else the reason why not.

        >>> BACKENDS["onnxruntime"].usable("float32", "cuda:1")
        "backend 'onnxruntime' is for float32 on the cpu, got ('float32', 'cuda')"
        """
        kind = device_type(device)
        if dtype in self.dtypes and (self.devices is None or kind in self.devices):
            return None
        where = "" if self.devices is None else f" on the {' or '.join(self.devices)}"
        return (
            f"backend {self.name!r} is for {' or '.join(self.dtypes)}{where}, got {(dtype, kind)}"
        )

    def missing(self) -> str | None:
        """None if the packages that the backend needs are installed, else what to do."""
        found = {package: find_spec(package) for package in self.packages}
        # A mere folder of that name has no origin.
        lacking = [name for name, spec in found.items() if spec is None or spec.origin is None]
        if not lacking:
            return None
        return f"backend {self.name!r} is not installed: pip install {' '.join(lacking)}"

    def is_candidate(self, dtype: str, device: str) -> bool:
        """Whether `rslib.plans.fastest_plan` tries it for a base classifier that it is for."""
        return not (
            device_type(device) in self.untimed_on or self.usable(dtype, device) or self.missing()
        )


def number_type(base: object) -> str | None:
    """The number type that a base classifier computes in and no plan can change, if it has one.

    Networks in files that hold their own arithmetic have one, as their attribute ``number_type``.
    """
    return getattr(base, "number_type", None)


#: Every backend by its name.
BACKENDS: dict[str, Backend] = {
    one.name: one
    for one in (
        # Calls a plain function as it is.
        Backend("callable", _as_it_is, for_functions=True),
        # Calls a network whose weights and activations `rslib quantize` rounded to eight bits: a
        # function of float32 batches, run by ONNX Runtime.
        Backend(
            "quantized",
            _as_it_is,
            dtypes={"int8": "float32"},
            devices=("cpu",),
            packages=("onnx", "onnxruntime"),
            for_functions=True,
            brings_its_type=True,
        ),
        # Gives the file of such a network to OpenVINO, which uses more of an Intel processor.
        Backend(
            "openvino",
            _in_openvino,
            dtypes={"int8": "float32"},
            devices=("cpu",),
            packages=("openvino",),
            for_functions=True,
            brings_its_type=True,
        ),
        # Runs a copy of the module in evaluation mode, operation by operation.
        Backend("eager", _as_it_is),
        # Runs a traced, frozen copy.
        Backend("frozen", _frozen, is_recorded=True, default_on=("cpu",)),
        # Runs what torch.compile makes, which needs a C++ compiler on the CPU and pays on a GPU.
        Backend("compiled", _compiled, is_recorded=True, untimed_on=("cpu",), is_slow_to_make=True),
        # Runs a copy exported to ONNX.
        Backend(
            "onnxruntime",
            _in_onnx_runtime,
            dtypes={"float32": "float32"},
            devices=("cpu",),
            packages=("onnx", "onnxruntime"),
            is_recorded=True,
            channels_last=False,
        ),
    )
}


def offered(
    is_function: bool, own: str | None, dtype: str, device: str
) -> tuple[list[Backend], str]:
    """The backends for a base classifier, and the number type in which they run it.

    Parameters
    ----------
    is_function : bool
        Whether it is a plain function, and no module.
    own : str or None
        Its `number_type`.
    dtype : str
        What was asked for; float32, the default, gives way to the classifier's own.
    device : str
        Where it is to run.

    Raises
    ------
    ValueError
        If there is none.
    """
    if own and dtype not in (own, "float32"):
        raise ValueError(f"dtype must be {own!r} for this base classifier, got {dtype!r}")
    found = [
        one
        for one in BACKENDS.values()
        if one.for_functions == is_function
        and one.brings_its_type == (own is not None)
        and not one.usable(own or dtype, device)
    ]
    if not found:
        raise ValueError(
            f"dtype {dtype!r} on {device} is not for this base classifier; an int8 network is a "
            "file of its own that `rslib quantize` writes, and runs on the cpu"
        )
    return found, own or dtype


#: What a module can be run with, for whoever chooses.
NAMES = tuple(name for name, one in BACKENDS.items() if not one.for_functions)
#: What any base classifier that leaves a choice can be run with.
CHOICES = tuple(
    name for name, one in BACKENDS.items() if one.brings_its_type or not one.for_functions
)
#: The number types that some backend offers.
DTYPES = tuple(dict.fromkeys(dtype for one in BACKENDS.values() for dtype in one.dtypes))
#: Packages whose versions may decide the last bits of a score, where they are installed.
PACKAGES = tuple(dict.fromkeys(name for one in BACKENDS.values() for name in one.packages))
