"""``report.md``: the table with what it needs to be understood."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from src.report import export_notes, health, notes, operators
from src.report.advice import sentences
from src.report.table import (
    accuracy_columns,
    columns,
    footnotes,
    more_columns,
)
from src.report.writers.markdown_table import items, line, markdown_table
from src.system import quoting


def markdown(results: dict[str, Any], figures: Sequence[str] = ()) -> str:
    """The page for one run, made from its ``benchmark.json`` alone.

    Args:
        results: the content of that file.
        figures: the names of the pictures beside the page, without ``.png``.
    """
    first, *others = notes.environment(results)
    lines = [
        f"# {quoting.markdown(results['run'])}",
        "",
        quoting.markdown(notes.about(results)),
        "",
        *(f"**{quoting.markdown(sentence)}**" for sentence in sentences(results)),
        "",
        *([f"**{quoting.markdown(warning)}**", ""] if (warning := health.warning(results)) else []),
        markdown_table(results, columns(results)),
        "",
        *items(footnotes(results)),
        *items(notes.definitions(results)),
        "",
        "## What changed in the answers",
        "",
        markdown_table(results, accuracy_columns(results)),
        "",
        *items(notes.ANSWERS),
        *_damage(results),
        *health.section(results),
        *export_notes.sections(results),
        *operators.sections(results),
        *(line for name in figures for line in ("", f"![{name.replace('_', ' ')}]({name}.png)")),
        "",
        "## More figures",
        "",
        markdown_table(results, more_columns(results)),
        "",
        *items(notes.MORE),
        "",
        "## Where it was measured",
        "",
        *items([first[1], *(f"{name}: {text}" for name, text in others)]),
        *items([f"Checkpoint: {notes.checkpoint(results)}"]),
    ]
    return "\n".join(lines) + "\n"


def _damage(results: dict[str, Any]) -> list[str]:
    """Where quantization hurts, for each row that has it told."""
    lines = []
    for row in results["rows"]:
        if not row.get("damage"):
            continue
        lines += [
            "",
            f"### Where {row['format']} on {row['device']} loses the most",
            "",
            "| tensor | kind | SQNR dB |",
            "| --- | --- | ---: |",
            *(
                line([each["tensor"], each["kind"], f"{each['sqnr_db']:.1f}"])
                for each in row["damage"]
            ),
        ]
    return lines
