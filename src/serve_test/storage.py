"""The files of a load test: the record that readers see, and a later one that is not done yet."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from src.errors import UsageError
from src.run import reading, serve_test
from src.run.folder import Run
from src.run.layout import as_dict
from src.run.serve_test import ServeTest
from src.system import atomic_files
from src.system.console import Report


@dataclass(frozen=True)
class Storage:
    """Files that a command reads known probes from, and writes new ones to.

    A measurement goes on in the file that it was read from. One that would take the place of an
    earlier record is written beside it until it is done.

    Args:
        run: the run.
        known: record to go on from; None if there is none.
        source: name of its file.
        target: gets the record after each probe.
        notes: sentences on files that cannot be read.
    """

    run: Run
    known: ServeTest | None
    source: str
    target: Path
    notes: Sequence[str]

    @classmethod
    def open(cls, run: Run, key: str, again: bool, report: Report) -> Storage:
        """Find the record of an earlier command for the same files and conditions.

        A file that cannot be read counts as none.

        Args:
            run: the run.
            key: of the files and conditions.
            again: measure again what the finished record shows.
            report: gets a line about a file that cannot be read.
        """
        finished, unfinished = run.serve_test, run.unfinished_serve_test
        notes: list[str] = []
        earlier = _read(finished, report, notes)
        if earlier is not None and earlier.key == key and not (again and _shows(earlier)):
            return cls(run, earlier, finished.name, finished, notes)
        later = _read(unfinished, report, notes)
        known = later if later is not None and later.key == key else None
        target = finished if earlier is None else unfinished
        return cls(run, known, unfinished.name, target, notes)

    def save(self, record: ServeTest) -> None:
        """Store what is known so far."""
        _write(self.target, record)
        is_moved = self.known is not None and self.source != self.target.name
        if is_moved and self.target == self.run.serve_test:
            self.run.unfinished_serve_test.unlink(missing_ok=True)

    def finish(self, record: ServeTest) -> None:
        """Store the result. It takes the place of an earlier one if it has something to show."""
        if self.target != self.run.serve_test and _shows(record):
            _write(self.run.serve_test, record)
            self.target.unlink(missing_ok=True)
        else:
            self.save(record)


def _shows(record: ServeTest) -> bool:
    """Return True if a record has a result."""
    return record.choice is not None or record.is_complete


def _read(path: Path, report: Report, notes: list[str]) -> ServeTest | None:
    if not path.is_file():
        return None
    try:
        return reading.read(path, ServeTest, serve_test.VERSIONS)
    except UsageError as error:
        report(f"measuring anew what cannot be read: {error}")
        notes.append(f"An earlier {path.name} could not be read, so it was measured anew.")
        return None


def _write(path: Path, record: ServeTest) -> None:
    reading.require_readable(record)
    # In one line: most of it are latencies.
    atomic_files.write_text(path, json.dumps(as_dict(record), allow_nan=False) + "\n")
