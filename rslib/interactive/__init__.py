"""Interactive figures that need no kernel: HTML, SVG and a little JavaScript.

They work in the rendered page, offline, and in JupyterLab and Colab after the cell has run. The
first state makes sense where scripts are off; colours follow the page, light or dark; mouse, touch
and keyboard move the same handles. Every number in them is that of `certificates` and `confidence`.
"""

from rslib.interactive._bent_scale import bent_scale
from rslib.interactive._vote import vote
from rslib.interactive._worst_case import worst_case
from rslib.interactive.figure import Figure

__all__ = ["Figure", "bent_scale", "vote", "worst_case"]
