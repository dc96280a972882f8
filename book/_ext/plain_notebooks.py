"""The buttons of a chapter lead to its plain notebook, which the build puts beside the pages.

As authored, a chapter is MyST, and JupyterLab and Colab show its theorems as raw markup. So the
download button gives the plain notebook, and Colab opens it from the branch ``notebooks``, to which
the workflow publishes it.
"""

import sys
from pathlib import Path
from types import ModuleType

from sphinx.application import Sphinx

TOOLS = Path(__file__).resolve().parents[2] / "tools"
FOLDER = "notebooks"


def tool() -> ModuleType:
    """The tool that writes plain notebooks, and knows where the book is published."""
    sys.path.insert(0, str(TOOLS))
    try:
        import plain
    finally:
        sys.path.remove(str(TOOLS))
    return plain


def write_notebooks(app: Sphinx, error: Exception | None) -> None:
    """Put the plain notebooks beside the pages."""
    if error is None and app.builder.format == "html":
        tool().write(Path(app.outdir, FOLDER), log=lambda text: None)


def lead_to_them(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    """Point the buttons of a chapter at its plain notebook."""
    name = f"{page.rpartition('/')[2]}.ipynb"
    if doctree is None or not Path(app.srcdir, f"{page}.ipynb").is_file():
        return
    repository = app.config.html_theme_options["repository_url"].removeprefix("https://github.com/")
    for group in context.get("header_buttons", []):
        for button in group.get("buttons", []):
            if button["text"] == "Colab":
                button["url"] = (
                    f"https://colab.research.google.com/github/{repository}/blob/{FOLDER}/{name}"
                )
            elif button.get("label") == "download-source-button":
                button["url"] = f"{context['pathto'](FOLDER, 1)}/{name}"


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", lead_to_them, priority=900)
    app.connect("build-finished", write_notebooks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
