"""The processes that hold a lock on a file, for the message of a command that waits for them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from src.errors import one_line
from src.system.process_stat import fields_after_name

_PROCESSES = Path("/proc")
_STOPPED = {"T", "t"}  # states of proc_pid_stat(5): by a signal as that of Ctrl-Z, or by a tracer
_FORK_SERVER = "src.system.fork_server"
_MOST_SHOWN = 80  # characters of a command line


@dataclass(frozen=True)
class _Process:
    pid: int
    parent: int
    is_stopped: bool
    command: str


def in_words(path: Path) -> str:
    """Return the processes that have a file open, and how those go on that are stopped.

    Every process that inherited the descriptor of a lock holds it. Of a process and its children
    only the process is named.

    Args:
        path: of the file.

    Returns:
        The words after a colon; nothing if none is known, as on another machine or without /proc.
    """
    processes = list(_with_file(path))
    pids = {process.pid for process in processes}
    named = [
        f"{process.pid} ({process.command})" for process in processes if process.parent not in pids
    ]
    if not named:
        return ""
    words = f": process {', '.join(named)}"
    if stopped := [str(process.pid) for process in processes if process.is_stopped]:
        words += f"; it is stopped, and goes on with: kill -CONT {' '.join(stopped)}"
    return words


def _with_file(path: Path) -> Iterator[_Process]:
    """Yield the other processes of this user that have a file open."""
    try:
        wanted = str(path.resolve())
        folders = sorted(_PROCESSES.iterdir(), key=lambda folder: folder.name)
    except OSError:
        return
    for folder in folders:
        if not folder.name.isdecimal() or int(folder.name) == os.getpid():
            continue
        try:
            if any(str(file.readlink()) == wanted for file in (folder / "fd").iterdir()):
                yield _read(folder)
        except (OSError, ValueError, IndexError):  # it has ended, or is another user's
            continue


def _read(folder: Path) -> _Process:
    state, parent = fields_after_name(folder / "stat")[:2]
    command = (folder / "cmdline").read_text(errors="replace").replace("\0", " ")
    if f" -m {_FORK_SERVER} " in command:  # a copy of it has the name of its module
        command = f"python -m {(folder / 'comm').read_text(errors='replace').strip()}"
    return _Process(int(folder.name), int(parent), state in _STOPPED, _short(one_line(command)))


def _short(command: str) -> str:
    return command if len(command) <= _MOST_SHOWN else f"{command[:_MOST_SHOWN]}..."
