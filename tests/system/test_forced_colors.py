"""A log whose environment asks for colours is no terminal: CI services set FORCE_COLOR."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping

import pytest
from rich.console import Console

from src.report.writers.console import report_table
from src.system.console import StageDisplay, open_console
from tests.report.pages import report
from tests.report.planted import results, row

FORCED: dict[str, Mapping[str, str]] = {
    "FORCE_COLOR": {"FORCE_COLOR": "1"},
    "FORCE_COLOR of a CI service": {"FORCE_COLOR": "3", "CI": "true", "GITHUB_ACTIONS": "true"},
    "TTY_COMPATIBLE": {"TTY_COMPATIBLE": "1"},
    "TTY_INTERACTIVE": {"TTY_COMPATIBLE": "1", "TTY_INTERACTIVE": "1"},
}
PLAIN: dict[str, Mapping[str, str]] = {
    "nothing": {},
    "NO_COLOR": {"NO_COLOR": "1"},
    "CI": {"CI": "true"},
    "TTY_COMPATIBLE off": {"TTY_COMPATIBLE": "0", "FORCE_COLOR": "1"},
}


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def printed_to(file: io.StringIO, patch: pytest.MonkeyPatch, variables: Mapping[str, str]) -> None:
    """Set standard output and the environment."""
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "CI"):
        patch.delenv(name, raising=False)
    for name, value in {"COLUMNS": "80", "TERM": "xterm", **variables}.items():
        patch.setenv(name, value)
    patch.setattr(sys, "stdout", file)


@pytest.mark.parametrize("name", [*FORCED, *PLAIN])
def test_a_log_gets_a_row_a_line_and_no_progress_bar(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = io.StringIO()
    printed_to(log, monkeypatch, {**FORCED, **PLAIN}[name])
    console = open_console()
    with StageDisplay(console) as display:
        for done in range(3):
            display("timing", f"part {done}", done, 3)
        display("writing")
    table = report_table(report(results(row("eager"), row("other"))), narrow=console.is_terminal)
    console.print(table)
    console.print("recommended", style="bold")
    lines = log.getvalue().splitlines()
    assert lines[:2] == ["timing", "writing"]
    [other] = [line for line in lines if line.split()[:1] == ["other"]]
    assert "2.00 [1.90, 2.10]" in other
    assert "50.00" in other
    for control in ("\r", "\x1b[?25", "\x1b[2K", "\x1b[1A"):  # hides the cursor, erases, goes up
        assert control not in log.getvalue()
    assert ("\x1b[1m" in lines[-1]) == (name in FORCED)


def test_a_terminal_keeps_its_width_and_its_progress_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    printed_to(screen, monkeypatch, {})
    console = open_console()
    assert (console.is_terminal, console.width) == (True, 80)
    with StageDisplay(console) as display:
        display("timing", "part 0", 0, 1)
    assert "\x1b[?25l" in screen.getvalue()


def test_the_same_holds_for_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    printed_to(io.StringIO(), monkeypatch, {"FORCE_COLOR": "1"})
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert Console(stderr=True).is_terminal
    assert not open_console(stderr=True).is_terminal
    monkeypatch.setattr(sys, "stderr", Screen())
    assert open_console(stderr=True).is_terminal
