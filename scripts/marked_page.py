"""The part of a page that a script writes, between two marks."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from src.system import atomic_files


def require(page: Path, begin: str, end: str) -> None:
    """End the command with one line unless a page has each mark once, in this order.

    It is called before the minutes or hours of work that the page is filled with.
    """
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        sys.exit(
            f"error: page: expected a page with the marks of the table, {begin} and {end}, "
            f"once each; found {page}; put them where the table belongs"
        )


def fill(page: Path, begin: str, end: str, lines: Sequence[str]) -> None:
    """Replace the lines between the marks of a page; the rest of it stays.

    A page without the marks ends the command, or the rest of the page would be lost.
    """
    require(page, begin, end)
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    after = rest.partition(end)[2]
    atomic_files.write_text(page, "\n".join([before + begin, "", *lines, "", end + after]))
