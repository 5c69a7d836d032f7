"""The main table: size, accuracy and latency of every row, and the figures beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from src.report.document import (
    MISSING,
    Cell,
    Column,
    Section,
    Table,
    TableRow,
    number,
    tabulate,
    text_column,
)
from src.report.sections import speedups, verdicts
from src.report.sections.environment import threads
from src.report.sections.recommendation import points
from src.report.sections.rows import Results, Row, batch_sizes, cell_at, measured

_MORE_NOTES = (
    f"{MISSING}: not measured here, or too few samples.",
    "Peak memory: of a process of its own, which loads the file and calls it at this batch size "
    "alone, above that of one that has loaded nothing yet.",
    "Images/s: done in the time that went by, copies included.",
    "Energy: of the whole processor package or GPU, where the system lets it be read.",
    "Ran in: the share of time by the precision of the operators that really ran, batch 1.",
)


def section(results: Results) -> Section:
    """Return the table of all rows; those that were not measured have their reason."""
    table = rows_as_table("Size, accuracy and latency of every file", columns(results), results)
    by_name = {row.name: row for row in table.rows}
    keys = name_columns(results)
    rows = [
        by_name[_key(row)]
        if row["status"] == "ok"
        else TableRow(
            _key(row), [column.cell(row) for column in keys], row["status"], row["reason"]
        )
        for row in results["rows"]
    ]
    recommended = {f"{name} {device}" for device, name in results["recommended"].items()}
    chosen = [
        replace(row, is_chosen=row.status == "ok" and row.name in recommended) for row in rows
    ]
    whole = replace(table, rows=chosen, keys=len(keys))
    return Section("Every file, measured", table=whole, notes=_definitions(results))


def more(results: Results) -> Section:
    """Return the figures that a page has beside the main table."""
    table = rows_as_table(
        "Load time, memory, throughput and energy", more_columns(results), results
    )
    return Section("More figures", table=table, notes=_MORE_NOTES)


def rows_as_table(caption: str, shown: list[Column[Row]], results: Results) -> Table:
    """Return a table of the measured rows."""
    return tabulate(caption, shown, measured(results), _key)


def columns(results: Results) -> list[Column[Row]]:
    """Return the columns of the main table, from left to right."""
    baseline = results["baseline"]
    shown = [
        *name_columns(results),
        Column("size\nMB", _size, best=min),
        Column("top-1\n%", _top1, best=max),
        Column("delta\npoints", lambda row: _delta(row, baseline)),
        Column("verdict", verdicts.cell, is_text=True),
    ]
    for position, size in enumerate(batch_sizes(results)):
        shown += [
            Column(
                f"batch {size}\n{name} ms",
                _latency(size, f"{name}_s"),
                is_detail=name != "p50",
                best=min,
            )
            for name in ("p50", "p90", "p99")
        ]
        shown += [
            Column(
                f"batch {size}\ntimes {baseline}",
                _speedup(size, "speedup"),
                is_detail=position > 0,
                best=max,
            ),
            Column(
                f"batch {size}\ntimes fp32 there",
                _speedup(size, "speedup_same_runtime"),
                is_detail=position > 0,
            ),
        ]
    return shown


def more_columns(results: Results) -> list[Column[Row]]:
    """Return the columns of what else was measured."""
    shown = [
        *name_columns(results),
        Column("load s", lambda row: Cell(number(row["load_seconds"], 1, 2))),
        Column("first call ms", lambda row: Cell(number(row["first_inference_seconds"], 1e3, 1))),
    ]
    for size in batch_sizes(results):
        shown += [
            Column(f"batch {size} {head}", _figure(size, key, scale, digits))
            for head, key, scale, digits in (
                ("images/s", "images_per_second", 1, 1),
                ("mean ms", "mean_s", 1e3, 2),
                ("IQR ms", "iqr_s", 1e3, 2),
                ("on GPU p50 ms", "device_p50_s", 1e3, 3),
                ("mJ an image", "joules_per_image", 1e3, 1),
                ("busy cores", "busy_cores", 1, 2),
                ("peak memory MB", "peak_rss_bytes", 1e-6, 0),
                ("peak on GPU MB", "peak_device_bytes", 1e-6, 0),
            )
        ]
    return [*shown, text_column("ran in", _precisions)]


def name_columns(results: Results) -> list[Column[Row]]:
    """Return the columns that name a row; the device is a detail where there is only one."""
    one_device = len({row["device"] for row in measured(results)}) < 2  # noqa: PLR2004
    return [
        text_column("format", lambda row: str(row["format"])),
        text_column("device", lambda row: str(row["device"]), is_detail=one_device),
    ]


def _key(row: Row) -> str:
    return f"{row['format']} {row['device']}"


def _size(row: Row) -> Cell:
    return Cell(number(row["size_bytes"], 1e-6, 1), value=row["size_bytes"])


def _top1(row: Row) -> Cell:
    top1 = row["accuracy"]["top1"]
    return Cell(number(top1, 100, 2), value=top1)


def _delta(row: Row, baseline: str) -> Cell:
    accuracy = row["accuracy"]
    value = accuracy.get("delta_top1")
    if row["format"] == baseline or value is None:
        return Cell(MISSING, value=value)
    delta, low, high = (
        number(accuracy[key], 100, 2, sign=True)
        for key in ("delta_top1", "delta_low", "delta_high")
    )
    return Cell(delta, "" if row["verdict"] == "same" else f"[{low}, {high}]", value=value)


def _latency(size: int, figure: str) -> Callable[[Row], Cell]:
    def cell(row: Row) -> Cell:
        timing = cell_at(row, size) or {}
        seconds = timing.get(figure)
        if seconds is None:
            return Cell(MISSING)
        return Cell(number(seconds, 1e3, 2), mark=cause_of(timing) or "", value=seconds)

    return cell


def cause_of(timing: dict[str, Any]) -> str | None:
    """Return the likeliest cause of an unstable timing; None for a stable one."""
    return next(iter(timing.get("unstable", ())), None)


def _speedup(size: int, name: str) -> Callable[[Row], Cell]:
    return lambda row: speedups.cell((cell_at(row, size) or {}).get(name))


def _figure(size: int, name: str, scale: float, digits: int) -> Callable[[Row], Cell]:
    return lambda row: Cell(number((cell_at(row, size) or {}).get(name), scale, digits))


def _precisions(row: Row) -> str:
    shares = row["profile"]["time"]
    return ", ".join(f"{name} {share:.0%}" for name, share in shares.items()) or MISSING


def _definitions(results: Results) -> list[str]:
    """Return the definitions of the columns."""
    dataset, baseline = results["dataset"], results["baseline"]
    return [
        "Size: all files of the export folder.",
        f"Top-1: on the {dataset['split']} split of {dataset['name']}, {dataset['images']} "
        "images that neither training nor calibration has seen; delta to "
        f"{baseline}, on the same images, with Tango's 95 % score interval.",
        "Verdict: same network if it is an fp32 file whose logits agree with those of "
        f"{baseline} within rounding on every one of these images; pass if they show that no more "
        "than "
        f"{points(results['options']['max_accuracy_drop'])} of top-1 is lost, fail if "
        "they show that more is (one-sided tests at 5 %), inconclusive between.",
        "Latency: one call, images in and logits out, "
        f"{threads(results)}, each row in a process of its own, in turns; from time to time every "
        "process is replaced by a new one. A percentile with too few samples behind it is missing.",
        f"Times {baseline}: the ratio of medians paired round by round, with its "
        "95 % interval over processes; of means where a cell of the pair is marked busy or steal. "
        "Times fp32 there: against the fp32 file of the same runtime, so that "
        "the runtime's own gain is not credited to the format.",
        f"Calibration of static int8: {results['calibration']['images']} images of the "
        f"{results['calibration']['split']} split.",
    ]
