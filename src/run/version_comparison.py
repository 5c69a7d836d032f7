"""The record of a comparison of a run's files between two versions of their runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from src.run import reading
from src.run.accuracy import Accuracy, Verdict
from src.run.circumstances import Environment
from src.run.latency import Cell, Interval
from src.run.layout import as_dict
from src.run.record import Count, LongSeconds, Record, Status, Text, Word, empty_list, null
from src.system import atomic_files

VERSION: Literal[1] = 1

Outcome = Literal["ok", "regressed", "inconclusive"]


class ComparedFile(Record, frozen=True, kw_only=True):
    """One file under both versions, on a CPU."""

    format: Word
    status: Status
    reason: Text | None = null()  # for being skipped or failed
    runs_here: bool = True  # under the installed version
    runtimes: list[Text] = empty_list()  # as the two processes report them
    here: Cell | None = null()  # under the installed version
    there: Cell | None = null()  # under the other version
    # Ratio of the speed there to the speed here, paired round by round.
    speed: Interval | None = null()
    changed: Count | None = null()  # images with another top-1
    accuracy: Accuracy | None = null()  # under the other version, compared with here
    verdict: Verdict | None = null()
    speed_outcome: Outcome | None = null()
    answers_outcome: Outcome | None = null()

    @property
    def regressed(self) -> bool:
        """True if it runs here, and not there, or there slower or otherwise than is allowed."""
        if self.status != "ok":
            return self.runs_here
        return "regressed" in {self.speed_outcome, self.answers_outcome}

    @property
    def is_inconclusive(self) -> bool:
        """True if it runs under both versions, and it cannot be told whether it regressed."""
        outcomes = {self.speed_outcome, self.answers_outcome}
        return self.status == "ok" and not self.regressed and outcomes != {"ok"}


class VersionComparison(Record, frozen=True, kw_only=True):
    """The content of ``versions/<package>-<version>.json``."""

    schema_version: Literal[1]
    package: Text
    here: Text  # version that is installed
    there: Text  # version that it is compared with
    packages: dict[Text, Text]  # of the environment of the other version
    environment: Environment  # of the installed one, and the machine
    measured_at: Text  # ISO 8601, UTC
    measured_seconds: LongSeconds
    images: Count
    max_slowdown: float
    max_accuracy_drop: float
    files: list[ComparedFile]


def write(folder: Path, record: VersionComparison) -> Path:
    """Write a comparison into a run's folder of them, in place of an earlier one.

    Raises:
        InvalidValueError: a value is not as readers expect; nothing is written.
    """
    reading.require_readable(record)
    folder.mkdir(exist_ok=True)
    file = folder / f"{record.package}-{record.there}.json"
    atomic_files.write_json(file, as_dict(record))
    return file


def read(path: Path) -> VersionComparison:
    """Return a comparison.

    Raises:
        UsageError: it is not such a file, or has an invalid value.
    """
    return reading.read(path, VersionComparison, (VERSION,))
