"""The project's own tools: chapters, links, comparison with committed certificates, the pages."""

import importlib
import os
import re
import subprocess
import sys
import types
from decimal import Decimal
from pathlib import Path

import finished_pages
import folds
import linkcheck
import nbformat
import notebooks
import paper
import pytest
import readable_lists
import recertify
import repository
import small_icons
import tagged_formulas
from docutils import nodes, utils
from pybtex.database import parse_string
from sphinx_exercise.nodes import solution_node

from rslib import interactive
from rslib.records import Row

ROOT = Path(__file__).resolve().parent.parent
TOOLS = sorted(path.stem for path in (ROOT / "tools").glob("*.py"))

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


@pytest.mark.parametrize("name", TOOLS)
def test_every_tool_has_help_and_refuses_what_it_does_not_know(name, capsys):
    tool = importlib.import_module(name)
    with pytest.raises(SystemExit, match=r"^0$"):
        tool.main(["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert shown.startswith("usage: ")
    assert " ".join(tool.__doc__.split("\n")[0].split()) in shown
    with pytest.raises(SystemExit, match=r"^2$"):
        tool.main(["--no-such-option"])
    assert "usage: " in capsys.readouterr().err


def test_make_and_the_tools_run_chapters_with_the_same_settings():
    show = ["make", "--no-print-directory", "--eval", "show: ; @env", "show"]
    hostile = os.environ | dict.fromkeys(notebooks.RUN_ENVIRONMENT, "other")
    shown = subprocess.run(show, cwd=ROOT, env=hostile, capture_output=True, text=True, check=True)
    exported = dict(line.partition("=")[::2] for line in shown.stdout.splitlines())
    assert len(notebooks.RUN_ENVIRONMENT) >= 5
    for name, value in notebooks.RUN_ENVIRONMENT.items():
        assert exported[name] == value, name


@pytest.mark.slow
def test_chapters_do_not_depend_on_the_users_settings(tmp_path):
    """The same chapter fails with the user's own settings, so these would matter."""
    chapter = tmp_path / "01_made.ipynb"
    source = ["x = 1\nx\nx + 1", "import matplotlib.pyplot as plt\nplt.plot([1])\nplt.show()"]
    cells = [nbformat.v4.new_code_cell(text) for text in source]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), chapter)
    notebooks.run(chapter)
    profile = tmp_path / "home/.ipython/profile_default"
    profile.mkdir(parents=True)
    every = 'c = get_config()\nc.InteractiveShell.ast_node_interactivity = "all"\n'
    (profile / "ipython_config.py").write_text(every)
    hostile = os.environ | {"HOME": str(tmp_path / "home"), "MPLBACKEND": "Agg"}
    hostile.pop("IPYTHONDIR", None)
    command = [sys.executable, "-m", "pytest", "-q", "--nbval", "--nbval-current-env"]
    command += ["-p", "no:cacheprovider", "-c", os.devnull, str(chapter)]

    def passes(environment: dict[str, str]) -> bool:
        ended = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True)
        return ended.returncode == 0

    assert not passes(hostile)
    assert passes(hostile | notebooks.RUN_ENVIRONMENT)


