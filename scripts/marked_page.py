"""The part of a page that a script writes, between two marks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from src.system import atomic_files


def fill(page: Path, begin: str, end: str, lines: Sequence[str]) -> None:
    """Replace the lines between the marks of a page; the rest of it stays.

    Raises:
        ValueError: the page has no such marks, so the rest of it would be lost.
    """
    text = page.read_text(encoding="utf-8")
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{page} lacks the marks {begin} and {end}")
    atomic_files.write_text(page, "\n".join([before + begin, "", *lines, "", end + after]))
