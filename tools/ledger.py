"""The claims ledger: which claim of the lecture is shown where, by what evidence.

    ledger.py write     book/claims.yml and the chapters' cells -> book/claims.md
    ledger.py check     the page is up to date, and every claim has its evidence

A cell is evidence if its metadata names claims and a kind of evidence (see CONTRIBUTING.md).
"""

import argparse
import ast
import importlib
import re
import sys
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path

import nbformat
import yaml

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"
CLAIMS = BOOK / "claims.yml"
PAGE = BOOK / "claims.md"

FIELDS = {"id", "says", "verdict", "truth", "needs", "functions", "tests"}
VERDICTS = {
    "true": "true",
    "true but loose": "true but loose",
    "slip corrected": "slip, corrected",
    "definition": "definition",
    "quoted": "quoted, not run here",
    "repeated": "repeated, with another network",
}
KINDS = {
    "definition": "example",
    "symbolic": "symbolic",
    "numerical": "numerical",
    "counterexample": "counterexample",
    "exercise": "exercise",
}
HEADER = """\
<!-- Made by tools/ledger.py from claims.yml and the chapters; do not edit. -->
# Every claim of the lecture, and how it is known

Each row is a claim of the lecture {cite:p}`lecture2023`, in its order. "Evidence" counts the cells
of the chapters that assert it: by algebra in SymPy, by a number, by a counterexample, or by an
exercise with a check. These cells run at every change of the course, and so do the tests. The slips
are explained on the page [Errata of the lecture](errata.md).
"""


class LedgerError(Exception):
    """A claim without evidence, or evidence without a claim; the message lists what is wrong."""


def read_claims() -> list[dict]:
    """The claims in the order of the lecture, each with all of its fields."""
    claims = yaml.safe_load(CLAIMS.read_text())
    problems = []
    for claim in claims:
        name = claim.get("id", "?")
        if set(claim) != FIELDS:
            problems.append(f"{name}: fields are {sorted(claim)}, not {sorted(FIELDS)}")
            continue
        if claim["verdict"] not in VERDICTS:
            problems.append(f"{name}: verdict {claim['verdict']!r} is none of {list(VERDICTS)}")
        if not claim["needs"] or not set(claim["needs"]) <= set(KINDS):
            problems.append(f"{name}: needs {claim['needs']}, kinds are {list(KINDS)}")
        if not claim["tests"]:
            problems.append(f"{name}: no test")
    twice = [name for name, count in Counter(c.get("id") for c in claims).items() if count > 1]
    problems += [f"{name}: there twice" for name in twice]
    if problems:
        raise LedgerError("\n".join(problems))
    return claims


def evidence() -> dict[str, dict[Path, Counter]]:
    """Claim -> chapter -> how many cells of each kind of evidence."""
    found: dict[str, dict[Path, Counter]] = defaultdict(dict)
    for path in sorted(BOOK.glob("[0-9][0-9]_*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            for claim in cell.metadata.get("claim", []):
                kinds = found[claim].setdefault(path, Counter())
                kinds[cell.metadata.get("evidence")] += 1
    return found


@cache
def _tests(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text())
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def problems(claims: list[dict], found: dict[str, dict[Path, Counter]]) -> list[str]:
    """What is missing or misnamed, one line each."""
    lines = [
        f"{claim}: tagged in {', '.join(path.name for path in chapters)}, not in {CLAIMS.name}"
        for claim, chapters in found.items()
        if claim not in {known["id"] for known in claims}
    ]
    for claim in claims:
        name = claim["id"]
        kinds = sum(found.get(name, {}).values(), Counter())
        lines += [
            f"{name}: no cell is {kind} evidence" for kind in claim["needs"] if not kinds[kind]
        ]
        for function in claim["functions"]:
            module, _, member = function.partition(".")
            if not hasattr(importlib.import_module(f"rslib.{module}"), member):
                lines.append(f"{name}: rslib has no {function}")
        for test in claim["tests"]:
            file, _, member = test.partition("::")
            if not (ROOT / file).is_file() or member not in _tests(ROOT / file):
                lines.append(f"{name}: no test {test}")
    return lines


def title(chapter: Path) -> str:
    """The heading of a chapter."""
    for cell in nbformat.read(chapter, as_version=4).cells:
        heading = re.search(r"^# (.+)$", cell.source, re.MULTILINE)
        if cell.cell_type == "markdown" and heading:
            return heading[1].strip()
    raise LedgerError(f"{chapter.name}: no heading")


def page(claims: list[dict], found: dict[str, dict[Path, Counter]]) -> str:
    """The ledger as a page of the book."""
    lines = [HEADER, "| claim | the lecture says | verdict | chapters |", "|---|---|---|---|"]
    for claim in claims:
        chapters = ", ".join(f"[{int(path.name[:2])}]({path.name})" for path in found[claim["id"]])
        lines.append(
            f"| {{ref}}`{claim['id']} <claim-{claim['id'].lower()}>` | {claim['says']} "
            f"| {VERDICTS[claim['verdict']]} | {chapters} |"
        )
    for claim in claims:
        lines += ["", f"(claim-{claim['id'].lower()})="]
        lines += [f"## {claim['id']}: {VERDICTS[claim['verdict']]}\n"]
        lines += [f"The lecture: {claim['says']}.\n", f"What holds: {claim['truth']}.\n"]
        lines += ["| chapter | evidence |", "|---|---|"]
        for chapter, kinds in found[claim["id"]].items():
            counts = ", ".join(f"{KINDS[kind]} {kinds[kind]}" for kind in KINDS if kinds[kind])
            lines.append(f"| [{title(chapter)}]({chapter.name}) | {counts} |")
        lines.append("")
        if claim["functions"]:
            names = ", ".join(f"{{py:obj}}`rslib.{function}`" for function in claim["functions"])
            lines += [f"Library: {names}", ""]
        tests = ", ".join(f"[`{test.split('::')[1]}`]({_link(test)})" for test in claim["tests"])
        lines.append(f"Tests: {tests}")
    return "\n".join(lines) + "\n"


def _link(test: str) -> str:
    """The test's line in the repository would move; its file does not."""
    repository = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]
    return f"{repository['url']}/blob/{repository['branch']}/{test.split('::')[0]}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=("write", "check"))
    command = parser.parse_args(arguments).command
    try:
        claims, found = read_claims(), evidence()
        wrong = problems(claims, found)
        if wrong:
            raise LedgerError("\n".join(wrong))
        text = page(claims, found)
        if command == "write":
            PAGE.write_text(text)
        elif not PAGE.is_file() or PAGE.read_text() != text:
            raise LedgerError(f"{PAGE.name} is out of date: run tools/ledger.py write")
    except LedgerError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
