"""A trace that was just written, read back in a process of its own.

As Python objects a trace takes tens of times its compressed size. Read in the training's process,
that memory comes back to it in pieces: its resident set would grow with the number of windows.

python -m src.profiling.reading TRACE STAGE whole|cut    prints the figures as JSON
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from src.profiling.summary import summarize
from src.profiling.trace import Trace
from src.system.subprocesses import run_module

MOST_SECONDS = 600.0  # it takes one or two; a hang must not hold a training up for ever


def figures(path: Path, stage: str, *, cut: bool) -> dict[str, Any]:
    """What :func:`src.profiling.summary.summarize` says of a file, found out in a new process.

    Args:
        path: a ``.json.gz`` file.
        stage: ``train`` or ``val``.
        cut: whether its last step had not ended.

    Raises:
        ValueError: it is not whole, or not a trace, or could not be read.
    """
    end = "cut" if cut else "whole"
    try:
        done = run_module(__name__, str(path), stage, end, seconds=MOST_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ValueError(f"it could not be read back: {error}") from error
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2] or "no message"
        raise ValueError(f"reading it back ended with exit code {done.returncode}: {last}")
    answer: dict[str, Any] = json.loads(done.stdout)
    if "broken" in answer:
        raise ValueError(answer["broken"])
    return answer


def main() -> None:
    path, stage, end = sys.argv[1:]
    try:
        trace = Trace.read(Path(path))
        answer = summarize(trace.without_last_step() if end == "cut" else trace, stage)
    except ValueError as error:
        answer = {"broken": str(error)}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
