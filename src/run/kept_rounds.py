"""Raw measurements of a run whose figures are not made yet.

The latest is ``rounds.json``. An earlier one under other conditions, as with other options or on
another machine, becomes ``rounds-N.json`` before a later one is written, because it may have cost
hours. It stays until its figures are made, or those of a later one under its conditions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from src.errors import UsageError
from src.run.folder import Run
from src.run.rounds import Rounds

_ASIDE = re.compile(r"rounds-([1-9][0-9]{0,8})\.json")


@dataclass(frozen=True)
class KeptRounds:
    """A raw measurement and its file."""

    file: Path
    record: Rounds


def files(run: Run) -> list[Path]:
    """Return the files with raw measurements, the latest first."""
    latest = [run.rounds] if run.rounds.is_file() else []
    asides = [run.own(f"rounds-{number}.json") for number in _numbers(run)]
    return [*latest, *(file for file in asides if file.is_file())]


def set_aside(run: Run) -> None:
    """Rename ``rounds.json`` before another measurement is written there.

    One that did not end is of no use and stays. One that cannot be read is kept: it may be of a
    later version.
    """
    if not run.rounds.is_file():
        return
    try:
        is_kept = run.read_rounds().complete
    except UsageError:
        is_kept = True
    if is_kept:
        number = max(_numbers(run), default=0) + 1
        run.rounds.rename(run.own(f"rounds-{number}.json"))


def _numbers(run: Run) -> list[int]:
    """Return the numbers of the measurements that were set aside, the latest first."""
    matches = (_ASIDE.fullmatch(path.name) for path in run.folder.glob("rounds-*.json"))
    return sorted((int(match[1]) for match in matches if match), reverse=True)
