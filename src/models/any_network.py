"""Any classifier of torchvision or timm, chosen by its name."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from src.models import names
from src.models.architecture import Architecture
from src.models.classifier import Classifier


class AnyNetwork(Classifier):
    """Classifier of a library, such as ``torchvision/regnet_y_400mf``.

    Args:
        architecture: ``torchvision/NAME`` or ``timm/NAME``. With the name of published weights,
            such as ``timm/convnext_nano.in12k_ft_in1k``, training starts from these; with
            ``model.weights``, it starts from that file with their preprocessing.
        options: see :class:`Classifier`.

    Raises:
        UsageError: no library has this architecture.
    """

    def __init__(self, class_names: list[str], architecture: str, **options: Any) -> None:
        chosen = Architecture.parse(architecture)
        self.builder = chosen.builder
        self.published = chosen.published
        if chosen.published and not options.get("weights"):
            options["pretrained"] = True
        super().__init__(class_names, **options)
        self.faster_in_bfloat16 = not _is_depthwise_with_batch_norm(self.network)

    @property
    def name(self) -> str:
        """Name of the run's folder, with the library unless it is torchvision, and the width."""
        return names.of_builder(self.builder, self.width)


def _is_depthwise_with_batch_norm(network: nn.Module) -> bool:
    """Return True for networks such as MobileNet, which lose time in bf16 on a CPU.

    Depthwise convolutions have no fast bf16 kernel there. ConvNeXt and transformers with depthwise
    convolutions have layer normalisation, and spend their time in matrix products.
    """
    modules = list(network.modules())
    is_depthwise = any(
        isinstance(module, _ConvNd) and module.groups == module.in_channels > 1
        for module in modules
    )
    return is_depthwise and any(isinstance(module, _BatchNorm) for module in modules)
