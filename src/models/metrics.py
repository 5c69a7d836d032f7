"""Metrics of validation and test."""

from __future__ import annotations

from torchmetrics import MetricCollection
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
