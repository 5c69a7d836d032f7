"""The record of ``twin/twin.json``: how the int8 twin of a run was made, and what it gives."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta

from src.run.record import (
    Count,
    InvalidValueError,
    Natural,
    Number,
    Positive,
    Record,
    Seconds,
    Share,
    ShortText,
    Text,
    empty_dict,
    empty_list,
    null,
)

VERSION: Final = 1
VERSIONS = (1,)

Ranges = dict[Text, Annotated[list[Number], Meta(min_length=2, max_length=2)]]  # by tensor

Processor = Literal["vnni", "avx2", "arm"]  # kinds of processors: src/quantization/target.py

# distillation: in float. quantization: under fake quantization.
Phase = Literal["distillation", "quantization"]


class ReplacedParts(Record, frozen=True, kw_only=True):
    """Parts of one kind and their substitute: see :mod:`src.twin.replacements`."""

    kind: ShortText
    by: ShortText
    paths: Annotated[list[Text], Meta(min_length=1, max_length=100_000)]


class TriedPlan(Record, frozen=True, kw_only=True):
    """A set of replacements, timed and looked at before any training."""

    name: Text
    replaced: list[ReplacedParts]
    speedup: Positive  # of its plain int8 file over the int8 file of the unchanged network
    agreement: Share  # top-1 with the teacher before training, BatchNorm's statistics re-estimated
    probe_agreement: Share | None = null()  # after the probe; null without one
    refused: Text | None = null()  # why it cannot be trained; null if it can, or was not asked


class ProbedPlan(Record, frozen=True, kw_only=True):
    """A set of replacements after its probe."""

    replaced: list[ReplacedParts]
    agreement: Share  # top-1 with the teacher


class SurveyNotes(Record, frozen=True, kw_only=True):
    """The content of ``twin/survey.json``: what a survey that has not ended found so far."""

    schema_version: Literal[1]
    key: Text  # of the making
    processor: Processor
    again: bool = False  # by a command with again=true
    seconds: Seconds  # of all commands so far
    timed: list[TriedPlan] = empty_list()
    probed: list[ProbedPlan] = empty_list()


class DroppedBlock(Record, frozen=True, kw_only=True):
    """A squeeze-excite, by what it costs to drop it alone: see :mod:`src.twin.blocks`."""

    path: Text
    damage: Annotated[
        float, Meta(ge=0, le=1e12)
    ]  # squared change of logits, a share of their variance
    saved: Share  # of the time of the network's plain int8 file


class Validated(Record, frozen=True, kw_only=True):
    """Answers on the validation split."""

    images: Count
    top1: Share
    agreement: Share  # with the teacher
    loss: Annotated[float, Meta(ge=0)] | None = null()  # distance of the logits to the teacher's


class Epoch(Record, frozen=True, kw_only=True):
    """The validation after an epoch of a training."""

    phase: Phase
    epoch: Natural  # counted from 1
    loss: Number
    agreement: Share  # with the teacher
    top1: Share


class Cost(Record, frozen=True, kw_only=True):
    """Time and memory of a process."""

    seconds: Seconds
    peak_rss_bytes: Count  # of the process, without those that load its images
    peak_device_bytes: Count | None = null()  # of a GPU; null without one


class TrainingCost(Cost, frozen=True, kw_only=True):
    """The content of ``twin/training.json``: the cost of the run's training, from its beginning."""

    schema_version: Literal[1]


class MissedBudget(Record, frozen=True, kw_only=True):
    """The loss of a twin on the validation images, and the training that may mend it."""

    drop: Share  # of top-1, below the teacher's
    allowed: Share
    phase: Phase  # that limits it
    trained: Count  # epochs of that phase
    # few: too few epochs for a curve. flat: no fall of the loss is shown. falling: it is.
    curve: Literal["few", "flat", "falling"]
    # Null unless it is falling, and if more than ten times the trained ones would be needed.
    more_epochs: Natural | None = null()
    max_minutes: Positive | None = null()  # if they ended that phase before its last epoch


class TwinAccount(Record, frozen=True, kw_only=True):
    """The making of a twin and its gain, as manifests and measurements keep them."""

    made_at: Text  # ISO 8601, UTC
    tried: list[TriedPlan]
    # Squeeze-excites, in the order in which they are dropped one by one.
    blocks: list[DroppedBlock] = empty_list()
    chosen: Count | None = null()  # index in tried; null if nothing is gained
    reason: Text | None = null()  # why there is no twin
    seconds: Seconds  # of all of it so far
    peak_rss_bytes: Count | None = null()  # of the process that made it
    peak_device_bytes: Count | None = null()
    training: Cost | None = null()  # of the run itself; null if it was not noted
    teacher: Validated | None = null()
    reconstructed: Validated | None = null()  # refitted layer by layer, before its distillation
    distilled: Validated | None = null()  # in float, before fake quantization
    twin: Validated | None = null()  # under fake quantization
    in_float: Validated | None = null()  # the float graph with the same weights
    calibrated: Validated | None = null()  # the plain int8 file of the teacher
    epochs: list[Epoch] = empty_list()
    missed: MissedBudget | None = null()  # null if the budget is kept on the validation images
    int8_speedup: Positive | None = null()  # of its int8 file over the teacher's plain one
    fp32_speedup: Positive | None = null()  # of its float graph over that of the teacher
    # The gain of its int8 file over the run's exported onnx_int8; null without one.
    exported_speedup: Positive | None = null()

    def __post_init__(self) -> None:
        if self.chosen is not None and self.chosen >= len(self.tried):
            raise InvalidValueError("chosen", "the index of one that was tried", self.chosen)

    @property
    def plan(self) -> TriedPlan | None:
        """The chosen replacements."""
        return None if self.chosen is None else self.tried[self.chosen]


class Twin(TwinAccount, frozen=True, kw_only=True):
    """The content of ``twin.json``."""

    schema_version: Literal[1]
    command: Text
    key: Text  # hash of everything that decides the result
    making: Count = 0  # grows with each new beginning
    processor: Processor | None = null()  # that its 8-bit types are for
    spent_s: dict[Phase, Seconds] = empty_dict()  # of each training, over all commands
    checkpoint_sha256: Text  # of the teacher
    graph_sha256: Text | None = null()  # of the graph; null while it is not trained
    ranges: Ranges

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.is_complete and self.reason is not None:
            raise InvalidValueError("reason", "none where there is a graph", self.reason)
        if self.is_complete and self.chosen is None:
            raise InvalidValueError("chosen", "the plan of the graph", self.chosen)
        if self.is_complete and not self.ranges:
            raise InvalidValueError("ranges", "those that the graph was trained with", {})
        for name, (low, high) in self.ranges.items():
            if low > high:
                raise InvalidValueError(f"ranges[{name!r}]", "the lower end first", [low, high])

    @property
    def is_complete(self) -> bool:
        """True if there is a trained graph."""
        return self.graph_sha256 is not None

    @property
    def account(self) -> TwinAccount:
        """The part that manifests and measurements keep."""
        kept = TwinAccount.__struct_fields__
        return TwinAccount(**{name: getattr(self, name) for name in kept})
