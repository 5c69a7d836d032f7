"""``torch_export_cuda`` with weights and products in fp16; images and logits stay in fp32."""

from __future__ import annotations

from typing import TYPE_CHECKING

from src.backends.base import ExportSource
from src.formats.torch_export_cuda import TorchExportCuda

if TYPE_CHECKING:
    from torch import nn


class TorchExportCudaFp16(TorchExportCuda):
    """An AOTInductor package of the network in fp16, for the GPU of this machine."""

    precision = "fp16"
    tolerance = 2e-2  # like onnx_fp16: 11 bits of mantissa

    def network(self, source: ExportSource) -> nn.Module:
        from src.backends.torch.half_precision import narrowed

        return narrowed(source.simplified, "float16")
