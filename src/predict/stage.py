"""The predict stage: pictures in, their likeliest classes out, in order and one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from src.benchmark.process import EVALUATION_BATCH
from src.console import Report
from src.errors import UsageError
from src.predict import pictures
from src.predict.exported import ExportedFile


@dataclass(frozen=True)
class Prediction:
    """What a file says about one picture, or why it was not asked."""

    path: Path
    probabilities: NDArray[np.float64] | None  # (K,), which add up to 1
    problem: UsageError | None = None

    def top(self, class_names: Sequence[str], count: int) -> list[tuple[str, float]]:
        """The likeliest classes with their probabilities, the first of equals first."""
        if self.probabilities is None:
            return []
        order = np.argsort(-self.probabilities, kind="stable")[:count]
        return [(class_names[index], float(self.probabilities[index])) for index in order]


def predictions(
    file: ExportedFile,
    paths: Sequence[Path],
    on_error: Literal["raise", "skip"],
    report: Report | None = None,
) -> Iterator[Prediction]:
    """A prediction for each picture; memory does not grow with their number.

    Raises:
        UsageError: a picture cannot be read, and ``on_error`` is ``raise``.
    """
    done = 0
    for batch in pictures.batches(paths, file.preprocessing, EVALUATION_BATCH):
        if report:
            report("predicting", f"{done} of {len(paths)} images", done, len(paths))
        problems = [each.problem for each in batch if each.problem]
        if problems and on_error == "raise":
            raise problems[0]
        readable = [each.pixels for each in batch if each.pixels is not None]
        answers = iter(softmax(file.logits(np.stack(readable))) if readable else ())
        for each in batch:
            answer = None if each.pixels is None else next(answers)
            yield Prediction(each.path, answer, each.problem)
        done += len(batch)


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Probabilities (n, K) of logits (n, K)."""
    wide = logits.astype(np.float64)
    exponentials = np.exp(wide - wide.max(axis=1, keepdims=True))
    probabilities: NDArray[np.float64] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return probabilities
