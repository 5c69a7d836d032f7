"""Batch size of evaluation and prediction, with a fake worker."""

from __future__ import annotations

import numpy as np
import pytest

from src import formats
from src.worker.process import WorkerProcess


class Recorded(WorkerProcess):
    """A worker's answers are each image's first value, and how many images came with it."""

    def __init__(self, mixes_batch: bool = False, device: str = "cpu") -> None:
        self._mixes_batch = mixes_batch
        self._device = device
        self.given: list[int] = []

    def predict(self, images: np.ndarray) -> np.ndarray:
        self.given.append(len(images))
        return np.stack([images[:, 0, 0, 0], np.full(len(images), len(images))], axis=1)


def images(count: int, side: int = 64) -> np.ndarray:
    """Return images (n, 3, side, side), whose values are their numbers."""
    numbers = np.arange(count, dtype=np.float32).reshape(-1, 1, 1, 1)
    return np.broadcast_to(numbers, (count, 3, side, side))


@pytest.mark.parametrize(
    ("side", "device", "size"),
    [
        (8, "cpu", 64),
        (64, "cpu", 64),
        (64, "browser", 64),
        (96, "cpu", 8),
        (224, "cpu", 8),
        (224, "browser", 8),
        (224, "cuda", 64),
        (384, "cpu", 1),
        (384, "cuda", 64),
    ],
)
@pytest.mark.parametrize("count", [1, 7, 8, 63, 64, 150])
def test_a_file_is_always_given_as_many_images(
    count: int, side: int, device: str, size: int
) -> None:
    worker = Recorded(device=device)
    answers = worker.answer(images(count, side))
    assert worker.given == [size] * -(-count // size)
    assert answers[:, 0].tolist() == list(range(count))


def test_the_number_of_images_of_a_call_is_the_same_in_the_form_of_pixels() -> None:
    worker = Recorded()
    worker.answer(np.zeros((9, 224, 224, 3), np.uint8))
    assert worker.given == [8, 8]


def test_a_file_that_mixes_its_batch_is_given_one_image_at_a_time() -> None:
    worker = Recorded(mixes_batch=True)
    answers = worker.answer(images(3))
    assert worker.given == [1, 1, 1]
    assert answers.tolist() == [[0, 1], [1, 1], [2, 1]]


def test_dynamic_quantization_mixes_its_batch() -> None:
    mixing = [name for name in formats.names() if formats.get(name).mixes_batch]
    assert mixing == ["onnx_int8_dynamic"]
