"""The plain notebooks: nothing raw is left in them, nothing that runs is lost."""

import os
import pickle
import re

import nbformat
import notebooks
import plain
import pytest
from nbclient import NotebookClient

CHAPTERS = plain.chapters()
NAMES = [path.stem for path in CHAPTERS]


@pytest.fixture(scope="module")
def course() -> plain.Course:
    return plain.course()


def text_of(notebook: nbformat.NotebookNode) -> str:
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def codes(notebook: nbformat.NotebookNode) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", CHAPTERS, ids=NAMES)
def test_a_chapter_loses_its_markup_and_nothing_else(path, course):
    chapter = nbformat.read(path, as_version=4)
    found = plain.plain(path, course)
    nbformat.validate(found)
    text = text_of(found)
    assert not plain.RAW.search(text)
    assert "{prf" not in text and "{cite" not in text
    assert sorted(codes(found)) == sorted(codes(chapter))
    stored = [cell.outputs for cell in chapter.cells if cell.cell_type == "code"]
    kept = [cell.outputs for cell in found.cells if cell.cell_type == "code"]
    assert sum(map(len, kept)) == sum(map(len, stored)) > 0
    # Every word of the chapter's statements is there.
    for cell in chapter.cells:
        if cell.cell_type == "markdown":
            for block in plain.blocks(cell.source):
                for word in re.findall(r" ([a-z]{9,}) ", " ".join(block.lines))[:3]:
                    assert word in text, (block.kind, word)


@pytest.mark.parametrize("path", CHAPTERS, ids=NAMES)
def test_solutions_stand_at_the_end_or_nowhere(path, course):
    found = plain.plain(path, course)
    sources = [cell.source for cell in found.cells]
    end = sources.index("## Solutions")
    assert any("#### Exercise" in source for source in sources[:end])
    assert not any("#### Solution" in source for source in sources[:end])
    assert sum(source.count("#### Solution of Exercise") for source in sources[end:]) >= 4

    chapter = nbformat.read(path, as_version=4)
    whole = "\n".join(cell.source for cell in chapter.cells)
    handed_out = plain.plain(path, course, student=True)
    text = "\n".join(cell.source for cell in handed_out.cells)
    assert "#### Solution" not in text
    assert text.count("#### Exercise") == whole.count(":::{exercise}") >= 4
    # What a reader fills in stays, with its check; what the book fills in goes.
    asked = whole.count('check("') - whole.count('assert check("')
    assert text.count('check("') == asked >= 3
    assert not any("assert check(" in cell.source for cell in handed_out.cells)
    assert not any(cell.get("outputs") for cell in handed_out.cells)


def test_statements_keep_their_numbers_titles_and_formulas(course):
    text = text_of(plain.plain(plain.BOOK / "02_lipschitz.ipynb", course))
    assert "> **Definition 2.1 (Lipschitz).** Let" in text
    assert "[Theorem 1](08_theorem1.ipynb)" in text
    assert "> **The lecture slips here: " in text
    assert re.search(r"\*Figure 2\.1\.\* ", text)
    # Inside a quote a formula that spans lines would show the marks of the quote.
    for line in text.split("\n"):
        assert line.count("$$") % 2 == 0 or not line.startswith(">"), line


def test_citations_are_resolved(course):
    works = course.works
    assert plain.cite("cite:t", "cohen2019", works) == "Cohen et al. (2019)"
    assert plain.cite("cite:p", "cohen2019, lecture2023", works) == (
        "(Cohen et al. 2019; Sadeghzadeh 2023)"
    )
    listed = plain.references({"cohen2019", "bubeck"}, works)
    first, second = listed.split("\n")[2:]
    assert "Bubeck" in first and "S\u00e9bastien" in first and "\\" not in first
    assert "Certified" in second and "https://proceedings.mlr.press/v97/cohen19c.html" in second


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (":::{theorem} a\nb", "is not closed"),
        (":::{carousel} a\nb\n:::", "no plain form is known for {carousel}"),
        ("see {prf:ref}`thm-nowhere`", "nothing is labelled 'thm-nowhere'"),
        ("see {doc}`page`", "markup is left"),
    ],
)
def test_what_cannot_be_resolved_is_refused(source, message, course, tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(source)])
    nbformat.write(notebook, tmp_path / "01_made.ipynb")
    with pytest.raises(ValueError, match=re.escape(message)):
        plain.plain(tmp_path / "01_made.ipynb", course)


def test_the_command(tmp_path, capsys):
    assert plain.main(["--student", "--out", str(tmp_path / "out")]) == 0
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == [
        path.name for path in CHAPTERS
    ]
    assert "without solutions" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        plain.main(["--help"])
    assert ended.value.code == 0


@pytest.mark.slow
def test_the_numbers_are_those_of_the_book(course):
    """The build's own table of numbers, as Sphinx keeps it."""
    path = plain.ROOT / "_build" / ".doctrees" / "environment.pickle"
    assert path.is_file(), "no built book: make book"
    with open(path, "rb") as file:
        environment = pickle.load(file)
    shown = {}
    for kinds in environment.toc_fignumbers.values():
        for kind, numbers in kinds.items():
            if kind in (*plain._STATEMENTS, "figure"):
                for name, number in numbers.items():
                    shown[name] = f"{kind.capitalize()} {'.'.join(map(str, number))}"
    assert len(shown) > 100
    ours = {name: label.text for name, label in course.labels.items() if name in shown}
    assert ours == shown


# What Colab does not bring, and what is no part of an installed course. They are not found, as if
# they had never been there, in the kernel and in every process that it starts.
ABSENT = ("hypothesis", "onnx", "onnxruntime", "tests", "tools")
SITE = """
import sys
from importlib.machinery import PathFinder


class Bare(PathFinder):
    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        if fullname.partition(".")[0] in {absent}:
            return None
        return super().find_spec(fullname, path, target)


sys.meta_path[:] = [Bare if finder is PathFinder else finder for finder in sys.meta_path]
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory) -> dict[str, str]:
    """The environment of a kernel in which nothing of `ABSENT` can be imported."""
    site = tmp_path_factory.mktemp("site")
    (site / "sitecustomize.py").write_text(SITE.format(absent=ABSENT))
    paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | notebooks.RUN_ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(paths)}


def run(notebook: nbformat.NotebookNode, folder: str, environment: dict[str, str]) -> None:
    """Execute every cell in a fresh kernel; whatever a cell raises is raised."""
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=900,
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute(env=environment)


@pytest.mark.slow
def test_what_colab_lacks_is_absent(bare, tmp_path):
    tries = [f"try:\n    import {name}\nexcept ModuleNotFoundError:\n    pass\nelse:\n    raise"
             f" RuntimeError({name!r})" for name in ABSENT]  # fmt: skip
    finds = f"from importlib.util import find_spec\nassert not any(map(find_spec, {ABSENT}))"
    cells = [nbformat.v4.new_code_cell(source) for source in [*tries, finds, "import torch, rslib"]]
    run(nbformat.v4.new_notebook(cells=cells), tmp_path, bare)


@pytest.mark.slow
@pytest.mark.parametrize("path", CHAPTERS, ids=NAMES)
def test_a_plain_notebook_runs_from_a_folder_of_its_own(path, course, bare, tmp_path):
    """Where nothing of the repository is at hand but the installed library and its data."""
    run(plain.plain(path, course), tmp_path, bare)
