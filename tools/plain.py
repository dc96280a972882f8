"""Plain notebooks: the chapters as JupyterLab and Colab can show them.

    plain.py                 _build/notebooks/NN_topic.ipynb, solutions at the end, outputs kept
    plain.py --student       _build/student/NN_topic.ipynb, without solutions and outputs

A chapter is written in MyST, which only the book understands: elsewhere its theorems, references
and citations would stand there as raw markup. Here they are resolved. Theorems, proofs, definitions
and slips become headed quotes with the numbers that they have in the book, citations become names
with a list at the end, captions stand below their figures. Everything that runs is left as it is.
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import nbformat
import yaml
from nbformat import NotebookNode
from notebooks import BOOK, ROOT
from pybtex.backends.markdown import Backend as MarkdownBackend
from pybtex.database import BibliographyData, Entry, parse_file
from pybtex.style.formatting.plain import Style

OUT = ROOT / "_build" / "notebooks"
STUDENT_OUT = ROOT / "_build" / "student"

# What may follow three colons, and how it is headed; the others are dealt with one by one.
_STATEMENTS = ("definition", "theorem", "lemma", "proposition", "corollary")
_DIRECTIVE = re.compile(r"^:::\{([\w:-]+)\}[ ]?(.*)$")
_OPTION = re.compile(r"^:(\w[\w-]*):[ ]?(.*)$")
_TARGET = re.compile(r"^\(([\w-]+)\)=$")
_ROLE = re.compile(r"\{(prf:ref|ref|numref|cite:t|cite:p)\}`([^`]*)`")
_LINK = re.compile(r"\]\((?!https?:|#)([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$")
#: What a reader must not meet in a plain notebook.
RAW = re.compile(
    r"^\s*:::|\{[a-z]+(:[a-z]+)?\}`|^\([\w-]+\)=$|^:(label|class|nonumber):", re.MULTILINE
)


class Block(NamedTuple):
    """A part of a text cell: plain lines, or a directive with its title, options and lines."""

    kind: str
    title: str
    options: dict[str, str]
    lines: list[str]


class Label(NamedTuple):
    """What a label names: how to call it where it is only pointed at, and the chapter it is in."""

    text: str
    chapter: str


class Course(NamedTuple):
    """What a chapter needs to know of the others: labels, works, the address of the book."""

    labels: dict[str, Label]
    works: BibliographyData
    site: str


# ------------------------------------------------------------------------------ reading chapters


def chapters() -> list[Path]:
    """The chapters, in order."""
    return sorted(BOOK.glob("[0-9][0-9]_*.ipynb"))


def blocks(source: str) -> Iterator[Block]:
    """The parts of a text cell, in order.

    Raises
    ------
    ValueError
        If a directive is not closed.
    """
    lines = source.split("\n")
    plain: list[str] = []
    at = 0
    while at < len(lines):
        begins = _DIRECTIVE.match(lines[at])
        if not begins:
            plain.append(lines[at])
            at += 1
            continue
        if "".join(plain).strip():
            yield Block("text", "", {}, plain)
        plain, options = [], {}
        at += 1
        while at < len(lines) and (option := _OPTION.match(lines[at])):
            options[option[1]] = option[2]
            at += 1
        first = at
        while at < len(lines) and lines[at] != ":::":
            at += 1
        if at == len(lines):
            raise ValueError(f"{{{begins[1]}}} {begins[2]!r} is not closed by ':::'")
        yield Block(begins[1], begins[2], options, lines[first:at])
        at += 1
    if "".join(plain).strip():
        yield Block("text", "", {}, plain)


def _figure(cell: NotebookNode) -> dict | None:
    return cell.metadata.get("mystnb", {}).get("figure")


def _numbered(path: Path) -> str:
    """What stands before the numbers of a chapter: ``"8."``; nothing in the refresher."""
    number = int(path.name[:2])
    return f"{number}." if number else ""


def labels_of(path: Path, notebook: NotebookNode) -> dict[str, Label]:
    """Every label of a chapter. Each kind of statement is counted by itself, as in the book."""
    found: dict[str, Label] = {}
    counts: dict[str, int] = {}

    def number(kind: str) -> str:
        counts[kind] = counts.get(kind, 0) + 1
        return f"{kind.capitalize()} {_numbered(path)}{counts[kind]}"

    for cell in notebook.cells:
        if cell.cell_type != "markdown":
            if (figure := _figure(cell)) and cell.get("outputs"):
                found[figure["name"]] = Label(number("figure"), path.name)
            continue
        for block in blocks(cell.source):
            kind, label = block.kind.removeprefix("prf:"), block.options.get("label")
            if kind in _STATEMENTS:
                text = kind.capitalize() if "nonumber" in block.options else number(kind)
                found[label] = Label(text, path.name)
            elif kind == "exercise":
                _, chapter, rank = label.split("-")  # ex-08-3
                found[label] = Label(f"Exercise {int(chapter)}.{rank}", path.name)
            elif kind == "text":
                for target, heading in _targets(block.lines):
                    found[target] = Label(heading, path.name)
    return found


def _targets(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Targets, each with the heading that it stands above; above other text it has none."""
    waiting: list[str] = []
    for line in lines:
        if target := _TARGET.match(line):
            waiting.append(target[1])
        elif line.strip():
            heading = _HEADING.match(line)
            yield from ((name, heading[1] if heading else "") for name in waiting)
            waiting.clear()


