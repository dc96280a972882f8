"""The project's own tools: chapters, links, comparison with committed certificates."""

import os
import types
from decimal import Decimal
from pathlib import Path

import linkcheck
import nbformat
import notebooks
import pytest
import recertify
import tagged_formulas
from docutils import nodes, utils

from rslib.records import Row

DRAFT = """\
# %% [markdown]
# # A chapter
#
# :::{prf:theorem} One
# :label: thm-one
# $1 + 1 = 2$
# :::

# %% tags=["hide-input"]
import sys

if "google.colab" in sys.modules:
    # %pip install -q something

# %% claim=["T1"] evidence="numerical"
import matplotlib.pyplot as plt

assert 1 + 1 == 2
print("sum", 1 + 1)

# %% mystnb={"figure": {"caption": "A line", "name": "fig-line"}, "image": {"alt": "rises"}}
plt.plot([1, 2])
plt.show()

# %%
{1: sorted({"b", "a"})}
"""


@pytest.fixture
def book(tmp_path: Path) -> tuple[Path, Path]:
    """A draft and the chapter made of it, not yet run."""
    draft, chapter = tmp_path / "08_one.py", tmp_path / "08_one.ipynb"
    draft.write_text(DRAFT)
    notebooks.push(draft, chapter)
    return draft, chapter


def pretend_to_run(chapter: Path) -> None:
    """Store outputs and the hash of the code as a run would, without a kernel."""
    notebook = notebooks.read(chapter)
    for number, cell in enumerate(notebooks.code_cells(notebook), 1):
        cell.execution_count = number
        cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=f"cell {number}\n")]
    notebook.metadata["rslib"] = {"code_sha256": notebooks.code_hash(notebook)}
    notebooks.write(chapter, notebooks.normalise(notebook))


def test_running_twice_gives_the_same_bytes(book):
    _, chapter = book
    notebooks.run(chapter)
    first = chapter.read_bytes()
    notebooks.run(chapter)
    assert chapter.read_bytes() == first
    assert notebooks.problems(chapter) == []
    outputs = [cell.outputs for cell in notebooks.code_cells(notebooks.read(chapter))]
    assert outputs[1][0].text == "sum 2\n"
    assert outputs[2][0].data["image/png"]
    assert outputs[3][0].data["text/plain"] == "{1: ['a', 'b']}"


def test_a_chapter_that_raises_is_not_stored(book):
    draft, chapter = book
    draft.write_text(DRAFT.replace("1 + 1 == 2", "1 + 1 == 3"))
    notebooks.push(draft, chapter)
    before = chapter.read_bytes()
    with pytest.raises(notebooks.NotebookError, match="AssertionError"):
        notebooks.run(chapter)
    assert chapter.read_bytes() == before


def test_metadata_and_magics_survive_the_round_trip(book):
    draft, chapter = book
    cells = notebooks.code_cells(notebooks.read(chapter))
    assert cells[0].metadata == {"tags": ["hide-input"]}
    assert cells[0].source.endswith("    %pip install -q something")
    assert cells[1].metadata == {"claim": ["T1"], "evidence": "numerical"}
    assert cells[2].metadata["mystnb"]["figure"]["name"] == "fig-line"
    before = chapter.read_bytes()
    draft.unlink()
    notebooks.pull(chapter, draft)
    assert draft.read_text() == DRAFT
    notebooks.push(draft, chapter)
    assert chapter.read_bytes() == before


def test_push_keeps_the_outputs_of_unchanged_cells_only(book):
    draft, chapter = book
    pretend_to_run(chapter)
    draft.write_text(DRAFT.replace('print("sum"', 'print("total"').replace("# A ch", "# The ch"))
    notebooks.push(draft, chapter)
    kept = [bool(cell.outputs) for cell in notebooks.code_cells(notebooks.read(chapter))]
    assert kept == [True, False, True, True]
    assert "its code changed since it was executed" in notebooks.problems(chapter)


def test_changed_text_needs_no_run(book):
    draft, chapter = book
    pretend_to_run(chapter)
    draft.write_text(DRAFT.replace("# # A chapter", "# # Another title"))
    notebooks.push(draft, chapter)
    assert notebooks.problems(chapter) == []
    assert "Another title" in chapter.read_text()


def test_push_refuses_metadata_that_nobody_reads(book):
    draft, chapter = book
    draft.write_text(DRAFT.replace("claim=", "clam="))
    with pytest.raises(notebooks.NotebookError, match="clam"):
        notebooks.push(draft, chapter)


