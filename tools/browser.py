"""Open the pages of the built book in chromium, as a reader would.

    browser.py [PAGE ...]     every page of _build/html without arguments

Every page is opened wide and narrow, light and dark. What it logs, what it asks of other hosts,
whether its formulas were typeset and whether it scrolls sideways is reported; screenshots go to
_build/screenshots.
"""

import contextlib
import functools
import shutil
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "_build/html"
SCREENSHOTS = ROOT / "_build/screenshots"
WIDTHS = (1280, 390)
SCHEMES = ("light", "dark")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
FORMULAS = ".math"
# A long page takes its time where other work goes on beside: milliseconds.
PATIENCE = 240_000


class Visit(NamedTuple):
    """What one page did at one width in one colour scheme."""

    page: str
    width: int
    scheme: str
    errors: list[str]
    external: list[str]
    overflow: int
    formulas: int
    unrendered: int
    background: str

    @property
    def faults(self) -> list[str]:
        """What a reader would complain about."""
        found = [f"logged: {text}" for text in self.errors]
        found += [f"asked another host: {url}" for url in self.external]
        if self.overflow > 0:
            found.append(f"scrolls sideways by {self.overflow} px")
        if self.unrendered:
            found.append(f"{self.unrendered} formulas are not typeset")
        return [f"{self.page} ({self.width} px, {self.scheme}): {fault}" for fault in found]


def chromium_path() -> str | None:
    """The system's chromium, if there is one."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


def pages(site: Path = SITE) -> list[str]:
    """The pages of the site, relative to its root."""
    found = (path.relative_to(site) for path in sorted(site.rglob("*.html")))
    return [path.as_posix() for path in found if path.parts[0] not in ("_static", "_sources")]


@contextlib.contextmanager
def serve(site: Path = SITE) -> Iterator[str]:
    """Serve a folder on a free local port and give its address."""

    class QuietHandler(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

    class QuietServer(ThreadingHTTPServer):
        def handle_error(self, *arguments: object) -> None:
            pass  # a page that is left while it loads drops its connections

    server = QuietServer(("127.0.0.1", 0), functools.partial(QuietHandler, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """The system's chromium, driven by Playwright."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


def settle(page: Page) -> None:
    """Wait until the page has loaded and MathJax, where the page has it, has typeset it."""
    page.wait_for_load_state("networkidle")
    page.evaluate("() => window.MathJax?.startup?.promise")


def visit(browser: Browser, address: str, page: str, width: int, scheme: str) -> Visit:
    """Open one page, take its screenshot and say what it did."""
    errors: list[str] = []
    external: list[str] = []

    def requested(url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob") and not url.startswith(f"{address}/"):
            external.append(url)

    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
    )
    tab = context.new_page()
    tab.set_default_timeout(PATIENCE)
    tab.on("console", lambda m: errors.append(m.text) if m.type in ("error", "warning") else None)
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("request", lambda request: requested(request.url))
    tab.on("requestfailed", lambda request: errors.append(f"failed: {request.url}"))
    tab.goto(f"{address}/{page}")
    settle(tab)
    overflow = tab.evaluate(
        "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    formulas = tab.locator(FORMULAS).count()
    unrendered = formulas - tab.locator(FORMULAS, has=tab.locator("mjx-container")).count()
    background = tab.evaluate("() => getComputedStyle(document.body).backgroundColor")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    name = page.removesuffix(".html").replace("/", "-")
    tab.screenshot(path=SCREENSHOTS / f"{name}-{width}-{scheme}.png", full_page=True)
    context.close()
    return Visit(page, width, scheme, errors, external, overflow, formulas, unrendered, background)


def main(arguments: list[str]) -> int:
    if not SITE.is_dir() or chromium_path() is None:
        print("browser.py needs chromium and a built book (make book)", file=sys.stderr)
        return 2
    found, count = [], 0
    with serve() as address, chromium() as browser:
        for page in arguments or pages():
            for width in WIDTHS:
                for scheme in SCHEMES:
                    count += 1
                    found += visit(browser, address, page, width, scheme).faults
    print("\n".join(found) or f"{count} visits without a fault; see {SCREENSHOTS.name}/")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
