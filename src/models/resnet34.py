"""ResNet-34 (He et al., 2016, arXiv 1512.03385): 21.8 M parameters with 1,000 classes."""

from __future__ import annotations

from src.models.classifier import Classifier


class ResNet34(Classifier):
    """torchvision's ``resnet34``."""

    builder = "resnet34"
