"""The command whose options of export and measurement a run has, noted in the run itself.

Commands that differ in these options share a training. The run's ``config.yaml`` has the options of
the one that trained last, which may have been killed before it wrote anything down.
"""

from __future__ import annotations

import json
from pathlib import Path

from src.forecast.candidate import Request
from src.run.folder import Run
from src.system import atomic_files

FILE = "search_words.json"


def note(run: Run, request: Request) -> None:
    """Write down that a run has the options of a candidate's command."""
    atomic_files.write_text(_file(run), _text(request))


def forget(run: Run) -> None:
    """Forget it, before a training that may be killed replaces the options."""
    _file(run).unlink(missing_ok=True)


def are_of(run: Run, request: Request) -> bool:
    """Return True if a run is known to have the options of a candidate's command."""
    try:
        return _file(run).read_text(encoding="utf-8") == _text(request)
    except (OSError, ValueError):
        return False


def _file(run: Run) -> Path:
    return run.folder / FILE


def _text(request: Request) -> str:
    return json.dumps(request.rest) + "\n"
