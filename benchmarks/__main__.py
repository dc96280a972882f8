"""All timings, with what they were measured on: ``make bench``.

    python -m benchmarks [--device cuda] [--repeats 7] [--out data/bench/cpu.json]
    python -m benchmarks --only int8     one table anew, into the file that is there

Prints the tables and writes them, with a manifest, as JSON.
"""

import argparse
import datetime
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy
import torch

import rslib
from benchmarks import certify, noise, quantized, samples
from rslib import _files, backends


def installed(package: str) -> str | None:
    """The version of a package; None without it."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def manifest(options: argparse.Namespace) -> dict:
    """What the figures were measured on, and how."""
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "format": "rslib-bench/1",
        "machine": _files.machine(options.device),
        "load_at_start": load,
        "threads": 1,
        "repeats": options.repeats,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": numpy.__version__,
            **{package: installed(package) for package in backends.PACKAGES},
            "rslib": rslib.__version__,
        },
        "command": shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]]),
        "commit": commit or None,
        "date": datetime.date.today().isoformat(),
    }


def shown(value: object) -> str:
    """A table's cell."""
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def show(title: str, rows: list[dict]) -> None:
    """Print rows with equal keys as an aligned table."""
    cells = [list(rows[0])] + [[shown(value) for value in row.values()] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    print(f"\n{title}")
    for line in cells:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))


def tables(repeats: int, device: str, quick: bool) -> dict[str, tuple[str, Callable]]:
    """Title and measurement of each table, by the name that it has in the file."""
    found = {
        "noise": (
            "Noise: nanoseconds a value, and beside torch's normal_ in place",
            partial(noise.rows, repeats),
        ),
        "certify": (
            f"Certifying one example (n0 = {certify.N0}): beside a plain loop and ART; share: the "
            "prepared forward pass as a share of the whole",
            partial(certify.rows, repeats, device, 20 if quick else None),
        ),
        "int8": (
            f"Certifying one example (n0 = {certify.N0}) in eight bits: beside float32 under ONNX "
            "Runtime and a plain loop; rounding: a part of forward",
            partial(quantized.rows, repeats, 20 if quick else None),
        ),
        "matrix product": (
            "The product of two square matrices, float32",
            partial(certify.matrix_product, repeats),
        ),
        "memory": ("Peak memory of a process that certifies one digit", certify.memory),
        "samples": (
            f"Mean samples until 'is the radius at least r?' is decided (alpha = {samples.ALPHA}, "
            f"at most {samples.N}), beside two sequential methods as measured elsewhere",
            samples.rows,
        ),
        "radius lost": (
            "Radius lost by a run that takes all samples, in sigma",
            samples.radius_lost,
        ),
    }
    if device != "cpu":
        return {"certify": found["certify"]}
    return {name: found[name] for name in ("certify", "int8")} if quick else found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="All timings.")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=7, help="turns (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="default: data/bench/<device>.json")
    parser.add_argument("--quick", action="store_true", help="tiny n, once: to see that it runs")
    parser.add_argument(
        "--only",
        metavar="TABLE",
        help="measure one table anew, into the file that is there, with a manifest of its own",
    )
    options = parser.parse_args(arguments)
    options.repeats = 1 if options.quick else options.repeats
    out = options.out or Path("data/bench") / f"{torch.device(options.device).type}.json"
    chosen = tables(options.repeats, options.device, options.quick)
    if options.only and options.only not in chosen:
        parser.error(f"argument --only: no table {options.only!r}; there are {', '.join(chosen)}")
    if options.only and not out.exists():
        parser.error(f"argument --only: there is no file {out} to put it in: measure all first")
    facts = manifest(options)
    print(f"{facts['machine']}, one thread, load {shown(facts['load_at_start'])}, medians of")
    print(f"{options.repeats} interleaved repeats; {facts['versions']}")
    result = {"manifest": facts}
    if options.only:
        result = json.loads(out.read_text())
        result["manifest"][options.only] = facts
        chosen = {options.only: chosen[options.only]}
    for name, (title, measure) in chosen.items():
        result[name] = measure()
        show(title, result[name])
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n")
    print(f"\nwritten to {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
