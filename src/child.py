"""A module of this project, run in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[1]


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
