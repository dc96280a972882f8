"""What the tests of several modules share."""

import pytest
from flint import ctx


@pytest.fixture
def arb_bits():
    """Interval arithmetic with enough bits for tails down to 1e-30, restored afterwards."""
    previous, ctx.prec = ctx.prec, 240
    yield
    ctx.prec = previous


def pytest_itemcollected(item):
    """With --dist loadgroup a file's tests stay in one process; the many mutants are shared out."""
    if item.path.name != "test_mutants.py":
        item.add_marker(pytest.mark.xdist_group(item.path.stem))
