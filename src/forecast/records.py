"""The record of ``forecast.json``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from src.run.circumstances import Environment
from src.run.latency import Interval
from src.run.record import (
    BatchSize,
    Count,
    Device,
    Positive,
    Record,
    ShortText,
    Side,
    Status,
    Text,
    Word,
    empty_list,
    null,
)

VERSION: Final = 1


class Timing(Record, frozen=True, kw_only=True):
    """The time of a file's calls at one batch size."""

    batch_size: BatchSize
    p50_s: Positive
    p90_s: Positive | None = null()  # null if there are too few samples
    low_s: Positive  # first quartile of the calls
    high_s: Positive  # third quartile
    speedup: Interval | None = null()  # over the baseline; null for itself
    unstable: list[Text]  # causes
    peak_rss_bytes: int | None = null()  # above an empty process; null if not measured


class FileCost(Record, frozen=True, kw_only=True):
    """Size and latency of a format with weights that are not trained."""

    format: Word
    device: Device
    status: Status
    reason: Text | None = null()  # for being skipped or failed
    size_bytes: Count | None = null()
    timings: list[Timing]
    # From the bytes of an image file to its label, by the evaluation's decoder, one image a call;
    # null if it was not timed, and in a forecast of an earlier version.
    pipeline_p50_s: Positive | None = null()

    @property
    def compared(self) -> Timing | None:
        """The timing by which files are compared: with one image, or else the first one."""
        return self.timing(1) or next(iter(self.timings), None)

    def timing(self, batch_size: int) -> Timing | None:
        """Return the timing at a batch size; None if there is none."""
        return next((each for each in self.timings if each.batch_size == batch_size), None)


# The cost of a training is None for one of these.
NO_TRAINING_TIME = (
    "no training time, because an epoch has too few batches, of which a smaller data.batch_size "
    "makes more, or trainer.max_epochs sets no end"
)


class TrainingCost(Record, frozen=True, kw_only=True):
    """Speed, memory and duration of a training on this machine, from a few steps."""

    images_per_second: Positive
    step_seconds: Positive
    peak_rss_bytes: Count | None = null()
    peak_device_bytes: Count | None = null()
    images: Count  # of an epoch
    epochs: Count  # configured

    @property
    def seconds(self) -> float:
        """Seconds of all steps of the configured epochs, without validation."""
        return self.images * self.epochs / self.images_per_second


class Candidate(Record, frozen=True, kw_only=True):
    """One network at one width and image size."""

    model: ShortText  # as on the command line
    width: Positive | None = null()  # factor on its channels; null for the network's own width
    image_size: Side | None  # null if the candidate failed and the command line does not name it
    key: Text  # hash of everything that decides the figures
    status: Literal["ok", "failed"]
    reason: Text | None = null()  # of the failure
    parameters: Count | None = null()
    macs: Count | None = null()  # multiply-accumulates of one image
    training: TrainingCost | None = null()
    files: list[FileCost]

    @property
    def name(self) -> str:
        """The network, its width and the image size in words."""
        return name_of(self.network, self.image_size)

    @property
    def network(self) -> str:
        """The network and its width in words."""
        return network_of(self.model, self.width)


class Forecast(Record, frozen=True, kw_only=True):
    """The content of ``forecast.json``."""

    schema_version: Literal[1]
    command: Text
    made_at: Text  # ISO 8601, UTC
    environment: Environment
    baseline: Word
    own_width_only: list[ShortText] = empty_list()  # networks that `widths=` has no effect on
    candidates: list[Candidate]


def network_of(model: str, width: float | None) -> str:
    """Return a network and its width in words, such as ``torchvision/mobilenet_v2 x0.5``."""
    return model if width is None else f"{model} x{width:g}"


def name_of(network: str, image_size: int | None) -> str:
    """Return a network at an image size in words."""
    return f"{network} at {image_size} px" if image_size else network


def own_width_line(networks: Sequence[str]) -> str:
    """Return the sentence on the networks that have no other width."""
    return (
        f"At their own width only, because their constructors have no other: {', '.join(networks)}"
    )
