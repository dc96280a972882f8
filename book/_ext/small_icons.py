"""The icon font, cut down to the icons that the pages show: 400 kB become ten.

The theme brings two thousand icons in three fonts and their style sheet. Which ones are used is
read off the built pages, their scripts and their style sheets.
"""

import logging
import re
from pathlib import Path

from fontTools import subset
from sphinx.application import Sphinx

# The theme's own style sheet still calls them by the names of version 5, too.
FONTS = {
    "fa-solid-900": ("Font Awesome {} Free", 900),
    "fa-regular-400": ("Font Awesome {} Free", 400),
    "fa-brands-400": ("Font Awesome {} Brands", 400),
}
VERSIONS = (6, 5)
FACE = (
    '@font-face{{font-family:"{family}";font-style:normal;font-weight:{weight};'
    'font-display:block;src:url(../webfonts/{name}.woff) format("woff")}}\n'
)
_GLYPH = re.compile(r"((?:\.fa-[\w-]+:{1,2}before,?)+)\{content:\"\\?([^\"]+)\"\}")
_CLASS = re.compile(r"\bfa-[\w-]+")
_CODE = re.compile(r"\\(f[0-9a-f]{3})\b")


def used(site: Path, home: Path) -> tuple[set[str], set[str]]:
    """The classes and the code points of icons that anything but the font itself names."""
    classes: set[str] = set()
    codes: set[str] = set()
    for path in site.rglob("*"):
        if home in path.parents or "mathjax" in path.parts:
            continue
        if path.suffix in (".html", ".js"):
            classes.update(_CLASS.findall(path.read_text(encoding="utf-8", errors="replace")))
        elif path.suffix == ".css":
            text = path.read_text(encoding="utf-8")
            codes.update(_CODE.findall(text))
            codes.update(f"{ord(letter):x}" for letter in text if "\ue000" <= letter <= "\uf8ff")
    return classes, codes


def sheet(original: str, classes: set[str]) -> tuple[str, set[str]]:
    """The style sheet without its fonts and without unused icons, and the code points it names."""
    codes: set[str] = set()

    def glyph(match: re.Match) -> str:
        names = {name.partition(":")[0].lstrip(".") for name in match[1].split(",")}
        if not names & classes:
            return ""
        codes.add(match[2])
        return match[0]

    kept = _GLYPH.sub(glyph, original)
    return re.sub(r"@font-face\{[^}]*\}", "", kept), codes


def shrink(app: Sphinx, error: Exception | None) -> None:
    """Write small fonts and their style sheet over the theme's own."""
    if error is not None or app.builder.format != "html":
        return
    import pydata_sphinx_theme

    logging.getLogger("fontTools").setLevel(logging.WARNING)  # it tells of every table
    theme = Path(pydata_sphinx_theme.__file__).parent / "theme/pydata_sphinx_theme/static"
    (source,) = (theme / "vendor/fontawesome").iterdir()
    home = Path(app.outdir, "_static/vendor/fontawesome") / source.name
    classes, codes = used(Path(app.outdir), home)
    style, named = sheet((source / "css/all.min.css").read_text(encoding="utf-8"), classes)
    faces = ""
    for name, (family, weight) in FONTS.items():
        options = subset.Options(flavor="woff", layout_features=[], notdef_outline=True)
        font = subset.load_font(str(source / f"webfonts/{name}.ttf"), options)
        wanted = {int(code, 16) for code in codes | named} & set(font.getBestCmap())
        if wanted:
            subsetter = subset.Subsetter(options)
            subsetter.populate(unicodes=wanted)
            subsetter.subset(font)
            subset.save_font(font, str(home / f"webfonts/{name}.woff"), options)
            for version in VERSIONS:
                faces += FACE.format(family=family.format(version), weight=weight, name=name)
        font.close()
    (home / "css/all.min.css").write_text(style + faces, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", shrink, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
