"""Comparison of the answers to an exam with those that the run's measurement stored."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from src.bundle.exam_images import ExamImages
from src.errors import UsageError
from src.predict.stage import softmax
from src.run.results import Results
from src.run.row import Row

Logits = NDArray[np.float32]  # (n, K)
_SCORED = "test"


def require_measured_answers(
    results: Results,
    row: Row,
    images: ExamImages,
    answers: Logits,
    reference: Logits | None,
    tolerance: float,
) -> None:
    """Refuse answers that are not those of the measurement, but for near-ties.

    A measurement stores the images whose class differs from the baseline's. So the measured class
    of each other image is the baseline's, if the baseline's answers are known.

    Args:
        results: the measurement.
        row: the row of the file in it.
        images: the images of the exam.
        answers: the file's logits of them.
        reference: the baseline's logits of them.
        tolerance: largest difference of a probability that another processor explains. Two classes
            that are twice as close may change places.

    Raises:
        UsageError: the data or the answers are others.
    """
    if results.dataset.split != _SCORED or row.accuracy is None:
        return
    if results.dataset.images != images.available:
        raise _other(
            f"the {results.dataset.images} test images of the measurement",
            f"{images.available} test images",
        )
    paired = row.accuracy.paired
    flips = {flip.position: flip for flip in paired.flips} if paired else {}
    measured = None if reference is None else reference.argmax(axis=1)
    probabilities = softmax(answers)
    changed = []
    for index, position in enumerate(images.positions):
        flip = flips.get(position)
        if flip and flip.true != images.labels[index]:
            raise _other("the labels of the measurement", f"another one of test image {position}")
        if flip is not None:
            expected = flip.after
        elif paired is not None and measured is not None:
            expected = int(measured[index])
        else:
            continue  # the measurement does not tell
        if probabilities[index].max() - probabilities[index, expected] > 2 * tolerance:
            changed.append(position)
    if changed:
        raise _other(
            "the answers of the measurement",
            f"another class for {len(changed)} of {len(images.positions)} images, the first of "
            f"them test image {changed[0]}",
        )


def _other(expected: str, found: str) -> UsageError:
    return UsageError(
        "exam",
        expected=expected,
        found=found,
        remedy="measure again with python -m src.benchmark RUN, or set exam=0",
    )
