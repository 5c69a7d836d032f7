"""Records of a file with its preprocessing and softmax inside: an image in, probabilities out."""

from __future__ import annotations

from src.run.pipeline import REFERENCE, AnswerSums, DecoderAnswers, Pipeline, PipelineTurn
from src.run.record import (
    Count,
    InvalidValueError,
    Record,
    RoundNumber,
    Share,
    Status,
    Text,
    Word,
    empty_dict,
    null,
    require_inside,
)


class _File(Record, frozen=True, kw_only=True):
    """The identity of the file."""

    folder: Word
    status: Status
    reason: Text | None  # null for ok
    sha256: dict[Text, Text | None] = empty_dict()  # by file; null for a missing file
    size_bytes: Count | None = null()

    def __post_init__(self) -> None:
        for path in self.sha256:
            require_inside(path, "a name in sha256")


class RawEmbedded(_File, frozen=True, kw_only=True):
    """The raw measurement."""

    rounds: dict[RoundNumber, PipelineTurn] = empty_dict()
    warm: bool = True  # False: at the end of a warm-up, calls still became faster
    against_file: AnswerSums | None = null()  # against the file without, by the reference pipeline
    against_baseline: AnswerSums | None = null()

    def __post_init__(self) -> None:
        super().__post_init__()
        is_measured = bool(self.rounds and self.against_file and self.against_file.images)
        if self.status == "ok" and not is_measured:
            raise InvalidValueError("rounds", "rounds and answers, as its status is ok,", None)


class EmbeddedFigures(_File, frozen=True, kw_only=True):
    """The figures; only a file with the status ok has any."""

    # From the bytes of an image file to its label. Its speed over the reference is that over the
    # file without, and its answers are compared with those of that file.
    pipeline: Pipeline | None = null()
    # 95 % interval of the share of images that it answers otherwise than the file without.
    flipped_low: Share | None = null()
    flipped_high: Share | None = null()
    against_baseline: DecoderAnswers | None = null()  # null without a baseline

    def __post_init__(self) -> None:
        super().__post_init__()
        pipeline = self.pipeline
        if (self.status == "ok") != (pipeline is not None):
            raise InvalidValueError("pipeline", "figures if, and only if, its status is ok", None)
        if pipeline is not None and (pipeline.decoder != REFERENCE or pipeline.answers is None):
            raise InvalidValueError("pipeline.answers", f"those after {REFERENCE}", None)
        if pipeline is not None and None in {self.flipped_low, self.flipped_high}:
            raise InvalidValueError("flipped_low", "an interval", None)
