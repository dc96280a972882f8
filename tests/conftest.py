"""What the tests of several modules share."""

import os

import pytest
from flint import ctx


@pytest.fixture
def arb_bits():
    """Interval arithmetic with enough bits for tails down to 1e-30, restored afterwards."""
    previous, ctx.prec = ctx.prec, 240
    yield
    ctx.prec = previous


@pytest.fixture(scope="module")
def chromium():
    """A started browser. Its tool is imported here: a copy of the tests may be without tools/."""
    import browser

    if browser.chromium_path() is None:
        if os.environ.get("CI"):
            pytest.fail("no chromium, and CI must not do without: apt-get install chromium")
        pytest.skip("no chromium on this machine: apt-get install chromium")
    with browser.chromium() as started:
        yield started
