"""``torch_export`` for the GPU that it is exported on, with Triton's kernels in the package.

It runs on GPUs of the same compute capability; on others its row is skipped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from src.backends.torch.cuda import require_gpu
from src.formats.torch_export import TorchExport

if TYPE_CHECKING:
    import torch


class TorchExportCuda(TorchExport):
    """An AOTInductor package for the GPU of this machine."""

    devices = ("cuda",)

    def compile_device(self) -> torch.device:
        return require_gpu(compiling=True)
