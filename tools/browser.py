"""Open the pages of the built book in chromium, as a reader would, and print a table of them.

    browser.py [PAGE ...]     every page of _build/html without arguments

Every page is opened wide and narrow, and looked at light and dark: what it weighs, what it logs
and asks of other hosts, whether its formulas are typeset and can be read to their end, whether it
or its code is wider than the column, where the tab key leads, and what axe-core finds. Screenshots
go to _build/screenshots. Exits 1 if a reader would complain.
"""

import argparse
import contextlib
import functools
import gzip
import importlib.resources
import shutil
import sys
import threading
from collections.abc import Iterable, Iterator
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
#: Bytes of a page with all that it loads, as they are after unpacking.
HEAVIEST = 2_000_000
#: Bytes, packed, that must arrive before there is text: 2.5 seconds at 1.6 Mbit/s, which leaves
#: half a second of the three for asking.
LATEST = 500_000

# What a page is like once it is there. An element can be read to its end if nothing that cannot
# scroll cuts it off; what lies to the left of a scrolling box's beginning is out of reach, too.
LOOK = """() => {
  const article = document.querySelector("article") ?? document.body;
  const cut = element => {
    const at = element.getBoundingClientRect();
    if (at.width === 0) return false;
    for (let box = element.parentElement; box; box = box.parentElement) {
      const edge = box === document.documentElement
        ? {left: 0, right: innerWidth} : box.getBoundingClientRect();
      const flow = getComputedStyle(box).overflowX;
      if (flow === "visible" && box !== document.documentElement) continue;
      if (at.left < edge.left - 1 - box.scrollLeft) return true;
      if (flow === "auto" || flow === "scroll") return false;
      if (at.right > edge.right + 1) return true;
    }
    return false;
  };
  const shown = element => element.checkVisibility({visibilityProperty: true});
  const stops = [...article.querySelectorAll(
    "a[href], button, input, select, textarea, summary, [tabindex]")]
    .filter(element => element.tabIndex >= 0 && shown(element));
  const control = stops.findIndex(
    element => element.matches("button, input, select, textarea, summary"));
  const files = performance.getEntriesByType("resource")
    .filter(file => !file.name.startsWith("data:"));
  const itself = performance.getEntriesByType("navigation")[0];
  return {
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    background: getComputedStyle(document.body).backgroundColor,
    cut: [...article.querySelectorAll("mjx-container")].filter(cut).length,
    stretched: [...article.querySelectorAll("img")].filter(image => {
      const style = getComputedStyle(image), pad = side => parseFloat(style["padding" + side]);
      const width = image.clientWidth - pad("Left") - pad("Right");
      const height = image.clientHeight - pad("Top") - pad("Bottom");
      const should = image.naturalWidth / image.naturalHeight;
      return width > 1 && should > 0 && Math.abs(width / height / should - 1) > 0.03;
    }).length,
    wide: [...article.querySelectorAll("pre")]
      .filter(box => shown(box) && box.scrollWidth > box.clientWidth + 1)
      .map(box => box.textContent.trim().slice(0, 40)),
    formula_stops: stops.filter(element => element.matches(".math, .math *")
      && element.scrollWidth <= element.clientWidth + 1).length,
    unreached: [...article.querySelectorAll(".math, mjx-container")]
      .filter(box => box.scrollWidth > box.clientWidth + 1 && box.tabIndex < 0
        && /auto|scroll/.test(getComputedStyle(box).overflowX)).length,
    stops_before_control: control < 0 ? stops.length : control,
    weight: files.reduce((sum, file) => sum + file.decodedBodySize, itself.decodedBodySize),
    requests: files.length + 1,
    first: files.filter(file => file.renderBlockingStatus === "blocking")
      .reduce((sum, file) => sum + file.encodedBodySize, itself.encodedBodySize),
  };
}"""
# The letters inside a formula take their colour from the text around it. They are thousands, and
# axe-core takes a minute over them: so each formula is one letter to it, and whether a key reaches
# those that scroll is asked before.
PLAIN_FORMULAS = """() => document.querySelectorAll("mjx-container").forEach(
  formula => formula.replaceWith("x"))"""
# The words of code have a colour each, and are thousands, too. Chapters are coloured alike: two
# are looked at with their colours, and elsewhere code is one text to axe-core.
COLOURED = ("book/05_jensen.html", "book/12_sound.html")
PLAIN_CODE = """() => document.querySelectorAll("pre").forEach(
  code => { code.textContent = code.textContent; })"""
