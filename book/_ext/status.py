"""What the front page says of the course, counted by the build and not by hand.

Six directives without arguments: ``course-status``, ``course-buttons``, ``course-vote``,
``course-map``, ``course-times`` and ``course-edition``; and ``course-figure``, which shows again a
figure that a chapter has stored. All of them read the repository as it is, so that a new data file,
a new chapter or a new version is on the page at the next build.
"""

import base64
import math
import re
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import NamedTuple

import nbformat
import yaml
from docutils import nodes
from docutils.statemachine import StringList
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from rslib import interactive, records, verifier

sys.path.insert(0, str(Path(__file__).parent))
try:
    import front_pictures
finally:
    sys.path.pop(0)

ROOT = Path(__file__).resolve().parents[2]
BOOK, DATA = ROOT / "book", ROOT / "data"
PDF = "randomized-smoothing.pdf"
#: Chapters of the route of an hour.
HOUR = (1, 3, 8, 12)
# How fast one reads mathematics with its cells, and how long an exercise takes.
WORDS_A_MINUTE, LINES_A_MINUTE, MINUTES_AN_EXERCISE = 60, 20, 15
#: Numbers in words, as chapters give the seconds of a run.
_NUMBERS = {"five": 5, "ten": 10, "fifteen": 15, "twenty": 20, "thirty": 30, "forty": 40}


# ----------------------------------------------------------------------------- what is counted


class Status(NamedTuple):
    """What lies in the repository."""

    images: int
    samples: int
    certificates: int
    claims: int
    quoted: int


def status(data: Path = DATA, claims: Path = BOOK / "claims.yml") -> Status:
    """Count the certificate files, verify every certificate, count the claims.

    Raises
    ------
    ExtensionError
        If a certificate does not hold: a page must not say that it does.
    """
    images, samples, certificates = set(), 0, 0
    for path in sorted(data.rglob("*.tsv")):
        file = records.read_certificates(path)
        if file.manifest is None:
            continue  # somebody else's log
        dataset = file.manifest.dataset
        certificates += len(file.rows)
        for row in file.rows:
            images.add((dataset.name, dataset.split, row.idx))
            drawn = sum(row.estimation.values()) if row.drawn is None else row.drawn
            samples += sum(row.selection.values()) + drawn
    reports = verifier.verify_paths([data])
    if problems := [problem for report in reports for problem in report.problems]:
        raise ExtensionError("\n".join(problems))
    if (verified := sum(report.rows for report in reports)) != certificates:
        raise ExtensionError(f"{verified} certificates verified, {certificates} read")
    listed = yaml.safe_load(claims.read_text(encoding="utf-8"))
    quoted = sum(claim["verdict"] == "quoted" for claim in listed)
    return Status(len(images), samples, certificates, len(listed), quoted)


class Chapter(NamedTuple):
    """A chapter as the front page needs it."""

    number: int
    page: str
    title: str
    words: int
    lines: int
    exercises: int
    run_time: str

    @property
    def short(self) -> str:
        """The title up to its colon."""
        return self.title.partition(":")[0]

    @property
    def reading(self) -> float:
        """Hours of reading, with the cells."""
        return (self.words / WORDS_A_MINUTE + self.lines / LINES_A_MINUTE) / 60

    @property
    def exercising(self) -> float:
        """Hours for the exercises."""
        return self.exercises * MINUTES_AN_EXERCISE / 60


def chapter(path: Path) -> Chapter:
    """Read what the front page says of a chapter."""
    cells = nbformat.read(path, as_version=4).cells
    text = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    title = re.search(r"^# (.+)$", text, re.MULTILINE)
    time = re.search(r"\*\*Run time:\*\* (?:about )?([^.]+?)\.", text)
    if title is None or time is None:
        raise ExtensionError(f"{path.name}: no title, or no run time")
    return Chapter(
        int(path.name[:2]),
        path.stem,
        title[1],
        len(text.split()),
        sum(len(source.splitlines()) for source in code),
        text.count(":::{exercise}"),
        time[1],
    )


