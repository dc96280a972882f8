"""What paper needs otherwise than a page: the PDF's title page, numbers, tables and solutions.

- Chapters have the numbers of the text: the refresher before chapter 1 is 0. A4; the title page
  has the version and the licence.
- A table's columns get widths from what is in them, so that no table leaves the page.
- Solutions stand at the end, each with its code; below an exercise stands the page.
- An interactive figure is its picture, if it has one, and a link to the page where it moves.
"""

import tomllib
from pathlib import Path

import plain_notebooks
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.texescape import escape
from sphinx_exercise.nodes import solution_node

LICENCE = "Text and figures CC BY 4.0, code MIT"
#: Characters that a line of a table holds, and the most that count of one column.
LINE, WIDEST = 85, 60


# --------------------------------------------------------------------------------- title page


def set_up_title_page(app: Sphinx, config: Config) -> None:
    """The paper, the numbers of the chapters and the licence."""
    config.latex_elements = {
        **config.latex_elements,
        "papersize": "a4paper",
        "releasename": "Version",
        "preamble": config.latex_elements.get("preamble", "")
        + rf"""
\AtBeginDocument{{%
  \setcounter{{chapter}}{{-1}}%
  \date{{\copyright{{}} {config.copyright} \\ {LICENCE}}}%
}}
% Names may break after their underscores.
\AtBeginDocument{{\let\unbroken\_\protected\def\_{{\unbroken\allowbreak}}}}
% The class makes the text wider than its margins leave room for on A4.
\usepackage{{geometry}}
\geometry{{a4paper, textwidth=16.5cm, textheight=24cm, centering}}
""",
    }


def set_version(app: Sphinx) -> None:
    """The version of pyproject.toml, on the title page: a web page would repeat it everywhere."""
    if app.builder.name == "latex":
        project = tomllib.loads(Path(app.confdir, "pyproject.toml").read_text())["project"]
        app.builder.context["release"] = project["version"]


# ------------------------------------------------------------------------------------- tables


def widths(columns: list[list[str]]) -> list[int] | None:
    """Widths in proportion to what is in the columns; None if all fits on a line as it is.

    >>> widths([["a", "b"], ["c", "d"]]) is None
    True
    """
    longest = [max(map(len, cells), default=1) for cells in columns]
    if sum(longest) <= LINE:
        return None
    mean = [sum(map(len, cells)) / max(1, len(cells)) for cells in columns]
    word = [max((len(w) for c in cells for w in c.split()), default=1) for cells in columns]
    return [
        max(8, min(WIDEST, round(m * 1.2)), min(w + 1, WIDEST // 2))
        for m, w in zip(mean, word, strict=True)
    ]


def column_widths(table: nodes.table) -> list[int] | None:
    """`widths` of a table; None, too, if cells span columns."""
    group = table.next_node(nodes.tgroup)
    rows = [row.children for row in group.findall(nodes.row)]
    if any(len(row) != group["cols"] for row in rows):
        return None
    return widths([[entry.astext() for entry in column] for column in zip(*rows, strict=True)])


def set_widths(table: nodes.table) -> None:
    """Give the columns of one table their widths, and let it break between pages."""
    found = column_widths(table)
    if found is None:
        return
    for column, width in zip(table.findall(nodes.colspec), found, strict=True):
        column["colwidth"] = width
    table["classes"] = [*table["classes"], "colwidths-given", "longtable"]


# ----------------------------------------------------------------------------------- solutions


class KeepSolutionCode(SphinxPostTransform):
    """The code below a solution goes with it; the LaTeX writer would drop what a page folds."""

    default_priority = 399
    formats = ("latex",)

    def run(self, **kwargs: object) -> None:
        for cell in list(self.document.findall(nodes.container)):
            if "tag_hide-cell" in cell["classes"]:
                cell["classes"].remove("tag_hide-cell")
                cell["solution_code"] = True


def raw(text: str) -> nodes.raw:
    return nodes.raw("", text, format="latex")


def gather_solutions(doctree: nodes.document) -> list[nodes.Node]:
    """Take the solutions out of the text, and give them as they stand at the end."""
    found: list[nodes.Node] = []
    chapter, number = None, 0
    for solution in list(doctree.findall(solution_node)):
        number += 1
        place, siblings = solution.parent.index(solution), solution.parent
        code = []
        while place + 1 < len(siblings) and _is_solution_code(siblings[place + 1]):
            code.append(siblings.pop(place + 1))
        home = _chapter(solution)
        if home is not chapter:
            chapter = home
            found.append(raw(rf"\section*{{{escape(home.next_node(nodes.title).astext())}}}"))
        solution.replace_self(
            nodes.paragraph("", "", raw(rf"\emph{{Solution: page~\pageref{{solution-{number}}}.}}"))
        )
        found += [raw(rf"\phantomsection\label{{solution-{number}}}"), solution, *code]
    if found:
        head = r"\chapter*{Solutions}\addcontentsline{toc}{chapter}{Solutions}"
        found.insert(0, raw(head))
    return found


def _is_solution_code(node: nodes.Node) -> bool:
    return isinstance(node, nodes.container) and bool(node.get("solution_code"))


def _chapter(node: nodes.Node) -> nodes.section:
    """The outermost section of the page that a node is on."""
    section = None
    while node.parent is not None and node.tagname != "start_of_file":
        section = node if isinstance(node, nodes.section) else section
        node = node.parent
    return section


# -------------------------------------------------------------------------- interactive figures


# What the HTML of every figure of `rslib.interactive` begins with.
MOVES = '<figure class="rsi"'


class LinkInteractiveFigures(SphinxPostTransform):
    """Below a figure that moves on the page: where that is.

    If the output holds a picture beside its HTML, the writer shows the picture.
    """

    default_priority = 3  # before one kind of output is chosen
    formats = ("latex",)

    def run(self, **kwargs: object) -> None:
        repository = self.app.config.html_theme_options["repository_url"]
        site = plain_notebooks.tool().site_address(repository)
        for bundle in list(self.document.findall(nodes.container)):
            if bundle.get("nb_element") != "mime_bundle":
                continue
            kinds = {child["mime_type"]: child for child in bundle.children}
            if "text/html" not in kinds or MOVES not in kinds["text/html"].astext():
                continue
            link = f"{site}/{self.env.path2doc(page_of(bundle))}.html"
            text = nodes.paragraph("", "Interactive on the page: ")
            text += nodes.reference("", link, refuri=link)
            bundle.parent.insert(bundle.parent.index(bundle) + 1, text)
            if not set(kinds) & {"image/png", "image/jpeg", "application/pdf"}:
                bundle.parent.remove(bundle)


def page_of(node: nodes.Node) -> str:
    """The file of the page that a node came from: pages keep their own roots in the whole."""
    while node.parent is not None:
        node = node.parent
    return node["source"]


def rearrange(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Tables that fit, and solutions at the end, before the works."""
    if app.builder.format != "latex":
        return
    for table in doctree.findall(nodes.table):
        set_widths(table)
    doctree.extend(gather_solutions(doctree))


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", set_up_title_page, priority=100)
    app.connect("builder-inited", set_version, priority=100)
    app.connect("doctree-resolved", rearrange, priority=950)
    app.add_post_transform(KeepSolutionCode)
    app.add_post_transform(LinkInteractiveFigures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
