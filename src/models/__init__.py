"""Architectures, one file each, and the LightningModule that they share.

An architecture is imported when it is asked for: the process that measures an exported network
needs its builder, and not Lightning.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from src.models.convnext_t import ConvNeXtTiny
    from src.models.densenet121 import DenseNet121
    from src.models.efficientnet_b0 import EfficientNetB0
    from src.models.resnet34 import ResNet34

__all__ = ["ConvNeXtTiny", "DenseNet121", "EfficientNetB0", "ResNet34"]
_MODULES = ("convnext_t", "densenet121", "efficientnet_b0", "resnet34")  # of __all__, in order


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{_MODULES[__all__.index(name)]}")
    return getattr(module, name)
