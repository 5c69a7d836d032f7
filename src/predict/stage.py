"""The predict stage: yield the class probabilities of image files, in the order of the files."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from src.errors import LightshipError
from src.predict import images
from src.predict.exported import ExportedFile, NonFiniteLogitsError
from src.predict.images import LoadedImage
from src.predict.options import OnError
from src.run.call_size import EVALUATION_BATCH
from src.system.console import Report


@dataclass(frozen=True)
class Prediction:
    """The class probabilities of one image, or the reason why there are none.

    Args:
        path: of the image.
        probabilities: (K,), with a sum of 1; None if the image has no prediction.
        problem: the reason; None if there are probabilities.
    """

    path: Path
    probabilities: NDArray[np.float64] | None
    problem: LightshipError | None = None

    def top(self, class_names: Sequence[str], count: int) -> list[tuple[str, float]]:
        """Return the ``count`` likeliest classes with their probabilities, the likeliest first.

        Classes of equal probability are in label order. Empty if there are no probabilities.
        """
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
    """Yield a prediction for each image. Memory does not grow with their number.

    Raises:
        LightshipError: an image has no prediction and ``on_error`` is ``raise``; the predictions
            of the images before it are yielded first. Or the file's process failed.
    """
    done = 0
    with contextlib.closing(images.batches(paths, file.prepare, EVALUATION_BATCH)) as batches:
        for batch in batches:
            if report:
                report("predicting", f"{done} of {len(paths)} images", done, len(paths))
            for prediction in _predict_batch(file, batch):
                if prediction.problem and on_error == "raise":
                    raise prediction.problem
                yield prediction
            done += len(batch)


def _predict_batch(file: ExportedFile, batch: Sequence[LoadedImage]) -> list[Prediction]:
    """Return a prediction for each image of a batch, computed together.

    If the logits of some images are not finite, those of the others are computed once more.
    """
    readable = [image for image in batch if image.pixels is not None]
    probabilities: dict[Path, NDArray[np.float64]] = {}
    problems: dict[Path, LightshipError] = {}
    try:
        probabilities = _probabilities(file, readable)
    except NonFiniteLogitsError as error:
        for index in error.images:
            problems[readable[index].path] = _not_finite(file, readable[index].path)
        finite = [image for image in readable if image.path not in problems]
        probabilities = _probabilities(file, finite)
    return [
        Prediction(
            image.path, probabilities.get(image.path), image.problem or problems.get(image.path)
        )
        for image in batch
    ]


def _probabilities(
    file: ExportedFile, readable: Sequence[LoadedImage]
) -> dict[Path, NDArray[np.float64]]:
    """Return the class probabilities of images that have pixels, (K,) each, by path."""
    pixels = [image.pixels for image in readable if image.pixels is not None]
    rows = softmax(file.logits(np.stack(pixels))) if pixels else ()
    return {image.path: row for image, row in zip(readable, rows, strict=True)}


def _not_finite(file: ExportedFile, path: Path) -> LightshipError:
    return LightshipError(
        f"{path}: the logits of {file.name} are not finite; measure the run with "
        "python -m src.benchmark RUN, or name another format"
    )


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the probabilities (n, K) of logits (n, K), computed in float64."""
    wide = logits.astype(np.float64)
    exponentials = np.exp(wide - wide.max(axis=1, keepdims=True))
    probabilities: NDArray[np.float64] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return probabilities
