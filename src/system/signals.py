"""How a command is stopped from outside: by Ctrl-C, or by SIGTERM as a cluster does."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_NAMES = {signal.SIGINT: "Ctrl-C"}


class Stopped(BaseException):  # it is no error
    """The command was stopped; what was done is on disk.

    No Exception, so that nothing takes it for the failure of a format or a row.

    Args:
        number: of the signal.
        told: what was saved and how to go on, as part of a sentence.
        quiet: another process of the same training tells, and has the exit code.
    """

    def __init__(self, number: int, told: str = "", *, quiet: bool = False) -> None:
        super().__init__(number)
        self.signal = signal.Signals(number)
        self.told = told
        self.quiet = quiet

    def __str__(self) -> str:
        line = f"stopped by {_NAMES.get(self.signal, self.signal.name)}"
        return f"{line}; {self.told}" if self.told else line

    @property
    def exit_code(self) -> int:
        """As a shell has it for a program that the signal ended."""
        return 0 if self.quiet else 128 + self.signal


@contextmanager
def at_once() -> Iterator[None]:
    """Ctrl-C and SIGTERM raise :class:`Stopped`, wherever the program is."""
    with handling(stop, signal.SIGINT, signal.SIGTERM):
        yield


def stop(number: int, _: FrameType | None = None) -> None:
    """A handler of a signal.

    Raises:
        Stopped: always.
    """
    raise Stopped(number)


@contextmanager
def handling(handler: signal._HANDLER, *numbers: signal.Signals) -> Iterator[None]:
    """``handler`` for these signals, then what was there before.

    A signal that is ignored stays so, as of a program that nohup started; and only the main thread
    can have handlers.
    """
    ours = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
    if threading.current_thread() is not threading.main_thread():
        ours = []
    before = {number: signal.signal(number, handler) for number in ours}
    try:
        yield
    finally:
        for number, each in before.items():
            signal.signal(number, each)


@contextmanager
def telling(how_to_go_on: Callable[[], str]) -> Iterator[None]:
    """Says how to go on if the block is stopped; asked for it then."""
    try:
        yield
    except Stopped as stopped:
        stopped.told = "; ".join(part for part in (stopped.told, how_to_go_on()) if part)
        raise
