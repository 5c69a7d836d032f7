"""The whole report of a measured run as plain data, made from its ``benchmark.json`` alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from src.report.document import Fact, Section
from src.report.sections import (
    answers,
    embedded,
    environment,
    export_notes,
    health,
    instruction_sets,
    load,
    measurements,
    operators,
    pipeline,
    recommendation,
    reproduction,
    twin,
)
from src.report.sections.answers import Flips
from src.report.sections.footnotes import footnotes
from src.report.sections.reproduction import Step, Usage
from src.report.sections.scalars import scalars
from src.run.results import Results
from src.run.serve_test import ServeTest


@dataclass(frozen=True)
class Report:
    """All contents of a report. Each writer chooses their order.

    Args:
        run: its name.
        machine: the processor and the threads of the measurement.
        baseline: the format that all others are compared with.
        about: a line about the network.
        recommendation: one sentence per device.
        warning: the problems of the network; None for a healthy one.
        measurements: the main table and the definitions of its columns.
        marks: footnotes of the main table.
        unmeasured: the same with the rows that have no figures, for tables without these rows.
        answers: the changed predictions.
        flips: the images that each row classifies differently from the baseline.
        quantization_errors: the tensors with the largest errors, one section per row.
        outliers: the layers of an unhealthy network.
        export_notes: how the files were made, one section per format.
        operators: the time of a call by operator.
        pipeline: the time from an image file to its label, by stage; None if it was not timed.
        embedded: files with their preprocessing inside; None without any.
        instruction_sets: answers with the kernels for older instruction sets; None if they were not
            asked for.
        twin: the int8 twin; None if none was begun.
        load: a file under load; None without a valid measurement.
        more: figures that only a page has room for.
        environment: the date and the machine of the measurement.
        checkpoint: the weights that every file was made from.
        steps: commands to reproduce it.
        usages: programs that use the files.
        scalars: figures by tag.
    """

    run: str
    machine: str
    baseline: str
    about: str
    recommendation: Sequence[str]
    warning: str | None
    measurements: Section
    marks: Sequence[str]
    unmeasured: Sequence[str]
    answers: Section
    flips: Sequence[Flips]
    quantization_errors: Sequence[Section]
    outliers: Section | None
    export_notes: Sequence[Section]
    operators: Section | None
    pipeline: Section | None
    embedded: Section | None
    instruction_sets: Section | None
    twin: Section | None
    load: Section | None
    more: Section
    environment: Sequence[Fact]
    checkpoint: Fact
    steps: Sequence[Step]
    usages: Sequence[Usage]
    scalars: dict[str, float]


def report_of(results: Results, serve_test: ServeTest | None = None) -> Report:
    """Return the report of the content of a ``benchmark.json``.

    Args:
        results: the measurement.
        serve_test: the measurement of a file under load, if it is of the present file.
    """
    return Report(
        run=results.run,
        machine=f"{results.environment.cpu}, {results.environment.threads} threads",
        baseline=results.baseline,
        about=environment.about(results),
        recommendation=[*recommendation.sentences(results)],
        warning=health.warning(results.health),
        measurements=measurements.section(results),
        marks=[*footnotes(results, with_unmeasured=False)],
        unmeasured=[*footnotes(results)],
        answers=answers.section(results),
        flips=answers.flips(results),
        quantization_errors=answers.quantization_errors(results),
        outliers=health.outliers(results.health),
        export_notes=export_notes.sections(results),
        operators=operators.section(results),
        pipeline=pipeline.section(results),
        embedded=embedded.section(results),
        instruction_sets=instruction_sets.section(results),
        twin=twin.section(results),
        load=load.section(serve_test) if serve_test else None,
        more=measurements.more(results),
        environment=environment.facts(results),
        checkpoint=environment.checkpoint(results),
        steps=reproduction.steps(results),
        usages=reproduction.usages(results),
        scalars=scalars(results),
    )
