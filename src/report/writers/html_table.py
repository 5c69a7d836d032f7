"""Tables as the templates of the pages take them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from src.report.table import MISSING, Column, measured
from src.report.verdicts import page_class

Row = dict[str, Any]


def grid(results: Row, shown: Sequence[Column], *, everything: bool = False) -> Row:
    """A table as the templates take it.

    Args:
        results: the content of ``benchmark.json``.
        shown: its columns, the first of which names the row.
        everything: with the rows that were not measured, and why.

    Returns:
        ``heads`` and ``rows``, without the columns in which nothing was measured.
    """
    rows = measured(results)
    named = 2 if everything else 1  # columns, which rows without figures have as well
    shown = [
        column
        for number, column in enumerate(shown)
        if number < named
        or (
            (everything or not column.detail or not column.text)
            and any(column.cell(row) != MISSING for row in rows)
        )
    ]
    best = {column.head: _best(column, rows) for column in shown if column.best}
    recommended = {(name, device) for device, name in results.get("recommended", {}).items()}
    lines = []
    for row in results["rows"]:
        line: Row = {
            "name": f"{row['format']} {row['device']}",
            "status": row["status"],
            "reason": None,
            "chosen": False,
        }
        if row["status"] == "ok":
            line["cells"] = [_cell(column, row, best.get(column.head)) for column in shown]
            line["chosen"] = everything and (row["format"], row["device"]) in recommended
        elif everything:
            line["cells"] = [_cell(column, row, None) for column in shown[:named]]
            line["reason"] = row["reason"]
        else:
            continue
        lines.append(line)
    heads = [{"name": _broken(column.head), "text": column.text} for column in shown]
    return {"heads": heads, "rows": lines}


def _broken(head: str) -> str:
    """A head in short lines: a column is as wide as its figures."""
    return head if "\n" in head else textwrap.fill(head, 12)


def _cell(column: Column, row: Row, best: str | None) -> Row:
    text = column.cell(row)
    figure, _, cause = text.partition(" ~")
    value, _, interval = figure.partition(" [") if not column.text else (figure, "", "")
    raw = column.value(row) if column.value else None
    if raw is None and value != MISSING:
        raw = value
    return {
        "text": value,
        "interval": f"[{interval}" if interval else "",
        "cause": cause,
        "value": raw,
        "best": best is not None and value == best,
        "kind": " ".join(
            [
                *(["text"] if column.text else []),
                *([found] if (found := page_class(text)) else []),
                *(["best"] if best is not None and value == best else []),
            ]
        ),
    }


def _best(column: Column, rows: Sequence[Row]) -> str | None:
    """The best of a column as it is shown, so that what looks the same is marked the same."""
    values = [
        (value, column.cell(row).partition(" ")[0])
        for row in rows
        if column.value and (value := column.value(row)) is not None
    ]
    if len(values) < 2 or column.best is None:  # noqa: PLR2004  # one alone is not better
        return None
    return str(column.best(values, key=lambda pair: pair[0])[1])


def plain(
    heads: Sequence[tuple[str, bool]], rows: Sequence[Sequence[str]], chosen: int = -1
) -> Row:
    """A table of texts.

    Args:
        heads: the name of each column, and whether it is text.
        rows: their cells, the first of which names the row.
        chosen: the number of a row to point out.
    """
    return {
        "heads": [{"name": name, "text": text} for name, text in heads],
        "rows": [
            {
                "name": row[0],
                "status": "ok",
                "reason": None,
                "chosen": number == chosen,
                "cells": [
                    {
                        "text": cell,
                        "value": None,
                        "kind": "text" if text else "",
                        "best": False,
                        "interval": "",
                        "cause": "",
                    }
                    for cell, (_, text) in zip(row, heads, strict=True)
                ],
            }
            for number, row in enumerate(rows)
        ],
    }
