"""The front page says what is so: counted by the build, and every chapter is on it."""

import re
import shutil
import tomllib
import xml.etree.ElementTree as ElementTree

import front_pictures
import nbformat
import pytest
import status
import yaml
from sphinx.errors import ExtensionError

from rslib.exercises import EXERCISES, KINDS, check

ROOT = status.ROOT
CHAPTERS = sorted(status.BOOK.glob("[0-9][0-9]_*.ipynb"))
NAMES = [path.stem for path in CHAPTERS]
INTRO = (status.BOOK / "intro.md").read_text()


@pytest.fixture
def data(tmp_path):
    """A data folder of two files: of one set of images, at two noise levels."""
    folder = tmp_path / "data"
    for sigma in ("0.25", "0.5"):
        for suffix in ("tsv", "json"):
            place = folder / f"sigma_{sigma}.{suffix}"
            place.parent.mkdir(exist_ok=True)
            shutil.copy(
                status.DATA / f"certify/digits/cnn-sequential/sigma_{sigma}.{suffix}", place
            )
    return folder


def test_the_status_is_counted(data):
    found = status.status(data)
    lines = [line for path in data.glob("*.tsv") for line in path.read_text().splitlines()]
    rows = [line.split("\t") for line in lines]
    rows = [row for row in rows if row[0].isdigit()]
    assert found.certificates == len(rows)
    assert found.images == len({row[0] for row in rows}) == len(rows) / 2
    drawn = 0
    for row in rows:
        selection, estimation = row[-2:]
        counted, _, of = estimation.strip().partition(" of ")
        drawn += sum(int(pair.split(":")[1]) for pair in selection.split())
        drawn += int(of) if of else sum(int(pair.split(":")[1]) for pair in counted.split())
    assert found.samples == drawn
    verdicts = re.findall(r"^  verdict: (.*)", (status.BOOK / "claims.yml").read_text(), re.M)
    assert found.claims == len(verdicts) and found.quoted == verdicts.count("quoted")


def test_a_certificate_that_does_not_hold_stops_the_build(data):
    path = data / "sigma_0.25.tsv"
    text = path.read_text()
    row = next(line for line in text.splitlines() if re.match(r"\d+\t\d\t\d\t0\.5", line))
    radius = row.split("\t")[3]
    path.write_text(text.replace(row, row.replace(radius, f"{float(radius) + 0.5:.6f}")))
    with pytest.raises(ExtensionError, match=r"sigma_0\.25\.tsv"):
        status.status(data)


def test_other_peoples_logs_are_not_counted(data):
    before = status.status(data)
    (data / "log.tsv").write_text("idx\tlabel\tpredict\tradius\tcorrect\ttime\n")
    with pytest.raises(ExtensionError):  # a file among ours that nothing stands behind
        status.status(data)
    (data / "log.tsv").unlink()
    assert status.status(data) == before


def test_no_number_of_the_status_is_typed():
    """Nothing that the build counts stands in the text as well."""
    shown = [status.version(), str(len(CHAPTERS)), "6,000", "500 images"]
    text = re.sub(r"\(.*?\)|\|.*\|", "", INTRO)  # links and tables
    for number in shown:
        assert not re.search(rf"(?<![\d.]){re.escape(number)}(?![\d.])", text), number
    assert "not yet" not in text


@pytest.mark.parametrize("path", CHAPTERS, ids=NAMES)
def test_every_chapter_is_on_the_front_page(path):
    one = status.chapter(path)
    assert one in status.chapters()
    assert one in [listed for found in status.parts().values() for listed in found]
    plan = re.findall(r"^\| \d+ \|.*$", INTRO, re.MULTILINE)
    assert one.number == 0 or any(f"({path.name})" in row for row in plan)
    # Exercises that the plan gives as homework are there.
    for row in plan:
        for chapter, first, last in re.findall(r"(\d+)\.(\d+) to \d+\.(\d+)", row):
            if int(chapter) == one.number:
                assert 1 <= int(first) < int(last) <= one.exercises, row


def test_the_sessions_are_numbered_and_counted():
    numbers = [int(n) for n in re.findall(r"^\| (\d+) \|", INTRO, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))
    words = {15: "fifteen", 16: "sixteen", 17: "seventeen", 18: "eighteen", 19: "nineteen"}
    assert f"## A plan for {words[len(numbers)]} sessions" in INTRO


@pytest.mark.parametrize("path", CHAPTERS, ids=NAMES)
def test_chapters_are_of_one_form(path):
    cells = nbformat.read(path, as_version=4).cells
    text = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    number = int(path.name[:2])
    assert text.startswith("# ") and text.count("\n# ") == 0
    for part in ("**The question.** ", "you can\n", "**You need** ", "**Run time:** about "):
        assert text.split("\n## ")[0].count(part) == 1, part
    sections = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert sections[-3:] == ["What is not guaranteed", "Recap", "Exercises"]
    titles = re.findall(r"^:::\{exercise\} (.*)$", text, re.MULTILINE)
    checked = set(re.findall(r'check\("(.*?)"', "\n".join(c.source for c in cells)))
    for place, title in enumerate(titles, start=1):
        named, kind, what = re.fullmatch(r"(\S+) ([a-z ]+): (\S.*)", title).groups()
        assert named == f"{number}.{place}" and kind in KINDS and not what.endswith(".")
        key = f"{number:02d}.{place}"
        assert (kind == "open") <= (key not in checked) or check(key).exercise_id
        if key in checked:
            check(key)
            assert EXERCISES[key].kind == kind
    assert f"ex-{path.name[:2]}-{len(titles)}" in text


def test_the_seconds_of_a_run_are_read():
    assert status.seconds("fifteen seconds on two cores") == "15\N{NO-BREAK SPACE}s"
    assert all(status.seconds(one.run_time) for one in status.chapters())
    with pytest.raises(ExtensionError, match="umpteen"):
        status.seconds("umpteen seconds")


def test_hours_are_rounded_to_quarters():
    hours = [status.quarters(h).replace("\N{NO-BREAK SPACE}", " ") for h in (0, 0.3, 1, 1.6, 2.9)]
    assert hours == ["¼ h", "¼ h", "1 h", "1½ h", "3 h"]


def test_the_citation_is_that_of_the_file():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    entry = status.bibtex(citation, "2026")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"version = {{{project['version']}}}" in entry and citation["title"] in entry
    assert "author = {{The course's authors}}" in entry
    people = citation | {"authors": [{"family-names": "Doe", "given-names": "A."}] * 2}
    assert "author = {Doe, A. and Doe, A.}" in status.bibtex(people, "2026")


def parsed(svg: str) -> ElementTree.Element:
    found = ElementTree.fromstring(svg[svg.index("<svg") :])
    names = found.attrib["aria-labelledby"].split()
    texts = {part.attrib.get("id"): part.text for part in found.iter() if part.text}
    assert all(len(texts[name]) > 10 for name in names)
    return found


def test_the_map_is_whole_and_described():
    stops = [front_pictures.Stop(n, "A title & more", f"{n}.html", n == 1) for n in range(3)]
    drawn = parsed(front_pictures.map_svg({"One": stops[:2], "Two": stops[2:]}))
    links = [part.attrib["href"] for part in drawn.iter() if part.tag.rpartition("}")[2] == "a"]
    assert links == ["0.html", "1.html", "2.html"]


def test_titles_fit_their_boxes():
    for one in status.chapters():
        lines = front_pictures.wrap(one.short, front_pictures.LONGEST)
        assert len(lines) <= 2 and max(map(len, lines)) <= front_pictures.LONGEST, one.short
