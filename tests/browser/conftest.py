"""What the tests in a browser share."""

import os

import browser as tool
import pytest


@pytest.fixture(scope="module")
def chromium():
    if tool.chromium_path() is None:
        if os.environ.get("CI"):
            pytest.fail("no chromium, and CI must not do without: apt-get install chromium")
        pytest.skip("no chromium on this machine: apt-get install chromium")
    with tool.chromium() as started:
        yield started
