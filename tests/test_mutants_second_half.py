"""Every second of the named mistakes, so that two processes share them: see test_mutants.py."""

import pytest
from test_mutants import MUTANTS, copy, kill

__all__ = ["copy"]  # a fixture


@pytest.mark.slow
@pytest.mark.parametrize("name", list(MUTANTS)[1::2])
def test_killed(copy, name):
    kill(copy, name)
