"""Records of the pipeline: the time from the bytes of an image file to its label, by stage."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from msgspec import Meta

from src.run.accuracy import Verdict
from src.run.latency import Cell, Interval, Turn
from src.run.record import (
    Count,
    Difference,
    Index,
    InvalidValueError,
    Natural,
    Record,
    RoundNumber,
    Seconds,
    Share,
    Text,
    Word,
    empty_dict,
    null,
)

# decode: the bytes to an upright image in RGB. resize: to the network's size, with the crop.
# convert: to the file's input. infer: the input to logits. label: to the likeliest classes.
Stage = Literal["decode", "resize", "convert", "infer", "label"]
STAGES: tuple[Stage, ...] = get_args(Stage)

# pillow: the decoder of the evaluation. pillow_draft: libjpeg decodes a large JPEG at 1/2, 1/4 or
# 1/8 of its size, but not below the side that it is resized to. simplejpeg and opencv do so too;
# torchvision decodes a JPEG in its whole size. For these three Pillow decodes all other files.
Decoder = Literal["pillow", "pillow_draft", "simplejpeg", "opencv", "torchvision"]
DECODERS: tuple[Decoder, ...] = get_args(Decoder)
REFERENCE: Decoder = "pillow"

StageSamples = Annotated[list[Seconds], Meta(min_length=1)]
FilesOfTurn = Annotated[list[Index], Meta(min_length=1)]  # positions in the sample


class PipelineTurn(Turn, frozen=True, kw_only=True):
    """The calls of one row in one round, by one decoder; ``seconds`` are by an outer clock."""

    stages: dict[Stage, StageSamples]  # seconds of each call
    files: FilesOfTurn | None = None  # in the order of a pass; None in an earlier measurement

    def __post_init__(self) -> None:
        _require_passes(self.files, self.seconds, "files")
        for stage in STAGES:
            if len(self.stages.get(stage, ())) != len(self.seconds):
                expected = f"{len(self.seconds)} samples, as many as calls,"
                raise InvalidValueError(f"stages.{stage}", expected, self.stages.get(stage))


class StageTime(Record, frozen=True, kw_only=True):
    """The time of one stage in the same calls as the whole."""

    mean_s: Seconds
    p50_s: Seconds
    seconds: dict[RoundNumber, StageSamples]


class DecoderAnswers(Record, frozen=True, kw_only=True):
    """A comparison of a row's answers after one decoder, on the scored images, with others.

    The others are the row's own after the reference decoder, or the baseline's after the reference.
    """

    images: Natural
    # Images that the decoder gives other pixels; beside the baseline, whose answers come from
    # another file, all images.
    otherwise: Count
    top1: Share
    delta_top1: Difference
    delta_low: Difference  # of the 95 % interval
    delta_high: Difference
    mcnemar_p: Share
    flips: Count  # images with another top-1
    # 95 % interval of their share; null in a measurement of an earlier version.
    flips_low: Share | None = null()
    flips_high: Share | None = null()
    lost: Count
    gained: Count
    images_needed: Count | None  # to settle the verdict
    verdict: Verdict


class AnswerSums(Record, frozen=True, kw_only=True):
    """The counts that :class:`DecoderAnswers` is computed from."""

    images: Count = 0
    otherwise: Count = 0
    right: Count = 0
    flips: Count = 0
    lost: Count = 0
    gained: Count = 0

    def __post_init__(self) -> None:
        if self.lost + self.gained > self.flips or max(self.flips, self.right) > self.images:
            raise InvalidValueError("", "no more images than were scored", self.images)


class RawPipeline(Record, frozen=True, kw_only=True):
    """The raw measurement of a row's pipeline, by decoder."""

    rounds: dict[Decoder, dict[RoundNumber, PipelineTurn]]
    answers: dict[Decoder, AnswerSums]
    against_baseline: dict[Decoder, AnswerSums] = empty_dict()  # empty without a baseline
    warm: bool = True  # False: at the end of a warm-up, calls still became faster

    def __post_init__(self) -> None:
        if REFERENCE not in self.rounds or not all(self.rounds.values()):
            raise InvalidValueError("rounds", f"rounds of {REFERENCE} and of each decoder", None)
        for sums in (*self.answers.values(), *self.against_baseline.values()):
            if not sums.images:
                raise InvalidValueError("answers", "at least one image", 0)


