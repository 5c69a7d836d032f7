"""Rows of a measurement: which have figures, their names, and their cells by batch size."""

from __future__ import annotations

from typing import Any

Results = dict[str, Any]
Row = dict[str, Any]


def measured(results: Results) -> list[Row]:
    """Return the rows that have figures."""
    return [row for row in results["rows"] if row["status"] == "ok"]


def batch_sizes(results: Results) -> list[int]:
    """Return the batch sizes that any row was timed at, ascending."""
    return sorted({cell["batch_size"] for row in results["rows"] for cell in row["latency"]})


def name_of(row: Row) -> str:
    """Return the format and the device, as in "onnx_int8 on cpu"."""
    return f"{row['format']} on {row['device']}"


def cell_at(row: Row, batch_size: int) -> Row | None:
    """Return the timing at a batch size; None if the row was not timed at it."""
    return next((cell for cell in row["latency"] if cell["batch_size"] == batch_size), None)
