"""Every command that a page or a chapter shows is one that rslib takes, every option one it has."""

import json
import re
import shlex
from pathlib import Path

import pytest

from rslib import cli

ROOT = Path(__file__).resolve().parent.parent


def texts():
    """The Markdown of each page, and of each chapter's text cells."""
    for path in [ROOT / "README.md", *sorted((ROOT / "book").glob("*.md"))]:
        yield path.name, path.read_text()
    for path in sorted((ROOT / "book").glob("*.ipynb")):
        cells = json.loads(path.read_text())["cells"]
        texts = ("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
        yield path.name, "\n\n".join(texts)


def blocks():
    """Command lines of fenced blocks, each with the page that it stands on."""
    for name, text in texts():
        fenced = re.findall(r"```(?:bash|console)\n(.*?)```", text, re.DOTALL)
        for line in "\n".join(fenced).replace("\\\n", " ").splitlines():
            line = re.sub(r"^(torchrun .*-- |\.venv/bin/)", "", line.split(" # ")[0].strip())
            if line.startswith("rslib ") and "…" not in line and "..." not in line:
                yield pytest.param(line, id=f"{name}: {line[:60]}")


def mentions():
    """Commands in backquotes, which may leave out what is required."""
    for name, text in texts():
        for line in re.findall(r"`(rslib [a-z]+ [^`]*--[^`]+)`", text):
            yield pytest.param(line, id=f"{name}: {line[:60]}")


SHOWN, MENTIONED = list(blocks()), list(mentions())


def test_there_are_commands_to_see():
    assert len(SHOWN) > 15 and MENTIONED


@pytest.mark.parametrize("line", SHOWN)
def test_a_command_that_is_shown_is_taken(line):
    words = shlex.split(line)[1:]
    if words == ["--version"]:
        return
    # Words in capitals stand for what the reader names; numbers among them for numbers.
    words = [re.sub(r"^(K|N|SEED|SIGMA)$", "1", word) for word in words]
    assert cli._parser().parse_args(words).name == words[0]


@pytest.mark.parametrize("line", MENTIONED)
def test_an_option_that_is_mentioned_is_there(line, capsys):
    command, *words = line.removeprefix("rslib ").split()
    with pytest.raises(SystemExit):
        cli._parser().parse_args([command, "--help"])
    known = capsys.readouterr().out
    for word in words:
        assert not word.startswith("--") or re.search(rf"{word}\b", known), word
