"""The built book and a chapter in JupyterLab, opened in chromium as a reader would."""

import json
import os
import random
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import browser as tool
import plain
import pytest
import yaml
from playwright.sync_api import expect

ROOT = Path(__file__).resolve().parent.parent.parent
pytestmark = [pytest.mark.slow, pytest.mark.browser]


@pytest.fixture(scope="module")
def site():
    """The built book, served."""
    assert tool.SITE.is_dir(), "no built book: make book"
    with tool.serve() as address:
        yield address


@pytest.fixture(scope="module")
def visits(chromium, site) -> list[tool.Visit]:
    """Every page at every width in every colour scheme."""
    return [
        visit
        for page in tool.pages()
        for width in tool.WIDTHS
        for visit in tool.visits(chromium, site, page, width, screenshots=False)
    ]


def test_no_page_has_a_fault(visits):
    """Quiet, light, alone, no wider than the screen; formulas whole, axe-core content."""
    assert len(visits) >= 4 * 7
    print(tool.table(visits))
    faults = [fault for visit in visits for fault in visit.faults]
    assert not faults, "\n".join(faults)


def test_there_were_formulas_to_typeset(visits):
    formulas = {visit.page: visit.formulas for visit in visits}
    assert formulas["book/notation.html"] >= 20
    assert formulas["book/errata.html"] >= 20


def test_the_first_stop_in_a_chapter_is_its_switch(visits):
    chapters = [visit for visit in visits if re.match(r"book/\d\d_", visit.page)]
    assert chapters
    assert {visit.stops_before_control for visit in chapters} == {0}


def test_dark_mode_is_dark(visits):
    for visit in visits:
        if visit.page == "index.html":  # a redirect, without a style of its own
            continue
        levels = visit.background.removeprefix("rgb(").removesuffix(")").split(",")
        brightness = sum(map(int, levels)) / 3
        assert (brightness < 80) == (visit.scheme == "dark"), visit


NOISE = "".join(random.Random(0).choices("0123456789abcdefghijklmnopqrstuvwxyz", k=900_000))
FORMULA = "<mjx-container style='display: inline-block; width: 900px'>x</mjx-container>"


# One pixel, which is square.
PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        ("<script>console.error('broken')</script>", "logged: broken"),
        ("<script>throw new Error('thrown')</script>", "thrown"),
        ("<img src='missing.png'>", "logged"),
        ("<img src='http://127.0.0.2:9/a.png'>", "asked another host"),
        ("<div style='width: 3000px'>wide</div>", "scrolls sideways"),
        ("<span class='math'>x</span>", "1 formulas are not typeset"),
        (f"<p style='overflow: hidden'><span class='math'>{FORMULA}</span>", "cut off"),
        (f"<p style='overflow: auto; direction: rtl'>{FORMULA}", "cut off"),
        ("<span class='math' tabindex='0'><mjx-container>x</mjx-container></span>", "tab key"),
        (f"<article><p class='math' style='overflow: auto'>{FORMULA}</article>", "no key reaches"),
        (f"<article><img src='{PIXEL}' width='200' height='20'></article>", "out of shape"),
        (f"<!--{'x' * 2_100_000}-->", "weighs 2.10 MB"),
        (f"<!--{NOISE}-->", "shows no text before"),
        ("<article><pre style='overflow: auto'>" + "x" * 900 + "</pre></article>", "wider than"),
        ("<p style='color: #bbb; background: #fff'>pale</p>", "axe: color-contrast"),
        ("<button></button>", "axe: button-name"),
    ],
    ids=lambda text: text[:30],
)
def test_the_sweep_sees_faults(chromium, tmp_path, monkeypatch, page, fault):
    monkeypatch.setattr(tool, "SCREENSHOTS", tmp_path / "shots")
    (tmp_path / "favicon.ico").write_bytes(b"")
    (tmp_path / "bad.html").write_text(f"<!doctype html><title>t</title>{page}")
    with tool.serve(tmp_path) as address:
        width = 1280 if fault == "wider than" else 390
        found = tool.visit(chromium, address, "bad.html", width, "light").faults
    assert any(fault in text for text in found), found


@pytest.mark.parametrize(
    "page",
    [
        f"<p style='overflow: auto'><span class='math'>{FORMULA}</span>",
        "<span class='math'><mjx-container>x</mjx-container></span>",
    ],
)
def test_a_formula_that_scrolls_or_fits_is_not_cut(chromium, tmp_path, page):
    (tmp_path / "favicon.ico").write_bytes(b"")
    (tmp_path / "good.html").write_text(f"<!doctype html><title>t</title>{page}")
    with tool.serve(tmp_path) as address:
        (visit,) = tool.visits(chromium, address, "good.html", 390, ["light"], screenshots=False)
    assert visit.cut == visit.formula_stops == 0


CHAPTER, NEXT = "book/08_theorem1.html", "book/07_psi.html"
FOLDS = "details.code-fold"


