"""The fields of ``/proc/PID/stat``: see proc_pid_stat(5)."""

from __future__ import annotations

from pathlib import Path


def fields_after_name(stat: Path) -> list[str]:
    """Return the fields behind the name of the program: state, parent, group, session and so on.

    The name is in brackets, and may have brackets and spaces itself.

    Args:
        stat: the file of a process.

    Raises:
        OSError: the process has ended, or is another user's.
    """
    return stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
