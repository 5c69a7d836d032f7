"""A folder of 100,000 images in 1,000 classes is listed, split and read in bounded memory.

The files are hard links to a few images, so that they are made in seconds; each is opened and
decoded separately. The durations are printed; docs/reliability.md has them.
"""

from __future__ import annotations

import gc
import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from src.benchmark.statistics.scorecard import Scorecard
from src.data.datasets.image_folder import ImageFolder
from src.system.subprocesses import resident_bytes

CLASSES, IMAGES_PER_CLASS, DIFFERENT_IMAGES = 1000, 100, 10
SIDE = 16  # pixels


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("many")
    originals = root / ".originals"  # hidden, so not a class
    originals.mkdir()
    chance = np.random.default_rng(0)
    for number in range(DIFFERENT_IMAGES):
        pixels = chance.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
        Image.fromarray(pixels).save(originals / f"{number}.png")
    for label in range(CLASSES):
        class_folder = root / f"class{label:04}"
        class_folder.mkdir()
        for number in range(IMAGES_PER_CLASS):
            os.link(originals / f"{number % DIFFERENT_IMAGES}.png", class_folder / f"{number}.png")
    return root


def resident_after_collection() -> int:
    gc.collect()
    return resident_bytes(os.getpid())


@pytest.mark.faults
def test_100_000_images_are_listed_and_split_in_bounded_memory(folder: Path) -> None:
    before, started = resident_after_collection(), time.perf_counter()
    data = ImageFolder(str(folder), image_size=SIDE, batch_size=64, num_workers=0)
    assert len(data.class_names) == CLASSES
    data.prepare_data()
    counts = {split: data.count(split) for split in ("train", "val", "test")}
    list_seconds = time.perf_counter() - started
    images, labels = next(iter(data.train_dataloader()))
    batch_seconds = time.perf_counter() - started
    growth = resident_after_collection() - before
    print(
        f"listed in {list_seconds:.1f} s, first batch after {batch_seconds:.1f} s, "
        f"{growth / 1e6:.0f} MB"
    )
    assert counts == {"train": 70_000, "val": 10_000, "test": 20_000}
    assert images.shape == (64, 3, SIDE, SIDE)
    assert len(labels) == 64
    assert growth < 1000 * CLASSES * IMAGES_PER_CLASS  # bytes an image


@pytest.mark.faults
def test_epochs_over_100_000_images_do_not_grow_memory(folder: Path) -> None:
    data = ImageFolder(str(folder), image_size=SIDE, batch_size=256, num_workers=0, on_error="skip")
    loader = data.train_dataloader()
    used = []
    for _ in range(3):
        assert sum(len(labels) for _, labels in loader) >= 70_000 - 256
        used.append(resident_after_collection())
    print(f"resident after each epoch: {', '.join(f'{size / 1e6:.0f} MB' for size in used)}")
    assert used[-1] - used[0] < 20e6
    assert data.skipped == []


@pytest.mark.faults
def test_scoring_20_000_images_in_1_000_classes_does_not_grow_memory(folder: Path) -> None:
    data = ImageFolder(str(folder), image_size=SIDE, num_workers=0)
    chance = np.random.default_rng(0)
    used = []
    for _ in range(2):
        card = Scorecard(data.class_names)
        for _, labels in data.batches("test"):
            logits = chance.normal(size=(len(labels), CLASSES)).astype(np.float32)
            card.add(logits, labels, logits)
        used.append(resident_after_collection())
        assert card.result(0.01).accuracy.images == 20_000
    print(f"resident after each scoring: {', '.join(f'{size / 1e6:.0f} MB' for size in used)}")
    assert used[1] - used[0] < 10e6
