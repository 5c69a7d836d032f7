"""The table of all rows, once as columns and in two dresses: for the console and for a page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.table import Table

from src.report import processes, verdicts
from src.report.int8_slowdown import explanations
from src.run.folder import LAST

MISSING = "-"
UNSTABLE = "~"
_CAUSES = {
    "steal": "the hypervisor gave over 2 % of the cores' time to other machines",
    "busy": "other processes kept more than 0.15 cores busy",
    "clock": "the processor's frequency changed by over 5 %",
    "cold": "no steady speed was reached in benchmark.warmup_seconds",
    "spread": "the interquartile range is over a tenth of the median, for no cause that was seen",
}

Row = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """One figure of every row."""

    head: str  # with its unit; a line break where a terminal breaks it
    cell: Callable[[Row], str]
    text: bool = False  # aligned to the left, as text is
    value: Callable[[Row], Any] | None = None  # what the cell shows, as it was measured
    best: Callable[..., Any] | None = None  # of the values: min or max
    detail: bool = False  # for the page only: a terminal is narrow


def columns(results: Row) -> list[Column]:
    """What the table shows, from left to right."""
    found = [
        *_names(results),
        Column(
            "size\nMB",
            lambda row: _number(row["size_bytes"], 1e-6, 1),
            value=lambda row: row["size_bytes"],
            best=min,
        ),
        Column(
            "top-1\n%",
            lambda row: _number(row["accuracy"]["top1"], 100, 2),
            value=lambda row: row["accuracy"]["top1"],
            best=max,
        ),
        Column(
            "delta\npoints",
            _delta(results["baseline"]),
            value=lambda row: row["accuracy"].get("delta_top1"),
        ),
        Column("verdict", lambda row: verdicts.shown(row) or MISSING, text=True),
    ]
    for number, size in enumerate(batch_sizes(results)):
        for name in ("p50", "p90", "p99"):
            head = f"batch {size}\n{name} ms"
            figure = f"{name}_s"
            found.append(
                Column(
                    head,
                    _latency(size, figure),
                    detail=name != "p50",
                    value=_value(size, figure),
                    best=min,
                )
            )
        for head, figure, best in (
            (f"batch {size}\ntimes {results['baseline']}", "speedup", max),
            (f"batch {size}\ntimes fp32 there", "speedup_same_runtime", None),
        ):
            found.append(
                Column(
                    head,
                    _speedup(size, figure),
                    detail=number > 0,
                    value=_value(size, figure, "value"),
                    best=best,
                )
            )
    return found


def more_columns(results: Row) -> list[Column]:
    """What else was measured, for the page."""
    found = [
        *_names(results),
        Column("load s", lambda row: _number(row["load_seconds"], 1, 2)),
        Column("first call ms", lambda row: _number(row["first_inference_seconds"], 1e3, 1)),
    ]
    for size in batch_sizes(results):
        for head, key, scale, digits in (
            ("images/s", "images_per_second", 1, 1),
            ("mean ms", "mean_s", 1e3, 2),
            ("IQR ms", "iqr_s", 1e3, 2),
            ("on GPU p50 ms", "device_p50_s", 1e3, 3),
            ("mJ an image", "joules_per_image", 1e3, 1),
            ("busy cores", "busy_cores", 1, 2),
            ("peak memory MB", "peak_rss_bytes", 1e-6, 0),
            ("peak on GPU MB", "peak_device_bytes", 1e-6, 0),
        ):
            found.append(Column(f"batch {size} {head}", _figure(size, key, scale, digits)))
    return [*found, Column("ran in", _precisions, text=True)]


def measured(results: Row) -> list[Row]:
    """The rows that have figures."""
    return [row for row in results["rows"] if row["status"] == "ok"]


def footnotes(results: Row, *, unmeasured: bool = True) -> Iterator[str]:
    """What the table cannot say: what its marks mean, and which rows were not measured.

    Args:
        results: the content of ``benchmark.json``.
        unmeasured: name these rows; a table that has them need not.
    """
    yield from _unvalidated(results)
    for row in results["rows"]:
        if unmeasured and row["status"] != "ok":
            yield f"{row['format']} on {row['device']}: {row['status']} ({row['reason']})"
    yield from _about_files(results)
    yield from verdicts.beyond_rounding(results)
    yield from verdicts.other_function(results)
    marks = {_cause(cell) for row in results["rows"] for cell in row["latency"]}
    for cause, meaning in _CAUSES.items():
        if cause in marks:
            yield f"{UNSTABLE}{cause}: unstable, {meaning}"
    yield from processes.notes(results)
    yield from explanations(results)
    for row in measured(results):
        name = f"{row['format']} on {row['device']}"
        if not row["idle_between_turns"]:
            yield f"{name} went on using the CPU between its turns"
        for cell in row["latency"]:
            if reason := cell.get("memory_reason"):
                yield f"{name}: its memory at batch {cell['batch_size']} is not known ({reason})"


def _unvalidated(results: Row) -> Iterator[str]:
    if results["checkpoint"]["path"] == LAST:
        yield f"Exported is the last checkpoint, {LAST}: no weights were validated"


def _about_files(results: Row) -> Iterator[str]:
    for name in dict.fromkeys(row["format"] for row in results["rows"] if _over_budget(row)):
        yield (
            f"{name}: no way of making it that was tried kept the accuracy budget on the judging "
            "images; report.md says what was tried"
        )
    for name in dict.fromkeys(row["format"] for row in measured(results) if _was_changed(row)):
        yield (
            f"{name}: its files were changed after they were exported; the figures are of the "
            "changed ones"
        )
    varying = {row["format"]: row.get("varies") for row in results["rows"]}
    for name, reason in varying.items():
        if reason:
            yield f"{name}: its files are not the same bytes from export to export, for {reason}"


def _over_budget(row: Row) -> bool:
    return (row.get("details") or {}).get("within_budget") is False


def _was_changed(row: Row) -> bool:
    return row.get("as_exported") is False


def console_table(results: Row, *, narrow: bool = True) -> Table:
    """The table for the console.

    Args:
        narrow: a terminal shows it, which has few columns. A row takes two lines there; where a
            file or a pipe takes the table, it takes one, as whatever reads it expects.
    """
    where = f"{results['environment']['cpu']}, {results['environment']['threads']} threads"
    table = Table(title=f"{results['run']} on {where}", box=box.SIMPLE_HEAD, padding=(0, 1))
    shown = [column for column in columns(results) if not column.detail]
    for column in shown:
        table.add_column(
            column.head if narrow else column.head.replace("\n", " "),
            justify="left" if column.text else "right",
            no_wrap=not narrow or "times" not in column.head,
            vertical="bottom",
        )
    for row in measured(results):
        # On a terminal an interval goes below its value.
        cells = (column.cell(row) for column in shown)
        table.add_row(*(cell.replace(" [", "\n[") if narrow else cell for cell in cells))
    return table


def batch_sizes(results: Row) -> list[int]:
    """The batch sizes that any row was timed at, ascending."""
    return sorted({cell["batch_size"] for row in results["rows"] for cell in row["latency"]})


def accuracy_columns(results: Row) -> list[Column]:
    """What changed in the answers, for the page."""

    def figure(head: str, key: str, scale: float, digits: int, *, sign: bool = False) -> Column:
        def cell(row: Row) -> str:
            return _number(row["accuracy"].get(key), scale, digits, sign=sign)

        return Column(head, cell)

    return [
        *_names(results),
        figure("top-5 %", "top5", 100, 2),
        figure("lost", "lost", 1, 0),
        figure("gained", "gained", 1, 0),
        figure("McNemar p", "mcnemar_p", 1, 3),
        figure("agreement %", "agreement", 100, 2),
        Column("worst class, points", _worst_class, text=True),
        figure("ECE %", "ece", 100, 2),
        figure("delta ECE points", "delta_ece", 100, 2, sign=True),
        figure("largest logit difference", "max_abs_logit_diff", 1, 4),
        figure("its p99", "p99_abs_logit_diff", 1, 4),
        figure("logit SQNR dB", "logit_sqnr_db", 1, 1),
        figure("KL nats", "kl", 1, 6),
        figure("rounding error, ppm", "rounding_error", 1e6, 2),
        Column("images that would settle it", _images_needed),
    ]


def _names(results: Row) -> list[Column]:
    devices = {row["device"] for row in measured(results)}
    return [
        Column("format", lambda row: str(row["format"]), text=True),
        Column("device", lambda row: str(row["device"]), text=True, detail=len(devices) < 2),  # noqa: PLR2004
    ]


def _delta(baseline: str) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        accuracy = row["accuracy"]
        if row["format"] == baseline or "delta_top1" not in accuracy:
            return MISSING
        delta, low, high = (
            _number(accuracy[key], 100, 2, sign=True)
            for key in ("delta_top1", "delta_low", "delta_high")
        )
        return delta if row["verdict"] == "same" else f"{delta} [{low}, {high}]"

    return cell


def _worst_class(row: Row) -> str:
    worst = row["accuracy"].get("worst_class")
    if not worst or worst["delta"] >= 0:
        return MISSING
    return f"{worst['name']} {_number(worst['delta'], 100, 1, sign=True)}"


def _images_needed(row: Row) -> str:
    if row["verdict"] != "inconclusive":
        return MISSING
    needed = row["accuracy"]["images_needed"]
    return f"{needed:,}" if needed else "none would"


def _latency(size: int, name: str) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        timed = _timed(row, size)
        text = _number(timed.get(name), 1e3, 2)
        cause = _cause(timed)
        return text if text == MISSING or cause is None else f"{text} {UNSTABLE}{cause}"

    return cell


def _cause(cell: Row) -> str | None:
    """The likeliest cause of an unstable cell."""
    return next(iter(cell.get("unstable", ())), None)


def _speedup(size: int, name: str) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        value = _timed(row, size).get(name)
        if value is None:
            return MISSING
        interval = f"[{value['low']:.2f}, {value['high']:.2f}]"
        if processes.is_of_one(value):
            interval += f" {processes.ONE_PROCESS}"
        if processes.is_too_wide(value):
            return f"too few rounds to tell {interval}"
        if value["low"] <= 1.0 <= value["high"]:
            return f"no measurable difference {interval}"
        return f"{value['value']:.2f} {interval}"

    return cell


def _figure(size: int, name: str, scale: float, digits: int) -> Callable[[Row], str]:
    return lambda row: _number(_timed(row, size).get(name), scale, digits)


def _value(size: int, *path: str) -> Callable[[Row], float | None]:
    """What stands in a cell of ``benchmark.json``, as it stands there."""

    def value(row: Row) -> Any:
        found: Any = _timed(row, size)
        for name in path:
            found = (found or {}).get(name)
        return found

    return value


def _precisions(row: Row) -> str:
    shares = row["profile"]["time"]
    return ", ".join(f"{name} {share:.0%}" for name, share in shares.items()) or MISSING


def _timed(row: Row, size: int) -> Row:
    found = (cell for cell in row["latency"] if cell["batch_size"] == size)
    return next(found, {})


def _number(value: float | None, scale: float, digits: int, *, sign: bool = False) -> str:
    if value is None:
        return MISSING
    return f"{value * scale:{'+' if sign else ''}.{digits}f}"
