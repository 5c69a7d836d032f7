"""The table of all rows, once as columns and in two dresses: for the console and for a page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.table import Table

MISSING = "-"
UNSTABLE = "~"

Row = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """One figure of every row."""

    head: str  # with its unit; a line break where a terminal breaks it
    cell: Callable[[Row], str]
    text: bool = False  # aligned to the left, as text is
    detail: bool = False  # for the page only: a terminal is narrow


def columns(results: Row) -> list[Column]:
    """What the table shows, from left to right."""
    sizes = batch_sizes(results)
    found = [
        Column("format", lambda row: str(row["format"]), text=True),
        Column("device", lambda row: str(row["device"]), text=True),
        Column("size\nMB", lambda row: _number(row["size_bytes"], 1e-6, 1)),
        Column("top-1\n%", lambda row: _number(row["accuracy"]["top1"], 100, 2)),
        Column(
            "delta\npoints",
            lambda row: _number(row["accuracy"].get("delta_top1"), 100, 2, sign=True),
        ),
    ]
    for number, size in enumerate(sizes):
        for name in ("p50", "p90", "p99"):
            detail = name == "p99" or (number > 0 and name == "p90")
            head = f"batch {size}\n{name} ms"
            found.append(Column(head, _latency(size, f"{name}_s"), detail=detail))
        baseline = results["baseline"]
        head = f"batch {size}\ntimes {baseline}"
        found.append(Column(head, _speedup(size, baseline), detail=number > 0))
    return [
        *found,
        Column("load\ns", lambda row: _number(row["load_seconds"], 1, 2), detail=True),
        Column("peak\nMB", lambda row: _number(row["peak_rss_bytes"], 1e-6, 0), detail=True),
    ]


def measured(results: Row) -> list[Row]:
    """The rows that have figures."""
    return [row for row in results["rows"] if row["status"] == "ok"]


def footnotes(results: Row) -> Iterator[str]:
    """What the table cannot say: the rows that were not measured, and what its marks mean."""
    for row in results["rows"]:
        if row["status"] != "ok":
            yield f"{row['format']} on {row['device']}: {row['status']} ({row['reason']})"
    if any(not cell["stable"] for row in results["rows"] for cell in row["latency"]):
        yield (
            f"{UNSTABLE} unstable: the interquartile range is over a tenth of the median, as "
            "when something else runs on the machine"
        )


def console_table(results: Row) -> Table:
    """The table for a terminal."""
    where = f"{results['environment']['cpu']}, {results['environment']['threads']} threads"
    table = Table(title=f"{results['run']} on {where}", box=box.SIMPLE_HEAD, padding=(0, 1))
    shown = [column for column in columns(results) if not column.detail]
    for column in shown:
        table.add_column(
            column.head,
            justify="left" if column.text else "right",
            no_wrap=True,
        )
    for row in measured(results):
        table.add_row(*(column.cell(row) for column in shown))
    return table


def markdown_table(results: Row) -> str:
    """The table in GitHub's Markdown."""
    shown = columns(results)
    lines = [
        [column.head.replace("\n", " ") for column in shown],
        ["---" if column.text else "---:" for column in shown],
        *([column.cell(row) for column in shown] for row in measured(results)),
    ]
    return "\n".join(_markdown_line(line) for line in lines)


def batch_sizes(results: Row) -> list[int]:
    """The batch sizes that any row was timed at, ascending."""
    return sorted({cell["batch_size"] for row in results["rows"] for cell in row["latency"]})


def _latency(size: int, name: str) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        timed = _timed(row, size)
        text = _number(timed.get(name), 1e3, 2)
        return text if text == MISSING or timed["stable"] else f"{text} {UNSTABLE}"

    return cell


def _speedup(size: int, baseline: str) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        value = _timed(row, size).get("speedup")
        if value is None or row["format"] == baseline:
            return MISSING
        interval = f"[{value['low']:.2f}, {value['high']:.2f}]"
        if value["low"] <= 1.0 <= value["high"]:
            return f"no difference {interval}"
        return f"{value['value']:.2f} {interval}"

    return cell


def _timed(row: Row, size: int) -> Row:
    found = (cell for cell in row["latency"] if cell["batch_size"] == size)
    return next(found, {})


def _number(value: float | None, scale: float, digits: int, *, sign: bool = False) -> str:
    if value is None:
        return MISSING
    return f"{value * scale:{'+' if sign else ''}.{digits}f}"


def _markdown_line(line: Sequence[str]) -> str:
    escaped = (cell.replace("|", "\\|").replace("<", "&lt;") for cell in line)
    return f"| {' | '.join(escaped)} |"
