"""Bounds and tests that hold at all n at once."""

from rslib.confidence import (
    is_above,
    is_hopeless,
    log_e_value,
    sequential_lower_bound,
    sequential_upper_bound,
)
from rslib.confidence import looks as looking_times
from rslib.confidence import needed as least_successes
from rslib.confidence import run_lower_bound as stopped_lower_bound

__all__ = [
    "is_above",
    "is_hopeless",
    "least_successes",
    "log_e_value",
    "looking_times",
    "sequential_lower_bound",
    "sequential_upper_bound",
    "stopped_lower_bound",
]
