"""Files with their preprocessing inside: a row each, scored and timed from image files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

from src.report.document import (
    MISSING,
    Cell,
    Column,
    Section,
    TableRow,
    number,
    tabulate,
    text_column,
)
from src.report.sections import pipeline, speedups
from src.report.sections.recommendation import points
from src.report.sections.rows import measured
from src.report.sections.verdicts import delta_of_answers, verdict_of_answers
from src.run.embedded import EmbeddedFigures
from src.run.latency import Cell as Timing
from src.run.pipeline import DecoderAnswers, Pipeline
from src.run.results import Results

TITLE = "With the preprocessing inside"


class Measured(NamedTuple):
    """An embedded file that has figures."""

    file: EmbeddedFigures
    pipeline: Pipeline
    answers: DecoderAnswers  # against the file without


def section(results: Results) -> Section | None:
    """Return the section; None if there is no such file, or none was asked for."""
    files = [row.embedded for row in measured(results) if row.embedded]
    if not files:
        return None
    shown = [
        Measured(file, file.pipeline, file.pipeline.answers)
        for file in files
        if file.pipeline and file.pipeline.answers
    ]
    table = tabulate(
        "Files that take an image as it is decoded and give probabilities",
        _columns(results),
        shown,
        lambda entry: entry.file.folder,
    )
    by_name = {row.name: row for row in table.rows}
    rows = [
        by_name.get(file.folder)
        or TableRow(file.folder, [Cell(file.folder)], file.status, file.reason)
        for file in files
    ]
    return Section(TITLE, [*_sentences(shown)], replace(table, rows=rows), [*_notes(results)])


def _columns(results: Results) -> list[Column[Measured]]:
    return [
        text_column("file", lambda entry: entry.file.folder),
        Column("size MB", lambda entry: _size(entry.file), best=min),
        Column(
            "top-1 %",
            lambda entry: Cell(number(entry.answers.top1, 100, 2), value=entry.answers.top1),
        ),
        Column(
            f"delta to {results.baseline}",
            lambda entry: delta_of_answers(entry.file.against_baseline),
        ),
        Column(
            "verdict", lambda entry: verdict_of_answers(entry.file.against_baseline), is_text=True
        ),
        Column("changed answers", _changed),
        Column("whole p50 ms", _whole(lambda whole: whole.p50_s), best=min),
        Column("whole p90 ms", _whole(lambda whole: whole.p90_s), is_detail=True),
        Column("in the file ms", _inside, is_detail=True),
        Column(
            "times the file without", lambda entry: speedups.cell(entry.pipeline.over_reference)
        ),
        Column(
            f"times {results.baseline}",
            lambda entry: speedups.cell(entry.pipeline.whole.speedup),
            is_detail=True,
        ),
    ]


def _size(file: EmbeddedFigures) -> Cell:
    return Cell(number(file.size_bytes, 1e-6, 1), value=file.size_bytes)


def _changed(entry: Measured) -> Cell:
    answers = entry.answers
    low, high = (
        number(value, 100, 2) for value in (entry.file.flipped_low, entry.file.flipped_high)
    )
    return Cell(f"{answers.flips} of {answers.images:,}", f"[{low}, {high}] %", value=answers.flips)


def _whole(figure: Callable[[Timing], float | None]) -> Callable[[Measured], Cell]:
    def cell(entry: Measured) -> Cell:
        whole = entry.pipeline.whole
        seconds = figure(whole)
        if seconds is None:
            return Cell(MISSING)
        mark = pipeline.cause_of(whole) or ""
        return Cell(number(seconds, 1e3, 2), mark=mark, value=seconds)

    return cell


def _inside(entry: Measured) -> Cell:
    seconds = entry.pipeline.stages["infer"].p50_s
    return Cell(number(seconds, 1e3, 2), value=seconds)


def _sentences(shown: list[Measured]) -> Iterator[str]:
    for entry in shown:
        answers = entry.answers
        yield (
            f"{entry.file.folder} answers {answers.flips} of {answers.images:,} test images "
            f"otherwise than the file without its preprocessing, and takes "
            f"{number(entry.pipeline.whole.p50_s, 1e3, 2)} ms from the image file to the label."
        )


def _notes(results: Results) -> Iterator[str]:
    dataset = results.dataset
    yield (
        f"Each file classifies the {dataset.images:,} images of the {dataset.split} split as they "
        "lie, decoded by Pillow. Changed answers: with another class than by the file without, "
        "after Pillow's resizing; with Wilson's 95 % interval of their share."
    )
    yield (
        f"Delta and verdict: against {results.baseline} after the evaluation's preprocessing, by "
        f"the rules of the main table, with a budget of "
        f"{points(results.options.max_accuracy_drop)}."
    )
    yield (
        "Whole: from the bytes of an image file to its label. In the file: the call, with resizing "
        "and softmax. These files are not compared by the latency of a call, which has more to do."
    )
