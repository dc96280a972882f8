"""What noise costs: nanoseconds a value on one thread, side by side.

Run ``python -m benchmarks.noise``. The methods take turns, so that a busy moment of the machine
hits all of them; each figure is the median over the turns, and the ratio to ``normal_`` is the
median of the ratios within a turn.
"""

import argparse
import statistics
import time

import numpy as np
import torch

from rslib.noise import FloatGaussian, GridGaussian, Purpose

REPEATS = 15
VALUES = 2**20  # filled in each turn, in batches of a usual size
BATCH_VALUES = 2**17
CASES = [  # name, shape, sigma, step
    ("digits, sigma/step = 4", (1, 8, 8), "0.25", "1/16"),
    ("CIFAR-10, sigma/step = 30.6", (3, 32, 32), "0.12", "1/255"),
    ("CIFAR-10, sigma/step = 63.75", (3, 32, 32), "0.25", "1/255"),
    ("CIFAR-10, sigma/step = 255", (3, 32, 32), "1", "1/255"),
]


def methods(shape, sigma, step):
    """Return name -> function that fills one batch, and the number of values in a batch."""
    rows = BATCH_VALUES // int(np.prod(shape))
    out = torch.empty(rows, *shape)
    last = out.clone(memory_format=torch.channels_last)
    grid, floating = GridGaussian(sigma, step), FloatGaussian(sigma)
    m = torch.randint(0, 16, shape, dtype=torch.int32)
    key = (0, Purpose.ESTIMATION, 0)
    fill_grid, fill_float = grid.stream(m, *key).fill, floating.stream(m * 1.0, *key).fill
    generator, plain = np.random.Generator(np.random.SFC64(0)), out.numpy()
    return {
        "torch normal_": out.normal_,
        "NumPy standard_normal": lambda: generator.standard_normal(dtype=np.float32, out=plain),
        "grid noise": lambda: fill_grid(out),
        "grid noise, channels last": lambda: fill_grid(last),
        "float noise": lambda: fill_float(out),
    }, out.numel()


def rows(repeats: int = REPEATS) -> list[dict]:
    """Time every method in every case.

    Returns
    -------
    list of dict
        Keys case, method, ns (a value, median) and ratio (to ``normal_``, median).
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        table = []
        for case, shape, sigma, step in CASES:
            fills, values = methods(shape, sigma, step)
            times = {name: [] for name in fills}
            for turn in range(repeats + 1):
                for name, fill in fills.items():
                    start = time.perf_counter()
                    for _ in range(VALUES // values):
                        fill()
                    if turn:  # the first warms up
                        elapsed = time.perf_counter() - start
                        times[name].append(1e9 * elapsed / (VALUES // values * values))
            base = times["torch normal_"]
            for name, taken in times.items():
                ratio = statistics.median(t / b for t, b in zip(taken, base, strict=True))
                ns = statistics.median(taken)
                table.append({"case": case, "method": name, "ns": ns, "ratio": ratio})
        return table
    finally:
        torch.set_num_threads(threads)


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the noise samplers.")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="turns (default: %(default)s)")
    case = None
    for row in rows(parser.parse_args().repeats):
        if row["case"] != case:
            case = row["case"]
            print(f"\n{case}\n  {'':27}ns a value   ratio to normal_")
        print(f"  {row['method']:27}{row['ns']:10.2f}{row['ratio']:18.2f}")


if __name__ == "__main__":
    main()