PICTURES = """() => Promise.all([...document.images].map(image => {
  image.loading = "eager";
  return image.decode().catch(() => {});
}))"""
AXE = """options => axe.run(document, options).then(found => found.violations.map(rule =>
  `${rule.id}, ${rule.nodes.length} times: ${rule.nodes[0].target.join(" ")} ` +
  ([...rule.nodes[0].any, ...rule.nodes[0].all, ...rule.nodes[0].none][0]?.message ?? "")))"""
#: The rules that look at colours.
COLOUR_RULES = ["color-contrast", "link-in-text-block"]


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
    weight: int
    requests: int
    first: int
    cut: int
    stretched: int
    wide: list[str]
    formula_stops: int
    unreached: int
    stops_before_control: int
    axe: list[str]

    @property
    def faults(self) -> list[str]:
        """What a reader would complain about."""
        found = [f"logged: {text}" for text in self.errors]
        found += [f"asked another host: {url}" for url in self.external]
        if self.overflow > 0:
            found.append(f"scrolls sideways by {self.overflow} px")
        if self.unrendered:
            found.append(f"{self.unrendered} formulas are not typeset")
        if self.cut:
            found.append(f"{self.cut} formulas are cut off and cannot be scrolled")
        if self.stretched:
            found.append(f"{self.stretched} pictures are out of shape")
        if self.formula_stops:
            found.append(f"the tab key stops at {self.formula_stops} formulas")
        if self.unreached:
            found.append(f"no key reaches {self.unreached} formulas that scroll")
        if self.weight > HEAVIEST:
            found.append(f"weighs {self.weight / 1e6:.2f} MB, more than {HEAVIEST / 1e6:.0f}")
        if self.first > LATEST:
            found.append(f"shows no text before {self.first / 1e3:.0f} kB are there")
        if self.width == max(WIDTHS):
            found += [f"wider than the column: {text!r}" for text in self.wide]
        found += [f"axe: {text}" for text in self.axe]
        return [f"{self.page} ({self.width} px, {self.scheme}): {fault}" for fault in found]


def chromium_path() -> str | None:
    """The system's chromium, if there is one."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


def pages(site: Path = SITE) -> list[str]:
    """The pages of the site, relative to its root."""
    found = (path.relative_to(site) for path in sorted(site.rglob("*.html")))
    return [path.as_posix() for path in found if path.parts[0] not in ("_static", "_sources")]


@functools.cache
def packed(path: Path, changed: float) -> bytes:
    """A file's bytes as a web server packs them; `changed` is when it was written."""
    return gzip.compress(path.read_bytes(), 6, mtime=0)


