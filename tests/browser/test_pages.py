"""The built book and a chapter in JupyterLab, opened in chromium as a reader would."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import browser as tool
import pytest
from playwright.sync_api import expect

ROOT = Path(__file__).resolve().parent.parent.parent
pytestmark = [pytest.mark.slow, pytest.mark.browser]


@pytest.fixture(scope="module")
def chromium():
    if tool.chromium_path() is None:
        if os.environ.get("CI"):
            pytest.fail("no chromium, and CI must not do without: apt-get install chromium")
        pytest.skip("no chromium on this machine: apt-get install chromium")
    with tool.chromium() as started:
        yield started


@pytest.fixture(scope="module")
def visits(chromium) -> list[tool.Visit]:
    """Every page at every width in every colour scheme."""
    assert tool.SITE.is_dir(), "no built book: make book"
    with tool.serve() as address:
        return [
            tool.visit(chromium, address, page, width, scheme)
            for page in tool.pages()
            for width in tool.WIDTHS
            for scheme in tool.SCHEMES
        ]


def test_no_page_has_a_fault(visits):
    """No console errors, no request to another host, no sideways scrolling, formulas typeset."""
    assert len(visits) >= 4 * 7
    faults = [fault for visit in visits for fault in visit.faults]
    assert not faults, "\n".join(faults)


def test_there_were_formulas_to_typeset(visits):
    formulas = {visit.page: visit.formulas for visit in visits}
    assert formulas["book/notation.html"] >= 20
    assert formulas["book/errata.html"] >= 20


def test_dark_mode_is_dark(visits):
    for visit in visits:
        if visit.page == "index.html":  # a redirect, without a style of its own
            continue
        levels = visit.background.removeprefix("rgb(").removesuffix(")").split(",")
        brightness = sum(map(int, levels)) / 3
        assert (brightness < 80) == (visit.scheme == "dark"), visit


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        ("<script>console.error('broken')</script>", "logged: broken"),
        ("<script>throw new Error('thrown')</script>", "thrown"),
        ("<img src='missing.png'>", "logged"),
        ("<img src='http://127.0.0.2:9/a.png'>", "asked another host"),
        ("<div style='width: 3000px'>wide</div>", "scrolls sideways"),
        ("<span class='math'>x</span>", "1 formulas are not typeset"),
    ],
)
def test_the_sweep_sees_faults(chromium, tmp_path, monkeypatch, page, fault):
    monkeypatch.setattr(tool, "SCREENSHOTS", tmp_path / "shots")
    (tmp_path / "favicon.ico").write_bytes(b"")
    (tmp_path / "bad.html").write_text(f"<!doctype html><title>t</title>{page}")
    with tool.serve(tmp_path) as address:
        found = tool.visit(chromium, address, "bad.html", 390, "light").faults
    assert any(fault in text for text in found), found


def wait_for(address: str, server: subprocess.Popen, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert server.poll() is None, "the server ended"
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.3)
    pytest.fail(f"nothing answers at {address}")


def test_jupyterlab_opens_a_chapter_and_runs_its_first_cell(chromium, tmp_path):
    chapter = sorted((ROOT / "book").glob("[0-9][0-9]_*.ipynb"))[0]
    notebook = json.loads(chapter.read_text())
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":  # a number that is seen later is then the kernel's
            cell["execution_count"], cell["outputs"] = None, []
    (tmp_path / chapter.name).write_text(json.dumps(notebook))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    command += [
        "--ServerApp.ip=127.0.0.1",
        "--IdentityProvider.token=chapter",
        f"--ServerApp.root_dir={tmp_path}",
    ]
    environment = os.environ | {
        "JUPYTER_PREFER_ENV_PATH": "1",
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
        "JUPYTER_DATA_DIR": str(tmp_path / "data"),
    }
    server = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(f"{address}/api", server)
        tab = chromium.new_page()
        tab.set_default_timeout(tool.PATIENCE)
        tab.goto(f"{address}/lab/tree/{chapter.name}?token=chapter")
        first = tab.locator(".jp-CodeCell").first
        first.wait_for(timeout=300_000)
        tab.locator("[data-status='idle']").first.wait_for(timeout=300_000, state="attached")
        # JupyterLab draws cells anew while the page settles, and a key pressed meanwhile is lost:
        # press it as a reader would, until the cell has the number of a run.
        number = first.locator(".jp-InputPrompt").first
        for _ in range(10):
            first.locator(".jp-InputArea-editor").click()
            tab.keyboard.press("Shift+Enter")
            try:
                expect(number).to_have_text(re.compile(r"\[\d+\]:"), timeout=30_000)
                break
            except AssertionError:
                continue
        expect(number).to_have_text(re.compile(r"\[\d+\]:"))
        assert first.locator("[data-mime-type*='error']").count() == 0
        tab.close()
    finally:
        server.terminate()
        server.wait(timeout=30)
