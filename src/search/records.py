"""The record of ``search.json``.

``measured`` holds what was measured, by the key of a candidate. ``outcomes`` and ``answer`` are
decisions. A command makes all decisions anew from the measurements, so a search can go on with
other limits, and a killed one goes on where it was.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta

from src.forecast.records import name_of, network_of
from src.run.circumstances import Environment
from src.run.latency import Interval
from src.run.record import (
    Count,
    Device,
    InvalidValueError,
    LongSeconds,
    Natural,
    Positive,
    Record,
    Share,
    ShortText,
    Side,
    Status,
    Text,
    Word,
    empty_list,
    null,
    require_inside,
)

VERSION: Final = 1

LatencyVerdict = Literal["holds", "exceeds", "inconclusive"]
AccuracyVerdict = Literal["pass", "fail", "inconclusive"]
EngineName = Literal["local", "ray"]
Kind = Literal["ruled out", "failed", "not tried", "dropped", "stopped", "judged"]


class Limits(Record, frozen=True, kw_only=True):
    """The limits that the file to ship must keep; null for no limit."""

    latency_s: Positive | None = null()  # of one call with one image
    size_bytes: Count | None = null()
    memory_bytes: Count | None = null()  # peak above an empty process
    top1: Share | None = null()  # at least, on the test split


class Rung(Record, frozen=True, kw_only=True):
    """The state of a training after a number of epochs."""

    epoch: Count  # epochs trained
    top1: Share  # best validation top-1 so far, which is that of best.ckpt
    seconds: LongSeconds  # of the commands that trained since the rung before
    # By which they made the search longer: less than `seconds` where trainings ran side by side;
    # null if it is the same.
    search_seconds: LongSeconds | None = null()
    machine: ShortText | None = null()  # that trained; null for the one of the command

    @property
    def spent_seconds(self) -> float:
        """Seconds of the budget."""
        return self.seconds if self.search_seconds is None else self.search_seconds


class JudgedFile(Record, frozen=True, kw_only=True):
    """The figures of an exported file; null for a file that was skipped or failed."""

    format: Word
    device: Device
    status: Status
    reason: Text | None = null()  # for being skipped or failed
    folder: Text | None = null()  # relative to the folder of the search
    size_bytes: Count | None = null()
    latency: Interval | None = null()  # seconds of one call with one image, 95 % interval
    peak_rss_bytes: Count | None = null()
    top1: Share | None = null()  # on the test split
    images: Natural | None = null()  # of the test split
    keeps_budget: bool | None = null()  # shown to lose no more accuracy than an export may

    def __post_init__(self) -> None:
        if self.folder is not None:
            require_inside(self.folder, "folder")
        needed = ("folder", "top1", "images", "keeps_budget")
        for name in needed if self.status == "ok" else ():
            if getattr(self, name) is None:
                raise InvalidValueError(name, "a value where status is ok", "null")


class Measured(Record, frozen=True, kw_only=True):
    """Measurements of one candidate: a network at a width and an image size."""

    key: Text  # hash of everything that decides the figures
    training_key: Text | None = null()  # the same without the options of export and measurement
    model: ShortText  # as on the command line
    width: Positive | None = null()  # factor on its channels; null for the network's own width
    image_size: Side | None  # null for the default of the data
    forecast_seconds: LongSeconds = 0.0  # 0 if the forecast was known
    # True if a rung had dropped it before it was forecast. The next command drops it again before
    # it takes that forecast, so that it comes to the same decisions.
    late_forecast: bool = False
    rungs: list[Rung] = empty_list()
    whole_epochs: Count | None = null()  # of the whole training; null if only a forecast has them
    run: Text | None = null()  # folder of the run, relative to that of the search
    files: list[JudgedFile] = empty_list()
    validation_images: Natural | None = null()  # behind a rung's top1; null before it is judged
    judging_seconds: LongSeconds = 0.0
    lost_seconds: LongSeconds = 0.0  # of steps that failed, as they made the search longer

    def __post_init__(self) -> None:
        if self.run is not None:
            require_inside(self.run, "run")

    @property
    def name(self) -> str:
        """The network, its width and the image size in words."""
        return name_of(self.network, self.image_size)

    @property
    def network(self) -> str:
        """The network and its width in words."""
        return network_of(self.model, self.width)

    @property
    def epochs(self) -> int:
        """Epochs of the training; 0 before it began."""
        return self.rungs[-1].epoch if self.rungs else 0

    @property
    def seconds(self) -> float:
        """Seconds that were spent on the candidate."""
        training = sum(rung.seconds for rung in self.rungs)
        return self.forecast_seconds + training + self.judging_seconds + self.lost_seconds


class Evidence(Record, frozen=True, kw_only=True):
    """A format of a candidate in the forecast: ruled out with the reason, or possible."""

    format: Word
    device: Device
    p50_s: Positive | None = null()  # null if it was not timed, or if another size was
    reason: Text | None = null()  # why it is ruled out; null if it is not


class Outcome(Record, frozen=True, kw_only=True):
    """The decision on a candidate, and the evidence for it."""

    key: Text
    model: ShortText
    width: Positive | None = null()
    image_size: Side | None
    kind: Kind
    reason: Text
    # Image size whose forecast decides if it may keep the limits, because it has no forecast of its
    # own; null if it has one, and for a candidate that no forecast decides.
    forecast_size: Side | None = null()
    # True if it was to train, or was trained, without a forecast of its own or of another size.
    without_forecast: bool = False
    formats: list[Evidence]

    @property
    def name(self) -> str:
        """The network, its width and the image size in words."""
        return name_of(self.network, self.image_size)

    @property
    def network(self) -> str:
        """The network and its width in words."""
        return network_of(self.model, self.width)


class Answer(Record, frozen=True, kw_only=True):
    """The file to ship, or the nearest one if none keeps the limits."""

    key: Text
    format: Word
    device: Device
    folder: Text  # relative to the folder of the search
    satisfied: bool  # shown to keep every limit
    # null without a limit, inconclusive if the interval under the limit is assumed
    latency: LatencyVerdict | None = null()
    accuracy: AccuracyVerdict | None = null()  # null without a limit
    sentence: Text

    def __post_init__(self) -> None:
        require_inside(self.folder, "folder")


class Spent(Record, frozen=True, kw_only=True):
    """Seconds by stage for the candidates of a command, of all commands that worked on them."""

    forecast_s: LongSeconds
    training_s: LongSeconds
    judging_s: LongSeconds
    lost_s: LongSeconds = 0.0  # of steps that failed

    @property
    def total(self) -> float:
        return self.forecast_s + self.training_s + self.judging_s + self.lost_s


class SearchRecord(Record, frozen=True, kw_only=True):
    """The content of ``search.json``."""

    schema_version: Literal[1]
    command: Text
    made_at: Text  # ISO 8601, UTC
    environment: Environment
    limits: Limits
    budget_s: LongSeconds | None = null()  # null for no bound
    seed: Count
    reduction: Annotated[int, Meta(ge=2, le=1000)]
    rungs: Annotated[int, Meta(ge=0, le=20)]
    engine: EngineName = "local"
    own_width_only: list[ShortText] = empty_list()  # networks that `widths=` has no effect on
    finished: bool  # false while the command works, and after it was stopped
    spent: Spent
    measured: list[Measured]  # also of candidates of earlier commands
    outcomes: list[Outcome]  # of the candidates of this command, in the order of the grid
    answer: Answer | None = null()  # null if no file was judged
