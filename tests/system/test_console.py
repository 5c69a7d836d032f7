"""The progress of a stage on a terminal and in a file."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from src.system.console import StageDisplay

LONG = "waiting for another search, which is stopped; it goes on with: kill -CONT 12345678901"


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_line_that_does_not_fit_beside_the_bar_is_printed_in_full(is_terminal: bool) -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=is_terminal, width=60, markup=False)
    with StageDisplay(console) as report:
        report("exporting", "onnx_fp32", 1, 2)
        report(LONG)
        report(LONG)
    assert file.getvalue().replace("\n", "").count(LONG) == 1