class Pipeline(Record, frozen=True, kw_only=True):
    """The figures of one row's pipeline with one decoder."""

    decoder: Decoder
    whole: Cell  # from the bytes to the label, by an outer clock; one image a call
    stages: dict[Stage, StageTime]
    # Speed of the whole over that with the reference; null for the reference.
    over_reference: Interval | None = null()
    answers: DecoderAnswers | None = null()  # null for the reference, and if they were not compared
    # The answers after this decoder beside the baseline's after the reference: what is lost in all.
    # None for the reference, without a baseline, where the baseline failed before it had answered
    # all images, and in an earlier measurement.
    against_baseline: DecoderAnswers | None = None
    # Positions in the sample of the files of a pass. None in an earlier measurement, whose figures
    # count each call once and not each file.
    files_of_round: dict[RoundNumber, FilesOfTurn] | None = None

    def __post_init__(self) -> None:
        for stage in STAGES:
            time = self.stages.get(stage)
            if time is None or not _are_alike(time.seconds, self.whole.seconds):
                raise InvalidValueError(f"stages.{stage}", "a time of each call", None)
        if self.files_of_round is not None:
            if self.files_of_round.keys() != self.whole.seconds.keys():
                found = sorted(self.files_of_round)[:3]
                raise InvalidValueError("files_of_round", "the rounds of whole.seconds", found)
            for number, calls in self.whole.seconds.items():
                _require_passes(self.files_of_round[number], calls, f"files_of_round.{number}")

    @property
    def files(self) -> int | None:
        """Number of different files that were timed; None if it is not known."""
        if self.files_of_round is None:
            return None
        return len({file for files in self.files_of_round.values() for file in files})

    @property
    def cpu_seconds_per_image(self) -> float:
        """Processor time of the process per image, over all its threads."""
        return self.whole.busy_cores / self.whole.images_per_second

    @property
    def keeps_budget(self) -> bool:
        """True for the reference, and for a decoder that was shown to keep the accuracy budget.

        A decoder that gives all images the reference's pixels, whose verdict is ``same``, changes
        nothing and keeps it. Any other one keeps it beside the row's own answers, and the row with
        it beside the baseline's: the row and the decoder may both lose nearly the budget.
        """
        if self.decoder == REFERENCE or (self.answers and self.answers.verdict == "same"):
            return True
        if self.answers is None or self.answers.verdict != "pass":
            return False
        return self.against_baseline is None or self.against_baseline.verdict == "pass"


class ImageSample(Record, frozen=True, kw_only=True):
    """The image files that pipelines are timed on; their bytes are in memory."""

    split: Word
    images: Natural
    are_files: bool  # False: the data set has no files, and its images were encoded as PNG
    kinds: dict[Text, Natural]  # number of files by Pillow's name of their format
    bytes_p50: Natural
    width_p50: Natural  # pixels
    height_p50: Natural
    # Most bytes of files that are held, where these end the sample before the number that was asked
    # for. None where they do not, and in an earlier measurement.
    limited_to_bytes: Natural | None = None


def _require_passes(files: list[int] | None, calls: list[float], place: str) -> None:
    """Refuse files that the calls of a turn take no whole passes over."""
    if files is None:
        return
    if not files or len(calls) % len(files) or len(set(files)) < len(files):
        expected = f"each file of a pass once, and whole passes in {len(calls)} calls,"
        raise InvalidValueError(place, expected, files[:10])


def _are_alike(samples: dict[str, list[float]], others: dict[str, list[float]]) -> bool:
    return samples.keys() == others.keys() and all(
        len(values) == len(others[number]) for number, values in samples.items()
    )
