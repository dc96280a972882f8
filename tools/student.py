"""The chapters without their solutions, to be handed out as exercises: ``make student``.

Writes ``_build/student/NN_topic.ipynb``: no solution text, no solution code, no outputs. The checks
stay: a student is still told whether an answer is right.
"""

import sys

import nbformat
from nbformat import NotebookNode
from notebooks import BOOK, ROOT

OUT = ROOT / "_build" / "student"


def is_solution(cell: NotebookNode) -> bool:
    """Whether a cell is part of a printed solution: its text, or the folded code after it."""
    if cell.cell_type == "markdown":
        return ":::{solution}" in cell.source
    return "hide-cell" in cell.metadata.get("tags", [])


def without_solutions(notebook: NotebookNode) -> NotebookNode:
    """A copy of a chapter with neither solutions nor outputs.

    Raises
    ------
    ValueError
        If a solution shares its cell with an exercise: leaving it out would lose the exercise.
    """
    kept = []
    for cell in notebook.cells:
        if is_solution(cell):
            if ":::{exercise}" in cell.source:
                # An open exercise may stand in one cell with its solution, which comes last.
                head, _, tail = cell.source.partition(":::{solution}")
                if ":::{exercise}" in tail:
                    raise ValueError(f"an exercise follows a solution in one cell: {tail[:60]!r}")
                kept.append(nbformat.v4.new_markdown_cell(head.rstrip(), id=cell.id))
            continue
        new = nbformat.from_dict(cell)
        if cell.cell_type == "code":
            new.outputs, new.execution_count = [], None
        kept.append(new)
    return nbformat.v4.new_notebook(
        cells=kept, metadata=notebook.metadata, nbformat_minor=notebook.nbformat_minor
    )


def main() -> int:
    OUT.mkdir(parents=True, exist_ok=True)
    for path in sorted(BOOK.glob("[0-9][0-9]_*.ipynb")):
        nbformat.write(without_solutions(nbformat.read(path, as_version=4)), OUT / path.name)
    print(f"{OUT.relative_to(ROOT)}: the chapters without solutions")
    return 0


if __name__ == "__main__":
    sys.exit(main())
