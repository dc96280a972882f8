"""Edit, run and check the chapters of the book.

    notebooks.py pull 08     book/08_*.ipynb -> .drafts/08_*.py   (py:percent, to edit)
    notebooks.py push 08     .drafts/08_*.py -> book/08_*.ipynb   (outputs of unchanged cells stay)
    notebooks.py run 08      execute in a fresh kernel and store the outputs
    notebooks.py check       every stored output belongs to the code above it

Without a number, run and check take every chapter. A chapter is stored in one normal form, so
that running it twice gives the same bytes and a diff shows only what changed.
"""

import argparse
import hashlib
import json
import os
import sys
from collections import defaultdict, deque
from collections.abc import Iterable
from pathlib import Path

import nbformat
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"
DRAFTS = ROOT / ".drafts"

LONGEST_CELL, LONGEST_LINE = 30, 74  # as many as a page shows beside its contents
KEPT_CELL_METADATA = ("claim", "evidence", "mystnb", "tags")
EVIDENCE = {"symbolic", "numerical", "counterexample", "exercise", "definition"}
NOTEBOOK_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python", "pygments_lexer": "ipython3"},
}
SETTINGS = ROOT / "tools" / "chapters.env"


def settings(path: Path = SETTINGS) -> dict[str, str]:
    """What a run may depend on, as make reads it, too."""
    lines = path.read_text(encoding="utf-8").splitlines()
    pairs = (line.partition("=")[::2] for line in lines if line and not line.startswith("#"))
    return {name: value.replace("$(CURDIR)", str(ROOT)) for name, value in pairs}


RUN_ENVIRONMENT = settings()


class NotebookError(Exception):
    """A chapter cannot be found, edited or run; the message says why."""


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """The code cells of a notebook, in order."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def code_hash(notebook: NotebookNode) -> str:
    """SHA-256 of the sources of the code cells, in order."""
    sources = [cell.source for cell in code_cells(notebook)]
    return hashlib.sha256(json.dumps(sources).encode()).hexdigest()


def stored_hash(notebook: NotebookNode) -> str | None:
    """The hash of the code that the stored outputs came from, if it was ever run."""
    return notebook.metadata.get("rslib", {}).get("code_sha256")


def normalise(notebook: NotebookNode) -> NotebookNode:
    """The same notebook in the one form that is stored."""
    executed = stored_hash(notebook)
    metadata = dict(NOTEBOOK_METADATA)
    if executed is not None:
        metadata["rslib"] = {"code_sha256": executed}
    normal = nbformat.v4.new_notebook(metadata=metadata)
    normal.nbformat_minor = 5
    seen: dict[str, int] = defaultdict(int)
    for cell in notebook.cells:
        source = cell.source.strip("\n")
        if not source.strip():
            continue
        kept = {key: cell.metadata[key] for key in KEPT_CELL_METADATA if key in cell.metadata}
        new = {"cell_type": cell.cell_type, "metadata": kept, "source": source}
        if cell.cell_type == "code":
            new["execution_count"] = cell.get("execution_count")
            new["outputs"] = cell.get("outputs", [])
        # An id made of the content, not of the position: inserting a cell changes no other line.
        digest = hashlib.sha256(f"{cell.cell_type}\n{source}".encode()).hexdigest()[:12]
        new["id"] = f"{digest}-{seen[digest]}" if seen[digest] else digest
        seen[digest] += 1
        normal.cells.append(nbformat.from_dict(new))
    return normal


def serialise(notebook: NotebookNode) -> str:
    """The text of a notebook file."""
    text = nbformat.writes(notebook, indent=1, ensure_ascii=False, sort_keys=True)
    return text.rstrip("\n") + "\n"


def read(path: Path) -> NotebookNode:
    """A notebook from its file."""
    return nbformat.read(path, as_version=4)


def write(path: Path, notebook: NotebookNode) -> None:
    """Store a notebook in its normal form, at once or not at all."""
    nbformat.validate(notebook)
    temporary = path.with_suffix(".ipynb.tmp")
    temporary.write_text(serialise(notebook), encoding="utf-8")
    os.replace(temporary, path)


def pull(path: Path, draft: Path, force: bool = False) -> None:
    """Write a chapter as a py:percent script, to edit."""
    import jupytext

    notebook = normalise(read(path))
    notebook.metadata = nbformat.from_dict(
        {"jupytext": {"cell_metadata_filter": "all", "notebook_metadata_filter": "-all"}}
    )
    text = jupytext.writes(notebook, fmt="py:percent")
    newer = draft.exists() and draft.stat().st_mtime > path.stat().st_mtime
    if newer and not force and draft.read_text(encoding="utf-8") != text:
        raise NotebookError(f"{draft} has edits that were not pushed; push, or pull --force")
    draft.parent.mkdir(exist_ok=True)
    draft.write_text(text, encoding="utf-8")


def push(draft: Path, path: Path) -> None:
    """Take the cells from a script; a code cell that did not change keeps its outputs."""
    import jupytext

    notebook = jupytext.read(draft, fmt="py:percent")
    for number, cell in enumerate(notebook.cells, 1):
        # jupytext itself adds the key for blank lines between cells.
        unknown = set(cell.metadata) - {*KEPT_CELL_METADATA, "lines_to_next_cell"}
        if unknown:
            raise NotebookError(f"{draft}: cell {number} has unknown metadata {sorted(unknown)}")
    known: dict[str, deque[NotebookNode]] = defaultdict(deque)
    executed = None
    if path.exists():
        before = read(path)
        executed = stored_hash(before)
        for cell in code_cells(before):
            known[cell.source].append(cell)
    notebook.metadata = nbformat.from_dict({"rslib": {"code_sha256": executed}} if executed else {})
    for cell in code_cells(notebook):
        if known[cell.source.strip("\n")]:
            old = known[cell.source.strip("\n")].popleft()
            cell.outputs, cell.execution_count = old.outputs, old.execution_count
    write(path, normalise(notebook))


def run(path: Path, timeout: int = 900) -> None:
    """Execute a chapter from its top in a fresh kernel and store what it printed."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    os.environ.update(RUN_ENVIRONMENT)
    notebook = normalise(read(path))
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=timeout,
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(path.parent)}},
    )
    try:
        client.execute()
    except CellExecutionError as error:
        raise NotebookError(f"{path.name}: {error}") from None
    notebook.metadata = nbformat.from_dict({"rslib": {"code_sha256": code_hash(notebook)}})
    write(path, normalise(notebook))


