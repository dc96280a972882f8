"""Eight-bit networks: static post-training quantisation into an ONNX file.

A network whose weights and activations are rounded to eight bits is another base classifier, and
Theorem 1 holds for it as for any other, provided that each row's scores depend on that row alone.
Static quantisation keeps that: every scale is a constant, found once on noisy training images and
stored in the file. Dynamic quantisation does not: it takes the scale of a layer from the batch that
happens to run, so that a row's answer depends on its neighbours, and no file may hold it here
(`check_static`).

The file is the classifier: a manifest hashes it, and certification runs it and never calibrates.
Its weights keep seven bits, so that no sum of two products of an unsigned activation and a signed
weight leaves sixteen bits: processors that add up pairs in sixteen bits (AVX2 without VNNI) then
compute what those with wider sums do.
"""

from __future__ import annotations

import io
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from rslib import _files

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["check_static", "is_quantized", "quantize"]

#: Rows of one calibration batch.
_ROWS = 100
# The operators of networks in integers, and those whose scale is taken from the data that run.
_QUANTIZED = ("QuantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger")
_DYNAMIC = ("DynamicQuantizeLinear", "DynamicQuantizeLSTM", "DynamicQuantizeMatMul")


def quantize(network: nn.Module, images: np.ndarray, path: str | os.PathLike) -> None:
    """Write a network as an ONNX file that computes in eight bits.

    Weights are rounded to seven bits and a sign, one scale for each output channel; activations to
    eight unsigned bits, one scale and offset for each tensor, from the least and the largest value
    that ``images`` give it. Convolutions and linear layers compute in these; the normalisation of
    the input and the scores are float32.

    Parameters
    ----------
    network : torch.nn.Module
        From float32 (B, channels, height, width) to scores (B, K). It is not changed.
    images : numpy.ndarray
        Float (N, channels, height, width), in the network's input units and *with the noise* under
        which it will be certified: without it the ranges would be too narrow. They should be
        training images; a few hundred do.
    path : path
        The file, ``X.onnx``; written whole or not at all.

    Raises
    ------
    ValueError
        If ``images`` are empty or not finite, or the network cannot be exported.

    References
    ----------
    jacob2018. Chapter 14.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    images = np.ascontiguousarray(images, dtype=np.float32)
    if images.ndim != 4 or not len(images) or not np.isfinite(images).all():
        raise ValueError(
            f"images must be finite, of shape (N, channels, height, width), got {images.shape}"
        )
    with tempfile.TemporaryDirectory() as folder:
        exported, prepared, written = (
            Path(folder, name) for name in ("f.onnx", "p.onnx", "q.onnx")
        )
        exported.write_bytes(_export(network, images[:2]))
        quant_pre_process(str(exported), str(prepared))
        with _without_warnings():
            quantize_static(
                str(prepared),
                str(written),
                _Batches(images),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
        data = _with_exact_scores(written)
    _files.replace(path, lambda file: file.write(data))


@contextmanager
def _without_warnings() -> Iterator[None]:
    """It is said by the root logger that a bias has no second axis to quantise by."""
    logger = logging.getLogger()
    logger.addFilter(_is_no_bias)
    try:
        yield
    finally:
        logger.removeFilter(_is_no_bias)


def _is_no_bias(record: logging.LogRecord) -> bool:
    return "out-of-range for weight" not in record.getMessage()


def check_static(model: ModelProto, name: str = "model") -> None:
    """Raise if a row's scores would depend on the rows that run beside it, as far as a file shows.

    Parameters
    ----------
    model : onnx.ModelProto
        The network.
    name : str
        What to call it in the error: its file, say.

    Raises
    ------
    ValueError
        If a node takes its scale from the batch (dynamic quantisation).
    """
    found = sorted({node.op_type for node in _nodes_of(model)} & set(_DYNAMIC))
    if found:
        raise ValueError(
            f"{name} is quantised dynamically ({', '.join(found)}): its scales come from the "
            "batch, so that a row's answer depends on its neighbours and no certificate holds; "
            "quantise it statically (rslib quantize)"
        )


def is_quantized(model: ModelProto) -> bool:
    """Whether a network computes in eight-bit integers, in some of its layers at least."""
    return any(node.op_type in _QUANTIZED for node in _nodes_of(model))


def _with_exact_scores(path: Path) -> bytes:
    """The model without the rounding of its scores, which would make ties between classes."""
    import onnx

    model = onnx.load(path)
    made_by = {name: node for node in model.graph.node for name in node.output}
    (scores,) = model.graph.output
    widened = made_by[scores.name]
    rounded = made_by.get(widened.input[0])
    if widened.op_type == "DequantizeLinear" and rounded and rounded.op_type == "QuantizeLinear":
        made_by[rounded.input[0]].output[0] = scores.name
        model.graph.node.remove(widened)
        model.graph.node.remove(rounded)
        used = {name for node in model.graph.node for name in node.input}
        for constant in [one for one in model.graph.initializer if one.name not in used]:
            model.graph.initializer.remove(constant)
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def _nodes_of(model: ModelProto):
    """The nodes of a model and of the functions that it brings."""
    for part in (model.graph, *model.functions):
        yield from _nodes(part)


def _nodes(graph):
    """The nodes of a graph and of the graphs inside it."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)


class _Batches:
    """Calibration images, batch by batch, as ONNX Runtime asks for them."""

    def __init__(self, images: np.ndarray) -> None:
        self._batches = iter(np.split(images, range(_ROWS, len(images), _ROWS)))

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"x": batch}


def _export(network: nn.Module, example: np.ndarray) -> bytes:
    """The network as ONNX, in evaluation mode, for any number of rows."""
    training = network.training
    exported = io.BytesIO()
    try:
        network.eval()
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.filterwarnings("ignore", "Constant folding", UserWarning)  # left undone
            warnings.simplefilter("error", torch.jit.TracerWarning)
            torch.onnx.export(
                network,
                (torch.from_numpy(example),),
                exported,  # type: ignore[arg-type]
                dynamo=False,
                input_names=["x"],
                output_names=["scores"],
                dynamic_axes={"x": {0: "rows"}, "scores": {0: "rows"}},
            )
    except Exception as error:
        raise ValueError(f"network cannot be exported to ONNX: {error}") from error
    finally:
        network.train(training)
    return exported.getvalue()
