"""Lists by the names that the text uses: works by author and year, theorems by number and title."""

from collections import Counter
from collections.abc import Iterator

from docutils import nodes
from pybtex.database import Entry
from pybtex.plugin import register_plugin
from pybtex.richtext import Text
from pybtex.style.formatting.unsrt import Style
from pybtex.style.labels import BaseLabelStyle
from pybtex.style.sorting import BaseSortingStyle
from sphinx.application import Sphinx
from sphinx.domains import IndexEntry
from sphinx_proof.domain import ProofIndex


def cited_as(entry: Entry) -> str:
    """Author and year, as a citation in the text has them."""
    people = entry.persons.get("author") or entry.persons.get("editor") or []
    names = [
        Text.from_latex(" ".join([*person.prelast_names, *person.last_names])).render_as("text")
        for person in people
    ]
    if len(names) > 2:
        shown = f"{names[0]} et al."
    else:
        shown = " and ".join(names) or Text.from_latex(entry.fields["title"]).render_as("text")
    return f"{shown}, {entry.fields['year']}" if "year" in entry.fields else f"{shown}, n.d."


class AuthorYearLabels(BaseLabelStyle):
    """Labels such as "Cohen et al., 2019"; letters tell apart those that are equal."""

    def format_labels(self, sorted_entries: list[Entry]) -> Iterator[str]:
        labels = [cited_as(entry) for entry in sorted_entries]
        several, seen = Counter(labels), Counter()
        for label in labels:
            yield label + (chr(ord("a") + seen[label]) if several[label] > 1 else "")
            seen[label] += 1


class AuthorYearSorting(BaseSortingStyle):
    """In the order of the labels: other orders put three authors before two."""

    def sorting_key(self, entry: Entry) -> tuple[str, str]:
        return cited_as(entry).casefold(), entry.fields.get("title", "")


class AuthorYear(Style):
    """The list of works, sorted as they are cited."""

    default_sorting_style = "as_cited"
    default_label_style = "author_year"


def titles(app: Sphinx) -> dict[str, str]:
    """The title that each theorem, definition or lemma gives itself."""
    found = {}
    for page in {entry["docname"] for entry in app.env.proof_list.values()}:
        for node in app.env.get_doctree(page).findall(nodes.Admonition):
            title = next((c for c in node.children if isinstance(c, nodes.title)), None)
            for name in node.get("ids", []):
                if name in app.env.proof_list and title is not None:
                    found[name] = title.astext().strip().removeprefix("(").removesuffix(")")
    return found


def generate(index: ProofIndex, docnames: object = None) -> tuple[list, bool]:
    """Every numbered statement, under its kind, with its title and its chapter."""
    env = index.domain.env
    entries = getattr(env, "proof_list", {})
    shown = titles(env.app) if entries else {}
    content: dict[str, list[tuple[tuple, IndexEntry]]] = {}
    for name, entry in entries.items():
        page, kind = entry["docname"], entry["realtype"]
        number = env.toc_fignumbers.get(page, {}).get(kind, {}).get(name, ())
        heading = " ".join([kind.capitalize(), ".".join(map(str, number))]).strip()
        title = shown.get(name, "")
        text = f"{heading}: {title}" if title else heading
        line = IndexEntry(text, 0, page, name, env.titles[page].astext(), "", "")
        content.setdefault(f"{kind.capitalize()}s", []).append(((number, text), line))
    # Corollarys are corollaries.
    named = {kind.replace("ys", "ies"): lines for kind, lines in content.items()}
    return [(kind, [line for _, line in sorted(named[kind])]) for kind in sorted(named)], True


def setup(app: Sphinx) -> dict[str, bool]:
    register_plugin("pybtex.style.labels", "author_year", AuthorYearLabels)
    register_plugin("pybtex.style.sorting", "as_cited", AuthorYearSorting)
    register_plugin("pybtex.style.formatting", "author_year", AuthorYear)
    ProofIndex.localname, ProofIndex.shortname = "Theorems and definitions", "theorems"
    ProofIndex.generate = generate
    return {"parallel_read_safe": True, "parallel_write_safe": True}
