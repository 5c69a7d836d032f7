"""The answers of an exam without its timing: on an emulator, whose speed says nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING or __package__:  # a part of a package
    from .measure import Measurement
    from .model_process import Process, logits_of
else:  # in the folder of a model
    from measure import Measurement
    from model_process import Process, logits_of

Array = np.ndarray[Any, np.dtype[Any]]
Json = dict[str, Any]


def answers(
    folder: Path,
    most: int,
    seconds: float,
    settings: Json,
    report: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Array, Measurement]:
    """Answer the first images of the exam in a new process, one at a time.

    Args:
        folder: of the model.
        most: number of images.
        seconds: limit of the whole; no image but the first one is begun after it.
        settings: of the model, by argument.
        report: gets a line on the progress.
        clock: seconds; replaced in tests.

    Returns:
        The logits of the images that were answered, (n, K), and a measurement without times.

    Raises:
        ExamError: the model fails.
    """
    end = clock() + seconds
    process = Process(folder)
    try:
        report("loading the model")
        measured = Measurement(loaded=[process.ask("load", settings=settings)])
        rows: list[Array] = []
        while len(rows) < most and (not rows or clock() < end):
            report(f"answering image {len(rows) + 1} of {most}")
            answer = process.ask("answer", image=len(rows))
            rows.append(logits_of(answer))
    finally:
        process.close()
    return np.concatenate(rows), measured
