"""Metrics of validation and test."""

from __future__ import annotations

import re
from typing import Literal

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score


def classification_metrics(num_classes: int, prefix: str) -> MetricCollection:
    """Return top-1, top-5 and macro F1; with fewer than 5 classes, top-5 counts all of them."""
    return MetricCollection(
        {
            "top1": MulticlassAccuracy(num_classes, average="micro"),
            "top5": MulticlassAccuracy(num_classes, average="micro", top_k=min(5, num_classes)),
            "f1": MulticlassF1Score(num_classes, average="macro"),
        },
        prefix=prefix,
    )


class MeanLoss(Metric):
    """Mean of a loss over all images of all processes.

    Lightning's own mean of a logged value divides by a whole number of images a process. Where the
    processes have 9 and 8 of 17 images, it divides by 8, and the loss is too large
    (https://github.com/Lightning-AI/pytorch-lightning/issues/21838).
    """

    total: Tensor
    images: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", default=torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("images", default=torch.tensor(0), dist_reduce_fx="sum")

    def update(self, loss: Tensor, images: int) -> None:
        """Add the mean loss of a batch, and its number of images."""
        exact = loss.detach().to(torch.promote_types(loss.dtype, torch.float32))
        # Not in place: a network in half precision casts the state, and the sum would be rounded.
        self.total = self.total + exact * images
        self.images += images

    def compute(self) -> Tensor:
        return self.total / self.images


def mode_of(metric: str) -> Literal["min", "max"]:
    """Return the better end of a metric: ``min`` of a loss or an error, ``max`` of any other.

    Args:
        metric: its name, such as ``val/loss``.
    """
    words = re.split(r"[^a-z]+", metric.rpartition("/")[2].lower())
    return "min" if {"loss", "error"} & set(words) else "max"
