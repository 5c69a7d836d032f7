"""The range of each activation, by several methods."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from src.quantization.onnx.calibration import (
    Calibrations,
    entropy_range,
    least_divergence,
    percentile_range,
)
from tests.quantization.onnx_models import RANDOM, images, model_of, node


def test_ranges_are_the_extremes_or_the_mean_of_the_batches_extremes(tmp_path: Path) -> None:
    model = model_of(
        [node("Relu", "images", "positive"), node("GlobalAveragePool", "positive", "pooled"),
         node("Flatten", "pooled", "logits")], {}, classes=3,
    )  # fmt: skip
    onnx.save(model, tmp_path / "model.onnx")
    drawn = images(48)
    drawn[20, 0, 0, 0] = 500.0
    calibrations = Calibrations(tmp_path / "model.onnx", drawn, tmp_path)
    low, high = calibrations.ranges("minmax")["images"].range_value
    assert (low, high) == (drawn.min(), 500)
    low, high = calibrations.ranges("average")["images"].range_value
    batches = drawn.reshape(3, 16, -1)
    assert high == pytest.approx(batches.max(axis=(1, 2)).mean())
    assert low == pytest.approx(batches.min(axis=(1, 2)).mean())
    # One value of 9,216 is within 99.999 %, and not within 99.9 %.
    assert calibrations.ranges("percentile 99.999")["images"].range_value[1] == 500
    clipped = calibrations.ranges("percentile 99.9")["images"]  # type: ignore[arg-type]
    assert 3 < clipped.range_value[1] < 6
    # What the quantizer does to a set of ranges is not in the next one.
    ranges = calibrations.ranges("minmax")
    ranges["images"] = ranges["positive"]
    assert calibrations.ranges("minmax")["images"].range_value == (drawn.min(), 500)


def histogram(values: np.ndarray, bins: int = 2048) -> Any:
    ends = np.abs(values).max()
    counts, edges = np.histogram(values, bins, (-ends, ends))
    return counts, edges, values.min(), values.max()


def test_a_percentile_keeps_as_much_as_it_says_and_no_bin_more() -> None:
    values = RANDOM.normal(size=200_000)
    low, high = percentile_range(histogram(values), 99.0)
    for end, share in ((low, 0.005), (high, 0.995)):
        assert end == pytest.approx(np.quantile(values, share), abs=0.01)
    positive = np.maximum(values, 0)
    assert percentile_range(histogram(positive), 99.99)[0] == 0
    assert percentile_range(histogram(values), 100.0) == (values.min(), values.max())


def test_a_percentile_keeps_what_an_outlier_has_pressed_into_one_bin() -> None:
    values = np.append(RANDOM.uniform(size=200_000), 5000.0)
    _, high = percentile_range(histogram(values), 99.99)
    assert 1 <= high < 5


def test_entropy_clips_a_thin_tail_and_keeps_a_full_range() -> None:
    uniform = RANDOM.uniform(size=100_000)
    assert entropy_range(histogram(uniform))[1] == pytest.approx(1, abs=0.02)
    tailed = np.append(np.abs(RANDOM.normal(size=100_000)), [40.0, 41.0])
    low, high = entropy_range(histogram(tailed))
    assert 2 < high < 10
    assert low == tailed.min()


def test_entropy_of_nothing_is_no_error() -> None:
    assert least_divergence(np.zeros(1024, np.int64)) >= 128
