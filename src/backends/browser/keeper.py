"""Runs a browser until it ends, or until the process that asked for it ends.

    python -m src.backends.browser.keeper PROFILE PROGRAM ARGUMENTS...

Standard input is a pipe from that process. A worker is killed without a chance to clean up, and the
pipe is closed even then. The keeper leads a session, so it finds all processes of the browser.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from src.system import sessions

_END_SECONDS = 5.0
_PR_SET_PDEATHSIG = 1  # prctl(2)


def main(profile: str, *command: str) -> int:
    """Run the command, then end its processes and remove the profile; return its exit code."""
    browser = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        preexec_fn=_end_with_keeper,  # noqa: PLW1509  # there is no other thread yet
    )
    threading.Thread(target=_end_with_parent, args=[browser], daemon=True).start()
    code = browser.wait()
    deadline = time.monotonic() + _END_SECONDS
    while sessions.kill_others() and time.monotonic() < deadline:
        time.sleep(0.01)
    while Path(profile).exists() and time.monotonic() < deadline:
        shutil.rmtree(profile, ignore_errors=True)
    return code % 256


def _end_with_keeper() -> None:
    """Let the kernel kill this process when the keeper is killed, as where memory runs out."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _end_with_parent(browser: subprocess.Popen[bytes]) -> None:
    os.read(sys.stdin.fileno(), 1)  # returns at the end of the pipe; nothing is ever written to it
    browser.kill()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
