"""The progress of a stage on a terminal, and in a file or pipe."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from src.system.console import StageDisplay

WAITING = (
    "waiting for another search in search, or for a training that one left: process 4711 (python "
    "-m src.train model=resnet34 data=digits trainer.max_epochs=30 trainer.default_root_dir=x); it "
    "is stopped, and goes on with: kill -CONT 4711 4712"
)
LONG_FOLDER = f"waiting for another forecast or search that uses {'図' * 40}"  # two columns each


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rich draws no bar on a terminal that says it is dumb."""
    monkeypatch.setenv("TERM", "xterm")


def screen_of(width: int) -> Console:
    return Console(
        file=io.StringIO(), force_terminal=True, width=width, highlight=False, markup=False
    )


def text_on(screen: Console) -> str:
    assert isinstance(screen.file, io.StringIO)
    return screen.file.getvalue()


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize(
    ("phase", "width"),
    [(WAITING, 20), (WAITING, 80), (WAITING, 240), (LONG_FOLDER, 80), (LONG_FOLDER, 150)],
)
def test_a_phase_that_is_too_long_for_the_bar_is_printed_whole_and_once(
    phase: str, width: int
) -> None:
    screen = screen_of(width)
    with StageDisplay(screen) as report:
        report(phase)
        report(phase, "1 of 2", 1, 2)
    assert text_on(screen).count(f"{phase}\n") == 1
    assert text_on(screen).count(phase) == 1
    assert "1 of 2" in text_on(screen)  # in the bar, below


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize(
    ("phase", "detail", "width"),
    [
        ("rung 1 of 3", "resnet34 to epoch 5 of 18", 80),
        ("checking the machines", "", 80),
        (WAITING, "", 300),
        (LONG_FOLDER, "", 200),
    ],
)
def test_a_phase_that_the_bar_has_room_for_is_in_the_bar_only(
    phase: str, detail: str, width: int
) -> None:
    screen = screen_of(width)
    with StageDisplay(screen) as report:
        report(phase, detail)
    assert (f"{phase}: {detail}" if detail else phase) in text_on(screen)
    assert f"{phase}\n" not in text_on(screen)


def test_elsewhere_each_phase_is_a_line_and_there_is_no_bar() -> None:
    screen = Console(file=io.StringIO(), width=100_000, highlight=False, markup=False)
    with StageDisplay(screen) as report:
        report(WAITING)
        report("forecast", "resnet34", 0, 2)
        report("forecast", "lcnet_050", 1, 2)
    assert text_on(screen) == f"{WAITING}\nforecast\n"
