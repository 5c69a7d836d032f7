"""Metrics of validation and test."""

from __future__ import annotations

import re
from typing import Literal

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


def mode_of(metric: str) -> Literal["min", "max"]:
    """Return the better end of a metric: ``min`` of a loss or an error, ``max`` of any other.

    Args:
        metric: its name, such as ``val/loss``.
    """
    words = re.split(r"[^a-z]+", metric.rpartition("/")[2].lower())
    return "min" if {"loss", "error"} & set(words) else "max"
