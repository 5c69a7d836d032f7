"""The record of ``rounds.json``: a measurement whose figures are not made yet."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from src.run.circumstances import Environment, MeasuringOptions
from src.run.facts import Checkpoint, ScoredDataset
from src.run.latency import Memory, Turn
from src.run.record import (
    Bounded,
    Count,
    Joules,
    LongSeconds,
    Numeral,
    Record,
    Text,
    Wrong,
    require_same_length,
)
from src.run.row import RowFigures

VERSIONS = (2,)  # that are read; the last one is written

CALIBRATION_BINS = 15
_Sum = Annotated[float, Meta(ge=0, le=1e300)]  # the sum of a few is finite


class CalibrationSums(Record, frozen=True, kw_only=True):
    """The sums behind an expected calibration error."""

    gaps: Annotated[
        list[Bounded], Meta(min_length=CALIBRATION_BINS, max_length=CALIBRATION_BINS)
    ]  # by bin of the confidence, images
    images: Count


class DistanceSums(Record, frozen=True, kw_only=True):
    """The sums behind a distance of logits from the baseline's."""

    signal: _Sum  # of squares of the baseline's logits
    noise: _Sum  # of squares of the differences
    kl: Annotated[float, Meta(ge=-1e300, le=1e300)]  # nats
    largest: list[_Sum]  # of each image, the largest absolute difference


class RoundingSums(Record, frozen=True, kw_only=True):
    """Differences beyond the logits' resolution, and spreads of the logits, one an image."""

    differences: list[_Sum]
    spreads: list[_Sum]


class ScorecardSums(Record, frozen=True, kw_only=True):
    """All that was kept of a row's answers: classes are indices, one an image."""

    targets: list[Count]
    predicted: list[Count]
    before: list[Count]  # the baseline's answers; empty without one
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
        for name, answers in (
            ("calibration", self.targets),
            ("calibration_before", self.before),
        ):
            images: int = getattr(self, name).images
            if images != len(answers):
                raise Wrong(f"{name}.images", f"{len(answers)}", images)


class MeasuredRow(Record, frozen=True, kw_only=True):
    """All that was measured of a row; the outer keys are batch sizes."""

    figures: RowFigures
    rounds: dict[Numeral, dict[Numeral, Turn]]  # by batch size and number of the round
    warm: dict[Numeral, bool]  # every process reached a steady speed
    joules: dict[Numeral, Joules | None]  # of an image, on a GPU
    memory: dict[Numeral, Memory]
    scorecard: ScorecardSums

    def __post_init__(self) -> None:
        if not self.figures.is_ok:
            return
        is_whole = self.scorecard.targets and self.rounds and all(self.rounds.values())
        beside: list[dict[str, bool] | dict[str, Memory]] = [self.warm]
        if self.memory:
            beside.append(self.memory)
        if not is_whole or any(self.rounds.keys() != figures.keys() for figures in beside):
            raise Wrong("", "answers and rounds, as its status is ok,", "none")


class Rounds(Record, frozen=True, kw_only=True):
    """The content of ``rounds.json``."""

    schema_version: Literal[2]
    checkpoint: Checkpoint
    classes: Annotated[int, Meta(ge=1, le=10**7)]
    options: MeasuringOptions
    environment: Environment
    measured_at: Text  # ISO 8601, UTC
    measured_seconds: LongSeconds
    dataset: ScoredDataset
    complete: bool  # timed to the end
    rows: list[MeasuredRow]

    def __post_init__(self) -> None:
        for index, row in enumerate(self.rows):
            place = f"rows[{index}]"
            if self.complete and row.figures.is_ok:
                row.figures.require_timed(f"{place}.figures.")
            card = row.scorecard
            for name in ("targets", "predicted", "before"):
                if max(getattr(card, name), default=0) >= self.classes:
                    expected = f"classes below {self.classes}"
                    raise Wrong(f"{place}.scorecard.{name}", expected, "another")
