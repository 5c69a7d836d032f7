"""ConvNeXt-T (Liu et al., 2022, arXiv 2201.03545): 28.6 M parameters with 1,000 classes."""

from __future__ import annotations

from src.models.classifier import Classifier


class ConvNeXtTiny(Classifier):
    """torchvision's ``convnext_tiny``."""

    builder = "convnext_tiny"
