"""Tables as plain text."""

from collections.abc import Sequence
from typing import NamedTuple

from pmi_kernel.core.visible import visible_line


class Table(NamedTuple):
    """What a table shows, and what it says of it."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def render_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, max_chars: int = 44
) -> str:
    """Return a table of text columns, each cell cut to `max_chars`."""
    cells = [[_cut(cell, max_chars) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in cells
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(line.rstrip() for line in lines)


def _cut(text: str, max_chars: int) -> str:
    line = visible_line(text)
    return line if len(line) <= max_chars else line[: max_chars - 1] + "…"
