"""The default and the fastest plan."""

from __future__ import annotations

from dataclasses import replace

import torch

from rslib import engine
from rslib.engine import Plan


def default_plan(base, shape, device="cpu", threads=None, dtype="float32") -> Plan:
    """The plan that is used when none is given; nothing is timed for it."""
    if threads is not None:
        torch.set_num_threads(threads)
    return replace(engine.default_plan(base, shape, device), dtype=dtype)


def fastest_plan(
    base, num_classes, shape, device="cpu", dtype="float32", threads=None, repeats=3
) -> Plan:
    """The fastest plan here, by timing."""
    if threads is not None:
        torch.set_num_threads(threads)
    return engine.fastest_plan(base, num_classes, shape, device, dtype, repeats)
