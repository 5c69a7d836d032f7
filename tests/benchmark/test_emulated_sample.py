"""The images that an emulated processor answers in its time: a sample of the whole split."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from src.benchmark import row_instruction_sets
from src.benchmark.row_instruction_sets import EMULATED_SECONDS, RowInstructionSets
from src.worker.guarded_process import Limits

CLASSES, IMAGES, BATCH = 10, 300, 64
LIMITS = Limits(threads=1, answer_seconds=1, resident_bytes=1)


class Emulated:
    """A process whose call takes some seconds of a planted clock."""

    emulator = "qemu-x86_64 7.2.9, Haswell"
    now = 0.0
    seconds: Callable[[], float] = staticmethod(lambda: 0.0)
    closed = False

    def __init__(self, *_: object) -> None:
        Emulated.closed = False

    def ask(self, *_: object) -> None:
        pass

    def predict(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        Emulated.now += Emulated.seconds()
        return logits_of(images)

    def close(self) -> None:
        Emulated.closed = True


def logits_of(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """The class of an image is its only value; those of class 3 are answered as class 4."""
    classes = images.reshape(len(images)).astype(int)
    answered = np.where(classes == 3, 4, classes)
    return np.eye(CLASSES, dtype=np.float32)[answered]


def answered(
    monkeypatch: pytest.MonkeyPatch, labels: NDArray[np.int64], seconds: Callable[[], float]
) -> tuple[Any, NDArray[np.int64]]:
    """The figures of a split and the labels of the images that were answered."""
    monkeypatch.setattr(Emulated, "seconds", staticmethod(seconds))
    monkeypatch.setattr(Emulated, "now", 0.0)
    monkeypatch.setattr(row_instruction_sets, "WorkerProcess", Emulated)
    clock = SimpleNamespace(monotonic=lambda: Emulated.now)
    monkeypatch.setattr(row_instruction_sets, "time", clock)
    row = RowInstructionSets([str(name) for name in range(CLASSES)])
    row.start("onnx_int8", Path(), LIMITS, None, ["avx2"], None)
    for start in range(0, len(labels), BATCH):
        targets = labels[start : start + BATCH]
        images = targets.astype(np.float32).reshape(-1, 1, 1, 1)
        truth = np.eye(CLASSES, dtype=np.float32)[targets]
        share = min(start + BATCH, len(labels)) / len(labels)
        row.add(images, truth, None, targets, share)
    raw = row.raw()["avx2"].scorecard
    assert raw is not None
    (figures,) = row.figures(0.01, is_fp32=False)
    return figures, np.asarray(raw.targets)


def sorted_labels() -> NDArray[np.int64]:
    return np.repeat(np.arange(CLASSES), IMAGES // CLASSES)


@pytest.mark.parametrize(
    "labels",
    [
        sorted_labels(),
        sorted_labels()[::-1].copy(),
        np.arange(IMAGES) % CLASSES,
        np.random.default_rng(0).permutation(sorted_labels()),
        np.sort(np.arange(IMAGES) % CLASSES**2 % CLASSES),
    ],
    ids=["sorted", "backwards", "in turn", "shuffled", "sorted again"],
)
def test_a_few_emulated_images_are_of_all_classes_however_a_split_is_sorted(
    monkeypatch: pytest.MonkeyPatch, labels: NDArray[np.int64]
) -> None:
    figures, targets = answered(monkeypatch, labels, lambda: 2.0)
    assert len(targets) == EMULATED_SECONDS / 2
    counts = np.bincount(targets, minlength=CLASSES)
    assert counts.min() >= 1
    assert counts.max() <= 6  # 3 in proportion
    assert figures.accuracy.images == len(targets)


@pytest.mark.parametrize("labels", [sorted_labels(), np.arange(IMAGES) % 2])
def test_a_single_image_of_each_batch_is_not_always_of_one_class(
    monkeypatch: pytest.MonkeyPatch, labels: NDArray[np.int64]
) -> None:
    _, targets = answered(monkeypatch, np.concatenate([labels] * 4), lambda: 3.0)
    assert len(set(targets.tolist())) > 1


def test_emulated_answers_are_compared_with_those_of_the_same_images(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    figures, targets = answered(monkeypatch, sorted_labels(), lambda: 2.0)
    lost = int((targets == 3).sum())
    assert lost > 0
    assert figures.changed == lost
    assert figures.accuracy.paired.lost == lost
    assert figures.accuracy.top1 == 1 - lost / len(targets)
    assert figures.accuracy.paired.flips == []  # their positions in the split are not known


def test_an_emulation_that_is_fast_enough_answers_all_images(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, targets = answered(monkeypatch, sorted_labels(), lambda: 0.19)
    assert sorted(targets.tolist()) == sorted_labels().tolist()


def test_an_emulation_ends_when_its_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    _, targets = answered(monkeypatch, sorted_labels(), lambda: 2 * EMULATED_SECONDS)
    assert len(targets) == 1
    assert Emulated.closed
