"""Access to the rows of a measurement: their names, and parts of their records that may be None."""

from __future__ import annotations

from src.run.accuracy import Accuracy, PairedAccuracy
from src.run.latency import Cell, Memory
from src.run.results import Results
from src.run.row import Profile, Row


def measured(results: Results) -> list[Row]:
    """Return the rows that have figures."""
    return [row for row in results.rows if row.is_ok]


def batch_sizes(results: Results) -> list[int]:
    """Return the batch sizes of all timings, ascending."""
    return sorted({cell.batch_size for row in results.rows for cell in row.latency})


def name_of(row: Row) -> str:
    """Return the format and the device, as in "onnx_int8 on cpu"."""
    return f"{row.format} on {row.device}"


def accuracy_of(row: Row) -> Accuracy:
    """Return the accuracy of a measured row.

    Raises:
        ValueError: the row was not measured.
    """
    if row.accuracy is None:
        raise ValueError(f"{name_of(row)} has no accuracy")
    return row.accuracy


def paired_of(row: Row) -> PairedAccuracy | None:
    """Return the comparison of a row with the baseline; None if they were not compared."""
    return row.accuracy.paired if row.accuracy else None


def profile_of(row: Row) -> Profile:
    """Return the profile of a row; an empty one if it has none."""
    return row.profile or Profile(time={}, nodes={}, operators={})


def memory_of(cell: Cell) -> Memory:
    """Return the peak memory at a batch size; an empty record if it was not measured."""
    return cell.peak_memory or Memory()
