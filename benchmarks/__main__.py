"""All timings, with what they were measured on: ``make bench``."""

import platform
import sys

import numpy
import torch

from benchmarks import certify, noise

REPEATS = 7


def machine() -> str:
    """The processor's name, as far as the system tells."""
    try:
        with open("/proc/cpuinfo") as file:
            names = [
                line.split(":", 1)[1].strip() for line in file if line.startswith("model name")
            ]
        return names[0]
    except (OSError, IndexError):
        return platform.processor() or platform.machine()


def show(title: str, rows: list[dict]) -> None:
    """Print rows with equal keys as an aligned table."""
    cells = [list(rows[0])]
    cells += [
        [f"{v:.3g}" if isinstance(v, float) else str(v) for v in row.values()] for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    print(f"\n{title}")
    for line in cells:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))


def main() -> int:
    print(
        f"{machine()}, one thread, Python {platform.python_version()}, torch {torch.__version__},"
    )
    print(f"NumPy {numpy.__version__}; medians of {REPEATS} interleaved repeats")
    show("Noise: nanoseconds a value, and beside torch's normal_ in place", noise.rows(REPEATS))
    show(
        "Certifying one example (n0 = 100): beside a plain loop, and the share of the time that "
        "the prepared forward pass takes",
        certify.rows(REPEATS),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
