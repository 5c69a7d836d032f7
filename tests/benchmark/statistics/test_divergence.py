from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy
from torchmetrics.classification import MulticlassCalibrationError

from src.benchmark.statistics.divergence import (
    Distance,
    DistanceFigures,
    ExpectedCalibrationError,
    per_class,
    worst_class,
)
from src.benchmark.statistics.fidelity import Labels, Logits
from src.run.layout import as_dict

NAMES = ["cat", "dog", "emu", "fox"]
TARGETS = np.array([0, 0, 0, 1, 1, 1, 1, 1, 1, 3])
BEFORE = np.array([1, 1, 0, 1, 1, 1, 1, 0, 0, 0], dtype=bool)
AFTER = np.array([1, 0, 0, 1, 1, 0, 0, 0, 0, 1], dtype=bool)


def distance(logits: Logits, baseline: Logits, batch: int = 7) -> DistanceFigures:
    """The figures, from batches as they come in a benchmark."""
    measure = Distance()
    for start in range(0, len(logits), batch):
        measure.add(logits[start : start + batch], baseline[start : start + batch])
    return measure.result()


def logit_sqnr_db(logits: Logits, baseline: Logits) -> float | None:
    return distance(logits, baseline).logit_sqnr_db


def kl_divergence(logits: Logits, baseline: Logits) -> float:
    return distance(logits, baseline).kl


def calibration_error(logits: Logits, targets: Labels, bins: int = 15) -> float:
    calibration = ExpectedCalibrationError(bins)
    for start in range(0, len(logits), 7):
        calibration.add(logits[start : start + 7], targets[start : start + 7])
    return calibration.error()


def some_logits(seed: int, scale: float = 2) -> Logits:
    return np.random.default_rng(seed).normal(scale=scale, size=(2000, 10)).astype(np.float32)


def test_a_noise_of_a_tenth_is_20_db() -> None:
    baseline = some_logits(0)
    assert logit_sqnr_db(np.float32(1.1) * baseline, baseline) == pytest.approx(20, abs=1e-4)
    assert logit_sqnr_db(np.float32(0.99) * baseline, baseline) == pytest.approx(40, abs=1e-4)
    # 25 over 0.25; of the row's own signal it would be 23.25 over 0.25.
    reference = np.array([[3, 4], [0, 0]], dtype=np.float32)
    row = np.array([[2.7, 3.6], [0, 0]], dtype=np.float32)
    assert logit_sqnr_db(row, reference) == pytest.approx(20, abs=1e-4)


def test_an_infinite_ratio_is_none() -> None:
    logits = some_logits(0)
    assert logit_sqnr_db(logits.copy(), logits) is None
    assert logit_sqnr_db(logits, np.zeros_like(logits)) is None


def test_kl_is_from_the_baseline_to_the_row_worked_out_by_hand() -> None:
    # (1/2, 1/2) against (3/4, 1/4), and one image without a difference.
    baseline = np.zeros((2, 2), dtype=np.float32)
    row = np.array([[np.log(3), 0], [7, 7]], dtype=np.float32)
    assert kl_divergence(row, baseline) == pytest.approx(0.5 * np.log(4 / 3) / 2)


def test_kl_is_that_of_scipy() -> None:
    row, baseline = some_logits(1), some_logits(2)
    expected = entropy(softmax(baseline, axis=1), softmax(row, axis=1), axis=1).mean()
    assert kl_divergence(row, baseline) == pytest.approx(expected, rel=1e-5)


def test_kl_of_huge_logits_is_finite() -> None:
    baseline = np.array([[1e4, 0, -1e4]], dtype=np.float32)
    assert kl_divergence(baseline[:, ::-1].copy(), baseline) == pytest.approx(2e4)


@pytest.mark.parametrize("seed", range(10))
def test_kl_of_hardly_a_difference_is_hardly_above_zero_and_never_below(seed: int) -> None:
    logits = some_logits(seed)[:3]
    assert kl_divergence(logits, logits) == 0
    # About 1e-18, less than the rounding of either sign.
    assert 0 <= kl_divergence(np.float32(1e-9) * logits, np.zeros_like(logits)) < 1e-15


