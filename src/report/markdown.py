"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from src.report.table import Column, measured

Row = dict[str, Any]


def markdown_table(results: Row, shown: Sequence[Column]) -> str:
    """Columns in GitHub's Markdown."""
    lines = [
        [column.head.replace("\n", " ") for column in shown],
        ["---" if column.text else "---:" for column in shown],
        *([column.cell(row) for column in shown] for row in measured(results)),
    ]
    return "\n".join(map(line, lines))


def line(cells: Iterable[str]) -> str:
    """The cells as one line of a table."""
    return f"| {' | '.join(map(escape, cells))} |"


def escape(text: str) -> str:
    """``text`` as a cell of a table, in which it makes no cell and no tag."""
    return text.replace("|", "\\|").replace("<", "&lt;")