HOME = "https://github.com/somebody-else/their.course"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository with the files of this one that name its address."""
    old = repository.current(ROOT)
    for path in repository.files(ROOT):
        if path.suffix == ".ipynb" and not path.name.startswith(("05", "12")):
            continue  # one with tests named in its text, one without, stand for all
        text = path.read_bytes().decode("utf-8")
        if any(form in text for form in repository.forms(old)) or path.name == "_config.yml":
            copy = tmp_path / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    return tmp_path


def test_another_home_is_named_everywhere(clone, capsys):
    old = repository.current(ROOT)
    before = {path: path.read_bytes() for path in repository.files(clone)}
    assert len(before) >= 8
    assert repository.main([HOME + ".git", "--root", str(clone)]) == 0
    assert f"{len(before)} files now name {HOME}" in capsys.readouterr().out
    for path in repository.files(clone):
        text = path.read_text(encoding="utf-8")
        assert not [form for form in repository.forms(old) if form in text], path
        assert any(form in text for form in repository.forms(HOME)), path
        if path.suffix == ".ipynb":
            assert notebooks.problems(path) == []
    # The pattern of a test follows, and matches.
    pattern = (clone / "tests/exercises/test_ch12.py").read_text()
    assert repository.forms(HOME)[1] in pattern
    assert repository.main([HOME, "--root", str(clone)]) == 0
    assert "already" in capsys.readouterr().out
    assert repository.main([old, "--root", str(clone)]) == 0
    assert {path: path.read_bytes() for path in repository.files(clone)} == before


def test_an_address_of_another_form_is_refused(clone, capsys):
    with pytest.raises(SystemExit, match="2"):
        repository.main(["git@github.com:you/course", "--root", str(clone)])
    assert "https://github.com/OWNER/NAME" in capsys.readouterr().err


def test_another_repository_whose_name_begins_alike_stays():
    text = "https://github.com/a/b https://github.com/a/b-two https://github.com/a/b/issues"
    assert repository.replaced(text, "https://github.com/a/b", "https://github.com/c/d") == (
        "https://github.com/c/d https://github.com/a/b-two https://github.com/c/d/issues"
    )


@pytest.mark.parametrize(
    ("source", "figure", "solution", "title"),
    [
        ("x = 1\ny = 2\n", "", False, "Code, 2 lines"),
        ("plt.show()", "8.2", False, "Code of figure 8.2, 1 line"),
        ("x = 1", "", True, "Code of the solution, 1 line"),
        ('if "google.colab" in sys.modules:\n    pass', "", False, "Set-up for Colab, 2 lines"),
    ],
)
def test_a_fold_says_what_it_holds(source, figure, solution, title):
    assert folds.what_it_holds(source, figure, solution) == title


def test_a_picture_has_its_size_and_is_a_link_to_itself():
    body = '<img alt="a rise" src="../_images/a.png" /><a href="#x"><img src="_images/b.png"/></a>'
    assert finished_pages.enlargeable(body, {"a.png": (640, 480)}) == (
        '<a class="enlarge" href="../_images/a.png"><img alt="a rise" src="../_images/a.png" '
        'width="640" height="480" loading="lazy"/></a>'
        '<a href="#x"><img  src="_images/b.png" loading="lazy"/></a>'
    )


def test_the_size_of_a_picture_is_read_from_its_file(tmp_path):
    from PIL import Image

    Image.new("RGB", (7, 5)).save(tmp_path / "a.png")
    assert finished_pages.size(tmp_path / "a.png") == (7, 5)
    assert finished_pages.size(tmp_path / "b.png") is None


def test_a_preview_escapes_what_it_shows_and_is_cut_after_a_word():
    head = finished_pages.previews('Is "p < 1"?', "text", "https://a.b/c.html", "", "")
    assert '<meta property="og:title" content="Is &quot;p &lt; 1&quot;?"/>' in head
    assert "og:image" not in head
    text = finished_pages.shortened("word " * 100)
    assert len(text) <= finished_pages.LONGEST + 2 and text.endswith("word …")


def test_a_theme_that_changed_is_noticed(monkeypatch):
    said = []
    monkeypatch.setattr(finished_pages.logger, "warning", lambda *text: said.append(text))
    finished_pages.finish("<p>another theme</p>")
    assert len(said) == len(finished_pages.REPLACED)


def test_icons_that_no_page_shows_are_left_out():
    original = (
        '@font-face{font-family:"F";src:url(f.woff2)}.fa-a:before,.fa-b:before{content:"\\f001"}'
        '.fa-c:before{content:"\\f002"}.fas{font-weight:900}'
    )
    assert small_icons.sheet(original, {"fa-b"}) == (
        '.fa-a:before,.fa-b:before{content:"\\f001"}.fas{font-weight:900}',
        {"f001"},
    )


def test_works_are_labelled_as_they_are_cited():
    works = parse_string(
        """
        @misc{a, author={Lee, Ann and Poe, Bob and Roe, Cy}, year=2019, title={One}}
        @misc{b, author={Lee, Ann and Poe, Bob}, year=2019, title={Two}}
        @misc{c, author={Lee, Ann and Poe, Bob}, year=2019, title={Three}}
        @misc{d, author={M{\\"u}ller, Eva}, title={Four}}
        """,
        "bibtex",
    )
    labels = readable_lists.AuthorYearLabels().format_labels(list(works.entries.values()))
    assert list(labels) == [
        "Lee et al., 2019",
        "Lee and Poe, 2019a",
        "Lee and Poe, 2019b",
        "Müller, n.d.",
    ]


def table(*rows: tuple[str, ...]) -> nodes.table:
    group = nodes.tgroup("", cols=len(rows[0]))
    group += [nodes.colspec(colwidth=1) for _ in rows[0]]
    body = nodes.tbody()
    for row in rows:
        body += nodes.row("", *(nodes.entry("", nodes.paragraph("", cell)) for cell in row))
    group += body
    return nodes.table("", group)


def test_a_table_that_is_wider_than_paper_gets_widths():
    wide = table(("T1", "word " * 30, "true"), ("T2", "word " * 20, "true but loose"))
    paper.set_widths(wide)
    widths = [column["colwidth"] for column in wide.findall(nodes.colspec)]
    assert widths[1] > 3 * widths[2] >= widths[0] > 0
    assert {"colwidths-given", "longtable"} <= set(wide["classes"])
    narrow = table(("a", "b"), ("c", "d"))
    paper.set_widths(narrow)
    assert not narrow["classes"]


def test_solutions_move_to_the_end_with_their_code():
    document = utils.new_document("book")
    code = nodes.container("", nodes.literal_block("", "x = 1"), solution_code=True)
    other = nodes.container("", nodes.literal_block("", "y = 2"))
    solution = solution_node("", nodes.title("", "Solution to 8.1"), nodes.paragraph("", "easy"))
    section = nodes.section("", nodes.title("", "Theorem 1"), solution, code, other)
    document += section
    found = paper.gather_solutions(document)
    assert found[-2:] == [solution, code]
    assert "Theorem 1" in found[1].astext()
    assert section.children[-1] is other
    left = section.children[1].astext()
    (label,) = re.findall(r"pageref\{(.*?)\}", left)
    assert f"label{{{label}}}" in found[2].astext()


def test_an_interactive_figure_becomes_a_link_and_its_picture_if_it_has_one():
    moving = interactive.bent_scale().html

    def output(*kinds: str) -> nodes.document:
        document = utils.new_document("book/08_theorem1.ipynb")
        kept = [nodes.container("", nodes.Text(moving), mime_type=kind) for kind in kinds]
        document += nodes.container("", *kept, nb_element="mime_bundle")
        theme = {"repository_url": "https://github.com/somebody/course"}
        app = types.SimpleNamespace(config=types.SimpleNamespace(html_theme_options=theme))
        document.settings.env = types.SimpleNamespace(
            path2doc=lambda path: path.removesuffix(".ipynb"), app=app
        )
        paper.LinkInteractiveFigures(document).run()
        return document

    for kinds, pictures in ((["text/html", "text/plain"], 0), (["text/html", "image/png"], 1)):
        document = output(*kinds)
        (link,) = document.findall(nodes.reference)
        assert link["refuri"] == "https://somebody.github.io/course/book/08_theorem1.html"
        assert len(list(document.findall(nodes.container))) == 3 * pictures
    assert not list(output("image/png").findall(nodes.reference))


def test_a_page_is_described_by_its_question():
    page = utils.new_document("page")
    question = nodes.paragraph("", "", nodes.strong("", "The question."))
    question += [nodes.Text(" How much of the factor "), nodes.math("", r"\sqrt d")]
    question += [nodes.Text(" is real, and how much is lost on the way?")]
    page += nodes.section("", nodes.title("", "T"), nodes.paragraph("", "Short."), question)
    assert finished_pages.description(page) == (
        "How much of the factor √d is real, and how much is lost on the way?"
    )


def test_lists_and_tables_say_what_they_are():
    body = '<div role="doc-biblioentry">a</div><th class="head"><p></p></th><th class="head">b</th>'
    body += '<code><span class="pre">a_name</span></code>'
    assert finished_pages.mend_body(body) == (
        '<div role="listitem">a</div><td></td><th class="head">b</th><code>a_name</code>'
    )


def test_only_pages_with_cards_load_their_style(monkeypatch):
    monkeypatch.setattr(finished_pages, "REPLACED", [])
    head = (
        '<link rel="stylesheet" href="../_static/sphinx-design.min.css?v=6a"/><script data-a="b" '
    )
    head += 'src="../_static/design-tabs.js?v=f"></script>'
    assert finished_pages.finish(f"{head}<p>text</p>") == "<p>text</p>"
    assert finished_pages.finish(f'{head}<p class="sd-row">') == f'{head}<p class="sd-row">'
    cells = '<link href="../_static/mystnb.0f1e.css" />'
    assert cells not in finished_pages.finish(f"{head}{cells}<p>")
    assert cells in finished_pages.finish(f'{head}{cells}<div class="cell docutils">')