def course() -> Course:
    """What all chapters share."""
    labels: dict[str, Label] = {}
    for path in chapters():
        labels |= labels_of(path, nbformat.read(path, as_version=4))
    configuration = yaml.safe_load((ROOT / "_config.yml").read_text())
    return Course(
        labels,
        parse_file(BOOK / "references.bib"),
        site_address(configuration["repository"]["url"]),
    )


def site_address(repository: str) -> str:
    """Where the book of a repository is published.

    >>> site_address("https://github.com/somebody/course")
    'https://somebody.github.io/course'
    """
    owner, name = repository.rstrip("/").split("/")[-2:]
    return f"https://{owner}.github.io/{name}"


# ------------------------------------------------------------------------------------- citations


def _plain(text: str) -> str:
    """Text of a BibTeX field, without its braces and commands."""
    from pybtex.richtext import Text

    return Text.from_latex(text).render_as("text")


def authors_and_year(entry: Entry) -> tuple[str, str]:
    """As a citation names a work: ``("Cohen et al.", "2019")``."""
    people = entry.persons.get("author") or entry.persons.get("editor") or []
    names = [_plain(" ".join([*person.prelast_names, *person.last_names])) for person in people]
    if len(names) > 2:
        shown = f"{names[0]} et al."
    else:
        shown = " and ".join(names) or _plain(entry.fields["title"])
    return shown, entry.fields.get("year", "undated")


def cite(kind: str, keys: str, works: BibliographyData) -> str:
    """The text of a citation: ``cite:t`` inside a sentence, ``cite:p`` in brackets."""
    found = [authors_and_year(works.entries[key.strip()]) for key in keys.split(",")]
    if kind == "cite:t":
        return ", ".join(f"{names} ({year})" for names, year in found)
    return "(" + "; ".join(f"{names} {year}" for names, year in found) + ")"


def references(keys: set[str], works: BibliographyData) -> str:
    """The list of the works that a notebook cites, in alphabetical order."""
    style = Style()
    chosen = sorted(keys, key=lambda key: authors_and_year(works.entries[key]))
    entries = style.format_entries([works.entries[key] for key in chosen])
    backend = MarkdownBackend()
    lines = ["- " + " ".join(_unescaped(one.text.render(backend)).split()) for one in entries]
    return "\n".join(["## References", "", *lines])


def _unescaped(text: str) -> str:
    """The backend escapes more than a notebook needs, in links too."""
    return re.sub(r"\\([-.()!#+_])", r"\1", text)


# --------------------------------------------------------------------------------------- writing


class _Writer:
    """One chapter on its way to a plain notebook."""

    def __init__(self, path: Path, course: Course) -> None:
        self.path, self.course = path, course
        self.cited: set[str] = set()
        self.labels = course.labels

    def inline(self, text: str) -> str:
        """Roles and links of running text, resolved."""
        return _LINK.sub(self._link, _ROLE.sub(self._role, text))

    def _role(self, match: re.Match) -> str:
        kind, content = match.groups()
        if kind.startswith("cite"):
            self.cited.update(key.strip() for key in content.split(","))
            return cite(kind, content, self.course.works)
        named = re.fullmatch(r"(.*?)\s*<([\w-]+)>", content, re.DOTALL)
        text, name = named.groups() if named else (None, content)
        if name not in self.labels:
            raise ValueError(f"{self.path.name}: nothing is labelled {name!r}")
        label = self.labels[name]
        text = label.text if text is None else text
        return text if label.chapter == self.path.name else f"[{text}]({label.chapter})"

    def _link(self, match: re.Match) -> str:
        page, _, place = match[1].partition("#")
        if page in self.labels:
            label = self.labels[page]
            inside = label.chapter == self.path.name
            return f"](#{label.text.replace(' ', '-')})" if inside else f"]({label.chapter})"
        if page.endswith(".ipynb"):
            return match[0]
        # Pages that are no notebooks are in the book alone.
        page = page.removesuffix(".md") + ".html" if page.endswith(".md") else page
        place = f"#{place}" if place else ""
        return f"]({self.course.site}/book/{page}{place})"

    def block(self, block: Block) -> str:
        """A part of a text cell, in plain Markdown."""
        kind = block.kind.removeprefix("prf:")
        if kind == "text":
            lines = [line for line in block.lines if not _TARGET.match(line)]
            return self.inline("\n".join(lines))
        title, body = self.inline(block.title), self.inline("\n".join(block.lines))
        if kind in ("exercise", "solution"):
            if kind == "solution":
                head = f"Solution of {self.labels[block.title].text}"
            else:
                head = f"Exercise {title}" if title else self.labels[block.options["label"]].text
            return f"#### {head}\n\n{body}"
        if kind == "proof":
            return quoted(f"**Proof{f' ({title})' if title else ''}.** {body}")
        if kind in _STATEMENTS:
            text = self.labels[block.options["label"]].text
            return quoted(f"**{text}{f' ({title})' if title else ''}.** {body}")
        if kind == "admonition":
            return quoted(f"**{title}**\n\n{body}")
        if kind == "margin":
            return quoted(f"*{body.strip()}*" if "*" not in body and "$" not in body else body)
        raise ValueError(f"{self.path.name}: no plain form is known for {{{block.kind}}}")

    def caption(self, figure: dict) -> str:
        """What stands below a figure."""
        text = self.labels[figure["name"]].text
        return f"*{text}.* {self.inline(figure['caption'])}"


