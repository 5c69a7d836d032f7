"""Pages of a measurement as the report stage makes them."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest
from markupsafe import Markup
from msgspec.structs import force_setattr

from src.report.charts.chart import Chart
from src.report.charts.class_accuracy import class_chart
from src.report.charts.measured import charts
from src.report.document import Column
from src.report.sections import measurements
from src.report.sections.card import File
from src.report.sections.report import Report, report_of
from src.report.writers import cards, html, markdown, svg
from src.run.facts import Network
from src.run.manifest import Manifest
from src.run.reading import convert
from src.run.results import Results
from src.run.row import Row

Content = dict[str, Any]  # of a benchmark.json
NetworkT = TypeVar("NetworkT", bound=Network)
_drawn: dict[tuple[str, bytes], Markup] = {}


def record(content: Content | Results) -> Results:
    """Return the record of a measurement, with any class names."""
    return content if isinstance(content, Results) else with_any_names(content, Results)


def report(content: Content | Results) -> Report:
    """Return the report of a measurement."""
    return report_of(record(content))


def html_page(content: Content | Results, flipped: Path, *, anew: bool = False) -> str:
    """Return ``report.html``.

    Args:
        content: the measurement.
        flipped: the folder of the flipped images.
        anew: draw all charts. By default one that was drawn of the same figures is taken again, as
            drawing takes most of the time.
    """
    results = record(content)
    by_class = class_chart(results)
    shown = [*charts(results), *([by_class] if by_class else [])]
    with pytest.MonkeyPatch.context() as patch:
        if not anew:
            patch.setattr(svg, "slim", _once(svg.slim))
            patch.setattr(svg, "broad", _once(svg.broad))
        return html.page(report_of(results), shown, flipped)


def _once(draw: Callable[[Chart], Markup]) -> Callable[[Chart], Markup]:
    """Return a function that draws each chart once."""

    def drawn(chart: Chart) -> Markup:
        # All that a chart is drawn of: its function and the figures.
        key = draw.__name__, pickle.dumps(chart)
        if key not in _drawn:
            _drawn[key] = draw(chart)
        return _drawn[key]

    return drawn


def markdown_page(content: Content | Results, images: Sequence[str] = ()) -> str:
    """Return ``report.md``, with images of these names beside it."""
    return markdown.page(report(content), images)


def card(name: str, content: dict[str, Any] | Manifest, measured: Content | Results | None) -> str:
    """Return the card of a format, whose files are as the manifest lists them."""
    manifest = content
    if not isinstance(manifest, Manifest):
        manifest = with_any_names(manifest, Manifest)
    listed = manifest.formats[name].files
    files = [File(file.path, file.bytes, file.sha256 or "") for file in listed]
    return cards.card(name, manifest, files, None if measured is None else record(measured))


def with_any_names(content: dict[str, Any], kind: type[NetworkT]) -> NetworkT:
    """Return a record whose class names are not checked: a page must be safe by itself."""
    names = content["class_names"]
    checked = convert(
        {**content, "class_names": [str(number) for number in range(len(names))]}, kind
    )
    force_setattr(checked, "class_names", names)
    return checked


def cells(
    content: Content,
    name: str,
    columns: Callable[[Results], list[Column[Row]]] = measurements.columns,
) -> dict[str, str]:
    """Return the texts of a format's row by the heads of the columns."""
    results = record(content)
    row = next(row for row in results.rows if row.format == name)
    return {column.head.replace("\n", " "): column.cell(row).text for column in columns(results)}


def footnotes(content: Content) -> Sequence[str]:
    """Return the footnotes of the main table."""
    return report(content).unmeasured


def main_table(content: Content | Results) -> str:
    """Return the main table in Markdown."""
    return "\n".join(markdown.table_lines(report(content).measurements.table))
