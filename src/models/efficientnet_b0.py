"""EfficientNet-B0 (Tan & Le, 2019, arXiv 1905.11946): 5.3 M parameters with 1,000 classes."""

from __future__ import annotations

from typing import ClassVar

from src.models.classifier import Classifier


class EfficientNetB0(Classifier):
    """torchvision's ``efficientnet_b0``."""

    builder: ClassVar[str] = "efficientnet_b0"
    # Its depthwise convolutions have no bf16 kernel worth it: 15 s an epoch against 8.
    faster_in_bfloat16: ClassVar[bool] = False
