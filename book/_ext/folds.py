"""Code and solutions as folds of the page itself, which say what they hold.

Every code cell can be folded. Those that draw a figure are folded from the start: their figure is
what a reader wants. A solution is folded below its exercise; its title opens it. All of it is
HTML's own ``details``, which needs no script, and answers to keys, touch and the search of the
page. ``course.js`` adds a switch for all code of a page, and remembers it.
"""

from html import escape

from docutils import nodes
from myst_nb.sphinx_ import HideCodeCellNode
from sphinx.application import Sphinx
from sphinx_exercise.nodes import solution_node

SWITCH = (
    '<p class="code-switch" hidden><button type="button" aria-pressed="false">Fold all code'
    "</button></p>\n"
)


class fold(nodes.General, nodes.Element):
    """Something that can be folded; its first child is the `fold_title`."""


class fold_title(nodes.General, nodes.TextElement):
    """What remains of a fold when it is closed."""


def visit_fold(self, node: fold) -> None:
    ids = f' id="{escape(node["ids"][0])}"' if node["ids"] else ""
    opened = " open" if node.get("opened") else ""
    self.body.append(f'<details class="{" ".join(node["classes"])}"{ids}{opened}>\n')


def depart_fold(self, node: fold) -> None:
    self.body.append("</details>\n")


def visit_fold_title(self, node: fold_title) -> None:
    classes = f' class="{" ".join(node["classes"])}"' if node["classes"] else ""
    self.body.append(f"<summary{classes}>")


def depart_fold_title(self, node: fold_title) -> None:
    self.body.append("</summary>\n")


def _skip(self, node: nodes.Node) -> None:
    """Other writers see what a fold holds, without its title."""


def _skip_title(self, node: nodes.Node) -> None:
    raise nodes.SkipNode


def folded(title: list[nodes.Node], what: list[nodes.Node], classes: str, opened: bool) -> fold:
    """A fold around nodes that have been taken out of their places."""
    head = fold_title("", "", *title)
    if "admonition" in classes:
        head["classes"] = ["admonition-title"]
    return fold("", head, *what, classes=classes.split(), opened=opened)


def fold_solution(solution: solution_node) -> None:
    """Put a solution into a fold, named like its exercise, without the link that it was."""
    title = solution.next_node(nodes.title)
    inside = [node.deepcopy() for node in title.children]
    plain: list[nodes.Node] = []
    for node in inside:
        plain += node.children if isinstance(node, nodes.reference) else [node]
    rest = [node for node in solution.children if node is not title]
    new = folded(plain, rest, "solution admonition", opened=False)
    solution.replace_self(new)
    # A fold has the solution's names, not its classes: these have a script of their own.
    new["classes"] = ["solution", "admonition"]


def what_it_holds(source: str, figure: str, solution: bool) -> str:
    """The title of a fold with code.

    >>> what_it_holds("plt.show()", "8.2", False)
    'Code of figure 8.2, 1 line'
    """
    count = len(source.strip().split("\n"))
    lines = f"{count} line{'' if count == 1 else 's'}"
    if solution:
        return f"Code of the solution, {lines}"
    if "google.colab" in source:
        return f"Set-up for Colab, {lines}"
    return f"Code of figure {figure}, {lines}" if figure else f"Code, {lines}"


def fold_code(cell: nodes.container, figures: dict[str, str]) -> bool:
    """Put the code of a cell into a fold; whether there was any."""
    hidden = cell.next_node(HideCodeCellNode)
    source = next((n for n in cell.findall(nodes.container) if _is(n, "cell_code_source")), None)
    if source is None:
        return False
    pictures = [*cell.findall(nodes.figure), *cell.findall(nodes.image)]
    names = [name for picture in pictures for name in picture["ids"] if name in figures]
    solution = hidden is not None and cell.get("hide_mode") == "all"
    title = what_it_holds(source.astext(), figures[names[0]] if names else "", solution)
    opened = hidden is None and not pictures
    if hidden is not None:
        # MyST-NB made it a child of the cell without making the cell its parent.
        place = next(i for i, child in enumerate(cell.children) if child is hidden)
        cell[place] = folded([nodes.Text(title)], list(hidden.children), "code-fold", opened)
    else:
        # The fold becomes the parent of what it holds: ask for the place before.
        parent, place = source.parent, source.parent.index(source)
        parent[place] = folded([nodes.Text(title)], [source], "code-fold", opened)
    return True


def _is(node: nodes.Element, element: str) -> bool:
    return node.get("nb_element") == element


def fold_page(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Make the folds of a page, and its switch if it has code."""
    if app.builder.format != "html":
        return
    for solution in list(doctree.findall(solution_node)):
        fold_solution(solution)
    numbers = app.env.toc_fignumbers.get(docname, {}).get("figure", {})
    figures = {name: ".".join(map(str, number)) for name, number in numbers.items()}
    cells = [node for node in doctree.findall(nodes.container) if _is(node, "cell_code")]
    if sum(fold_code(cell, figures) for cell in cells):
        title = doctree.next_node(nodes.title)
        place = title.parent.index(title) + 1
        title.parent.insert(place, nodes.raw("", SWITCH, format="html"))


def setup(app: Sphinx) -> dict[str, bool]:
    others = {"latex": (_skip, _skip), "text": (_skip, _skip)}
    others_title = {"latex": (_skip_title, None), "text": (_skip_title, None)}
    app.add_node(fold, html=(visit_fold, depart_fold), **others)
    app.add_node(fold_title, html=(visit_fold_title, depart_fold_title), **others_title)
    app.connect("doctree-resolved", fold_page, priority=900)
    app.add_js_file("course.js")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
