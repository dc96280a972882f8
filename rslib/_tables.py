"""Tables for people and for programs, from lines of cells."""

from __future__ import annotations

import csv
import io
from decimal import Decimal

FORMATS = ("table", "markdown", "latex", "csv", "json")


def check_format(format: str) -> None:
    if format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {format!r}")


def percent(confidence: float) -> str:
    """A confidence as people write it: 95%, 99.9%."""
    return f"{(Decimal(str(confidence)) * 100).normalize():f}%"


def cell(value: float | None, exact: bool) -> str:
    if value is None:
        return "n/a"
    return str(value) if exact else f"{value:.3f}"


def laid_out(lines: list[list[str]], format: str) -> str:
    if format == "csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(lines)
        return text.getvalue().removesuffix("\n")
    return _latex(lines) if format == "latex" else _aligned(lines, markdown=format == "markdown")


def _aligned(lines: list[list[str]], markdown: bool) -> str:
    """Columns of equal width, the first to the left, numbers to the right."""
    if markdown:
        lines = [[cell.replace("|", r"\|") for cell in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = [[line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])] for line in lines]
    if not markdown:
        return "\n".join("  ".join(line).rstrip() for line in padded)
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(f"| {' | '.join(line)} |" for line in [padded[0], rule, *padded[1:]])


# What LaTeX reads as a command, and the signs that plain LaTeX has only as one.
_LATEX = str.maketrans(
    {character: rf"\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"±": r"$\pm$", "≥": r"$\geq$"}
)


def _latex(lines: list[list[str]]) -> str:
    """A tabular that needs no package."""
    body = [" & ".join(cell.translate(_LATEX) for cell in line) + r" \\" for line in lines]
    columns = "l" + "r" * (len(lines[0]) - 1)
    begin = rf"\begin{{tabular}}{{{columns}}}"
    rule = r"\hline"
    return "\n".join([begin, rule, body[0], rule, *body[1:], rule, r"\end{tabular}"])
