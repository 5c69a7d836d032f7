"""The record of ``measurement.json``, which a bundle's ``predict.py --exam`` writes elsewhere.

It may come from a stranger. :mod:`src.shipped.exam_record` writes it, without this project. Its row
is that of a measurement, so a comparison takes both.

History of the format; every version can be read:

1. The first.
2. The row of an exam with ``--answers`` has no ``latency``, and no other time.
3. ``embedded``: the file has its preprocessing inside, so its calls take images of all sizes.
   Before, its row had ``input`` like that of a file that takes pixels of the network's size. Later
   ones have ``files_of_round`` in ``pipeline``: see :mod:`src.run.results`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Final, Literal

from msgspec import Meta

from src.run import class_names, reading
from src.run.accuracy import Flip, Verdict
from src.run.facts import ScoredDataset
from src.run.latency import Cell, Interval
from src.run.pipeline import Pipeline
from src.run.record import (
    Cores,
    Count,
    Difference,
    InvalidValueError,
    Line,
    LongSeconds,
    Number,
    Positive,
    Record,
    Share,
    ShortLine,
    Text,
    Word,
    null,
    require_inside,
)
from src.run.row import Row

VERSIONS = (1, 2, 3)  # that can be read; the last one is written
KIND: Final = "exam"
BATCH_SIZE = 1  # of its calls
_MOST_BYTES = 64_000_000  # of a file
_MOST_IMAGES = 512


class ExamMachine(Record, frozen=True, kw_only=True):
    """The machine that packed the bundle, or the one that took the exam."""

    cpu: Line
    isa: Annotated[list[Line], Meta(max_length=100)]
    architecture: Line
    usable_cores: Cores
    threads: Cores  # of the runtime
    system: Line
    python: Line
    packages: dict[Line, Line]  # versions by name


class HomeComparison(Record, frozen=True, kw_only=True):
    """The answers of the file there, beside its own where it was packed."""

    images: Annotated[int, Meta(ge=1, le=_MOST_IMAGES)]
    flips: Annotated[list[Flip], Meta(max_length=_MOST_IMAGES)]
    flips_low: Share  # of the 95 % interval of their share
    flips_high: Share
    top1_home: Share
    lost: Count
    gained: Count
    delta_top1: Difference
    delta_low: Difference
    delta_high: Difference
    max_abs_logit_diff: Number
    logit_sqnr_db: Number | None  # null for identical logits
    max_probability_diff: Share
    tolerance: Share  # of a probability, that another processor explains
    rounding_error: Number | None
    beyond_rounding: Count  # images

    def __post_init__(self) -> None:
        if max(len(self.flips), self.beyond_rounding, self.lost + self.gained) > self.images:
            raise InvalidValueError("", "no more images than were answered", self.images)


class ExamMeasurement(Record, frozen=True, kw_only=True):
    """The content of ``measurement.json``."""

    kind: Literal["exam"]
    schema_version: Literal[1, 2, 3]
    run: Line
    model: ShortLine
    class_names: list[Text]  # in label order
    checkpoint_sha256: Text
    measured_at: Text  # ISO 8601, UTC
    measured_seconds: LongSeconds
    dataset: ScoredDataset  # the images of the exam
    content: Literal["images", "tensors"]
    embedded: bool = False  # since version 3: the file has its preprocessing inside
    baseline: Word | None  # that gave the reference answers; null without them
    max_accuracy_drop: Share
    packed_files: Annotated[
        dict[Text, Text], Meta(min_length=1)
    ]  # SHA-256 of the model's files when they were packed
    home: ExamMachine
    home_verdict: Verdict | None
    home_p50_s: Positive | None
    environment: ExamMachine
    answers: HomeComparison
    problems: Annotated[list[Line], Meta(max_length=100)]
    call_seconds: Interval | None = null()  # of one image; null with a single round
    same_file_twice: Interval | None = null()  # ratio of its times; 1 but for noise
    pipeline: Pipeline | None = null()  # null for tensors
    rows: Annotated[list[Row], Meta(min_length=1, max_length=1)]

    def __post_init__(self) -> None:
        if problem := class_names.first_problem(self.class_names):
            raise InvalidValueError("class_names", class_names.EXPECTED, problem)
        for path in self.packed_files:
            require_inside(path, "a name in packed_files")
        self._require_row()
        row = self.rows[0]
        scored = {self.answers.images, row.accuracy.images if row.accuracy else 0}
        if scored != {self.dataset.images}:
            raise InvalidValueError("answers.images", f"{self.dataset.images}", sorted(scored))
        paired = row.accuracy.paired if row.accuracy else None
        for flip in [*self.answers.flips, *(paired.flips if paired else ())]:
            if max(flip.true, flip.before, flip.after) >= len(self.class_names):
                raise InvalidValueError("flips", f"classes below {len(self.class_names)}", flip)

    def _require_row(self) -> None:
        """Refuse another row than one of a CPU with one time, or with none since version 2."""
        row = self.rows[0]
        if not row.is_ok or row.device != "cpu" or len(row.latency) > 1 or row.pipeline:
            raise InvalidValueError("rows[0]", "one measured row on a CPU", row.key)
        if self.cell is not None:
            if self.cell.batch_size != BATCH_SIZE:
                expected = f"the batch size {BATCH_SIZE}"
                raise InvalidValueError("rows[0].latency[0]", expected, self.cell.batch_size)
            self.cell.require_processes("rows[0].latency[0]")
        elif self.pipeline or self.schema_version == 1:
            raise InvalidValueError("rows[0].latency", "a time", None)
        if self.pipeline is not None:
            self.pipeline.whole.require_processes("pipeline.whole")

    @property
    def row(self) -> Row:
        """The row of the file."""
        return self.rows[0]

    @property
    def cell(self) -> Cell | None:
        """The times of the file's calls; None if it was not timed."""
        return next(iter(self.row.latency), None)

    @property
    def is_packed_file(self) -> bool:
        """True if the model's files were those that were packed."""
        return self.row.sha256 == self.packed_files

    @property
    def holds(self) -> bool:
        """True if the file is the packed one and the exam found no problem.

        Flips within the tolerance of another processor are none: the verdict judges them.
        """
        return self.is_packed_file and not self.problems


def is_exam(path: Path) -> bool:
    """Return True for a file that says that it is an exam's, whatever else is in it."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            return False
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False  # the reader of measurements tells what it is
    return isinstance(content, dict) and content.get("kind") == KIND


def read(path: Path) -> ExamMeasurement:
    """Read the measurement of an exam.

    Raises:
        UsageError: it is not such a file, or of another version.
    """
    return reading.read(path, ExamMeasurement, VERSIONS)