def test_pull_does_not_overwrite_edits(book):
    draft, chapter = book
    draft.write_text(DRAFT + "\n# %%\nedited = True\n")
    stat = chapter.stat()
    os.utime(draft, ns=(stat.st_mtime_ns + 10**9, stat.st_mtime_ns + 10**9))
    with pytest.raises(notebooks.NotebookError, match="not pushed"):
        notebooks.pull(chapter, draft)
    assert "edited" in draft.read_text()
    notebooks.pull(chapter, draft, force=True)
    assert "edited" not in draft.read_text()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda cells: cells[1].update(source="assert True"), "its code changed"),
        (lambda cells: cells[1].update(execution_count=7), "in order"),
        (lambda cells: cells[1].metadata.update(collapsed=True), "not in normal form"),
        (lambda cells: cells[1].metadata.update(evidence="faith"), "evidence 'faith'"),
        (lambda cells: cells[1].metadata.update(claim="T1"), "needs a list of claims"),
        (lambda cells: cells[0].metadata.update(claim=["T1"]), "asserts nothing"),
        (lambda cells: cells[0].update(source="x = 1\n" * 31), "has 31 lines"),
        (lambda cells: [cell.update(outputs=[]) for cell in cells], "no outputs"),
        (
            lambda cells: cells[1].update(
                outputs=[nbformat.v4.new_output("error", ename="E", evalue="", traceback=[])]
            ),
            "ended in an error",
        ),
    ],
)
def test_check_finds(book, change, problem):
    _, chapter = book
    pretend_to_run(chapter)
    assert notebooks.problems(chapter) == []
    notebook = notebooks.read(chapter)
    change(notebooks.code_cells(notebook))
    chapter.write_text(notebooks.serialise(notebook))
    assert any(problem in found for found in notebooks.problems(chapter))


def test_ids_do_not_depend_on_the_position(book):
    draft, chapter = book
    ids = [cell.id for cell in notebooks.read(chapter).cells]
    draft.write_text("# %%\nfirst = 1\n\n" + DRAFT + "\n# %%\nfirst = 1\n")
    notebooks.push(draft, chapter)
    more = [cell.id for cell in notebooks.read(chapter).cells]
    assert more[1:-1] == ids
    assert len(set(more)) == len(more)


def test_unknown_chapters_are_refused(capsys):
    assert notebooks.main(["run", "99"]) == 2
    assert "99" in capsys.readouterr().err


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "book").mkdir()
    (tmp_path / "index.html").write_text('<a href="book/one.html#here">one</a>')
    (tmp_path / "book/one.html").write_text(
        '<h1 id="here">One</h1><a href="#here">x</a><a href="../index.html">y</a>'
        '<a href="https://example.org/gone">z</a>'
    )
    return tmp_path


def test_links_that_lead_somewhere_pass(site, capsys):
    assert linkcheck.broken_links(site) == ([], 3, 1)
    assert linkcheck.main([str(site)]) == 0


@pytest.mark.parametrize(
    "link", ["book/two.html", "book/one.html#there", "#there", "../outside.html", "fig.png"]
)
def test_links_that_lead_nowhere_fail(site, link, capsys):
    (site / "new.html").write_text(f'<img src="{link}"><a href="{link}">x</a>')
    linkcheck.read_page.cache_clear()
    assert linkcheck.main([str(site)]) == 1
    assert f"for {link}" in capsys.readouterr().out


def test_an_empty_site_fails(tmp_path, capsys):
    assert linkcheck.main([str(tmp_path)]) == 1


def row(idx: int = 0, label: int = 3, predict: int = 3, **estimation: int) -> Row:
    counts = {int(name[1:]): count for name, count in estimation.items()}
    return Row(idx, label, predict, Decimal(1), label == predict, 0.1, {predict: 100}, counts)


def test_recertify_accepts_equal_labels_and_counts_within_a_thousandth():
    stored = [row(0, c3=99_500, c5=500), row(25, c3=100_000)]
    fresh = [row(0, c3=99_400, c5=600), row(25, c3=99_900, c7=100)]
    assert recertify.differences(fresh, stored, 100_000) == []


@pytest.mark.parametrize(
    ("fresh", "problem"),
    [
        ([row(0, c3=99_399, c5=601)], "class 3 counted 99399"),
        ([row(0, c3=99_500, c5=399, c6=101)], "class 6 counted 101, committed 0"),
        ([row(0, predict=-1, c3=99_500, c5=500)], "predicted -1"),
        ([row(1, c3=99_500, c5=500)], "example 1: not in the committed file"),
        ([], "no example"),
    ],
)
def test_recertify_finds(fresh, problem):
    found = recertify.differences(fresh, [row(0, c3=99_500, c5=500)], 100_000)
    assert problem in "\n".join(found)


def typeset(formula: str, format: str) -> nodes.math_block:
    """A displayed formula as it reaches the writer of that format."""
    document = utils.new_document("page")
    document += nodes.math_block("", formula)
    builder = types.SimpleNamespace(format=format)
    tagged_formulas.unwrap_tagged(types.SimpleNamespace(builder=builder), document, "page")
    return document[0]


def test_a_tagged_formula_leaves_split_in_the_pdf_only():
    node = typeset(r"a = b \tag{1}", "latex")
    assert node["nowrap"]
    assert node.astext() == (
        r"\begin{equation*}\begin{split}a = b \end{split}\tag{1}\end{equation*}"
    )
    assert typeset(r"a = b \tag{1}", "html").astext() == r"a = b \tag{1}"
    assert not typeset("a = b", "latex").get("nowrap")
