"""DenseNet-121 (Huang et al., 2017, arXiv 1608.06993): 8.0 M parameters with 1,000 classes."""

from __future__ import annotations

from src.models.classifier import Classifier


class DenseNet121(Classifier):
    """torchvision's ``densenet121``."""

    builder = "densenet121"
