"""The predict stage: pictures in, their likeliest classes out, in order and one at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from src.errors import LightshipError
from src.predict import images
from src.predict.exported import ExportedFile, NoAnswerError
from src.predict.images import Picture
from src.predict.options import OnError
from src.system.console import Report
from src.worker.process import EVALUATION_BATCH


@dataclass(frozen=True)
class Prediction:
    """A file's answer for one picture, or why it has none."""

    path: Path
    probabilities: NDArray[np.float64] | None  # (K,), which add up to 1
    problem: LightshipError | None = None

    def top(self, class_names: Sequence[str], count: int) -> list[tuple[str, float]]:
        """The likeliest classes with their probabilities, the first of equals first."""
        if self.probabilities is None:
            return []
        order = np.argsort(-self.probabilities, kind="stable")[:count]
        return [(class_names[index], float(self.probabilities[index])) for index in order]


def predictions(
    file: ExportedFile,
    paths: Sequence[Path],
    on_error: OnError,
    report: Report | None = None,
) -> Generator[Prediction]:
    """A prediction for each picture; memory does not grow with their number.

    Raises:
        LightshipError: a picture has no answer and ``on_error`` is ``raise``, which comes after the
            predictions of those before it; or the file's process failed.
    """
    done = 0
    with contextlib.closing(images.batches(paths, file.preprocessing, EVALUATION_BATCH)) as batches:
        for batch in batches:
            if report:
                report("predicting", f"{done} of {len(paths)} images", done, len(paths))
            for prediction in _answered(file, batch):
                if prediction.problem and on_error == "raise":
                    raise prediction.problem
                yield prediction
            done += len(batch)


def _answered(file: ExportedFile, batch: Sequence[Picture]) -> list[Prediction]:
    """A prediction for each picture of a batch, which the file is asked for together."""
    readable = [each for each in batch if each.pixels is not None]
    answers: dict[Path, NDArray[np.float64]] = {}
    problems: dict[Path, LightshipError] = {}
    try:
        answers = _probabilities(file, readable)
    except NoAnswerError as error:
        for index in error.images:
            problems[readable[index].path] = _without_answer(file, readable[index].path)
        # Those of the others are as good as if they had been asked alone.
        answers = _probabilities(file, [each for each in readable if each.path not in problems])
    return [
        Prediction(each.path, answers.get(each.path), each.problem or problems.get(each.path))
        for each in batch
    ]


def _probabilities(
    file: ExportedFile, readable: Sequence[Picture]
) -> dict[Path, NDArray[np.float64]]:
    pixels = [each.pixels for each in readable if each.pixels is not None]
    found = softmax(file.logits(np.stack(pixels))) if pixels else ()
    return {each.path: answer for each, answer in zip(readable, found, strict=True)}


def _without_answer(file: ExportedFile, path: Path) -> LightshipError:
    return LightshipError(
        f"{path}: the logits of {file.name} are not finite; measure the run with "
        "python -m src.benchmark RUN, or name another format"
    )


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Probabilities (n, K) of logits (n, K)."""
    wide = logits.astype(np.float64)
    exponentials = np.exp(wide - wide.max(axis=1, keepdims=True))
    probabilities: NDArray[np.float64] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return probabilities
