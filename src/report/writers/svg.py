"""Charts as SVG elements of an HTML page, in the colours of the page."""

from __future__ import annotations

import io
import re

from markupsafe import Markup

from src.report.charts.chart import Chart
from src.report.charts.style import FAINT, GRID, INK, NARROW, WIDE, house

_VARIABLES = {INK: "var(--ink)", FAINT: "var(--faint)", GRID: "var(--line)"}  # of page.css


def slim(chart: Chart) -> Markup:
    """Return a chart for a phone."""
    return _inline(chart, NARROW, "slim")


def broad(chart: Chart) -> Markup:
    """Return a chart for a wider page."""
    return _inline(chart, WIDE, "broad")


def _inline(chart: Chart, width: float, kind: str) -> Markup:
    """Return a chart as an SVG element of the CSS class ``kind``, with ids unique in the page."""
    prefix = f"{chart.name}-{kind}"
    figure = chart.draw(width)
    buffer = io.StringIO()
    with house():
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r' (width|height)="[\d.]+pt"', "", text, count=2)
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text)
    # matplotlib uses the same ids in all figures: a prefix keeps them apart in one page.
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = re.sub(r'(xlink:)?href="#', f'href="#{prefix}-', text)
    text = text.replace("url(#", f"url(#{prefix}-")
    for color, variable in _VARIABLES.items():
        text = text.replace(color, variable)
    label = Markup(' class="{}" role="img" aria-label="{}"').format(kind, chart.description)
    return Markup(text.replace("<svg", f"<svg{label}", 1))  # noqa: S704  # matplotlib escapes text
