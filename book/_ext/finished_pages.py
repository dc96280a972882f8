"""What the theme leaves undone on a page: weight, landmarks, roles, and what a link to it shows.

- The icons come from a font, so the script of 1.45 MB that draws them again is left out.
- Everything on the page lies in a landmark, and a list of works consists of list items.
- A figure says how large it is before it is there, is loaded when it comes near, and is a link to
  itself at full size; ``course.js`` opens that in place.
- A link to the page, shared elsewhere, has a description and a picture.

A change of the theme that these no longer fit is a warning, and a warning fails the build.
"""

import re
import struct
from html import escape
from pathlib import Path
from urllib.parse import quote

import paper
import plain_notebooks
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)

LONGEST = 200  # characters of a description
LONG_CELL = 20  # characters of a table's cell, on average, that make it one of texts
#: Whose figure stands for pages that have none.
FACE = "book/08_theorem1"
LETTERS = {"sqrt": "√", "sigma": "σ", "psi": "ψ", "Phi": "Φ", "ell": "ℓ", "infty": "∞"}
LETTERS |= {"delta": "δ", "alpha": "α", "hat": "", "Vert": "‖", "le": "≤", "ge": "≥"}
_COMMAND = re.compile(r"\\([A-Za-z]+)")
SIZES = struct.Struct(">8x8xII")  # of a PNG file, after its signature and the head of its header

# In every page: what is there, what takes its place.
REPLACED = [
    (r"<script src=\"[^\"]*/fontawesome/[^\"]*/all\.min\.js[^>]*></script>", ""),
    (r"<link rel=\"preload\" as=\"font\"[^>]*fa-(?:solid|brands|regular)[^>]*/>\s*", ""),
    (
        r"<div class=\"bd-sidebar-primary bd-sidebar",
        '<div role="navigation" aria-label="Course" class="bd-sidebar-primary bd-sidebar',
    ),
]
# What pages without cards and grids, or without cells of a notebook, do not need.
UNUSED = {
    'class="sd-': re.compile(
        r"\s*<link [^>]*/sphinx-design\.min\.css[^>]*>|<script [^>]*/design-tabs\.js[^>]*></script>"
    ),
    'class="cell': re.compile(r"\s*<link [^>]*/mystnb\.[^>]*\.css[^>]*>"),
}
IMAGE = re.compile(r"<img (?P<rest>[^>]*?)src=\"(?P<src>[^\"]*_images/[^\"]+)\"(?P<more>[^>]*?)/?>")


# ------------------------------------------------------------------------------- whole pages


def finish(page: str) -> str:
    """A whole page as the theme renders it, mended."""
    for there, instead in REPLACED:
        page, count = re.subn(there, instead, page)
        if not count:
            logger.warning("the theme's pages no longer have %s", there)
    for mark, files in UNUSED.items():
        if mark not in page:
            page = files.sub("", page)
    return page


def wrap_renderer(app: Sphinx) -> None:
    """Let every page that the theme renders pass through `finish`."""
    if app.builder.format != "html":
        return
    templates = app.builder.templates
    render = templates.render

    def finished(template: str, context: dict) -> str:
        rendered = render(template, context)
        # Parts of pages are rendered by themselves, too.
        return finish(rendered) if "<html" in rendered else rendered

    templates.render = finished


# ------------------------------------------------------------------------------- the page's body


def size(picture: Path) -> tuple[int, int] | None:
    """Width and height of a PNG file in pixels; None for another kind."""
    if picture.suffix != ".png" or not picture.is_file():
        return None
    with open(picture, "rb") as file:
        return SIZES.unpack(file.read(SIZES.size))


def enlargeable(body: str, sizes: dict[str, tuple[int, int] | None]) -> str:
    """The body of a page, its pictures with their sizes, loaded late, and links to themselves."""

    def picture(match: re.Match) -> str:
        source, rest = match["src"], f"{match['rest']}{match['more']}".strip()
        known = sizes.get(source.rpartition("/")[2])
        extent = ' width="{}" height="{}"'.format(*known) if known else ""
        image = f'<img {rest} src="{source}"{extent} loading="lazy"/>'
        inside_a_link = body.rfind("<a ", 0, match.start()) > body.rfind("</a>", 0, match.start())
        return image if inside_a_link else f'<a class="enlarge" href="{source}">{image}</a>'

    return IMAGE.sub(picture, body)


def mend_body(body: str) -> str:
    """Works in a list are list items; the corner of a table that is empty heads nothing.

    Signatures and names lose what only keeps their words from breaking: a tenth of the reference.
    """
    body = re.sub(r'<span class="pre">([^<]*)</span>', r"\1", body)
    body = body.replace('<span class="w"> </span>', " ")
    body = re.sub(r'<th class="head[^"]*">(?:<p></p>)?</th>', "<td></td>", body)
    return body.replace('role="doc-biblioentry"', 'role="listitem"')


# ------------------------------------------------------------------------------- link previews


