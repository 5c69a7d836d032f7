"""Times from the image file to the label: of pipelines, and of files with their preprocessing.

The pipelines of rows are checked where the recommendation of both measurements is meant to be about
them. Another decoder or resizer changes all pipelines alike, so neither the peers nor the baseline
show it. The calls of the same measurement do: a slow machine slows them too, and they neither
decode nor resize. Decoding is the work of the processor, so they are calls on the processor for the
pipelines of a GPU too.
"""

from __future__ import annotations

from collections.abc import Iterator

from src.benchmark.recommendation import is_about_pipelines
from src.compare import embedded, same_files
from src.compare.finding import Finding
from src.compare.slowdown import Slowdown, Slowdowns
from src.run.latency import Cell
from src.run.pipeline import Pipeline
from src.run.results import Results

MISSING = "no longer measured"
WHOLE = "from the image file to the label"


def checks_pipelines(old: Results, new: Results) -> bool:
    """Return True if the pipelines of the rows are checked.

    The recommendation of OLD is meant to be about them, and that of NEW too unless it timed none.
    """
    before, after = (
        is_about_pipelines(results.options.objective, results.image_sample)
        for results in (old, new)
    )
    return before and (after or new.image_sample is None)


def missing(old: Results, new: Results) -> Iterator[Finding]:
    """Yield findings of the whole times in OLD that NEW lacks although it timed pipelines."""
    if new.image_sample is None:
        return  # no pipeline was asked for, with which embedded files are measured
    if checks_pipelines(old, new):
        for row in old.rows:
            present = new.row(row.format, row.device)
            is_ok = row.is_ok and present is not None and present.is_ok
            if present and is_ok and row.pipeline_of() and not present.pipeline_of():
                text = f"{WHOLE}: {present.pipeline_reason or 'it is not in NEW'}"
                yield Finding("regressed", *row.key, MISSING, text)
    present_files = {file.key for file in embedded.files(new)}
    reasons: dict[tuple[str, str], str] = {
        (row.embedded.folder, row.device): f"{row.embedded.status}: {row.embedded.reason}"
        for row in new.rows
        if row.embedded
    }
    for file in embedded.files(old):
        if file.key not in present_files:
            text = reasons.get(file.key, "it is not in NEW")
            yield Finding("regressed", *file.key, MISSING, text)


def by_clock(old: Results, new: Results, device: str) -> same_files.ByClock:
    """Return the slowdowns by the clock of the pipelines of a device, over the same files."""
    before, after = (_pipelines(results, device) for results in (old, new))
    names = [name for name in before if name in after]
    return same_files.by_clock(
        {name: before[name] for name in names}, {name: after[name] for name in names}
    )


def of_calls(old: Results, new: Results) -> Slowdown | None:
    """Return the median slowdown of the calls on the processor at the smallest batch size.

    Returns:
        The slowdown by the clock; None if no row was timed on the processor in both at a batch size
        in common.
    """
    sizes = [
        {cell.batch_size for row in results.rows if row.device == "cpu" for cell in row.latency}
        for results in (old, new)
    ]
    common = sizes[0] & sizes[1]
    if not common:
        return None
    before, after = (_calls(results, min(common)) for results in (old, new))
    names = [name for name in before if name in after]
    return Slowdowns(
        {name: before[name] for name in names}, {name: after[name] for name in names}
    ).median()


def _pipelines(results: Results, device: str) -> dict[str, Pipeline]:
    """Return the pipelines with the evaluation's decoder, by format and folder of an own file."""
    rows = [row for row in results.rows if row.device == device]
    files = [file for file in embedded.files(results) if file.device == device]
    pipelines = {row.format: pipeline for row in rows if (pipeline := row.pipeline_of())}
    return pipelines | {file.name: file.pipeline for file in files}


def _calls(results: Results, size: int) -> dict[str, Cell]:
    return {
        row.format: cell
        for row in results.rows
        if row.device == "cpu" and (cell := row.cell(size)) is not None
    }