@cache
def chapters() -> tuple[Chapter, ...]:
    """All chapters, in order."""
    return tuple(chapter(path) for path in sorted(BOOK.glob("[0-9][0-9]_*.ipynb")))


def parts() -> dict[str, list[Chapter]]:
    """Caption of each numbered part of the contents -> its chapters, and those before it."""
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    known = {f"book/{one.page}": one for one in chapters()}
    found: dict[str, list[Chapter]] = {}
    waiting: list[Chapter] = []
    for part in contents["parts"]:
        listed = [known[entry["file"]] for entry in part["chapters"] if entry["file"] in known]
        if part.get("numbered"):
            found[part["caption"]] = waiting + listed
            waiting = []
        else:
            waiting += listed
    return found


def quarters(hours: float) -> str:
    """Hours in words that promise no more than a quarter of an hour: ``1¾ h``."""
    whole, rest = divmod(max(1, round(4 * hours)), 4)
    return f"{whole or ''}{('', '¼', '½', '¾')[rest]}\N{NO-BREAK SPACE}h"


def seconds(run_time: str) -> str:
    """The seconds that a chapter says it takes: ``fifteen seconds on two cores``, ``15 s``."""
    number = run_time.split()[0]
    if number not in _NUMBERS:
        raise ExtensionError(f"run time must begin with {', '.join(_NUMBERS)}, got {run_time!r}")
    return f"{_NUMBERS[number]}\N{NO-BREAK SPACE}s"


