from __future__ import annotations

import io
import sys

import pytest
from msgspec.structs import force_setattr
from rich.console import Console

from src.report.writers.console import report_table
from src.system.console import open_console
from tests.report.pages import record, report
from tests.report.planted import results, row


def test_the_console_table_fits_a_terminal() -> None:
    console = Console(record=True, width=120)
    console.print(report_table(report(results(row("eager"), row("onnx_int8_dynamic")))))
    text = console.export_text()
    assert "…" not in text
    assert max(len(line) for line in text.splitlines()) <= 120
    assert "[1.90, 2.10]" in text
    assert "[-2.34, +0.12]" in text
    assert "50.00" in text


LONG = "a_format_with_a_name_that_takes_half_of_a_line_by_itself_" * 2


@pytest.mark.parametrize("names", [("eager", "onnx_int8"), ("eager", LONG), (LONG, f"{LONG}2")])
def test_a_row_of_the_table_is_one_line_in_a_file_or_a_pipe(
    names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    buffer = io.StringIO()
    monkeypatch.setattr(sys, "stdout", buffer)
    console = open_console()
    measured = record(results(row("eager"), row("other")))
    for measured_row, name in zip(measured.rows, names, strict=True):
        force_setattr(measured_row, "format", name)  # longer than a file may say
    force_setattr(measured.recommendation["cpu"], "format", names[0])
    console.print(report_table(report(measured), narrow=console.is_terminal))
    lines = buffer.getvalue().splitlines()
    for name in names:
        [line] = [line for line in lines if line.split()[:1] == [name]]
        assert "2.00 [1.90, 2.10]" in line
        assert "50.00" in line
    [head] = [line for line in lines if line.split()[:1] == ["format"]]
    assert "size MB" in head
