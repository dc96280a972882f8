"""Certification beside a plain loop and a peer, side by side in one run.

The plain loop draws noise and classifies batch after batch, as the first published implementation
does (locuslab/smoothing, written anew here): the network as it comes, new tensors in every batch,
counts added up in Python. ART is the adversarial-robustness-toolbox; without it (the extra
``bench``) its figures are left out. Each figure is the median of interleaved repeats, on one
thread of a CPU or on one GPU.

    python -m benchmarks.certify [--device cuda] [--repeats 5]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.util import find_spec

import numpy as np
import torch
from torch import Tensor, nn

from rslib import backends, confidence, models
from rslib.certificates import certified_radius
from rslib.engine import Engine
from rslib.plans import fastest_plan
from rslib.smoothing import SmoothedClassifier

#: model, shape of an example, classes, sigma, step, number type, n of one measured certification
CPU_CASES = [
    ("mlp", (1, 8, 8), 10, "0.25", "1/16", "float32", 100_000),
    ("cnn", (1, 8, 8), 10, "0.25", "1/16", "float32", 100_000),
    ("resnet20", (3, 32, 32), 10, "0.25", "1/255", "float32", 1_000),
    ("resnet20", (3, 32, 32), 10, "0.25", "1/255", "bfloat16", 1_000),
]
GPU_CASES = [
    ("cnn", (1, 8, 8), 10, "0.25", "1/16", "float32", 100_000),
    ("resnet110", (3, 32, 32), 10, "0.25", "1/255", "float32", 20_000),
    ("resnet110", (3, 32, 32), 10, "0.25", "1/255", "bfloat16", 100_000),
    ("resnet50", (3, 224, 224), 1000, "0.25", "1/255", "bfloat16", 10_000),
]
N0, ALPHA, BATCH = 100, 0.001, 1000
# Those that are made in a moment; a column each.
BACKENDS = tuple(name for name in backends.NAMES if not backends.BACKENDS[name].is_slow_to_make)


def plain_counts(network: nn.Module, x: Tensor, sigma: float, n: int, batch: int, classes: int):
    """Counts of the classes over n noisy copies, by a plain loop."""
    counts = np.zeros(classes, dtype=int)
    with torch.no_grad():
        while n > 0:
            size = min(batch, n)
            n -= size
            repeated = x.repeat((size, *[1] * x.dim()))
            noise = torch.randn_like(repeated) * sigma
            for answer in network(repeated + noise).argmax(1).cpu().numpy():
                counts[answer] += 1
    return counts


def plain_certify(network: nn.Module, x: Tensor, sigma: float, n: int, classes: int):
    """Algorithm 1 of Cohen et al. (2019) over the plain loop."""
    batch = min(BATCH, n) if x.numel() < 10_000 else 100
    label = plain_counts(network, x, sigma, N0, batch, classes).argmax()
    count = plain_counts(network, x, sigma, n, batch, classes)[label]
    p_a = confidence.lower_bound(int(count), n, ALPHA)
    return (int(label), float(certified_radius(p_a, sigma))) if p_a > 0.5 else (-1, 0.0)


def art_certify(network: nn.Module, x: Tensor, sigma: float, n: int, classes: int) -> Callable:
    """A function that certifies x with the adversarial-robustness-toolbox."""
    from art.estimators.certification.randomized_smoothing import PyTorchRandomizedSmoothing

    smoothed = PyTorchRandomizedSmoothing(
        network,
        nn.CrossEntropyLoss(),
        tuple(x.shape),
        classes,
        device_type="cpu",
        sample_size=N0,
        scale=sigma,
        alpha=ALPHA,
    )
    batch = x[None].numpy()
    return lambda: smoothed.certify(batch, n=n, batch_size=min(BATCH, n))


def interleaved(
    tasks: dict[str, Callable[[], object]], repeats: int, device: str
) -> dict[str, float]:
    """Median seconds of each task, run in turn, after one round that is not counted."""
    taken: dict[str, list[float]] = {name: [] for name in tasks}
    for turn in range(repeats + 1):
        for name, task in tasks.items():
            began = time.perf_counter()
            task()
            if device != "cpu":
                torch.cuda.synchronize()
            if turn:
                taken[name].append(time.perf_counter() - began)
    return {name: statistics.median(times) for name, times in taken.items()}


def rows(repeats: int = 5, device: str = "cpu", most: int | None = None) -> list[dict]:
    """One row a case: seconds a certified example, and the ratios that matter.

    Keys: model, dtype, n, backend and rows of the plan; seconds of the plain loop, of ART (None
    without it), of rslib with grid and with float noise; "prepared forward", the seconds of the
    forward passes alone under the plan, and beside it those of each of BACKENDS (None where it does
    not run this network); "noise alone", what filling the batches takes. ``share`` is prepared
    forward / rslib. ``most`` bounds n, to try the code quickly.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    found = []
    for name, shape, classes, sigma, step, dtype, n in CPU_CASES if device == "cpu" else GPU_CASES:
        n = min(n, most or n)
        torch.manual_seed(0)
        network = models.build(name, shape, classes).eval().to(device)
        levels = 16 if step == "1/16" else 255
        x = torch.randint(0, levels + 1, shape) / levels
        plan = fastest_plan(network, classes, shape, device, dtype, threads=1)
        grid = SmoothedClassifier(network, classes, sigma, step, plan=plan)
        floating = SmoothedClassifier(network, classes, sigma, noise="float", plan=plan)
        engine = grid.engine(shape)
        passes = -(-(N0 + n) // plan.rows)
        ready = {plan.backend: engine}
        for backend in BACKENDS:
            if backend not in ready and backends.BACKENDS[backend].is_candidate(dtype, device):
                other = Engine(network, classes, shape, replace(plan, backend=backend))
                if other.plan.backend == backend:
                    ready[backend] = other
        stream = grid.noise.stream(grid.noise.prepare(x), 0, 1, 0, device=device)
        buffer = torch.empty((plan.rows, *shape), device=device)

        def forwards(engine, passes=passes) -> None:
            for _ in range(passes):
                engine.forward()

        def fills(stream=stream, buffer=buffer, passes=passes) -> None:
            for _ in range(passes):
                stream.fill(buffer)

        tasks = {
            "plain": lambda: plain_certify(network, x.to(device), float(sigma), n, classes),
            "grid": lambda: grid.certify(x, N0, n, ALPHA),
            "float": lambda: floating.certify(x, N0, n, ALPHA),
            "noise": fills,
        } | {backend: partial(forwards, one) for backend, one in ready.items()}
        if device == "cpu" and find_spec("art"):
            tasks["art"] = art_certify(network, x, float(sigma), n, classes)
        seconds = interleaved(tasks, repeats, device)
        found.append(
            {
                "model": name,
                "dtype": dtype,
                "n": n,
                "backend": engine.plan.backend,
                "rows": plan.rows,
                "plain loop, s": seconds["plain"],
                "ART, s": seconds.get("art"),
                "rslib, s": seconds["grid"],
                "float noise, s": seconds["float"],
                "prepared forward, s": seconds[plan.backend],
                **{f"{backend} forward, s": seconds.get(backend) for backend in BACKENDS},
                "noise alone, s": seconds["noise"],
                "plain / rslib": seconds["plain"] / seconds["grid"],
                "ART / rslib": seconds["art"] / seconds["grid"] if "art" in seconds else None,
                "grid / float noise": seconds["grid"] / seconds["float"],
                "share": seconds[plan.backend] / seconds["grid"],
            }
        )
    torch.set_num_threads(before)
    return found


def matrix_product(repeats: int = 5) -> list[dict]:
    """What one thread can do at its best: keys size, "billion operations a second" (float32)."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    found = []
    for size in (512, 1024):
        a, b = torch.rand(size, size), torch.rand(size, size)
        seconds = interleaved({"product": lambda: torch.mm(a, b)}, 10 * repeats, "cpu")["product"]
        found.append({"size": size, "billion operations a second": 2 * size**3 / seconds / 1e9})
    torch.set_num_threads(before)
    return found


_PEAK = """
import json, sys, torch
from rslib import models
from rslib.engine import Plan
from rslib.smoothing import SmoothedClassifier
def peak():
    # ru_maxrss would do on any system, but holds the peak of the process that started this one.
    with open("/proc/self/status") as status:
        (line,) = (line for line in status if line.startswith("VmHWM"))
    return round(int(line.split()[1]) / 1024, 1)

torch.set_num_threads(1)
torch.manual_seed(0)
network = models.build("cnn", (1, 8, 8), 10).eval()
plan = Plan("frozen", rows=1024)
g = SmoothedClassifier(network, 10, "0.25", "1/16", plan=plan)
before = peak()
g.certify(torch.full((1, 8, 8), 0.5), n=int(sys.argv[1]))
print(json.dumps({"before, MiB": before, "peak, MiB": peak()}))
"""


def memory() -> list[dict]:
    """Peak memory of a process that certifies one digit, for growing n (on Linux).

    Keys n; "before, MiB", the peak before the network is prepared; "peak, MiB", that at the end.
    """
    found = []
    for n in (1_000, 10_000, 100_000, 1_000_000):
        printed = subprocess.check_output([sys.executable, "-c", _PEAK, str(n)], text=True)
        found.append({"n": n, **json.loads(printed)})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Time certification.")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="turns (default: %(default)s)")
    options = parser.parse_args()
    for row in rows(options.repeats, options.device):
        print(json.dumps(row))


if __name__ == "__main__":
    main()
