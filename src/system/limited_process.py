"""Runs a program with a limit of its time and of its memory, and kills it where it exceeds one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from src.errors import one_line
from src.system import sessions
from src.system.subprocesses import resident_bytes

_ROOT = Path(__file__).parents[2]
_POLL_SECONDS = 0.05
_REST = 10  # times as long as a look at the processes
_LAST = 300  # characters of the program's last line
_MAX_OUTPUT = 1 << 20  # bytes of its output


class LimitedProcessError(Exception):
    """A program failed or exceeded a limit; the message is one line.

    Args:
        message: the reason.
        last: the last line that it printed.
        code: its exit code; None if it was killed here or never ran.
    """

    def __init__(self, message: str, last: str = "", code: int | None = None) -> None:
        super().__init__(message)
        self.last, self.code = last, code


def run_limited(
    command: Sequence[str],
    *,
    seconds: float,
    max_bytes: int,
    variables: Mapping[str, str] | None = None,
) -> str:
    """Run a program of this project in its folder, and return what it prints.

    Its children are in its process group, which is killed as a whole.

    Args:
        command: the program and its arguments.
        seconds: the time limit.
        max_bytes: the limit of the resident memory of the program and its children together.
            Pages that they share count in each of them.
        variables: all of its environment variables; None for those of this process.

    Raises:
        LimitedProcessError: it failed, exceeded a limit or cannot be started.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                command,
                cwd=_ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,
                env=variables,
            )
        except OSError as error:
            raise LimitedProcessError(f"cannot be started: {error}") from error
        try:
            _wait(process, seconds, max_bytes)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.returncode:
            raise _failure(process.returncode, errors, output)
        return _end_of(output, _MAX_OUTPUT)


def _wait(process: subprocess.Popen[bytes], seconds: float, max_bytes: int) -> None:
    end, was_over = time.monotonic() + seconds, False
    while process.poll() is None:
        looked = time.monotonic()
        resident = sum(resident_bytes(member.pid) for member in sessions.members(process.pid))
        is_over = resident > max_bytes
        # Twice in a row: a new child has its parent's memory until it executes its own program.
        if is_over and was_over:
            raise LimitedProcessError(
                f"{resident / 1e9:.1f} GB resident, over {max_bytes / 1e9:.1f} GB; killed"
            )
        was_over = is_over
        now = time.monotonic()
        if now > end:
            raise LimitedProcessError(f"not done within {seconds:g} s; killed")
        # A machine with many processes is not looked at all the time.
        time.sleep(max(_POLL_SECONDS, _REST * (now - looked)))


def _failure(code: int, errors: IO[bytes], output: IO[bytes]) -> LimitedProcessError:
    text = _end_of(errors, _MAX_OUTPUT).strip() or _end_of(output, _MAX_OUTPUT).strip()
    cause = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    last = one_line(text.rpartition("\n")[2])[-_LAST:]
    return LimitedProcessError(f"{cause}: {last}" if last else cause, last, code)


def _end_of(file: IO[bytes], most: int) -> str:
    file.seek(0, os.SEEK_END)
    file.seek(max(0, file.tell() - most))
    return file.read().decode(errors="replace")
