"""The number of images of a call, which depends on their size."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from src.run.call_size import calls_of, images_per_call

SIDES = (1, 32, 64, 224, 256, 257, 299, 384, 512, 768, 1024, 2048, 4096)


def images_of(side: int, count: int = 40) -> np.ndarray:
    return np.broadcast_to(np.float32(0), (count, 3, side, side))  # they take no memory


@pytest.mark.parametrize("most", [1, 8, 16, 32])
@pytest.mark.parametrize("side", SIDES)
def test_a_call_has_no_more_pixels_than_one_of_256_by_256(side: int, most: int) -> None:
    sizes = [len(call) for call in calls_of(images_of(side), most)]
    assert sum(sizes) == 40
    assert {*sizes[:-1]} <= {sizes[0]}
    if side <= 256:
        assert sizes[0] == most
    else:
        assert sizes[0] == 1 or sizes[0] * side**2 <= most * 256**2
        assert (sizes[0] + 1) * side**2 > most * 256**2  # no fewer than need be


@pytest.mark.parametrize("count", [0, 1, 3, 8, 9])
def test_the_calls_have_all_images_in_order(count: int) -> None:
    images = np.arange(count * 3 * 4, dtype=np.float32).reshape(count, 3, 2, 2)
    pixels = images.transpose(0, 2, 3, 1).astype(np.uint8)
    for given in (images, torch.from_numpy(images), pixels):
        calls = [np.asarray(call) for call in calls_of(given, 4)]
        assert all(0 < len(call) <= 4 for call in calls)
        joined = np.concatenate([np.empty((0, *given.shape[1:])), *calls])
        assert np.array_equal(joined, np.asarray(given))


def test_pixels_are_counted_in_either_layout() -> None:
    pixels = np.broadcast_to(np.uint8(0), (9, 512, 512, 3))
    assert len(next(calls_of(pixels, 8))) == len(next(calls_of(images_of(512), 8))) == 2


@pytest.mark.parametrize("side", SIDES)
def test_a_call_of_the_measurement_is_bounded_too(side: int) -> None:
    size = images_per_call(side**2, "cpu", mixes_batch=False)
    assert size == 1 or size * side**2 <= 8 * 256**2
    assert images_per_call(side**2, "cuda", mixes_batch=False) == 64
    assert images_per_call(side**2, "cuda", mixes_batch=True) == 1
