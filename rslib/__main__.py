"""``python -m rslib``: the command line, for launchers such as torchrun that start a module."""

import sys

from rslib.cli import main

sys.exit(main())
