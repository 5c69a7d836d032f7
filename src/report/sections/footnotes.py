"""Footnotes of the main table: the meaning of its marks, and remarks on rows."""

from __future__ import annotations

from collections.abc import Iterator

from src.report.document import UNSTABLE
from src.report.sections import pipeline, speedups, unmeasured, verdicts
from src.report.sections.int8_slowdown import explanations
from src.report.sections.measurements import cause_of
from src.report.sections.rows import measured, memory_of, name_of
from src.run.folder import LAST
from src.run.latency import Cell as Timing
from src.run.results import Results
from src.run.row import Row

_CAUSES = {
    "steal": "the hypervisor gave over 2 % of the time to other machines",
    "busy": "other processes used over 0.15 cores, and with the threads over half of all",
    "clock": "the processor's frequency changed by over 5 %",
    "cold": "calls still became faster at the end of the warm-up, which takes at most "
    "benchmark.warmup_seconds, and before a time from the image file to the label also a small "
    "share of benchmark.max_seconds",
    "spread": "the interquartile range is over a tenth of the median, for no cause that was seen",
}

_X86 = {"x86_64", "AMD64"}


def footnotes(results: Results, *, with_unmeasured: bool = True) -> Iterator[str]:
    """Yield the footnotes of the main table.

    Args:
        results: the content of ``benchmark.json``.
        with_unmeasured: add footnotes on the rows without figures; not needed if the table shows
            these rows.
    """
    if results.checkpoint.path == LAST:
        yield f"Exported is the last checkpoint, {LAST}: no weights were validated"
    threads, cores = results.environment.threads, results.environment.usable_cores
    if threads > cores:
        yield (
            f"Each runtime had {threads} threads where {cores} may run at a time, so they waited "
            f"for each other; benchmark.threads={cores} measures without"
        )
    if with_unmeasured:
        yield from unmeasured.notes(results)
    yield from _about_files(results)
    yield from verdicts.beyond_rounding(results)
    yield from verdicts.other_function(results)
    causes = {cause_of(cell) for row in results.rows for cell in row.latency}
    causes |= {pipeline.cause_of(whole) for whole in _whole_times(results)}
    for cause, meaning in _CAUSES.items():
        if cause in causes:
            yield f"{UNSTABLE}{cause}: unstable, {meaning}"
    yield from speedups.notes(results)
    yield from explanations(results)
    yield from _about_rows(results)


def _whole_times(results: Results) -> Iterator[Timing]:
    """Yield the times from the image file to the label, with those of the embedded files."""
    for row in results.rows:
        yield from (timed.whole for timed in row.pipeline)
        if row.embedded and row.embedded.pipeline:
            yield row.embedded.pipeline.whole


def _about_rows(results: Results) -> Iterator[str]:
    of_pixels = [name_of(row) for row in measured(results) if row.input and row.input.is_pixels]
    if of_pixels:
        yield (
            f"{', '.join(of_pixels)}: takes uint8 pixels. The normalisation is part of its time, "
            "and not of the time of the other files; `pipeline ms` has it for all."
        )
    for row in measured(results):
        if not row.idle_between_turns:
            yield f"{name_of(row)} went on using the CPU between its turns"
        if row.pipeline_reason:
            yield f"{name_of(row)}: no time from the image file ({row.pipeline_reason})"
        for cell in row.latency:
            if reason := memory_of(cell).memory_reason:
                size = cell.batch_size
                yield f"{name_of(row)}: its memory at batch {size} is not known ({reason})"


def _about_files(results: Results) -> Iterator[str]:
    for row in [row for row in results.rows if _may_saturate(row, results)]:
        is_exact = row.setting("exact_int8_sums") is True
        effect = (
            "it sums in 32 bits here, by slower kernels, as session.x64quantprecision=1 asks for"
            if is_exact
            else "its sums may saturate"
        )
        yield (
            f"{row.format}: quantized for processors with an int8 dot product, which this one has "
            f"not: {effect}; `python -m src.export RUN again=true` quantizes for this one"
        )
    for name in dict.fromkeys(row.format for row in results.rows if _over_budget(row)):
        yield (
            f"{name}: no way of making it that was tried kept the accuracy budget on the judging "
            "images; report.md says what was tried"
        )
    for name in dict.fromkeys(row.format for row in measured(results) if _was_changed(row)):
        yield (
            f"{name}: its files were changed after they were exported; the figures are of the "
            "changed ones"
        )
    reasons = {row.format: row.varies for row in results.rows}
    for name, reason in reasons.items():
        if reason:
            yield f"{name}: its files are not the same bytes from export to export, for {reason}"


def _may_saturate(row: Row, results: Results) -> bool:
    """Return True for an int8 file that another kind of processor has exported for itself."""
    environment, details = results.environment, row.details
    return (
        row.is_ok
        and row.device == "cpu"
        and environment.architecture in _X86
        and not environment.int8_dot_product
        and details is not None
        and details.needs_dot_product
        and details.more.get("asked_for", "auto") == "auto"  # else the report has its target
    )


def _over_budget(row: Row) -> bool:
    return row.details is not None and row.details.within_budget is False


def _was_changed(row: Row) -> bool:
    return row.as_exported is False
