"""The main table: size, accuracy and latency of every row; and the table of further figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

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
from src.report.sections import pipeline, speedups, unmeasured, verdicts
from src.report.sections.environment import threads
from src.report.sections.recommendation import points
from src.report.sections.rows import (
    accuracy_of,
    batch_sizes,
    measured,
    memory_of,
    order,
    paired_of,
    profile_of,
    status_in_words,
)
from src.run.facts import ScoredDataset
from src.run.latency import Cell as Timing
from src.run.latency import Interval
from src.run.results import Results
from src.run.row import Row

_MORE_NOTES = (
    f"{MISSING}: not measured here, or too few samples.",
    "Peak memory: of a process of its own, which loads the file and calls it at this batch size "
    "alone, above that of one that has loaded nothing yet.",
    "Images/s: done in the time that went by, copies included.",
    "Energy: of the whole processor package or GPU, where the system lets it be read.",
    "Ran in: the share of time by the precision of the operators that really ran, batch 1.",
)

_Figure = Callable[[Timing], float | None]
_HIGH_PERCENTILES: dict[str, _Figure] = {
    "p90": lambda cell: cell.p90_s,
    "p99": lambda cell: cell.p99_s,
}
# Head, figure, scale to the unit of the head, digits after the point.
_MORE_FIGURES: tuple[tuple[str, _Figure, float, int], ...] = (
    ("images/s", lambda cell: cell.images_per_second, 1, 1),
    ("mean ms", lambda cell: cell.mean_s, 1e3, 2),
    ("IQR ms", lambda cell: cell.iqr_s, 1e3, 2),
    ("on GPU p50 ms", lambda cell: cell.device_p50_s, 1e3, 3),
    ("mJ an image", lambda cell: cell.joules_per_image, 1e3, 1),
    ("busy cores", lambda cell: cell.busy_cores, 1, 2),
    ("peak memory MB", lambda cell: memory_of(cell).peak_rss_bytes, 1e-6, 0),
    ("peak on GPU MB", lambda cell: memory_of(cell).peak_device_bytes, 1e-6, 0),
)


def section(results: Results) -> Section:
    """Return the table of all rows; those that were not measured have the reason."""
    table = rows_as_table("Size, accuracy and latency of every file", columns(results), results)
    by_name = {row.name: row for row in table.rows}
    keys = name_columns(results)
    rows = [by_name.get(_key(row)) or _unmeasured(row, keys) for row in shown_rows(results)]
    recommended = {f"{name} {device}" for device, name in results.recommended.items()}
    chosen = [
        replace(row, is_chosen=row.reason is None and row.name in recommended) for row in rows
    ]
    complete = replace(table, rows=chosen, keys=len(keys), folded=unmeasured.folded_rows(results))
    return Section("Every file, measured", table=complete, notes=_definitions(results))


def shown_rows(results: Results) -> list[Row]:
    """Return the rows of the main table from top to bottom; a long table has measured ones only."""
    return measured(results) if order(results).is_long else list(results.rows)


def _unmeasured(row: Row, keys: Sequence[Column[Row]]) -> TableRow:
    return TableRow(
        _key(row),
        [column.cell(row) for column in keys],
        row.status,
        row.reason,
        status_in_words(row),
    )


def more(results: Results) -> Section:
    """Return the table of further figures."""
    table = rows_as_table(
        "Load time, memory, throughput and energy", more_columns(results), results
    )
    return Section("More figures", table=table, notes=_MORE_NOTES)


def rows_as_table(caption: str, shown: list[Column[Row]], results: Results) -> Table:
    """Return a table of the measured rows."""
    return tabulate(caption, shown, measured(results), _key, group=order(results).group)


def columns(results: Results) -> list[Column[Row]]:
    """Return the columns of the main table, from left to right."""
    shown = [
        *name_columns(results),
        Column("size\nMB", _size, best=min),
        Column("top-1\n%", _top1, best=max),
        Column("delta\npoints", lambda row: _delta(row, results.baseline)),
        Column("verdict", verdicts.cell, is_text=True),
    ]
    for position, size in enumerate(batch_sizes(results)):
        shown += [
            Column(f"batch {size}\np50 ms", _latency(size, lambda cell: cell.p50_s), best=min),
            *(
                Column(
                    f"batch {size}\n{name} ms", _latency(size, percentile), is_detail=True, best=min
                )
                for name, percentile in _HIGH_PERCENTILES.items()
            ),
            Column(
                f"batch {size}\ntimes {results.baseline}",
                _speedup(size, lambda cell: cell.speedup),
                is_detail=position > 0,
                best=max,
            ),
            Column(
                f"batch {size}\ntimes fp32 there",
                _speedup(size, lambda cell: cell.speedup_same_runtime),
                # Without it, a row of a long table has two lines on a terminal instead of three.
                is_detail=position > 0 or order(results).is_long,
            ),
        ]
    if any(row.pipeline for row in measured(results)):
        shown.append(Column("pipeline\nms", pipeline.cell, best=min))
    return shown


def more_columns(results: Results) -> list[Column[Row]]:
    """Return the columns of the table of further figures."""
    shown = [
        *name_columns(results),
        Column("load s", lambda row: _seconds(row.load_seconds, 1, 2)),
        Column("first call ms", lambda row: _seconds(row.first_inference_seconds, 1e3, 1)),
    ]
    for size in batch_sizes(results):
        shown += [
            Column(f"batch {size} {head}", _figure(size, figure, scale, digits))
            for head, figure, scale, digits in _MORE_FIGURES
        ]
    return [*shown, text_column("ran in", _precisions)]


def name_columns(results: Results) -> list[Column[Row]]:
    """Return the columns that name a row; the device is a detail if there is only one."""
    one_device = len({row.device for row in measured(results)}) < 2  # noqa: PLR2004
    return [
        text_column("format", lambda row: str(row.format)),
        text_column("device", lambda row: str(row.device), is_detail=one_device),
    ]


def _key(row: Row) -> str:
    return f"{row.format} {row.device}"


def _size(row: Row) -> Cell:
    return Cell(number(row.size_bytes, 1e-6, 1), value=row.size_bytes)


def _top1(row: Row) -> Cell:
    top1 = accuracy_of(row).top1
    return Cell(number(top1, 100, 2), value=top1)


def _delta(row: Row, baseline: str) -> Cell:
    paired = paired_of(row)
    if paired is None:
        return Cell(MISSING)
    if row.format == baseline:
        return Cell(MISSING, value=paired.delta_top1)
    delta, low, high = (
        number(value, 100, 2, sign=True)
        for value in (paired.delta_top1, paired.delta_low, paired.delta_high)
    )
    interval = "" if row.verdict == "same" else f"[{low}, {high}]"
    return Cell(delta, interval, value=paired.delta_top1)


def _latency(size: int, percentile: _Figure) -> Callable[[Row], Cell]:
    def cell(row: Row) -> Cell:
        timing = row.cell(size)
        seconds = percentile(timing) if timing else None
        if timing is None or seconds is None:
            return Cell(MISSING)
        return Cell(number(seconds, 1e3, 2), mark=cause_of(timing) or "", value=seconds)

    return cell


def cause_of(timing: Timing) -> str | None:
    """Return the likeliest cause of an unstable timing; None for a stable one."""
    return next(iter(timing.unstable), None)


def _speedup(size: int, gain: Callable[[Timing], Interval | None]) -> Callable[[Row], Cell]:
    def cell(row: Row) -> Cell:
        timing = row.cell(size)
        return speedups.cell(gain(timing) if timing else None)

    return cell


def _figure(size: int, figure: _Figure, scale: float, digits: int) -> Callable[[Row], Cell]:
    def cell(row: Row) -> Cell:
        timing = row.cell(size)
        value = figure(timing) if timing else None
        return Cell(number(value, scale, digits), value=value)

    return cell


def _seconds(seconds: float | None, scale: float, digits: int) -> Cell:
    return Cell(number(seconds, scale, digits), value=seconds)


def _precisions(row: Row) -> str:
    shares = profile_of(row).time
    return ", ".join(f"{name} {share:.0%}" for name, share in shares.items()) or MISSING


def _definitions(results: Results) -> list[str]:
    """Return the definitions of the columns."""
    dataset, baseline = results.dataset, results.baseline
    return [
        "Size: all files of the export folder.",
        f"Top-1: on the {dataset.split} split of {dataset.name}, {dataset.images} "
        f"images{_seen_before(dataset)}; delta to "
        f"{baseline}, on the same images, with Tango's 95 % score interval.",
        "Verdict: same network if it is an fp32 file whose logits agree with those of "
        f"{baseline} within rounding on every one of these images; pass if they show that no more "
        "than "
        f"{points(results.options.max_accuracy_drop)} of top-1 is lost, fail if "
        "they show that more is (one-sided tests at 5 %), inconclusive between.",
        "Latency: one call, images in and logits out, "
        f"{threads(results)}, each row in a process of its own, in turns; from time to time every "
        "process is replaced by a new one. A percentile with too few samples behind it is missing.",
        f"Times {baseline}: the ratio of medians paired round by round, with its "
        "95 % interval over processes; of means where a cell of the pair is marked busy or steal. "
        "Times fp32 there: against the fp32 file of the same runtime, so that "
        "the runtime's own gain is not credited to the format.",
        *(
            ["Pipeline: from the bytes of an image file to its label, one image at a time."]
            if results.image_sample
            else []
        ),
        *_browser(results),
        f"Calibration of static int8: {results.calibration.images} images of the "
        f"{results.calibration.split} split.",
    ]


def _seen_before(dataset: ScoredDataset) -> str:
    """Return what is known of these images in training and calibration, as the end of a clause.

    Early measurements did not look for calibration images among them.
    """
    if dataset.also_in_calibration is None:
        return ""
    if dataset.also_in_calibration == 0:
        return " that neither training nor calibration has seen"
    verb = "is" if dataset.also_in_calibration == 1 else "are"
    return f", {dataset.also_in_calibration} of which {verb} also among the calibration images"


def _browser(results: Results) -> Iterator[str]:
    """Yield the meaning of the device ``browser`` if a row was measured there."""
    rows = [row for row in measured(results) if row.device == "browser"]
    if not rows:
        return
    runtimes = ", ".join(dict.fromkeys(str(row.setting("runtime")) for row in rows))
    browsers = ", ".join(dict.fromkeys(str(row.setting("browser")) for row in rows))
    yield (
        f"Browser: the same file in a web page, {runtimes} in headless {browsers}, WebAssembly "
        "with one thread, each call by the page's clock. It is another destination than this CPU: "
        "it has a recommendation of its own, and its speed is compared within the browser only. "
        "Load time includes the start of the browser. In the chart of speed against accuracy it is "
        "a square, and not on the front of the others."
    )
