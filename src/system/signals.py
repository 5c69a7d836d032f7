"""Handlers for the signals that stop a command.

They are Ctrl-C, SIGTERM as clusters send it, and SIGHUP, which comes when a terminal is lost.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_NAMES = {signal.SIGINT: "Ctrl-C"}


class Stopped(BaseException):
    """Raised when a signal stops the command. Finished work is on disk.

    It is not an Exception, so that no handler takes it for the failure of a format or a row.

    Args:
        number: the signal's number.
        details: what was saved and how to continue, as part of a sentence.
        quiet: True in a process that prints nothing and exits with 0, because another process of
            the same training prints the message and has the exit code.
    """

    def __init__(self, number: int, details: str = "", *, quiet: bool = False) -> None:
        super().__init__(number)
        self.signal = signal.Signals(number)
        self.details = details
        self.quiet = quiet

    def __str__(self) -> str:
        line = f"stopped by {_NAMES.get(self.signal, self.signal.name)}"
        return f"{line}; {self.details}" if self.details else line

    @property
    def exit_code(self) -> int:
        """Return the exit code that shells report for a program ended by this signal."""
        return 0 if self.quiet else 128 + self.signal


@contextmanager
def stopping_on_signals() -> Iterator[None]:
    """Raise :class:`Stopped` on Ctrl-C, SIGTERM and SIGHUP, at any point of the block."""
    with handling(stop, *STOPPING):
        yield


def stop(number: int, _: FrameType | None = None) -> None:
    """Handle a signal by raising :class:`Stopped`."""
    if number == signal.SIGHUP:
        # The kernel and the shell both send it. The second one must not interrupt the clean-up.
        signal.signal(number, signal.SIG_IGN)
    raise Stopped(number)


@contextmanager
def handling(handler: signal._HANDLER, *numbers: signal.Signals) -> Iterator[None]:
    """Set ``handler`` for these signals within the block. Restore the earlier ones after it.

    An ignored signal stays ignored, as in a program that nohup started. In another thread than
    the main one nothing changes, because Python allows handlers in the main thread only.
    """
    handled = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
    if threading.current_thread() is not threading.main_thread():
        handled = []
    earlier = {number: signal.signal(number, handler) for number in handled}
    try:
        yield
    finally:
        for number, earlier_handler in earlier.items():
            signal.signal(number, earlier_handler)


@contextmanager
def noting_signals() -> Iterator[list[int]]:
    """Yield a list that gets the numbers of stopping signals, which do nothing else in the block.

    This is for libraries that lose an exception of a handler. The block looks at the list.
    """
    received: list[int] = []
    with handling(lambda number, _: received.append(number), *STOPPING):
        yield received


@contextmanager
def resume_advice(advice: Callable[[], str]) -> Iterator[None]:
    """Add advice on how to continue to the message if the block is stopped.

    ``advice`` is called at that moment.
    """
    try:
        yield
    except Stopped as stopped:
        stopped.details = "; ".join(part for part in (stopped.details, advice()) if part)
        raise
