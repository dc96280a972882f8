"""Progress bars: what they show, and where they keep silent."""

import sys
from types import SimpleNamespace

import pytest

from rslib import progress


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(progress, "_DELAY", 0.0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)


def certificates(*labels):
    return [SimpleNamespace(label=label) for label in labels]


def test_certificates_are_passed_on_and_counted(terminal, capsys):
    given = certificates(1, -1, 3, 4)
    assert list(progress.watch(iter(given), [1, 2, 3, 4])) == given
    shown = capsys.readouterr().err
    assert "4/4" in shown and "right=0.750" in shown and "images/s" in shown


def test_they_are_asked_for_one_at_a_time(terminal, capsys):
    """So that a run that is broken off has lost nothing of what was found."""
    asked = []

    def finding():
        for label in (1, 2, 3):
            asked.append(label)
            yield SimpleNamespace(label=label)

    for done, _ in enumerate(progress.watch(finding(), [1, 2, 3]), start=1):
        assert len(asked) == done


@pytest.mark.parametrize("labels", [[1], [1, 2, 3]])
def test_as_many_labels_as_certificates(labels):
    with pytest.raises(ValueError, match="zip"):
        list(progress.watch(certificates(1, 2), labels))


def test_silence_in_ci_in_logs_and_when_asked(terminal, monkeypatch, capsys):
    list(progress.watch(certificates(1), [1], hide=True))
    monkeypatch.setenv("CI", "1")
    list(progress.watch(certificates(1), [1]))
    monkeypatch.delenv("CI")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    list(progress.watch(certificates(1), [1]))
    assert capsys.readouterr().err == ""
    monkeypatch.setitem(sys.modules, "ipykernel", object())  # a notebook
    list(progress.watch(certificates(1), [1]))
    assert "1/1" in capsys.readouterr().err


def test_what_is_done_at_once_leaves_no_trace(terminal, monkeypatch, capsys):
    monkeypatch.setattr(progress, "_DELAY", 3600.0)
    list(progress.watch(certificates(1, 2), [1, 2]))
    assert capsys.readouterr().err == ""


def test_what_begins_is_said_where_a_bar_would_be_shown(terminal, monkeypatch, capsys):
    progress.announce("Reading.")
    assert capsys.readouterr().err == "Reading.\n"
    monkeypatch.setenv("CI", "1")
    progress.announce("Reading.")
    monkeypatch.delenv("CI")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    progress.announce("Reading.")
    assert capsys.readouterr().err == ""
