from __future__ import annotations

import numpy as np
import pytest

from src.benchmark.statistics.fidelity import mismatch

REFERENCE = np.array([[10, 0, -10], [0, 10, 5], [4.9, 5, 0], [0, 1, 9]], dtype=np.float32)


def test_the_same_logits_are_right() -> None:
    assert mismatch(REFERENCE.copy(), REFERENCE, 1e-3) is None


def test_a_difference_within_the_tolerance_may_swap_near_ties_only() -> None:
    swapped = REFERENCE.copy()
    swapped[2] = [5.0, 4.9, 0]
    assert mismatch(swapped, REFERENCE, 0.02) is None


@pytest.mark.parametrize(
    ("change", "tolerance", "message"),
    [
        (lambda x: x + 1, 0.01, "logits differ by 1 "),
        (lambda x: x[:, ::-1], 0.01, "logits differ by"),
        (lambda x: x[:2], 0.01, r"shape \[2, 3\] instead of \[4, 3\]"),
        (lambda x: np.where(x > 9, np.nan, x), 0.01, "logits of 2 images are not finite"),
        (lambda x: np.where(x > 9, np.inf, x), None, "logits of 2 images are not finite"),
        (lambda x: x[:, :2], None, r"shape \[4, 2\]"),
    ],
)
def test_logits_that_cannot_come_from_the_network_are_described(
    change: object, tolerance: float | None, message: str
) -> None:
    assert pytest.approx(REFERENCE) == REFERENCE
    problem = mismatch(change(REFERENCE), REFERENCE, tolerance)
    assert problem is not None
    import re

    assert re.search(message, problem)


def test_a_flip_of_a_decided_image_is_caught_within_any_tolerance_on_the_sum() -> None:
    reference = np.array([[100, 0, 0], [0, 3, 0]], dtype=np.float32)
    flipped = np.array([[100, 0, 0], [1.6, 1.5, 0]], dtype=np.float32)
    problem = mismatch(flipped, reference, 0.0149)
    assert problem is not None


def test_a_quantized_format_may_change_the_numbers() -> None:
    assert mismatch(REFERENCE * 1.5, REFERENCE, None) is None