def version() -> str:
    """The edition, from the one place that has it."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "version"
    ]


def bibtex(citation: dict, year: str) -> str:
    """The entry by which the course is cited."""
    authors = " and ".join(
        f"{{{one['name']}}}" if "name" in one else f"{one['family-names']}, {one['given-names']}"
        for one in citation["authors"]
    )
    fields = {
        "author": authors,
        "title": citation["title"],
        "version": citation["version"],
        "year": year,
        "url": citation["repository-code"],
    }
    lines = [f"  {name} = {{{value}}}" for name, value in fields.items()]
    return "@software{randomized_smoothing_course,\n" + ",\n".join(lines) + "\n}"


# -------------------------------------------------------------------------- what is put on the page


class _Counted(SphinxDirective):
    """A directive whose content is `made` by the build, of nodes or of MyST that is `parsed`."""

    def depends_on(self) -> list[Path]:
        """Files whose change makes the page be read again."""
        return sorted(BOOK.glob("[0-9][0-9]_*.ipynb"))

    def run(self) -> list[nodes.Node]:
        for path in self.depends_on():
            self.env.note_dependency(str(path))
        return self.made()

    def parsed(self, text: str) -> list[nodes.Node]:
        holder = nodes.container()
        lines = StringList(text.split("\n"), source=self.env.docname)
        self.state.nested_parse(lines, self.content_offset, holder)
        return holder.children


class CourseStatus(_Counted):
    """Images certified, samples drawn, claims shown, certificates verified."""

    def depends_on(self) -> list[Path]:
        return [BOOK / "claims.yml", *sorted(DATA.rglob("*.tsv")), *sorted(DATA.rglob("*.json"))]

    def made(self) -> list[nodes.Node]:
        found = status()
        shown = found.claims - found.quoted
        cards = (
            (f"{found.images:,}", "images certified"),
            (f"{found.samples:,}", "noisy copies classified for it"),
            (f"{found.certificates:,}", "certificates, each verified by the build of this page"),
            (f"{shown} of {found.claims}", "[claims of the lecture](claims.md) shown or corrected"),
        )
        lines = ["::::{grid} 2 2 4 4", ":gutter: 2", ""]
        for number, what in cards:
            lines += [":::{grid-item-card}", ":text-align: center", ""]
            lines += [f"**{number}**\n", what, ":::"]
        return self.parsed("\n".join([*lines, "::::"]))


class CourseButtons(_Counted):
    """Read, run, and take away: on a page, not in print."""

    def made(self) -> list[nodes.Node]:
        sys.path.insert(0, str(ROOT / "tools"))
        try:
            import plain
        finally:
            sys.path.remove(str(ROOT / "tools"))
        repository = self.config.html_theme_options["repository_url"]
        first = chapters()[1].page
        colab = repository.replace("https://github.com", "https://colab.research.google.com/github")
        links = (
            (f"{first}.html", "Read the first chapter"),
            (f"{colab}/blob/notebooks/{first}.ipynb", "Run it in Colab"),
            (f"{plain.site_address(repository)}/{PDF}", "Take the PDF"),
        )
        lines = ["::::{grid} 1 3 3 3", ":gutter: 2", ""]
        for target, words in links:
            lines += [":::{grid-item}", "", f"```{{button-link}} {target}", ":color: primary"]
            lines += [":outline:"] if target != links[0][0] else []
            lines += [":expand:", words, "```", ":::"]
        made = self.parsed("\n".join([*lines, "::::"]))
        return [addnodes.only("", *made, expr="html")]


class CourseVote(_Counted):
    """The first picture, which is the one of chapter 8. It is for screens."""

    def made(self) -> list[nodes.Node]:
        return [nodes.raw("", interactive.vote().html, format="html")]


class CourseMap(_Counted):
    """The map of the course. In print the table of chapters stands alone."""

    def made(self) -> list[nodes.Node]:
        columns = {
            heading: [
                front_pictures.Stop(one.number, one.short, f"{one.page}.html", one.number in HOUR)
                for one in found
            ]
            for heading, found in parts().items()
        }
        return [nodes.raw("", front_pictures.map_svg(columns), format="html")]


class CourseTimes(_Counted):
    """A table of all chapters: what each asks, and how long it takes."""

    def made(self) -> list[nodes.Node]:
        lines = ["| | chapter | to read | exercises | to run |", "|---|---|---|---|---|"]
        for one in chapters():
            lines.append(
                f"| {one.number} | [{one.short}]({one.page}.ipynb) | {quarters(one.reading)} "
                f"| {quarters(one.exercising)} | {seconds(one.run_time)} |"
            )
        reading, exercising = (
            math.ceil(sum(getattr(one, what) for one in chapters()))
            for what in ("reading", "exercising")
        )
        lines.append(f"| | together | {quarters(reading)} | {quarters(exercising)} | |")
        return self.parsed("\n".join(lines))


class CourseEdition(_Counted):
    """The edition, and how to cite it."""

    def depends_on(self) -> list[Path]:
        return [ROOT / "CITATION.cff", ROOT / "pyproject.toml"]

    def made(self) -> list[nodes.Node]:
        citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
        names = " and ".join(
            one.get("name") or f"{one['given-names']} {one['family-names']}"
            for one in citation["authors"]
        )
        year = str(self.config.copyright)
        return self.parsed(
            f"By {names[0].lower() + names[1:] if names.startswith('The ') else names}. "
            f"Edition {version()}, {year}.\n\n"
            f"```bibtex\n{bibtex(citation, year)}\n```"
        )


class CourseFigure(_Counted):
    """A figure that a chapter has stored, by its name: ``course-figure:: 12_sound fig-12-leak``."""

    required_arguments = 2

    def made(self) -> list[nodes.Node]:
        page, name = self.arguments
        for cell in nbformat.read(BOOK / f"{page}.ipynb", as_version=4).cells:
            about = cell.metadata.get("mystnb", {})
            if about.get("figure", {}).get("name") != name:
                continue
            (picture,) = [
                o.data["image/png"] for o in cell.outputs if "image/png" in o.get("data", {})
            ]
            path = Path(self.env.doctreedir, f"{name}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(base64.b64decode(picture))
            shown = nodes.image(uri=f"/{path.relative_to(self.env.srcdir).as_posix()}")
            shown["alt"], shown["width"] = about["image"]["alt"], "90%"
            return [nodes.figure("", shown, align="center")]
        raise self.error(f"{page} has no figure {name}")


def setup(app: Sphinx) -> dict[str, bool]:
    for directive in (
        CourseStatus,
        CourseButtons,
        CourseVote,
        CourseMap,
        CourseTimes,
        CourseEdition,
        CourseFigure,
    ):
        name = re.sub(r"(?<!^)(?=[A-Z])", "-", directive.__name__).lower()
        app.add_directive(name, directive)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
