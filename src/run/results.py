"""The record of ``benchmark.json``.

History of the format; every version can be read:

1. The first.
2. ``verdict`` may be ``same``; an accuracy has ``rounding_error`` and ``beyond_rounding``, and no
   ``verdict`` of its own; a data set has a ``sha256``; the memory peaks are in each cell of
   ``latency`` and no longer in the row; a recommendation has ``chosen_from`` and ``tested``. A cell
   has the process of each round; in version 1 a row had one process.
3. A row has ``pipeline``, and the measurement ``image_sample``: the time from the bytes of an image
   file to its label. A recommendation's ``objective`` may be ``pipeline``.
4. A row has ``instruction_sets``: its answers with the kernels for older instruction sets. A
   recommendation has ``holds_here_only``.
5. A row's device may be ``browser``. A row has ``embedded``: the measurement of its file with the
   preprocessing inside. Answers with an instruction set have ``emulated``.
6. A pipeline's ``decoder`` may be ``simplejpeg``, ``opencv`` or ``torchvision``; a row has
   ``decoders_left_out``; answers after a decoder have the interval of the share that changes.
   A disturbance may have ``cores`` and ``threads``, and a row ``environment``. ``objective`` of the
   options may be null: a recommendation has the one that its rows were compared by. A pipeline may
   have ``files_of_round``: its figures then count each file once, and those without it each call;
   and ``against_baseline``, which a decoder with other pixels has to pass too. ``image_sample`` may
   have ``limited_to_bytes``.
"""

from __future__ import annotations

from typing import Final, Literal

from src.run.circumstances import Environment, MeasuringOptions
from src.run.facts import (
    Calibration,
    HealthFacts,
    Network,
    Origin,
    PreprocessingFacts,
    ScoredDataset,
)
from src.run.latency import Curve
from src.run.pipeline import ImageSample
from src.run.record import (
    Count,
    Device,
    InvalidValueError,
    LongSeconds,
    Natural,
    Number,
    Record,
    Text,
    Word,
    empty_list,
    null,
)
from src.run.row import Row
from src.run.twin import TwinAccount
from src.system.cpuid_mask import InstructionSet

VERSION: Final = 6  # that is written
VERSIONS = (1, 2, 3, 4, 5, 6)  # that can be read

Objective = Literal["latency", "size", "throughput", "memory", "pipeline"]


class Undecided(Record, frozen=True, kw_only=True):
    """A better row that is not shown to keep the accuracy budget."""

    format: Word
    images_needed: Count | None  # to settle it; null if no number of images would


class HoldsHereOnly(Record, frozen=True, kw_only=True):
    """A better row that keeps the accuracy budget here, and is not shown to on older processors."""

    format: Word
    instruction_sets: list[InstructionSet]  # those on which it is not shown to


class Recommendation(Record, frozen=True, kw_only=True):
    """The row to ship on a device: see :func:`src.benchmark.recommendation.recommend`."""

    format: Word | None  # null without a baseline
    objective: Objective
    # That was compared; null for the objectives size and pipeline.
    batch_size: Natural | None
    equals: list[Word]  # rows whose difference from the best was not measurable
    inconclusive: list[Undecided]
    holds_here_only: list[HoldsHereOnly] = empty_list()
    chosen_from: Count | None = None  # rows that keep the budget
    tested: Count | None = None  # rows except the baseline whose accuracy was tested
    with_function: Word | None = null()  # the best row that also keeps the probabilities


class TrainingCurves(Record, frozen=True, kw_only=True):
    """The training curves; None for a curve that was not logged."""

    train_loss: Curve | None = None
    val_loss: Curve | None = None
    val_top1: Curve | None = None


class FunctionBounds(Record, frozen=True, kw_only=True):
    """Bounds beyond which a file has lost the network's function."""

    logit_sqnr_db: Number
    kl: Number  # nats
    delta_ece: Number


class Results(Network, frozen=True, kw_only=True):
    """The content of ``benchmark.json``: a complete measurement of a run."""

    preprocessing: PreprocessingFacts | None = None
    origin: Origin | None = null()
    calibration: Calibration
    health: HealthFacts | None = null()  # null if it was not examined
    twin: TwinAccount | None = null()  # null if no int8 twin of the network was begun
    command: Text | None  # training command; null if it was not stored
    training: TrainingCurves | None  # null without events of a training
    measured_at: Text  # ISO 8601, UTC
    measured_seconds: LongSeconds
    options: MeasuringOptions
    dataset: ScoredDataset
    image_sample: ImageSample | None = null()  # null if no pipeline was timed
    environment: Environment
    baseline: Word
    function_bounds: FunctionBounds | None = None
    rows: list[Row]
    recommendation: dict[Device, Recommendation]
    recommended: dict[Text, Word | None]

    def __post_init__(self) -> None:
        super().__post_init__()
        for index, row in enumerate(self.rows):
            if row.is_ok and not row.latency:  # else the row itself has required them
                row.require_timed(f"rows[{index}].")
        if self.schema_version != 1:
            for index, row in enumerate(self.rows):
                for position, cell in enumerate(row.latency):
                    cell.require_processes(f"rows[{index}].latency[{position}]")
                for position, figures in enumerate(row.pipeline):
                    figures.whole.require_processes(f"rows[{index}].pipeline[{position}].whole")
        if self.image_sample is None and any(row.pipeline for row in self.rows):
            raise InvalidValueError("image_sample", "the images of the rows' pipelines", None)
        self._require_distinct_rows()
        self._require_recommended_rows()
        self._require_known_classes()

    def row(self, name: str, device: str) -> Row | None:
        """Return the row of a format on a device; None if there is none."""
        return next((row for row in self.rows if row.key == (name, device)), None)

    def _require_distinct_rows(self) -> None:
        seen = set()
        for row in self.rows:
            if row.key in seen:
                expected = "one row of each format on each device"
                raise InvalidValueError("rows", expected, " on ".join(row.key))
            seen.add(row.key)

    def _require_recommended_rows(self) -> None:
        for device, advice in self.recommendation.items():
            if advice.format is None:
                continue
            row = self.row(advice.format, device)
            is_paired = row is not None and row.accuracy is not None and row.accuracy.paired
            is_baseline = advice.format == self.baseline
            if row is None or not row.is_ok or not (is_baseline or is_paired):
                raise InvalidValueError(
                    f"recommendation.{device}.format", "a measured row", advice.format
                )

    def _require_known_classes(self) -> None:
        for index, row in enumerate(self.rows):
            if row.accuracy is None or row.accuracy.paired is None:
                continue
            paired, place = row.accuracy.paired, f"rows[{index}].accuracy"
            for flip in paired.flips:
                for name in ("true", "before", "after"):
                    self._require_class(getattr(flip, name), f"{place}.flips.{name}")
            for entry in paired.per_class:
                self._require_class(entry.index, f"{place}.per_class.index")

    def _require_class(self, index: int, place: str) -> None:
        if index >= self.num_classes:
            raise InvalidValueError(
                place, f"a whole number from 0 to {self.num_classes - 1}", index
            )
