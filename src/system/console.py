"""What the user sees while a stage works: a moving line on a terminal, plain lines elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_WIDTH = 100_000  # columns, where there is no terminal that has a width: no row is broken


def open_console() -> Console:
    """Standard output, as wide as the terminal; in a file or a pipe as wide as any table.

    What stands in brackets or colons is text as all else: a class's name has them too.
    """
    console = Console(highlight=False, markup=False, emoji=False)
    wide = Console(highlight=False, markup=False, emoji=False, width=_WIDTH)
    return console if console.is_terminal else wide


class Report(Protocol):
    """How a stage tells where it is."""

    def __call__(self, phase: str, detail: str = "", done: int = 0, total: int = 0) -> None:
        """Say what is being done now.

        Args:
            phase: a step of the stage, as in "timing".
            detail: what in it, as in "onnx_fp32 on cpu".
            done: how many parts of the phase are done.
            total: how many there are, 0 if that is not known.
        """


class StageDisplay:
    """A :class:`Report` that shows a progress bar on a terminal, and a line a phase elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._phase = ""
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("", total=None)

    def __call__(self, phase: str, detail: str = "", done: int = 0, total: int = 0) -> None:
        if phase != self._phase:
            self._phase = phase
            self._progress.reset(self._task)
            if not self._console.is_terminal:
                self._console.print(phase, soft_wrap=True)
        label = f"{phase}: {detail}" if detail else phase
        self._progress.update(self._task, description=label, completed=done, total=total or None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()
