"""What the tests of several modules share."""

import pytest
from flint import ctx


@pytest.fixture
def arb_bits():
    """Interval arithmetic with enough bits for tails down to 1e-30, restored afterwards."""
    previous, ctx.prec = ctx.prec, 240
    yield
    ctx.prec = previous
