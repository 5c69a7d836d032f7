"""Metrics of validation and test."""

from __future__ import annotations

import re
from typing import Literal

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy

MOST_CLASSES = 100  # with a test accuracy of their own in the logs: those of the lowest accuracy


def classification_metrics(num_classes: int, prefix: str) -> MetricCollection:
    """Return top-1, top-5 and macro F1; with fewer than 5 classes, top-5 counts all of them."""
    return MetricCollection(
        {
            "top1": MulticlassAccuracy(num_classes, average="micro"),
            "top5": MulticlassAccuracy(num_classes, average="micro", top_k=min(5, num_classes)),
            "f1": MacroF1(num_classes),
        },
        prefix=prefix,
    )


class ClassCounts(Metric):
    """Numbers of images of each class.

    torchmetrics counts them in a matrix of K times K, anew for each batch: of 10,000 classes it has
    800 MB, and in deterministic mode each image of the batch has one.

    Args:
        num_classes: K.
    """

    correct: Tensor  # (K,): images of the class that were predicted to be of it
    predicted: Tensor  # (K,): images that were predicted to be of the class
    actual: Tensor  # (K,): images of the class

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self._num_classes = num_classes
        for name in ("correct", "predicted", "actual"):
            zeros = torch.zeros(num_classes, dtype=torch.long)
            self.add_state(name, default=zeros, dist_reduce_fx="sum")

    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Count a batch of logits (N, K) and labels (N,)."""
        predicted = logits.argmax(dim=1)
        self.correct += self._count(targets[predicted == targets])
        self.predicted += self._count(predicted)
        self.actual += self._count(targets)

    def compute(self) -> Tensor:
        """Return ``correct``, ``predicted`` and ``actual``, (3, K)."""
        return torch.stack([self.correct, self.predicted, self.actual])

    def _count(self, labels: Tensor) -> Tensor:
        return torch.bincount(labels, minlength=self._num_classes)


class MacroF1(ClassCounts):
    """Mean of the classes' F1 scores, without classes that are neither there nor predicted."""

    def compute(self) -> Tensor:
        either = self.predicted + self.actual  # 2 tp + fp + fn
        of_class = 2 * self.correct / either.clamp(min=1)
        return of_class.sum() / (either > 0).sum().clamp(min=1)


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
