"""Other programs: a module of this project, or a small one of the system, in its own process."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_MOST_BYTES = 1 << 16  # as much as a pipe holds


def run_module(name: str, *argv: str, seconds: float) -> subprocess.CompletedProcess[str]:
    """What ``python -m NAME ARGV...`` printed, and how it ended.

    Args:
        name: as it is imported.
        seconds: that it may take.

    Raises:
        subprocess.TimeoutExpired: it took longer, and was killed.
        OSError: no process can be started.
    """
    return subprocess.run(
        [sys.executable, "-m", name, *argv],
        cwd=_ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def output_of(
    command: Sequence[str],
    seconds: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> str | None:
    """The first lines that a small program of the system prints, without the last line break.

    None where it is not installed, fails or hangs. It has no terminal to ask a question at. When
    the time is over it is killed with all that it started, so that none of these holds the pipe
    open: ``subprocess.run`` would wait for them.
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
        raise RuntimeError("a pipe was asked for")
    with process.stdout as pipe:
        try:
            code = process.wait(seconds)
        except BaseException as error:  # a signal to this process ends the other one, too
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                return None
            raise
        os.set_blocking(pipe.fileno(), False)
        try:
            content = os.read(pipe.fileno(), _MOST_BYTES)
        except BlockingIOError:
            content = b""  # it printed nothing, and what it started still could
    return os.fsdecode(content).rstrip("\n") if code == 0 else None
