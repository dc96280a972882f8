"""The notebooks that are handed out hold every exercise and no solution."""

from pathlib import Path

import nbformat
import pytest
import student

CHAPTERS = sorted(Path(student.BOOK).glob("[0-9][0-9]_*.ipynb"))


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_without_its_solutions(path):
    chapter = nbformat.read(path, as_version=4)
    handed_out = student.without_solutions(chapter)
    nbformat.validate(handed_out)
    sources = [cell.source for cell in handed_out.cells]
    text = "\n".join(sources)
    whole = "\n".join(cell.source for cell in chapter.cells)
    assert ":::{solution}" in whole and ":::{solution}" not in text
    assert text.count(":::{exercise}") == whole.count(":::{exercise}") >= 4
    # What a reader fills in stays, with its check; what the book fills in goes.
    asked = whole.count('check("') - whole.count('assert check("')
    assert text.count('check("') == asked >= 3
    assert not any("assert check(" in source for source in sources)
    assert not any(cell.get("outputs") for cell in handed_out.cells)
    assert len(chapter.cells) > len(handed_out.cells)


def test_an_exercise_after_a_solution_in_one_cell_is_refused():
    cell = nbformat.v4.new_markdown_cell(
        ":::{exercise} a\n:::\n:::{solution} b\n:::\n:::{exercise} c\n:::"
    )
    with pytest.raises(ValueError, match="follows a solution"):
        student.without_solutions(nbformat.v4.new_notebook(cells=[cell]))


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(student, "OUT", tmp_path / "out")
    monkeypatch.setattr(student, "ROOT", tmp_path)
    assert student.main() == 0
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == [
        path.name for path in CHAPTERS
    ]
    assert "without solutions" in capsys.readouterr().out
