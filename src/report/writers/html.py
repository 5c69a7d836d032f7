"""``report.html``: one page that needs no other file and no network."""

from __future__ import annotations

import base64
import math
import secrets
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from src.report.charts.chart import Chart
from src.report.charts.flipped import is_own
from src.report.document import MISSING, Cell, Head, Table
from src.report.sections.report import Report
from src.report.writers import svg
from src.run.folder import LOG_FOLDER
from src.run.row import Row

MOST_IMAGES = 12  # flipped images of a row; the page contains them
_OUTCOME_CLASSES = {"lost": "fail", "gained": "pass", "still wrong": "inconclusive"}
_HEAD_WIDTH = 12  # characters


def environment() -> Environment:
    """Return the templates. They escape all text, so no name becomes markup."""
    templates = Environment(
        loader=PackageLoader("src.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {
        "compact": compact,
        "ranked": ranked,
        "cell_class": cell_class,
        "sort_key": sort_key,
        "slim": svg.slim,
        "broad": svg.broad,
    }
    return templates


def page(report: Report, charts: Sequence[Chart], flipped: Path) -> str:
    """Return the page of one run.

    Args:
        report: the report of the run.
        charts: the charts to show.
        flipped: the folder of the images that some row classifies differently from the baseline.
    """
    by_name = {chart.name: chart for chart in charts}
    named = {
        name: by_name.pop(name, None)
        for name in ("tradeoff", "training", "per_class", "pipeline", "load")
    }
    templates = environment()
    templates.filters["flipped_image"] = lambda name: _data(flipped / name)
    return templates.get_template("report.html").render(
        report=report,
        charts=list(by_name.values()),
        missing=MISSING,
        most_images=MOST_IMAGES,
        outcome_classes=_OUTCOME_CLASSES,
        logs=LOG_FOLDER,
        **named,
    )


def file_attributes(row: Row, **names: str) -> dict[str, str]:
    """Return the data attributes of a table's row, by which a script finds the row's file.

    Args:
        row: the row of the file.
        names: further ones, without ``data-``.
    """
    named = {**names, "format": row.format, "device": row.device}
    return {f"data-{name}": value for name, value in named.items()}


def with_unique_ids(charts: Sequence[Chart]) -> list[Chart]:
    """Return the charts with names of which the same page may have any number.

    The ids within a chart begin with its name, and a page has each id once.
    """
    token = secrets.token_hex(4)
    return [replace(chart, name=f"{chart.name}-{token}") for chart in charts]


def compact(table: Table) -> Table:
    """Return a table of figures without empty columns, with heads as narrow as figures.

    The columns that name a row stay, except the device if there is only one.
    """
    kept = [
        number
        for number, head in enumerate(table.heads)
        if number < table.keys
        or (
            not (head.is_text and head.is_detail)
            and any(row.cells[number].figure != MISSING for row in table.measured)
        )
    ]
    heads = [table.heads[number] for number in kept]
    return replace(
        table,
        heads=[head._replace(name=_broken(head.name)) for head in heads],
        rows=[
            replace(row, cells=[row.cells[number] for number in kept if number < len(row.cells)])
            for row in table.rows
        ],
    )


def ranked(table: Table) -> Table:
    """Return a table with a column that names the rows: their ranks, if it has no other."""
    if table.keys:
        return table
    return replace(
        table,
        heads=[Head("rank", is_text=True), *table.heads],
        rows=[replace(row, cells=[Cell(row.name), *row.cells]) for row in table.rows],
        keys=1,
    )


def cell_class(cell: Cell, head: Head) -> str:
    """Return the CSS classes of a cell, which align and colour it."""
    names = ["text" if head.is_text else "", cell.verdict, "best" if cell.is_best else ""]
    return " ".join(name for name in names if name)


def sort_key(cell: Cell) -> float | str | None:
    """Return the value that a cell is sorted by; None for a missing one, which is sorted last.

    Infinity is written as JavaScript reads it.
    """
    if cell.value is None and cell.figure != MISSING:
        return cell.figure
    return "Infinity" if cell.value == math.inf else cell.value


def _broken(head: str) -> str:
    """Return a head in short lines."""
    return head if "\n" in head else textwrap.fill(head, _HEAD_WIDTH)


def _data(image: Path) -> str | None:
    """Return an image file as a data URI; None if there is no such file."""
    if not is_own(image):
        return None
    return f"data:image/png;base64,{base64.b64encode(image.read_bytes()).decode('ascii')}"
