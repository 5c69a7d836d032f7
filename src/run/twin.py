"""The record of ``twin/twin.json``: how the int8 twin of a run was made, and what it gives."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta

from src.run.record import (
    Count,
    InvalidValueError,
    Number,
    Positive,
    Record,
    Seconds,
    Share,
    ShortText,
    Text,
    null,
)

VERSION: Final = 1
VERSIONS = (1,)
GRAPH = "network.onnx"  # beside the record: the float graph with the trained weights


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
    probe_agreement: Share | None = null()  # after a few steps; null if it was not trained


class Validated(Record, frozen=True, kw_only=True):
    """Answers on the validation split."""

    images: Count
    top1: Share
    agreement: Share  # with the teacher


class Twin(Record, frozen=True, kw_only=True):
    """The content of ``twin.json``."""

    schema_version: Literal[1]
    command: Text
    made_at: Text  # ISO 8601, UTC
    key: Text  # hash of everything that decides the result
    checkpoint_sha256: Text  # of the teacher
    tried: list[TriedPlan]
    chosen: Count | None = null()  # index in tried; null if nothing is gained
    reason: Text | None = null()  # why there is no twin
    seconds: Seconds  # of all of it so far
    teacher: Validated | None = null()
    distilled: Validated | None = null()  # in float, before fake quantization
    twin: Validated | None = null()  # under fake quantization
    graph_sha256: Text | None = null()  # of the graph; null while it is not trained
    ranges: dict[Text, Annotated[list[Number], Meta(min_length=2, max_length=2)]]  # by tensor

    def __post_init__(self) -> None:
        if self.chosen is not None and self.chosen >= len(self.tried):
            raise InvalidValueError("chosen", "the index of one that was tried", self.chosen)
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
    def plan(self) -> TriedPlan | None:
        """The chosen replacements."""
        return None if self.chosen is None else self.tried[self.chosen]
