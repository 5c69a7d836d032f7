"""Pages of a measurement as the report stage makes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from src.report.charts.class_accuracy import class_chart
from src.report.charts.measured import charts
from src.report.sections.report import report_of
from src.report.writers import html, markdown


def html_page(results: dict[str, Any], flipped: Path) -> str:
    """Return ``report.html``, with pictures from the folder ``flipped``."""
    by_class = class_chart(results)
    shown = [*charts(results), *([by_class] if by_class else [])]
    return html.page(report_of(results), shown, flipped)


def markdown_page(results: dict[str, Any], *pictures: str) -> str:
    """Return ``report.md``, with pictures of these names beside it."""
    return markdown.page(report_of(results), pictures)
