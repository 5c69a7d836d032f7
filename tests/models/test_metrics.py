"""Metrics of validation and test."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torchmetrics.classification import MulticlassF1Score, MulticlassStatScores

from src.models.metrics import ClassCounts, MacroF1, MeanLoss

SHARES = ([(1.0, 4), (2.0, 5)], [(5.0, 4), (3.0, 4)])  # 9 and 8 of 17 images: loss and images


def filled(batches: list[tuple[float, int]]) -> MeanLoss:
    mean = MeanLoss()
    for loss, images in batches:
        mean.update(torch.tensor(loss), images)
    return mean


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_network_in_half_precision_does_not_round_the_sum(dtype: torch.dtype) -> None:
    mean = MeanLoss().to(dtype=dtype)  # as Lightning's bf16-true casts the network
    for _ in range(2):
        for _ in range(3000):
            mean.update(torch.tensor(1.5, dtype=dtype), 32)
        assert float(mean.compute()) == 1.5
        mean.reset()
    parent = torch.nn.Sequential(mean).to(torch.float64)
    parent[0].update(torch.tensor(1 / 3, dtype=torch.float64), 3)
    assert float(mean.compute()) == pytest.approx(1 / 3)


def test_the_loss_is_the_mean_over_images_whatever_the_batches() -> None:
    assert float(filled(SHARES[0]).compute()) == pytest.approx(14 / 9)
    mean = filled([(float("nan"), 3), (1.0, 1)])
    assert torch.isnan(mean.compute())
    mean.reset()
    mean.update(torch.tensor(7.0), 2)
    assert float(mean.compute()) == 7


def test_the_loss_of_uneven_processes_is_that_of_all_images() -> None:
    own, other = filled(SHARES[0]), filled(SHARES[1])
    states = iter([other.total, other.images])

    def gathered(value: Tensor, group: Any = None) -> list[Tensor]:
        return [value, next(states)]

    own.distributed_available_fn = lambda: True
    own.dist_sync_fn = gathered
    assert float(own.compute()) == pytest.approx((14 + 32) / 17)


@pytest.mark.parametrize("classes", [2, 3, 7, 50])
@pytest.mark.parametrize("occurring", [1, 2, 7, 50])
def test_counts_and_f1_are_those_of_torchmetrics(classes: int, occurring: int) -> None:
    """Also where a class is missing, is never predicted, or is neither."""
    torch.manual_seed(classes + occurring)
    own, theirs = MacroF1(classes), MulticlassF1Score(classes, average="macro")
    counts, scores = ClassCounts(classes), MulticlassStatScores(classes, average=None)
    for size in (20, 1, 33):
        logits = torch.randn(size, classes)
        logits[:, occurring:] -= 9
        labels = torch.randint(0, max(1, min(classes, occurring) - 1), (size,))
        for metric in (own, theirs, counts, scores):
            metric.update(logits, labels)
    assert float(own.compute()) == pytest.approx(float(theirs.compute()), abs=1e-6)
    correct, predicted, actual = counts.compute()
    tp, fp, _, fn, support = scores.compute().T
    assert torch.equal(correct, tp)
    assert torch.equal(predicted, tp + fp)
    assert torch.equal(actual, support)
    assert torch.equal(actual, tp + fn)


@pytest.mark.parametrize("deterministic", [True, False])
def test_counts_take_memory_by_the_classes_and_not_by_their_square(deterministic: bool) -> None:
    """A matrix of all pairs of these classes would have 8 TB."""
    counts = ClassCounts(1_000_000)
    torch.use_deterministic_algorithms(deterministic)
    try:
        logits = torch.zeros(2, 1_000_000)
        logits[0, 999_999] = logits[1, 5] = 1
        counts.update(logits, torch.tensor([999_999, 6]))
        assert counts.compute().sum(dim=1).tolist() == [1, 2, 2]
    finally:
        torch.use_deterministic_algorithms(False)
