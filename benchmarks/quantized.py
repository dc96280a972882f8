"""Eight bits beside float32 and a plain loop, one network under one noise, in one run.

Speed does not depend on what a network has learned, so the weights are random. Each figure is the
median of interleaved repeats on one thread.

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
from rslib import models, quantization
from rslib.engine import Engine, Plan
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


def rows(repeats: int = 5, most: int | None = None) -> list[dict]:
    """One row a case: seconds a certified example, and the ratios that matter.

    Keys: model, n, rows of the plan; seconds of the plain loop in float32, of rslib in float32
    under ONNX Runtime, of rslib in int8 under it and under OpenVINO; of int8 under ONNX Runtime,
    "noise, s" (filling the batches), "forward, s" (the network alone) and "rounding, s", the part
    of the forward pass that turns numbers into eight bits and back; of OpenVINO, which does not
    tell them apart, "openvino forward, s". ``most`` bounds n, to try the code quickly.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for name, shape, classes, sigma, step, n in CASES:
            n, path = min(n, most or n), Path(folder, f"{name}.onnx")
            torch.manual_seed(0)
            network = models.build(name, shape, classes).eval()
            levels = int(step.split("/")[1])
            x = torch.randint(0, levels + 1, shape) / levels
            noisy = x + float(sigma) * torch.randn(100, *shape)
            quantization.quantize(network, noisy.numpy(), path)
            eight = models.open(str(path), shape, classes).base
            rows = fastest_plan(eight, classes, shape, dtype="int8", threads=1).rows
            rounded, openvino = (
                SmoothedClassifier(eight, classes, sigma, step, plan=Plan(name, "int8", rows=rows))
                for name in ("quantized", "openvino")
            )
            same = Plan("onnxruntime", rows=rows)
            exact = SmoothedClassifier(network, classes, sigma, step, plan=same)
            passes = -(-(N0 + n) // rows)
            stream = rounded.noise.stream(rounded.noise.prepare(x), 0, 1, 0, device="cpu")
            buffer = torch.empty((rows, *shape))

            def forwards(engine: Engine, passes=passes) -> None:
                for _ in range(passes):
                    engine.forward()

            def fills(stream=stream, buffer=buffer, passes=passes) -> None:
                for _ in range(passes):
                    stream.fill(buffer)

            seconds = interleaved(
                {
                    "plain": lambda: plain_certify(network, x, float(sigma), n, classes),
                    "float32": lambda: exact.certify(x, N0, n),
                    "int8": lambda: rounded.certify(x, N0, n),
                    "openvino": lambda: openvino.certify(x, N0, n),
                    "noise": fills,
                    "forward": partial(forwards, rounded.engine(shape)),
                    "openvino forward": partial(forwards, openvino.engine(shape)),
                },
                repeats,
                "cpu",
            )
            share = rounding_share(path, noisy[:rows].numpy())
            found.append(
                {
                    "model": name,
                    "n": n,
                    "rows": rows,
                    "plain loop, s": seconds["plain"],
                    "float32, s": seconds["float32"],
                    "int8, s": seconds["int8"],
                    "noise, s": seconds["noise"],
                    "forward, s": seconds["forward"],
                    "rounding, s": share * seconds["forward"],
                    "openvino, s": seconds["openvino"],
                    "openvino forward, s": seconds["openvino forward"],
                    "float32 / int8": seconds["float32"] / seconds["int8"],
                    "plain / int8": seconds["plain"] / seconds["int8"],
                    "float32 / openvino": seconds["float32"] / seconds["openvino"],
                    "plain / openvino": seconds["plain"] / seconds["openvino"],
                }
            )
    torch.set_num_threads(before)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Time certification in eight bits.")
    parser.add_argument("--repeats", type=int, default=5, help="turns (default: %(default)s)")
    for row in rows(parser.parse_args().repeats):
        print(json.dumps(row))


if __name__ == "__main__":
    main()
