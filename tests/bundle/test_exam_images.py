"""The first images of an exam have the classes in proportion, for an exam may end after a few."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from src.bundle import exam_images
from src.data.stratified import stratified


def split_of(labels: NDArray[np.int64], monkeypatch: pytest.MonkeyPatch) -> Any:
    """A test split with these labels, whose files are their positions."""
    monkeypatch.setattr(exam_images, "_file", lambda _, position: (b"%d" % position, "jpg"))
    # The data set has other images before those of the split.
    targets = np.concatenate([np.zeros(7, np.int64), labels])
    indices = np.arange(7, 7 + len(labels))
    return SimpleNamespace(images=SimpleNamespace(targets=targets), indices=indices)


@pytest.mark.parametrize(
    "sizes", [[50] * 10, [400, 40, 60], [1] * 64, [250, 250]], ids=["even", "uneven", "one", "two"]
)
def test_every_beginning_of_an_exam_of_sorted_data_has_the_classes_in_proportion(
    monkeypatch: pytest.MonkeyPatch, sizes: list[int]
) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    images = exam_images.chosen(split_of(labels, monkeypatch), 64)
    assert len(images.labels) == 64
    assert images.labels.tolist() == labels[images.positions].tolist()
    assert images.contents == [b"%d" % position for position in images.positions]
    assert images.names == sorted(images.names)
    share = np.array(sizes) / len(labels)
    for count in (4, 8, 16, 32, 64):
        counts = np.bincount(images.labels[:count], minlength=len(sizes))
        assert np.abs(counts - count * share).max() <= 1.5, count


def test_an_exam_that_is_bounded_in_bytes_has_all_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.repeat(np.arange(10), 50)
    test = split_of(labels, monkeypatch)
    monkeypatch.setattr(exam_images, "MOST_BYTES", 60)  # about 20 files
    images = exam_images.chosen(test, 64)
    assert 10 < len(images.labels) < 64
    assert set(images.labels.tolist()) == set(range(10))


def test_another_seed_gives_another_order_with_the_classes_in_proportion() -> None:
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    first, other = stratified(labels), stratified(labels, seed=1)
    assert sorted(other.tolist()) == list(range(1000))
    assert not np.array_equal(first, other)
    for count in (10, 50, 64, 500):
        counts = np.bincount(labels[other[:count]], minlength=3)
        assert np.abs(counts - count * np.array([0.6, 0.3, 0.1])).max() <= 1.5
