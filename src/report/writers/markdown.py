"""``report.md``, and tables and lists in GitHub's Markdown for the other Markdown pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from src.report.document import Cell, Section, Table
from src.report.sections.report import Report
from src.system import quoting


def page(report: Report, images: Sequence[str] = ()) -> str:
    """Return the page of one run.

    Args:
        report: the report of the run.
        images: names of the image files beside the page, without ``.png``.
    """
    measured, *facts = report.environment
    lines = [
        f"# {quoting.markdown(report.run)}",
        "",
        quoting.markdown(report.about),
        "",
        *map(bold, report.recommendation),
        "",
        *([bold(report.warning), ""] if report.warning else []),
        *table_lines(report.measurements.table),
        "",
        *items(report.unmeasured),
        *items(report.measurements.notes),
        *section_lines(report.answers, title=report.answers.table.caption),
        *(
            line
            for section in report.quantization_errors
            for line in section_lines(section, level=3)
        ),
        *(section_lines(report.pipeline) if report.pipeline else ()),
        *(section_lines(report.embedded) if report.embedded else ()),
        *(section_lines(report.instruction_sets) if report.instruction_sets else ()),
        *(section_lines(report.twin) if report.twin else ()),
        *(section_lines(report.load) if report.load else ()),
        *(section_lines(report.outliers) if report.outliers else ()),
        *(line for section in report.export_notes for line in export_notes_lines(section)),
        *(section_lines(report.operators) if report.operators else ()),
        *(line for name in images for line in ("", f"![{name.replace('_', ' ')}]({name}.png)")),
        *section_lines(report.more),
        "",
        "## Where it was measured",
        "",
        *items([measured.text, *(f"{fact.name}: {fact.text}" for fact in facts)]),
        *items([f"{report.checkpoint.name}: {report.checkpoint.text}"]),
    ]
    return "\n".join(lines) + "\n"


def export_notes_lines(section: Section) -> Iterator[str]:
    """Yield the lines of a section on how a format's file was made."""
    return section_lines(section, title=f"How {section.title} was made")


def section_lines(section: Section, *, title: str = "", level: int = 2) -> Iterator[str]:
    """Yield the lines of a section; a chosen row of its table is bold.

    Args:
        section: the section.
        title: the heading, by default that of the section.
        level: of the heading.
    """
    yield from ("", f"{'#' * level} {quoting.markdown(title or section.title)}")
    table = table_lines(section.table, bold_chosen=True) if section.table.heads else ()
    for block in (items(section.sentences), table, items(section.notes)):
        for position, line in enumerate(block):
            if position == 0:
                yield ""
            yield line


def table_lines(table: Table, *, bold_chosen: bool = False, separator: str = " ") -> Iterator[str]:
    """Yield the lines of a table of the rows that have figures.

    Args:
        table: the table.
        bold_chosen: write the chosen rows in bold.
        separator: Markdown between the parts of a cell, and where a head may be broken.
    """
    yield _line(_joined(head.lines, quoting.markdown, separator) for head in table.heads)
    yield _line("---" if head.is_text else "---:" for head in table.heads)
    for group in table.measured_groups:
        if group.name:
            name = quoting.markdown(group.name, in_table=True)
            yield _line([f"**{name}**", *[""] * (len(table.heads) - 1)])
        for row in group.rows:
            mark = "**" if bold_chosen and row.is_chosen else ""
            yield _line(f"{mark}{_quoted(cell, separator)}{mark}" for cell in row.cells)


def items(sentences: Iterable[str]) -> Iterator[str]:
    """Yield plain text as a list, one line per sentence."""
    return (f"- {quoting.markdown(sentence)}" for sentence in sentences)


def bold(sentence: str) -> str:
    """Return plain text in bold."""
    return f"**{quoting.markdown(sentence)}**"


def paragraphs(sentences: Iterable[str]) -> str:
    """Return plain text, one paragraph per sentence."""
    return "\n\n".join(map(quoting.markdown, sentences))


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _quoted(cell: Cell, separator: str) -> str:
    quote = quoting.markdown_code if cell.is_code else quoting.markdown
    return _joined(cell.parts, quote, separator)


def _joined(parts: Iterable[str], quote: Callable[..., str], separator: str) -> str:
    return separator.join(quote(part, in_table=True) for part in parts)
