"""Priority, signals and end of a worker process."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
from pathlib import Path

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
