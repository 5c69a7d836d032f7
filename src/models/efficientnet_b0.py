"""EfficientNet-B0 (Tan & Le, 2019, arXiv 1905.11946): 5.3 M parameters with 1,000 classes."""

from __future__ import annotations

from src.models.classifier import Classifier


class EfficientNetB0(Classifier):
    """torchvision's ``efficientnet_b0``."""

    builder = "efficientnet_b0"
    # Depthwise convolutions have no fast bf16 kernel on a CPU: 15 s an epoch against 8 in fp32.
    faster_in_bfloat16 = False
