"""The record of ``rounds.json``: a raw measurement without figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, TypeVar

from msgspec import Meta

from src.run.circumstances import Environment, MeasuringOptions
from src.run.embedded import RawEmbedded
from src.run.facts import Checkpoint, ScoredDataset
from src.run.latency import Memory, Turn
from src.run.pipeline import ImageSample, RawPipeline
from src.run.record import (
    Bounded,
    Count,
    InvalidValueError,
    Joules,
    LongSeconds,
    Numeral,
    Record,
    Status,
    Text,
    empty_dict,
    null,
    require_same_length,
)
from src.run.row import RowFigures
from src.system.cpuid_mask import InstructionSet

VERSIONS = (2, 3, 4, 5, 6)  # that can be read; the last one is written

Value = TypeVar("Value")

CALIBRATION_BINS = 15
_Sum = Annotated[float, Meta(ge=0, le=1e300)]  # small enough that a sum of a few is finite


class CalibrationSums(Record, frozen=True, kw_only=True):
    """The sums of an expected calibration error."""

    gaps: Annotated[
        list[Bounded], Meta(min_length=CALIBRATION_BINS, max_length=CALIBRATION_BINS)
    ]  # by bin of the confidence, images
    images: Count


class DistanceSums(Record, frozen=True, kw_only=True):
    """The sums of a distance of logits from the baseline's."""

    signal: _Sum  # of squares of the baseline's logits
    noise: _Sum  # of squares of the differences
    kl: Annotated[float, Meta(ge=-1e300, le=1e300)]  # nats
    largest: list[_Sum]  # largest absolute difference of each image


class RoundingSums(Record, frozen=True, kw_only=True):
    """The difference beyond the logits' resolution and the spread of the logits, by image."""

    differences: list[_Sum]
    spreads: list[_Sum]


class ScorecardSums(Record, frozen=True, kw_only=True):
    """The accumulated data of a row's predictions; lists of classes have one index per image."""

    targets: list[Count]
    predicted: list[Count]
    before: list[Count]  # predicted by the baseline; empty without one
    in_top5: list[bool]
    calibration: CalibrationSums
    calibration_before: CalibrationSums
    distance: DistanceSums
    rounding: RoundingSums

    def __post_init__(self) -> None:
        require_same_length([self.targets, self.predicted, self.in_top5], "")
        rounding = self.rounding
        sums: list[list[float]] = [self.distance.largest, rounding.differences, rounding.spreads]
        require_same_length([self.before, *sums], "")
        for name, predictions in (
            ("calibration", self.targets),
            ("calibration_before", self.before),
        ):
            images: int = getattr(self, name).images
            if images != len(predictions):
                raise InvalidValueError(f"{name}.images", f"{len(predictions)}", images)


class RawInstructionSet(Record, frozen=True, kw_only=True):
    """The accumulated answers of a row with the kernels for one instruction set."""

    status: Status
    reason: Text | None
    scorecard: ScorecardSums | None  # null if the status is not ok
    changed: Count  # images with another top-1 than the row's own
    emulated: Text | None = null()  # emulator and processor; null if it ran natively

    def __post_init__(self) -> None:
        card = self.scorecard
        if (self.status == "ok") != (card is not None):
            raise InvalidValueError("scorecard", "answers if, and only if, its status is ok", None)
        if card is not None and not len(card.targets) == len(card.before) > 0:
            raise InvalidValueError("scorecard.before", "a class for each image", card.before)


class MeasuredRow(Record, frozen=True, kw_only=True):
    """The raw measurement of a row; the outer keys are batch sizes."""

    figures: RowFigures
    rounds: dict[Numeral, dict[Numeral, Turn]]  # by batch size and number of the round
    warm: dict[Numeral, bool]  # every process reached a steady speed
    joules: dict[Numeral, Joules | None]  # per image, on a GPU
    memory: dict[Numeral, Memory]
    scorecard: ScorecardSums
    pipeline: RawPipeline | None = null()  # null if it was not timed
    instruction_sets: dict[InstructionSet, RawInstructionSet] = empty_dict()
    embedded: RawEmbedded | None = null()

    def __post_init__(self) -> None:
        if not self.figures.is_ok:
            return
        is_measured = self.scorecard.targets and self.rounds and all(self.rounds.values())
        by_batch_size: list[dict[str, bool] | dict[str, Memory]] = [self.warm]
        if self.memory:
            by_batch_size.append(self.memory)
        if not is_measured or any(
            self.rounds.keys() != figures.keys() for figures in by_batch_size
        ):
            raise InvalidValueError("", "answers and rounds, as its status is ok,", "none")


class Rounds(Record, frozen=True, kw_only=True):
    """The content of ``rounds.json``."""

    schema_version: Literal[2, 3, 4, 5, 6]
    checkpoint: Checkpoint
    classes: Annotated[int, Meta(ge=1, le=10**7)]
    options: MeasuringOptions
    environment: Environment
    measured_at: Text  # ISO 8601, UTC
    measured_seconds: LongSeconds
    dataset: ScoredDataset
    image_sample: ImageSample | None = null()  # null if no pipeline was timed
    complete: bool  # the timing is finished
    rows: list[MeasuredRow]

    def __post_init__(self) -> None:
        for index, row in enumerate(self.rows):
            place = f"rows[{index}]"
            if self.complete and row.figures.is_ok:
                row.figures.require_timed(f"{place}.figures.")
            self._require_classes(row.scorecard, f"{place}.scorecard")
            for instruction_set, answers in row.instruction_sets.items():
                if answers.scorecard is not None:
                    where = f"{place}.instruction_sets.{instruction_set}.scorecard"
                    self._require_classes(answers.scorecard, where)

    def _require_classes(self, card: ScorecardSums, place: str) -> None:
        for name in ("targets", "predicted", "before"):
            if max(getattr(card, name), default=0) >= self.classes:
                expected = f"classes below {self.classes}"
                raise InvalidValueError(f"{place}.{name}", expected, "another")


def named(values: Mapping[int, Value]) -> dict[str, Value]:
    """Return values by batch size or number of the round with keys as JSON has them."""
    return {str(number): value for number, value in values.items()}


def numbered(values: Mapping[str, Value]) -> dict[int, Value]:
    """Return values of a JSON object by batch size or number of the round."""
    return {int(name): value for name, value in values.items()}
