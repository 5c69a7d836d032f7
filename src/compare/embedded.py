"""Files with their preprocessing inside: a table of those of all runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from src.compare.collection import Measured
from src.compare.comparability import Testbed, TestSet, test_sets_of, testbed_of
from src.report.document import Cell, Column, Table, number, tabulate, text_column
from src.report.sections import speedups, verdicts
from src.report.sections.measurements import cause_of
from src.run.embedded import EmbeddedFigures
from src.run.latency import Cell as Timing
from src.run.pipeline import DecoderAnswers, Pipeline
from src.run.results import Results

CAPTION = "From the image file to the label, by files with their preprocessing inside"


class EmbeddedFile(NamedTuple):
    """Such a file, with its figures."""

    device: str
    file: EmbeddedFigures
    pipeline: Pipeline
    answers: DecoderAnswers  # against the file without

    @property
    def name(self) -> str:
        """Its folder, which is unique among those of a run."""
        return self.file.folder

    @property
    def key(self) -> tuple[str, str]:
        """Folder and device."""
        return self.file.folder, self.device


class _Shown(NamedTuple):
    run: str
    model: str
    embedded: EmbeddedFile
    testbed: Testbed
    test_set: TestSet


def files(results: Results) -> list[EmbeddedFile]:
    """Return the files of a measurement that have figures."""
    return [
        EmbeddedFile(row.device, row.embedded, row.embedded.pipeline, row.embedded.pipeline.answers)
        for row in results.rows
        if row.embedded and row.embedded.pipeline and row.embedded.pipeline.answers
    ]


def whole_times(results: Results, device: str) -> dict[str, Timing]:
    """Return the times from the image file to the label, by format and by folder of these files."""
    times = {
        row.format: pipeline.whole
        for row in results.rows
        if row.device == device and (pipeline := row.pipeline_of())
    }
    return times | {
        file.name: file.pipeline.whole for file in files(results) if file.device == device
    }


def table(measurements: Sequence[Measured]) -> Table | None:
    """Return the table, the fastest file first; None without such a file."""
    shown = sorted(_shown(measurements), key=lambda entry: entry.embedded.pipeline.whole.p50_s)
    if not shown:
        return None
    columns: list[Column[_Shown]] = [
        text_column("file", lambda entry: f"{entry.model} as {entry.embedded.name}"),
        text_column("run", lambda entry: entry.run),
        Column("size\nMB", _size),
        Column("top-1\n%", lambda entry: _percent(entry.embedded.answers.top1)),
        Column(
            "verdict",
            lambda entry: verdicts.verdict_of_answers(entry.embedded.file.against_baseline),
            is_text=True,
        ),
        Column("whole\np50 ms", _whole),
        Column(
            "times the\nfile without",
            lambda entry: speedups.cell(entry.embedded.pipeline.over_reference),
        ),
    ]
    if len({entry.testbed for entry in shown}) > 1:
        columns.append(text_column("place", lambda entry: str(entry.testbed)))
    if len({entry.test_set for entry in shown}) > 1:
        columns.append(text_column("images", lambda entry: str(entry.test_set)))
    return tabulate(CAPTION, columns, shown, lambda entry: f"{entry.run} {entry.embedded.name}")


def notes(measurements: Sequence[Measured]) -> Iterator[str]:
    """Yield a note where the whole times are not all figures of the same kind.

    A measurement of an earlier version counts each call, and leans toward small files.
    """
    of_files: dict[bool, list[str]] = {True: [], False: []}
    for entry in _shown(measurements):
        of_files[entry.embedded.pipeline.files is not None].append(entry.run)
    by_file, by_call = (", ".join(dict.fromkeys(runs)) for runs in of_files.values())
    if by_file and by_call:
        yield (
            f"The whole counts each image file once in {by_file}, and each call in {by_call}, "
            "which was measured by an earlier version: files that are decoded fast have more "
            "calls, so its p50 leans toward them. Measure it again to compare the two."
        )


def _shown(measurements: Sequence[Measured]) -> Iterator[_Shown]:
    test_sets = test_sets_of([measured.results for measured in measurements])
    for measured, test_set in zip(measurements, test_sets, strict=True):
        for file in files(measured.results):
            testbed = testbed_of(measured.results, file.device)
            yield _Shown(measured.name, measured.results.model, file, testbed, test_set)


def _size(entry: _Shown) -> Cell:
    size = entry.embedded.file.size_bytes
    return Cell(number(size, 1e-6, 1), value=size)


def _percent(share: float) -> Cell:
    return Cell(number(share, 100, 2), value=share)


def _whole(entry: _Shown) -> Cell:
    whole = entry.embedded.pipeline.whole
    return Cell(number(whole.p50_s, 1e3, 2), mark=cause_of(whole) or "", value=whole.p50_s)
