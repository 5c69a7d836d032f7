"""Architectures, one file each, and the LightningModule that they share."""

from src.models.convnext_t import ConvNeXtTiny
from src.models.densenet121 import DenseNet121
from src.models.efficientnet_b0 import EfficientNetB0
from src.models.resnet34 import ResNet34

__all__ = ["ConvNeXtTiny", "DenseNet121", "EfficientNetB0", "ResNet34"]