@pytest.fixture
def reader(chromium, site):
    """A reader's tab, and what it opens."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    tab = context.new_page()
    tab.set_default_timeout(tool.PATIENCE)

    def opened(page):
        tab.goto(f"{site}/{page}", wait_until="domcontentloaded")
        return tab

    yield opened
    context.close()


def open_folds(tab) -> int:
    return tab.locator(f"{FOLDS}[open]").count()


def test_code_of_figures_is_folded_and_other_code_is_not(reader):
    tab = reader(CHAPTER)
    folded = tab.locator(f"{FOLDS}:not([open]) > summary").all_text_contents()
    assert open_folds(tab) > 20
    assert any(re.fullmatch(r"Code of figure 8\.\d+, \d+ lines", text) for text in folded)
    shown = tab.locator(f"{FOLDS}[open] > summary").all_text_contents()
    assert not any("figure" in text or "solution" in text for text in shown)


def test_the_switch_folds_all_code_by_key_and_is_remembered(reader):
    tab = reader(CHAPTER)
    switch = tab.get_by_role("button", name="Fold all code")
    first = open_folds(tab)
    expect(switch).to_have_attribute("aria-pressed", "false")
    switch.focus()
    tab.keyboard.press("Enter")
    expect(switch).to_have_attribute("aria-pressed", "true")
    assert open_folds(tab) == 0
    tab = reader(NEXT)
    expect(switch).to_have_attribute("aria-pressed", "true")
    assert open_folds(tab) == 0
    switch.click()
    assert open_folds(tab) > 10
    tab = reader(CHAPTER)
    expect(switch).to_have_attribute("aria-pressed", "false")
    assert open_folds(tab) == first


def test_paper_gets_what_the_reader_did_not_fold_away(reader):
    tab = reader(CHAPTER)
    closed = tab.locator("details:not([open])")
    before = closed.count()
    assert before > 10
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert closed.count() == 0
    tab.evaluate("dispatchEvent(new Event('afterprint'))")
    assert closed.count() == before
    tab.get_by_role("button", name="Fold all code").click()
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert open_folds(tab) == 0
    assert tab.locator("details.solution:not([open])").count() == 0
    tab.emulate_media(media="print")
    assert not tab.locator(FOLDS).first.is_visible()


def test_without_scripts_code_is_there_and_no_switch(chromium, site):
    context = chromium.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(f"{site}/{CHAPTER}", wait_until="domcontentloaded")
    assert not tab.locator(".code-switch").is_visible()
    assert tab.locator(f"{FOLDS}[open] pre").first.is_visible()
    title = tab.locator("details.solution > summary").first
    title.click()
    assert tab.locator("details.solution").first.locator("p").first.is_visible()
    context.close()


def test_the_title_of_a_solution_opens_it(reader):
    tab = reader(CHAPTER)
    solution = tab.locator("details.solution").first
    title = solution.locator("summary")
    assert title.inner_text().startswith("Solution to")
    assert title.locator("a").count() == 0
    title.click()
    expect(solution).to_have_attribute("open", "")
    assert tab.url.endswith(CHAPTER)


def test_a_figure_is_enlarged_in_place(reader):
    tab = reader(CHAPTER)
    link = tab.locator("a.enlarge").first
    link.focus()
    tab.keyboard.press("Enter")
    dialog = tab.get_by_role("dialog", name="Figure, enlarged")
    expect(dialog).to_be_visible()
    assert dialog.locator("img").get_attribute("alt") == link.locator("img").get_attribute("alt")
    tab.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(link).to_be_focused()
    assert tab.url.endswith(CHAPTER)


def test_a_link_to_any_page_has_a_description_and_a_picture(chromium, site):
    repository = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]
    home = plain.site_address(repository)
    for page in tool.pages():
        text = (tool.SITE / page).read_text()
        found = dict(re.findall(r'<meta (?:name|property)="([\w:]+)" content="([^"]*)"/>', text))
        assert len(found["description"]) > 30, page
        assert found["og:description"] == found["description"]
        assert found["og:url"].startswith(f"{home}/")
        picture = found["og:image"].removeprefix(f"{home}/")
        assert (tool.SITE / picture).is_file(), page
        assert found["og:image:alt"], page


def test_theorems_are_listed_by_number_and_title():
    text = (tool.SITE / "prf-prf.html").read_text()
    assert "Theorem 8.1: Theorem 1 is tight" in text
    assert "thm-1</" not in text and "Corollaries" in text


def test_works_are_sorted_as_they_are_cited():
    text = (tool.SITE / "book/references.html").read_text()
    labels = re.findall(r'class="fn-bracket">\[</span>(.*?)<span class="fn-bracket">', text)
    assert len(labels) > 20 and "Cohen et al., 2019" in labels
    assert labels == sorted(labels, key=str.casefold)


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
