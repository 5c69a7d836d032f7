"""Priority, signals and end of a worker process."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
import threading
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # prctl(2)
_NICE = -20  # the highest priority that is not real-time; privileged


def begin(descriptor: int, *, high_priority: bool) -> None:
    """Prepare this process to be a worker, before it starts any thread.

    Args:
        descriptor: the connection with the parent; the process ends when the parent closes it.
        high_priority: run at the highest priority if the system allows it.
    """
    # If memory runs out, the kernel should kill this process rather than its parent.
    with contextlib.suppress(OSError):  # not Linux
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    # The highest priority, so that other processes do not slow the timed calls. It is set before
    # any thread starts, because threads inherit it.
    if high_priority:
        with contextlib.suppress(OSError):  # not permitted
            os.setpriority(os.PRIO_PROCESS, 0, _NICE)
    # A terminal sends Ctrl-C to all processes of a command. The parent ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=[descriptor], daemon=True).start()


def _end_with_parent(descriptor: int) -> None:
    """End this process, whatever it is doing, when the parent has closed the connection."""
    watched = select.poll()
    # Only the end of the connection, which poll always reports. The messages are read elsewhere.
    watched.register(descriptor, getattr(select, "POLLRDHUP", 0))
    watched.poll()
    os._exit(1)


def end_with_parent_while_stopped() -> bool:
    """Let the kernel kill this process when its parent ends, even while it is stopped.

    A stopped process cannot see that the connection was closed. The kernel counts the end of the
    thread that started this process as the end of the parent, so call this when that thread is one
    that stays, or has ended already.

    Returns:
        True if the kernel will do so.
    """
    if sys.platform != "linux":
        return False
    failed: int = ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    return not failed
