"""Change the library in every small way that mutmut knows, and see whether the tests notice.

    mutants.py [MODULE ...]     all that load no torch by default: see MODULES

Each module is mutated in a copy of the library, and its own tests are run against every mutant.
Prints how many were killed and the change that each survivor makes; exits 1 below 95%. The list
of survivors that are equivalent, with the argument, stands in tests/equivalent_mutants.md.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODULES = (
    "_checks",
    "certificates",
    "confidence",
    "sequential",
    "records",
    "verifier",
    "evaluation",
)
LEAST = 0.95
KILLED = (1, 3, 24, -24, 36, 152, 255)  # a failed test, or a time-out
CONFIGURATION = """
[tool.mutmut]
source_paths = ["rslib/{module}.py"]
# Mutated modules import mutmut and are called through it: what they import, and which file a
# warning points to, is not judged here.
pytest_add_cli_args_test_selection = [
  "tests/test_{test}.py", "-m", "not slow", "-k", "not import and not without_locks",
]
also_copy = ["rslib", "tests"]
"""


def mutate(module: str, folder: Path, workers: int) -> tuple[int, list[str]]:
    """How many mutants of a module there are, and the names of those that survived."""
    for name in ("rslib", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    text = (ROOT / "pyproject.toml").read_text()
    configuration = CONFIGURATION.format(module=module, test=module.strip("_"))
    (folder / "pyproject.toml").write_text(text + configuration)
    mutmut = Path(sys.executable).with_name("mutmut")
    log = folder / "mutmut.log"
    with log.open("w") as file:
        done = subprocess.run(
            [mutmut, "run", "--max-children", str(workers)],
            cwd=folder,
            stdout=file,
            stderr=subprocess.STDOUT,
            check=False,
        )
    results = folder / f"mutants/rslib/{module}.py.meta"
    if done.returncode or not results.exists():
        raise RuntimeError(f"mutmut failed on {module}: {log.read_text()[-2000:]}")
    codes = json.loads(results.read_text())["exit_code_by_key"]
    return len(codes), sorted(name for name, code in codes.items() if code not in KILLED)


def change(name: str, folder: Path) -> str:
    """The lines that a mutant takes out and puts in."""
    mutmut = Path(sys.executable).with_name("mutmut")
    shown = subprocess.run(
        [mutmut, "show", name], cwd=folder, capture_output=True, text=True, check=False
    ).stdout
    lines = [
        line for line in shown.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")
    ]
    return "\n".join(f"    {line}" for line in lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("module", nargs="*", choices=MODULES)
    status = 0
    for module in parser.parse_args(arguments).module or MODULES:
        with tempfile.TemporaryDirectory() as folder:
            total, survivors = mutate(module, Path(folder), workers=2)
            share = 1 - len(survivors) / total
            print(f"{module}: {total - len(survivors)} of {total} mutants killed ({share:.1%})")
            for name in survivors:
                print(f"  {name}\n{change(name, Path(folder))}", flush=True)
            status |= share < LEAST
    return status


if __name__ == "__main__":
    sys.exit(main())
