from __future__ import annotations

import numpy as np
import pytest

from src.benchmark.calibration_leakage import CalibrationLeakage
from src.errors import UsageError
from src.system import atomic_files

IMAGES = np.random.default_rng(0).normal(size=(200, 3, 4, 4)).astype(np.float32)


def detector(calibration: np.ndarray) -> CalibrationLeakage:
    leak = CalibrationLeakage([atomic_files.sha256_of(image) for image in calibration], "test")
    for start in range(0, 100, 30):
        leak.add(IMAGES[start : min(start + 30, 100)])
    return leak


def test_calibration_on_other_images_is_accepted() -> None:
    leak = detector(IMAGES[100:])
    assert leak.count == 0
    leak.require_none()


def test_calibration_on_the_scored_images_is_refused() -> None:
    leak = detector(IMAGES[90:140])
    with pytest.raises(UsageError, match=r"not in the test split; found 10 of 50 that are"):
        leak.require_none()


def test_a_picture_that_a_data_set_holds_twice_decides_nothing() -> None:
    leak = detector(IMAGES[99:199])
    assert leak.count == 1
    leak.require_none()


def test_an_export_without_calibration_leaks_nothing() -> None:
    detector(IMAGES[:0]).require_none()
