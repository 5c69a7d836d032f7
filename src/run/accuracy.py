"""Records of a row's accuracy on the scored images, alone and paired with the baseline."""

from __future__ import annotations

from typing import Literal

from src.run.record import (
    Count,
    Difference,
    Natural,
    Number,
    Record,
    Share,
    Text,
    empty_list,
    null,
)

Verdict = Literal["same", "pass", "fail", "inconclusive"]
FunctionFigure = Literal["logit_sqnr_db", "kl", "delta_ece"]


class ClassAccuracy(Record, frozen=True, kw_only=True):
    """The accuracy of one class before (the baseline's) and after (the row's).

    Both are None for a class without images.
    """

    name: Text
    index: Count  # of the class, in label order
    images: Count
    before: Share | None
    after: Share | None


class WorstClass(Record, frozen=True, kw_only=True):
    """The class whose accuracy falls the most."""

    name: Text
    index: Count
    images: Count
    before: Share | None = None
    after: Share | None = None
    delta: Difference


class Flip(Record, frozen=True, kw_only=True):
    """An image whose top-1 class differs between the row and the baseline."""

    position: Count  # in the scored split
    true: Count  # index of the class, like the next two
    before: Count  # predicted by the baseline
    after: Count  # predicted by the row


class PairedAccuracy(Record, frozen=True, kw_only=True):
    """A comparison of a row's predictions with the baseline's on the same images.

    A number that is not finite, such as a ratio to zero, is null.
    """

    delta_top1: Difference
    delta_low: Difference  # of the 95 % interval
    delta_high: Difference
    mcnemar_p: Share
    agreement: Share  # share of the images with the same top-1
    lost: Count  # images: right before and wrong now
    gained: Count  # images: wrong before and right now
    images_needed: Count | None  # to settle the verdict; null if it is settled or cannot be
    max_drop: Number | None = None  # allowed drop of top-1
    worst_class: WorstClass | None  # null without images
    per_class: list[ClassAccuracy]
    logit_sqnr_db: Number | None
    kl: Number | None  # nats, mean over the images
    max_abs_logit_diff: Number | None
    p99_abs_logit_diff: Number | None
    rounding_error: Number | None = null()  # null also in version 1
    beyond_rounding: Count | None = None  # images; None in version 1
    delta_ece: Difference
    departures: list[FunctionFigure] = empty_list()  # figures beyond their bounds
    flips: list[Flip]


class Accuracy(Record, frozen=True, kw_only=True):
    """A row's accuracy on the scored images, as shares of 1."""

    images: Natural
    top1: Share
    top5: Share
    ece: Share  # expected calibration error
    # None without a baseline for every image. In the file its values are on the level of the above.
    paired: PairedAccuracy | None = None
