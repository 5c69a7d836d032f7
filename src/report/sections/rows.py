"""Access to the rows of a measurement: order, names, and parts of records that may be None."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from src.run.accuracy import Accuracy, PairedAccuracy
from src.run.latency import Cell, Memory
from src.run.results import Results
from src.run.row import Profile, Row

MOST_UNGROUPED = 8  # rows of a table that is read at a glance

T = TypeVar("T")


class Order(Generic[T]):
    """The order of rows in every table: by runtime if they are many.

    Runtimes come in the order of their first rows, and the rows of a runtime stay in their order.

    Args:
        items: one per row, in the order of a short table.
        row_of: returns the row of an item.
    """

    def __init__(self, items: Sequence[T], row_of: Callable[[T], Row]) -> None:
        self._row_of = row_of
        self.is_long = len(items) > MOST_UNGROUPED
        runtimes = list(dict.fromkeys(self.group(item) for item in items))
        self.items = sorted(items, key=lambda item: runtimes.index(self.group(item)))

    def group(self, item: T) -> str:
        """Return the heading above an item; "" for all items of a short table."""
        return runtime_of(self._row_of(item)) if self.is_long else ""


def order(results: Results) -> Order[Row]:
    """Return the order of the rows of a measurement, with those that have no figures."""
    return Order(results.rows, lambda row: row)


def runtime_of(row: Row) -> str:
    """Return the package that runs a row's file, by the declaration of its format."""
    if row.runs_with:
        return row.runs_with[0].replace("_", "-")  # an exam has the package's name
    return str(row.setting("runtime") or "another runtime").partition(" ")[0]


def measured(results: Results) -> list[Row]:
    """Return the rows that have figures, in the order of every table."""
    return [row for row in order(results).items if row.is_ok]


def status_in_words(row: Row) -> str:
    """Return the status of a row; "exported, not run" for a file that cannot run here."""
    return "exported, not run" if row.status == "skipped" and row.files else row.status


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
