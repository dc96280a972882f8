"""Eight bits beside float32 and a plain loop, one network under one noise, in one run.

Speed does not depend on what a network has learned, so it learns little (`taught`). Each figure is
the median of interleaved repeats on one thread. The library's programs get batches of the size that
suits each best; the plain loop has those of 1,000 of the first implementation.

    python -m benchmarks.quantized [--repeats 5]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.certify import N0, interleaved, plain_certify
from rslib import models, quantization, training
from rslib.datasets import Dataset
from rslib.plans import fastest_plan
from rslib.smoothing import SmoothedClassifier

#: model, shape of an example, classes, sigma, step, n of one measured certification
CASES = [
    ("wide", (3, 32, 32), 10, "0.5", "1/255", 1_000),
    ("resnet20", (3, 32, 32), 10, "0.5", "1/255", 1_000),
    ("cnn", (1, 8, 8), 10, "0.25", "1/16", 20_000),
]


def rounding_share(path: Path, batch: np.ndarray) -> float:
    """The share of a forward pass in which an eight-bit network turns numbers to eight bits.

    From ONNX Runtime's own profile: what the nodes QuantizeLinear and DequantizeLinear take, of
    what all nodes take.
    """
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder, "profile"))
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        for _ in range(5):
            session.run(None, {session.get_inputs()[0].name: batch})
        events = json.loads(Path(session.end_profiling()).read_text())
    taken: Counter[str] = Counter()
    for event in events:
        if event["cat"] == "Node" and event["name"].endswith("_kernel_time"):
            taken[event["args"]["op_name"]] += event["dur"]
    return (taken["QuantizeLinear"] + taken["DequantizeLinear"]) / taken.total()


def taught(name: str, shape: tuple, classes: int, sigma: str, step: str):
    """A network that tells random patterns apart under noise, and copies of them.

    One of random weights would do for the time, but it gives all images nearly the same scores, and
    whether two programs compute one network is seen better where scores vary.
    """
    generator = torch.Generator().manual_seed(0)
    levels = int(step.split("/")[1])
    patterns = torch.randint(0, levels + 1, (classes, *shape), generator=generator)
    labels = np.arange(classes).repeat(50)
    dataset = Dataset.from_arrays(patterns.numpy()[labels], labels, step)
    torch.manual_seed(0)
    network = models.build(name, shape, classes)
    training.train(network, dataset, float(sigma), epochs=6, batch_size=50)
    network.to(memory_format=torch.contiguous_format)  # training leaves channels last
    return network, dataset


def rows(repeats: int = 5, most: int | None = None) -> list[dict]:
    """One row a case: seconds a certified example, and the ratios that matter.

    Keys: model, n; rows of a batch for each program, those that were the fastest; seconds of the
    plain loop in float32, of rslib in float32 under ONNX Runtime, of rslib in int8 under it and
    under OpenVINO; of int8 under ONNX Runtime, "noise, s" (filling the batches), "forward, s" (the
    network alone) and "rounding, s", the part of the forward pass that turns numbers into eight
    bits and back; of OpenVINO, which does not tell them apart, "openvino forward, s". ``most``
    bounds n, to try the code quickly.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for *case, n in CASES:
            path = Path(folder, f"{case[0]}.onnx")
            found.append(measured(*case, min(n, most or n), path, repeats))
    torch.set_num_threads(before)
    return found


def measured(
    name: str,
    shape: tuple[int, ...],
    classes: int,
    sigma: str,
    step: str,
    n: int,
    path: Path,
    repeats: int,
) -> dict:
    """One row; the network in eight bits is left at the path."""
    network, patterns = taught(name, shape, classes, sigma, step)
    x, some = (torch.from_numpy(patterns.images[part]) for part in (0, slice(None, None, 5)))
    noisy = (some + float(sigma) * torch.randn(some.shape)).numpy()
    quantization.quantize(network, noisy, path)
    eight = models.open(str(path), shape, classes).base
    smoothed = {
        key: SmoothedClassifier(
            base,
            classes,
            sigma,
            step,
            plan=fastest_plan(base, classes, shape, "cpu", dtype, 1, backend=backend),
        )
        for key, base, dtype, backend in (
            ("float32", network, "float32", "onnxruntime"),
            ("int8", eight, "int8", "quantized"),
            ("openvino", eight, "int8", "openvino"),
        )
    }
    sizes = {key: one.engine(shape).plan.rows for key, one in smoothed.items()}
    noise = smoothed["int8"].noise
    stream = noise.stream(noise.prepare(x), 0, 1, 0, device="cpu")
    buffer = torch.empty((sizes["int8"], *shape))

    def passes(key: str) -> range:
        return range(-(-(N0 + n) // sizes[key]))

    def forward(key: str) -> None:
        for _ in passes(key):
            smoothed[key].engine(shape).forward()

    def fill() -> None:
        for _ in passes("int8"):
            stream.fill(buffer)

    seconds = interleaved(
        {
            "plain loop": lambda: plain_certify(network, x, float(sigma), n, classes),
            **{key: partial(one.certify, x, N0, n) for key, one in smoothed.items()},
            "noise": fill,
            "forward": partial(forward, "int8"),
            "openvino forward": partial(forward, "openvino"),
        },
        repeats,
        "cpu",
    )
    seconds["rounding"] = (
        rounding_share(path, np.resize(noisy, (sizes["int8"], *shape))) * seconds["forward"]
    )
    return {
        "model": name,
        "n": n,
        **{f"{key} rows": size for key, size in sizes.items()},
        **{f"{key}, s": each for key, each in seconds.items()},
        "float32 / int8": seconds["float32"] / seconds["int8"],
        "plain / int8": seconds["plain loop"] / seconds["int8"],
        "float32 / openvino": seconds["float32"] / seconds["openvino"],
        "plain / openvino": seconds["plain loop"] / seconds["openvino"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Time certification in eight bits.")
    parser.add_argument("--repeats", type=int, default=5, help="turns (default: %(default)s)")
    for row in rows(parser.parse_args().repeats):
        print(json.dumps(row))


if __name__ == "__main__":
    main()
