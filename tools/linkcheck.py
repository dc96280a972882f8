"""Check that every internal link of a built site has a target.

    linkcheck.py _build/html

Follows href, src and srcset of every page to a file of the site and, after a "#", to an id on that
page. Links to other sites are counted, not followed: the check needs no network.
"""

import argparse
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """The links and the anchors of one page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if value is None:
                continue
            if name in ("href", "src"):
                self.links.append(value)
            elif name == "srcset":
                self.links += [candidate.split()[0] for candidate in value.split(",")]
            elif name == "id" or (name == "name" and tag == "a"):
                self.anchors.add(value)


@cache
def read_page(path: Path) -> Page:
    """The page of a file, parsed once."""
    return Page(path.read_text(encoding="utf-8"))


def broken_links(site: Path) -> tuple[list[str], int, int]:
    """The broken internal links below a folder, and how many internal and external links it has."""
    site = site.resolve()
    broken, internal, external = [], 0, 0
    for path in sorted(site.rglob("*.html")):
        if "_static" in path.relative_to(site).parts:
            continue
        for link in read_page(path).links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                external += 1
                continue
            internal += 1
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            if not target.is_relative_to(site) or not target.is_file():
                broken.append(f"{path.relative_to(site)}: no file for {link}")
            elif parts.fragment and target.suffix == ".html":
                anchors = read_page(target).anchors
                if unquote(parts.fragment) not in anchors:
                    broken.append(f"{path.relative_to(site)}: no anchor for {link}")
    return broken, internal, external


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("site", type=Path, help="a folder of built pages, such as _build/html")
    site = parser.parse_args(arguments).site
    if not site.is_dir():
        parser.error(f"{site} is no folder; build the book first: make book")
    broken, internal, external = broken_links(site)
    if internal == 0:
        broken.append(f"{site}: no links at all, so nothing was built there")
    verdict = f"{internal} internal links have a target; {external} lead to other sites"
    print("\n".join(broken) or verdict)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