def description(doctree: nodes.document) -> str:
    """The first paragraph of a page that is long enough to say something."""
    for paragraph in doctree.findall(nodes.paragraph):
        if isinstance(paragraph.parent, nodes.section):
            text = " ".join(in_words(paragraph).split()).removeprefix("The question. ")
            text = re.sub(r" (?=[.,;:])", "", text)
            if len(text) > 40:
                return shortened(text)
    return ""


def in_words(node: nodes.Node) -> str:
    """A text as a preview can show it: formulas as letters, and no works."""
    if isinstance(node, addnodes.pending_xref) and node["refdomain"] == "cite":
        return ""
    if isinstance(node, nodes.math):
        letters = _COMMAND.sub(lambda match: LETTERS.get(match[1], match[1]), node.astext())
        return re.sub(r"[{}\\$_^]|\s+(?=\w)", "", letters)
    if isinstance(node, nodes.Text):
        return node.astext()
    return "".join(map(in_words, node.children))


def shortened(text: str) -> str:
    """A text cut after a word, if it is longer than a preview shows.

    >>> shortened("one two")
    'one two'
    """
    return text if len(text) <= LONGEST else text[:LONGEST].rpartition(" ")[0].rstrip(",;:") + " …"


# The addresses are whole: whoever shows a preview does not know where the page was.
def previews(title: str, text: str, address: str, picture: str, alternative: str) -> str:
    """What a shared link shows, as elements of a page's head."""
    named = {"description": text, "twitter:card": "summary_large_image"}
    properties = {
        "og:type": "article",
        "og:title": title,
        "og:description": text,
        "og:url": address,
        "og:image": picture,
        "og:image:alt": alternative,
    }
    lines = [f'<meta name="{k}" content="{escape(v)}"/>' for k, v in named.items()]
    lines += [f'<meta property="{k}" content="{escape(v)}"/>' for k, v in properties.items() if v]
    return "\n".join(lines)


def first_picture(app: Sphinx, page: str) -> tuple[str, str]:
    """File name and alternative text of the first picture of a page; empty without one."""
    for image in app.env.get_doctree(page).findall(nodes.image):
        stored = app.env.images.get(image["uri"])
        if stored and stored[1].endswith(".png"):
            return stored[1], image.get("alt", "")
    return "", ""


def finish_context(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    """Mend the body of a page, and say in its head what it is about."""
    if app.builder.format != "html":
        return
    folder = Path(app.outdir, app.builder.imagedir)
    if body := context.get("body"):
        names = {match["src"].rpartition("/")[2] for match in IMAGE.finditer(body)}
        sources = {
            stored: Path(source if Path(source).is_absolute() else Path(app.srcdir, source))
            for source, (_, stored) in app.env.images.items()
            if stored in names
        }
        sizes = {n: size(sources[n]) if n in sources else size(folder / n) for n in names}
        context["body"] = mend_body(enlargeable(body, sizes))
    site = plain_notebooks.tool().site_address(app.config.html_theme_options["repository_url"])
    about = description(app.env.get_doctree(page)) if doctree is not None else ""
    name, alternative = first_picture(app, page) if doctree is not None else ("", "")
    if not name:
        name, alternative = first_picture(app, FACE)
    title = re.sub(r"<[^>]+>", "", context.get("title") or app.config.html_title)
    if not about:
        root = description(app.env.get_doctree(app.config.root_doc))
        about = shortened(f"{title}. {root}")
    context["metatags"] = context.get("metatags", "") + previews(
        title,
        about,
        f"{site}/{quote(page)}.html",
        f"{site}/{app.builder.imagedir}/{quote(name)}" if name else "",
        alternative,
    )
    if page == app.config.root_doc:
        app.root_previews = context["metatags"]


def finish_redirect(app: Sphinx, error: Exception | None) -> None:
    """The redirect at the root is what people share: give it what the first page has."""
    page = Path(app.outdir, "index.html")
    if error is not None or not page.is_file() or not hasattr(app, "root_previews"):
        return
    text = page.read_text(encoding="utf-8")
    if "og:title" not in text:
        head = (
            '<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8"/>\n'
            f"<title>{escape(app.config.html_title)}</title>\n{app.root_previews}\n"
        )
        page.write_text(head + text, encoding="utf-8")


def mark_long_tables(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Tables of long texts, wider than a line: ``course.css`` stacks their cells on a phone."""
    if app.builder.format != "html":
        return
    for table in doctree.findall(nodes.table):
        cells = [entry.astext() for entry in table.findall(nodes.entry)]
        if paper.column_widths(table) and sum(map(len, cells)) > LONG_CELL * len(cells):
            table["classes"] = [*table["classes"], "stacked"]


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", wrap_renderer, priority=900)
    app.connect("doctree-resolved", mark_long_tables)
    app.connect("html-page-context", finish_context, priority=800)
    app.connect("build-finished", finish_redirect, priority=950)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
