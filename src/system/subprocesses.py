"""Subprocesses: a module of this project, a short-lived program of the system, and their memory."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_PAGE = os.sysconf("SC_PAGE_SIZE")
_MAX_BYTES = 1 << 16  # the capacity of a pipe


def run_module(name: str, *argv: str, seconds: float) -> subprocess.CompletedProcess[str]:
    """Run ``python -m NAME ARGV...`` and return its exit code and output.

    Args:
        name: the module's import name.
        argv: its arguments.
        seconds: the time limit.

    Raises:
        subprocess.TimeoutExpired: it took longer, and was killed.
        OSError: the process cannot be started.
    """
    return subprocess.run(
        [sys.executable, "-m", name, *argv],
        cwd=_ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",  # a library may print other bytes
        timeout=seconds,
        check=False,
    )


def output_of(
    command: Sequence[str],
    seconds: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> str | None:
    """Return the output of a short-lived program, up to _MAX_BYTES, without final line breaks.

    Return None if it is not installed, fails or takes longer than ``seconds``. It has no terminal
    to ask questions at. After the time limit its whole process group is killed, so that none of
    its children keeps the pipe open: ``subprocess.run`` would wait for them.
    """
    try:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return None
    if process.stdout is None:
        raise RuntimeError("Popen made no pipe for standard output")
    with process.stdout as pipe:
        try:
            code = process.wait(seconds)
        except BaseException as error:  # a signal to this process also ends the program
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                return None
            raise
        os.set_blocking(pipe.fileno(), False)
        try:
            content = os.read(pipe.fileno(), _MAX_BYTES)
        except BlockingIOError:
            content = b""  # nothing printed yet, and a child still has the pipe open
    return os.fsdecode(content).rstrip("\n") if code == 0 else None


def resident_bytes(pid: int) -> int:
    """Return the resident bytes of a process; 0 without ``/proc`` or without the process."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0