def test_the_calibration_error_is_worked_out_by_hand() -> None:
    # A confidence of 0.8 in class 0, which is right 3 times of 5.
    logits = np.tile(np.array([np.log(4), 0], dtype=np.float32), (5, 1))
    assert calibration_error(logits, np.array([0, 0, 0, 1, 1])) == pytest.approx(0.2)


def test_a_bin_of_the_confidence_is_closed_above() -> None:
    # 0.5 and wrong, 0.75 and right: in one bin their gaps would cancel to 0.125.
    logits = np.array([[0, 0], [np.log(3), 0]], dtype=np.float32)
    assert calibration_error(logits, np.array([1, 0]), bins=2) == pytest.approx(0.375)


def test_a_confidence_of_one_is_in_the_last_bin() -> None:
    # 1 and wrong, 0.98 and right, of the same bin.
    logits = np.array([[1000, 0], [np.log(49), 0]], dtype=np.float32)
    assert calibration_error(logits, np.array([1, 0])) == pytest.approx((1 - 0.02) / 2)


@pytest.mark.parametrize("scale", [0.5, 1, 2])
def test_the_calibration_error_is_that_of_torchmetrics(scale: float) -> None:
    logits = some_logits(3, scale)
    # Right for about every second image.
    guesses = np.random.default_rng(4).integers(0, 10, size=len(logits))
    targets = np.where(np.arange(len(logits)) % 2, guesses, logits.argmax(axis=1))
    metric = MulticlassCalibrationError(num_classes=10, n_bins=15, norm="l1")
    expected = float(metric(torch.from_numpy(logits), torch.from_numpy(targets)))
    assert calibration_error(logits, targets) == pytest.approx(expected, abs=1e-5)


def test_classes_are_counted_by_hand_and_those_without_images_left_out() -> None:
    assert [as_dict(entry) for entry in per_class(BEFORE, AFTER, TARGETS, NAMES)] == [
        {"name": "cat", "index": 0, "images": 3, "before": 2 / 3, "after": 1 / 3},
        {"name": "dog", "index": 1, "images": 6, "before": 4 / 6, "after": 2 / 6},
        {"name": "fox", "index": 3, "images": 1, "before": 0.0, "after": 1.0},
    ]


def test_the_worst_class_falls_the_most_and_is_the_first_of_equals() -> None:
    cat = {"name": "cat", "index": 0, "images": 3, "before": 2 / 3, "after": 1 / 3}
    worst = worst_class(BEFORE, AFTER, TARGETS, NAMES)
    assert worst is not None
    assert as_dict(worst) == cat | {"delta": -1 / 3}
    # With one more lost, the dogs.
    worse = AFTER.copy()
    worse[3] = False
    worst = worst_class(BEFORE, worse, TARGETS, NAMES)
    assert worst is not None
    assert (worst.name, worst.delta) == ("dog", -0.5)


def test_equal_falls_from_other_accuracies_are_equal() -> None:
    # 3/3 to 2/3 and 2/3 to 1/3: as differences of shares they are 1e-16 apart.
    targets = np.array([0, 0, 0, 1, 1, 1])
    before = np.array([1, 1, 1, 1, 1, 0], dtype=bool)
    after = np.array([1, 1, 0, 1, 0, 0], dtype=bool)
    for names in (["cat", "dog"], ["dog", "cat"]):
        first = worst_class(before, after, targets, names)
        other = worst_class(before, after, 1 - targets, names)
        assert first is not None
        assert other is not None
        assert first.index == other.index == 0


def test_there_is_no_worst_class_without_images() -> None:
    nothing = np.zeros(0, dtype=bool)
    assert worst_class(nothing, nothing, np.zeros(0, dtype=np.int64), NAMES) is None


def test_the_largest_difference_is_of_each_image_its_largest() -> None:
    baseline = np.zeros((101, 2), dtype=np.float32)
    logits = baseline.copy()
    logits[:, 0] = -np.arange(101)
    figures = distance(logits, baseline)
    assert (figures.max_abs_logit_diff, figures.p99_abs_logit_diff) == (100.0, 99.0)
