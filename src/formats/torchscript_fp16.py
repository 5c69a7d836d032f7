"""TorchScript with weights and products in fp16, for a GPU; images and logits stay in fp32."""

from __future__ import annotations

from typing import TYPE_CHECKING

from src.backends.base import ExportSource
from src.formats.torchscript import TorchScript

if TYPE_CHECKING:
    from torch import nn


class TorchScriptFp16(TorchScript):
    """TorchScript of the network in fp16."""

    devices = ("cuda",)
    precision = "fp16"
    tolerance = 2e-2  # like onnx_fp16: 11 bits of mantissa

    def network(self, source: ExportSource) -> nn.Module:
        from src.backends.torch.half_precision import narrowed

        return narrowed(super().network(source), "float16")
