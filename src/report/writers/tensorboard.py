"""The report in TensorBoard: tables as text, figures as scalars, charts and hyperparameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from src.errors import visible
from src.report.document import Section, Table
from src.report.narrow import split, transposed
from src.report.sections.report import Report
from src.report.writers import markdown

_WIDTH = 86  # characters that a card of the Text tab has room for in a window of 1024 pixels
_LARGEST = 2**1000  # TensorBoard stores whole numbers as floats, which end at 2**1024
_HYPERPARAMETERS = ("model", "data", "trainer")  # groups of the configuration


def write(
    report: Report,
    folder: Path,
    configuration: Mapping[str, Any],
    charts: Mapping[str, Path],
) -> None:
    """Add an event file to the run's folder.

    Args:
        report: the report of the run.
        folder: the folder of the run.
        configuration: of the run, for the HParams tab: see :func:`add_hyperparameters`.
        charts: PNG files by name, for the Images tab.
    """
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        writer.add_text("benchmark/table", figures_by_file(report.measurements.table))
        writer.add_text("benchmark/recommendation", markdown.paragraphs(report.recommendation))
        writer.add_text("benchmark/answers", figures_by_file(report.answers.table))
        if report.pipeline:
            writer.add_text("benchmark/pipeline", untitled([report.pipeline]))
        if report.embedded:
            writer.add_text("benchmark/embedded", untitled([report.embedded]))
        if report.instruction_sets:
            text = untitled([report.instruction_sets])
            writer.add_text("benchmark/older_processors", text)
        if report.twin:
            writer.add_text("benchmark/twin", untitled([report.twin]))
        if report.load:
            writer.add_text("benchmark/load", untitled([report.load]))
        if report.operators and report.operators.table.heads:
            writer.add_text("benchmark/operators", operators(report.operators))
        writer.add_text("benchmark/more", figures_by_file(report.more.table))
        for name, path in charts.items():
            with Image.open(path) as image:
                pixels = np.asarray(image.convert("RGB"))
            writer.add_image(f"benchmark/{name}", pixels, dataformats="HWC")
        for tag, value in report.scalars.items():
            writer.add_scalar(tag, value)
        add_hyperparameters(writer, configuration, has_ended=True)


def add_hyperparameters(
    writer: Any, configuration: Mapping[str, Any], *, has_ended: bool = False
) -> None:
    """Add a run to the HParams tab, with the numbers, texts and booleans of its configuration.

    The columns are those of all runs, and all their scalars. torch's ``add_hparams`` writes columns
    as well, and TensorBoard shows those of one run for all of them
    (https://github.com/tensorflow/tensorboard/issues/3371).

    Args:
        writer: torch's SummaryWriter of the run.
        configuration: nested values.
        has_ended: the run is complete.
    """
    from torch.utils.tensorboard.summary import hparams

    chosen = {name: configuration.get(name) or {} for name in _HYPERPARAMETERS}
    _, start, end = hparams(dict(_flat(chosen)), {})  # type: ignore[no-untyped-call]
    for summary in (start, end) if has_ended else (start,):
        writer.file_writer.add_summary(summary)


def write_profile(
    sections: Mapping[str, Sequence[Section]], figures: Mapping[str, Figure], folder: Path
) -> None:
    """Add an event file about the profile of a training to the run's folder.

    Args:
        sections: by tag.
        figures: by name.
        folder: the folder of the run.
    """
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        for tag, parts in sections.items():
            writer.add_text(f"profile/{tag}", untitled(parts))
        for name, figure in figures.items():
            writer.add_figure(f"profile/{name}", figure)


def figures_by_file(table: Table) -> str:
    """Return a table with a row for each figure and a column for each file."""
    return _narrow(transposed(table)) or "Nothing was measured."


def operators(section: Section) -> str:
    """Return the section on the operators of the files, which has a column for each file."""
    heading = "\n".join(markdown.section_lines(Section(section.title)))
    notes = "\n".join(markdown.items(section.notes))
    return "\n\n".join((heading, _narrow(section.table), notes))


def untitled(sections: Sequence[Section]) -> str:
    """Return sections without their headings: TensorBoard shows the tag instead."""
    blocks = []
    for section in sections:
        if section.sentences:
            blocks.append(markdown.paragraphs(section.sentences))
        if section.table.heads:
            blocks.append(_narrow(section.table))
    return "\n\n".join(blocks)


def _narrow(table: Table) -> str:
    """Return a table as several narrow ones, in which the parts of a cell are below each other."""
    return "\n\n<br>\n\n".join(
        "\n".join(markdown.table_lines(part, separator="<br>")) for part in split(table, _WIDTH)
    )


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, bool | float | str]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, str):
            yield visible(f"{prefix}{name}"), visible(value)
        elif isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < _LARGEST):
            yield visible(f"{prefix}{name}"), value
