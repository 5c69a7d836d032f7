"""The answers of an exam without its timing: on an emulator, whose speed says nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING or __package__:  # a part of a package
    from .exam_files import ExamError
    from .measure import Measurement
    from .model_process import Process, logits_of
else:  # in the folder of a model
    from exam_files import ExamError
    from measure import Measurement
    from model_process import Process, logits_of

Array = np.ndarray[Any, np.dtype[Any]]
Json = dict[str, Any]
# Limit of one answer. On a busy machine an emulator takes minutes to import PyTorch.
ANSWER_SECONDS = 1800.0
Stop = ExamError | KeyboardInterrupt | None  # that ended an exam early, the latter by a signal


class Answered(NamedTuple):
    """The images that were answered."""

    logits: Array  # (n, K)
    measurement: Measurement  # without times
    stop: Stop


def answers(
    folder: Path,
    most: int,
    seconds: float,
    settings: Json,
    report: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
) -> Answered:
    """Answer the first images of the exam in a new process, one at a time.

    A failure, Ctrl-C or a signal to end after the first image costs no answer before it: an image
    may have taken minutes.

    Args:
        folder: of the model.
        most: number of images.
        seconds: limit of the whole; no image but the first one is begun after it.
        settings: of the model, by argument, the number of threads among them.
        report: gets a line on the progress.
        clock: seconds; replaced in tests.

    Raises:
        ExamError: the model cannot be loaded, or it fails on the first image.
    """
    end = clock() + seconds
    process = Process(folder, answer_seconds=ANSWER_SECONDS)
    stop: Stop = None
    rows: list[Array] = []
    try:
        report("loading the model")
        loaded = process.ask("load", settings=settings, timed=False)
        measured = Measurement(settings["threads"], loaded=[loaded])
        while len(rows) < most and (not rows or clock() < end):
            report(f"answering image {len(rows) + 1} of {most}")
            rows.append(logits_of(process.ask("answer", image=len(rows))))
    except (ExamError, KeyboardInterrupt) as error:
        if not rows:
            raise
        stop = error
    finally:
        process.close()
    return Answered(np.concatenate(rows), measured, stop)
