"""Progress display of a stage: a progress bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

from typing import Any, Protocol, Self

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_WIDTH = 100_000  # columns in a file or pipe, so that no row of a table is wrapped
_BESIDE_PHASE = 30  # columns of a terminal for a short bar, both times and the gaps


def open_console(*, stderr: bool = False) -> Console:
    """Return a console on standard output, without a limit of width in a file or pipe.

    ``FORCE_COLOR`` and ``TTY_COMPATIBLE``, which are set in the logs of many CI services, ask for
    colours. They make no terminal of a log: it has no width, and no line in it is drawn again.
    Rich's markup in brackets and colons is off, because a class's name may contain both.

    Args:
        stderr: on standard error instead.
    """
    console = _console(stderr=stderr)
    if console.is_terminal and console.file.isatty():
        return console
    colors = "standard" if console.is_terminal else None
    return _console(stderr=stderr, width=_WIDTH, force_terminal=False, color_system=colors)


def _console(**options: Any) -> Console:
    return Console(highlight=False, markup=False, emoji=False, **options)


class Report(Protocol):
    """A callback to which a stage reports its progress."""

    def __call__(self, phase: str, detail: str = "", done: int = 0, total: int = 0) -> None:
        """Report the work that begins now.

        Args:
            phase: a step of the stage, such as "timing".
            detail: the part of the phase, such as "onnx_fp32 on cpu".
            done: the number of finished parts of the phase.
            total: the number of its parts, 0 if unknown.
        """


class StageDisplay:
    """A :class:`Report` that shows a progress bar on a terminal, elsewhere one line per phase.

    A phase that is too long for the line of the bar, such as the processes that a lock is waited
    for, is printed above it: the bar would cut it.
    """

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
        is_long = cell_len(phase) > self._console.width - _BESIDE_PHASE
        if phase != self._phase:
            self._phase = phase
            self._progress.reset(self._task)
            if is_long or not self._console.is_terminal:
                self._console.print(phase, soft_wrap=True)
        label = ": ".join(part for part in ("" if is_long else phase, detail) if part)
        self._progress.update(self._task, description=label, completed=done, total=total or None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
