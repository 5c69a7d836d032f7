"""The peak memory by which rows of one device are compared."""

from __future__ import annotations

from collections.abc import Sequence

from src.run.latency import Memory
from src.run.row import RowFigures


def of_row(row: RowFigures, size: int | None) -> Memory:
    """Return the peak memory of a row at a batch size; an empty record if it was not measured."""
    cell = row.cell(size)
    return cell.peak_memory if cell and cell.peak_memory else Memory()


def is_on_gpu(rows: Sequence[RowFigures], size: int | None) -> bool:
    """Return True if rows are compared by their memory on the GPU: it is known for all of them.

    Args:
        rows: the rows with figures of one device.
        size: the batch size.
    """
    return all(of_row(row, size).peak_device_bytes is not None for row in rows)


def compared(row: RowFigures, size: int | None, *, on_gpu: bool) -> int | None:
    """Return the peak of a row in bytes, as :func:`is_on_gpu` tells; None if it is not known."""
    peak = of_row(row, size)
    return peak.peak_device_bytes if on_gpu else peak.peak_rss_bytes
