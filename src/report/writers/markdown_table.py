"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from src.report.table import Column, measured
from src.system import quoting

Row = dict[str, Any]


def markdown_table(results: Row, shown: Sequence[Column]) -> str:
    """Columns in GitHub's Markdown."""
    lines = [
        line(column.head.replace("\n", " ") for column in shown),
        rule(column.text for column in shown),
        *(line(column.cell(row) for column in shown) for row in measured(results)),
    ]
    return "\n".join(lines)


def line(cells: Iterable[str], *, bold: bool = False) -> str:
    """The cells, which are plain text, as one line of a table."""
    mark = "**" if bold else ""
    shown = (f"{mark}{quoting.markdown(cell, in_table=True)}{mark}" for cell in cells)
    return f"| {' | '.join(shown)} |"


def rule(text: Iterable[bool]) -> str:
    """The line below a table's head: which columns are text, aligned to the left."""
    return f"| {' | '.join('---' if each else '---:' for each in text)} |"


def items(sentences: Iterable[str]) -> Iterator[str]:
    """Plain text as a list, a line each."""
    return (f"- {quoting.markdown(sentence)}" for sentence in sentences)
