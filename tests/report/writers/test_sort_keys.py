"""The values that the columns of a page are sorted by."""

from __future__ import annotations

import math
from typing import Any

import pytest

from src.report.document import MISSING, Table
from src.report.writers.html import sort_key
from tests.report.pages import report
from tests.report.planted import embedded, pipeline, results, row, there


def undecided(name: str, images_needed: int | None) -> dict[str, Any]:
    content = row(name, verdict="inconclusive", pipeline=[pipeline()])
    content["accuracy"]["images_needed"] = images_needed
    return content


def tables() -> dict[str, Table]:
    """The tables of a report that can be sorted, by name."""
    int8 = row(
        "onnx_int8",
        pipeline=[pipeline()],
        embedded=embedded("onnx_int8_embedded", 0.012),
        instruction_sets=[there("avx2")],
    )
    made = report(results(row("eager", pipeline=[pipeline()]), int8, undecided("few", 1_200_000)))
    sections = ("measurements", "more", "answers", "pipeline", "embedded", "instruction_sets")
    return {name: getattr(made, name).table for name in sections}


@pytest.mark.parametrize("name", list(tables()))
def test_every_column_of_numbers_is_sorted_by_numbers(name: str) -> None:
    table = tables()[name]
    assert table.rows
    for number, head in enumerate(table.heads):
        for cells in (shown.cells for shown in table.rows):
            cell = cells[number]
            if not head.is_text and cell.figure != MISSING:
                assert cell.value is not None, (head.line, cell.figure)
                assert not math.isnan(float(sort_key(cell) or 0))


def test_images_that_would_settle_it_are_sorted_by_their_number() -> None:
    needed = {"ninety": 90, "million": 1_200_000, "thousand": 9_000, "none": None}
    rows = [undecided(name, images) for name, images in needed.items()]
    table = report(results(row("eager"), *rows)).answers.table
    [column] = [
        number
        for number, head in enumerate(table.heads)
        if head.line == "images that would settle it"
    ]
    keys = {shown.name.split()[0]: sort_key(shown.cells[column]) for shown in table.rows}
    names = sorted(needed, key=lambda name: float(keys[name] or math.nan))
    assert names == ["ninety", "thousand", "million", "none"]
    assert keys["none"] == "Infinity"  # as JavaScript reads it


def test_the_worst_class_is_sorted_by_its_loss() -> None:
    rows = []
    for name, delta in (("a", -0.03), ("b", -0.2), ("c", -0.1)):
        content = row(name)
        content["accuracy"]["worst_class"] |= {"name": f"class {name}", "delta": delta}
        rows.append(content)
    table = report(results(row("eager"), *rows)).answers.table
    [column] = [
        number for number, head in enumerate(table.heads) if head.line == "worst class, points"
    ]
    keys = {shown.name.split()[0]: sort_key(shown.cells[column]) for shown in table.rows}
    assert [keys[name] for name in "abc"] == [-0.03, -0.2, -0.1]
