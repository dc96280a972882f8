"""Certification beside a plain loop, side by side in one run.

The plain loop draws noise and classifies batch after batch, as the first published implementation
does (locuslab/smoothing, written anew here): the network as it comes, new tensors in every batch,
counts added up in Python. Each figure is the median of interleaved repeats, on one thread.

    python -m benchmarks.certify
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from rslib import confidence, models
from rslib.certificates import certified_radius
from rslib.engine import Plan, fastest_plan
from rslib.smoothing import SmoothedClassifier

#: model, shape of an example, sigma, step, n of one measured certification
CASES = [
    ("mlp", (1, 8, 8), 0.25, "1/16", 100_000),
    ("cnn", (1, 8, 8), 0.25, "1/16", 100_000),
    ("resnet20", (3, 32, 32), 0.25, "1/255", 1_000),
]
N0, ALPHA, BATCH = 100, 0.001, 1000


def plain_counts(network: nn.Module, x: Tensor, sigma: float, n: int, batch: int, classes: int):
    """Counts of the classes over n noisy copies, by a plain loop."""
    counts = np.zeros(classes, dtype=int)
    with torch.no_grad():
        while n > 0:
            size = min(batch, n)
            n -= size
            repeated = x.repeat((size, *[1] * x.dim()))
            noise = torch.randn_like(repeated) * sigma
            for answer in network(repeated + noise).argmax(1).numpy():
                counts[answer] += 1
    return counts


def plain_certify(network: nn.Module, x: Tensor, sigma: float, n: int, classes: int):
    """Algorithm 1 of Cohen et al. (2019) over the plain loop."""
    batch = min(BATCH, n)
    label = plain_counts(network, x, sigma, N0, batch, classes).argmax()
    count = plain_counts(network, x, sigma, n, batch, classes)[label]
    p_a = confidence.lower_bound(int(count), n, ALPHA)
    return (int(label), float(certified_radius(p_a, sigma))) if p_a > 0.5 else (-1, 0.0)


def interleaved(tasks: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of each task, run in turn, after one round that is not counted."""
    taken: dict[str, list[float]] = {name: [] for name in tasks}
    for turn in range(repeats + 1):
        for name, task in tasks.items():
            began = time.perf_counter()
            task()
            if turn:
                taken[name].append(time.perf_counter() - began)
    return {name: statistics.median(times) for name, times in taken.items()}


def rows(repeats: int = 5) -> list[dict]:
    """One row a case: seconds a certified example, and the ratios that matter."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    found = []
    for name, shape, sigma, step, n in CASES:
        torch.manual_seed(0)
        network = models.build(name, shape, 10).eval()
        levels = 16 if step == "1/16" else 255
        x = torch.randint(0, levels + 1, shape) / levels
        plan: Plan = fastest_plan(network, 10, shape)
        grid = SmoothedClassifier(network, 10, sigma, step, plan=plan)
        floating = SmoothedClassifier(network, 10, sigma, noise="float", plan=plan)
        engine = grid.engine(shape)
        passes = -(-(N0 + n) // plan.rows)

        def forwards(engine=engine, passes=passes) -> None:
            for _ in range(passes):
                engine.forward()

        seconds = interleaved(
            {
                "plain": lambda: plain_certify(network, x, sigma, n, 10),
                "grid": lambda: grid.certify(x, N0, n, ALPHA),
                "float": lambda: floating.certify(x, N0, n, ALPHA),
                "forward": forwards,
            },
            repeats,
        )
        found.append(
            {
                "model": name,
                "n": n,
                "backend": plan.backend,
                "rows": plan.rows,
                "plain loop, s": seconds["plain"],
                "rslib, s": seconds["grid"],
                "rslib, float noise, s": seconds["float"],
                "plain / rslib": seconds["plain"] / seconds["grid"],
                "grid / float noise": seconds["grid"] / seconds["float"],
                "forward / rslib": seconds["forward"] / seconds["grid"],
            }
        )
    torch.set_num_threads(before)
    return found


def main() -> None:
    for row in rows():
        print(
            "  ".join(
                f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()
            )
        )


if __name__ == "__main__":
    main()
