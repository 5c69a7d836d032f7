"""Summary of a trace file, made in a subprocess.

A trace takes more than ten times its compressed size in memory. In the training's process that
memory would be freed in fragments, and the resident set would grow with the number of windows.

python -m src.profiling.subprocess_summary TRACE STAGE whole|cut STEPS    prints the figures as JSON
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec

from src.profiling.summary import summarize
from src.profiling.trace import Trace
from src.run.training_profile import Figures
from src.system.subprocesses import run_module

TIMEOUT_SECONDS = 600.0  # usually 1 or 2; a hang must not block the training for ever


class _Answer(msgspec.Struct):
    """The output of the subprocess: the figures, or a description of the fault in the file."""

    figures: Figures | None = None
    broken: str | None = None


def summarize_in_subprocess(
    path: Path, stage: str, *, cut: bool, steps_per_update: int = 1
) -> Figures:
    """Return the figures of :func:`src.profiling.summary.summarize` for a file.

    Args:
        path: a ``.json.gz`` file.
        stage: ``train`` or ``val``.
        cut: True if recording ended within the last step, which is then ignored.
        steps_per_update: as for that function.

    Raises:
        ValueError: the file is damaged, is not a trace, or could not be read.
    """
    end = "cut" if cut else "whole"
    try:
        words = [str(path), stage, end, str(steps_per_update)]
        done = run_module(__name__, *words, seconds=TIMEOUT_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ValueError(f"it could not be read back: {error}") from error
    if done.returncode:
        message = done.stderr.strip().rpartition("\n")[2] or "no message"
        raise ValueError(f"reading it back ended with exit code {done.returncode}: {message}")
    answer = msgspec.json.decode(done.stdout, type=_Answer)
    if answer.figures is None:
        raise ValueError(answer.broken)
    return answer.figures


def main() -> None:
    """Summarize the trace that the arguments name, and print an answer."""
    path, stage, end, steps = sys.argv[1:]
    try:
        trace = Trace.read(Path(path))
        shown = trace.without_last_step() if end == "cut" else trace
        figures = summarize(shown, stage, steps_per_update=int(steps))
        answer = _Answer(figures=figures)
    except ValueError as error:
        answer = _Answer(broken=str(error))
    except OSError as error:
        answer = _Answer(broken=f"it could not be read: {error}")
    sys.stdout.write(msgspec.json.encode(answer).decode())


if __name__ == "__main__":
    main()