def quoted(text: str) -> str:
    """Text as a quote. A formula in it stands on one line: readers would see the marks inside."""
    joined = re.sub(
        r"\$\$.*?\$\$|\\begin\{(\w+\*?)\}.*?\\end\{\1\}",
        lambda match: " ".join(line.strip() for line in match[0].split("\n")),
        text.strip(),
        flags=re.DOTALL,
    )
    return "\n".join(f"> {line}".rstrip() for line in joined.split("\n"))


def is_solution_code(cell: NotebookNode) -> bool:
    """Whether a code cell belongs to the printed solution before it."""
    return cell.cell_type == "code" and "hide-cell" in cell.metadata.get("tags", [])


def plain(path: Path, course: Course, student: bool = False) -> NotebookNode:
    """A chapter as a plain notebook.

    Parameters
    ----------
    path : Path
        The chapter.
    course : Course
        As `course` gives it.
    student : bool
        Leave out solutions and outputs; otherwise solutions stand at the end.

    Returns
    -------
    NotebookNode
        With neither directives nor roles.

    Raises
    ------
    ValueError
        For markup that has no plain form, or a label that names nothing.
    """
    writer = _Writer(path, course)
    notebook = nbformat.read(path, as_version=4)
    main: list[NotebookNode] = []
    solutions: list[NotebookNode] = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            (solutions if is_solution_code(cell) else main).append(_code(cell, student))
            if (figure := _figure(cell)) and cell.get("outputs") and not student:
                target = solutions if is_solution_code(cell) else main
                target.append(_markdown(writer.caption(figure), cell.id + "-caption"))
            continue
        text: dict[bool, list[str]] = {False: [], True: []}
        for block in blocks(cell.source):
            text[block.kind == "solution"].append(writer.block(block))
        for last, target in ((False, main), (True, solutions)):
            if text[last]:
                name = cell.id + ("-solution" if last and text[False] else "")
                target.append(_markdown("\n\n".join(part.strip("\n") for part in text[last]), name))
    if solutions and not student:
        main += [_markdown("## Solutions", "solutions"), *solutions]
    if writer.cited:
        main.append(_markdown(references(writer.cited, course.works), "references"))
    for number, cell in enumerate((c for c in main if c.cell_type == "code"), start=1):
        cell.execution_count = None if student else number
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = number
    metadata = {k: v for k, v in notebook.metadata.items() if k != "rslib"}
    return nbformat.v4.new_notebook(cells=main, metadata=metadata, nbformat_minor=5)


def _markdown(source: str, name: str) -> NotebookNode:
    if raw := RAW.search(source):
        raise ValueError(f"markup is left in a plain notebook: {raw[0]!r} in {source[:80]!r}")
    return nbformat.v4.new_markdown_cell(source, id=name[:64])


def _code(cell: NotebookNode, student: bool) -> NotebookNode:
    new = nbformat.v4.new_code_cell(cell.source, id=cell.id)
    if not student:
        new.outputs = cell.outputs
    if "hide-input" in cell.metadata.get("tags", []):
        new.metadata["jupyter"] = {"source_hidden": True}
    return new


def write(folder: Path, student: bool = False, log: Callable[[str], None] = print) -> list[Path]:
    """Write every chapter into a folder, and say where."""
    folder.mkdir(parents=True, exist_ok=True)
    shared, written = course(), []
    for path in chapters():
        written.append(folder / path.name)
        nbformat.write(plain(path, shared, student), written[-1])
    what = "without solutions" if student else "with solutions at the end"
    log(f"{folder}: {len(written)} plain notebooks, {what}")
    return written


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="plain.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--student", action="store_true", help="without solutions and outputs")
    parser.add_argument("--out", type=Path, help="the folder (default: under _build)")
    options = parser.parse_args(arguments)
    write(options.out or (STUDENT_OUT if options.student else OUT), options.student)
    return 0


if __name__ == "__main__":
    sys.exit(main())
