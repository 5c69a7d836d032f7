"""Image files to labels by a file that holds its preprocessing."""

from __future__ import annotations

import io
import itertools
from collections.abc import Sequence

import numpy as np

from src.backends.base import PictureClassifier
from src.run.pipeline import Decoder
from src.shipped import predict, predict_images
from src.worker.answer import Logits, logits_of
from src.worker.pipeline import TOP, FilePipeline


class PicturePipeline(FilePipeline):
    """A pipeline whose file resizes and normalises: its stages for that take no time.

    Args:
        classifier: the loaded file.
        contents: the image files.
    """

    def __init__(self, classifier: PictureClassifier, contents: Sequence[bytes]) -> None:
        super().__init__(contents)
        self._classifier = classifier

    def once(self, content: bytes, decoder: Decoder) -> tuple[float, list[float]]:
        """See :class:`FilePipeline`. The decoder is always the reference: the file resizes."""
        clock = self._clock
        began = clock()
        moments = [clock()]
        image = predict_images.read_image(io.BytesIO(content))
        moments += [clock()] * 2
        pixels = np.asarray(image)
        moments.append(clock())
        probabilities = self._classifier(pixels)
        moments.append(clock())
        answer = predict.require_answer(probabilities[None], 1, probabilities.shape[-1])
        self._label = predict.likeliest(answer[0], TOP)[0]
        moments.append(clock())
        seconds = clock() - began
        return seconds, [after - before for before, after in itertools.pairwise(moments)]


def answered(
    classifier: PictureClassifier, contents: Sequence[bytes], classes: int | None
) -> Logits:
    """Return the logarithms of the probabilities of n image files, (n, K).

    A softmax of them gives the probabilities again, so they are logits up to a constant an image.

    Raises:
        UnusableAnswer: an output is not finite or has another shape.
    """
    rows = []
    for content in contents:
        image = np.asarray(predict_images.read_image(io.BytesIO(content)))
        probabilities = logits_of(classifier(image)[None], 1, classes)
        rows.append(np.log(np.maximum(probabilities, np.finfo(np.float32).tiny)))
    return np.concatenate(rows)
