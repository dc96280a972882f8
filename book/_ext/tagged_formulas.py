r"""Formulas with a \tag in the PDF.

Sphinx wraps a displayed formula in LaTeX's `split`, where \tag is not allowed. A page of the
website and a notebook show the tag; this lets the PDF show it too.
"""

from docutils import nodes
from sphinx.application import Sphinx


def unwrap_tagged(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Put formulas with a tag into an equation of their own, outside of `split`."""
    if app.builder.format != "latex":
        return
    for node in doctree.findall(nodes.math_block):
        formula, mark, tag = node.astext().partition(r"\tag{")
        if mark and not node.get("nowrap"):
            name, _, rest = tag.partition("}")
            node["nowrap"] = True
            body = rf"\begin{{split}}{formula}{rest}\end{{split}}\tag{{{name}}}"
            node.children = [nodes.Text(rf"\begin{{equation*}}{body}\end{{equation*}}")]


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-resolved", unwrap_tagged)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
