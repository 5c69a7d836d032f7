"""The parent's hold on a worker, without one: how many images a file is given at once."""

from __future__ import annotations

import numpy as np
import pytest

from src import formats
from src.worker.process import EVALUATION_BATCH, WorkerProcess


class Recorded(WorkerProcess):
    """A worker's answers are each image's first value, and how many images came with it."""

    def __init__(self, mixes_batch: bool) -> None:
        self._mixes_batch = mixes_batch
        self.given: list[int] = []

    def predict(self, images: np.ndarray) -> np.ndarray:
        self.given.append(len(images))
        return np.stack([images[:, 0, 0, 0], np.full(len(images), len(images))], axis=1)


@pytest.mark.parametrize("count", [1, EVALUATION_BATCH - 1, EVALUATION_BATCH, 150])
def test_a_file_is_always_given_as_many_images(count: int) -> None:
    images = np.arange(count, dtype=np.float32).reshape(-1, 1, 1, 1)
    worker = Recorded(mixes_batch=False)
    answers = worker.answer(images)
    assert set(worker.given) == {EVALUATION_BATCH}
    assert answers[:, 0].tolist() == list(range(count))


def test_a_file_that_mixes_its_batch_is_given_one_image_at_a_time() -> None:
    worker = Recorded(mixes_batch=True)
    answers = worker.answer(np.arange(3, dtype=np.float32).reshape(-1, 1, 1, 1))
    assert worker.given == [1, 1, 1]
    assert answers.tolist() == [[0, 1], [1, 1], [2, 1]]


def test_dynamic_quantization_mixes_its_batch() -> None:
    mixing = [name for name in formats.names() if formats.get(name).mixes_batch]
    assert mixing == ["onnx_int8_dynamic"]
