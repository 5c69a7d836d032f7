"""The processes of a session, read from ``/proc``: a program with all that it started."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from src.system.process_stat import fields_after_name

_PROC = Path("/proc")
# Fields of /proc/PID/stat after the name, which is in parentheses: proc_pid_stat(5).
_SESSION, _TIMES = 3, slice(11, 15)


class Member(NamedTuple):
    """A process of a session.

    Args:
        pid: its number.
        cpu_seconds: user and system time, also of children that have ended.
    """

    pid: int
    cpu_seconds: float


def are_known() -> bool:
    """Return True if this system has a ``/proc``, as Linux has."""
    return (_PROC / "self").exists()


def members(leader: int) -> Iterator[Member]:
    """Yield the processes of the session that a process leads; none without ``/proc``."""
    ticks = os.sysconf("SC_CLK_TCK")
    for path in _PROC.glob("[0-9]*/stat"):
        try:
            fields = fields_after_name(path)
        except OSError:
            continue  # it has ended meanwhile
        if len(fields) > _TIMES.stop and int(fields[_SESSION]) == leader:
            yield Member(int(path.parent.name), sum(map(int, fields[_TIMES])) / ticks)


def kill_others() -> int:
    """Kill the other processes of the session that this process leads; return their number."""
    return kill(os.getpid(), spared=os.getpid())


def kill(leader: int, spared: int | None = None) -> int:
    """Kill the processes of the session that a process leads, but one; return their number."""
    pids = [member.pid for member in members(leader) if member.pid != spared]
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(pids)


def threads(pid: int) -> list[int]:
    """Return the numbers of the threads of a process; none if they are not known."""
    return [int(path.name) for path in (_PROC / str(pid) / "task").glob("[0-9]*")]


def status_bytes(pid: int, name: str) -> int | None:
    """Return a size from ``/proc/PID/status``, such as ``VmHWM``; None if it is not known."""
    try:
        lines = (_PROC / str(pid) / "status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    values = [line.split()[1] for line in lines if line.startswith(f"{name}:")]
    return int(values[0]) << 10 if values else None


def command_line(pid: int) -> str:
    """Return the arguments of a process, separated by spaces; "" if they are not known."""
    try:
        return (
            (_PROC / str(pid) / "cmdline")
            .read_bytes()
            .replace(b"\0", b" ")
            .decode("utf-8", "replace")
        )
    except OSError:
        return ""