@contextlib.contextmanager
def serve(site: Path = SITE) -> Iterator[str]:
    """Serve a folder on a free local port, text packed, and give its address."""

    class QuietHandler(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

        def do_GET(self) -> None:
            path = Path(self.translate_path(self.path))
            path = path / "index.html" if path.is_dir() else path
            if path.suffix not in (".html", ".js", ".css", ".svg") or not path.is_file():
                super().do_GET()
                return
            body = packed(path, path.stat().st_mtime)
            self.send_response(200)
            self.send_header("Content-Type", self.guess_type(str(path)))
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

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
    # What the page's own script does then is done two frames later.
    page.evaluate("() => new Promise(done => setTimeout(() => requestAnimationFrame(done), 50))")


@functools.cache
def axe_script() -> str:
    """axe-core, as the package of the tests brings it."""
    return (importlib.resources.files("axe_playwright_python") / "axe.min.js").read_text("utf-8")


def axe(tab: Page, rules: list[str] | None = None) -> list[str]:
    """What axe-core finds on a page: the rule, the element and what is wrong with it."""
    if not tab.evaluate("() => 'axe' in window"):
        tab.evaluate(axe_script())
    options = {"runOnly": {"type": "rule", "values": rules}} if rules else {}
    return tab.evaluate(AXE, options | {"resultTypes": ["violations"], "preload": False})


def visits(
    browser: Browser,
    address: str,
    page: str,
    width: int,
    schemes: Iterable[str] = SCHEMES,
    screenshots: bool = True,
) -> list[Visit]:
    """Open one page at one width, look at it in each scheme and say what it did."""
    errors: list[str] = []
    external: list[str] = []

    def requested(url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob") and not url.startswith(f"{address}/"):
            external.append(url)

    def logged(text: str, kind: str, source: str) -> None:
        if kind in ("error", "warning"):
            errors.append(f"{text} ({source.removeprefix(address)})")

    first, *others = schemes
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=first, reduced_motion="reduce"
    )
    tab = context.new_page()
    tab.set_default_timeout(PATIENCE)
    tab.on("console", lambda m: logged(m.text, m.type, m.location.get("url", "")))
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("request", lambda request: requested(request.url))
    tab.on("requestfailed", lambda request: errors.append(f"failed: {request.url}"))
    tab.goto(f"{address}/{page}")
    looks = []
    for scheme in (first, *others):
        tab.emulate_media(color_scheme=scheme)
        settle(tab)
        formulas = tab.locator(FORMULAS).count()
        typeset = tab.locator(FORMULAS, has=tab.locator("mjx-container")).count()
        look = {"formulas": formulas, "unrendered": formulas - typeset, **tab.evaluate(LOOK)}
        if looks:  # what it weighs is what it loads when it is opened
            look |= {name: looks[0][name] for name in ("weight", "requests", "first")}
        looks.append(look)
        if screenshots:
            SCREENSHOTS.mkdir(parents=True, exist_ok=True)
            name = page.removesuffix(".html").replace("/", "-")
            tab.evaluate(PICTURES)
            tab.screenshot(path=SCREENSHOTS / f"{name}-{width}-{scheme}.png", full_page=True)
    tab.evaluate(PLAIN_FORMULAS)
    if page not in COLOURED:
        tab.evaluate(PLAIN_CODE)
    found = []
    for scheme, look in reversed(list(zip((first, *others), looks, strict=True))):
        tab.emulate_media(color_scheme=scheme)
        # What does not depend on the colours is the same in both schemes.
        axed = axe(tab, None if scheme == first else COLOUR_RULES)
        found.append(Visit(page, width, scheme, errors, external, axe=axed, **look))
    context.close()
    return found[::-1]


def visit(browser: Browser, address: str, page: str, width: int, scheme: str) -> Visit:
    """Open one page, take its screenshot and say what it did."""
    return visits(browser, address, page, width, (scheme,))[0]


COLUMNS = (
    ("kB", lambda of: f"{max(v.weight for v in of) / 1e3:.0f}"),
    ("requests", lambda of: max(v.requests for v in of)),
    ("kB to text", lambda of: f"{max(v.first for v in of) / 1e3:.0f}"),
    ("logged", lambda of: len({text for v in of for text in v.errors})),
    ("hosts", lambda of: len({url for v in of for url in v.external})),
    ("axe", lambda of: len({text for v in of for text in v.axe})),
    ("sideways", lambda of: max(v.overflow for v in of)),
    ("formulas", lambda of: of[0].formulas),
    ("cut", lambda of: max(v.cut for v in of)),
    ("stretched", lambda of: max(v.stretched for v in of)),
    ("wide code", lambda of: max(len(v.wide) for v in of if v.width == max(WIDTHS))),
    ("stops at formulas", lambda of: max(v.formula_stops for v in of)),
    ("no key", lambda of: max(v.unreached for v in of)),
    ("before a control", lambda of: max(v.stops_before_control for v in of)),
)


def table(found: list[Visit]) -> str:
    """A row for every page: the worst of its visits."""
    rows = [["page", *(name for name, _ in COLUMNS)]]
    for page in dict.fromkeys(visit.page for visit in found):
        of = [visit for visit in found if visit.page == page]
        rows.append([page, *(str(value(of)) for _, value in COLUMNS)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        row[0].ljust(widths[0]) + "".join(f"  {c:>{w}}" for c, w in zip(row[1:], widths[1:]))
        for row in rows
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("page", nargs="*", help="for example book/intro.html (default: all)")
    parser.add_argument("--no-screenshots", action="store_true", help="measure only")
    options = parser.parse_args(arguments)
    if not SITE.is_dir() or chromium_path() is None:
        print("browser.py needs chromium and a built book (make book)", file=sys.stderr)
        return 2
    found: list[Visit] = []
    with serve() as address, chromium() as browser:
        for page in options.page or pages():
            for width in WIDTHS:
                found += visits(
                    browser, address, page, width, screenshots=not options.no_screenshots
                )
    print(table(found))
    faults = [fault for visit in found for fault in visit.faults]
    print("\n".join(["", *faults]) if faults else f"{len(found)} visits without a fault")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
