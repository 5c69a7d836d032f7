"""Errors of a worker that did not answer as it should."""

from __future__ import annotations

from collections.abc import Sequence

from src.worker.answer import UnusableAnswer


class WorkerError(Exception):
    """A worker raised an error, died or exceeded a limit; the message is one line."""


class TimedOutError(WorkerError):
    """A worker exceeded the time limit of an answer."""


class NotFiniteError(WorkerError):
    """The logits of some images are not finite; the logits of the others are valid.

    Args:
        images: positions of these images in the batch.
    """

    def __init__(self, images: Sequence[int]) -> None:
        super().__init__(str(UnusableAnswer.not_finite(tuple(images))))
        self.images = tuple(images)