def problems(path: Path) -> list[str]:
    """What is wrong with a stored chapter; an empty list when it is as it was executed."""
    notebook = read(path)
    found = []
    if stored_hash(notebook) != code_hash(notebook):
        found.append("its code changed since it was executed")
    if path.read_text(encoding="utf-8") != serialise(normalise(notebook)):
        found.append("it is not in normal form")
    cells = code_cells(notebook)
    if [cell.execution_count for cell in cells] != list(range(1, len(cells) + 1)):
        found.append("its code cells were not executed once each, in order")
    if not any(cell.outputs for cell in cells):
        found.append("it has no outputs")
    for number, cell in enumerate(cells, 1):
        where = f"code cell {number}"
        length = len(cell.source.splitlines())
        if length > LONGEST_CELL:
            found.append(f"{where} has {length} lines, more than {LONGEST_CELL}")
        widest = max(map(len, cell.source.splitlines()), default=0)
        if widest > LONGEST_LINE:
            found.append(f"{where} has a line of {widest} characters, more than {LONGEST_LINE}")
        expected = "raises-exception" in cell.metadata.get("tags", [])
        if not expected and any(output.output_type == "error" for output in cell.outputs):
            found.append(f"{where} ended in an error")
        found += [f"{where} {problem}" for problem in evidence_problems(cell)]
    return found


def evidence_problems(cell: NotebookNode) -> list[str]:
    """What is wrong with a cell that says it is evidence for a claim of the lecture."""
    claim, evidence = cell.metadata.get("claim"), cell.metadata.get("evidence")
    if claim is None and evidence is None:
        return []
    found = []
    if not (isinstance(claim, list) and claim and all(isinstance(name, str) for name in claim)):
        found.append(f"needs a list of claims, has {claim!r}")
    if evidence not in EVIDENCE:
        found.append(f"has evidence {evidence!r}, not one of {', '.join(sorted(EVIDENCE))}")
    if "assert" not in cell.source and "check(" not in cell.source:
        found.append("is evidence for a claim and asserts nothing")
    return found


def named(names: Iterable[str], folder: Path, suffix: str) -> list[Path]:
    """The files of a folder that names ("08", "08_theorem1", a path) stand for."""
    every = sorted(folder.glob(f"*{suffix}"))
    found = []
    for name in names:
        stem = Path(name).stem
        matches = [path for path in every if path.stem == stem or path.stem.startswith(f"{stem}_")]
        if len(matches) != 1:
            raise NotebookError(f"{name!r} stands for {len(matches)} files of {folder.name}/")
        found += matches
    return found


def chapters(names: Iterable[str]) -> list[Path]:
    """The chapters that names stand for; all without a name."""
    return named(names, BOOK, ".ipynb") if names else sorted(BOOK.glob("*.ipynb"))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for command, least in (("pull", "+"), ("push", "+"), ("run", "*"), ("check", "*")):
        sub = commands.add_parser(command)
        sub.add_argument("chapter", nargs=least, help='for example "08"')
        if command == "pull":
            sub.add_argument("--force", action="store_true", help="overwrite an edited draft")
    options = parser.parse_args(arguments)

    try:
        if options.command == "pull":
            for path in chapters(options.chapter):
                pull(path, DRAFTS / f"{path.stem}.py", options.force)
        elif options.command == "push":
            for draft in named(options.chapter, DRAFTS, ".py"):
                push(draft, BOOK / f"{draft.stem}.ipynb")
        elif options.command == "run":
            for path in chapters(options.chapter):
                print(f"running {path.name}", flush=True)
                run(path)
        else:
            paths = chapters(options.chapter)
            found = [f"{path.name}: {problem}" for path in paths for problem in problems(path)]
            print("\n".join(found) or f"{len(paths)} chapters are as they were executed")
            return 1 if found else 0
    except NotebookError as error:
        print(f"notebooks: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
