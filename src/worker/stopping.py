"""Stopping a worker process between its requests, as a shell's Ctrl-Z does.

A runtime's thread pool may spin for a while after its last task: ONNX Runtime's does for 60 to 70
ms. A stopped process uses no CPU from then on, so the next worker need not wait for the end of it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys

IS_POSSIBLE = sys.platform == "linux"  # where the kernel can end a stopped process with its parent


def stop(process: subprocess.Popen[bytes]) -> None:
    """Stop a child process, and return when it is stopped or has ended."""
    process.send_signal(signal.SIGSTOP)
    # The end is only looked at: Popen must be the one to collect the exit code. It has collected it
    # already where the process ended before the signal.
    with contextlib.suppress(ChildProcessError):
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)


def go_on(process: subprocess.Popen[bytes]) -> None:
    """Let a stopped child process go on."""
    process.send_signal(signal.SIGCONT)
