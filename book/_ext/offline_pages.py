"""Pages that load nothing from the network and log nothing to the console.

Jupyter Book always loads sphinx-thebe, which declares its constants twice on every page and names
a script of a content delivery network. The book offers no Thebe button, so all of it goes.
"""

from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config


def drop_thebe(app: Sphinx, config: Config) -> None:
    """Disconnect the listeners of sphinx-thebe and drop its style sheet."""
    for listeners in app.events.listeners.values():
        listeners[:] = [
            listener
            for listener in listeners
            if not listener.handler.__module__.startswith("sphinx_thebe")
        ]
    sheets = app.registry.css_files
    sheets[:] = [sheet for sheet in sheets if sheet[0] != "sphinx-thebe.css"]


def load_mathjax_in_parts(app: Sphinx, config: Config) -> None:
    """Let MathJax load what _config.yml names, not all that one of its bundles has."""
    config.mathjax_path = "mathjax/startup.js"


def give_redirect_an_icon(app: Sphinx, error: Exception | None) -> None:
    """Give the redirect at the root an empty icon, or browsers ask for a /favicon.ico."""
    page, icon = Path(app.outdir, "index.html"), '<link rel="icon" href="data:,">\n'
    if error is None and page.is_file() and icon not in page.read_text(encoding="utf-8"):
        page.write_text(icon + page.read_text(encoding="utf-8"), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", drop_thebe, priority=900)
    app.connect("config-inited", load_mathjax_in_parts, priority=900)
    app.connect("build-finished", give_redirect_an_icon, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
