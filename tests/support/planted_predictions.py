"""An exported file for ``src.predict`` without torch, so that a process with it starts fast."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from PIL import Image

from src.data.preprocessing import Preprocessing
from src.predict import exported
from tests.support import photos


class Planted:
    """An exported file that answers the channels' means, and fails after ``good`` batches."""

    name, class_names, preprocessing = "planted", list(photos.CLASSES), Preprocessing(4)
    doubt: str | None = None

    def __init__(self, then: Callable[[], object] = lambda: None, good: int = 9) -> None:
        self.then, self.good, self.calls = then, good, 0

    def prepare(self, image: Image.Image) -> np.ndarray:
        side = self.preprocessing.image_size
        pixels = np.asarray(image.convert("RGB").resize((side, side)), np.float32)
        return pixels.transpose(2, 0, 1) / 255

    def logits(self, images: np.ndarray) -> np.ndarray:
        self.calls += 1
        if self.calls > self.good:
            self.then()
        return images.mean(axis=(2, 3))


def plant(patch: pytest.MonkeyPatch, file: Planted, *words: str) -> None:
    """Replace the command line, and the file that the command opens."""

    @contextlib.contextmanager
    def open_file(*_: object) -> Iterator[Planted]:
        yield file

    patch.setattr(exported, "open_file", open_file)
    patch.setattr(sys, "argv", ["predict", "run", "photos", *words])
